import Logging
import ServiceLifecycle
import ServiceLifecycleTestKit
import Sockets
import SocketsLifecycle
import Testing

@Suite(.timeLimit(.minutes(1))) struct LifecycleTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    @Test("a group that shuts down lets open connections go on, and takes no more")
    func drains() async throws {
        let stage = try Stage.shared()
        let listener = try stage.listener()
        let service = ListenerService(listener, drain: .seconds(60), echo)
        let group = ServiceGroup(services: [service], logger: logger)
        let running = Task { try await group.run() }
        let socket = try Socket(stage.client(listener.localAddress))
        _ = try await socket.ready
        await group.triggerGracefulShutdown()
        // It listens no more once the listener says so.
        while (try? await listener.ready) != nil { await Task.yield() }
        await #expect(throws: SocketError.self) {
            try await withSocket(stage.client(listener.localAddress)) { _ in }
        }
        // And whoever was there is served to the end.
        try await converse(socket)
        try await running.value
        #expect(await listener.closed == .clean("the service shuts down"))
        #expect(await socket.closed == .clean(nil))
    }

    @Test("what is left when the time is over is aborted, and the group ends")
    func deadline() async throws {
        let stage = try Stage.shared()
        let listener = try stage.listener()
        let service = ListenerService(listener, drain: .milliseconds(50), echo)
        let group = ServiceGroup(services: [service], logger: logger)
        let running = Task { try await group.run() }
        let socket = try Socket(stage.client(listener.localAddress))
        _ = try await socket.ready
        await group.triggerGracefulShutdown()
        try await running.value
        #expect(listener.connectionCount == 0)
        #expect(await socket.closed != .clean(nil))
    }

    @Test("a handler learns of the shutdown, and says goodbye")
    func handler() async throws {
        let stage = try Stage.shared()
        let listener = try stage.listener()
        let service = ListenerService(listener) { socket in
            try await gracefulShutdown()
            try await socket.write("bye")
        }
        let group = ServiceGroup(services: [service], logger: logger)
        let running = Task { try await group.run() }
        let socket = try Socket(stage.client(listener.localAddress))
        _ = try await socket.ready
        await group.triggerGracefulShutdown()
        #expect(try await socket.read() == Array("bye".utf8))
        #expect(try await socket.read() == nil)
        try await running.value
    }

    @Test("cancelling aborts at once; a listener that is closed ends the service")
    func ends() async throws {
        let stage = try Stage.shared()
        let first = try stage.listener()
        let cancelled = Task { try await ListenerService(first, echo).run() }
        let socket = try Socket(stage.client(first.localAddress))
        _ = try await socket.ready
        cancelled.cancel()
        _ = await cancelled.result
        #expect(first.connectionCount == 0)
        let second = try stage.listener()
        let running = Task { try await ListenerService(second, echo).run() }
        await second.close("done")
        _ = await running.result
        await #expect(throws: SocketError.self) { try await ListenerService(second, echo).run() }
    }
}
