// How much ciphertext fills a buffer: that of full records, however large the suite makes them.

import TLSEngine
import TLSTestKit
import Testing

@Suite struct RecordSizeTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    @Test(
        "a buffer is filled by the ciphertext of full records, to the byte",
        arguments: versions,
        [0, 1, 16384, 16385, 65536]
    )
    func filling(_ version: ProtocolVersion, _ room: Int) throws {
        var wire = 0
        let pair = try fixtures.pair(version) { sender, chunk in
            if sender == .client { wire += chunk.count }
            return chunk
        }
        try pair.handshake()
        let full = TLSEngine.recordPlaintextMax
        if version == .tls12 { try pair.send(pattern(full), from: .client) }
        let records = max(1, (room + full - 1) / full)
        let bytes = pair.server.engine.ciphertextBytes(filling: room)
        wire = 0
        try pair.send(pattern(records * full), from: .client)
        #expect(bytes == wire)
    }

    @Test("smaller records, and the other direction, change nothing", arguments: versions)
    func others(_ version: ProtocolVersion) throws {
        let pair = try fixtures.pair(version)
        try pair.handshake()
        let full = TLSEngine.recordPlaintextMax
        try pair.send(pattern(full), from: .client)
        let bytes = pair.server.engine.ciphertextBytes(filling: full)
        for count in [1, 100, full - 300] { try pair.send(pattern(count), from: .client) }
        try pair.send(pattern(full), from: .server)
        #expect(pair.server.engine.ciphertextBytes(filling: full) == bytes)
        #expect(bytes > full)
    }
}
