// Servers that share ticket keys: each resumes the sessions of the others, in both versions, and what
// is wrong with a ticket costs a full handshake and nothing else.

import TLSTestKit
import Testing

@testable import TLSEngine

@Suite(.timeLimit(.minutes(1))) struct FleetTests {
    let fixtures: Fixtures
    let time = RingTime()
    init() throws { fixtures = try Fixtures.shared() }

    func client(_ version: ProtocolVersion, _ identity: TLSIdentity? = nil) throws -> TLSContext {
        try fixtures.client(identities: identity.map { [$0] } ?? []) { $0.allowOnly(version) }
    }

    /// One process of the fleet.
    func server(
        _ ring: TicketKeyRing,
        trust: TrustPolicy? = nil,
        hosts: TLSHosts? = nil,
        _ configure: (inout TLSPolicy) -> Void = { _ in }
    ) throws -> TLSContext {
        try TLSContext(
            role: .server,
            policy: TLSPolicy(configure),
            identities: [fixtures.serverIdentity()],
            trust: trust ?? TrustPolicy(anchors: [fixtures.root]),
            hosts: hosts,
            ticketKeys: ring
        )
    }

    /// A connection, whether it was resumed, and the session it leaves.
    func connect(
        _ client: TLSContext,
        _ server: TLSContext,
        _ session: TLSSession? = nil,
        _ decide: ((TLSRole, TLSQuestion) -> TLSAnswer?)? = nil
    ) throws -> (isResumed: Bool, session: TLSSession?) {
        let pair = try EnginePair(client: client, server: server, resuming: session)
        pair.decide = decide
        try pair.handshake()
        try pair.expectDataFlows()
        let isResumed = pair.facts(.server).report.isResumed
        #expect(pair.facts(.client).report.isResumed == isResumed)
        return (isResumed, pair.session(of: .client))
    }

    @Test("what one process gives resumes with the others, again and again", arguments: versions)
    func resumption(_ version: ProtocolVersion) throws {
        let client = try client(version)
        let fleet = try (0..<3).map { _ in try server(time.ring(7)) }
        var (isResumed, session) = try connect(client, fleet[0])
        #expect(!isResumed && session?.ticket != nil)
        for place in [1, 2, 0, 1] {
            (isResumed, session) = try connect(client, fleet[place], session)
            #expect(isResumed)
        }
        // Another secret, another fleet.
        #expect(try !connect(client, server(time.ring(8)), session).isResumed)
    }

    @Test("a ticket of an epoch before is renewed, one of an expired epoch is not opened")
    func renewal() throws {
        for version in versions {
            let time = RingTime()
            let client = try client(version)
            let servers = try (0..<2).map { _ in try server(time.ring(1)) }
            let first = try connect(client, servers[0]).session
            let name = try #require(first?.ticket?.prefix(16))
            let same = try connect(client, servers[1], first).session
            #expect(same?.ticket?.prefix(16) == name)
            time.now += 100
            let (isResumed, renewed) = try connect(client, servers[0], same)
            #expect(isResumed && renewed?.ticket?.prefix(16) != name)
            time.now += 7400
            let (isLate, fresh) = try connect(client, servers[1], renewed)
            #expect(!isLate && fresh?.ticket?.prefix(16) != renewed?.ticket?.prefix(16))
        }
    }

    @Test("clocks may be an epoch apart, and not two", arguments: versions)
    func skew(_ version: ProtocolVersion) throws {
        let client = try client(version)
        for (difference, isResumed): (Int64, Bool) in [
            (100, true), (-100, true), (-200, true), (200, false),
        ] {
            let other = RingTime(time.now + difference)
            let session = try connect(client, server(other.ring(1))).session
            #expect(try connect(client, server(time.ring(1)), session).isResumed == isResumed)
        }
    }

    @Test("a ring without a key gives no ticket, and opens none", arguments: versions)
    func empty(_ version: ProtocolVersion) throws {
        let client = try client(version)
        let (ring, full) = (try time.ring(), try server(time.ring(1)))
        let session = try connect(client, full).session
        let empty = try server(ring)
        let (isResumed, none) = try connect(client, empty, session)
        #expect(!isResumed && none == nil)
        // As soon as there is one, it does.
        try ring.adopt(RingTime.secrets([1]))
        let given = try #require(try connect(client, empty).session)
        #expect(try connect(client, full, given).isResumed)
        // And one that may no more seal opens still, and gives no other.
        let aged = try time.ring(1, maximumAge: .seconds(50))
        let late = try server(aged)
        let last = try connect(client, late).session
        time.now += 60
        let (isOpened, next) = try connect(client, late, last)
        #expect(isOpened && (version == .tls12 || next == nil))
    }

    @Test("a key that goes between hello and ticket leaves no ticket that anybody opens")
    func goneMeanwhile() throws {
        for version in versions {
            let ring = try time.ring(1)
            var chunks = 0
            let pair = try EnginePair(client: client(version), server: server(ring)) {
                role,
                chunk in
                if role == .client { chunks += 1 }
                if chunks == 2 { ring.forgetAll() }
                return chunk
            }
            try pair.handshake()
            try pair.expectDataFlows()
            let session = pair.session(of: .client)
            // TLS 1.3 has no word for none.
            #expect((session == nil) == (version == .tls12))
            try ring.adopt(RingTime.secrets([1]))
            #expect(try !connect(client(version), server(ring), session).isResumed)
        }
    }

    // MARK: Hostile

    @Test("a forged ticket, cut or changed anywhere, is a full handshake", arguments: versions)
    func forged(_ version: ProtocolVersion) throws {
        let client = try client(version)
        let server = try server(time.ring(1))
        let session = try #require(try connect(client, server).session)
        let ticket = try #require(session.ticket)
        let handle = try #require(session.storage.handle)
        let der = SecretBytes(count: handle.derCount)
        unsafe handle.writeDER(to: der.pointer)
        let bytes = der.withBytes { bytes in bytes.indices.map { bytes[$0] } }
        let start = try #require(
            (0...(bytes.count - ticket.count)).first {
                bytes[$0..<($0 + ticket.count)].elementsEqual(ticket)
            }
        )
        // Name, vector, ciphertext and authentication.
        for place in [0, 15, 16, 31, 32, ticket.count / 2, ticket.count - 32, ticket.count - 1] {
            var forged = bytes
            forged[start + place] ^= 1
            let (isResumed, fresh) = try connect(client, server, TLSSession(forged))
            #expect(!isResumed && fresh?.ticket != nil, "\(place)")
        }
        // The name of a key that is there, and everything else at random.
        var forged = bytes
        for place in 16..<ticket.count { forged[start + place] = UInt8.random(in: 0...255) }
        #expect(try !connect(client, server, TLSSession(forged)).isResumed)
        #expect(try connect(client, server, TLSSession(bytes)).isResumed)
    }

    @Test("a ticket cut to any length is answered by a full handshake", arguments: versions)
    func truncated(_ version: ProtocolVersion) throws {
        let client = try client(version)
        let server = try server(time.ring(1))
        let session = try #require(try connect(client, server).session)
        let ticket = try #require(session.ticket)
        var engine = try TLSEngine(
            client,
            remoteName: "localhost",
            resuming: TLSSession(session.sealed)
        )
        let hello = produced { (output) throws(TLSError) in
            try engine.handshake(consuming: Span(), producing: &output)
        }
        .bytes
        for count in [0, 1, 15, 16, 17, 32, 48, 63, 64, ticket.count - 1] {
            let cut = try HelloSurgery.replace(ticket, in: hello, with: Array(ticket.prefix(count)))
            var server = try TLSEngine(server)
            let (flight, result) = produced { (output) throws(TLSError) in
                try server.handshake(consuming: cut.span, producing: &output)
            }
            // TLS 1.3 knows no empty name; else the flight begins as that of any full handshake.
            guard version == .tls12 || count > 0 else {
                #expect(throws: TLSError.self) { try result.get() }
                continue
            }
            #expect(try result.get().wants == .read, "\(count)")
            #expect(flight.first == 22 && flight.count > 400, "\(count)")
        }
    }

    @Test("the name of a preshared key is no ticket, and a ticket is nobody's preshared key")
    func presharedKeys() throws {
        let ring = try time.ring(1)
        let server = try server(ring) { $0.decisions = .presharedKey }
        let client = try client(.tls13)
        let session = try connect(client, server).session
        // Nobody answers: the handshake would wait.
        #expect(try connect(client, server, session).isResumed)
        let key = try #require(ring.sealingKey())
        #expect(server.isOwnTicket(PresharedKeyIdentity(bytes: key.nameBytes + [1, 2, 3])))
        #expect(!server.isOwnTicket(PresharedKeyIdentity(bytes: Array(key.nameBytes.dropLast()))))
        #expect(!server.isOwnTicket("meter"))
        time.now += 1_000_000
        #expect(!server.isOwnTicket(PresharedKeyIdentity(bytes: key.nameBytes)))
    }

    // MARK: What a session is bound to

    @Test("with the same keys, a session counts under the same name, client check and trust only")
    func contexts() throws {
        let stranger = try Certificate(der: fixtures.strangers.rootDER)
        let own = TrustPolicy(anchors: [fixtures.root])
        let wide = TrustPolicy(anchors: [fixtures.root, stranger])
        let rows: [(String, ClientAuthentication, TrustPolicy, Bool)] = [
            ("a", .require, own, true), ("b", .require, own, false), ("a", .request, own, false),
            ("a", .none, own, false), ("a", .require, wide, false),
        ]
        for version in versions {
            let client = try client(version, fixtures.clientIdentity)
            func server(_ name: String, _ asks: ClientAuthentication, _ trust: TrustPolicy) throws
                -> TLSContext
            {
                try self.server(time.ring(1), trust: trust) {
                    $0.sessionIDContext = name
                    $0.clientAuthentication = asks
                }
            }
            for (name, asks, trust, isResumed) in rows {
                let session = try connect(client, server("a", .require, own)).session
                let other = try server(name, asks, trust)
                #expect(try connect(client, other, session).isResumed == isResumed)
            }
        }
    }

    @Test("hosts share the keys of their server, and not its sessions", arguments: versions)
    func hosts(_ version: ProtocolVersion) throws {
        func fleet() throws -> TLSContext {
            let ring = try time.ring(1)
            var hosts = TLSHosts(fallback: .always)
            try hosts.add("localhost", server(ring) { $0.sessionIDContext = "localhost" })
            return try server(ring, hosts: hosts) { $0.sessionIDContext = "other" }
        }
        let client = try client(version)
        let session = try connect(client, fleet()).session
        #expect(try connect(client, fleet(), session).isResumed)
        // The server without its host has the keys, too.
        let alone = try server(time.ring(1)) { $0.sessionIDContext = "other" }
        let another = try connect(client, fleet()).session
        #expect(try !connect(client, alone, another).isResumed)
    }

    @Test("a context tells whether others may have its sessions")
    func sharing() throws {
        #expect(try !fixtures.server().sharesSessions)
        #expect(try server(time.ring()).sharesSessions)
        #expect(try fixtures.server { $0.decisions = .session }.sharesSessions)
        // Clients have no tickets of their own.
        let ring = try time.ring(1)
        _ = try TLSContext(
            role: .client,
            trust: TrustPolicy(anchors: [fixtures.root]),
            ticketKeys: ring
        )
    }
}

/// Puts other bytes in the place of a ticket in a ClientHello of one record, and sets the lengths around.
enum HelloSurgery {
    static func replace(
        _ ticket: [UInt8],
        in hello: [UInt8],
        with other: [UInt8]
    ) throws -> [UInt8] {
        let start = try #require(
            (0...(hello.count - ticket.count)).first {
                hello[$0..<($0 + ticket.count)].elementsEqual(ticket)
            }
        )
        var bytes = hello
        bytes.replaceSubrange(start..<(start + ticket.count), with: other)
        let change = other.count - ticket.count
        func add(at place: Int) {
            let value = (Int(bytes[place]) << 8 | Int(bytes[place + 1])) + change
            (bytes[place], bytes[place + 1]) = (UInt8(value >> 8), UInt8(value & 0xFF))
        }
        // Record, message, and the list of extensions, which stands behind id, suites and compression.
        add(at: 3)
        add(at: 7)
        var place = 5 + 4 + 2 + 32
        place += 1 + Int(bytes[place])
        place += 2 + (Int(bytes[place]) << 8 | Int(bytes[place + 1]))
        place += 1 + Int(bytes[place])
        add(at: place)
        // The extension itself, and in TLS 1.3 the list of names and the name.
        place += 2
        while true {
            let count = Int(bytes[place + 2]) << 8 | Int(bytes[place + 3])
            if start < place + 4 + count { break }
            place += 4 + count
        }
        add(at: place + 2)
        guard start > place + 4 else { return bytes }
        add(at: place + 4)
        add(at: place + 6)
        return bytes
    }
}
