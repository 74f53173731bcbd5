// Early data on sockets: an idempotent body rides on the ClientHello, arrives once and marked, and is
// sent again where it was not taken.

import SocketCore
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct EarlyTransferSocketTests {
    func makeListener(
        _ configure: (inout SocketListenerInit) throws -> Void = { _ in }
    ) throws -> SocketListener {
        try makeModernListener {
            $0.acceptsEarlyData = true
            try configure(&$0)
        }
    }

    /// Connects once, and takes the session along.
    func session(_ listener: SocketListener, key: SessionKey) async throws -> [UInt8] {
        let client = try makeClient(.tls13, to: listener.localAddress) { $0.sessionKey = key }
        var iterator = listener.makeAsyncIterator()
        let server = try #require(try await iterator.next()).socket
        try await server.write("hello")
        #expect(try await readExactly(5, from: client) == Array("hello".utf8))
        let session = try #require(client.info?.session)
        try await client.close()
        return session
    }

    func connect(
        _ listener: SocketListener,
        _ session: [UInt8],
        _ key: SessionKey,
        _ body: SocketBody?
    ) async throws -> (client: Socket, server: Socket) {
        let client = try makeClient(.tls13, to: listener.localAddress) {
            $0.sessionKey = key
            $0.session = session
            $0.body = body
        }
        var iterator = listener.makeAsyncIterator()
        let server = try #require(try await iterator.next()).socket
        _ = try await client.ready
        return (client, server)
    }

    /// Resumes until early data is taken: a ticket that was read ten seconds after it was given, as on a
    /// machine that is busy, gives none (RFC 8446 §8.3).
    func connectEarly(
        _ listener: SocketListener,
        _ key: SessionKey,
        _ body: SocketBody
    ) async throws -> (client: Socket, server: Socket) {
        for _ in 0..<20 {
            let session = try await session(listener, key: key)
            let pair = try await connect(listener, session, key, body)
            if pair.client.info?.report?.earlyData?.isAccepted == true { return pair }
            pair.client.abort()
        }
        throw SocketError(.limitExceeded)
    }

    @Test("an idempotent body arrives early and marked, and what does not fit behind it")
    func arrives() async throws {
        let key = try SessionKey([UInt8](repeating: 7, count: 32))
        for count in [1, 16384, 100_000] {
            let listener = try makeListener()
            let body = SocketBody.bytes(pattern(count)).idempotent()
            let (client, server) = try await connectEarly(listener, key, body)
            let early = server.takeEarlyData()
            #expect(early == Array(pattern(count).prefix(16384)))
            #expect(server.takeEarlyData().isEmpty)
            #expect(try await readAll(from: server) == Array(pattern(count).dropFirst(16384)))
            let facts = EarlyTransfer(bytes: min(count, 16384), isAccepted: true)
            #expect(client.info?.report?.earlyData == facts)
            #expect(client.stats.bytesSent == UInt64(count))
            #expect(server.stats.bytesReceived == UInt64(count))
            try await server.close()
            #expect(try await readAll(from: client).isEmpty)
            #expect(await client.closed == .clean(nil))
        }
    }

    @Test("what is not taken is sent again, whole, and as other data")
    func resent() async throws {
        let key = try SessionKey([UInt8](repeating: 7, count: 32))
        let first = try makeListener()
        let session = try await session(first, key: key)
        let address = first.localAddress
        await first.close()
        // Another process at the same address does not know the session.
        let second = try makeListener { $0.local = address }
        let body = SocketBody.string("question").idempotent()
        let (client, server) = try await connect(second, session, key, body)
        #expect(server.takeEarlyData().isEmpty)
        #expect(try await readAll(from: server) == Array("question".utf8))
        #expect(
            client.info?.report?.earlyData == EarlyTransfer(bytes: 8, isAccepted: false)
        )
        #expect(client.stats.bytesSent == 8)
    }

    @Test("a body that is not marked is never early, nor one for a listener that takes none")
    func unmarked() async throws {
        let key = try SessionKey([UInt8](repeating: 7, count: 32))
        let listener = try makeListener()
        let session = try await session(listener, key: key)
        let (client, server) = try await connect(listener, session, key, "question")
        #expect(server.takeEarlyData().isEmpty)
        #expect(try await readAll(from: server) == Array("question".utf8))
        #expect(client.info?.resumed == true)
        #expect(client.info?.report?.earlyData == nil)

        let usual = try makeModernListener { _ in }
        let other = try await self.session(usual, key: key)
        let marked = SocketBody.string("question").idempotent()
        let (late, receiver) = try await connect(usual, other, key, marked)
        #expect(try await readAll(from: receiver) == Array("question".utf8))
        #expect(late.info?.report?.earlyData == nil)
        #expect(!SocketBody.string("x").isIdempotent && marked.isIdempotent)
        #expect(!TLSSocketListenerInit().acceptsEarlyData)
    }

    @Test("a listener's closure answers before the client's handshake is complete, and once")
    func answered() async throws {
        let asked = Log<[UInt8]>()
        let listener = try makeListener {
            $0.answerEarlyData = { data, remote in
                #expect(remote.address == "127.0.0.1")
                asked.append(data)
                return data.last == 10 ? Array("answer to ".utf8) + data : nil
            }
        }
        let key = try SessionKey([UInt8](repeating: 7, count: 32))
        let body = SocketBody.string("question\n").idempotent()
        let (client, server) = try await connectEarly(listener, key, body)
        #expect(server.takeEarlyData().isEmpty)
        #expect(try await readAll(from: server).isEmpty)
        try await server.close()
        #expect(try await readAll(from: client) == Array("answer to question\n".utf8))
        #expect(asked.all == [Array("question\n".utf8)])
    }

    @Test("a recorded flight that is sent twice is shown to the application once")
    func replayed() async throws {
        let asked = Log<[UInt8]>()
        let listener = try makeListener {
            $0.answerEarlyData = { data, _ in
                asked.append(data)
                return Array("paid".utf8)
            }
        }
        let anchors = try Credentials.shared().anchors
        let context = try TLSContext(role: .client, trust: TrustPolicy(anchors: anchors))
        for _ in 0..<20 where asked.count == 0 {
            let first = try makeClient(.tls13, to: listener.localAddress) {
                $0.minimumVersion = .tls12
            }
            var iterator = listener.makeAsyncIterator()
            let server = try #require(try await iterator.next()).socket
            try await server.write("hello")
            #expect(try await readExactly(5, from: first) == Array("hello".utf8))
            let session = try #require(first.info?.tls?.resumption)
            var engine = try TLSEngine(
                context,
                remoteName: "127.0.0.1",
                resuming: session,
                peer: SessionPeer("127.0.0.1", port: listener.localAddress.port)
            )
            #expect(engine.offerEarlyData(Array("pay".utf8)) == 3)
            var flight: [UInt8] = []
            flight = try [UInt8](capacity: 32768) { output throws(TLSError) in
                _ = try engine.handshake(consuming: Span(), producing: &output)
            }
            for _ in 0..<3 {
                let raw = try makeClient(.tcp, to: listener.localAddress)
                try await raw.write(flight)
                // The answer to the hello, and maybe more: whichever, nobody can finish this handshake.
                #expect(try await raw.read()?.isEmpty == false)
                try await raw.shutdownWrite()
                _ = try? await readAll(from: raw)
            }
        }
        #expect(asked.all == [Array("pay".utf8)])
    }

    @Test("a closure that does not end is let go of when the connection ends")
    func endless() async throws {
        let (began, ended) = (Log<Bool>(), Gate())
        let listener = try makeListener {
            $0.answerEarlyData = { _, _ in
                began.append(true)
                await withTaskCancellationHandler {
                    await Gate().wait()
                } onCancel: {
                    ended.open()
                }
                return nil
            }
        }
        let key = try SessionKey([UInt8](repeating: 7, count: 32))
        for _ in 0..<20 where began.count == 0 {
            let session = try await session(listener, key: key)
            let client = try makeClient(.tls13, to: listener.localAddress) {
                $0.sessionKey = key
                $0.session = session
                $0.body = SocketBody.string("question").idempotent()
            }
            await until {
                began.count > 0 || client.info?.report?.earlyData?.isAccepted == false
            }
            if client.info?.report?.earlyData?.isAccepted == false {
                // A connection like any other, and not to be met by the next round.
                var iterator = listener.makeAsyncIterator()
                _ = try await iterator.next()
            }
            client.abort()
        }
        await ended.wait()
    }

    @Test("a listener that asks for certificates, or decides, takes no early data")
    func refused() throws {
        let changes: [(inout SocketListenerInit) throws -> Void] = [
            { $0.clientAuthentication = .request },
            { $0.chooseHost = { _, _ in .configured } },
            { $0.ticketCount = 0 },
            {
                $0.hosts = [TLSVirtualHost("a.test", identities: [try Credentials.shared().server])]
            },
        ]
        for change in changes {
            let error = #expect(throws: SocketError.self) { try makeListener(change) }
            #expect(error?.code == .invalidTLSConfiguration)
            #expect(error?.hint == "Take early data on a listener of its own")
        }
    }
}

/// A listener of TLS 1.3.
private func makeModernListener(
    _ configure: (inout SocketListenerInit) throws -> Void
) throws -> SocketListener {
    try makeListener(.tls13, configure)
}
