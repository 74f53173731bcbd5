// Who the tool's own server is: somebody with a certificate from files, or of an authority that is made when
// it starts.

import ArgumentParser
import Sockets
import TLSTestKit
import Tooling

/// The options of commands that show a client its ClientHello.
struct ServerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Show this certificate chain.", valueName: "file"))
    var cert: String?

    @Option(help: ArgumentHelp("Its private key. (default: in the --cert file)", valueName: "file"))
    var key: String?

    func validate() throws {
        guard key == nil || cert != nil else { throw ValidationError("--key needs --cert.") }
    }

    /// Who the server is, and the root in PEM when that is of its own making.
    func identity(
        for address: SocketAddress,
        _ now: UnixTime
    ) throws -> (TLSIdentity, root: String?) {
        if let cert {
            do throws(SocketError) {
                let own = try TLSIdentity(certificateFile: cert, privateKeyFile: key ?? cert)
                return (own, nil)
            } catch {
                throw ToolFailure(code: "unusable_file", message: error.description)
            }
        }
        let seconds = now.seconds
        let authority = try TestCA(name: "tlsinspect serve", validity: .days(-1...30)) { seconds }
        let names = ["localhost", "127.0.0.1", "::1", address.address]
        let places = names.indices.filter { names.firstIndex(of: names[$0]) == $0 }
        var recipe = CertificateRecipe.server(places.map { SubjectName(names[$0]) })
        recipe.validity = .days(-1...30)
        let issued = try authority.issue(recipe)
        let identity = try TLSIdentity(
            certificate: Array(issued.chainPEM.utf8),
            privateKey: Array(issued.privateKeyPEM.utf8)
        )
        return (identity, authority.certificatePEM)
    }
}
