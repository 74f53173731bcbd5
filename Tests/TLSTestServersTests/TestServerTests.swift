import Sockets
import TLSTestKit
import TLSTestServers
import Testing

@Suite(.timeLimit(.minutes(1))) struct TestServerTests {
    private func echo(_ socket: Socket, _ text: String) async throws -> String {
        try await socket.write(text)
        var answer: [UInt8] = []
        while answer.count < text.utf8.count, let bytes = try await socket.read() {
            answer += bytes
        }
        return String(decoding: answer, as: UTF8.self)
    }

    @Test("it echoes, and shows the ClientHello and the report")
    func shows() async throws {
        let leaf = try TestCA().issue("a.test")
        try await TestServer.run(leaf, alpn: ["h2"]) { server in
            #expect(server.lastClientHello == nil)
            let options = try server.client { $0.alpn = ["h2", "http/1.1"] }
            let answer = try await withSocket(options) { try await echo($0, "hello") }
            #expect(answer == "hello")
            #expect(server.lastClientHello?.servername == "a.test")
            #expect(server.lastClientHello?.alpn == ["h2", "http/1.1"])
            #expect(server.lastClientHello?.records.first == 22)
            await server.waitForHandshakes(1)
            #expect(server.accepted.map(\.alpn) == ["h2"])
            #expect(server.failed.isEmpty)
            #expect(server.port > 0)
        }
    }

    @Test("without arguments it makes its own certificate and authority")
    func plain() async throws {
        try await TestServer.run { server in
            let answer = try await withSocket(server.client()) { try await echo($0, "x") }
            #expect(answer == "x")
        }
    }

    @Test("a failed handshake is shown with its error and report")
    func failures() async throws {
        try await TestServer.run(alpn: ["h2"]) { server in
            let options = try server.client { $0.alpn = ["smtp"] }
            let error = await #expect(throws: SocketError.self) {
                try await withSocket(options) { _ in }
            }
            #expect(error?.tls?.alert == .noApplicationProtocol)
            await server.waitForHandshakes(1)
            #expect(server.failed.map(\.tls?.code) == [.noApplicationProtocol])
            #expect(server.failed.first?.report?.servername == "localhost")
            #expect(server.accepted.isEmpty)
        }
    }

    @Test("what is no TLS is a failed handshake without a ClientHello")
    func notTLS() async throws {
        try await TestServer.run { server in
            let options = SocketInit(remote: server.address)
            try await withSocket(options) { try await $0.write("GET / HTTP/1.1\r\n\r\n") }
            await server.waitForHandshakes(1)
            #expect(server.failed.map(\.tls?.code) == [.notTLS])
            #expect(server.clientHellos.isEmpty)
        }
    }

    @Test("client certificates are asked for", arguments: [ProtocolVersion.tls12, .tls13])
    func clientAuthentication(version: ProtocolVersion) async throws {
        let authority = try TestCA()
        let alice = try authority.issueClient("alice")
        try await TestServer.run(
            clientAuthentication: .require,
            clientAuthorities: [authority],
            configure: { $0.maximumVersion = version }
        ) { server in
            let options = try server.client {
                $0.identity = try TLSIdentity(
                    certificate: Array(alice.chainPEM.utf8),
                    privateKey: Array(alice.privateKeyPEM.utf8)
                )
            }
            #expect(try await withSocket(options) { try await echo($0, "hi") } == "hi")
            await server.waitForHandshakes(1)
            #expect(server.accepted.first?.peerChain.first?.commonName == "alice")
        }
    }

    @Test("an error of a handler is kept, and ends that connection as a reset")
    func handlerErrors() async throws {
        struct Refusal: Error, Equatable {}
        try await TestServer.run(handler: { _ in throw Refusal() }) { server in
            let error = await #expect(throws: SocketError.self) {
                try await withSocket(server.client()) { _ = try await $0.read() }
            }
            #expect(error?.code == .peerReset)
            #expect(server.errors.map { $0 as? Refusal } == [Refusal()])
        }
    }

    @Test("a clean end comes through as one, in both directions")
    func cleanEnd() async throws {
        try await TestServer.run(handler: { try await $0.write("bye") }) { server in
            let chunks = try await withSocket(server.client()) { socket in
                [try await socket.read(), try await socket.read()]
            }
            #expect(chunks == [Array("bye".utf8), nil])
        }
    }

    @Test("it is gone when its closure ends, with connections that are open")
    func closes() async throws {
        // On a host of its own, where nobody else gets the port.
        let (address, socket) = try await TestServer.run(
            configure: { $0.local = SocketAddress("127.2.0.2", port: 0) }
        ) { server in
            let socket = try Socket(server.client())
            _ = try await socket.ready
            return (server.address, socket)
        }
        let cut = await #expect(throws: SocketError.self) {
            while try await socket.read() != nil {}
            throw SocketError(.closed)
        }
        #expect(cut?.code == .peerReset)
        let error = await #expect(throws: SocketError.self) {
            try await withSocket(SocketInit(remote: address)) { _ in }
        }
        #expect(error?.code == .connectionRefused)
    }

    @Test("a cancelled closure ends it")
    func cancellation() async throws {
        let task = Task {
            try await TestServer.run { server in
                try await withSocket(server.client()) { socket in
                    _ = try await socket.read()
                }
            }
        }
        task.cancel()
        await #expect(throws: SocketError.self) { try await task.value }
        let waiting = Task { try await TestServer.run { await $0.waitForHandshakes(1) } }
        waiting.cancel()
        try await waiting.value
    }
}
