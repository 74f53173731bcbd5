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
            // For ML-KEM, the default of OpenSSL 3.5, a server sends none.
            let isSent = role == .server || report.group != .x25519MLKEM768
            #expect((report.ephemeralKey != nil) == isSent)
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

    @Test(
        "without a word from the owner nothing moves; with it everything does",
        arguments: keyUses
    )
    func suspended(_ use: PresharedKeyInfo.Use) throws {
        let key = try PresharedKeyInfo.made(for: use)
        for role in [TLSRole.client, .server] {
            let stage = try KeyStage(
                fixtures,
                client: KeyTable(begin: key),
                server: KeyTable(known: [key])
            )
            let decide = stage.pair.decide
            stage.pair.decide = { $0 == role ? nil : decide?($0, $1) }
            stage.run()
            guard case .presharedKey(let request)? = stage.pair.question(role) else {
                Issue.record("nobody was asked")
                return
            }
            #expect(stage.pair.facts(role).phase == stage.pair.question(role)?.phase)
            let before = stage.pair.delivered
            stage.pair.settle()
            #expect(stage.pair.delivered == before)
            stage.pair.decide = decide
            try stage.pair.answer(role, .presharedKey(stage.tables[role]?.answer(request)))
            #expect(stage.pair.errors == [:])
            try stage.pair.expectDataFlows()
        }
    }

    @Test("a refusal ends the handshake, and the peer is told where it waits", arguments: keyUses)
    func refused(_ use: PresharedKeyInfo.Use) throws {
        let key = try PresharedKeyInfo.made(for: use)
        for role in [TLSRole.client, .server] {
            let stage = try KeyStage(
                fixtures,
                client: KeyTable(begin: key),
                server: KeyTable(known: [key])
            )
            let decide = stage.pair.decide
            stage.pair.decide = {
                $0 == role
                    ? .refuse(TLSRefusal("the store is on fire", alert: .internalError))
                    : decide?($0, $1)
            }
            stage.run()
            #expect(stage.pair.errors[role] == TLSError(.refusedByApplication))
            #expect(stage.pair.errors[role]?.detail == "the store is on fire")
            let peer: TLSRole = role == .client ? .server : .client
            // A client that is asked before it begins has said nothing.
            let told = role == .client ? nil : TLSError(.alertReceived, alert: .internalError)
            #expect(stage.pair.errors[peer] == told)
        }
    }

    @Test("a client of TLS 1.2 that has no key for the hint says so to the server")
    func refusedHint() throws {
        let key = try PresharedKeyInfo.made(for: .tls12)
        let stage = try KeyStage(
            fixtures,
            client: KeyTable(),
            server: KeyTable(known: [key]),
            clientPolicy: { $0.allowOnly(.tls12) },
            serverPolicy: { $0.presharedKeyHint = "floor 3" }
        )
        stage.run()
        #expect(stage.asked[.client] == [.hint("floor 3")])
        #expect(stage.pair.errors[.client] == TLSError(.presharedKeyMissing))
        #expect(stage.pair.errors[.client]?.category == .local)
        #expect(stage.pair.errors[.server] == TLSError(.alertReceived, alert: .handshakeFailure))
    }

    @Test(
        "a client is asked before TLS 1.3, and in TLS 1.2 again only for a hint",
        arguments: [nil, "floor 3"],
        [true, false]
    )
    func questions(_ hint: String?, _ begins: Bool) throws {
        let key = try PresharedKeyInfo.made(for: .tls12)
        let other = try PresharedKeyInfo.made(3, "other", for: .tls12)
        let stage = try KeyStage(
            fixtures,
            client: KeyTable(begin: begins ? key : nil, hinted: ["floor 3": other, "": key]),
            server: KeyTable(known: [key, other]),
            serverPolicy: {
                $0.presharedKeyHint = hint
                $0.maximumVersion = .tls12
            }
        )
        stage.run()
        #expect(stage.pair.errors == [:])
        let asksAgain = hint != nil || !begins
        #expect(stage.asked[.client] == [.begin] + (asksAgain ? [.hint(hint)] : []))
        let identity = hint == nil ? key.identity : other.identity
        #expect(stage.asked[.server] == [.identity(identity, .tls12)])
        #expect(stage.authentication(.client) == .presharedKey(identity))
        #expect(stage.authentication(.server) == .presharedKey(identity))
    }

    @Test("a key of one hash and a listener of the other: it fails closed, and says why")
    func wrongHash() throws {
        for (mine, theirs) in [
            (PresharedKeyHash.sha256, PresharedKeyHash.sha384), (.sha384, .sha256),
        ] {
            let key = try PresharedKeyInfo.made(4, for: .tls13(mine))
            let known = try PresharedKeyInfo.made(5, for: .tls13(theirs))
            for hasCertificate in [true, false] {
                let stage = try KeyStage(
                    fixtures,
                    client: KeyTable(begin: key),
                    server: KeyTable(known: [known]),
                    hasCertificate: hasCertificate
                )
                stage.run()
                if hasCertificate {
                    #expect(stage.pair.errors[.client] == TLSError(.presharedKeyUnused))
                    #expect(stage.pair.errors[.client]?.category == .policy)
                    #expect(stage.pair.errors[.server]?.code == .alertReceived)
                } else {
                    #expect(stage.pair.errors[.server] == TLSError(.presharedKeyUnused))
                    #expect(stage.pair.errors[.client]?.code == .alertReceived)
                }
                #expect(!stage.pair.isReady)
            }
        }
    }

    @Test(
        "a certificate instead of the key ends the handshake, unless the demand is .never",
        arguments: keyUses
    )
    func certificateInstead(_ use: PresharedKeyInfo.Use) throws {
        for demand in PresharedKeyDemand.allCases {
            let stage = try KeyStage(
                fixtures,
                client: KeyTable(begin: PresharedKeyInfo.made(for: use)),
                server: KeyTable(),
                hasCertificate: true,
                clientPolicy: { $0.presharedKeyDemand = demand },
                serverPolicy: { $0.decisions = [] }
            )
            stage.run()
            guard demand != .never else {
                #expect(stage.pair.errors == [:])
                #expect(stage.authentication(.client) == .certificate)
                continue
            }
            #expect(!stage.pair.facts(.client).isReady)
            // In TLS 1.2 nothing is offered that a certificate could be used with.
            #expect(
                stage.pair.errors[.client]
                    == (use == .tls12
                        ? TLSError(.alertReceived, alert: .handshakeFailure)
                        : TLSError(.presharedKeyUnused))
            )
        }
    }

    @Test(
        "without a key a demand decides: only .always ends the connection before it begins",
        arguments: versions
    )
    func noKey(version: ProtocolVersion) throws {
        for demand in PresharedKeyDemand.allCases {
            let stage = try KeyStage(
                fixtures,
                client: KeyTable(),
                server: KeyTable(),
                hasCertificate: true,
                clientPolicy: {
                    $0.allowOnly(version)
                    $0.presharedKeyDemand = demand
                },
                serverPolicy: { $0.decisions = [] }
            )
            stage.run()
            guard demand == .always else {
                #expect(stage.pair.errors == [:])
                #expect(stage.authentication(.client) == .certificate)
                continue
            }
            let error = stage.pair.errors[.client]
            #expect(error?.code == (version == .tls13 ? .presharedKeyMissing : .alertReceived))
            #expect(!stage.pair.facts(.client).isReady)
        }
    }

    @Test(
        "a server that wants another group first gets the key with the second hello too",
        arguments: [PresharedKeyHash.sha256, .sha384]
    )
    func helloRetry(_ hash: PresharedKeyHash) throws {
        for hasCertificate in [false, true] {
            let stage = try stage(
                .tls13(hash),
                hasCertificate: hasCertificate,
                client: { $0.groups = ["x25519", "P-384"] },
                server: { $0.groups = ["P-384"] }
            )
            stage.run(chunk: 1)
            #expect(stage.pair.errors == [:])
            #expect(stage.pair.facts(.client).report.isHelloRetried)
            #expect(stage.authentication(.server) == .presharedKey("meter 4711"))
            #expect(stage.asked[.server]?.count == 1)
            #expect(stage.asked[.client] == [.begin])
        }
    }

    @Test(
        "without forward secrecy, or in CBC, only for those who name it",
        arguments: [
            "PSK-AES128-GCM-SHA256", "DHE-PSK-AES128-CBC-SHA256", "ECDHE-PSK-AES128-CBC-SHA256",
        ]
    )
    func namedSuites(_ name: String) throws {
        for (isNamedByClient, isNamedByServer) in [(true, true), (true, false), (false, true)] {
            let stage = try stage(
                .tls12,
                client: { $0.cipherAlgorithms = isNamedByClient ? [name] : nil },
                server: { $0.cipherAlgorithms = isNamedByServer ? [name] : nil }
            )
            stage.run(chunk: 7)
            guard isNamedByClient, isNamedByServer else {
                #expect(stage.pair.errors[.server] == TLSError(.noSharedParameters))
                continue
            }
            #expect(stage.pair.errors == [:])
            #expect(stage.pair.facts(.server).report.cipherSuite?.name == name)
            try stage.pair.expectDataFlows()
        }
    }

    @Test(
        "suites that are named choose between ECDHE and DHE",
        arguments: [
            "ECDHE-PSK-CHACHA20-POLY1305", "DHE-PSK-AES256-GCM-SHA384", "DHE-PSK-CHACHA20-POLY1305",
            "DHE-PSK-AES128-GCM-SHA256", "DHE-PSK-AES128-CCM",
        ]
    )
    func suite(_ name: String) throws {
        let stage = try stage(.tls12, server: { $0.cipherAlgorithms = [name] })
        stage.tables[.client]?.hinted = [:]
        stage.run()
        guard name != "DHE-PSK-AES128-CCM" else {
            #expect(stage.pair.errors[.server] == TLSError(.noSharedParameters))
            return
        }
        #expect(stage.pair.errors == [:])
        #expect(stage.pair.facts(.client).report.cipherSuite?.name == name)
    }

    @Test("a suite with key and certificate proves both")
    func keyAndCertificate() throws {
        let key = try PresharedKeyInfo.made(for: .tls12)
        let name = "RSA-PSK-AES128-GCM-SHA256"
        let pair = try EnginePair(
            client: fixtures.client {
                $0.decisions = .presharedKey
                $0.cipherAlgorithms = [name]
            },
            server: fixtures.server(.rsa2048) {
                $0.decisions = .presharedKey
                $0.cipherAlgorithms = [name]
            }
        )
        pair.decide = { _, _ in .presharedKey(key) }
        try pair.handshake()
        #expect(pair.facts(.client).report.authentication == .presharedKey("meter 4711"))
        #expect(pair.facts(.client).report.isPeerTrusted)
        try pair.expectDataFlows()
    }

    @Test("a key takes the place of a client certificate that is demanded", arguments: keyUses)
    func insteadOfClientCertificate(_ use: PresharedKeyInfo.Use) throws {
        let stage = try stage(
            use,
            hasCertificate: true,
            server: {
                $0.clientAuthentication = .require
                $0.decisions = [.presharedKey, .clientCertificate]
            }
        )
        stage.run()
        #expect(stage.pair.errors == [:])
        #expect(stage.authentication(.server) == .presharedKey("meter 4711"))
        try stage.pair.expectDataFlows()
        // A client without either stays out.
        let stranger = try EnginePair(
            client: fixtures.client(),
            server: fixtures.server {
                $0.clientAuthentication = .require
                $0.decisions = .presharedKey
            }
        )
        stranger.settle()
        #expect(stranger.errors[.server] == TLSError(.peerCertificateMissing))
    }

    @Test("keys belong to the virtual host that answers", arguments: keyUses)
    func virtualHost(_ use: PresharedKeyInfo.Use) throws {
        let key = try PresharedKeyInfo.made(for: use)
        var hosts = TLSHosts(fallback: .always)
        try hosts.add(
            "localhost",
            TLSContext(role: .server, policy: TLSPolicy { $0.decisions = .presharedKey })
        )
        for name in ["localhost", "other.test"] {
            let pair = try EnginePair(
                client: fixtures.client { $0.decisions = .presharedKey },
                server: TLSContext(
                    role: .server,
                    identities: [fixtures.serverIdentity()],
                    hosts: hosts
                ),
                remoteName: name
            )
            pair.decide = { _, _ in .presharedKey(key) }
            pair.chunk = 9
            pair.settle()
            #expect(pair.isReady == (name == "localhost"))
            guard name == "localhost" else { continue }
            #expect(pair.facts(.server).report.authentication == .presharedKey("meter 4711"))
        }
    }

    @Test("with a choice by the ClientHello keys are asked for behind it")
    func behindHelloChoice() throws {
        for use in keyUses {
            let stage = try stage(
                use,
                hasCertificate: true,
                server: { $0.decisions = [.presharedKey, .clientHello] }
            )
            stage.run(chunk: 50)
            #expect(stage.pair.errors == [:])
            #expect(stage.authentication(.server) == .presharedKey("meter 4711"))
        }
    }

    @Test("a client that takes nothing but keys needs nobody to trust", arguments: keyUses)
    func noAnchors(_ use: PresharedKeyInfo.Use) throws {
        let key = try PresharedKeyInfo.made(for: use)
        let nobody = TrustPolicy(anchors: [])
        #expect(throws: TLSError(.emptyTrustStore)) {
            try fixtures.client(trust: nobody) { $0.decisions = .presharedKey }
        }
        for hasKeys in [true, false] {
            let pair = try EnginePair(
                client: fixtures.client(trust: nobody) {
                    $0.decisions = .presharedKey
                    $0.presharedKeyDemand = .always
                },
                server: fixtures.server { $0.decisions = hasKeys ? .presharedKey : [] }
            )
            pair.decide = { _, _ in .presharedKey(key) }
            pair.settle()
            #expect(pair.isReady == hasKeys)
        }
    }

    // MARK: Wrong answers

    @Test("a server's key for the other version is as good as none")
    func keyOfOtherVersion() throws {
        let mine = try PresharedKeyInfo.made(6, for: .tls13(.sha256))
        let known = try PresharedKeyInfo.made(7, for: .tls12)
        for (mine, known) in [(mine, known), (known, mine)] {
            let stage = try KeyStage(
                fixtures,
                client: KeyTable(begin: mine),
                server: KeyTable(known: [known])
            )
            stage.run()
            #expect(stage.pair.errors[.server] == TLSError(.presharedKeyUnknown))
            #expect(stage.pair.errors[.client]?.code == .alertReceived)
        }
    }

    @Test(
        "a key for a version that is not offered, a foreign name, a second use: this side's error"
    )
    func wrongAnswers() throws {
        let older = try PresharedKeyInfo.made(8, for: .tls12)
        let newer = try PresharedKeyInfo.made(9, for: .tls13(.sha256))
        let stages = try [
            (
                TLSRole.client, ProtocolVersion.tls13, older, newer,
                TLSError.Code.invalidPresharedKey
            ),
            (.client, .tls12, newer, older, .invalidPresharedKey),
            (
                .server, .tls13, newer, .made(9, "someone else", for: .tls13(.sha256)),
                .invalidPresharedKey
            ),
            (.server, .tls12, older, .made(8, "someone else", for: .tls12), .invalidPresharedKey),
        ]
        for (role, version, mine, theirs, code) in stages {
            let stage = try KeyStage(
                fixtures,
                client: KeyTable(),
                server: KeyTable(),
                clientPolicy: { $0.allowOnly(version) }
            )
            stage.pair.decide = { asked, _ in .presharedKey(asked == .client ? mine : theirs) }
            stage.run()
            #expect(stage.pair.errors[role]?.code == code, "\(role), \(version)")
            #expect(stage.pair.errors[role]?.category == .local)
            #expect(!stage.pair.isReady)
        }
    }

    @Test(
        "one key in both roles of a process is refused, on the side that comes second",
        arguments: keyUses
    )
    func reflection(_ use: PresharedKeyInfo.Use) throws {
        let key = try PresharedKeyInfo(
            key: SecretBytes(Array("one key for both roles \(use)".utf8)),
            identity: "node",
            use: use
        )
        let stage = try KeyStage(
            fixtures,
            client: KeyTable(begin: key),
            server: KeyTable(known: [key])
        )
        stage.run()
        // In TLS 1.2 the server is asked behind the client, too.
        #expect(stage.pair.errors[.server] == TLSError(.presharedKeyReused))
        #expect(stage.pair.errors[.client] == TLSError(.alertReceived, alert: .internalError))
    }

    // MARK: Limits

    @Test(
        "a server asks about names up to the limit of their size, and takes longer ones for unknown"
    )
    func identitySize() throws {
        for use in [PresharedKeyInfo.Use.tls12, .tls13(.sha256)] {
            for count in [20, 21] {
                let name = PresharedKeyIdentity(String(repeating: "n", count: count))
                let key = try PresharedKeyInfo.made(10, name, for: use)
                let stage = try KeyStage(
                    fixtures,
                    client: KeyTable(begin: key),
                    server: KeyTable(known: [key]),
                    serverPolicy: { $0.limits.presharedKeyIdentityBytes = 20 }
                )
                stage.run()
                #expect(stage.pair.isReady == (count == 20))
                #expect((stage.asked[.server] ?? []).count == (count == 20 ? 1 : 0))
                guard count == 21 else { continue }
                #expect(stage.pair.errors[.server] == TLSError(.presharedKeyUnknown))
            }
        }
    }

    @Test("limits and hints that cannot be are refused at construction")
    func invalidPolicy() throws {
        let changes: [(inout TLSPolicy) -> Void] = [
            { $0.limits.presharedKeyIdentities = 0 }, { $0.limits.presharedKeyIdentityBytes = 0 },
            { $0.presharedKeyHint = "" }, { $0.presharedKeyHint = "a\0b" },
            { $0.presharedKeyHint = String(repeating: "h", count: 257) },
        ]
        for change in changes {
            #expect(throws: TLSError(.invalidPolicy)) {
                try TLSContext(
                    role: .server,
                    policy: TLSPolicy {
                        $0.decisions = .presharedKey
                        change(&$0)
                    }
                )
            }
        }
        #expect(throws: TLSError(.identityMissing)) { try TLSContext(role: .server) }
        #expect(throws: TLSError(.invalidCipherSuite)) {
            try fixtures.client { $0.cipherAlgorithms = ["DHE-PSK-AES128-GCM-SHA256"] }
        }
    }
}
