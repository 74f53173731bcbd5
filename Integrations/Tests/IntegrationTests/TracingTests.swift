import InMemoryTracing
import Sockets
import SocketsTracing
import Testing
import Tracing

@Suite(.timeLimit(.minutes(1))) struct TracingTests {
    private func text(_ span: FinishedInMemorySpan, _ name: String) -> String? {
        guard case .string(let text) = span.attributes.get(name) else { return nil }
        return text
    }

    @Test("a client's way is a span with its steps, below the current one")
    func connect() async throws {
        let stage = try Stage.shared()
        let tracer = InMemoryTracer()
        let listener = try stage.listener()
        let serving = Task { try await listener.serve(echo) }
        let address = SocketAddress("localhost", port: listener.localAddress.port)
        try await tracer.withSpan("request") { _ in
            let socket = try await ConnectionTracer(tracer).connect(stage.client(address))
            try await converse(socket)
        }
        await listener.close()
        _ = await serving.result
        let spans = tracer.finishedSpans
        let request = try #require(spans.first { $0.operationName == "request" })
        let connect = try #require(spans.first { $0.operationName == "connect" })
        #expect(connect.kind == .client && connect.parentSpanID == request.spanID)
        #expect(connect.traceID == request.traceID)
        #expect(text(connect, "server.address") == "localhost")
        #expect(text(connect, "network.peer.address") == "127.0.0.1")
        #expect(text(connect, "tls.protocol.version") == "1.3")
        #expect(text(connect, "tls.next_protocol") == "echo")
        #expect(connect.status == nil && connect.errors.isEmpty)
        let handshake = try #require(spans.first { $0.operationName == "TLS handshake" })
        #expect(handshake.parentSpanID == connect.spanID)
        #expect(text(handshake, "tls.client.server_name") == "localhost")
        #expect(handshake.attributes.get("tls.established") == .bool(true))
    }

    @Test("a failure shows in the step and in the whole, and is thrown")
    func failure() async throws {
        let stage = try Stage.shared()
        let tracer = InMemoryTracer()
        let listener = try stage.listener()
        let serving = Task { try await listener.serve(echo) }
        let options = stage.client(listener.localAddress) { $0.alpn = ["smtp"] }
        let error = await #expect(throws: SocketError.self) {
            _ = try await ConnectionTracer(tracer).connect(options)
        }
        #expect(error?.code == .handshakeFailed)
        let spans = tracer.finishedSpans
        let connect = try #require(spans.first { $0.operationName == "connect" })
        #expect(connect.status?.code == .error && connect.errors.count == 1)
        #expect(text(connect, "error.type") == "alertReceived")
        let handshake = try #require(spans.first { $0.operationName == "TLS handshake" })
        #expect(handshake.status?.code == .error)
        #expect(handshake.events.map(\.name) == ["alert received: no_application_protocol"])
        #expect(tracer.activeSpans.isEmpty)
        await listener.close()
        _ = await serving.result
    }

    @Test("a server's handler runs in its connection's span, the handshake before it")
    func handle() async throws {
        let stage = try Stage.shared()
        let tracer = InMemoryTracer()
        let listener = try stage.listener()
        let serving = Task {
            try await listener.serve { socket in
                try await ConnectionTracer(tracer).handle(socket) { _ in
                    try await echo(socket)
                    tracer.startSpan("work").end()
                }
            }
        }
        try await withSocket(stage.client(listener.localAddress)) { try await converse($0) }
        await listener.close()
        _ = await serving.result
        let spans = tracer.finishedSpans
        #expect(spans.count == 3)
        let connection = try #require(spans.first { $0.operationName == "connection" })
        #expect(connection.kind == .server)
        #expect(connection.attributes.get("sockets.bytes.received") == .int64(3))
        #expect(text(connection, "tls.client.server_name") == "localhost")
        let handshake = try #require(spans.first { $0.operationName == "TLS handshake" })
        let work = try #require(spans.first { $0.operationName == "work" })
        #expect(handshake.parentSpanID == connection.spanID)
        #expect(work.parentSpanID == connection.spanID)
        #expect(
            handshake.startInstant.nanosecondsSinceEpoch
                == connection.startInstant.nanosecondsSinceEpoch
        )
        #expect(
            handshake.endInstant.nanosecondsSinceEpoch
                > handshake.startInstant.nanosecondsSinceEpoch
        )
    }
}
