// TLS that starts on a connection that began without: what holds afterwards, when it may start, and
// what becomes of calls beside it.

import SocketCore
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

/// A socket of which TLS cannot be started now.
private struct Unready: Sendable, CustomTestStringConvertible {
    let testDescription: String
    /// Whether it speaks TLS already.
    var isTLS = false
    /// The code of the refusal.
    var code = SocketError.Code.cannotStartTLS
    /// Whether the connection goes on.
    var goesOn = true
    /// Brings the client's side of a pair into the state.
    let prepare: @Sendable (Pair) async throws -> Void

    static let all = [
        Unready(testDescription: "one that speaks TLS", isTLS: true) { _ in },
        Unready(testDescription: "one on which a read waits") { pair in
            Task { try await pair.client.read() }
            await until { pair.client.hasReader }
        },
        Unready(testDescription: "one that hands over its data as events") { pair in
            try pair.client.onData { _ in }
            await until { pair.client.hasReader }
        },
        Unready(testDescription: "one whose sending side has ended") { pair in
            try await pair.client.shutdownWrite()
        },
        Unready(testDescription: "one whose peer has ended its side") { pair in
            try await pair.server.shutdownWrite()
            #expect(try await pair.client.read() == nil)
        },
        Unready(testDescription: "one that was closed", code: .closed, goesOn: false) { pair in
            try await pair.client.close()
        },
        Unready(testDescription: "one that was aborted", code: .aborted, goesOn: false) { pair in
            pair.client.abort()
        },
    ]
}

@Suite(.timeLimit(.minutes(1))) struct UpgradeTests {
    @Test("behind the words in the clear, both sides speak TLS", arguments: Wire.secure)
    func dialogue(wire: Wire) async throws {
        let pair = try await UpgradePair(wire) { _ in
        } members: {
            $0.alpn = ["smtp", "other"]
        } prepared: {
            $0.alpn = ["smtp"]
        }
        #expect(pair.client.info?.tls == nil)
        #expect(pair.client.report == nil)
        let (client, server) = try await pair.start()
        for info in [client, server] {
            #expect(info.version == wire.version)
            #expect(info.alpn == "smtp")
            #expect(info.report?.isComplete == true)
            #expect(info.timings.handshake != nil)
        }
        #expect(client.verificationStatus == "ok")
        #expect(client.peerCertificate == server.certificate)
        #expect(client.timings.connect == pair.client.info?.timings.connect)
        // The facts stay, and `ready` gives the new ones.
        #expect(try await pair.client.ready.version == wire.version)
        #expect(pair.server.info?.tls?.cipher == client.cipher)
        try await pair.expectTalk()
        #expect(pair.client.stats.bytesSent == UInt64(ask.utf8.count + 40_000))
        #expect(pair.server.stats.bytesSent == UInt64(goAhead.utf8.count + 40_000))
        // The end is TLS's own: without close_notify it would be a cut.
        try await pair.client.shutdownWrite()
        #expect(try await pair.server.read() == nil)
        try await pair.server.close()
        #expect(try await pair.client.read() == nil)
        #expect(await pair.client.closed == .clean(nil))
    }

    @Test("the name to send and to verify is the remote's, unless one is given")
    func servername() async throws {
        for (servername, sent) in [(nil, "localhost"), ("", nil), ("elsewhere.test", nil)] {
            let pair = try await UpgradePair(.tls13) { options in
                options.remote = SocketAddress("localhost", port: options.remote.port)
                options.addressFamily = .ipv4
            } members: {
                $0.servername = servername
            }
            guard servername == "elsewhere.test" else {
                let (client, server) = try await pair.start()
                #expect(client.servername == sent)
                #expect(server.servername == sent)
                pair.end()
                continue
            }
            let serving = Task { await thrown { _ = try await pair.startServer() } }
            let error = await thrown { _ = try await pair.startClient() }
            #expect(error?.tls?.verification?.code == .hostnameMismatch)
            #expect(await serving.value?.tls?.alert == .badCertificate)
        }
    }

    @Test("a stream that was taken before goes on behind the handshake", arguments: Wire.secure)
    func stream(wire: Wire) async throws {
        let prepared = try prepareTLS(wire)
        let listener = try makeListener(.tcp)
        let serving = Task {
            try await listener.serve { socket in
                for try await bytes in try socket.stream() {
                    if bytes == Array(ask.utf8) {
                        try await socket.startTLS(prepared, sending: goAhead)
                    } else {
                        try await socket.write(bytes)
                    }
                }
            }
        }
        let client = try makeClient(.tcp, to: listener.localAddress)
        var stream = try client.stream().makeAsyncIterator()
        try await client.write("clear")
        #expect(try await stream.next() == Array("clear".utf8))
        try await client.write(ask)
        #expect(try await stream.next() == Array(goAhead.utf8))
        try await client.startTLS(try upgradeMembers(wire))
        try await client.write("secret")
        #expect(try await stream.next() == Array("secret".utf8))
        try await client.close()
        await listener.close()
        try await serving.value
    }

    @Test("a client that still connects is waited for; over a path the name is given")
    func path() async throws {
        let directory = try TemporaryDirectory()
        let address = SocketAddress("unix:\(directory.path)/it", port: 0)
        let listener = try SocketListener(listenerOptions(.tcp, at: address))
        let prepared = try prepareTLS(.tls13)
        let client = try makeClient(.tcp, to: address)
        let shaking = Task { [members = try upgradeMembers(.tls13)] in
            var members = members
            members.servername = "localhost"
            return try await client.startTLS(members)
        }
        var iterator = listener.makeAsyncIterator()
        let server = try #require(try await iterator.next()).socket
        // No words before: the ClientHello may be there, and is no intruder.
        try await server.startTLS(prepared)
        #expect(try await shaking.value.servername == "localhost")
        // Without a name there is nothing to verify, and nothing was changed.
        let nameless = try makeClient(.tcp, to: address)
        let members = try upgradeMembers(.tls13)
        let error = await thrown { try await nameless.startTLS(members) }
        #expect(error?.code == .invalidTLSConfiguration)
        _ = try await nameless.ready
    }

    @Test(
        "refused as misuse, a socket stays as it was",
        arguments: Unready.all
    )
    private func misuse(unready: Unready) async throws {
        let pair = try await Pair(unready.isTLS ? .tls13 : .tcp)
        try await unready.prepare(pair)
        let members = try upgradeMembers(.tls13)
        let before = pair.client.info
        for _ in 0..<2 {
            let error = await thrown { try await pair.client.startTLS(members) }
            #expect(error?.code == unready.code)
            #expect(error?.category == (unready.goesOn ? .misuse : .aborted))
        }
        #expect(pair.client.info?.alpn == before?.alpn)
        let isOver = pair.client.connection.state.withLock { $0.lifecycle.isOver }
        #expect(isOver != unready.goesOn)
        pair.client.abort()
        pair.server.abort()
    }

    @Test("the wrong side's form, a body, and an empty reply are misuse")
    func misusedForms() async throws {
        let pair = try await UpgradePair(.tls13)
        let members = pair.members
        let error = await thrown { try await pair.server.startTLS(members) }
        #expect(error?.code == .cannotStartTLS)
        #expect(error?.hint != nil)
        let other = await thrown { try await pair.client.startTLS(pair.prepared, sending: goAhead) }
        #expect(other?.code == .cannotStartTLS)
        let empty = await thrown { try await pair.server.startTLS(pair.prepared, sending: "") }
        #expect(empty?.code == .invalidOption)
        // Nothing came of it.
        _ = try await pair.start()
        try await pair.expectTalk()
        pair.end()

        let gate = Gate()
        let sending = try await Pair(.tcp) {
            $0.body = .deferred {
                await gate.wait()
                return "body"
            }
        }
        let refused = await thrown { try await sending.client.startTLS(members) }
        #expect(refused?.code == .cannotStartTLS)
        gate.open()
        #expect(try await readAll(from: sending.server) == Array("body".utf8))
    }

    @Test("a write that waits refuses the upgrade, and is finished in the clear")
    func waitingWrite() async throws {
        let pair = try await Pair.narrow(.tcp)
        let bytes = pattern(1 << 20)
        let writing = Task { try await pair.client.write(bytes) }
        await until { pair.client.hasWriter }
        let members = try upgradeMembers(.tls13)
        let error = await thrown { try await pair.client.startTLS(members) }
        #expect(error?.code == .cannotStartTLS)
        #expect(try await readExactly(bytes.count, from: pair.server) == bytes)
        try await writing.value
    }

    @Test(
        "calls that come while TLS is being started wait for it; a second start is refused",
        arguments: Wire.secure
    )
    func callsMeanwhile(wire: Wire) async throws {
        let pair = try await UpgradePair(wire)
        let shaking = Task { try await pair.startClient() }
        // The ClientHello is there: the client is in the middle.
        _ = try await readExactly(ask.utf8.count, from: pair.server)
        try await pair.server.write(goAhead)
        await until { pair.server.hasUnread }
        #expect(pair.client.info?.tls == nil)
        #expect(pair.client.info != nil)
        let reading = Task { try await readExactly(5, from: pair.client) }
        let writing = Task { try await pair.client.write("later") }
        let ending = Task { try await pair.client.shutdownWrite() }
        let error = await thrown { try await pair.client.startTLS(pair.members) }
        #expect(error?.code == .cannotStartTLS)
        try await pair.server.startTLS(pair.prepared)
        _ = try await shaking.value
        try await pair.server.write("hello")
        #expect(try await reading.value == Array("hello".utf8))
        // Whichever of the two came first.
        let written = await thrown { try await writing.value }
        #expect(written == nil || written?.code == .writeAfterEnd)
        try await ending.value
        let received = try await readAll(from: pair.server)
        #expect(received == (written == nil ? Array("later".utf8) : []))
    }

    @Test(
        "a client that waits for no reply: what was read of its hello is given back",
        arguments: Wire.secure,
        [1, 5, 100]
    )
    func withoutReply(wire: Wire, count: Int) async throws {
        let pair = try await UpgradePair(wire)
        let shaking = Task { try await pair.client.startTLS(pair.members) }
        let start = try await readExactly(count, from: pair.server)
        #expect(start[0] == 22)
        try await pair.server.startTLS(pair.prepared, beginningWith: start)
        _ = try await shaking.value
        try await pair.expectTalk()
        pair.end()
    }

    @Test("one port takes TLS and cleartext, by the first byte", arguments: Wire.allCases)
    func onePort(wire: Wire) async throws {
        let prepared = try prepareTLS(wire == .tcp ? .tls13 : wire)
        let listener = try makeListener(.tcp)
        let serving = Task {
            try await listener.serve { socket in
                let first = try await socket.read(upTo: 1) ?? []
                if first == [22] {
                    try await socket.startTLS(prepared, beginningWith: first)
                } else {
                    try await socket.write(first)
                }
                while let bytes = try await socket.read() { try await socket.write(bytes) }
            }
        }
        let client = try makeClient(wire, to: listener.localAddress)
        #expect(try await client.ready.version == wire.version)
        try await client.write("hello")
        #expect(try await readExactly(5, from: client) == Array("hello".utf8))
        try await client.close()
        await listener.close()
        try await serving.value
    }

    @Test(
        "a reply larger than the kernel's buffers goes out whole before TLS",
        arguments: Wire.secure
    )
    func largeReply(wire: Wire) async throws {
        let pair = try await UpgradePair(wire) {
            $0.receiveBufferSize = 20_000
        } server: {
            $0.sendBufferSize = 20_000
        }
        let reply = pattern(1 << 20)
        let serving = Task { try await pair.server.startTLS(pair.prepared, sending: reply) }
        #expect(try await readExactly(reply.count, from: pair.client) == reply)
        try await pair.client.startTLS(pair.members)
        _ = try await serving.value
        try await pair.expectTalk()
        pair.end()
    }

    @Test("the idle timeout rests during the handshake, and counts behind it")
    func idle() async throws {
        let pair = try await UpgradePair(.tls13)
        let shaking = Task { try await pair.client.startTLS(pair.members) }
        let connection = pair.client.connection
        await until { connection.state.withLock { $0.lifecycle.phase == .upgrading } }
        connection.setIdleTimeout(.milliseconds(50))
        await pass(.milliseconds(150))
        #expect(connection.state.withLock { $0.lifecycle.phase == .upgrading })
        // It may be gone before this side has read its last words.
        _ = await thrown { try await pair.server.startTLS(pair.prepared) }
        #expect(try await shaking.value.version == .tls13)
        #expect(await pair.client.closed.error?.code == .idleTimedOut)
    }

    @Test("a scope's socket that starts TLS is closed in good order by the scope")
    func scope() async throws {
        let prepared = try prepareTLS(.tls13)
        let listener = try makeListener(.tcp)
        let ends = Log<[UInt8]?>()
        let serving = Task {
            try await listener.serve { socket in
                _ = try await readExactly(ask.utf8.count, from: socket)
                try await socket.startTLS(prepared, sending: goAhead)
                try await socket.write("hello")
                ends.append(try await socket.read())
            }
        }
        try await withSocket(clientOptions(.tcp, to: listener.localAddress)) { socket in
            try await socket.write(ask)
            _ = try await readExactly(goAhead.utf8.count, from: socket)
            try await socket.startTLS(try upgradeMembers(.tls13))
            #expect(try await readExactly(5, from: socket) == Array("hello".utf8))
        }
        await until { ends.count == 1 }
        #expect(ends.all == [nil])
        await listener.close()
        try await serving.value
    }
}
