// Judging a server's certificate: every fault of the kit's catalogue, anchors, names and time.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct VerificationTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// Has a client judge what a server presents.
    func judge(
        _ issued: IssuedCertificate,
        name: String = "a.test",
        trust: TrustPolicy? = nil,
        _ configure: (inout TLSPolicy) -> Void = { _ in }
    ) throws -> EnginePair {
        let pair = try EnginePair(
            client: fixtures.client(trust: trust, configure),
            server: fixtures.server(identities: [TLSIdentity(issued)]),
            remoteName: name
        )
        pair.settle()
        return pair
    }

    func issue(_ change: (inout CertificateRecipe) -> Void) throws -> IssuedCertificate {
        var recipe = CertificateRecipe.server(["a.test"])
        change(&recipe)
        return try fixtures.ca.issue(recipe)
    }

    /// Expects a refusal for one reason, told alike by error, report and the server's alert.
    @discardableResult
    func expectRefusal(
        _ pair: EnginePair,
        _ code: VerificationCode,
        depth: Int = 0,
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> VerificationFailure? {
        let error = pair.errors[.client]
        #expect(error?.code == .certificateRejected, sourceLocation: sourceLocation)
        #expect(error?.verification?.code == code, sourceLocation: sourceLocation)
        #expect(error?.verification?.depth == depth, sourceLocation: sourceLocation)
        #expect(error?.phase == .certificate, sourceLocation: sourceLocation)
        #expect(error?.hint != nil, sourceLocation: sourceLocation)
        let report = pair.facts(.client).report
        #expect(report.verification == error?.verification, sourceLocation: sourceLocation)
        #expect(!report.isPeerTrusted && !report.isComplete, sourceLocation: sourceLocation)
        #expect(report.verifiedChain.isEmpty, sourceLocation: sourceLocation)
        #expect(!report.peerChain.isEmpty, sourceLocation: sourceLocation)
        let alert = pair.errors[.server]?.alert
        #expect(alert != nil && alert == report.alertSent, sourceLocation: sourceLocation)
        return error?.verification
    }

    /// Faults that a sound server can be given: others are weaker than this system's level.
    static let presentable = CertificateFault.allCases.filter { fault in
        ![.rsa512, .rsa1024, .p192, .sha1, .md5].contains(fault)
    }

    /// Has a client judge what a fault makes.
    func judge(
        _ fault: CertificateFault,
        trust change: (inout TrustPolicy) -> Void = { _ in },
        policy configure: (inout TLSPolicy) -> Void = { _ in }
    ) throws -> (scenario: FaultScenario, pair: EnginePair) {
        let scenario = try fault.scenario(under: fixtures.ca)
        var trust = TrustPolicy(anchors: try scenario.anchorsDER.map { try Certificate(der: $0) })
        trust.verificationTime = UnixTime(seconds: scenario.unixSeconds)
        change(&trust)
        let pair = try judge(scenario.certificate, name: scenario.host, trust: trust, configure)
        return (scenario, pair)
    }

    @Test(
        "every fault of the catalogue is judged as it says, in both versions",
        arguments: presentable,
        versions
    )
    func fault(_ fault: CertificateFault, _ version: ProtocolVersion) throws {
        let (scenario, pair) = try judge(fault, policy: { $0.allowOnly(version) })
        guard fault.versions.contains(version) else {
            // A TLS 1.2 server does not try a certificate whose key may not sign.
            #expect(pair.errors[.server] == TLSError(.noSharedParameters))
            return
        }
        // The engine staples nothing.
        let verdict: CertificateFault.Verdict =
            fault == .mustStapleWith ? .refused(.stapleMissing) : fault.verdict
        switch verdict {
        case .accepted:
            #expect(pair.isReady)
            #expect(pair.facts(.client).report.isPeerTrusted)
        case .refused(let code, let depth):
            let failure = expectRefusal(pair, code, depth: depth)
            if depth == 0 {
                #expect(failure?.certificate?.der == scenario.certificate.certificateDER)
            }
        case .handshakeFailed(let code): #expect(pair.errors[.client]?.code == code)
        }
    }

    @Test(
        "every fault is let in and told by a policy that accepts anything, and names its reason",
        arguments: presentable
    )
    func acceptAnything(_ fault: CertificateFault) throws {
        guard case .refused(let code, let depth) = fault.verdict else { return }
        let relax = { (trust: inout TrustPolicy) in
            let (anchors, time) = (trust.anchors, trust.verificationTime)
            trust = .acceptAnything(because: "looking around")
            (trust.anchors, trust.verificationTime) = (anchors, time)
        }
        let (_, pair) = try judge(fault, trust: relax)
        let report = pair.facts(.client).report
        #expect(pair.isReady && report.isComplete)
        #expect(report.verification?.code == code)
        #expect(report.verification?.depth == depth)
        #expect(!report.isPeerTrusted)
        #expect(report.verifiedChain.isEmpty)
        #expect(report.concessions == ["any certificate is accepted: looking around"])
        #expect(report.error == nil)
    }

    @Test("a sound certificate is trusted also by a policy that accepts anything")
    func acceptSound() throws {
        var trust = TrustPolicy.acceptAnything(because: "looking around")
        trust.anchors = .certificates([fixtures.root])
        let report = try judge(issue { _ in }, trust: trust).facts(.client).report
        #expect(report.isPeerTrusted)
        #expect(report.verification == nil)
    }

    @Test("the chain is built to the anchor and reported, the anchor included")
    func chains() throws {
        let middle = try fixtures.ca.intermediate(pathLength: 0)
        let issued = try middle.issue("a.test")
        let report = try judge(issued).facts(.client).report
        #expect(report.peerChain.map(\.der) == issued.chainDER)
        #expect(report.verifiedChain.map(\.der) == issued.chainDER + [fixtures.ca.rootDER])
        #expect(report.isPeerTrusted)
        #expect(report.concessions.isEmpty)
    }

    @Test("a missing intermediate is not made up for by what the server trusts")
    func missingIntermediate() throws {
        let middle = try fixtures.ca.intermediate(pathLength: 0)
        let issued = try middle.issue("a.test")
        let identity = try TLSIdentity(
            certificate: issued.certificateDER,
            privateKey: issued.privateKeyDER
        )
        let server = try fixtures.server(
            identities: [identity],
            trust: TrustPolicy(anchors: [Certificate(der: middle.certificateDER)])
        ) { $0.clientAuthentication = .request }
        let pair = try EnginePair(client: fixtures.client(), server: server, remoteName: "a.test")
        pair.settle()
        expectRefusal(pair, .unableToGetIssuerLocally)
        #expect(pair.facts(.client).report.peerChain.count == 1)
    }

    @Test(
        "a stranger's certificate is refused, and an intermediate's expiry is told with its depth"
    )
    func strangers() throws {
        expectRefusal(try judge(fixtures.strangers.issue("a.test")), .unableToGetIssuerLocally)
        let expired = try fixtures.ca.intermediate(validity: .days(-3 ... -2))
        expectRefusal(try judge(expired.issue("a.test")), .expired, depth: 1)
    }

    @Test("an intermediate or a leaf may be the anchor itself")
    func partialChains() throws {
        let middle = try fixtures.ca.intermediate(pathLength: 0)
        let issued = try middle.issue("a.test")
        for der in issued.chainDER {
            let trust = TrustPolicy(anchors: [try Certificate(der: der)])
            #expect(try judge(issued, trust: trust).isReady)
        }
    }

    @Test("what `openssl req -x509` makes is refused by itself, and trusted as exactly that anchor")
    func selfSigned() throws {
        let bundle = try openSSL(
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=a.test",
            "-addext",
            "subjectAltName=DNS:a.test",
            "-keyout",
            "-"
        )
        let identity = try TLSIdentity(certificate: bundle, privateKey: bundle)
        try #require(identity.certificate.isCA)
        func meet(_ name: String, _ trust: TrustPolicy?) throws -> EnginePair {
            let pair = try EnginePair(
                client: fixtures.client(trust: trust),
                server: fixtures.server(identities: [identity]),
                remoteName: name
            )
            pair.settle()
            return pair
        }
        expectRefusal(try meet("a.test", nil), .selfSignedLeaf)
        let exact = TrustPolicy(anchors: [identity.certificate])
        #expect(try meet("a.test", exact).facts(.client).report.isPeerTrusted)
        expectRefusal(try meet("b.test", exact), .hostnameMismatch)
        let both = TrustPolicy(anchors: [fixtures.root, identity.certificate])
        #expect(try meet("a.test", both).isReady)
    }

    @Test(
        "a CA certificate as leaf is refused, unless exactly it is an anchor or rules are lenient"
    )
    func leafIsCA() throws {
        let issued = try issue {
            $0.basicConstraints = .init(isAuthority: true)
            $0.keyUsage = .exactly([.digitalSignature, .keyCertSign])
        }
        let failure = expectRefusal(try judge(issued), .leafIsCA)
        #expect(failure?.certificate?.der == issued.certificateDER)
        let leaf = try Certificate(der: issued.certificateDER)
        #expect(try judge(issued, trust: TrustPolicy(anchors: [leaf])).isReady)
        #expect(try judge(issued, trust: TrustPolicy(anchors: [fixtures.root, leaf])).isReady)
        let lenient = TrustPolicy {
            $0.anchors = .certificates([fixtures.root])
            $0.strictness = .lenient(because: "an old CA")
        }
        let pair = try judge(issued, trust: lenient)
        #expect(pair.isReady)
        let words = ["RFC 5280 is read leniently: an old CA"]
        #expect(pair.facts(.client).report.concessions == words)
    }

    @Test(
        "a serial number that is no positive number of 20 bytes is refused (RFC 5280 §4.1.2.2)",
        arguments: [[0x00], [0xff], [0x80, 0x00], [0x01] + [UInt8](repeating: 0, count: 20)]
    )
    func serialNumbers(_ octets: [UInt8]) throws {
        let issued = try issue { $0.serial = .octets(octets) }
        expectRefusal(try judge(issued), .invalidSerialNumber)
    }

    @Test("a serial number of 1, and one of 20 bytes, are well")
    func goodSerialNumbers() throws {
        for octets in [[0x01], [0x7f] + [UInt8](repeating: 0xff, count: 19)] {
            #expect(try judge(issue { $0.serial = .octets(octets) }).isReady)
        }
    }

    @Test("an empty subject needs a critical alternative name (RFC 5280 §4.2.1.6)")
    func criticalNames() throws {
        let lax = try issue {
            $0.subject = []
            $0.isSubjectAltNameCritical = .exactly(false)
        }
        // OpenSSL's strict mode has the same rule: 88 is X509_V_ERR_EMPTY_SUBJECT_SAN_NOT_CRITICAL.
        let refused = [VerificationCode(rawValue: 88), .alternativeNameNotCritical]
        let pair = try judge(lax)
        #expect(refused.contains { $0 == pair.errors[.client]?.verification?.code })
        #expect(try judge(issue { $0.subject = [] }).isReady)
    }

    @Test("a DNS name that is not in A-labels is refused, even beside the right one")
    func namesInUnicode() throws {
        let name = SubjectName.raw(tag: 2, contents: Array("bücher.test".utf8))
        let issued = try issue { $0.names = [.dns("a.test"), name] }
        expectRefusal(try judge(issued), .nameNotInALabels)
    }

    @Test("what OpenSSL's strict mode refuses is let in by a lenient policy")
    func strictness() throws {
        let issued = try issue { $0.authorityKeyIdentifier = .omitted }
        let pair = try judge(issued)
        let code = try #require(pair.errors[.client]?.verification?.code)
        #expect((85...94).contains(code.rawValue))
        expectRefusal(pair, code)
        let lenient = TrustPolicy {
            $0.anchors = .certificates([fixtures.root])
            $0.strictness = .lenient(because: "an old CA")
        }
        #expect(try judge(issued, trust: lenient).isReady)
    }

    /// One row: a name in the certificate, the name connected to, and the verdict.
    struct NameRow: Sendable, CustomTestStringConvertible {
        let held: SubjectName
        let remote: String
        var code: VerificationCode?
        var testDescription: String { "\(remote) shows a certificate for \(held)" }
    }

    @Test(
        "the certificate must be for the name that was asked for",
        arguments: [
            NameRow(held: "a.test", remote: "a.test"),
            NameRow(held: "a.test", remote: "a.test."),
            NameRow(held: "A.Test", remote: "a.tEST"),
            NameRow(held: "*.a.test", remote: "b.a.test"),
            NameRow(held: "*.a.test", remote: "c.b.a.test", code: .hostnameMismatch),
            NameRow(held: "*.a.test", remote: "a.test", code: .hostnameMismatch),
            NameRow(held: "b*.a.test", remote: "bc.a.test", code: .hostnameMismatch),
            NameRow(held: "127.0.0.1", remote: "127.0.0.1"),
            NameRow(held: "::1", remote: "0:0:0:0:0:0:0:1"),
            NameRow(held: "127.0.0.1", remote: "127.0.0.2", code: .ipAddressMismatch),
            NameRow(held: .dns("127.0.0.1"), remote: "127.0.0.1", code: .ipAddressMismatch),
            NameRow(held: "*", remote: "a", code: .hostnameMismatch),
        ]
    )
    func names(_ row: NameRow) throws {
        let pair = try judge(issue { $0.names = [row.held] }, name: row.remote)
        guard let code = row.code else {
            #expect(pair.facts(.client).report.isPeerTrusted)
            return
        }
        let failure = expectRefusal(pair, code)
        #expect(failure?.expectedName == row.remote)
    }

    @Test("the policy may expect another name, or give up names and say why")
    func namePolicies() throws {
        let issued = try issue { _ in }
        func trust(_ name: TrustPolicy.Name) -> TrustPolicy {
            TrustPolicy {
                $0.anchors = .certificates([fixtures.root])
                $0.name = name
            }
        }
        #expect(try judge(issued, name: "b.test", trust: trust(.name("a.test"))).isReady)
        let other = try judge(issued, name: "a.test", trust: trust(.name("b.test")))
        #expect(expectRefusal(other, .hostnameMismatch)?.expectedName == "b.test")
        expectRefusal(
            try judge(issued, name: "a.test", trust: trust(.name("127.0.0.1"))),
            .ipAddressMismatch
        )
        let unchecked = try judge(issued, name: "b.test", trust: trust(.unchecked(because: "why")))
        #expect(unchecked.facts(.client).report.isPeerTrusted)
        #expect(
            unchecked.facts(.client).report.concessions == ["the name is not checked: why"]
        )
        #expect(throws: TLSError(.invalidServername)) {
            try judge(issued, trust: trust(.name("a b")))
        }
    }

    @Test("the hint of a wrong name says which names the certificate is for, five at most")
    func nameHint() throws {
        let names = (1...6).map { SubjectName.dns("n\($0).test") }
        let pair = try judge(issue { $0.names = names })
        let hint = "The certificate is for n1.test, n2.test, n3.test, n4.test, n5.test, …"
        #expect(pair.errors[.client]?.hint == hint)
    }

    @Test("validity is judged at the policy's time, its first and last second included")
    func time() throws {
        let (start, end) = (Int64(2_000_000_000), Int64(2_000_086_400))
        let wide = Validity.absolute(unixSeconds: 1_000_000_000...3_000_000_000)
        let ca = try TestCA(validity: wide)
        let issued = try ca.issue("a.test", validity: .absolute(unixSeconds: start...end))
        let root = try Certificate(der: ca.rootDER)
        let rows: [(Int64, VerificationCode?)] = [
            (start - 1, .notYetValid), (start, nil), (end - 1, nil), (end + 1, .expired),
        ]
        for (seconds, code) in rows {
            var trust = TrustPolicy(anchors: [root])
            trust.verificationTime = UnixTime(seconds: seconds)
            let pair = try judge(issued, trust: trust)
            #expect(pair.errors[.client]?.verification?.code == code)
        }
    }

    @Test("a chain is as deep as the limit allows, and no deeper")
    func depth() throws {
        var authority = fixtures.ca
        for level in 1...3 { authority = try authority.intermediate(name: "Level \(level)") }
        let issued = try authority.issue("a.test")
        #expect(try judge(issued) { $0.limits.certificateChainDepth = 3 }.isReady)
        let pair = try judge(issued) { $0.limits.certificateChainDepth = 2 }
        // The chain is cut where the limit is, so its end has no issuer.
        let codes: [VerificationCode] = [.chainTooLong, .unableToGetIssuerLocally]
        #expect(codes.contains { $0 == pair.errors[.client]?.verification?.code })
    }

    @Test("a certificate message over the limit of bytes is refused before it is read")
    func chainBytes() throws {
        let issued = try issue { _ in }
        let pair = try judge(issued) { $0.limits.certificateChainBytes = 300 }
        #expect(pair.errors[.client] == TLSError(.handshakeMessageTooLarge))
        #expect(pair.errors[.client]?.phase == .certificate)
    }
}
