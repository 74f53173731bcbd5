// OpenSSL's record buffers: given back at first, kept in a lively conversation, given back when asked.

import TLSEngine
import TLSTestKit
import Testing

@Suite struct RecordBufferTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    private func keeps(_ pair: EnginePair, _ role: TLSRole) -> Bool {
        role == .client ? pair.client.engine.keepsBuffers : pair.server.engine.keepsBuffers
    }

    private func opened(_ version: ProtocolVersion) throws -> EnginePair {
        let pair = try fixtures.pair(version)
        try pair.handshake()
        return pair
    }

    /// Sends small messages until the server's engine keeps its buffers.
    private func lively(_ version: ProtocolVersion) throws -> EnginePair {
        let pair = try opened(version)
        for _ in 0..<16 { try pair.send([1], from: .client) }
        return pair
    }

    @Test("after a while of small messages buffers are kept, and not before", arguments: versions)
    func keeping(_ version: ProtocolVersion) throws {
        let pair = try opened(version)
        for _ in 0..<15 { try pair.send([1], from: .client) }
        #expect(!keeps(pair, .server))
        try pair.send([1], from: .client)
        #expect(keeps(pair, .server))
        #expect(!keeps(pair, .client))
        try pair.expectDataFlows()
    }

    @Test("a large message, or a request, has them given back", arguments: versions)
    func givingBack(_ version: ProtocolVersion) throws {
        var pair = try lively(version)
        try pair.send(pattern(8000), from: .client)
        #expect(!keeps(pair, .server))
        try pair.expectDataFlows()
        pair = try lively(version)
        pair.server.engine.releaseBuffers()
        #expect(!keeps(pair, .server))
        try pair.expectDataFlows()
    }

    @Test("in the midst of a record they stay", arguments: versions, [3, 5, 6, 40])
    func withinRecord(_ version: ProtocolVersion, _ cut: Int) throws {
        var held: [UInt8]? = nil
        let pair = try fixtures.pair(version) { sender, chunk in
            guard sender == .client, held != nil else { return chunk }
            held! += chunk
            return []
        }
        try pair.handshake()
        for _ in 0..<16 { try pair.send([1], from: .client) }
        held = []
        let message = pattern(100)
        try pair.send(message, from: .client)
        let record = try #require(held)
        pair.inject(Array(record.prefix(cut)), towards: .server)
        let inRecord = pair.server.engine.releaseBuffers()
        #expect(!inRecord)
        pair.inject(Array(record.dropFirst(cut)), towards: .server)
        #expect(pair.server.received.suffix(100) == message)
        let behind = pair.server.engine.releaseBuffers()
        #expect(behind)
        held = nil
        try pair.expectDataFlows()
    }

    @Test("messages of mixed sizes in one window arrive whole, whatever fits", arguments: versions)
    func mixed(_ version: ProtocolVersion) throws {
        let pair = try lively(version)
        var sent: [UInt8] = []
        let before = pair.server.received.count
        for size in [1, 5, 700, 1, 2047, 2048, 2049, 16_384, 3, 40_000, 1] {
            let message = pattern(size)
            sent += message
            try pair.send(message, from: .client)
        }
        #expect(Array(pair.server.received.dropFirst(before)) == sent)
    }
}
