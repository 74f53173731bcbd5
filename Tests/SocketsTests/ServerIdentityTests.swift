// A client that looks at the server itself: what it is told, and what it may say.

import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct ServerIdentityTests {
    @Test("it is told the name and the chain, and takes the name's place", arguments: Wire.secure)
    func told(wire: Wire) async throws {
        let credentials = try Credentials.shared()
        let asked = Log<(String, ServerIdentity)>()
        let pair = try await Pair(wire) {
            $0.servername = "elsewhere.test"
            $0.checkServerIdentity = { servername, identity in
                asked.append((servername, identity))
            }
        }
        #expect(pair.client.info?.verificationStatus == "ok")
        #expect(asked.count == 1)
        let (servername, identity) = asked.all[0]
        #expect(servername == "elsewhere.test")
        #expect(identity.certificate == credentials.server.certificate.der)
        #expect(identity.chain.map(\.der).first == identity.certificate)
        #expect(identity.verifiedChain.last == credentials.anchors[0])
        #expect(!identity.isResumed)
        #expect(throws: TLSError.self) { try identity.check() }
    }

    @Test("the usual check can be called, and its verdict stays what it is", arguments: Wire.secure)
    func usualCheck(wire: Wire) async throws {
        let listener = try makeListener(wire)
        try listener.onSocket { _ in }
        for (name, passes) in [("localhost", true), ("elsewhere.test", false)] {
            let socket = try makeClient(wire, to: listener.localAddress) {
                $0.servername = name
                $0.checkServerIdentity = { _, identity in try identity.check() }
            }
            let error = await thrown { _ = try await socket.ready }
            guard !passes else {
                #expect(error == nil)
                continue
            }
            #expect(error?.code == .certificateRejected)
            #expect(error?.tls?.verification?.code == .hostnameMismatch)
            #expect(error?.phase == .certificate)
            #expect(error?.hint?.contains("localhost") == true)
            #expect(error?.report?.alertSent == .badCertificate)
        }
    }

    @Test("without a name the address is what is told, and checked", arguments: Wire.secure)
    func address(wire: Wire) async throws {
        let asked = Log<String>()
        let pair = try await Pair(wire) {
            $0.checkServerIdentity = { servername, identity in
                asked.append(servername)
                try identity.check()
            }
        }
        #expect(asked.all == ["127.0.0.1"])
        try await pair.client.close()
    }

    @Test("it is not asked about a server whose chain is not trusted", arguments: Wire.secure)
    func untrusted(wire: Wire) async throws {
        let asked = Log<String>()
        let listener = try makeListener(wire)
        try listener.onSocket { _ in }
        let stranger = try Certificate(der: TestCA(name: "Nobody").certificateDER)
        let socket = try makeClient(wire, to: listener.localAddress) {
            $0.trust = TrustPolicy(anchors: [stranger])
            $0.checkServerIdentity = { servername, _ in asked.append(servername) }
        }
        #expect(await thrown { _ = try await socket.ready }?.code == .certificateRejected)
        #expect(asked.count == 0)
    }

    @Test("sockets with callbacks of their own do not hear each other's", arguments: Wire.secure)
    func apart(wire: Wire) async throws {
        let asked = Log<Int>()
        let listener = try makeListener(wire)
        try listener.onSocket { _ in }
        for number in 0..<3 {
            let socket = try makeClient(wire, to: listener.localAddress) {
                $0.checkServerIdentity = { _, _ in asked.append(number) }
            }
            _ = try await socket.ready
        }
        #expect(asked.all == [0, 1, 2])
    }

    @Test("a callback on a socket without TLS is misuse")
    func plain() {
        #expect(throws: SocketError(.tlsOptionWithoutTLS)) {
            try Socket(SocketInit(remote: loopback) { $0.checkServerIdentity = { _, _ in } })
        }
        var tls = TLSSocketInit()
        tls.checkServerIdentity = { _, _ in }
        let copy = tls
        #expect(copy == tls && tls != TLSSocketInit())
        tls.checkServerIdentity = { _, _ in }
        #expect(copy != tls)
        tls.checkServerIdentity = nil
        #expect(tls == TLSSocketInit() && tls.checkServerIdentity == nil)
    }

    @Test("the client's certificate is chosen by what the server asks for", arguments: Wire.secure)
    func choice(wire: Wire) async throws {
        let credentials = try Credentials.shared()
        let pair = try await Pair(wire) {
            $0.chooseIdentity = { request in
                [credentials.stranger, credentials.client].first { request.welcomes($0) }
            }
        } server: {
            $0.clientAuthentication = .require
            $0.trust = TrustPolicy(anchors: credentials.anchors)
        }
        #expect(pair.server.info?.peerCertificate == credentials.client.certificate.der)
        #expect(pair.client.info?.certificate == credentials.client.certificate.der)
    }
}
