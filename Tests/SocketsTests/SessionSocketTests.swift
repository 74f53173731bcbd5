// Sessions on sockets: out of one connection, into the next, and as a sequence.

import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct SessionSocketTests {
    /// A listener whose connections get a byte, and with it their tickets.
    struct Server: Sendable {
        let listener: SocketListener
        let infos = Log<TLSSocketInfo>()

        init(_ wire: Wire, _ configure: (inout SocketListenerInit) throws -> Void = { _ in }) throws
        {
            listener = try makeListener(wire, configure)
            let infos = infos
            try listener.onSocket { event in
                if let info = event.socket.info?.tls { infos.append(info) }
                try? event.respondWith(SocketResponse(body: "!"))
            }
        }

        /// Connects, and reads to the end.
        func connect(
            _ wire: Wire,
            _ configure: (inout SocketInit) throws -> Void = { _ in }
        ) async throws -> Socket {
            let socket = try makeClient(wire, to: listener.localAddress, configure)
            #expect(try await readAll(from: socket) == Array("!".utf8))
            return socket
        }
    }

    @Test("what one connection gives resumes the next", arguments: Wire.secure)
    func resumption(_ wire: Wire) async throws {
        let server = try Server(wire)
        let first = try await server.connect(wire)
        let info = try #require(first.info?.tls)
        #expect(!info.resumed)
        let session = try #require(info.session)
        try await first.close()
        // Also when it is over.
        #expect(first.info?.session != nil && first.info?.ticket == info.ticket)
        let second = try await server.connect(wire) { options in
            options.session = session
            options.ticket = info.ticket
        }
        let resumed = try #require(second.info?.tls)
        #expect(resumed.resumed && resumed.report.withheldSession == nil)
        #expect(resumed.verificationStatus == "ok")
        #expect(resumed.peerCertificate == info.peerCertificate)
        #expect(resumed.report.verifiedChain == info.report.verifiedChain)
        #expect(server.infos.all.map(\.resumed) == [false, true])
        // A listener's side has none to give.
        #expect(server.infos.all.allSatisfy { $0.session == nil && $0.ticket == nil })
        // Of a single use in TLS 1.3: the third has a full handshake.
        let third = try await server.connect(wire) { $0.session = session }
        #expect(third.info?.resumed == (wire == .tls12))
        #expect(third.report?.withheldSession == (wire == .tls12 ? nil : .used))
    }

    @Test("a client's certificate counts again, with its chain and verdict", arguments: Wire.secure)
    func clientCertificate(_ wire: Wire) async throws {
        let credentials = try Credentials.shared()
        let server = try Server(wire) { options in
            options.clientAuthentication = .require
            options.trust = TrustPolicy(anchors: credentials.anchors)
            options.sessionIDContext = "mutual"
            options.sessionTimeout = .seconds(60)
        }
        let first = try await server.connect(wire) { $0.identity = credentials.client }
        let session = first.info?.session
        let second = try await server.connect(wire) { options in
            options.identity = credentials.client
            options.session = session
        }
        #expect(second.info?.resumed == true)
        let infos = server.infos.all
        #expect(infos.map(\.resumed) == [false, true])
        #expect(infos.map(\.verificationStatus) == ["ok", "ok"])
        #expect(infos[1].peerCertificate == credentials.client.certificate.der)
        #expect(infos[1].report.verifiedChain == infos[0].report.verifiedChain)
    }

    @Test(
        "the context of a listener is its name for sessions, and that of a host has the host's name"
    )
    func listenersContext() throws {
        var options = try listenerOptions(.tls13).tls
        #expect(try options.context().policy.sessionIDContext == "")
        options.sessionIDContext = "mail"
        options.sessionTimeout = .seconds(9)
        let context = try options.context()
        #expect(context.policy.sessionIDContext == "mail")
        #expect(context.policy.sessionTimeout == .seconds(9))
        let host = try options.hostContext(named: "a.test")
        let unnamed = try options.hostContext(named: nil)
        #expect(host.policy.sessionIDContext != context.policy.sessionIDContext)
        #expect(host.policy.sessionIDContext.hasPrefix("mail"))
        #expect(unnamed.policy.sessionIDContext == "mail")
    }

    @Test("a session goes to no other port, servername or policy", arguments: Wire.secure)
    func bound(_ wire: Wire) async throws {
        let (server, other) = (try Server(wire), try Server(wire))
        typealias Change = (inout SocketInit) throws -> Void
        let rows: [(Server, SessionObstacle, Change)] = [
            (other, .otherPeer, { _ in }),
            (server, .otherPeer, { $0.servername = "localhost" }),
            (server, .otherContext, { $0.sessionIDContext = "other" }),
            (server, .otherPolicy, { $0.ecdhCurve = "P-256" }),
            (server, .otherPolicy, { $0.identity = try Credentials.shared().client }),
            (server, .foreignKey, { $0.sessionKey = .random() }),
        ]
        for (target, obstacle, change) in rows {
            let session = try await server.connect(wire).info?.session
            let socket = try await target.connect(wire) { options in
                options.session = session
                try change(&options)
            }
            #expect(socket.info?.resumed == false)
            #expect(socket.report?.withheldSession == obstacle)
        }
    }

    @Test("a caller's key opens what it sealed, and nothing else does", arguments: Wire.secure)
    func keys(_ wire: Wire) async throws {
        let server = try Server(wire)
        let key = try SessionKey([UInt8](repeating: 9, count: 32))
        let session = try await server.connect(wire) { $0.sessionKey = key }.info?.session
        let again = try SessionKey([UInt8](repeating: 9, count: 32))
        let socket = try await server.connect(wire) { options in
            options.session = session
            options.sessionKey = again
        }
        #expect(socket.info?.resumed == true)
    }

    @Test("a ticket without its session, and what is no session, make no socket")
    func misuse() async throws {
        let server = try Server(.tls13)
        let info = try #require(try await server.connect(.tls13).info)
        let (session, ticket) = try (#require(info.session), #require(info.ticket))
        func error(_ change: (inout SocketInit) -> Void) -> SocketError? {
            do throws(SocketError) {
                var options = SocketInit(type: .tls, remote: server.listener.localAddress)
                change(&options)
                _ = try Socket(options)
                return nil
            } catch {
                return error
            }
        }
        #expect(error { $0.ticket = ticket } == SocketError(.invalidOption))
        let invalid = SocketError(.invalidTLSConfiguration, tls: TLSError(.invalidSession))
        #expect(error { $0.session = [] } == invalid)
        #expect(error { $0.session = ticket } == invalid)
        #expect(error { $0.session = session.dropLast() } == invalid)
        let mismatch = error { options in
            options.session = session
            options.ticket = [UInt8](ticket.reversed())
        }
        #expect(mismatch == invalid)
        #expect(throws: SocketError(.tlsOptionWithoutTLS)) {
            try Socket(SocketInit(remote: loopback) { $0.session = session })
        }
        let range = error { $0.sessionTimeout = .seconds(0) }
        #expect(range == SocketError(.invalidTLSConfiguration, tls: TLSError(.invalidPolicy)))
        #expect(throws: SocketError(.invalidTLSConfiguration, tls: TLSError(.invalidPolicy))) {
            try makeListener(.tls13) { $0.sessionTimeout = .seconds(700_000) }
        }
    }

    @Test("options and infos print no session and no key")
    func redaction() async throws {
        let info = try #require(try await Server(.tls13).connect(.tls13).info?.tls)
        let session = try #require(info.session)
        var options = SocketInit(type: .tls, remote: loopback)
        options.session = session
        options.ticket = info.ticket
        options.sessionKey = .random()
        for shown in [
            "\(options.tls)", String(reflecting: options.tls), "\(info)", String(reflecting: info),
            "\(options)",
        ] {
            #expect(!shown.contains("\(session[20]), \(session[21]), \(session[22])"))
        }
    }

    // MARK: As a sequence

    @Test("each ticket comes once, to whoever asked before it came", arguments: Wire.secure)
    func sequence(_ wire: Wire) async throws {
        let server = try Server(wire) { $0.ticketCount = 3 }
        let socket = try makeClient(wire, to: server.listener.localAddress)
        let early = Task { await socket.sessions.reduce(into: []) { $0.append($1) } }
        let other = Task { await socket.sessions.reduce(into: 0) { count, _ in count += 1 } }
        await until { socket.connection.subscriptionCount == 2 }
        #expect(try await readAll(from: socket) == Array("!".utf8))
        // Who asks late gets the present one first.
        var late = socket.sessions.makeAsyncIterator()
        let present = await late.next()
        #expect(present?.ticket == socket.info?.ticket)
        try await socket.close()
        #expect(await late.next() == nil)
        let sessions = await early.value
        #expect(sessions.count == (wire == .tls12 ? 1 : 3))
        #expect(await other.value == sessions.count)
        for session in sessions {
            let next = try await server.connect(wire) { $0.session = session.sealed }
            #expect(next.info?.resumed == true)
        }
    }

    @Test("a socket without sessions has a sequence that ends")
    func none() async throws {
        let pair = try await Pair(.tls13)
        for await _ in pair.server.sessions { Issue.record("a listener's socket has no sessions") }
        let plain = try await Pair(.tcp)
        for await _ in plain.client.sessions { Issue.record("there is no TLS") }
        for await _ in plain.server.sessions { Issue.record("there is no TLS") }
    }

    @Test("cancelling a task ends its wait for sessions, and nothing else", arguments: Wire.secure)
    func cancellation(_ wire: Wire) async throws {
        let pair = try await Pair(wire, server: { $0.ticketCount = 0 })
        let waiting = Task { await pair.client.sessions.reduce(into: 0) { count, _ in count += 1 } }
        await until { pair.client.connection.subscriptionCount == 1 }
        waiting.cancel()
        #expect(await waiting.value <= 1)
        try await pair.server.write("still here")
        #expect(try await readExactly(10, from: pair.client) == Array("still here".utf8))
    }

    @Test("a ticket that comes right before a cut is not lost", arguments: Wire.secure)
    func beforeCut(_ wire: Wire) async throws {
        let server = try RawServer()
        let client = try makeClient(wire, to: server.address) { $0.servername = "localhost" }
        var sessions = client.sessions.makeAsyncIterator()
        let serving = Task {
            var peer = try EnginePeer(.server, wire, over: try await server.accept())
            try await peer.handshake(andSend: [1, 2, 3])
            // FIN without close_notify.
            try await peer.socket.close()
        }
        let error = await thrown { _ = try await readAll(from: client) }
        #expect(error?.code == .truncated)
        try await serving.value
        let session = await sessions.next()
        #expect(session?.version == wire.version)
        #expect(await sessions.next() == nil)
        // OpenSSL takes back what it gives itself.
        #expect(client.info?.session == nil)
    }

    @Test("a ticket that comes when the client has closed goes nowhere")
    func late() async throws {
        // A raw peer, so that the ticket comes when the test says.
        let server = try RawServer()
        let client = try makeClient(.tls13, to: server.address) { $0.servername = "localhost" }
        var sessions = client.sessions.makeAsyncIterator()
        var peer = try EnginePeer(.server, .tls13, over: try await server.accept())
        // Its last flight is the ticket: nobody reads it.
        try await peer.handshake()
        _ = try await client.ready
        #expect(client.info?.session == nil)
        try await client.close()
        #expect(await sessions.next() == nil)
        #expect(client.info?.session == nil)
        #expect(await client.closed == .clean(nil))
    }

    @Test("a flood of tickets ends the connection, and the latest are there until then")
    func flood() async throws {
        let pair = try await Pair(
            .tls13,
            client: { $0.tls.limits.postHandshakeMessages = 4 },
            server: { $0.ticketCount = 16 }
        )
        let waiting = Task { await pair.client.sessions.reduce(into: 0) { count, _ in count += 1 } }
        await until { pair.client.connection.subscriptionCount == 1 }
        try await pair.server.write("!")
        let error = await thrown { _ = try await readAll(from: pair.client) }
        #expect(error?.tls?.code == .tooManyPostHandshakeMessages)
        #expect(await waiting.value <= 16)
        #expect(pair.client.info?.session == nil)
    }
}

extension Connection {
    /// Who waits for sessions.
    var subscriptionCount: Int { state.withLock { $0.sessionFeed }?.subscriptionCount ?? 0 }
}
