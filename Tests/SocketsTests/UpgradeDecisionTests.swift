// What belongs to a TLS connection belongs to one that started it later: sessions, callbacks, virtual
// hosts, refusals and their reports.

import SocketCore
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

private struct WeakKeeper: Sendable {
    weak let keeper: StapleKeeper?
}

@Suite(.timeLimit(.minutes(1))) struct UpgradeDecisionTests {
    @Test(
        "sessions of one upgraded connection are resumed by the next",
        arguments: Wire.secure
    )
    func sessions(wire: Wire) async throws {
        let listener = try makeListener(.tcp)
        let prepared = try prepareTLS(wire)
        var members = try upgradeMembers(wire)
        for isResumed in [false, true] {
            let client = try makeClient(.tcp, to: listener.localAddress)
            var iterator = listener.makeAsyncIterator()
            let server = try #require(try await iterator.next()).socket
            // Without TLS there is none, and asking is no harm to what comes.
            for await _ in client.sessions { Issue.record("a session without TLS") }
            let shaking = Task { try await server.startTLS(prepared) }
            #expect(try await client.startTLS(members).resumed == isResumed)
            #expect(try await shaking.value.resumed == isResumed)
            try await server.write("x")
            #expect(try await client.read() == [120])
            var sessions = client.sessions.makeAsyncIterator()
            let session = try #require(await sessions.next())
            members.session = session.sealed
            try await client.close()
            try await server.close()
        }
    }

    @Test("sessions that come later reach who asked before the upgrade was done")
    func laterSessions() async throws {
        let pair = try await UpgradePair(.tls13, prepared: { $0.ticketCount = 3 })
        for await _ in pair.client.sessions { Issue.record("a session without TLS") }
        _ = try await pair.start()
        try await pair.server.write("x")
        #expect(try await pair.client.read() == [120])
        var count = 0
        for await _ in pair.client.sessions.prefix(1) { count += 1 }
        #expect(count == 1)
        pair.end()
    }

    @Test("the callbacks of both sides are asked", arguments: Wire.secure)
    func callbacks(wire: Wire) async throws {
        let asked = Log<String>()
        let credentials = try Credentials.shared()
        let pair = try await UpgradePair(
            wire,
            members: {
                $0.checkServerIdentity = { servername, identity in
                    try identity.check()
                    asked.append("server \(servername)")
                }
                $0.chooseIdentity = { _ in
                    asked.append("choice")
                    return credentials.client
                }
            },
            prepared: {
                $0.clientAuthentication = .require
                $0.trust = TrustPolicy(anchors: credentials.anchors)
                $0.chooseHost = { _, remote in
                    asked.append("host for \(remote.address)")
                    return .configured
                }
                $0.checkClientIdentity = { _, _ in asked.append("client") }
            }
        )
        let (_, server) = try await pair.start()
        #expect(
            Set(asked.all) == ["server 127.0.0.1", "choice", "host for 127.0.0.1", "client"]
        )
        #expect(server.report?.isPeerTrusted == true)
        try await pair.expectTalk()
        pair.end()
    }

    @Test("what is prepared fetches staples, and serves them, for as long as it lives")
    func staples() async throws {
        let ended = try await serveStaple()
        await until { ended.keeper == nil }
    }

    private func serveStaple() async throws -> WeakKeeper {
        let staple = try Credentials.shared().staple
        let prepared = try prepareTLS(.tls13) {
            $0.ocspSource = OCSPStapleSource { _ in staple }
        }
        await until { prepared.staples.first?.staple != nil }
        let pair = try await Pair(.tcp)
        var members = try upgradeMembers(.tls13)
        members.trust.revocation = .require
        let shaking = Task { [members] in try await pair.client.startTLS(members) }
        try await pair.server.startTLS(prepared)
        #expect(try await shaking.value.report?.revocationEvidence == .staple)
        return WeakKeeper(keeper: prepared.current.stapleKeeper)
    }

    @Test(
        "what a callback throws ends the upgrade and the connection",
        arguments: Wire.secure,
        [TLSRole.client, .server]
    )
    func refusal(wire: Wire, role: TLSRole) async throws {
        let pair = try await UpgradePair(
            wire,
            members: {
                guard role == .client else { return }
                $0.checkServerIdentity = { _, _ in throw OwnError(description: "not today") }
            },
            prepared: {
                guard role == .server else { return }
                $0.chooseHost = { _, _ in throw OwnError(description: "not today") }
            }
        )
        let serving = Task { await thrown { _ = try await pair.startServer() } }
        let client = await thrown { _ = try await pair.startClient() }
        let server = await serving.value
        let (own, peer) = role == .client ? (client, server) : (server, client)
        #expect(own?.code == .refusedByApplication)
        #expect(own?.tls?.detail == "not today")
        #expect(peer?.tls?.code == .alertReceived)
        let socket = role == .client ? pair.client : pair.server
        #expect(await socket.closed.error == own)
        #expect(socket.info?.tls == nil)
    }

    @Test("new members count from the next upgrade on, and events tell of it")
    func reload() async throws {
        let ca = try TestCA()
        let issued = try ca.issue("127.0.0.1")
        let other = try TLSIdentity(
            certificate: Array(issued.chainPEM.utf8),
            privateKey: Array(try issued.privateKeyPEM.utf8)
        )
        let prepared = try prepareTLS(.tls13)
        var events = prepared.events.makeAsyncIterator()
        var members = try upgradeMembers(.tls13)
        members.trust = TrustPolicy(anchors: try Certificate.read(Array(ca.certificatePEM.utf8)))
        let listener = try makeListener(.tcp)
        var isRight = false
        for round in 0..<2 {
            let client = try makeClient(.tcp, to: listener.localAddress)
            var iterator = listener.makeAsyncIterator()
            let server = try #require(try await iterator.next()).socket
            let shaking = Task { await thrown { try await server.startTLS(prepared) } }
            let error = await thrown { [members] in try await client.startTLS(members) }
            #expect((error == nil) == isRight)
            #expect((await shaking.value == nil) == isRight)
            switch await events.next() {
            case .handshakeFailed(let failure, _): #expect(!isRight && failure.report != nil)
            case .handshakeDone(let report, _): #expect(isRight && report.isComplete)
            case let event: Issue.record("\(event as Any)")
            }
            guard round == 0 else { break }
            var tls = try listenerOptions(.tls13).tls
            tls.identity = nil
            let empty = tls
            let refused = await thrown { try await prepared.reload(empty) }
            #expect(refused?.category == .misuse)
            guard case .reloadFailed = await events.next() else {
                Issue.record("no word of a reload that failed")
                return
            }
            tls.identity = other
            try await prepared.reload(tls)
            guard case .reloaded(let change) = await events.next() else {
                Issue.record("no word of a reload")
                return
            }
            #expect(change.after == [other.certificate])
            isRight = true
        }
    }

    @Test("virtual hosts answer by the servername", arguments: Wire.secure)
    func hosts(wire: Wire) async throws {
        let ca = try TestCA()
        let issued = try ca.issue("a.test")
        let identity = try TLSIdentity(
            certificate: Array(issued.chainPEM.utf8),
            privateKey: Array(try issued.privateKeyPEM.utf8)
        )
        let anchors = try Certificate.read(Array(ca.certificatePEM.utf8))
        let pair = try await UpgradePair(
            wire,
            members: {
                $0.servername = "a.test"
                $0.trust = TrustPolicy(anchors: anchors)
            },
            prepared: { $0.hosts = [TLSVirtualHost("a.test", identities: [identity])] }
        )
        let (client, _) = try await pair.start()
        #expect(client.peerCertificate == identity.certificate.der)
        pair.end()
    }

    @Test(
        "a certificate that is not trusted ends the connection, and the report tells",
        arguments: Wire.secure
    )
    func untrusted(wire: Wire) async throws {
        let stranger = try Certificate(der: TestCA(name: "Elsewhere").certificateDER)
        let pair = try await UpgradePair(
            wire,
            members: { $0.trust = TrustPolicy(anchors: [stranger]) }
        )
        let serving = Task { await thrown { _ = try await pair.startServer() } }
        let error = await thrown { _ = try await pair.startClient() }
        #expect(error?.code == .certificateRejected)
        #expect(error?.phase == .certificate)
        #expect(error?.report?.alertSent == .unknownCA)
        #expect(pair.client.report?.isComplete == false)
        #expect(await pair.client.closed == .failed(try #require(error)))
        #expect(pair.client.info?.tls == nil)
        #expect(pair.client.info?.remote == pair.pair.listener.localAddress)
        let server = await serving.value
        #expect(server?.code == .localCertificateRejected)
        #expect(server?.report?.alertReceived == .unknownCA)
        // What comes behind is told the same.
        #expect(await thrown { try await pair.client.write("x") } == error)
    }
}
