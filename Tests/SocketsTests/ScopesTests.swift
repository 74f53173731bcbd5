import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct ScopesTests {
    struct Left: Error {}

    @Test("a socket is closed in good order when its scope returns", arguments: Wire.allCases)
    func socketReturns(wire: Wire) async throws {
        let listener = try makeListener(wire)
        var iterator = listener.makeAsyncIterator()
        let inside = Log<Socket>()
        async let result = withSocket(try clientOptions(wire, to: listener.localAddress)) {
            socket in
            inside.append(socket)
            try await socket.write("x")
            return 7
        }
        let server = try #require(try await iterator.next()).socket
        #expect(try await readAll(from: server) == [120])
        #expect(try await result == 7)
        #expect(await inside.all.first?.closed == .clean(nil))
    }

    @Test("a socket is aborted when its scope throws", arguments: Wire.allCases)
    func socketThrows(wire: Wire) async throws {
        let listener = try makeListener(wire)
        var iterator = listener.makeAsyncIterator()
        let options = try clientOptions(wire, to: listener.localAddress)
        let gate = Gate()
        async let left: Void = {
            await #expect(throws: Left.self) {
                try await withSocket(options) { _ in
                    await gate.wait()
                    throw Left()
                }
            }
        }()
        let server = try #require(try await iterator.next()).socket
        gate.open()
        #expect(await thrown { _ = try await readAll(from: server) }?.code == .peerReset)
        await left
    }

    @Test("a cancelled scope ends every wait inside", arguments: Wire.allCases)
    func socketCancelled(wire: Wire) async throws {
        let listener = try makeListener(wire)
        var iterator = listener.makeAsyncIterator()
        let options = try clientOptions(wire, to: listener.localAddress)
        let inside = Log<Socket>()
        let task = Task {
            await thrown {
                try await withSocket(options) { socket in
                    inside.append(socket)
                    _ = try await socket.read()
                }
            }
        }
        let server = try #require(try await iterator.next()).socket
        await until { inside.all.first?.hasReader == true }
        task.cancel()
        #expect(await task.value?.code == .aborted)
        #expect(await thrown { _ = try await readAll(from: server) }?.code == .peerReset)
        #expect(inside.all.first?.descriptor == -1)
    }

    @Test("a scope that cannot connect does not begin")
    func socketRefused() async throws {
        let address = try await makeRefusingAddress()
        let error = await thrown {
            try await withSocket(SocketInit(remote: address)) { _ in _ = Issue.record("began") }
        }
        #expect(error?.code == .connectionRefused)
    }

    @Test("a scope that is cancelled before it connects ends at once")
    func socketCancelledEarly() async throws {
        let raw = try RawServer()
        let options = try clientOptions(.tls13, to: raw.address)
        let task = Task {
            await thrown { try await withSocket(options) { _ in _ = Issue.record("began") } }
        }
        task.cancel()
        #expect(await task.value?.code == .aborted)
    }

    @Test("a listener's scope waits for its connections when it returns")
    func listenerReturns() async throws {
        let (clients, listeners) = (Log<Socket>(), Log<SocketListener>())
        try await withListener(SocketListenerInit(local: loopback)) { listener in
            listeners.append(listener)
            try listener.onSocket { event in
                try? event.respondWith(SocketResponse(body: "served"))
            }
            clients.append(try makeClient(.tcp, to: listener.localAddress))
            await until { clients.all[0].stats.packetsReceived > 1 }
        }
        #expect(await listeners.all[0].closed == .clean(nil))
        #expect(try await readAll(from: clients.all[0]) == Array("served".utf8))
    }

    @Test(
        "a listener's scope aborts its connections when it throws or is cancelled",
        arguments: [false, true]
    )
    func listenerFails(isCancelled: Bool) async throws {
        let pairs = Log<(OnSocketEvent, Socket, SocketListener)>()
        let task = Task {
            try await withListener(SocketListenerInit(local: loopback)) { listener in
                var iterator = listener.makeAsyncIterator()
                let client = try makeClient(.tcp, to: listener.localAddress)
                let event = try #require(try await iterator.next())
                _ = try await client.ready
                pairs.append((event, client, listener))
                guard isCancelled else { throw Left() }
                _ = try await event.socket.read()
            }
        }
        await until { pairs.count == 1 }
        if isCancelled { task.cancel() }
        let failure = await task.result
        #expect(throws: (any Error).self) { try failure.get() }
        let (event, client, listener) = pairs.all[0]
        #expect(await event.socket.closed.error?.code == .aborted)
        #expect(await listener.closed.error?.code == .aborted)
        #expect(await thrown { _ = try await readAll(from: client) }?.code == .peerReset)
    }
}
