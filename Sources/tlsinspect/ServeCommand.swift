// `tlsinspect serve`: a page that shows a browser its own ClientHello.

import ArgumentParser
import Foundation
import Sockets
import TLSInspection
import TLSTestKit
import Tooling

/// Serves the page until it is told to end.
struct ServeCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "A page that shows a browser its own ClientHello.",
        discussion: """
            Every client sees what it said itself: / is a page, /json the same for \
            programs. The certificate is made at the start, for localhost and the address, \
            and its root is at /root.pem; --cert gives another one. Ends at Ctrl-C or \
            SIGTERM.

            EXAMPLES
              tlsinspect serve
              tlsinspect serve 0.0.0.0:8443 --cert chain.pem --key key.pem
              curl -k https://127.0.0.1:8443/json
            """
    )

    @Argument(
        help: ArgumentHelp("Listen there; port 0 lets the system choose.", valueName: "addr:port")
    )
    var local = "127.0.0.1:8443"

    @Option(help: ArgumentHelp("Show this certificate chain.", valueName: "file"))
    var cert: String?

    @Option(help: ArgumentHelp("Its private key. (default: in the --cert file)", valueName: "file"))
    var key: String?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard key == nil || cert != nil else { throw ValidationError("--key needs --cert.") }
        _ = try address()
    }

    private func address() throws -> SocketAddress {
        do throws(SocketError) {
            return try SocketAddress(parsing: local, defaultPort: 8443)
        } catch {
            throw ValidationError("\(error.detail ?? error.description).")
        }
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        let address = try address()
        let (identity, root) = try identity(address, surroundings.now)
        let desk = HelloDesk(root: root)
        do {
            try await desk.serve(at: address, identity) { local in
                announce(local, surroundings)
                await surroundings.waitForEnd()
            }
        } catch let error as SocketError {
            throw ToolFailure(
                code: "cannot_listen",
                message: error.description,
                status: .noConnection
            )
        }
        return ToolOutput(status: .clean)
    }

    private func announce(_ local: SocketAddress, _ surroundings: ToolSurroundings) {
        let report = ServeReport(url: "https://\(local)/", port: Int(local.port))
        let paint = output.painter(in: surroundings)
        surroundings.announce(
            output.format != .text
                ? JSONLine.text(of: report)
                : """
                \(paint("serving", .bold))  \(report.url)

                  \(report.url)json       the same for programs
                \(cert == nil ? "  \(report.url)root.pem   the root to trust, for as long as it runs\n" : "")
                Ctrl-C ends it.

                """
        )
    }

    /// Who the server is, and the root in PEM when that is of its own making.
    private func identity(
        _ address: SocketAddress,
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

/// What is told when the server listens.
struct ServeReport: Encodable {
    var schema = InspectionReport.schema
    var command = "serve"
    /// Where the page is.
    var url: String
    /// The port, which the system may have chosen.
    var port: Int
}
