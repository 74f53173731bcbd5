import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct SocketDataEventTests {
    @Test("events bring every byte, in order, one event at a time", arguments: Wire.allCases)
    func order(wire: Wire) async throws {
        let pair = try await Pair(wire) { $0.allowHalfOpen = false }
        let log = Log<[UInt8]>()
        let inside = Log<Int>()
        try pair.client.onData(cap: 64 << 20) { event in
            inside.append(1)
            #expect(inside.all.reduce(0, +) == 1)
            #expect(!event.buffers.isEmpty)
            for buffer in event.buffers { log.append(buffer) }
            inside.append(-1)
        }
        let bytes = pattern(700_000)
        try await pair.server.write(bytes)
        try await pair.server.close()
        #expect(await pair.client.closed == .clean(nil))
        await until { log.all.reduce(0) { $0 + $1.count } == bytes.count }
        #expect(log.all.flatMap(\.self) == bytes)
    }

    @Test("what waits may be as much as the cap, and not one byte more", arguments: [0, 1])
    func cap(excess: Int) async throws {
        let pair = try await Pair(.tcp)
        let (entered, release) = (Gate(), Gate())
        let log = Log<Int>()
        try pair.client.onData(cap: 100) { event in
            entered.open()
            await release.wait()
            log.append(event.buffers.reduce(0) { $0 + $1.count })
        }
        try await pair.server.write(pattern(40))
        await entered.wait()
        try await pair.server.write(pattern(60 + excess))
        if excess == 0 {
            await until { pair.client.stats.bytesReceived == 100 && pair.client.hasReader }
            release.open()
            await until { log.all.reduce(0, +) == 100 }
            // With the handler done there is room again.
            try await pair.server.write(pattern(100))
            await until { log.all.reduce(0, +) == 200 }
        } else {
            let reason = await pair.client.closed
            #expect(reason.error?.code == .dataCapExceeded)
            #expect(reason.error?.category == .resource)
            release.open()
        }
    }

    @Test("a cap of nothing is refused")
    func noCap() async throws {
        let pair = try await Pair(.tcp)
        let error = await thrown { try pair.client.onData(cap: 0) { _ in } }
        #expect(error?.code == .invalidOption)
        #expect(!pair.client.locked)
    }

    @Test("a handler does not keep its socket alive")
    func drop() async throws {
        let listener = try makeListener(.tcp)
        var iterator = listener.makeAsyncIterator()
        var client: Socket? = try makeClient(.tcp, to: listener.localAddress)
        let server = try #require(try await iterator.next()).socket
        _ = try await client?.ready
        try client?.onData { _ in }
        weak let connection = client?.connection
        client = nil
        #expect(try await server.read() == nil)
        await until { connection == nil }
    }
}
