// The smallest finite field for key exchange: of the policy and of the system's security level.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct DiffieHellmanFloorTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// Has two sides of TLS 1.2 exchange keys over a finite field.
    func meet(client: Int, server: Int, group: [String]? = nil) throws -> EnginePair {
        let pair = try EnginePair(
            client: fixtures.client {
                $0.cipherAlgorithms = ["DHE-RSA-AES128-GCM-SHA256"]
                $0.minDHSize = client
            },
            server: fixtures.server(.rsa2048) { $0.minDHSize = server }
        )
        pair.settle()
        return pair
    }

    @Test("a field of the minimum is taken, one below it refused, and the error names both floors")
    func client() throws {
        // Of RFC 7919, as the server has one of its own when it wants more than the security level.
        let rows: [(client: Int, server: Int, size: Int?)] = [
            (1024, 1024, 2048), (2048, 1024, 2048), (2049, 1024, nil), (3072, 2049, 3072),
            (3072, 3072, 3072), (3073, 3072, nil), (4096, 4096, 4096), (10_000, 8192, nil),
        ]
        for row in rows {
            let pair = try meet(client: row.client, server: row.server)
            let (client, server) = (pair.facts(.client), pair.facts(.server))
            guard let size = row.size else {
                #expect(client.error == TLSError(.weakParameters))
                #expect(client.error?.category == .policy)
                #expect(client.error?.phase == .keyExchange)
                let detail = try #require(client.error?.detail)
                #expect(detail.contains("minDHSize is \(row.client)"))
                #expect(detail.contains("security level 2 asks for 2048"))
                #expect(client.error?.hint?.contains("lower minDHSize") == true)
                #expect(server.error?.alert == .handshakeFailure)
                continue
            }
            #expect(pair.isReady)
            try pair.expectDataFlows()
            #expect(client.report.ephemeralKey == EphemeralKey(type: "DH", name: "", size: size))
        }
    }

    @Test("elliptic curves have no part in it", arguments: versions)
    func curves(_ version: ProtocolVersion) throws {
        let pair = try EnginePair(
            client: fixtures.client {
                $0.allowOnly(version)
                $0.minDHSize = 10_000
            },
            server: fixtures.server { $0.minDHSize = 10_000 }
        )
        try pair.handshake()
        try pair.expectDataFlows()
    }

    @Test("in TLS 1.3 the smaller groups are neither offered nor taken")
    func groups() throws {
        let both = ["ffdhe2048", "ffdhe3072"]
        let rows: [(client: Int, server: Int, groups: [String], group: NamedGroup?)] = [
            (1024, 1024, both, NamedGroup(rawValue: 0x0100)),
            (3072, 1024, both, NamedGroup(rawValue: 0x0101)),
            (1024, 3072, both, NamedGroup(rawValue: 0x0101)),
            (1024, 3072, ["ffdhe2048"], nil),
        ]
        for row in rows {
            let pair = try EnginePair(
                client: fixtures.client {
                    $0.allowOnly(.tls13)
                    $0.groups = row.groups
                    $0.minDHSize = row.client
                },
                server: fixtures.server {
                    $0.groups = both
                    $0.minDHSize = row.server
                }
            )
            pair.settle()
            #expect(pair.isReady == (row.group != nil))
            #expect(pair.facts(.client).report.group == row.group)
            if row.group == nil { #expect(pair.errors[.server] == TLSError(.noSharedParameters)) }
        }
    }

    @Test("a size out of range is no policy")
    func range() throws {
        for size in [-1, 10_001] {
            #expect(throws: TLSError(.invalidPolicy)) {
                try fixtures.client { $0.minDHSize = size }
            }
        }
        for size in [0, 10_000] { _ = try fixtures.client { $0.minDHSize = size } }
    }
}
