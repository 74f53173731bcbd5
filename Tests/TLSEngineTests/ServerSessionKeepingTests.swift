// Sessions that a server's owner keeps: asked for at the ClientHello, given back once, and bound to what
// they were made under.

import TLSTestKit
import Testing

@testable import TLSEngine

/// An owner that keeps sessions in a dictionary.
private final class Shelf {
    var sessions: [[UInt8]: [UInt8]] = [:]
    var asked: [ServerSessionRequest] = []
    var failures: [TLSError] = []

    func answer(_ question: TLSQuestion, _ context: TLSContext) -> TLSAnswer? {
        guard case .session(let request) = question else { return nil }
        asked.append(request)
        let bytes =
            request.isSingleUse
            ? sessions.removeValue(forKey: request.id) : sessions[request.id]
        guard let bytes else { return .session(nil) }
        do throws(TLSError) {
            return .session(try ServerSession(bytes, for: request, in: context))
        } catch {
            failures.append(error)
            return .session(nil)
        }
    }

    func take(_ changes: [ServerSessionChange]) {
        for change in changes {
            switch change {
            case .keep(let id, let session, _): sessions[id] = session
            case .forget(let id): sessions[id] = nil
            }
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct ServerSessionKeepingTests {
    let fixtures: Fixtures
    let time = RingTime()
    private let shelf = Shelf()
    init() throws { fixtures = try Fixtures.shared() }

    func client(_ version: ProtocolVersion, _ identity: TLSIdentity? = nil) throws -> TLSContext {
        try fixtures.client(identities: identity.map { [$0] } ?? []) { $0.allowOnly(version) }
    }

    func server(
        _ ring: TicketKeyRing? = nil,
        trust: TrustPolicy? = nil,
        hosts: TLSHosts? = nil,
        _ configure: (inout TLSPolicy) -> Void = { _ in }
    ) throws -> TLSContext {
        try TLSContext(
            role: .server,
            policy: TLSPolicy {
                $0.decisions = .session
                configure(&$0)
            },
            identities: [fixtures.serverIdentity()],
            trust: trust ?? TrustPolicy(anchors: [fixtures.root]),
            hosts: hosts,
            ticketKeys: ring
        )
    }

    private func pair(
        _ client: TLSContext,
        _ server: TLSContext,
        _ session: TLSSession? = nil,
        _ chunk: Int = .max
    ) throws -> EnginePair {
        let pair = try EnginePair(client: client, server: server, resuming: session)
        pair.decide = { [unowned pair] role, question in
            shelf.answer(question, role == .server ? pair.server.engine.context : client)
        }
        pair.chunk = chunk
        pair.settle()
        return pair
    }

    private func connect(
        _ client: TLSContext,
        _ server: TLSContext,
        _ session: TLSSession? = nil,
        _ chunk: Int = .max
    ) throws -> (isResumed: Bool, session: TLSSession?) {
        let pair = try pair(client, server, session, chunk)
        try pair.expectDataFlows()
        shelf.take(pair.server.engine.takeSessionChanges())
        let isResumed = pair.facts(.server).report.isResumed
        #expect(pair.facts(.client).report.isResumed == isResumed)
        return (isResumed, pair.session(of: .client))
    }

    @Test(
        "a session is kept under its number, and resumes with another process",
        arguments: versions,
        [1, .max]
    )
    func resumption(_ version: ProtocolVersion, _ chunk: Int) throws {
        let client = try client(version)
        let fleet = try (0..<2).map { _ in try server(time.ring(1)) }
        var (isResumed, session) = try connect(client, fleet[0], nil, chunk)
        #expect(!isResumed && shelf.asked == [] && shelf.sessions.count == 1)
        // TLS 1.2 has the number as such, TLS 1.3 in the ticket's place.
        let id = try #require(shelf.sessions.keys.first)
        #expect(id.count == 32 && session?.ticket == (version == .tls12 ? nil : id))
        let kept = try #require(shelf.sessions[id])
        #expect(kept.count < 4096)
        for place in [1, 0, 1] {
            (isResumed, session) = try connect(client, fleet[place], session, chunk)
            #expect(isResumed && shelf.asked.count == 1 && shelf.failures == [])
            #expect(shelf.asked.first?.version == version)
            // TLS 1.3 has another one by now.
            #expect(shelf.sessions.count == 1)
            #expect((shelf.sessions[id] == kept) == (version == .tls12))
            shelf.asked = []
        }
        #expect(try !connect(client, server(time.ring(2)), session).isResumed)
        #expect(shelf.failures.map(\.code) == [.invalidSession])
    }

    @Test("without a ring only the process itself opens what it sealed", arguments: versions)
    func processKey(_ version: ProtocolVersion) throws {
        let client = try client(version)
        let session = try connect(client, server()).session
        #expect(try connect(client, server(), session).isResumed)
        let other = try connect(client, server()).session
        #expect(try !connect(client, server(time.ring(1)), other).isResumed)
    }

    @Test("a session of TLS 1.3 counts once, even if the client offers it again")
    func singleUse() throws {
        let (client, server) = try (client(.tls13), server(time.ring(1)))
        let session = try connect(client, server).session
        let handle = try #require(session?.storage.handle)
        let der = SecretBytes(count: handle.derCount)
        unsafe handle.writeDER(to: der.pointer)
        let bytes = der.withBytes { bytes in bytes.indices.map { bytes[$0] } }
        #expect(try connect(client, server, session).isResumed)
        // In OpenSSL's form, with a ticket that this process's ledger would hold back.
        let again = try EnginePair(client: client, server: server, resuming: TLSSession(bytes))
        #expect(again.question(.server) == nil)
        let ledger = try #require(shelf.asked.last)
        #expect(shelf.sessions[ledger.id] == nil)
        #expect(
            shelf.answer(.session(ledger), server).map { answer in
                if case .session(nil) = answer { true } else { false }
            } == true
        )
    }

    @Test("what a store gives that is not the session is a full handshake", arguments: versions)
    func garbage(_ version: ProtocolVersion) throws {
        let (client, server) = try (client(version), server(time.ring(1)))
        let other = try connect(client, server).session
        let stranger = try #require(shelf.sessions.first)
        _ = other
        shelf.sessions = [:]
        typealias Change = ([UInt8]) -> [UInt8]
        let changes: [(String, Change)] = [
            ("empty", { _ in [] }), ("short", { Array($0.prefix(13)) }),
            ("cut", { Array($0.dropLast()) }), ("longer", { $0 + [0] }),
            ("noise", { $0.map { _ in UInt8.random(in: 0...255) } }),
            ("another's", { _ in stranger.value }),
            ("too large", { $0 + [UInt8](repeating: 0, count: 64 << 10) }),
            ("magic", { [$0[0] ^ 1] + $0.dropFirst() }),
            ("key", { Array($0.prefix(5)) + [$0[5] ^ 1] + $0.dropFirst(6) }),
            ("nonce", { Array($0.prefix(13)) + [$0[13] ^ 1] + $0.dropFirst(14) }),
            ("tag", { Array($0.dropLast()) + [$0[$0.count - 1] ^ 1] }),
        ]
        for (name, change) in changes {
            let session = try connect(client, server).session
            let (id, kept) = try #require(shelf.sessions.first)
            shelf.sessions = [id: change(kept)]
            #expect(try !connect(client, server, session).isResumed, "\(name)")
            #expect(shelf.failures.map(\.code) == [.invalidSession], "\(name)")
            shelf.failures = []
            shelf.sessions = [:]
        }
    }

    @Test("a session whose key has expired is not opened; without a key none is kept")
    func expired() throws {
        for version in versions {
            let time = RingTime()
            let (client, ring) = (try client(version), try time.ring(1))
            let server = try server(ring)
            let session = try connect(client, server).session
            time.now += 7400
            #expect(try !connect(client, server, session).isResumed)
            #expect(shelf.failures.map(\.code) == [.invalidSession])
            shelf.failures = []
            shelf.sessions = [:]
            ring.forgetAll()
            _ = try connect(client, server)
            #expect(shelf.sessions.isEmpty)
        }
    }

    @Test("a connection that fails takes its sessions with it, one that is cut does not")
    func failure() throws {
        for version in versions {
            let (client, server) = try (client(version), server(time.ring(1)))
            let session = try connect(client, server).session
            let id = try #require(shelf.sessions.keys.first)
            let cut = try pair(client, server, version == .tls12 ? session : nil)
            shelf.take(cut.server.engine.takeSessionChanges())
            cut.endWire(towards: .server)
            #expect(cut.errors[.server]?.code == .truncated)
            #expect(cut.server.engine.takeSessionChanges() == [])
            let failing = try pair(client, server, version == .tls12 ? session : nil)
            let made = failing.server.engine.takeSessionChanges()
            failing.inject([23, 3, 3, 0, 20] + pattern(20), towards: .server)
            #expect(failing.errors[.server]?.code == .badRecord)
            let forgotten = failing.server.engine.takeSessionChanges()
            #expect(made.count == (version == .tls12 ? 0 : 1))
            guard case .forget(let gone)? = forgotten.last else {
                Issue.record("nothing was forgotten")
                continue
            }
            #expect((gone == id) == (version == .tls12))
            // One that nobody was told of never was.
            let early = try pair(client, server)
            early.inject([23, 3, 3, 0, 20] + pattern(20), towards: .server)
            #expect(early.server.engine.takeSessionChanges() == [])
            shelf.sessions = [:]
        }
    }

    @Test("a handshake waits for the session, and a refusal ends it", arguments: versions)
    func waiting(_ version: ProtocolVersion) throws {
        let (client, server) = try (client(version), server(time.ring(1)))
        let session = try connect(client, server).session
        let (id, kept) = try #require(shelf.sessions.first)
        for takes in [true, false] {
            let copy = try #require(takes ? session : try connect(client, server).session)
            let pair = try EnginePair(client: client, server: server, resuming: copy)
            pair.settle()
            guard case .session(let request)? = pair.question(.server) else {
                Issue.record("no question")
                return
            }
            #expect(pair.facts(.server).phase == .clientHello)
            #expect(pair.delivered[.server] == 0)
            guard takes else {
                try pair.answer(.server, .refuse(TLSRefusal("out of order")))
                #expect(pair.errors[.server]?.code == .refusedByApplication)
                #expect(pair.errors[.client]?.alert == .internalError)
                return
            }
            #expect(request.id == id)
            let found = try ServerSession(kept, for: request, in: server)
            // Of another number it is no answer.
            let other = ServerSessionRequest(id: Array(id.reversed()), version: version)
            #expect(throws: TLSError(.invalidSession)) {
                try ServerSession(kept, for: other, in: server)
            }
            #expect(throws: TLSError(.unexpectedAnswer)) {
                try pair.answer(.server, .presharedKey(nil))
            }
            try pair.answer(.server, .session(found))
            #expect(pair.isReady && pair.facts(.server).report.isResumed)
            #expect("\(found)" == "server session <redacted>")
        }
    }

    @Test("a client's certificate counts again with its chain, as long as it is good")
    func clientCertificate() throws {
        let wide = Validity.absolute(unixSeconds: 1_000_000_000...3_000_000_000)
        let ca = try TestCA(validity: wide)
        var recipe = CertificateRecipe.client("alice", [])
        recipe.validity = .absolute(unixSeconds: 2_000_000_000...2_000_086_400)
        let alice = try TLSIdentity(ca.issue(recipe))
        func server(at time: Int64) throws -> TLSContext {
            var trust = TrustPolicy(anchors: [try Certificate(der: ca.rootDER)])
            trust.verificationTime = UnixTime(seconds: time)
            return try self.server(self.time.ring(1), trust: trust) {
                $0.clientAuthentication = .require
            }
        }
        for version in versions {
            let client = try client(version, alice)
            let full = try pair(client, server(at: 2_000_000_000))
            try full.expectDataFlows()
            shelf.take(full.server.engine.takeSessionChanges())
            let first = full.facts(.server).report
            #expect(first.peerChain.count == 1 && first.isPeerTrusted)
            let session = full.session(of: .client)
            let second = try pair(client, server(at: 2_000_086_400), session)
            try second.expectDataFlows()
            let report = second.facts(.server).report
            #expect(report.isResumed && report.peerChain == first.peerChain)
            #expect(report.verifiedChain == first.verifiedChain && report.isPeerTrusted)
            shelf.take(second.server.engine.takeSessionChanges())
            let late = try pair(client, server(at: 2_000_086_401), second.session(of: .client))
            #expect(late.errors[.server]?.verification?.code == .expired)
        }
    }

    @Test("of another host, name or trust a session is none", arguments: versions)
    func contexts(_ version: ProtocolVersion) throws {
        let client = try client(version)
        let ring = try time.ring(1)
        var hosts = TLSHosts(fallback: .always)
        try hosts.add("localhost", server(ring) { $0.sessionIDContext = "host" })
        let whole = try server(ring, hosts: hosts) { $0.sessionIDContext = "own" }
        var session = try connect(client, whole).session
        // The host was chosen first, and asks its own owner.
        let (isResumed, next) = try connect(client, whole, session)
        #expect(isResumed)
        session = try connect(client, server(ring) { $0.sessionIDContext = "own" }, next).session
        #expect(try !connect(client, whole, session).isResumed)
        #expect(shelf.failures == [])
    }

    @Test("beside preshared keys a session is asked for first, and is nobody's key")
    func presharedKeys() throws {
        let server = try server(time.ring(1)) { $0.decisions = [.session, .presharedKey] }
        let client = try client(.tls13)
        let session = try connect(client, server).session
        #expect(try connect(client, server, session).isResumed)
    }

    @Test("a server that gives no tickets gives no sessions either, a client keeps none for others")
    func none() throws {
        for version in versions {
            _ = try connect(client(version), server(time.ring(1)) { $0.ticketCount = 0 })
            #expect(shelf.sessions.isEmpty)
        }
        #expect(throws: TLSError(.invalidPolicy)) {
            try fixtures.client { $0.decisions = .session }
        }
        // Where nobody keeps any, there is nothing to take.
        var plain = try TLSEngine(fixtures.server())
        #expect(plain.takeSessionChanges() == [])
    }

    @Test("a number that nobody gave is asked for, and is no session", arguments: versions)
    func unknown(_ version: ProtocolVersion) throws {
        let (client, server) = try (client(version), server(time.ring(1)))
        let session = try connect(client, server).session
        shelf.sessions = [:]
        #expect(try !connect(client, server, session).isResumed)
        #expect(shelf.asked.count == 1 && shelf.failures == [])
    }
}
