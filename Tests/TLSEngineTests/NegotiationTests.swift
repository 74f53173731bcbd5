// What two sides agree on: versions, suites, groups, signature algorithms, ALPN, servername.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct NegotiationTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// Runs a handshake that may fail.
    func meet(
        _ key: TestKey = .p256,
        client: (inout TLSPolicy) -> Void = { _ in },
        server: (inout TLSPolicy) -> Void = { _ in }
    ) throws -> EnginePair {
        let pair = try EnginePair(
            client: fixtures.client(client),
            server: fixtures.server(key, server)
        )
        pair.settle()
        return pair
    }

    @Test("the newest version both allow is spoken; the report tells what was offered")
    func newestVersion() throws {
        let both = try meet().facts(.client).report
        #expect(both.version == .tls13)
        #expect(both.versionsOffered == .tls12 ... .tls13)
        let older = try meet(server: { $0.maximumVersion = .tls12 })
        #expect(older.facts(.client).report.version == .tls12)
        #expect(older.facts(.server).report.versionsOffered == .tls12 ... .tls12)
    }

    @Test("without a version in common both sides say so", arguments: versions)
    func noVersion(_ version: ProtocolVersion) throws {
        let other: ProtocolVersion = version == .tls12 ? .tls13 : .tls12
        let pair = try meet(
            client: { $0.allowOnly(version) },
            server: { $0.allowOnly(other) }
        )
        #expect(pair.errors[.server] == TLSError(.noSharedParameters))
        #expect(pair.errors[.server]?.phase == .clientHello)
        #expect(pair.errors[.client] == TLSError(.alertReceived, alert: .protocolVersion))
        #expect(pair.errors[.client]?.phase == .serverHello)
        #expect(pair.facts(.client).report.version == nil)
        #expect(pair.facts(.server).report.alertSent == .protocolVersion)
    }

    @Test(
        "a suite is agreed on by IANA and by OpenSSL name, and decides the version",
        arguments: [
            ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", ProtocolVersion.tls12, 0xc02b, 128),
            ("ECDHE-ECDSA-AES256-GCM-SHA384", .tls12, 0xc02c, 256),
            ("ECDHE-ECDSA-AES128-SHA256", .tls12, 0xc023, 128),
            ("TLS_AES_128_GCM_SHA256", .tls13, 0x1301, 128),
            ("TLS_CHACHA20_POLY1305_SHA256", .tls13, 0x1303, 256),
            ("TLS_AES_128_CCM_SHA256", .tls13, 0x1304, 128),
        ] as [(String, ProtocolVersion, UInt16, Int)]
    )
    func suite(_ name: String, _ version: ProtocolVersion, _ id: UInt16, _ bits: Int) throws {
        let pair = try meet(
            client: { $0.cipherAlgorithms = [name] },
            server: { $0.cipherAlgorithms = CipherNames.all }
        )
        #expect(pair.isReady)
        for role in [TLSRole.client, .server] {
            let report = pair.facts(role).report
            #expect(report.version == version)
            #expect(report.cipherSuite?.id == id)
            #expect(report.cipherSuite?.bits == bits)
            let names = [report.cipherSuite?.name, report.cipherSuite?.standardName]
            #expect(names.contains(name))
        }
        try pair.expectDataFlows()
    }

    @Test("a server that names suites chooses by its own order")
    func suiteOrder() throws {
        let names = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]
        let pair = try meet(
            client: { $0.cipherAlgorithms = names.reversed() },
            server: { $0.cipherAlgorithms = names }
        )
        #expect(pair.facts(.client).report.cipherSuite?.standardName == names[0])
    }

    @Test("without a suite in common both sides say so")
    func noSuite() throws {
        let pair = try meet(
            client: { $0.cipherAlgorithms = ["TLS_AES_128_GCM_SHA256"] },
            server: { $0.cipherAlgorithms = ["TLS_AES_256_GCM_SHA384"] }
        )
        #expect(pair.errors[.server] == TLSError(.noSharedParameters))
        #expect(pair.errors[.client] == TLSError(.alertReceived, alert: .handshakeFailure))
        #expect(pair.errors[.client]?.hint != nil)
    }

    @Test("a suite for another kind of key is no suite in common")
    func suiteForOtherKey() throws {
        let pair = try meet(
            .rsa2048,
            client: { $0.cipherAlgorithms = ["ECDHE-ECDSA-AES128-GCM-SHA256"] }
        )
        #expect(pair.errors[.server] == TLSError(.noSharedParameters))
    }

    @Test(
        "the group is agreed on by name, and the ephemeral key told on both sides",
        arguments: versions,
        [
            ("x25519", NamedGroup.x25519, EphemeralKey(type: "ECDH", name: "X25519", size: 253)),
            ("P-256", .secp256r1, EphemeralKey(type: "ECDH", name: "prime256v1", size: 256)),
            ("secp384r1", .secp384r1, EphemeralKey(type: "ECDH", name: "secp384r1", size: 384)),
            ("x448", .x448, EphemeralKey(type: "ECDH", name: "X448", size: 448)),
        ]
    )
    func group(_ version: ProtocolVersion, _ row: (String, NamedGroup, EphemeralKey)) throws {
        // In TLS 1.2 the groups bind an ECDSA certificate's curve too (RFC 8422 §5.1.1).
        let pair = try meet(
            .rsa2048,
            client: {
                $0.allowOnly(version)
                $0.groups = [row.0]
            }
        )
        #expect(pair.isReady)
        for role in [TLSRole.client, .server] {
            #expect(pair.facts(role).report.group == row.1)
            #expect(pair.facts(role).report.ephemeralKey == row.2)
            #expect(!pair.facts(role).report.isHelloRetried)
        }
    }

    @Test("finite fields are spoken in TLS 1.3, and named")
    func finiteField() throws {
        let pair = try meet(client: { $0.groups = ["ffdhe2048"] })
        #expect(pair.isReady)
        #expect(pair.facts(.client).report.group?.description == "ffdhe2048")
        let key = EphemeralKey(type: "DH", name: "", size: 2048)
        #expect(pair.facts(.client).report.ephemeralKey == key)
        #expect(pair.facts(.server).report.ephemeralKey == key)
    }

    @Test("a server that wants another group than the first asks again, and both sides tell")
    func helloRetry() throws {
        let pair = try meet(
            client: { $0.groups = ["x25519", "P-384"] },
            server: { $0.groups = ["P-384"] }
        )
        #expect(pair.isReady)
        for role in [TLSRole.client, .server] {
            #expect(pair.facts(role).report.isHelloRetried)
            #expect(pair.facts(role).report.group == .secp384r1)
        }
        try pair.expectDataFlows()
    }

    @Test("without a group in common both sides say so", arguments: versions)
    func noGroup(_ version: ProtocolVersion) throws {
        let pair = try meet(
            client: {
                $0.allowOnly(version)
                $0.groups = ["x25519"]
            },
            server: { $0.groups = ["P-384"] }
        )
        #expect(pair.errors[.server] == TLSError(.noSharedParameters))
        #expect(pair.errors[.client] == TLSError(.alertReceived, alert: .handshakeFailure))
    }

    @Test(
        "the server proves itself by an algorithm that both sides name",
        arguments: versions,
        [
            (TestKey.p256, "ecdsa_secp256r1_sha256"), (.p384, "ecdsa_secp384r1_sha384"),
            (.ed25519, "ed25519"), (.rsa2048, "rsa_pss_rsae_sha384"),
            (.rsaPSS2048, "rsa_pss_pss_sha256"),
        ]
    )
    func signature(_ version: ProtocolVersion, _ row: (TestKey, String)) throws {
        let pair = try meet(
            row.0,
            client: {
                $0.allowOnly(version)
                $0.signatureAlgorithms = [row.1, "ecdsa_secp521r1_sha512"]
            }
        )
        #expect(pair.isReady)
        #expect(pair.facts(.client).report.peerSignatureAlgorithm == row.1)
        #expect(pair.facts(.server).report.sharedSignatureAlgorithms.contains(row.1))
        #expect(pair.facts(.client).report.sharedSignatureAlgorithms.isEmpty)
    }

    @Test("without a signature algorithm in common both sides say so", arguments: versions)
    func noSignature(_ version: ProtocolVersion) throws {
        let pair = try meet(
            client: {
                $0.allowOnly(version)
                $0.signatureAlgorithms = ["rsa_pss_rsae_sha256"]
            }
        )
        #expect(pair.errors[.server] == TLSError(.noSharedParameters))
        #expect(pair.errors[.client] == TLSError(.alertReceived, alert: .handshakeFailure))
    }

    @Test("a server with several identities presents the one the client can verify")
    func severalIdentities() throws {
        let identities = try [fixtures.serverIdentity(.p256), fixtures.serverIdentity(.rsa2048)]
        let server = try fixtures.server(identities: identities)
        for (algorithm, key) in [("ecdsa_secp256r1_sha256", "EC"), ("rsa_pss_rsae_sha256", "RSA")] {
            let client = try fixtures.client { $0.signatureAlgorithms = [algorithm] }
            let pair = try EnginePair(client: client, server: server)
            try pair.handshake()
            #expect(pair.facts(.client).report.peerChain.first?.publicKey.type == key)
            #expect(pair.facts(.server).report.localCertificate?.publicKey.type == key)
        }
    }
}

private enum CipherNames {
    static let all = [
        "TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_CCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-SHA256",
    ]
}

/// One row: what both sides say about ALPN, and what comes of it.
struct ALPNRow: Sendable, CustomTestStringConvertible {
    var client: [String] = []
    var clientRequires = false
    var server: [String] = []
    var serverRequires = false
    var agreed: String?
    var clientError: TLSError?
    var serverError: TLSError?
    var testDescription: String {
        "\(client)\(clientRequires ? " required" : "") meets"
            + " \(server)\(serverRequires ? " required" : "")"
    }

    static let refused = TLSError(.noApplicationProtocol)
    static let alerted = TLSError(.alertReceived, alert: .noApplicationProtocol)
    static let table = [
        ALPNRow(),
        ALPNRow(client: ["h2"]),
        ALPNRow(server: ["h2"]),
        ALPNRow(client: ["h2", "http/1.1"], server: ["h2", "http/1.1"], agreed: "h2"),
        ALPNRow(client: ["h2", "http/1.1"], server: ["http/1.1", "h2"], agreed: "http/1.1"),
        ALPNRow(client: ["h3", "h2"], server: ["h2"], agreed: "h2"),
        ALPNRow(client: ["h2"], server: ["h3"], clientError: alerted, serverError: refused),
        ALPNRow(
            client: ["h2"],
            clientRequires: true,
            server: ["h2"],
            serverRequires: true,
            agreed: "h2"
        ),
        ALPNRow(server: ["h2"], serverRequires: true, clientError: alerted, serverError: refused),
        ALPNRow(
            client: ["h2"],
            clientRequires: true,
            clientError: refused,
            serverError: TLSError(.alertReceived, alert: .handshakeFailure)
        ),
    ]
}

@Suite(.timeLimit(.minutes(1)))
struct ALPNNegotiationTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    @Test(
        "ALPN is agreed on, left out, or refused by the side that cares (RFC 7301 §3.2)",
        arguments: ALPNRow.table,
        versions
    )
    func alpn(_ row: ALPNRow, _ version: ProtocolVersion) throws {
        let pair = try EnginePair(
            client: fixtures.client {
                $0.allowOnly(version)
                $0.alpn = row.client
                $0.alpnRequired = row.clientRequires
            },
            server: fixtures.server {
                $0.alpn = row.server
                $0.alpnRequired = row.serverRequires
            }
        )
        pair.settle()
        #expect(pair.errors[.client] == row.clientError)
        #expect(pair.errors[.server] == row.serverError)
        let report = pair.facts(.client).report
        #expect(report.alpn == row.agreed)
        #expect(report.alpnOffered == row.client)
        if row.serverError == nil {
            #expect(pair.facts(.server).report.alpn == row.agreed)
        }
        guard row.clientError == nil else { return }
        try pair.expectDataFlows()
    }

    @Test(
        "a client that refuses the server's silence says so, in the middle of the handshake",
        arguments: versions
    )
    func clientRefusal(_ version: ProtocolVersion) throws {
        let pair = try EnginePair(
            client: fixtures.client {
                $0.allowOnly(version)
                $0.alpn = ["h2"]
                $0.alpnRequired = true
            },
            server: fixtures.server()
        )
        pair.settle()
        #expect(pair.errors[.server] == TLSError(.alertReceived, alert: .handshakeFailure))
        #expect(pair.errors[.client]?.phase == .certificate)
        #expect(pair.errors[.client]?.hint != nil)
        let report = pair.facts(.client).report
        #expect(report.isPeerTrusted && report.alertSent == .handshakeFailure)
    }
}

@Suite(.timeLimit(.minutes(1)))
struct ServernameNegotiationTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// One row: names given to a client, and what the server sees.
    struct Row: Sendable, CustomTestStringConvertible {
        let remote: String?
        let servername: String?
        let sent: String?
        var testDescription: String {
            "remote \(remote ?? "none"), servername \(servername ?? "default")"
        }
    }

    @Test(
        "the remote's DNS name is sent, another on request, and never an address (RFC 6066 §3)",
        arguments: [
            Row(remote: "localhost", servername: nil, sent: "localhost"),
            Row(remote: "localhost.", servername: nil, sent: "localhost"),
            Row(remote: "127.0.0.1", servername: nil, sent: nil),
            Row(remote: "127.0.0.1", servername: "localhost", sent: "localhost"),
            Row(remote: "other.test", servername: "localhost", sent: "localhost"),
            Row(remote: "localhost", servername: "", sent: nil),
            Row(remote: nil, servername: "localhost", sent: "localhost"),
        ],
        versions
    )
    func servername(_ row: Row, _ version: ProtocolVersion) throws {
        let pair = try EnginePair(
            client: fixtures.client { $0.allowOnly(version) },
            server: fixtures.server(),
            remoteName: row.remote,
            servername: row.servername
        )
        try pair.handshake()
        #expect(pair.facts(.server).report.servername == row.sent)
        #expect(pair.facts(.client).report.servername == row.sent)
        #expect(pair.facts(.client).report.isServernameAcknowledged == (row.sent != nil))
        #expect(pair.facts(.client).report.isPeerTrusted)
    }

    @Test(
        "a name that cannot be sent or verified is refused before anything is sent",
        arguments: [
            (nil, nil), (nil, ""), ("localhost", "127.0.0.1"), ("localhost", "a..b"), ("a b", nil),
            ("bücher.test", nil), ("/tmp/socket", nil),
        ] as [(String?, String?)]
    )
    func refusal(_ remote: String?, _ servername: String?) throws {
        let client = try fixtures.client()
        #expect(throws: TLSError(.invalidServername)) {
            _ = try TLSEngine(client, remoteName: remote, servername: servername)
        }
    }

    @Test("a client that accepts anything needs no name that a certificate could be for")
    func acceptAnything() throws {
        let client = try fixtures.client(trust: .acceptAnything(because: "test"))
        for remote in [nil, "/tmp/socket", "localhost"] {
            let pair = try EnginePair(
                client: client,
                server: fixtures.server(),
                remoteName: remote
            )
            try pair.handshake()
            #expect(pair.facts(.server).report.servername == (remote == "localhost" ? remote : nil))
        }
    }

    @Test("a server takes no names")
    func server() throws {
        let engine = try TLSEngine(fixtures.server(), remoteName: "a b", servername: "127.0.0.1")
        let name = engine.servername
        #expect(name == nil)
    }
}
