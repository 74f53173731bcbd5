// The draft's examples as a Swift program writes them, on the loopback interface. The one for datagrams
// is pending with `SocketType.udp`.

import Sockets
import Testing

@Suite(.timeLimit(.minutes(1))) struct ExampleTests {
    @Test("the minimal TCP client sends its body and prints what comes back")
    func client() async throws {
        let server = try makeListener()
        try server.onSocket { try? $0.respondWith(SocketResponse(body: "hello yourself")) }

        let socket = try Socket(SocketInit(remote: server.localAddress) { $0.body = "hello world" })
        var printed: [UInt8] = []
        for try await chunk in try socket.stream() { printed += chunk }

        #expect(printed == Array("hello yourself".utf8))
    }

    @Test("the minimal echo server, by iteration", arguments: [SocketType.tcp, .tls])
    func echoByIteration(_ type: SocketType) async throws {
        let listener = try makeListener(type)
        let serving = Task {
            for try await event in listener {
                try event.respondWith(SocketResponse(body: try event.socket.stream()))
            }
        }

        for text in ["hello", "world"] { #expect(try await echo(of: text, type, listener) == text) }
        await listener.close()
        try await serving.value
    }

    @Test("the minimal echo server, by events", arguments: [SocketType.tcp, .tls])
    func echoByEvents(_ type: SocketType) async throws {
        let listener = try makeListener(type)
        try listener.onSocket { event in
            guard let stream = try? event.socket.stream() else { return }
            try? event.respondWith(SocketResponse(body: stream))
        }

        for text in ["hello", "world"] { #expect(try await echo(of: text, type, listener) == text) }
        await listener.close()
        #expect(await listener.closed == .clean(nil))
    }

    /// What comes back of a text that is sent as a body.
    private func echo(
        of text: String,
        _ type: SocketType,
        _ listener: SocketListener
    ) async throws -> String {
        var options = try clientOptions(type, to: listener)
        options.body = .string(text)
        let socket = try Socket(options)
        var received: [UInt8] = []
        for try await chunk in try socket.stream() { received += chunk }
        return String(decoding: received, as: UTF8.self)
    }
}
