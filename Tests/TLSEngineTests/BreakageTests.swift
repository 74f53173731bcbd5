// A handshake broken at every byte: the wire ends there, or the byte arrives altered. P-256 is
// broken everywhere, the slower keys at every 37th byte.

import TLSEngine
import TLSTestKit
import Testing

/// Which wire is broken, in which handshake.
struct BrokenWire: Sendable, CustomTestStringConvertible {
    let sender: TLSRole
    let version: ProtocolVersion
    let key: TestKey
    let stride: Int
    var authenticatesClient = false
    var receiver: TLSRole { sender == .client ? .server : .client }
    var testDescription: String {
        "what the \(sender) sends, \(version), \(key)"
            + (authenticatesClient ? ", client certificate" : "")
    }

    static let all: [BrokenWire] = versions.flatMap { version in
        [TLSRole.client, .server].flatMap { sender in
            [
                BrokenWire(sender: sender, version: version, key: .p256, stride: 1),
                BrokenWire(sender: sender, version: version, key: .rsa2048, stride: 37),
                BrokenWire(sender: sender, version: version, key: .ed25519, stride: 37),
                BrokenWire(
                    sender: sender,
                    version: version,
                    key: .p256,
                    stride: 7,
                    authenticatesClient: true
                ),
            ]
        }
    }
}

/// Follows the records of a stream that comes in pieces.
private struct RecordReader {
    /// Positions that no transcript covers: the record's version, and what a change_cipher_spec
    /// holds in TLS 1.3, where it means nothing (RFC 8446 §5, §5.1).
    private(set) var uncovered: Set<Int> = []
    private var stream: [UInt8] = []
    private var next = 0

    mutating func take(_ bytes: [UInt8]) {
        stream += bytes
        while stream.count >= next + 5 {
            let length = Int(stream[next + 3]) << 8 | Int(stream[next + 4])
            uncovered.formUnion([next + 1, next + 2])
            if stream[next] == 20 { uncovered.formUnion(next..<next + 5 + length) }
            next += 5 + length
        }
    }
}

// Seconds of pure arithmetic: beside each other the rows would starve the tests that have deadlines.
@Suite(.serialized, .timeLimit(.minutes(1)))
struct BreakageTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    func contexts(_ wire: BrokenWire) throws -> (client: TLSContext, server: TLSContext) {
        let identities = wire.authenticatesClient ? [fixtures.clientIdentity] : []
        return (
            try fixtures.client(identities: identities) { $0.allowOnly(wire.version) },
            try fixtures.server(wire.key) {
                $0.allowOnly(wire.version)
                $0.clientAuthentication = wire.authenticatesClient ? .require : .none
            }
        )
    }

    /// The bytes a whole handshake puts on the wire.
    func length(_ wire: BrokenWire, _ contexts: (client: TLSContext, server: TLSContext)) throws
        -> Int
    {
        let pair = try EnginePair(client: contexts.client, server: contexts.server)
        try pair.handshake()
        try #require(pair.isReady)
        return pair.delivered[wire.sender, default: 0]
    }

    @Test(
        "a wire that ends anywhere in the handshake ends both sides, by name",
        arguments: BrokenWire.all
    )
    func cut(_ wire: BrokenWire) async throws {
        let contexts = try contexts(wire)
        for place in stride(from: 0, to: try length(wire, contexts), by: wire.stride) {
            await Task.yield()  // other tests count on their turn
            var (passed, withheld) = (0, 0)
            let pair = try EnginePair(client: contexts.client, server: contexts.server) {
                (sender, chunk) in
                guard sender == wire.sender else { return chunk }
                let some = Array(chunk.prefix(place - passed))
                passed += some.count
                withheld += chunk.count - some.count
                return some
            }
            pair.settle()
            // Signatures differ in length by a byte or two: this one may have come through.
            guard withheld > 0 else { continue }
            pair.endWire(towards: wire.receiver)
            let wasReady = pair.facts(wire.receiver).isReady
            let error = pair.errors[wire.receiver]
            let expected = TLSError(wasReady ? .truncated : .closedDuringHandshake)
            guard error == expected, error?.phase != nil,
                error?.phase == .open || !wasReady
            else {
                Issue.record("byte \(place): \(error.map(String.init(reflecting:)) ?? "no error")")
                continue
            }
            pair.endWire(towards: wire.sender)
            let told = pair.errors[wire.sender]
            guard told == TLSError(.alertReceived, alert: .decodeError) else {
                Issue.record("byte \(place): \(told.map(String.init(reflecting:)) ?? "no error")")
                continue
            }
        }
    }

    @Test(
        "a byte altered anywhere in the handshake is noticed by both sides",
        arguments: BrokenWire.all
    )
    func altered(_ wire: BrokenWire) async throws {
        let contexts = try contexts(wire)
        var undetected: Set<Int> = []
        var uncovered: Set<Int> = []
        for place in stride(from: 0, to: try length(wire, contexts), by: wire.stride) {
            await Task.yield()
            let mask: UInt8 = [0x01, 0x80, 0xff][place % 3]
            var passed = 0
            var records = RecordReader()
            let pair = try EnginePair(client: contexts.client, server: contexts.server) {
                (sender, chunk) in
                guard sender == wire.sender else { return chunk }
                records.take(chunk)
                var chunk = chunk
                if chunk.indices.contains(place - passed) { chunk[place - passed] ^= mask }
                passed += chunk.count
                return chunk
            }
            pair.settle()
            guard passed > place else { continue }
            uncovered.formUnion(records.uncovered)
            if pair.isReady {
                // A ticket that was made longer shows with the next record.
                try pair.send([1], from: wire.sender)
                if pair.isReady, pair.facts(wire.receiver).received == [1] {
                    undetected.insert(place)
                    continue
                }
            }
            pair.endWire(towards: .client)
            pair.endWire(towards: .server)
            for role in [TLSRole.client, .server] {
                let facts = pair.facts(role)
                guard let error = facts.error else {
                    Issue.record("byte \(place): the \(role) noticed nothing")
                    continue
                }
                let isBlamed = [.peer, .incompatible, .policy].contains(error.category)
                if !isBlamed { Issue.record("byte \(place): \(String(reflecting: error))") }
            }
        }
        #expect(undetected.isSubset(of: uncovered))
    }
}
