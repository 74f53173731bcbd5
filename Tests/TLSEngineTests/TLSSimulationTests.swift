// The policy simulator: what two configurations agree on, or what they have no overlap in.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct TLSSimulationTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    func simulate(
        client: (inout TLSPolicy) -> Void = { _ in },
        server: (inout TLSPolicy) -> Void = { _ in },
        key: TestKey = .p256,
        identities: [TLSIdentity] = [],
        trust: TrustPolicy? = nil,
        name: String = "localhost"
    ) throws -> TLSSimulation {
        try TLSSimulation(
            client: fixtures.client(identities: identities, trust: trust, client),
            server: fixtures.server(key, server),
            remoteName: name
        )
    }

    @Test("two that understand each other, and what they agree on", arguments: versions)
    func success(version: ProtocolVersion) throws {
        let simulation = try simulate {
            $0.allowOnly(version)
            $0.alpn = ["h2"]
        } server: {
            $0.alpn = ["h2"]
            $0.clientAuthentication = .request
        }
        #expect(simulation.succeeds && simulation.clashes == [])
        #expect(simulation.client.isComplete && simulation.server.isComplete)
        #expect(simulation.client.version == version)
        #expect(simulation.client.alpn == "h2" && simulation.server.alpn == "h2")
        #expect(simulation.explanation.hasPrefix("\(version), TLS_"))
        #expect(simulation.explanation.hasSuffix("they speak h2"))
    }

    @Test("no version in common")
    func noVersion() throws {
        let simulation = try simulate {
            $0.allowOnly(.tls12)
        } server: {
            $0.allowOnly(.tls13)
        }
        #expect(simulation.clashes == [.versions(client: [.tls12], server: [.tls13])])
        #expect(
            simulation.explanation
                == "no protocol version in common: the client offers TLS 1.2, the server speaks TLS 1.3"
        )
        let other = try simulate {
            $0.allowOnly(.tls13)
        } server: {
            $0.allowOnly(.tls12)
        }
        #expect(other.clashes == [.versions(client: [.tls13], server: [.tls12])])
    }

    @Test("no suite in common, in either version")
    func noSuite() throws {
        let simulation = try simulate {
            $0.cipherAlgorithms = ["TLS_AES_128_GCM_SHA256"]
        } server: {
            $0.cipherAlgorithms = ["TLS_AES_256_GCM_SHA384"]
        }
        #expect(simulation.clashes == [.cipherSuites(client: [0x1301], server: [0x1302])])
        let old = try simulate {
            $0.cipherAlgorithms = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
        } server: {
            $0.cipherAlgorithms = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]
        }
        #expect(old.clashes == [.cipherSuites(client: [0xc02b], server: [0xc02c])])
    }

    @Test("no group in common", arguments: versions)
    func noGroup(version: ProtocolVersion) throws {
        let simulation = try simulate {
            $0.allowOnly(version)
            $0.groups = ["P-384"]
        } server: {
            $0.groups = ["P-521"]
        }
        #expect(simulation.clashes == [.groups(client: [.secp384r1], server: [.secp521r1])])
    }

    @Test("no signature that one makes and the other verifies", arguments: versions)
    func noSignature(version: ProtocolVersion) throws {
        let simulation = try simulate {
            $0.allowOnly(version)
            $0.signatureAlgorithms = ["ed25519"]
        }
        guard case .signatureAlgorithms(_, let keys) = try #require(simulation.clashes.first) else {
            Issue.record("\(simulation)")
            return
        }
        #expect(keys == ["EC P-256"])
    }

    @Test("no application protocol in common, or none where one is required")
    func noProtocol() throws {
        let simulation = try simulate {
            $0.alpn = ["h2"]
        } server: {
            $0.alpn = ["http/1.1"]
        }
        #expect(simulation.clashes == [.applicationProtocols(client: ["h2"], server: ["http/1.1"])])
        let required = try simulate {
            $0.alpn = []
        } server: {
            $0.alpn = ["h2"]
            $0.alpnRequired = true
        }
        #expect(required.clashes == [.applicationProtocols(client: [], server: ["h2"])])
        let unanswered = try simulate {
            $0.alpn = ["h2"]
            $0.alpnRequired = true
        }
        #expect(unanswered.clashes == [.applicationProtocols(client: ["h2"], server: [])])
    }

    @Test(
        "certificates: the wrong name, no trust, none at all, an untrusted client",
        arguments: versions
    )
    func certificates(version: ProtocolVersion) throws {
        let wrong = try simulate(client: { $0.allowOnly(version) }, name: "elsewhere.test")
        guard case .certificate(.client, let failure) = try #require(wrong.clashes.first) else {
            Issue.record("\(wrong)")
            return
        }
        #expect(failure.code == .hostnameMismatch)
        let distrust = TrustPolicy(anchors: [try Certificate(der: fixtures.strangers.rootDER)])
        let stranger = try simulate(client: { $0.allowOnly(version) }, trust: distrust)
        guard case .certificate(.client, _) = try #require(stranger.clashes.first) else {
            Issue.record("\(stranger)")
            return
        }
        let missing = try simulate {
            $0.allowOnly(version)
        } server: {
            $0.clientAuthentication = .require
        }
        #expect(missing.clashes == [.clientCertificateMissing])
        let untrusted = try simulate(
            client: { $0.allowOnly(version) },
            server: { $0.clientAuthentication = .require },
            identities: [fixtures.strangerIdentity]
        )
        guard case .certificate(.server, _) = try #require(untrusted.clashes.first) else {
            Issue.record("\(untrusted)")
            return
        }
    }

    @Test("a host that is not there, and one that is and has a policy of its own")
    func hosts() throws {
        var hosts = TLSHosts(fallback: .never)
        try hosts.add("localhost", try fixtures.server { $0.allowOnly(.tls12) })
        let server = try TLSContext(
            role: .server,
            identities: [fixtures.serverIdentity()],
            hosts: hosts
        )
        let there = try TLSSimulation(
            client: fixtures.client(),
            server: server,
            remoteName: "localhost"
        )
        #expect(there.succeeds && there.client.version == .tls12)
        let clash = try TLSSimulation(
            client: fixtures.client { $0.allowOnly(.tls13) },
            server: server,
            remoteName: "localhost"
        )
        #expect(clash.clashes == [.versions(client: [.tls13], server: [.tls12])])
        let absent = try TLSSimulation(
            client: fixtures.client(),
            server: server,
            remoteName: "elsewhere.test"
        )
        #expect(absent.clashes == [.servername("elsewhere.test")])
        let nameless = try TLSSimulation(
            client: fixtures.client(),
            server: server,
            remoteName: "127.0.0.1"
        )
        #expect(nameless.clashes == [.servername(nil)])
        #expect(absent.explanation == "the server has no host elsewhere.test")
    }

    @Test("decisions are answered as without them, or as the caller says")
    func decisions() throws {
        let client = try fixtures.client { $0.decisions = .serverIdentity }
        let server = try fixtures.server { $0.decisions = .clientHello }
        let usual = try TLSSimulation(client: client, server: server, remoteName: "localhost")
        #expect(usual.succeeds)
        let wrong = try TLSSimulation(client: client, server: server, remoteName: "elsewhere.test")
        guard case .certificate(.client, let failure) = try #require(wrong.clashes.first) else {
            Issue.record("\(wrong)")
            return
        }
        #expect(failure.code == .hostnameMismatch)
        let refused = try TLSSimulation(client: client, server: server, remoteName: "localhost") {
            role,
            _ in
            role == .server ? .refuse(TLSRefusal("closed on Sundays")) : .accept
        }
        guard case .other(.server, let error) = try #require(refused.clashes.first) else {
            Issue.record("\(refused)")
            return
        }
        #expect(error.code == .refusedByApplication)
        // An answer that belongs to no question ends the simulation, which must not run for ever.
        let senseless = try TLSSimulation(client: client, server: server, remoteName: "localhost") {
            _,
            _ in .present(nil)
        }
        #expect(!senseless.succeeds)
    }
}
