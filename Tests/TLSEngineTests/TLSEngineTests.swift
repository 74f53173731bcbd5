// Handshakes between two engines: every version, kind of key and way of cutting the wire.

import TLSEngine
import TLSTestKit
import Testing

/// One row: a handshake that succeeds.
struct HandshakeRow: Sendable, CustomTestStringConvertible {
    let version: ProtocolVersion
    let key: TestKey
    let chunk: Int
    var testDescription: String {
        "\(version), \(key), \(chunk == .max ? "whole flights" : "\(chunk) bytes at once")"
    }

    static let table: [HandshakeRow] = versions.flatMap { version in
        handshakeKeys.flatMap { key in
            [1, 5, 16, .max].map { HandshakeRow(version: version, key: key, chunk: $0) }
        }
    }
}

@Suite(.timeLimit(.minutes(1)))
struct TLSEngineTests {
    let fixtures: Fixtures

    init() throws { fixtures = try Fixtures.shared() }

    @Test("a handshake succeeds however the wire is cut", arguments: HandshakeRow.table)
    func handshake(_ row: HandshakeRow) throws {
        let pair = try fixtures.pair(row.version, key: row.key)
        try pair.handshake(chunk: row.chunk)
        #expect(pair.isReady)
        #expect(pair.facts(.client).phase == .open)
        #expect(pair.facts(.server).phase == .open)
        let report = pair.facts(.client).report
        #expect(report.version == row.version)
        #expect(report.isPeerTrusted)
        try pair.expectDataFlows()
        try pair.close(.client)
        try pair.close(.server)
        #expect(pair.facts(.client).isAtEnd)
        #expect(pair.facts(.server).isAtEnd)
    }
}
