// The end of a stream is typed: only close_notify is a clean end of TLS (RFC 8446 §6.1), and what came
// before a cut is delivered first.

import SocketCore
import Synchronization
import TLSEngine
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct TruncationTests {
    @Test("a reset is noticed behind a ticket that nobody reads", arguments: Wire.allCases)
    func resetBehindTicket(_ wire: Wire) async throws {
        let pair = try await Pair(wire)
        pair.server.abort()
        #expect(await pair.client.closed.error?.code == .peerReset)
    }

    @Test(
        "data that came before a reset is still read, also behind a ticket",
        arguments: Wire.allCases
    )
    func dataBeforeReset(_ wire: Wire) async throws {
        let pair = try await Pair(wire)
        try await pair.server.write("last words")
        let descriptor = pair.client.descriptor
        // All of it has arrived, so that the reset comes behind it.
        await until { ((try? Syscalls.unreadBytes(descriptor)) ?? 0) > 10 - 1 }
        pair.server.abort()
        await until { pair.client.connection.state.withLock { $0.hasHungUp } }
        #expect(try await readExactly(10, from: pair.client) == Array("last words".utf8))
        #expect(await thrown { _ = try await pair.client.read() }?.code == .peerReset)
        #expect(await pair.client.closed.error?.code == .peerReset)
    }

    @Test("a reset is noticed behind a piece of a record that nobody reads", arguments: Wire.secure)
    func resetBehindPiece(_ wire: Wire) async throws {
        let raw = try RawServer()
        let socket = try makeClient(wire, to: raw.address) { $0.servername = "localhost" }
        var peer = try EnginePeer(.server, wire, over: try await raw.accept())
        try await peer.handshake()
        try await peer.socket.write(Array(try peer.records(pattern(100)).prefix(50)))
        peer.socket.abort()
        #expect(await socket.closed.error?.code == .peerReset)
    }

    @Test(
        "a reader who reads what came before a reset, and no more, is told",
        arguments: Wire.allCases
    )
    func resetBehindReader(_ wire: Wire) async throws {
        let pair = try await Pair(wire)
        async let words = readExactly(10, from: pair.client)
        await until { pair.client.hasReader }
        try await pair.server.write("last words")
        pair.server.abort()
        #expect(try await words == Array("last words".utf8))
        #expect(await pair.client.closed.error?.code == .peerReset)
    }

    @Test("a goodbye with the last data is told before the reset behind it", arguments: Wire.secure)
    func goodbyeBeforeReset(_ wire: Wire) async throws {
        let raw = try RawServer()
        let socket = try makeClient(wire, to: raw.address) { $0.servername = "localhost" }
        var peer = try EnginePeer(.server, wire, over: try await raw.accept())
        try await peer.handshake()
        _ = try await socket.ready
        let last = try peer.records(pattern(50)) + peer.goodbye()
        try await peer.socket.write(last)
        let descriptor = socket.descriptor
        await until { ((try? Syscalls.unreadBytes(descriptor)) ?? 0) >= last.count }
        peer.socket.abort()
        await until { socket.connection.state.withLock { $0.hasHungUp } }
        #expect(try await readExactly(50, from: socket) == pattern(50))
        #expect(try await socket.read() == nil)
    }

    /// How a peer ends without saying so.
    enum Ending: CaseIterable, Sendable {
        case fin, reset
    }

    @Test(
        "data before a cut is delivered, and then the cut is told, as often as one asks",
        arguments: Wire.secure,
        [0, 1, 20_000]
    )
    func client(wire: Wire, count: Int) async throws {
        let raw = try RawServer()
        let socket = try makeClient(wire, to: raw.address) { $0.servername = "localhost" }
        var peer = try EnginePeer(.server, wire, over: try await raw.accept())
        try await peer.handshake()
        try await peer.socket.write(try peer.records(pattern(count)))
        try await peer.socket.shutdownWrite()
        #expect(try await readExactly(count, from: socket) == pattern(count))
        for _ in 0..<2 {
            let error = await thrown { _ = try await socket.read() }
            #expect(error?.code == .truncated)
            #expect(error?.category == .tls)
            #expect(error?.tls?.code == .truncated)
        }
        #expect(await socket.closed == .truncated)
    }

    @Test("a listener's connection tells a cut as well", arguments: Wire.secure)
    func server(wire: Wire) async throws {
        let listener = try makeListener(wire)
        var iterator = listener.makeAsyncIterator()
        let raw = try makeClient(.tcp, to: listener.localAddress)
        var peer = try EnginePeer(.client, wire, over: raw)
        try await peer.handshake()
        let socket = try #require(try await iterator.next()).socket
        try await raw.write(try peer.records([1, 2, 3]))
        try await raw.shutdownWrite()
        #expect(try await readExactly(3, from: socket) == [1, 2, 3])
        #expect(await thrown { _ = try await socket.read() }?.code == .truncated)
        #expect(await socket.closed == .truncated)
    }

    @Test("a record that is cut in its middle is a truncation", arguments: Wire.secure)
    func insideRecord(wire: Wire) async throws {
        let raw = try RawServer()
        let socket = try makeClient(wire, to: raw.address) { $0.servername = "localhost" }
        var peer = try EnginePeer(.server, wire, over: try await raw.accept())
        try await peer.handshake()
        let records = try peer.records(pattern(100)) + peer.records(pattern(100))
        try await peer.socket.write(Array(records.dropLast()))
        try await peer.socket.shutdownWrite()
        #expect(try await readExactly(100, from: socket) == pattern(100))
        #expect(await thrown { _ = try await socket.read() }?.code == .truncated)
    }

    @Test("close_notify and FIN in one piece with data are a clean end", arguments: Wire.secure)
    func clean(wire: Wire) async throws {
        let raw = try RawServer()
        let socket = try makeClient(wire, to: raw.address) { $0.servername = "localhost" }
        var peer = try EnginePeer(.server, wire, over: try await raw.accept())
        try await peer.handshake()
        try await peer.socket.write(try peer.records(pattern(50)) + peer.goodbye())
        try await peer.socket.shutdownWrite()
        #expect(try await readAll(from: socket) == pattern(50))
        #expect(try await socket.read() == nil)
    }

    @Test("a TCP stream's FIN with data is its end, however the two arrive")
    func plain() async throws {
        for count in [0, 1, 100_000] {
            let pair = try await Pair(.tcp)
            async let received = readAll(from: pair.client)
            if count > 0 { try await pair.server.write(pattern(count)) }
            try await pair.server.shutdownWrite()
            #expect(try await received == pattern(count))
        }
    }

    @Test("a reset says the same, whoever finds it: a reader or the loop", arguments: Wire.allCases)
    func resetFound(wire: Wire) async throws {
        for isRead in [true, false] {
            let pair = try await Pair(wire)
            // A session ticket that nobody has read would be data before the reset.
            try await pair.server.write("x")
            #expect(try await readExactly(1, from: pair.client) == [UInt8(ascii: "x")])
            async let reading = thrown { if isRead { _ = try await pair.client.read() } }
            if isRead { await until { pair.client.hasReader } }
            pair.server.abort()
            _ = await reading
            #expect(await pair.client.closed == .reset)
            let error = await thrown { _ = try await pair.client.read() }
            #expect(error?.code == .peerReset)
            #expect(error?.systemCall == "recv")
            #expect(error?.phase == (wire == .tcp ? nil : .open))
            #expect((error?.report == nil) == (wire == .tcp))
        }
    }

    @Test("data that came before a reset is delivered", arguments: Wire.allCases)
    func beforeReset(wire: Wire) async throws {
        let pair = try await Pair(wire)
        try await pair.server.write(pattern(100))
        pair.server.abort()
        #expect(try await readExactly(100, from: pair.client) == pattern(100))
        let error = await thrown { _ = try await pair.client.read() }
        #expect(error?.code == .peerReset)
        #expect(error?.systemCall == "recv")
        #expect(error?.phase == (wire == .tcp ? nil : .open))
        #expect(await pair.client.closed == .reset)
    }
}
