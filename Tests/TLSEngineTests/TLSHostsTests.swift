// Virtual hosts: who answers a ClientHello, and that everything of whoever answers applies, whatever
// the server's own context says.

import TLSEngine
import TLSTestKit
import Testing

/// A part of a policy that must be the host's, not the server's own, and the other way round.
struct HostPart: Sendable, CustomTestStringConvertible {
    let testDescription: String
    /// Makes the policy in question.
    var policy: @Sendable (inout TLSPolicy) -> Void = { _ in }
    /// Whom it trusts, if that is the part.
    var trust: @Sendable (Fixtures) -> TrustPolicy? = { _ in nil }
    /// The key of its identity.
    var key = TestKey.p256
    /// What a client does to notice.
    var client: @Sendable (inout TLSPolicy) -> Void = { _ in }
    /// Whether the client shows a certificate.
    var showsCertificate = false
    /// What it finds, as text: it must differ with the part and without.
    let find: @Sendable (EnginePair) -> String

    static let all: [HostPart] = [
        HostPart(testDescription: "identity", key: .rsa2048) {
            $0.facts(.client).report.peerChain.first?.publicKey.type ?? ""
        },
        HostPart(testDescription: "newest version", policy: { $0.maximumVersion = .tls12 }) {
            "\($0.facts(.client).report.version, default: "none")"
        },
        HostPart(
            testDescription: "oldest version",
            policy: { $0.minimumVersion = .tls13 },
            client: { $0.maximumVersion = .tls12 }
        ) { "\($0.errors[.client]?.alert, default: "none")" },
        HostPart(
            testDescription: "client authentication",
            policy: { $0.clientAuthentication = .require }
        ) { "\($0.errors[.server]?.code, default: "none")" },
        HostPart(
            testDescription: "trust",
            policy: { $0.clientAuthentication = .request },
            trust: { try? TrustPolicy(anchors: [Certificate(der: $0.strangers.rootDER)]) },
            showsCertificate: true
        ) { "\($0.errors[.server]?.code, default: "none")" },
        HostPart(
            testDescription: "time of verification",
            policy: { $0.clientAuthentication = .request },
            trust: {
                var trust = TrustPolicy(anchors: [$0.root])
                trust.verificationTime = UnixTime(seconds: 0)
                return trust
            },
            showsCertificate: true
        ) { "\($0.errors[.server]?.verification?.code.rawValue, default: "none")" },
        HostPart(
            testDescription: "suites of TLS 1.3",
            policy: { $0.cipherAlgorithms = ["TLS_CHACHA20_POLY1305_SHA256"] }
        ) { $0.facts(.client).report.cipherSuite?.standardName ?? "" },
        HostPart(
            testDescription: "suites of TLS 1.2",
            policy: { $0.cipherAlgorithms = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"] },
            client: { $0.maximumVersion = .tls12 }
        ) { $0.facts(.client).report.cipherSuite?.standardName ?? "" },
        HostPart(
            testDescription: "preference among suites",
            policy: {
                $0.cipherAlgorithms = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]
            },
            client: {
                $0.cipherAlgorithms = ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"]
            }
        ) { $0.facts(.client).report.cipherSuite?.standardName ?? "" },
        HostPart(testDescription: "groups", policy: { $0.groups = ["P-384"] }) {
            "\($0.facts(.client).report.group, default: "none")"
        },
        HostPart(
            testDescription: "signature algorithms",
            policy: { $0.signatureAlgorithms = ["ed25519"] }
        ) { "\($0.errors[.server]?.code, default: "none")" },
        HostPart(testDescription: "tickets", policy: { $0.ticketCount = 3 }) {
            "\($0.facts(.client).report.tickets.count)"
        },
        HostPart(
            testDescription: "no tickets in TLS 1.2",
            policy: { $0.ticketCount = 0 },
            client: { $0.maximumVersion = .tls12 }
        ) { "\($0.facts(.client).report.tickets.count)" },
        HostPart(
            testDescription: "application protocols",
            policy: { $0.alpn = ["h2"] },
            client: { $0.alpn = ["http/1.1", "h2"] }
        ) { $0.facts(.client).report.alpn ?? "none" },
        HostPart(
            testDescription: "whether one is required",
            policy: {
                $0.alpn = ["h2"]
                $0.alpnRequired = true
            }
        ) { "\($0.errors[.client]?.alert, default: "none")" },
        HostPart(
            testDescription: "the most bytes of a ClientHello",
            policy: { $0.limits.clientHelloBytes = 100 }
        ) { "\($0.errors[.server]?.code, default: "none")" },
        HostPart(
            testDescription: "the most bytes of a chain",
            policy: {
                $0.clientAuthentication = .request
                $0.limits.certificateChainBytes = 100
            },
            showsCertificate: true
        ) { "\($0.errors[.server]?.code, default: "none")" },
        HostPart(
            testDescription: "decisions",
            policy: {
                $0.clientAuthentication = .request
                $0.decisions = .clientCertificate
            },
            showsCertificate: true
        ) { $0.question(.server) == nil ? "none" : "asked" },
    ]
}

@Suite(.timeLimit(.minutes(1)))
struct TLSHostsTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    func context(_ part: HostPart?, hosts: TLSHosts? = nil) throws -> TLSContext {
        var policy = TLSPolicy()
        part?.policy(&policy)
        return try TLSContext(
            role: .server,
            policy: policy,
            identities: [fixtures.serverIdentity(part?.key ?? .p256)],
            trust: part?.trust(fixtures) ?? TrustPolicy(anchors: [fixtures.root]),
            hosts: hosts
        )
    }

    /// What a client finds at a server.
    func found(_ part: HostPart, at server: TLSContext, chunk: Int = .max) throws -> String {
        let identities = part.showsCertificate ? [fixtures.clientIdentity] : []
        let pair = try EnginePair(
            client: fixtures.client(identities: identities, part.client),
            server: server
        )
        pair.chunk = chunk
        pair.settle()
        if pair.isReady { try pair.expectDataFlows() }
        return part.find(pair)
    }

    @Test(
        "of the host that answers every part applies, and nothing of the server's own",
        arguments: HostPart.all,
        [1, .max]
    )
    func parts(part: HostPart, chunk: Int) throws {
        let (with, without) = (try context(part), try context(nil))
        let (expected, other) = (
            try found(part, at: with, chunk: chunk), try found(part, at: without, chunk: chunk)
        )
        #expect(expected != other)
        for (host, own) in [(part, nil), (nil, part)] as [(HostPart?, HostPart?)] {
            var hosts = TLSHosts(fallback: .always)
            try hosts.add("localhost", try context(host))
            let server = try context(own, hosts: hosts)
            let seen = try found(part, at: server, chunk: chunk)
            // A hello over the server's own limit is not read to its end.
            if own != nil, part.testDescription == "the most bytes of a ClientHello" { continue }
            #expect(seen == (host == nil ? other : expected))
        }
    }

    @Test(
        "an owner's choice of a context applies as a whole too",
        arguments: HostPart.all
    )
    func chosen(part: HostPart) throws {
        let (with, without) = (try context(part), try context(nil))
        for (chosen, expected) in [(with, with), (without, without)] {
            var policy = TLSPolicy()
            policy.decisions = .clientHello
            let own = chosen === with ? nil : part
            own?.policy(&policy)
            policy.decisions.insert(.clientHello)
            let server = try TLSContext(
                role: .server,
                policy: policy,
                identities: [fixtures.serverIdentity(own?.key ?? .p256)],
                trust: own?.trust(fixtures) ?? TrustPolicy(anchors: [fixtures.root])
            )
            let pair = try EnginePair(
                client: fixtures.client(
                    identities: part.showsCertificate ? [fixtures.clientIdentity] : [],
                    part.client
                ),
                server: server
            )
            pair.decide = { _, question in
                if case .clientHello = question { return .use(chosen) }
                return nil
            }
            pair.settle()
            // A hello over the own limit is refused before anybody is asked.
            guard part.testDescription != "the most bytes of a ClientHello" || own == nil else {
                #expect(pair.errors[.server]?.code == .clientHelloTooLarge)
                continue
            }
            if pair.isReady { try pair.expectDataFlows() }
            #expect(part.find(pair) == (try found(part, at: expected)))
        }
    }

    @Test("a name is matched exactly, then by the wildcard of its parent; case does not matter")
    func names() throws {
        let (exact, wild, own) = (try context(nil), try context(nil), try context(nil))
        var hosts = TLSHosts()
        try hosts.add("a.Example.test", exact)
        try hosts.add("*.example.test", wild)
        #expect(hosts.context(for: "a.example.test") === exact)
        #expect(hosts.context(for: "A.EXAMPLE.TEST") === exact)
        #expect(hosts.context(for: "b.example.test") === wild)
        #expect(hosts.context(for: "a.b.example.test") == nil)
        #expect(hosts.context(for: "example.test") == nil)
        #expect(hosts.context(for: "127.0.0.1") == nil)
        #expect(hosts.context(for: "") == nil)
        #expect(hosts.context(for: "*.example.test") == nil)
        #expect(Set(hosts.names) == ["a.example.test", "*.example.test"])
        for name in [
            "a.example.test", "A.example.test.", "127.0.0.1", "", "a..b", "*", "*.", "a.*",
        ] {
            #expect(throws: TLSError(.invalidServername)) { try hosts.add(name, own) }
        }
        let client = try fixtures.client()
        #expect(throws: TLSError(.invalidPolicy)) { try hosts.add("c.test", client) }
        #expect(throws: TLSError(.invalidPolicy)) {
            try TLSContext(
                role: .client,
                trust: TrustPolicy(anchors: [fixtures.root]),
                hosts: hosts
            )
        }
    }

    /// What becomes of a client that asks for a name at a server whose own context is lax.
    func outcome(
        _ fallback: TLSHosts.Fallback,
        servername: String,
        host: @Sendable (inout TLSPolicy) -> Void = { _ in }
    ) throws -> (client: TLSError?, server: TLSError?) {
        var hosts = TLSHosts(fallback: fallback)
        try hosts.add("a.test", try fixtures.server { host(&$0) })
        let trust = TrustPolicy {
            $0.anchors = .certificates([fixtures.root])
            $0.name = .unchecked(because: "a test of the server's choice")
        }
        let pair = try EnginePair(
            client: fixtures.client(trust: trust),
            server: TLSContext(
                role: .server,
                identities: [fixtures.serverIdentity()],
                hosts: hosts
            ),
            servername: servername
        )
        pair.settle()
        return (pair.errors[.client], pair.errors[.server])
    }

    @Test("a client that names no host gets the server's own context, where that asks no less")
    func fallback() throws {
        for name in ["b.test", ""] {
            #expect(try outcome(.unlessLaxer, servername: name).server == nil)
            #expect(try outcome(.always, servername: name).server == nil)
            let refused = try outcome(.never, servername: name)
            #expect(refused.server?.code == .unknownServername)
            #expect(refused.server?.phase == .clientHello)
            #expect(refused.server?.category == .incompatible)
            #expect(refused.client?.alert == .unrecognizedName)
        }
        #expect(try outcome(.never, servername: "a.test").server == nil)
    }

    @Test("leaving the name out opens no door that the name would have closed")
    func laxer() throws {
        let stricter: [@Sendable (inout TLSPolicy) -> Void] = [
            { $0.clientAuthentication = .require }, { $0.clientAuthentication = .request },
            { $0.minimumVersion = .tls13 },
        ]
        for host in stricter {
            for name in ["b.test", ""] {
                let refused = try outcome(.unlessLaxer, servername: name, host: host)
                #expect(refused.server?.code == .unknownServername)
                #expect(try outcome(.always, servername: name, host: host).server == nil)
            }
        }
    }

    @Test(
        "protocols chosen for one client hold instead of those of its context",
        arguments: versions
    )
    func protocols(version: ProtocolVersion) throws {
        for own in [[], ["http/1.1"]] {
            let server = try fixtures.server {
                $0.alpn = own
                $0.decisions = .clientHello
            }
            let others = [
                nil, try fixtures.server(.rsa2048) { $0.alpn = ["http/1.1"] },
                try fixtures.server(.rsa2048),
            ]
            for other in others {
                let pair = try EnginePair(
                    client: fixtures.client {
                        $0.allowOnly(version)
                        $0.alpn = ["http/1.1", "h2"]
                    },
                    server: server
                )
                pair.decide = { _, _ in .use(other, applicationProtocols: ["h2"]) }
                try pair.handshake()
                #expect(pair.facts(.client).report.alpn == "h2")
                #expect(pair.facts(.server).report.alpn == "h2")
            }
        }
    }

    @Test("protocols that nobody can speak are refused, and the question stays")
    func wrongProtocols() throws {
        let pair = try EnginePair(
            client: fixtures.client(),
            server: fixtures.server { $0.decisions = .clientHello }
        )
        pair.settle()
        #expect(throws: TLSError(.invalidApplicationProtocol)) {
            try pair.answer(.server, .use(nil, applicationProtocols: [""]))
        }
        let client = try fixtures.client()
        #expect(throws: TLSError(.unexpectedAnswer)) { try pair.answer(.server, .use(client)) }
        try pair.answer(.server, .accept)
        #expect(pair.isReady)
    }

    @Test("the ClientHello that is asked about is the one that came")
    func hello() throws {
        let pair = try EnginePair(
            client: fixtures.client {
                $0.alpn = ["h2"]
                $0.groups = ["P-384", "x25519"]
            },
            server: fixtures.server { $0.decisions = .clientHello }
        )
        pair.settle()
        guard case .clientHello(let hello) = try #require(pair.question(.server)) else {
            throw TLSError(.internalError)
        }
        #expect(hello.servername == "localhost")
        #expect(hello.alpn == ["h2"])
        #expect(hello.groups == [.secp384r1, .x25519])
        #expect(hello.offers(.tls12) && hello.offers(.tls13))
        #expect(!hello.signatureAlgorithms.isEmpty && hello.cipherSuites.contains(0x1301))
        try pair.answer(.server, .accept)
        try pair.expectDataFlows()
    }

    @Test("behind a HelloRetryRequest the choice stands, and nobody is asked again")
    func retry() throws {
        var hosts = TLSHosts()
        try hosts.add("localhost", try fixtures.server(.rsa2048) { $0.groups = ["P-384"] })
        let asked = Counter()
        let pair = try EnginePair(
            client: fixtures.client { $0.groups = ["x25519", "P-384"] },
            server: TLSContext(
                role: .server,
                policy: TLSPolicy { $0.decisions = .clientHello },
                identities: [fixtures.serverIdentity()],
                hosts: hosts
            )
        )
        pair.decide = { _, _ in
            asked.count += 1
            return .accept
        }
        try pair.handshake(chunk: 1)
        #expect(asked.count == 1)
        #expect(pair.facts(.client).report.isHelloRetried)
        #expect(pair.facts(.client).report.group == .secp384r1)
        #expect(pair.facts(.client).report.peerChain.first?.publicKey.type == "RSA")
        try pair.expectDataFlows()
    }

    @Test("several identities of a host: the client's abilities choose", arguments: versions)
    func identities(version: ProtocolVersion) throws {
        var hosts = TLSHosts()
        let both = [try fixtures.serverIdentity(.rsa2048), try fixtures.serverIdentity(.p256)]
        try hosts.add("localhost", try fixtures.server(identities: both))
        let server = try TLSContext(
            role: .server,
            identities: [fixtures.serverIdentity(.ed25519)],
            hosts: hosts
        )
        for (algorithm, type) in [
            ("rsa_pss_rsae_sha256", "RSA"), ("ecdsa_secp256r1_sha256", "EC"),
        ] {
            let pair = try EnginePair(
                client: fixtures.client {
                    $0.allowOnly(version)
                    $0.signatureAlgorithms = [algorithm]
                },
                server: server
            )
            try pair.handshake()
            #expect(pair.facts(.client).report.peerChain.first?.publicKey.type == type)
        }
    }

    @Test("a ClientHello in the form of SSL 2 is refused where the name decides")
    func oldForm() throws {
        let server = try fixtures.server { $0.decisions = .clientHello }
        var engine = try TLSEngine(server)
        // Length, ClientHello, version, and the lengths of suites, session id and challenge.
        let hello: [UInt8] =
            [0x80, 9 + 3 + 16, 1, 3, 3, 0, 3, 0, 0, 0, 16] + [0, 0xc0, 0x2b] + pattern(16)
        let (bytes, result) = produced { output throws(TLSError) in
            try engine.handshake(consuming: hello.span, producing: &output)
        }
        #expect(throws: TLSError.self) { try result.get() }
        #expect(bytes.count == 7)
        #expect(engine.question == nil)
    }
}

/// Counts within one test.
private final class Counter {
    var count = 0
}
