// Keying material and channel bindings: the same on both sides, of the right form, and refused where
// they would prove nothing.

import COpenSSL
import TLSTestKit
import Testing

@testable import TLSEngine

@Suite(.timeLimit(.minutes(1)))
struct KeyingMaterialTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    func opened(_ version: ProtocolVersion, key: TestKey = .p256) throws -> EnginePair {
        let pair = try fixtures.pair(version, key: key)
        try pair.handshake()
        return pair
    }

    @Test("both sides export the same, by label, context and count", arguments: versions)
    func agreement(_ version: ProtocolVersion) throws {
        let pair = try opened(version)
        var seen: Set<[UInt8]> = []
        for (label, context, count) in [
            ("EXPORTER-test", nil, 32), ("EXPORTER-test", [1, 2, 3], 32),
            ("EXPORTER-other", nil, 32), ("x", nil, 1), ("EXPORTER-test", nil, 8160),
        ] as [(String, [UInt8]?, Int)] {
            let client = try pair.client.engine.exportKeyingMaterial(
                label: label,
                context: context,
                count: count
            )
            let server = try pair.server.engine.exportKeyingMaterial(
                label: label,
                context: context,
                count: count
            )
            #expect(client == server)
            #expect(client.count == count)
            #expect("\(client)" == "<redacted>")
            seen.insert(client.bytes)
        }
        #expect(seen.count == 5)
    }

    @Test("an empty context is none in TLS 1.3, and another in TLS 1.2", arguments: versions)
    func emptyContext(_ version: ProtocolVersion) throws {
        let pair = try opened(version)
        let none = try pair.client.engine.exportKeyingMaterial(label: "l", count: 32)
        let empty = try pair.client.engine.exportKeyingMaterial(label: "l", context: [], count: 32)
        #expect((none == empty) == (version == .tls13))
    }

    @Test("material differs from connection to connection, and does not change with new keys")
    func freshness() throws {
        let (one, other) = (try opened(.tls13), try opened(.tls13))
        let first = try one.client.engine.exportKeyingMaterial(label: "l", count: 32)
        let second = try other.client.engine.exportKeyingMaterial(label: "l", count: 32)
        #expect(first != second)
        try one.perform(.client) { engine, output throws(TLSError) in
            try engine.updateKeys(requestPeer: true, producing: &output)
        }
        try one.expectDataFlows()
        let later = try one.server.engine.exportKeyingMaterial(label: "l", count: 32)
        #expect(later == first)
    }

    @Test("arguments are taken at their limits, and refused past them", arguments: versions)
    func limits(_ version: ProtocolVersion) throws {
        let pair = try opened(version)
        func export(_ label: String, _ context: Int, _ count: Int) -> TLSError? {
            do throws(TLSError) {
                _ = try pair.client.engine.exportKeyingMaterial(
                    label: label,
                    context: [UInt8](repeating: 7, count: context),
                    count: count
                )
                return nil
            } catch {
                return error
            }
        }
        let long = String(repeating: "l", count: 249)
        let isNew = version == .tls13
        #expect(export(long, isNew ? 65535 : 709, 8160) == nil)
        #expect(export(long, 710, 1) == (isNew ? nil : TLSError(.invalidExport)))
        #expect(export("é", 0, 1) == nil)
        for error in [
            export(long + "l", 0, 1), export("", 0, 1), export("l", 65536, 1), export("l", 0, 0),
            export("l", 0, 8161), export("l", 0, -1), export("master secret", 0, 1),
            export("key expansion", 0, 1), export("client finished", 0, 1),
        ] {
            #expect(error == TLSError(.invalidExport))
            #expect(error?.category == .local)
        }
        // Which is no failure of the connection.
        try pair.expectDataFlows()
    }

    @Test("before the handshake is done there is nothing to export, and no binding")
    func early() throws {
        let pair = try fixtures.pair()
        let error = TLSError(.handshakeIncomplete)
        #expect(throws: error) {
            _ = try pair.client.engine.exportKeyingMaterial(label: "l", count: 1)
        }
        for kind in ChannelBinding.allCases {
            #expect(throws: error) { _ = try pair.client.engine.channelBinding(kind) }
        }
    }

    @Test("TLS 1.2 without extended master secret exports nothing, and binds its certificate only")
    func unboundSecret() throws {
        let context = try fixtures.client { $0.allowOnly(.tls12) }
        let issued = try fixtures.ca.issue("localhost")
        let peer = try RawPeer(.server, certificate: issued) {
            // SSL_OP_NO_EXTENDED_MASTER_SECRET
            unsafe _ = SSL_CTX_set_options($0.pointer, UInt64(1))
        }
        let pair = try RawPair(TLSEngine(context, remoteName: "localhost"), peer)
        pair.settle()
        try #require(pair.isReady)
        let error = TLSError(.featureUnavailable)
        #expect(throws: error) {
            _ = try pair.engine.exportKeyingMaterial(label: "l", count: 1)
        }
        #expect(throws: error) { _ = try pair.engine.channelBinding(.exporter) }
        #expect(throws: error) { _ = try pair.engine.channelBinding(.unique) }
        let digest = OpenSSLLibrary.sha256(issued.certificateDER)
        #expect(try pair.engine.channelBinding(.serverEndPoint) == digest)
    }

    @Test("both sides have the same bindings; tls-unique only in TLS 1.2", arguments: versions)
    func bindings(_ version: ProtocolVersion) throws {
        let pair = try opened(version)
        for kind in ChannelBinding.allCases {
            guard kind != .unique || version == .tls12 else {
                for role in [TLSRole.client, .server] {
                    #expect(throws: TLSError(.featureUnavailable)) {
                        _ = try pair.binding(kind, role)
                    }
                }
                continue
            }
            let client = try pair.binding(kind, .client)
            #expect(try client == pair.binding(kind, .server))
            #expect(client.count == (kind == .unique ? 12 : 32))
        }
        let material = try pair.client.engine.exportKeyingMaterial(
            label: "EXPORTER-Channel-Binding",
            context: [],
            count: 32
        )
        #expect(try pair.binding(.exporter, .client) == material.bytes)
    }

    @Test(
        "the end point's hash is that of its certificate's signature; without one there is none",
        arguments: [TestKey.p256, .p384, .rsa2048, .ed25519],
        versions
    )
    func endPoint(_ key: TestKey, _ version: ProtocolVersion) throws {
        let ca = try TestCA(key: key)
        let issued = try ca.issue("localhost")
        let pair = try EnginePair(
            client: TLSContext(
                role: .client,
                policy: TLSPolicy { $0.allowOnly(version) },
                trust: TrustPolicy(anchors: [Certificate(der: ca.rootDER)])
            ),
            server: TLSContext(role: .server, identities: [TLSIdentity(issued)])
        )
        try pair.handshake()
        guard key != .ed25519 else {
            for role in [TLSRole.client, .server] {
                let error = #expect(throws: TLSError.self) {
                    _ = try pair.binding(.serverEndPoint, role)
                }
                #expect(error?.code == .featureUnavailable)
                #expect(error?.detail?.contains("no hash by itself") == true)
            }
            return
        }
        let certificate = try Certificate(der: issued.certificateDER)
        let expected = try #require(certificate.endPointDigest)
        #expect(try pair.binding(.serverEndPoint, .client) == expected)
        #expect(try pair.binding(.serverEndPoint, .server) == expected)
        if expected.count == 32 {
            #expect(expected == OpenSSLLibrary.sha256(issued.certificateDER))
        }
    }

    @Test(
        "a resumed connection binds by its own handshake; its server does not know the certificate",
        arguments: versions
    )
    func resumed(_ version: ProtocolVersion) throws {
        let client = try fixtures.client { $0.allowOnly(version) }
        let server = try fixtures.server { $0.allowOnly(version) }
        let first = try EnginePair(client: client, server: server)
        try first.handshake()
        try first.expectDataFlows()
        let offered = first.client.engine.session
        let session = try #require(offered)
        let again = try EnginePair(client: client, server: server, resuming: session)
        try again.handshake()
        try #require(again.facts(.client).report.isResumed)
        #expect(try again.binding(.exporter, .client) == again.binding(.exporter, .server))
        #expect(try again.binding(.exporter, .client) != first.binding(.exporter, .client))
        if version == .tls12 {
            #expect(try again.binding(.unique, .client) == again.binding(.unique, .server))
            #expect(try again.binding(.unique, .client) != first.binding(.unique, .client))
        }
        #expect(
            try again.binding(.serverEndPoint, .client) == first.binding(.serverEndPoint, .client)
        )
        #expect(throws: TLSError(.featureUnavailable)) {
            _ = try again.binding(.serverEndPoint, .server)
        }
    }

    @Test("a connection that failed has neither")
    func failed() throws {
        let pair = try opened(.tls13)
        pair.endWire(towards: .client)
        #expect(throws: TLSError(.truncated)) { _ = try pair.binding(.exporter, .client) }
    }
}

extension EnginePair {
    /// The binding of one side.
    func binding(_ kind: ChannelBinding, _ role: TLSRole) throws(TLSError) -> [UInt8] {
        try role == .client
            ? client.engine.channelBinding(kind) : server.engine.channelBinding(kind)
    }
}

extension SecretBytes {
    /// A copy, for tests.
    var bytes: [UInt8] { withBytes { bytes in bytes.indices.map { bytes[$0] } } }
}
