// Exports of sessions: what is read again, what is refused, and that they tell nothing.

import Synchronization
import TLSTestKit
import Testing

@testable import TLSEngine

@Suite(.timeLimit(.minutes(1))) struct SealedSessionTests {
    let fixtures: Fixtures
    let client: TLSContext
    let server: TLSContext

    init() throws {
        fixtures = try Fixtures.shared()
        client = try fixtures.client()
        server = try fixtures.server()
    }

    func session(_ version: ProtocolVersion = .tls13) throws -> TLSSession {
        let older = try fixtures.client { $0.allowOnly(.tls12) }
        let pair = try EnginePair(client: version == .tls12 ? older : client, server: server)
        try pair.handshake()
        try pair.send([1], from: .server)
        return try #require(pair.session(of: .client))
    }

    func resume(_ session: TLSSession, _ client: TLSContext? = nil) throws -> HandshakeReport {
        let pair = try EnginePair(
            client: client ?? self.client,
            server: server,
            resuming: session
        )
        try pair.handshake()
        try pair.expectDataFlows()
        return pair.facts(.client).report
    }

    func der(_ session: TLSSession) throws -> [UInt8] {
        let handle = try #require(session.storage.handle)
        var der = [UInt8](repeating: 0, count: handle.derCount)
        unsafe der.withUnsafeMutableBufferPointer { buffer in
            if let start = buffer.baseAddress { unsafe handle.writeDER(to: start) }
        }
        return der
    }

    @Test("an export is the session again, with everything it carries", arguments: versions)
    func roundTrip(_ version: ProtocolVersion) throws {
        let made = try session(version)
        let key = SessionKey.random()
        let export = made.sealed(with: key)
        let read = try TLSSession(export, ticket: made.ticket, key: key)
        #expect(read.storage.facts == made.storage.facts)
        #expect(read.storage.kept?.sent == made.storage.kept?.sent)
        #expect(read.storage.kept?.verified == made.storage.kept?.verified)
        #expect(read.ticket == made.ticket && read.version == version)
        #expect(read.expires == made.expires && read.authentication == .certificate)
        // Sealed anew with the same key, and with another nonce.
        #expect(read.sealed != export && read.sealed.count == export.count)
        #expect(try TLSSession(read.sealed, key: key).ticket == made.ticket)
        let older = try fixtures.client { $0.allowOnly(.tls12) }
        let report = try resume(read, version == .tls12 ? older : client)
        #expect(report.isResumed && report.verifiedChain.count == 2)
    }

    @Test("an export with any bit changed is an error, or of another key where the header says so")
    func changed() throws {
        let export = try session().sealed
        for place in export.indices {
            var bad = export
            bad[place] ^= 1
            // The header: four letters, a version, the name of the key.
            switch place {
            case 4..<13:
                let session = try TLSSession(bad)
                #expect(session.ticket == nil && session.version == nil && session.expires == nil)
                #expect(session.sealed == bad)
            default:
                #expect(throws: TLSError(.invalidSession)) { try TLSSession(bad) }
            }
        }
    }

    @Test("an export that was cut anywhere is an error")
    func cut() throws {
        let export = try session().sealed
        for count in export.indices where count != 0 {
            #expect(throws: TLSError(.invalidSession)) {
                try TLSSession(Array(export.prefix(count)))
            }
        }
        #expect(throws: TLSError(.invalidSession)) { try TLSSession([]) }
        #expect(throws: TLSError(.invalidSession)) { try TLSSession(export + [0]) }
    }

    @Test("an export of another key is not offered, and the handshake is a full one")
    func foreignKey() throws {
        let made = try session()
        let foreign = try TLSSession(made.sealed(with: .random()), ticket: [1, 2, 3])
        let report = try resume(foreign)
        #expect(!report.isResumed && report.withheldSession == .foreignKey)
        #expect(foreign.authentication == nil && !foreign.isSingleUse)
    }

    @Test("another ticket than the session's is an error")
    func otherTicket() throws {
        let (one, other) = try (session(), session())
        #expect(throws: TLSError(.invalidSession)) {
            try TLSSession(one.sealed, ticket: other.ticket)
        }
        #expect(throws: TLSError(.invalidSession)) { try TLSSession(one.sealed, ticket: []) }
    }

    @Test("what is no session is an error; so is too much of it")
    func garbage() throws {
        let rows: [[UInt8]] = [
            [0x30], [0x30, 0], [0x30, 3, 2, 1, 1], Array("SWSS".utf8), Array("session".utf8),
            Array("SWSS".utf8) + pattern(100), fixtures.root.der, pattern(300 << 10),
            Array("SWSS".utf8) + [1] + SessionKey.process.identifier + pattern(28),
        ]
        for (place, bytes) in rows.enumerated() {
            if place == 5 {
                #expect(try TLSSession(bytes).version == nil)
                continue
            }
            let error = #expect(throws: TLSError(.invalidSession)) { try TLSSession(bytes) }
            #expect(error?.category == .local && error?.detail != nil)
        }
        // Of what is too long nothing is looked at.
        for (count, isTooMuch) in [(256 << 10, false), (256 << 10 + 1, true)] {
            let error = #expect(throws: TLSError(.invalidSession)) {
                try TLSSession(pattern(count))
            }
            #expect(error?.detail?.contains("more than") == isTooMuch)
        }
    }

    @Test("OpenSSL's own form is taken, with the leaf alone", arguments: versions)
    func openSSLForm(_ version: ProtocolVersion) throws {
        let made = try session(version)
        let bytes = try der(made)
        let read = try TLSSession(bytes, ticket: made.ticket)
        #expect(read.version == version && read.authentication == .certificate)
        #expect(read.sealed == bytes)
        let older = try fixtures.client { $0.allowOnly(.tls12) }
        let report = try resume(read, version == .tls12 ? older : client)
        #expect(report.isResumed && report.isPeerTrusted)
        #expect(report.peerChain == [try fixtures.serverIdentity().certificate])
        #expect(report.verifiedChain == [])
        for cut in [1, bytes.count / 2, bytes.count - 1] {
            #expect(throws: TLSError(.invalidSession)) { try TLSSession(Array(bytes.prefix(cut))) }
        }
        #expect(throws: TLSError(.invalidSession)) { try TLSSession(bytes + [0]) }
    }

    @Test("of OpenSSL's form is checked what can be: name, dates, versions, suites, context, pins")
    func openSSLFormChecks() throws {
        typealias Change = (inout TLSPolicy, inout TrustPolicy) throws -> Void
        let rows: [(ProtocolVersion, SessionObstacle?, Change)] = [
            (.tls12, nil, { _, _ in }),
            (.tls12, .otherName, { _, trust in trust.name = .name("b.test") }),
            (.tls12, .expired, { _, trust in trust.verificationTime = UnixTime(seconds: 0) }),
            (.tls12, .otherPolicy, { policy, _ in policy.minimumVersion = .tls13 }),
            (.tls13, .otherPolicy, { policy, _ in policy.maximumVersion = .tls12 }),
            (.tls12, .otherContext, { policy, _ in policy.sessionIDContext = "mail" }),
            (
                .tls12, .otherPolicy,
                { policy, _ in policy.cipherAlgorithms = ["ECDHE-ECDSA-AES128-SHA256"] }
            ),
            (
                .tls12, .untrusted,
                { [fixtures] _, trust in
                    let pin = CertificatePin.certificate(fixtures.root.fingerprint())
                    trust.pins = CertificatePins([pin], mode: .replace)
                }
            ),
        ]
        for (version, obstacle, change) in rows {
            let read = try TLSSession(der(session(version)))
            var policy = TLSPolicy()
            if obstacle == nil { policy.allowOnly(version) }
            var trust = TrustPolicy(anchors: [fixtures.root])
            try change(&policy, &trust)
            let other = try TLSContext(role: .client, policy: policy, trust: trust)
            let pair = try EnginePair(client: other, server: server, resuming: read)
            pair.settle()
            #expect(pair.facts(.client).report.withheldSession == obstacle)
            #expect(pair.facts(.client).report.isResumed == (obstacle == nil))
        }
    }

    @Test("OpenSSL's form with any byte changed is an error, or harmless", arguments: versions)
    func changedOpenSSLForm(_ version: ProtocolVersion) throws {
        let older = try fixtures.client { $0.allowOnly(.tls12) }
        let client = version == .tls12 ? older : client
        let bytes = try der(session(version))
        for place in bytes.indices {
            var bad = bytes
            bad[place] ^= 0x55
            guard let read = try? TLSSession(bad) else { continue }
            // What was changed may be the secret, by which the server notices.
            let pair = try EnginePair(client: client, server: server, resuming: read)
            pair.settle()
            let facts = pair.facts(.client)
            #expect(facts.isReady || facts.error != nil || pair.errors[.server] != nil)
            if facts.report.isResumed, facts.isReady {
                let leaf = try fixtures.serverIdentity().certificate
                #expect(leaf.matches(try ServerName("localhost")))
            }
        }
    }

    @Test("of revocation OpenSSL's form says nothing, so who asks has a full handshake")
    func revocationOfOpenSSLForm() throws {
        var trust = TrustPolicy(anchors: [fixtures.root])
        trust.revocation = .require
        let strict = try fixtures.client(trust: trust)
        let pair = try EnginePair(
            client: strict,
            server: server,
            resuming: TLSSession(der(session()))
        )
        pair.settle()
        #expect(pair.facts(.client).report.withheldSession == .untrusted)
        #expect(pair.errors[.client]?.verification?.code == .revocationUnknown)
    }

    @Test("a key has 32 bytes, and equal keys are equal")
    func keys() throws {
        let bytes = pattern(32)
        let (one, same) = try (SessionKey(bytes), SessionKey(bytes))
        #expect(one == same && one.hashValue == same.hashValue)
        #expect(one != .random() && SessionKey.random() != .random())
        let export = try session().sealed(with: one)
        #expect(try TLSSession(export, key: same).version == .tls13)
        for count in [0, 31, 33] {
            #expect(throws: TLSError(.invalidSession)) { try SessionKey(pattern(count)) }
        }
    }

    @Test("sessions and keys print as nothing, and no export holds one in the clear")
    func secrets() throws {
        let bytes = pattern(32)
        let key = try SessionKey(bytes)
        let made = try TLSSession(session().sealed(with: key), key: key)
        let ticket = try #require(made.ticket)
        for shown in [
            "\(made)", String(reflecting: made), "\(key)", String(reflecting: key),
            "\(Optional(made) as Any)", String(describing: [made]),
        ] {
            #expect(shown.contains("redacted"))
        }
        var text = ""
        dump((made, key), to: &text)
        #expect(!text.contains("0x") && text.count < 300)
        let export = made.sealed
        #expect(!export.contains(subsequence: ticket.prefix(16)))
        #expect(!export.contains(subsequence: bytes.prefix(8)))
        #expect(!export.contains(subsequence: Array("localhost".utf8)))
    }

    @Test("sessions that nobody takes pile up to a limit, and the oldest go")
    func inbox() throws {
        let handle = try #require(session().storage.handle)
        let told = Counter()
        let inbox = SessionInbox { told.add() }
        for _ in 0..<SessionInbox.limit + 3 { inbox.append(handle) }
        #expect(inbox.takeAll().count == SessionInbox.limit)
        #expect(inbox.takeAll().isEmpty)
        #expect(told.count == SessionInbox.limit + 3)
    }

    @Test("what was offered is remembered up to a limit, and the oldest is forgotten")
    func spent() {
        // Others spend at the same time: it is enough that none of these is forgotten at once.
        let own = (0..<100).map { pattern(40 + $0) }
        for ticket in own { #expect(SpentSessions.spend(ticket)) }
        for ticket in own { #expect(!SpentSessions.spend(ticket)) }
        for number in 0..<SpentSessions.limit {
            _ = SpentSessions.spend(Array("ticket \(number)".utf8))
        }
        #expect(SpentSessions.spend(own[0]))
    }
}

extension [UInt8] {
    fileprivate func contains(subsequence: some Collection<UInt8>) -> Bool {
        indices.contains { self[$0...].starts(with: subsequence) }
    }
}

/// A count that closures of any thread add to.
private final class Counter: Sendable {
    private let value = Mutex(0)
    var count: Int { value.withLock { $0 } }
    func add() { value.withLock { $0 += 1 } }
}
