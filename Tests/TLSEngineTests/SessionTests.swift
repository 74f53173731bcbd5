// Resuming sessions in memory: what a resumed connection knows, and what keeps a session from being
// offered.

import TLSTestKit
import Testing

@testable import TLSEngine

@Suite(.timeLimit(.minutes(1))) struct SessionTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// A session of a pair, by which others can be resumed at the same server.
    func session(
        _ client: TLSContext,
        _ server: TLSContext,
        name: String = "localhost",
        peer: SessionPeer? = nil,
        resuming: TLSSession? = nil
    ) throws -> TLSSession {
        let pair = try EnginePair(
            client: client,
            server: server,
            remoteName: name,
            resuming: resuming,
            peer: peer
        )
        try pair.handshake()
        // The client reads its tickets.
        try pair.send([1], from: .server)
        return try #require(pair.session(of: .client))
    }

    /// Offers a session, and gives the client's report of a connection that works.
    func resume(
        _ session: TLSSession,
        _ client: TLSContext,
        _ server: TLSContext,
        name: String = "localhost",
        servername: String? = nil,
        peer: SessionPeer? = nil
    ) throws -> HandshakeReport {
        let pair = try EnginePair(
            client: client,
            server: server,
            remoteName: name,
            servername: servername,
            resuming: session,
            peer: peer
        )
        try pair.handshake()
        try pair.expectDataFlows()
        #expect(pair.facts(.server).report.isResumed == pair.facts(.client).report.isResumed)
        return pair.facts(.client).report
    }

    @Test(
        "a resumed connection knows what the first one did",
        arguments: versions,
        [1, Int.max]
    )
    func resumption(_ version: ProtocolVersion, _ chunk: Int) throws {
        let intermediate = try fixtures.ca.intermediate()
        let issued = try intermediate.issue("localhost")
        let client = try fixtures.client { $0.allowOnly(version) }
        let server = try fixtures.server(identities: [TLSIdentity(issued)])
        let first = try EnginePair(client: client, server: server)
        #expect(first.session(of: .client) == nil)
        try first.handshake()
        // In TLS 1.3 the ticket comes with what the server sends.
        try first.send([1], from: .server)
        let full = first.facts(.client).report
        let session = try #require(first.session(of: .client))
        #expect(first.session(of: .server) == nil)
        #expect(session.version == version)
        #expect(session.isSingleUse == (version == .tls13))
        #expect(session.ticket?.count == full.tickets.last?.size)
        #expect(session.authentication == .certificate)

        let second = try EnginePair(client: client, server: server, resuming: session)
        try second.handshake(chunk: chunk)
        try second.expectDataFlows()
        let report = second.facts(.client).report
        #expect(report.isResumed && report.withheldSession == nil)
        #expect(second.facts(.server).report.isResumed)
        #expect(report.peerChain == full.peerChain && report.peerChain.count == 2)
        #expect(report.verifiedChain == full.verifiedChain && report.verifiedChain.count == 3)
        #expect(report.isPeerTrusted && report.verification == nil)
        #expect(report.cipherSuite == full.cipherSuite)
        // In TLS 1.2 no keys are exchanged, and servers send none for ML-KEM, the default of OpenSSL 3.5.
        let isSent = version == .tls13 && report.group != .x25519MLKEM768
        #expect((report.ephemeralKey != nil) == isSent)
        let server13 = second.facts(.server).report
        #expect((server13.ephemeralKey != nil) == (version == .tls13))
        #expect(report.peerSignatureAlgorithm == nil)
        // And again, from the resumed one.
        let next = try #require(second.session(of: .client))
        #expect(try resume(next, client, server).peerChain == full.peerChain)
    }

    @Test(
        "a session outlives its connection, whether that said goodbye or not",
        arguments: versions
    )
    func freedWithoutGoodbye(_ version: ProtocolVersion) throws {
        let client = try fixtures.client { $0.allowOnly(version) }
        let server = try fixtures.server()
        // The pair is freed without a close_notify, by which OpenSSL marks its session.
        let session = try session(client, server)
        #expect(try resume(session, client, server).isResumed)
    }

    @Test("a server that knows the session no more has a full handshake", arguments: versions)
    func refused(_ version: ProtocolVersion) throws {
        let client = try fixtures.client { $0.allowOnly(version) }
        let session = try session(client, fixtures.server())
        // Another server, with ticket keys of its own.
        let report = try resume(session, client, fixtures.server())
        #expect(!report.isResumed && report.withheldSession == nil)
        #expect(report.isPeerTrusted && report.verifiedChain.count == 2)
    }

    @Test("a session of TLS 1.3 is offered once, one of TLS 1.2 as often as it is good for")
    func singleUse() throws {
        for version in versions {
            let client = try fixtures.client { $0.allowOnly(version) }
            let server = try fixtures.server()
            let session = try session(client, server)
            // Of two that are made before either begins, one has it.
            let pairs = try (0..<2).map { _ in
                try EnginePair(client: client, server: server, resuming: session)
            }
            for pair in pairs { try pair.handshake() }
            let reports = pairs.map { $0.facts(.client).report }
            let isSingle = version == .tls13
            #expect(reports.map(\.isResumed) == [true, !isSingle])
            #expect(reports[1].withheldSession == (isSingle ? .used : nil))
            // Also when it was exported before.
            let copy = try TLSSession(session.sealed)
            #expect(try resume(copy, client, server).isResumed == !isSingle)
        }
    }

    @Test("an engine that was made and never used spends nothing")
    func unusedEngine() throws {
        let (client, server) = try (fixtures.client(), fixtures.server())
        let session = try session(client, server)
        _ = try TLSEngine(client, remoteName: "localhost", resuming: session)
        #expect(try resume(session, client, server).isResumed)
    }

    // MARK: What stands against an offer

    func peer(_ name: String, _ number: UInt16) -> SessionPeer {
        SessionPeer(name, port: number)
    }

    @Test(
        "a session is bound to the peer's name and port, and to the servername",
        arguments: versions
    )
    func peers(_ version: ProtocolVersion) throws {
        let client = try fixtures.client { $0.allowOnly(version) }
        let issued = try fixtures.ca.issue("localhost", "a.test")
        let server = try fixtures.server(identities: [TLSIdentity(issued)])
        let home = peer("LocalHost", 443)
        let rows: [(name: String, servername: String?, peer: SessionPeer?, isOffered: Bool)] = [
            ("localhost", nil, peer("localhost", 443), true),
            ("localhost", nil, peer("localhost", 444), false),
            ("localhost", nil, peer("a.test", 443), false),
            ("a.test", nil, peer("localhost", 443), false),
            ("localhost", "a.test", peer("localhost", 443), false),
            ("localhost", nil, nil, false),
        ]
        for row in rows {
            let session = try session(client, server, peer: home)
            let report = try resume(
                session,
                client,
                server,
                name: row.name,
                servername: row.servername,
                peer: row.peer
            )
            #expect(report.isResumed == row.isOffered)
            #expect(report.withheldSession == (row.isOffered ? nil : .otherPeer))
        }
    }

    @Test("a session is bound to everything that the policy says about trust")
    func policies() throws {
        let server = try fixtures.server()
        let client = try fixtures.client()
        typealias Change = (inout TLSPolicy, inout TrustPolicy) throws -> Void
        let rows: [(SessionObstacle?, Change)] = [
            (nil, { _, _ in }),
            (nil, { policy, _ in policy.alpn = ["h2"] }),
            (nil, { policy, _ in policy.limits.certificateChainDepth = 3 }),
            (.otherPolicy, { policy, _ in policy.maximumVersion = .tls12 }),
            (.otherPolicy, { policy, _ in policy.cipherAlgorithms = ["TLS_AES_128_GCM_SHA256"] }),
            (.otherPolicy, { policy, _ in policy.groups = ["P-256"] }),
            (
                .otherPolicy,
                { policy, _ in policy.signatureAlgorithms = ["ecdsa_secp256r1_sha256"] }
            ),
            (.otherPolicy, { policy, _ in policy.minDHSize = 3072 }),
            (.otherPolicy, { policy, _ in policy.requestsOCSPStaple = true }),
            (.otherPolicy, { policy, _ in policy.requestsCertificateTimestamps = true }),
            (.otherContext, { policy, _ in policy.sessionIDContext = "other" }),
            (
                .otherPolicy,
                { [fixtures] _, trust in
                    let stranger = try Certificate(der: fixtures.strangers.rootDER)
                    trust.anchors = .certificates([fixtures.root, stranger])
                }
            ),
            (.otherPolicy, { _, trust in trust.name = .name("localhost") }),
            (.otherPolicy, { _, trust in trust.name = .unchecked(because: "a test") }),
            (.otherPolicy, { _, trust in trust.strictness = .lenient(because: "a test") }),
            (
                .otherPolicy,
                { [fixtures] _, trust in
                    let pin = CertificatePin.certificate(fixtures.root.fingerprint())
                    trust.pins = CertificatePins([pin], mode: .add)
                }
            ),
            (
                .otherPolicy,
                { [fixtures] _, trust in
                    let record = TLSARecord(usage: .pkixTA, of: fixtures.root)
                    trust.tlsaRecords = TLSARecords([record])
                }
            ), (.otherPolicy, { _, trust in trust = .acceptAnything(because: "a test") }),
        ]
        for (obstacle, change) in rows {
            let session = try session(client, server)
            var policy = TLSPolicy()
            var trust = TrustPolicy(anchors: [fixtures.root])
            try change(&policy, &trust)
            let other = try TLSContext(role: .client, policy: policy, trust: trust)
            let report = try resume(session, other, server)
            #expect(report.withheldSession == obstacle)
            #expect(report.isResumed == (obstacle == nil))
        }
    }

    @Test(
        "every member of the trust policy is in the digest that binds sessions, or looked at by itself"
    )
    func scopeIsWhole() {
        // Who adds a member writes it in `TrustPolicy.write(to:)`, and then here.
        let members = Mirror(reflecting: TrustPolicy()).children.compactMap(\.label)
        #expect(
            Set(members)
                == [
                    "revocation", "anchors", "name", "verificationTime", "strictness", "pins",
                    "acceptsAnything", "tlsaRecords",
                ]
        )
    }

    @Test("a session of one identity is not offered by another", arguments: versions)
    func identities(_ version: ProtocolVersion) throws {
        let server = try fixtures.server { $0.clientAuthentication = .require }
        let bob = try TLSIdentity(fixtures.ca.issueClient("bob"))
        func client(_ identity: TLSIdentity) throws -> TLSContext {
            try fixtures.client(identities: [identity]) { $0.allowOnly(version) }
        }
        let session = try session(client(fixtures.clientIdentity), server)
        let report = try resume(session, client(bob), server)
        #expect(report.withheldSession == .otherPolicy)
        #expect(report.localCertificate == bob.certificate)
    }

    @Test("a session is over with the certificates behind it", arguments: versions)
    func certificateDates(_ version: ProtocolVersion) throws {
        let wide = Validity.absolute(unixSeconds: 1_000_000_000...3_000_000_000)
        let ca = try TestCA(validity: wide)
        let issued = try ca.issue(
            "localhost",
            validity: .absolute(unixSeconds: 2_000_000_000...2_000_086_400)
        )
        let server = try fixtures.server(identities: [TLSIdentity(issued)])
        func client(at time: Int64) throws -> TLSContext {
            var trust = TrustPolicy(anchors: [try Certificate(der: ca.rootDER)])
            trust.verificationTime = UnixTime(seconds: time)
            return try fixtures.client(trust: trust) { $0.allowOnly(version) }
        }
        let early = try client(at: 2_000_000_000)
        #expect(try resume(session(early, server), client(at: 2_000_086_400), server).isResumed)
        let pair = try EnginePair(
            client: client(at: 2_000_086_401),
            server: server,
            resuming: session(early, server)
        )
        pair.settle()
        // The full handshake gives the verdict.
        #expect(pair.errors[.client]?.verification?.code == .expired)
        #expect(pair.facts(.client).report.withheldSession == .expired)
    }

    @Test("a session is over with the server's lifetime, and with this side's timeout")
    func lifetimes() throws {
        for version in versions {
            let server = try fixtures.server { $0.sessionTimeout = .seconds(100) }
            func client(_ timeout: Duration?) throws -> TLSContext {
                try fixtures.client {
                    $0.allowOnly(version)
                    $0.sessionTimeout = timeout
                }
            }
            let now = UnixTime.now.seconds
            let plain = try session(client(nil), server)
            let end = try #require(plain.expires).seconds
            #expect((now + 100...now + 160).contains(end))
            let strict = try session(client(.seconds(10)), server)
            #expect((now + 10...now + 70).contains(try #require(strict.expires).seconds))
            let long = try session(client(.seconds(1000)), server)
            #expect(try #require(long.expires).seconds <= now + 160)
            // As it will be when that time has come.
            let facts = try #require(plain.storage.facts)
            for (change, obstacle) in [(0, nil), (-200, .expired)] as [(Int64, SessionObstacle?)] {
                let session = try session(client(nil), server)
                var aged = facts
                aged.expires.seconds += change
                let old = TLSSession(session.storage.with(aged))
                #expect(try resume(old, client(nil), server).withheldSession == obstacle)
            }
            // A timeout that was shortened since counts from when the peer showed its certificate.
            let older = try session(client(nil), server)
            var kept = try #require(older.storage.kept)
            kept.authenticatedAt.seconds -= 50
            let aged = TLSSession(older.storage.with(facts, kept))
            #expect(try resume(aged, client(.seconds(40)), server).withheldSession == .expired)
        }
    }

    @Test("a staple that is over ends the session it came with")
    func staples() throws {
        let (client, server) = try (fixtures.client(), fixtures.server())
        for (offset, obstacle) in [(60, nil), (-60, .expired)] as [(Int64, SessionObstacle?)] {
            let session = try session(client, server)
            var facts = try #require(session.storage.facts)
            facts.stapleExpires = UnixTime(seconds: UnixTime.now.seconds + offset)
            let old = TLSSession(session.storage.with(facts))
            #expect(try resume(old, client, server).withheldSession == obstacle)
        }
    }

    @Test("a session is over with the revocation lists that cleared its chain", arguments: versions)
    func lists(_ version: ProtocolVersion) throws {
        let start = Int64(2_000_000_000)
        let wide = Validity.absolute(unixSeconds: 1_000_000_000...3_000_000_000)
        let ca = try TestCA(validity: wide, now: { start })
        let issued = try ca.issue("localhost", validity: wide)
        let list = try CertificateRevocationList(der: ca.revocationList().der)
        let end = try #require(list.nextUpdate)
        let server = try fixtures.server(identities: [TLSIdentity(issued)])
        func client(at time: Int64) throws -> TLSContext {
            var trust = TrustPolicy(anchors: [try Certificate(der: ca.rootDER)])
            trust.verificationTime = UnixTime(seconds: time)
            trust.revocation = RevocationPolicy(.require, lists: [list])
            return try fixtures.client(trust: trust) { $0.allowOnly(version) }
        }
        let early = try client(at: start)
        #expect(try resume(session(early, server), client(at: end.seconds - 1), server).isResumed)
        let late = try client(at: end.seconds + 1)
        let pair = try EnginePair(client: late, server: server, resuming: session(early, server))
        pair.settle()
        #expect(pair.facts(.client).report.withheldSession == .expired)
        #expect(pair.errors[.client]?.code == .certificateRejected)
    }

    @Test("a session whose peer had a preshared key is not offered to one with a certificate")
    func authentication() throws {
        let (client, server) = try (fixtures.client(), fixtures.server())
        let session = try session(client, server)
        var facts = try #require(session.storage.facts)
        facts.authentication = .presharedKey
        let other = TLSSession(session.storage.with(facts))
        #expect(other.authentication == .presharedKey)
        #expect(try resume(other, client, server).withheldSession == .otherAuthentication)
    }

    @Test("pins are looked at on the chain that was kept", arguments: versions)
    func pins(_ version: ProtocolVersion) throws {
        let server = try fixtures.server()
        for mode in CertificatePins.Mode.allCases {
            let leaf = try fixtures.serverIdentity().certificate
            let pin = CertificatePin.publicKey(
                (mode == .add ? fixtures.root : leaf).keyFingerprint()
            )
            var trust = TrustPolicy(anchors: [fixtures.root])
            trust.pins = CertificatePins([pin], mode: mode)
            let client = try fixtures.client(trust: trust) { $0.allowOnly(version) }
            let report = try resume(session(client, server), client, server)
            #expect(report.isResumed)
            #expect(report.pins == PinVerdict(mode: mode, match: pin, depth: mode == .add ? 1 : 0))
        }
        // One that lies about its chain, as if its maker had known no pins.
        var trust = TrustPolicy(anchors: [fixtures.root])
        let pin = CertificatePin.certificate(fixtures.root.fingerprint())
        trust.pins = CertificatePins([pin], mode: .replace)
        let pinned = try fixtures.client(trust: trust)
        let kept = KeptChain(
            authenticatedAt: .now,
            sent: [try fixtures.serverIdentity().certificate],
            verified: []
        )
        #expect(kept.obstacle(pinned.trust, name: nil) == .untrusted)
        #expect(kept.obstacle(TrustPolicy(), name: try ServerName("b.test")) == .otherName)
    }

    @Test("a policy that accepts anything keeps its verdict", arguments: versions)
    func verdict(_ version: ProtocolVersion) throws {
        let server = try fixtures.server()
        let client = try fixtures.client(trust: .acceptAnything(because: "a test")) {
            $0.allowOnly(version)
        }
        let made = try session(client, server, name: "wrong.test")
        let session = try TLSSession(made.sealed)
        let report = try resume(session, client, server, name: "wrong.test")
        #expect(report.isResumed && !report.isPeerTrusted)
        #expect(report.verification?.code != nil && report.verifiedChain == [])
        // And nobody else takes it for trusted.
        let careful = try fixtures.client { $0.allowOnly(version) }
        let again = try self.session(client, server)
        #expect(try resume(again, careful, server).withheldSession == .otherPolicy)
    }

    // MARK: Tickets as they come

    @Test("sessions are kept as they come, from when they are asked for")
    func tickets() throws {
        let client = try fixtures.client()
        let server = try fixtures.server { $0.ticketCount = 4 }
        let pair = try EnginePair(client: client, server: server)
        pair.client.engine.keepSessions()
        pair.server.engine.keepSessions()
        try pair.handshake()
        try pair.send([1], from: .server)
        let sessions = pair.takeSessions(of: .client)
        #expect(sessions.count == 4)
        #expect(Set(sessions.map(\.ticket)).count == 4)
        #expect(pair.takeSessions(of: .client).isEmpty)
        #expect(pair.takeSessions(of: .server).isEmpty)
        for session in sessions { #expect(try resume(session, client, server).isResumed) }
        // In TLS 1.2 there is one, with the handshake.
        let older = try EnginePair(client: fixtures.client { $0.allowOnly(.tls12) }, server: server)
        older.client.engine.keepSessions()
        try older.handshake()
        #expect(older.takeSessions(of: .client).count == 1)
    }

    @Test(
        "a session with tickets in every piece of a handshake that is cut is none",
        arguments: versions
    )
    func cut(_ version: ProtocolVersion) throws {
        let client = try fixtures.client { $0.allowOnly(version) }
        let server = try fixtures.server()
        let pair = try EnginePair(client: client, server: server) { sender, chunk in
            sender == .server ? Array(chunk.dropLast(1)) : chunk
        }
        pair.client.engine.keepSessions()
        pair.settle()
        pair.endWire(towards: .client)
        #expect(pair.errors[.client] != nil)
        #expect(pair.session(of: .client) == nil)
        #expect(pair.takeSessions(of: .client).isEmpty)
    }

    @Test("a connection that failed has no session any more")
    func failed() throws {
        let pair = try fixtures.pair(.tls12)
        try pair.handshake()
        #expect(pair.session(of: .client) != nil)
        pair.inject([23, 3, 3, 0, 40] + pattern(40), towards: .client)
        #expect(pair.errors[.client]?.code == .badRecord)
        #expect(pair.session(of: .client) == nil)
    }
}

extension EnginePair {
    func session(of role: TLSRole) -> TLSSession? {
        role == .client ? client.engine.session : server.engine.session
    }

    func takeSessions(of role: TLSRole) -> [TLSSession] {
        role == .client ? client.engine.takeSessions() : server.engine.takeSessions()
    }
}

extension SessionStorage {
    /// The same session with other facts.
    func with(_ facts: SessionFacts, _ kept: KeptChain? = nil) -> SessionStorage {
        SessionStorage(self, facts, kept ?? self.kept)
    }
}
