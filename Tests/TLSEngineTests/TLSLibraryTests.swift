// Library contexts: which providers do the work, what is demanded of them, and what is missing.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct TLSLibraryTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    func error(
        _ providers: [String],
        properties: String? = nil,
        configurationFile: String? = nil,
        searchPath: String? = nil
    ) -> TLSError? {
        #expect(throws: TLSError.self) {
            try TLSLibrary(
                providers: providers,
                properties: properties,
                configurationFile: configurationFile,
                searchPath: searchPath
            )
        }
    }

    @Test(
        "a handshake works in a context of its own, both sides, and the report names the provider",
        arguments: handshakeKeys,
        versions
    )
    func handshake(key: TestKey, version: ProtocolVersion) throws {
        let library = try TLSLibrary(providers: ["default"], properties: "provider=default")
        let pair = try EnginePair(
            client: fixtures.client(identities: [fixtures.clientIdentity]) {
                $0.allowOnly(version)
                $0.library = library
            },
            server: fixtures.server(key) {
                $0.clientAuthentication = .require
                $0.library = library
            }
        )
        try pair.handshake()
        try pair.expectDataFlows()
        #expect(pair.facts(.client).report.provider == "default")
        #expect(pair.facts(.server).report.provider == "default")
        #expect(pair.facts(.server).report.isPeerTrusted)
    }

    @Test("without one the report names the provider too, and before there is a suite none")
    func processOwn() throws {
        let pair = try fixtures.pair()
        #expect(pair.facts(.client).report.provider == nil)
        try pair.handshake()
        #expect(pair.facts(.client).report.provider == "default")
    }

    @Test("an external key, a session and the system's anchors go with it")
    func together() throws {
        let library = try TLSLibrary(providers: ["default"])
        let here = try fixtures.serverIdentity()
        let elsewhere = try TLSIdentity(externalKeyFor: here.certificateChain)
        let client = try fixtures.client { $0.library = library }
        let server = try fixtures.server(identities: [elsewhere]) { $0.library = library }
        let pair = try EnginePair(client: client, server: server)
        pair.decide = { _, question in
            guard case .signature(let request) = question else { return nil }
            return (try? here.signature(of: request.message, scheme: request.scheme))
                .map { .signature($0) }
        }
        try pair.handshake()
        try pair.expectDataFlows()
        let session = try #require(pair.session(of: .client))
        let again = try EnginePair(client: client, server: server, resuming: session)
        try again.handshake()
        #expect(again.facts(.client).report.isResumed)
        let system = try TLSContext(role: .client, policy: TLSPolicy { $0.library = library })
        #expect(system.policy.library == library)
    }

    @Test("an untrusted peer is refused in it as anywhere")
    func refusal() throws {
        let library = try TLSLibrary(providers: ["default"])
        let trust = try TrustPolicy(anchors: [Certificate(der: fixtures.strangers.rootDER)])
        let pair = try EnginePair(
            client: fixtures.client(trust: trust) { $0.library = library },
            server: fixtures.server()
        )
        pair.settle()
        #expect(pair.errors[.client]?.code == .certificateRejected)
    }

    @Test("equal descriptions share one context")
    func equality() throws {
        let (first, second) = try (
            TLSLibrary(providers: ["default"]), TLSLibrary(providers: ["default"])
        )
        #expect(first == second && first.hashValue == second.hashValue)
        #expect(first != (try TLSLibrary(providers: ["default"], properties: "provider=default")))
        #expect(first.isLoaded("default") && !first.isLoaded("legacy"))
        #expect(try TLSLibrary.legacy().isLoaded("legacy"))
        #expect(first.description == "default")
    }

    @Test("a provider that is not there is an error at construction, with what to do")
    func missing() throws {
        let error = self.error(["no-such-provider"])
        #expect(error == TLSError(.providerUnavailable))
        #expect(error?.category == .local)
        #expect(error?.detail?.contains("no-such-provider") == true)
        #expect(error?.hint?.contains("searchPath") == true)
        #expect(try TLSLibrary(providers: ["default"], searchPath: "/nowhere").isLoaded("default"))
        #expect(self.error(["legacy"], searchPath: "/nowhere") == TLSError(.providerUnavailable))
        let file = self.error([], configurationFile: "/no/such/file.cnf")
        #expect(file == TLSError(.providerUnavailable))
        #expect(file?.detail?.contains("/no/such/file.cnf") == true)
    }

    @Test("properties that nobody has, or that cannot be read, are an error at construction")
    func properties() throws {
        #expect(error(["default"], properties: "provider=nobody") == TLSError(.providerUnavailable))
        #expect(error(["default"], properties: "= =") == TLSError(.providerUnavailable))
    }

    @Test("a system without the FIPS module says so; one with it negotiates by it")
    func fips() throws {
        let demand = error(["default"], properties: "fips=yes")
        #expect(demand?.hint?.contains("FIPS") == true)
        let made = Result { () throws(TLSError) in
            try TLSLibrary(providers: ["fips", "base"], properties: "fips=yes")
        }
        switch made {
        case .success(let library):
            let pair = try EnginePair(
                client: fixtures.client { $0.library = library },
                server: fixtures.server()
            )
            try pair.handshake()
            #expect(pair.facts(.client).report.provider == "fips")
        case .failure(let error):
            #expect(error == TLSError(.providerUnavailable))
            #expect(error.hint?.contains("fipsinstall") == true)
        }
    }

    @Test("a configuration file loads what it names")
    func configuration() throws {
        let directory = try TemporaryDirectory()
        let file = directory.path + "/openssl.cnf"
        let text = """
            openssl_conf = start
            [start]
            providers = sect
            [sect]
            default = on
            legacy = on
            [on]
            activate = 1

            """
        try write(Array(text.utf8), to: file)
        let library = try TLSLibrary(configurationFile: file)
        #expect(library.isLoaded("default") && library.isLoaded("legacy"))
    }
}
