// The OpenSSL that runs need not be the one this was compiled against. Scripts/openssl-3.5.sh runs this
// suite and others on a newer library, and says in the environment what it expects:
//
//     SOCKETS_EXPECT_OPENSSL    how the running library's version begins, for example "OpenSSL 3.5."
//     SOCKETS_REFUSED_OPENSSL   set when the library claims a major version that must be refused

import Foundation
import Sockets
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct OpenSSLVersionTests {
    private let environment = ProcessInfo.processInfo.environment

    @Test("the library that runs is a version 3, and the one that was asked for")
    func version() {
        let expected = environment["SOCKETS_EXPECT_OPENSSL"] ?? "OpenSSL 3."
        #expect(OpenSSLLibrary.version.hasPrefix(expected))
    }

    @Test("by default two sides agree on X25519MLKEM768 from version 3.5 on, on X25519 before")
    func group() async throws {
        let info = try await handshake()
        #expect(info.version == .tls13)
        let minor = OpenSSLLibrary.version.firstMatch(of: /OpenSSL 3\.(\d+)\./).flatMap {
            Int($0.1)
        }
        let isNew = try #require(minor) >= 5
        #expect(info.report.group == (isNew ? .x25519MLKEM768 : .x25519))
        #expect(info.verificationStatus == "ok")
        if environment["SOCKETS_EXPECT_OPENSSL"] != nil {
            let facts = [
                OpenSSLLibrary.version, info.version?.description, info.cipher?.standardName,
                info.report.group?.description, info.ephemeralKey.map { "\($0)" },
            ]
            print("this runs: " + facts.compactMap(\.self).joined(separator: ", "))
        }
    }

    @Test("a library of another major version is refused before there is a configuration of it")
    func major() throws {
        let isRefused = environment["SOCKETS_REFUSED_OPENSSL"] != nil
        let code: TLSError.Code?
        do throws(TLSError) {
            _ = try TLSContext(role: .client, trust: .acceptAnything(because: "none is looked at"))
            code = nil
        } catch {
            code = error.code
        }
        #expect(code == (isRefused ? .unsupportedLibrary : nil))
    }

    /// What a client is told about a handshake with a listener, both of this package.
    private func handshake() async throws -> TLSSocketInfo {
        let ca = try TestCA()
        let leaf = try ca.issue("127.0.0.1")
        let identity = try TLSIdentity(
            certificate: leaf.certificateDER,
            privateKey: leaf.privateKeyDER
        )
        let anchors = try Certificate.read(ca.certificateDER)
        let listener = try SocketListener(
            SocketListenerInit(
                type: .tls,
                local: SocketAddress("127.0.0.1", port: 0),
                identity: identity
            )
        )
        try listener.onSocket { try? $0.respondWith(SocketResponse(body: "hello")) }
        var options = SocketInit(type: .tls, remote: listener.localAddress)
        options.trust = TrustPolicy(anchors: anchors)
        let socket = try Socket(options)
        let info = try await socket.ready
        #expect(try await socket.read() == Array("hello".utf8))
        return try #require(info.tls)
    }
}
