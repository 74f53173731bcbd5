// The draft's interface Socket, member by member.

import Sockets
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct SocketTests {
    @Test("data comes to a consumer that was added instead of a stream, which locks the socket")
    func EventTarget() async throws {
        let pair = try await Pair()
        let (arrived, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        try pair.server.onData { event in event.buffers.forEach { continuation.yield($0) } }
        #expect(pair.server.locked)
        #expect(throws: SocketError(.locked)) { try pair.server.onData { _ in } }
        try await pair.client.write("hello")
        var bytes: [UInt8] = []
        for await chunk in arrived {
            bytes += chunk
            if bytes.count >= 5 { break }
        }
        #expect(bytes == Array("hello".utf8))
    }

    @Test("a socket connects as soon as it is made, and is not made of what cannot be")
    func constructor() async throws {
        let listener = try makeListener()
        let socket = try Socket(SocketInit(remote: listener.localAddress))
        var iterator = listener.makeAsyncIterator()
        let accepted = try #require(try await iterator.next()).socket
        #expect(try await socket.ready.local == accepted.info?.remote)
        #expect(throws: SocketError(.invalidAddress)) {
            try Socket(SocketInit(remote: SocketAddress("no such name", port: 0)))
        }
    }

    @Test("the stream gives what the peer sends until it ends, to one taker")
    func stream() async throws {
        let pair = try await Pair()
        let stream = try pair.client.stream()
        #expect(throws: SocketError(.locked)) { try pair.client.stream() }
        try await pair.server.write("hello ")
        try await pair.server.write("world")
        try await pair.server.shutdownWrite()
        var received: [UInt8] = []
        for try await chunk in stream { received += chunk }
        #expect(received == Array("hello world".utf8))
    }

    @Test("closing sends what was written, ends the peer's stream, and keeps its reason")
    func close() async throws {
        let pair = try await Pair()
        try await pair.client.write("last words")
        async let received = pair.server.receiveAll()
        try await pair.client.close("done")
        #expect(try await received == Array("last words".utf8))
        #expect(await pair.client.closed == .clean("done"))
        try await pair.client.close("again")
        #expect(await pair.client.closed == .clean("done"))
    }

    @Test("a socket is locked from when its stream was taken, also without reading it")
    func locked() async throws {
        let pair = try await Pair()
        #expect(!pair.client.locked)
        _ = try pair.client.stream()
        #expect(pair.client.locked)
        #expect(throws: SocketError(.locked)) { try pair.client.onData { _ in } }
        #expect(!pair.server.locked)
    }

    @Test("ready tells what was negotiated, or throws why there is no connection")
    func ready() async throws {
        let pair = try await Pair(.tls)
        #expect(try await pair.client.ready.version == .tls13)
        #expect(try await pair.client.ready.remote == pair.listener.localAddress)
        // On a host of its own, where nobody else gets the port.
        let gone = try makeListener { $0.local = SocketAddress("127.2.0.1", port: 0) }
        await gone.close()
        let refused = try Socket(clientOptions(to: gone))
        let code = await SocketError.code { () throws(SocketError) in _ = try await refused.ready }
        #expect(code == .connectionRefused)
    }

    @Test("closed tells on both sides how the connection ended")
    func closed() async throws {
        let pair = try await Pair()
        pair.server.abort("enough")
        #expect(await pair.client.closed == .reset)
        #expect(await pair.server.closed == .aborted("enough"))
    }

    @Test("stats count what went over the connection")
    func stats() async throws {
        let pair = try await Pair(.tls)
        try await pair.client.write("hello")
        #expect(try await pair.server.receive(5).count == 5)
        #expect(pair.client.stats.bytesSent == 5)
        #expect(pair.server.stats.bytesReceived == 5)
    }

    @Test("info is there from when the socket is ready")
    func info() async throws {
        let silent = try SilentServer()
        let waiting = try Socket(clientOptions(.tls, to: silent.listener))
        #expect(waiting.info == nil)
        let pair = try await Pair()
        #expect(pair.client.info?.remote == pair.listener.localAddress)
        #expect(pair.client.info?.local == pair.server.info?.remote)
    }
}

@Suite(.timeLimit(.minutes(1))) struct SocketTypeTests {
    @Test("tcp is spelled as in the draft, is the default, and sends bytes as they are")
    func tcp() async throws {
        #expect(SocketType(rawValue: "tcp") == .tcp)
        let pair = try await Pair(.tcp)
        #expect(try await pair.client.ready.tls == nil)
        try await pair.client.write("plain")
        #expect(try await pair.server.receive(5) == Array("plain".utf8))
    }

    @Test("tls is spelled as in the draft, and speaks TLS to whatever was asked in the clear")
    func tls() async throws {
        #expect(SocketType(rawValue: "tls") == .tls)
        let pair = try await Pair(.tls)
        #expect(try await pair.client.ready.version == .tls13)
        let plain = try makeListener(.tcp)
        let socket = try Socket(clientOptions(.tls, to: plain))
        var iterator = plain.makeAsyncIterator()
        let accepted = try #require(try await iterator.next()).socket
        // A record of type handshake, version 3.1 (RFC 8446 §5.1).
        #expect(try await accepted.receive(3) == [22, 3, 1])
        _ = socket
    }
}

@Suite(.timeLimit(.minutes(1))) struct SocketDataEventTests {
    @Test("an event is a value that outlives its delivery")
    func Event() async throws {
        let pair = try await Pair()
        let kept = Mutex<SocketDataEvent?>(nil)
        let (delivered, continuation) = AsyncStream.makeStream(of: Void.self)
        try pair.server.onData { event in
            kept.withLock { $0 = event }
            continuation.yield()
        }
        try await pair.client.write("x")
        for await _ in delivered { break }
        #expect(kept.withLock { $0?.buffers } == [Array("x".utf8)])
    }

    @Test("buffers hold in order everything that arrived since the last event")
    func buffers() async throws {
        let pair = try await Pair()
        let sent = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let received = Mutex<[UInt8]>([])
        let isEmpty = Mutex(false)
        let (counts, continuation) = AsyncStream.makeStream(of: Int.self)
        try pair.server.onData { event in
            if event.buffers.contains([]) || event.buffers.isEmpty {
                isEmpty.withLock { $0 = true }
            }
            continuation.yield(
                received.withLock { bytes in
                    event.buffers.forEach { bytes += $0 }
                    return bytes.count
                }
            )
        }
        try await pair.client.write(sent)
        for await count in counts where count >= sent.count { break }
        #expect(received.withLock { $0 } == sent)
        #expect(!isEmpty.withLock { $0 })
    }
}

@Suite(.timeLimit(.minutes(1))) struct SocketAddressTests {
    @Test(
        "an address is an IP address of either family or a name",
        arguments: [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "::1")]
    )
    func address(_ text: String, _ local: String) async throws {
        let listener = try makeListener { $0.local = SocketAddress(local, port: 0) }
        let port = listener.localAddress.port
        let remote = SocketAddress(text, port: port)
        #expect(remote.address == text)
        let socket = try Socket(SocketInit(remote: remote) { $0.addressFamily = .any })
        #expect(try await socket.ready.remote == SocketAddress(local, port: port))
    }

    @Test("port 0 has the system choose, and what it chose is told")
    func port() async throws {
        let listener = try makeListener()
        #expect(listener.localAddress.port != 0)
        let pair = try await Pair()
        #expect(pair.client.info?.remote.port == pair.listener.localAddress.port)
        #expect(SocketAddress("a.test", port: .max).port == 65535)
    }
}
