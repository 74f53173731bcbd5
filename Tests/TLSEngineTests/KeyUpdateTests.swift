// New keys: by call, before a key is spent, and how that goes with the budget for messages.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct KeyUpdateTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    static let sides: [TLSRole] = [.client, .server]

    func opened(_ configure: (inout TLSPolicy) -> Void = { _ in }) throws -> EnginePair {
        let pair = try EnginePair(
            client: fixtures.client { configure(&$0) },
            server: fixtures.server { configure(&$0) }
        )
        try pair.handshake()
        return pair
    }

    func other(_ role: TLSRole) -> TLSRole { role == .client ? .server : .client }

    func updates(_ pair: EnginePair, _ role: TLSRole) -> KeyUpdateFacts {
        pair.facts(role).report.keyUpdates
    }

    @Test(
        "a side takes a new key by call, the other too if it is asked to, and data flows on",
        arguments: sides,
        [false, true]
    )
    func byCall(_ role: TLSRole, _ asks: Bool) throws {
        let pair = try opened()
        for round in 1...3 {
            try pair.update(role, asking: asks)
            try pair.expectDataFlows()
            let answers = asks ? round : 0
            #expect(updates(pair, role) == KeyUpdateFacts(sent: round, received: answers))
            #expect(updates(pair, other(role)) == KeyUpdateFacts(sent: answers, received: round))
        }
    }

    @Test("new keys at any cut of the wire", arguments: [1, 2, 7])
    func cuts(_ chunk: Int) throws {
        let pair = try opened()
        pair.chunk = chunk
        try pair.update(.client, asking: true)
        try pair.update(.server, asking: true)
        try pair.expectDataFlows()
    }

    @Test("without room it is asked for again, and not said twice", arguments: [0, 1, 63])
    func room(_ room: Int) throws {
        let pair = try opened()
        let (bytes, result) = produced(capacity: room) { (output) throws(TLSError) in
            try pair.client.engine.updateKeys(producing: &output)
        }
        #expect(bytes.isEmpty)
        #expect(result == .success(TLSEngine.Progress(consumed: 0, wants: .write)))
        #expect(updates(pair, .client).sent == 0)
        let enough = produced(capacity: 64) { (output) throws(TLSError) in
            try pair.client.engine.updateKeys(producing: &output)
        }
        pair.inject(enough.bytes, towards: .server)
        try pair.expectDataFlows()
        #expect(updates(pair, .server).received == 1)
    }

    @Test("TLS 1.2, a handshake that is not done, and a side that has closed, take no new key")
    func refused() throws {
        let old = try fixtures.pair(.tls12)
        #expect(throws: TLSError(.handshakeIncomplete)) { try old.update(.client, asking: false) }
        try old.handshake()
        for role in Self.sides {
            #expect(throws: TLSError(.featureUnavailable)) { try old.update(role, asking: true) }
        }
        try old.expectDataFlows()
        let pair = try opened()
        try pair.close(.client)
        #expect(throws: TLSError(.engineClosed)) { try pair.update(.client, asking: false) }
        // The other direction is open.
        try pair.update(.server, asking: false)
        try pair.send([1, 2], from: .server)
        #expect(pair.facts(.client).received == [1, 2])
        #expect(pair.errors.isEmpty)
    }

    @Test(
        "a key that has sealed its number of records is replaced, whoever sends",
        arguments: sides
    )
    func spent(_ role: TLSRole) throws {
        let pair = try opened { $0.limits.recordsPerKey = 5 }
        for _ in 0..<5 { try pair.send([1], from: role) }
        let peer = other(role)
        // The peer counts too, and asks for a key at the same moment.
        let sent = updates(pair, role).sent
        #expect(sent <= 1)
        for _ in 0..<20 { try pair.send([1], from: role) }
        #expect(updates(pair, role).sent >= sent + 3)
        #expect(updates(pair, role).sent == updates(pair, peer).received)
        #expect(pair.facts(peer).received.count == 25)
        #expect(pair.errors.isEmpty)
        try pair.expectDataFlows()
    }

    @Test("at its number of records a key is kept, past it it is not")
    func limit() throws {
        // Only the client has the limit, and nobody asks it.
        let pair = try EnginePair(
            client: fixtures.client { $0.limits.recordsPerKey = 4 },
            server: fixtures.server { _ in }
        )
        try pair.handshake()
        for count in 1...4 {
            try pair.send([UInt8(count)], from: .client)
            #expect(updates(pair, .client).sent == 0)
        }
        try pair.send([5], from: .client)
        #expect(updates(pair, .client).sent == 1)
        #expect(pair.facts(.server).received == [1, 2, 3, 4, 5])
    }

    @Test("a peer that does not count is asked for a new key, also by a side that never writes")
    func asked() throws {
        let pair = try EnginePair(
            client: fixtures.client { $0.limits.recordsPerKey = 4 },
            server: fixtures.server { _ in }
        )
        try pair.handshake()
        for _ in 0..<40 { try pair.send([1], from: .server) }
        #expect((5...12).contains(updates(pair, .server).sent), "\(updates(pair, .server))")
        #expect(pair.facts(.client).received.count == 40)
        #expect(pair.errors.isEmpty)
    }

    @Test("large writes, of many records a call, are counted by the record")
    func large() throws {
        let pair = try opened { $0.limits.recordsPerKey = 4 }
        let bytes = pattern(1 << 20)
        try pair.send(bytes, from: .client)
        #expect(pair.facts(.server).received == bytes)
        #expect(updates(pair, .client).sent >= 8)
        #expect(pair.errors.isEmpty)
    }

    @Test("TLS 1.2 counts nothing, and goes on")
    func oldVersion() throws {
        let pair = try opened {
            $0.allowOnly(.tls12)
            $0.limits.recordsPerKey = 1
        }
        for _ in 0..<10 { try pair.expectDataFlows() }
        #expect(updates(pair, .client) == KeyUpdateFacts())
    }

    @Test("answers that were asked for cost the peer nothing, others do")
    func budget() throws {
        let pair = try opened { $0.limits.postHandshakeMessages = 3 }
        // The tickets of the handshake are paid for.
        try pair.send(pattern(1 << 20), from: .server)
        // The server pays for ours with our data.
        for _ in 0..<10 {
            try pair.update(.client, asking: true)
            try pair.send(pattern(20000), from: .client)
        }
        // The last answer goes in front of data.
        try pair.send([1], from: .server)
        #expect(pair.errors.isEmpty)
        #expect(updates(pair, .client).received == 10)
        for _ in 0..<3 { try pair.update(.server, asking: false) }
        #expect(pair.errors.isEmpty)
        try pair.update(.server, asking: false)
        #expect(pair.errors[.client] == TLSError(.tooManyPostHandshakeMessages))
    }

    @Test("a limit of no records is refused")
    func noRecords() throws {
        #expect(throws: TLSError(.invalidPolicy)) {
            _ = try fixtures.client { $0.limits.recordsPerKey = 0 }
        }
        _ = try fixtures.client { $0.limits.recordsPerKey = 1 }
    }
}

extension EnginePair {
    /// Has one side take a new key.
    func update(_ role: TLSRole, asking: Bool) throws(TLSError) {
        try perform(role) { engine, output throws(TLSError) in
            try engine.updateKeys(requestPeer: asking, producing: &output)
        }
    }
}
