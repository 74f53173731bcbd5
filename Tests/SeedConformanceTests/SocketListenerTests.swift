// The draft's listening side: SocketListener, SocketListenerInit, OnSocketEvent, SocketResponse and
// SocketResponseOptions, member by member.

import Sockets
import Testing

@Suite(.timeLimit(.minutes(1))) struct SocketListenerTests {
    @Test("connections come to a handler that was added, and then to no iteration")
    func EventTarget() async throws {
        let listener = try makeListener()
        let (events, continuation) = AsyncStream.makeStream(of: OnSocketEvent.self)
        try listener.onSocket { continuation.yield($0) }
        #expect(throws: SocketError(.locked)) { try listener.onSocket { _ in } }
        let socket = try Socket(clientOptions(to: listener))
        for await event in events {
            #expect(event.socket.info?.remote == (try await socket.ready.local))
            break
        }
        var iterator = listener.makeAsyncIterator()
        let code = await SocketError.code { () throws(SocketError) in _ = try await iterator.next()
        }
        #expect(code == .locked)
    }

    @Test("a listener listens as soon as it is made, and is not made where another listens")
    func constructor() async throws {
        let listener = try makeListener()
        let socket = try Socket(clientOptions(to: listener))
        #expect(try await socket.ready.remote == listener.localAddress)
        let error = #expect(throws: SocketError.self) {
            try SocketListener(SocketListenerInit(local: listener.localAddress))
        }
        #expect(error?.code == .addressInUse)
    }

    // Iteration gives every connection, and ends when the listener is closed.
    @Test func `async iterable`() async throws {
        let listener = try makeListener()
        let (first, second) = (
            try Socket(clientOptions(to: listener)), try Socket(clientOptions(to: listener))
        )
        var seen: Set<SocketAddress> = []
        for try await event in listener {
            seen.insert(try await event.socket.ready.remote)
            if seen.count == 2 { break }
        }
        #expect(seen == [try await first.ready.local, try await second.ready.local])
        await listener.close()
        var iterator = listener.makeAsyncIterator()
        #expect(try await iterator.next() == nil)
    }
}

@Suite(.timeLimit(.minutes(1))) struct SocketListenerInitTests {
    @Test("the type decides what connections speak; tcp by default")
    func type() async throws {
        let defaults = SocketListenerInit(local: loopback)
        #expect(try Seed.defaultValue("SocketListenerInit", "type") == defaults.type.rawValue)
        #expect(try await Pair(.tcp).server.info?.tls == nil)
        #expect(try await Pair(.tls).server.info?.tls != nil)
    }

    @Test("the local address is where it listens, given as parts or as text")
    func local() async throws {
        let listener = try SocketListener(
            SocketListenerInit(local: SocketAddress("127.0.0.3", port: 0))
        )
        #expect(listener.localAddress.address == "127.0.0.3")
        let byText = try SocketListener(SocketListenerInit(local: "127.0.0.1", port: 0))
        #expect(byText.localAddress.address == "127.0.0.1")
        let socket = try Socket(clientOptions(to: byText))
        #expect(try await socket.ready.remote == byText.localAddress)
    }

    @Test("the signal closes the listener and aborts its connections")
    func signal() async throws {
        #expect(SocketListenerInit(local: loopback).signal == nil)
        let controller = AbortController()
        let pair = try await Pair(server: { $0.signal = controller.signal })
        controller.abort("enough")
        #expect(await pair.listener.closed == .aborted("enough"))
        #expect(await pair.server.closed == .aborted("enough"))
        #expect(await pair.client.closed == .reset)
    }

    @Test("members of TLSSocketListenerInit are reached directly, and refused without TLS")
    func TLSSocketListenerInit() throws {
        var options = SocketListenerInit(type: .tls, local: loopback)
        options.alpn = ["h2"]
        #expect(options.tls.alpn == ["h2"])
        options.type = .tcp
        #expect(throws: SocketError(.tlsOptionWithoutTLS)) { try SocketListener(options) }
    }
}

@Suite(.timeLimit(.minutes(1))) struct OnSocketEventTests {
    @Test("an event may be kept and answered later")
    func Event() async throws {
        let pair = try await Pair()
        let event = pair.event
        let answer = Task { try event.respondWith(SocketResponse(body: "later")) }
        try await answer.value
        #expect(try await pair.client.receiveAll() == Array("later".utf8))
    }

    @Test("the socket is the connection, ready to use")
    func socket() async throws {
        let pair = try await Pair(.tls)
        let info = try #require(pair.event.socket.info)
        #expect(info.remote == pair.client.info?.local)
        #expect(info.version == .tls13)
    }

    @Test("a response is sent and closes the connection; there is one")
    func respondWith() async throws {
        let pair = try await Pair()
        try pair.event.respondWith(SocketResponse(body: "bye"))
        #expect(throws: SocketError(.alreadyResponded)) {
            try pair.event.respondWith(SocketResponse(body: "bye"))
        }
        #expect(try await pair.client.receiveAll() == Array("bye".utf8))
        #expect(await pair.server.closed == .clean(nil))
    }
}

@Suite(.timeLimit(.minutes(1))) struct SocketResponseTests {
    @Test("a response is made from options, which it sends and applies")
    func constructor() async throws {
        var options = SocketResponseOptions()
        options.body = "from options"
        options.ttl = 21
        let response = SocketResponse(options)
        #expect(response.options.ttl == 21)
        let pair = try await Pair()
        try pair.event.respondWith(response)
        #expect(try await pair.client.receiveAll() == Array("from options".utf8))
    }
}

@Suite(.timeLimit(.minutes(1))) struct SocketResponseOptionsTests {
    private let defaults = SocketResponseOptions()

    /// A pair whose listener answered with options that are the default but for a change.
    private func respondedPair(
        server: (inout SocketListenerInit) throws -> Void = { _ in },
        _ change: (inout SocketResponseOptions) -> Void
    ) async throws -> Pair {
        let pair = try await Pair(server: server)
        var options = SocketResponseOptions()
        change(&options)
        try pair.event.respondWith(SocketResponse(options))
        return pair
    }

    @Test("the body is sent, also one that is promised, and the connection closed behind it")
    func body() async throws {
        #expect(defaults.body == nil)
        for body in ["hello", SocketBody.deferred { "hello" }] {
            let pair = try await respondedPair { $0.body = body }
            #expect(try await pair.client.receiveAll() == Array("hello".utf8))
            #expect(await pair.server.closed == .clean(nil))
        }
    }

    @Test("the signal aborts the connection, with its reason")
    func signal() async throws {
        #expect(defaults.signal == nil)
        let controller = AbortController()
        let pair = try await respondedPair { $0.signal = controller.signal }
        controller.abort("enough")
        #expect(await pair.server.closed == .aborted("enough"))
        #expect(await pair.client.closed == .reset)
    }

    @Test("noDelay is set on the connection; nil keeps what the listener chose")
    func noDelay() async throws {
        #expect(try Seed.defaultValue("SocketResponseOptions", "noDelay") == "false")
        #expect(defaults.noDelay == nil)
        for noDelay in [true, false] {
            let pair = try await respondedPair(server: { $0.noDelay = !noDelay }) {
                $0.noDelay = noDelay
            }
            #expect(try KernelSocket(pair.server).noDelay == noDelay)
            let kept = try await respondedPair(server: { $0.noDelay = noDelay }) { _ in }
            #expect(try KernelSocket(kept.server).noDelay == noDelay)
        }
    }

    @Test("a response that takes longer than its time ends the connection; none, the draft's 0")
    func connectionTimeout() async throws {
        #expect(try Seed.defaultValue("SocketResponseOptions", "connectionTimeout") == "0")
        #expect(defaults.connectionTimeout == nil)
        let (chunks, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        let pair = try await respondedPair { options in
            options.body = .sequence(chunks)
            options.connectionTimeout = .milliseconds(50)
        }
        guard case .timedOut(let error) = await pair.server.closed else {
            Issue.record("closed: \(await pair.server.closed)")
            return
        }
        #expect(error.category == .timeout)
        continuation.finish()
    }

    @Test("a connection that is idle for its time ends; nil keeps the listener's time")
    func idleTimeout() async throws {
        #expect(try Seed.defaultValue("SocketResponseOptions", "idleTimeout") == "0")
        #expect(defaults.idleTimeout == nil)
        let pair = try await respondedPair { $0.idleTimeout = .milliseconds(50) }
        guard case .timedOut(let error) = await pair.server.closed else {
            Issue.record("closed: \(await pair.server.closed)")
            return
        }
        #expect(error.code == .idleTimedOut)
    }

    @Test("the send buffer has the size asked for; nil leaves it")
    func sendBufferSize() async throws {
        #expect(try Seed.defaultValue("SocketResponseOptions", "sendBufferSize") == nil)
        #expect(defaults.sendBufferSize == nil)
        let pair = try await respondedPair { $0.sendBufferSize = 65536 }
        #expect(try KernelSocket(pair.server).sendBufferSize == 65536)
        let kept = try await respondedPair(server: { $0.sendBufferSize = 32768 }) { _ in }
        #expect(try KernelSocket(kept.server).sendBufferSize == 32768)
    }

    @Test("the receive buffer has the size asked for; nil leaves it")
    func receiveBufferSize() async throws {
        #expect(try Seed.defaultValue("SocketResponseOptions", "receiveBufferSize") == nil)
        #expect(defaults.receiveBufferSize == nil)
        let pair = try await respondedPair { $0.receiveBufferSize = 65536 }
        #expect(try KernelSocket(pair.server).receiveBufferSize == 65536)
        let kept = try await respondedPair(server: { $0.receiveBufferSize = 32768 }) { _ in }
        #expect(try KernelSocket(kept.server).receiveBufferSize == 32768)
    }

    @Test("packets carry the hops asked for; nil leaves them, and what cannot be is refused")
    func ttl() async throws {
        #expect(try Seed.defaultValue("SocketResponseOptions", "ttl") == nil)
        #expect(defaults.ttl == nil)
        let pair = try await respondedPair { $0.ttl = 22 }
        #expect(try KernelSocket(pair.server).ttl == 22)
        let kept = try await respondedPair(server: { $0.ttl = 23 }) { _ in }
        #expect(try KernelSocket(kept.server).ttl == 23)
        await #expect(throws: SocketError(.invalidOption)) {
            try await respondedPair { $0.ttl = 256 }
        }
    }
}
