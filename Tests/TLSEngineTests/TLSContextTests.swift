// What is wrong with a configuration shows before the first connection.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct TLSContextTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// One row: a change of a policy that cannot work.
    struct Mistake: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let code: TLSError.Code
        let change: @Sendable (inout TLSPolicy) -> Void

        init(
            _ description: String,
            _ code: TLSError.Code,
            _ change: @escaping @Sendable (inout TLSPolicy) -> Void
        ) {
            (testDescription, self.code, self.change) = (description, code, change)
        }
    }

    static let mistakes: [Mistake] = [
        Mistake("versions in the wrong order", .invalidVersionRange) {
            ($0.minimumVersion, $0.maximumVersion) = (.tls13, .tls12)
        },
        Mistake("TLS 1.1", .invalidVersionRange) { $0.minimumVersion.rawValue = 0x0302 },
        Mistake("TLS 1.4", .invalidVersionRange) { $0.maximumVersion.rawValue = 0x0305 },
        Mistake("no suite for the only version", .invalidVersionRange) {
            $0.minimumVersion = .tls13
            $0.cipherAlgorithms = ["ECDHE-ECDSA-AES128-GCM-SHA256"]
        },
        Mistake("no suites", .invalidCipherSuite) { $0.cipherAlgorithms = [] },
        Mistake("an unknown suite", .invalidCipherSuite) { $0.cipherAlgorithms = ["AES"] },
        Mistake("a suite without encryption", .invalidCipherSuite) {
            $0.cipherAlgorithms = ["TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-NULL-SHA"]
        },
        Mistake("a suite without authentication", .invalidCipherSuite) {
            $0.cipherAlgorithms = ["ECDHE-RSA-AES128-GCM-SHA256", "ADH-AES128-GCM-SHA256"]
        },
        Mistake("a suite that needs a preshared key", .invalidCipherSuite) {
            $0.cipherAlgorithms = ["TLS_AES_128_GCM_SHA256", "DHE-PSK-AES128-GCM-SHA256"]
        },
        Mistake("no groups", .invalidGroup) { $0.groups = [] },
        Mistake("an unknown group", .invalidGroup) { $0.groups = ["x25519", "x25518"] },
        Mistake("an empty group", .invalidGroup) { $0.groups = [""] },
        Mistake("no signature algorithms", .invalidSignatureAlgorithm) {
            $0.signatureAlgorithms = []
        },
        Mistake("an unknown signature algorithm", .invalidSignatureAlgorithm) {
            $0.signatureAlgorithms = ["ecdsa_secp256r1_sha256", "ecdsa_secp256r1_sha257"]
        },
        Mistake("an empty protocol", .invalidApplicationProtocol) { $0.alpn = ["h2", ""] },
        Mistake("a protocol twice", .invalidApplicationProtocol) { $0.alpn = ["h2", "h2"] },
        Mistake("ALPN required and none given", .invalidApplicationProtocol) {
            $0.alpnRequired = true
        },
        Mistake("an ALPN list past its limit", .invalidApplicationProtocol) {
            $0.alpn = ["h2"]
            $0.limits.alpnListBytes = 2
        },
        Mistake("17 tickets", .invalidPolicy) { $0.ticketCount = 17 },
        Mistake("-1 tickets", .invalidPolicy) { $0.ticketCount = -1 },
        Mistake("a ClientHello of no bytes", .invalidPolicy) { $0.limits.clientHelloBytes = 0 },
        Mistake("a chain of no bytes", .invalidPolicy) { $0.limits.certificateChainBytes = 0 },
        Mistake("a depth below 0", .invalidPolicy) { $0.limits.certificateChainDepth = -1 },
        Mistake("post-handshake messages below 0", .invalidPolicy) {
            $0.limits.postHandshakeMessages = -1
        },
    ]

    @Test("a mistake in the policy is refused on both sides", arguments: mistakes)
    func mistake(_ mistake: Mistake) {
        let client = #expect(throws: TLSError(mistake.code)) {
            try fixtures.client { mistake.change(&$0) }
        }
        #expect(throws: TLSError(mistake.code)) { try fixtures.server { mistake.change(&$0) } }
        #expect(client?.category == .local)
        #expect(client?.detail != nil)
        #expect(client?.phase == nil)
    }

    @Test("a suite of a version that is not spoken is passed over")
    func suiteOfOtherVersion() throws {
        let context = try fixtures.client {
            $0.minimumVersion = .tls13
            $0.cipherAlgorithms = ["TLS_AES_128_GCM_SHA256", "ADH-AES128-GCM-SHA256"]
        }
        let pair = try EnginePair(client: context, server: fixtures.server())
        try pair.handshake()
        #expect(pair.facts(.client).report.cipherSuite?.id == 0x1301)
    }

    @Test("a server without identity is refused, a client without one is anonymous")
    func identityMissing() throws {
        #expect(throws: TLSError(.identityMissing)) { try fixtures.server(identities: []) }
        #expect(try fixtures.client().identities.isEmpty)
    }

    @Test("two identities with one type of key are refused, whatever their curves")
    func sameType() throws {
        let pair = try [fixtures.serverIdentity(.p256), fixtures.serverIdentity(.p384)]
        #expect(throws: TLSError(.invalidCertificate)) { try fixtures.server(identities: pair) }
        #expect(throws: TLSError(.invalidCertificate)) { try fixtures.client(identities: pair) }
    }

    @Test("an empty list of anchors is refused where somebody is verified")
    func noAnchors() throws {
        let empty = TrustPolicy(anchors: [])
        #expect(throws: TLSError(.emptyTrustStore)) { try fixtures.client(trust: empty) }
        #expect(throws: TLSError(.emptyTrustStore)) {
            try fixtures.server(trust: empty) { $0.clientAuthentication = .request }
        }
        _ = try fixtures.server(trust: empty)
    }

    @Test("an identity whose key is too small for the security level is refused with its reason")
    func smallKey() throws {
        let bundle = try openSSL(
            "req",
            "-x509",
            "-newkey",
            "rsa:1024",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-keyout",
            "-"
        )
        let identity = try TLSIdentity(certificate: bundle, privateKey: bundle)
        let error = #expect(throws: TLSError(.invalidCertificate)) {
            try fixtures.server(identities: [identity])
        }
        #expect(error?.reasons.last?.text == "ee key too small")
    }

    @Test("the values a context was made from can be read back")
    func readers() throws {
        let context = try fixtures.server { $0.alpn = ["h2"] }
        #expect(context.role == .server)
        #expect(context.policy == TLSPolicy { $0.alpn = ["h2"] })
        #expect(context.trust == TrustPolicy(anchors: [fixtures.root]))
        #expect(context.identities == [try fixtures.serverIdentity()])
    }

    @Test("the library that runs is OpenSSL 3")
    func library() {
        #expect(OpenSSLLibrary.version.hasPrefix("OpenSSL 3."))
    }
}
