// Preshared keys in handshakes: which key, who is asked when, and what fails closed.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct PresharedKeyTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// A stage on which both sides have the same key.
    func stage(
        _ use: PresharedKeyInfo.Use,
        hasCertificate: Bool = false,
        client: (inout TLSPolicy) -> Void = { _ in },
        server: (inout TLSPolicy) -> Void = { _ in }
    ) throws -> KeyStage {
        let key = try PresharedKeyInfo.made(for: use)
        return try KeyStage(
            fixtures,
            client: KeyTable(begin: key),
            server: KeyTable(known: [key]),
            hasCertificate: hasCertificate,
            clientPolicy: client,
            serverPolicy: server
        )
    }

    @Test(
        "the right key is all the proof both sides need, cut anywhere",
        arguments: keyUses,
        [1, 100, .max]
    )
    func rightKey(_ use: PresharedKeyInfo.Use, chunk: Int) throws {
        let stage = try stage(use)
        stage.run(chunk: chunk)
        #expect(stage.pair.errors == [:])
        try stage.pair.expectDataFlows()
        for role in [TLSRole.client, .server] {
            let report = stage.pair.facts(role).report
            #expect(report.authentication == .presharedKey("meter 4711"))
            #expect(report.version == (use == .tls12 ? .tls12 : .tls13))
            #expect(report.peerChain == [])
            #expect(!report.isPeerTrusted)
            #expect(report.ephemeralKey != nil)
        }
    }

    @Test(
        "a key is used beside a certificate too, and insists on its version and hash",
        arguments: keyUses
    )
    func besideCertificate(_ use: PresharedKeyInfo.Use) throws {
        let stage = try stage(use, hasCertificate: true)
        stage.run()
        #expect(stage.pair.errors == [:])
        #expect(stage.authentication(.client) == .presharedKey("meter 4711"))
        #expect(stage.authentication(.server) == .presharedKey("meter 4711"))
    }

    @Test("a client without keys meets the certificate of the same listener", arguments: versions)
    func certificateClient(version: ProtocolVersion) throws {
        let key = try PresharedKeyInfo.made(for: version == .tls12 ? .tls12 : .tls13(.sha256))
        let pair = try EnginePair(
            client: fixtures.client { $0.allowOnly(version) },
            server: fixtures.server { $0.decisions = .presharedKey }
        )
        pair.decide = { _, _ in .presharedKey(key) }
        try pair.handshake()
        #expect(pair.facts(.client).report.authentication == .certificate)
        #expect(pair.facts(.server).report.authentication == .certificate)
        #expect(pair.facts(.client).report.isPeerTrusted)
        try pair.expectDataFlows()
    }

    @Test("a wrong key and an unknown identity look the same to the client", arguments: keyUses)
    func wrongKey(_ use: PresharedKeyInfo.Use) throws {
        let key = try PresharedKeyInfo.made(for: use)
        let other = try PresharedKeyInfo.made(2, for: use)
        var told: [TLSError?] = []
        for known in [[other], []] {
            let stage = try KeyStage(
                fixtures,
                client: KeyTable(begin: key),
                server: KeyTable(known: known)
            )
            stage.run()
            #expect(
                stage.pair.errors[.server]
                    == TLSError(known.isEmpty ? .presharedKeyUnknown : .presharedKeyMismatch)
            )
            #expect(stage.pair.errors[.server]?.category == .policy)
            let error = try #require(stage.pair.errors[.client])
            #expect(error.code == .alertReceived)
            #expect(error.hint?.contains("another preshared key") == true)
            #expect(!stage.pair.facts(.client).isReady || use != .tls12)
            told.append(error)
            #expect(stage.pair.facts(.server).received == [])
        }
        #expect(told[0] == told[1])
        #expect(told[0]?.phase == told[1]?.phase)
    }
}
