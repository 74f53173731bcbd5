// The response to a connection: once, with options that take effect.

import SocketCore
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct OnSocketEventTests {
    /// A listener's first event, and the client it belongs to.
    private func event(
        _ wire: Wire = .tcp,
        client: (inout SocketInit) -> Void = { _ in }
    ) async throws -> (OnSocketEvent, Socket, SocketListener) {
        let listener = try makeListener(wire)
        var iterator = listener.makeAsyncIterator()
        let socket = try makeClient(wire, to: listener.localAddress) { client(&$0) }
        let event = try #require(try await iterator.next())
        _ = try await socket.ready
        return (event, socket, listener)
    }

    @Test("a response is sent once, and then refused", arguments: Wire.allCases)
    func once(wire: Wire) async throws {
        let (event, client, _) = try await event(wire)
        try event.respondWith(SocketResponse(body: "first"))
        #expect(throws: SocketError(.alreadyResponded)) {
            try event.respondWith(SocketResponse(body: "second"))
        }
        #expect(try await readAll(from: client) == Array("first".utf8))
        #expect(await event.socket.closed == .clean(nil))
    }

    @Test("the socket's own stream is an echo, until the client ends", arguments: Wire.allCases)
    func echo(wire: Wire) async throws {
        let (event, client, _) = try await event(wire) { $0.body = .bytes(pattern(300_000)) }
        try event.respondWith(SocketResponse(body: event.socket.stream()))
        #expect(try await readAll(from: client) == pattern(300_000))
        #expect(await event.socket.closed == .clean(nil))
        #expect(await client.closed == .clean(nil))
    }

    @Test("kernel options of a response take effect")
    func kernelOptions() async throws {
        let (event, _, _) = try await event()
        var options = SocketResponseOptions()
        options.noDelay = false
        options.ttl = 17
        options.sendBufferSize = 20_000
        options.receiveBufferSize = 30_000
        try event.respondWith(SocketResponse(options))
        let number = event.socket.descriptor
        #expect(try !SocketOptions.noDelay(of: number))
        #expect(try SocketOptions.timeToLive(of: number, family: .ipv4) == 17)
        #expect(try SocketOptions.sendBufferSize(of: number) == 40_000)
        #expect(try SocketOptions.receiveBufferSize(of: number) == 60_000)
    }

    @Test("a response without a body leaves the socket open, and its deadline without a meaning")
    func noBody() async throws {
        let (event, client, _) = try await event()
        var options = SocketResponseOptions()
        options.connectionTimeout = .milliseconds(1)
        options.idleTimeout = .milliseconds(40)
        try event.respondWith(SocketResponse(options))
        try await event.socket.write("open")
        #expect(try await client.read() == Array("open".utf8))
        // What ends it is the idle timeout, and not the other.
        #expect(await event.socket.closed.error?.code == .idleTimedOut)
    }

    @Test("a body that is not sent in time ends the connection")
    func connectionTimeout() async throws {
        let (event, _, _) = try await event()
        let gate = Gate()
        var options = SocketResponseOptions()
        options.connectionTimeout = .milliseconds(30)
        options.body = .deferred {
            await gate.wait()
            return "late"
        }
        try event.respondWith(SocketResponse(options))
        let error = await event.socket.closed.error
        #expect(error?.code == .responseTimedOut)
        #expect(error?.phase == .open)
        gate.open()
    }

    @Test("a response's signal aborts the connection, and is left alone afterwards")
    func signal() async throws {
        let controller = AbortController()
        let (event, client, _) = try await event()
        var options = SocketResponseOptions()
        options.signal = controller.signal
        try event.respondWith(SocketResponse(options))
        #expect(controller.signal.handlerCount == 1)
        controller.abort("stop")
        #expect(await event.socket.closed == .aborted("stop"))
        #expect(await thrown { _ = try await client.read() }?.code == .peerReset)

        let second = AbortController()
        let (other, reader, _) = try await self.event()
        var response = SocketResponse(body: "x")
        response.options.signal = second.signal
        try other.respondWith(response)
        #expect(try await readAll(from: reader) == [120])
        _ = await other.socket.closed
        #expect(second.signal.handlerCount == 0)
    }

    @Test("options that cannot be are refused")
    func invalid() async throws {
        let (event, _, _) = try await event()
        var response = SocketResponse(body: "x")
        response.options.ttl = 0
        #expect(throws: SocketError(.invalidOption)) { try event.respondWith(response) }
    }

    @Test("an event that nobody answers or keeps is the end of its connection")
    func unanswered() async throws {
        let listener = try makeListener(.tcp)
        try listener.onSocket { _ in }
        let client = try makeClient(.tcp, to: listener.localAddress)
        #expect(try await client.read() == nil)
        await until { listener.core.aliveCount == 0 }
    }

    @Test("the stream may be read elsewhere after the response was sent")
    func readElsewhere() async throws {
        var parts: (OnSocketEvent, Socket, SocketListener)? = try await event()
        let client = try #require(parts?.1)
        let listener = try #require(parts?.2)
        var stream = try parts?.0.socket.stream()
        try parts?.0.respondWith(SocketResponse(body: "hi"))
        parts = nil
        #expect(try await readAll(from: client) == Array("hi".utf8))
        try await client.write("more")
        var iterator = stream?.makeAsyncIterator()
        #expect(try await iterator?.next() == Array("more".utf8))
        // Nobody reads any more, though the stream did not end: the socket goes with the stream.
        #expect(listener.core.aliveCount == 1)
        iterator = nil
        stream = nil
        await until { listener.core.aliveCount == 0 }
    }

    @Test("closing the listener waits for responses")
    func closeWaits() async throws {
        let (event, client, listener) = try await event()
        let gate = Gate()
        let body = SocketBody.deferred {
            await gate.wait()
            return "late"
        }
        try event.respondWith(SocketResponse(body: body))
        async let closing: Void = listener.close()
        await until { listener.core.closeReason != nil }
        gate.open()
        #expect(try await readAll(from: client) == Array("late".utf8))
        await closing
    }
}
