// A key store for tests: who knows which preshared key, and what was asked.

import TLSEngine
import TLSTestKit
import Testing

/// What a key is used for, in all forms there are.
let keyUses: [PresharedKeyInfo.Use] = [.tls12, .tls13(.sha256), .tls13(.sha384)]

extension PresharedKeyInfo {
    /// A key of this process, which plays both sides in its tests.
    static func made(
        _ seed: UInt8 = 1,
        _ identity: PresharedKeyIdentity = "meter 4711",
        for use: Use
    ) throws -> PresharedKeyInfo {
        let name = "\(use)\(seed)"
        let key = (0..<32).map { UInt8(truncatingIfNeeded: name.utf8.count &* 7 &+ $0) ^ seed }
        return try PresharedKeyInfo(
            key: Array(name.utf8) + key,
            identity: identity,
            use: use,
            roles: .both(because: "the test plays both sides")
        )
    }
}

/// The keys of one side.
struct KeyTable {
    /// What a client has.
    var begin: PresharedKeyInfo?
    /// What a client has for hints; the empty text stands for none.
    var hinted: [String: PresharedKeyInfo] = [:]
    /// What a server knows.
    var known: [PresharedKeyInfo] = []

    func answer(_ request: PresharedKeyRequest) -> PresharedKeyInfo? {
        switch request {
        case .begin: begin
        case .hint(let hint): hinted[hint ?? ""] ?? begin
        case .identity(let identity, _): known.first { $0.identity == identity }
        }
    }
}

/// Two engines and their keys.
final class KeyStage {
    let pair: EnginePair
    var tables: [TLSRole: KeyTable]
    private(set) var asked: [TLSRole: [PresharedKeyRequest]] = [:]

    init(
        _ fixtures: Fixtures,
        client: KeyTable,
        server: KeyTable,
        hasCertificate: Bool = false,
        clientPolicy: (inout TLSPolicy) -> Void = { _ in },
        serverPolicy: (inout TLSPolicy) -> Void = { _ in },
        tamper: EnginePair.Tamper? = nil
    ) throws {
        pair = try EnginePair(
            client: fixtures.client {
                $0.decisions = .presharedKey
                clientPolicy(&$0)
            },
            server: fixtures.server(identities: hasCertificate ? nil : []) {
                $0.decisions = .presharedKey
                serverPolicy(&$0)
            },
            tamper: tamper
        )
        tables = [.client: client, .server: server]
        pair.decide = { [unowned self] role, question in
            guard case .presharedKey(let request) = question else { return .accept }
            asked[role, default: []].append(request)
            return .presharedKey(tables[role]?.answer(request))
        }
    }

    /// Runs both handshakes, whatever comes of them.
    func run(chunk: Int = .max) {
        pair.chunk = chunk
        pair.settle()
    }

    func authentication(_ role: TLSRole) -> HandshakeAuthentication? {
        pair.facts(role).report.authentication
    }
}
