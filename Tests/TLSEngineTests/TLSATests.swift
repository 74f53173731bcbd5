// TLSA records in the trust policy: every usage, selector and matching type, right and wrong, and what
// is checked all the same.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct TLSATests {
    let fixtures: Fixtures
    /// A leaf for a.test, and what it is under.
    let issued: IssuedCertificate
    let leaf: Certificate
    let intermediate: Certificate

    init() throws {
        fixtures = try Fixtures.shared()
        issued = try fixtures.ca.intermediate().issue("a.test")
        let chain = try issued.chainDER.map { try Certificate(der: $0) }
        (leaf, intermediate) = (chain[0], chain[1])
    }

    static let usages: [TLSARecord.Usage] = [.pkixTA, .pkixEE, .daneTA, .daneEE]
    static let forms: [(TLSARecord.Selector, TLSARecord.Matching)] = [
        (.certificate, .full), (.certificate, .sha256), (.certificate, .sha512),
        (.publicKey, .full),
        (.publicKey, .sha256), (.publicKey, .sha512),
    ]

    /// Has a client of a policy meet a server.
    func meet(
        _ issued: IssuedCertificate,
        _ records: TLSARecords,
        _ version: ProtocolVersion = .tls13,
        name: String = "a.test",
        _ change: (inout TrustPolicy) -> Void = { _ in }
    ) throws -> EnginePair {
        var trust = TrustPolicy(anchors: [fixtures.root])
        // Records in the place of anchors need none.
        if !records.records.contains(where: { $0.usage.needsAnchors }) {
            trust.anchors = .certificates([])
        }
        trust.tlsaRecords = records
        change(&trust)
        let pair = try EnginePair(
            client: fixtures.client(trust: trust) { $0.allowOnly(version) },
            server: fixtures.server(identities: [TLSIdentity(issued)]),
            remoteName: name
        )
        pair.settle()
        return pair
    }

    func expectRefusal(
        _ pair: EnginePair,
        _ code: VerificationCode,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let (client, server) = (pair.facts(.client), pair.facts(.server))
        #expect(client.error?.code == .certificateRejected, sourceLocation: sourceLocation)
        #expect(client.error?.category == .policy, sourceLocation: sourceLocation)
        #expect(client.error?.verification?.code == code, sourceLocation: sourceLocation)
        #expect(client.error?.hint != nil, sourceLocation: sourceLocation)
        #expect(!client.report.isPeerTrusted, sourceLocation: sourceLocation)
        #expect(client.report.verifiedChain == [], sourceLocation: sourceLocation)
        #expect(server.error?.alert == client.report.alertSent, sourceLocation: sourceLocation)
        #expect(server.error?.alert != nil, sourceLocation: sourceLocation)
    }

    // MARK: Every kind

    /// Where a record of a certificate at a depth matches; nil where it must not.
    private func depth(
        _ usage: TLSARecord.Usage,
        _ form: (selector: TLSARecord.Selector, matching: TLSARecord.Matching),
        of place: Int
    ) -> Int? {
        switch (usage, place) {
        case (.pkixEE, 0), (.daneEE, 0): return 0
        case (.pkixTA, 1), (.pkixTA, 2), (.daneTA, 1): return place
        // The root is not sent: only a record that has all of it, or its key, can be the anchor.
        case (.daneTA, 2) where form.matching == .full: return form.selector == .publicKey ? 1 : 2
        default: return nil
        }
    }

    @Test(
        "each usage is matched by the certificates it speaks of, and by no other",
        arguments: usages,
        versions
    )
    func kinds(_ usage: TLSARecord.Usage, _ version: ProtocolVersion) throws {
        for (place, certificate) in [leaf, intermediate, fixtures.root].enumerated() {
            for form in Self.forms {
                let record = TLSARecord(
                    usage: usage,
                    selector: form.0,
                    matching: form.1,
                    of: certificate
                )
                let pair = try meet(issued, TLSARecords([record]), version)
                let report = pair.facts(.client).report
                guard let depth = depth(usage, form, of: place) else {
                    expectRefusal(pair, .tlsaMismatch)
                    #expect(report.tlsa == TLSAVerdict(usableCount: 1))
                    continue
                }
                #expect(pair.isReady, "\(record) \(String(describing: pair.errors[.client]))")
                #expect(report.isPeerTrusted && report.verification == nil)
                #expect(report.tlsa == TLSAVerdict(usableCount: 1, match: record, depth: depth))
                try pair.expectDataFlows()
            }
        }
    }

    @Test("a record of another certificate is a refusal, whatever its kind", arguments: usages)
    func wrong(_ usage: TLSARecord.Usage) throws {
        let stranger = try Certificate(der: fixtures.strangers.rootDER)
        for (selector, matching) in Self.forms {
            let record = TLSARecord(
                usage: usage,
                selector: selector,
                matching: matching,
                of: stranger
            )
            expectRefusal(try meet(issued, TLSARecords([record])), .tlsaMismatch)
        }
    }

    @Test("usages 0 and 1 do not let in what the anchors do not", arguments: versions)
    func untrusted(_ version: ProtocolVersion) throws {
        let rows = [
            TLSARecord(usage: .pkixEE, of: leaf), TLSARecord(usage: .pkixTA, of: intermediate),
            TLSARecord(usage: .pkixTA, of: fixtures.root),
        ]
        let strangers = try Certificate(der: fixtures.strangers.rootDER)
        for record in rows {
            let pair = try meet(issued, TLSARecords([record]), version) {
                $0.anchors = .certificates([strangers])
            }
            expectRefusal(pair, .unableToGetIssuerLocally)
        }
    }

    @Test(
        "a certificate that signs itself is let in by usage 3, and by usage 2 with its whole key",
        arguments: versions
    )
    func selfSigned(_ version: ProtocolVersion) throws {
        var recipe = CertificateRecipe.server(["a.test"])
        recipe.signer = .itself
        let issued = try fixtures.ca.issue(recipe)
        let leaf = try Certificate(der: issued.certificateDER)
        for (selector, matching) in Self.forms {
            for usage in Self.usages {
                let record = TLSARecord(
                    usage: usage,
                    selector: selector,
                    matching: matching,
                    of: leaf
                )
                let pair = try meet(issued, TLSARecords([record]), version)
                // The key of an authority that signed the leaf: that it is the leaf's own is no harm.
                let isOwnKey = usage == .daneTA && selector == .publicKey && matching == .full
                guard usage == .daneEE || isOwnKey else {
                    expectRefusal(pair, usage.needsAnchors ? .selfSignedLeaf : .tlsaMismatch)
                    continue
                }
                #expect(pair.isReady)
                let report = pair.facts(.client).report
                #expect(report.verifiedChain == [leaf])
                #expect(report.tlsa == TLSAVerdict(usableCount: 1, match: record, depth: 0))
                #expect(report.concessions.count == (isOwnKey ? 0 : 2))
            }
        }
    }

    // MARK: Several

    @Test("one match of several records is enough, those of the other kind do no harm")
    func several() throws {
        let stranger = try Certificate(der: fixtures.strangers.rootDER)
        let good = TLSARecord(usage: .daneEE, of: leaf)
        let others = [
            TLSARecord(usage: .daneEE, of: stranger), TLSARecord(usage: .pkixTA, of: stranger),
            TLSARecord(usage: .daneTA, of: stranger),
            TLSARecord(
                usage: .init(rawValue: 9),
                selector: .publicKey,
                matching: .full,
                bytes: [1]
            ),
        ]
        let pair = try meet(issued, TLSARecords(others + [good])) {
            $0.anchors = .certificates([stranger])
        }
        #expect(pair.isReady)
        let report = pair.facts(.client).report
        #expect(report.tlsa == TLSAVerdict(usableCount: 4, match: good, depth: 0))
        expectRefusal(try meet(issued, TLSARecords(others)), .tlsaMismatch)
    }

    @Test("a digest that is stronger makes the weaker ones of its kind count for nothing")
    func agility() throws {
        let stranger = try Certificate(der: fixtures.strangers.rootDER)
        let weak = TLSARecord(usage: .daneEE, matching: .sha256, of: leaf)
        let strong = TLSARecord(usage: .daneEE, matching: .sha512, of: stranger)
        expectRefusal(try meet(issued, TLSARecords([weak, strong])), .tlsaMismatch)
        let other = TLSARecord(
            usage: .daneEE,
            selector: .certificate,
            matching: .sha512,
            of: stranger
        )
        #expect(try meet(issued, TLSARecords([weak, other])).isReady)
    }

    // MARK: Names, dates, strength

    @Test("usage 3 stands for the name unless told otherwise, the others do not", arguments: usages)
    func names(_ usage: TLSARecord.Usage) throws {
        let certificate = usage == .pkixTA || usage == .daneTA ? intermediate : leaf
        let record = TLSARecord(usage: usage, of: certificate)
        let pair = try meet(issued, TLSARecords([record]), name: "b.test")
        if usage == .daneEE {
            #expect(pair.isReady)
            let strict = TLSARecords([record], checksNameOfEndEntity: true)
            expectRefusal(try meet(issued, strict, name: "b.test"), .hostnameMismatch)
            let right = try meet(issued, strict)
            #expect(right.isReady)
            #expect(right.facts(.client).report.concessions.count == 1)
        } else {
            expectRefusal(pair, .hostnameMismatch)
        }
    }

    @Test("usage 3 stands for the dates, the others do not", arguments: usages)
    func dates(_ usage: TLSARecord.Usage) throws {
        var recipe = CertificateRecipe.server(["a.test"])
        recipe.validity = .days(-3 ... -1)
        let issued = try fixtures.ca.intermediate().issue(recipe)
        let chain = try issued.chainDER.map { try Certificate(der: $0) }
        let isOfLeaf = usage == .pkixEE || usage == .daneEE
        let record = TLSARecord(usage: usage, of: isOfLeaf ? chain[0] : chain[1])
        let pair = try meet(issued, TLSARecords([record]))
        if usage == .daneEE {
            #expect(pair.isReady)
        } else {
            expectRefusal(pair, .expired)
        }
    }

    @Test("our own rules hold below an authority that a record names, not for a leaf it names")
    func ownRules() throws {
        var recipe = CertificateRecipe.server(["a.test"])
        recipe.basicConstraints = .init(isAuthority: true)
        recipe.keyUsage = .exactly([.digitalSignature, .keyCertSign])
        let issued = try fixtures.ca.issue(recipe)
        let leaf = try Certificate(der: issued.certificateDER)
        let named = TLSARecords([TLSARecord(usage: .daneEE, of: leaf)])
        #expect(try meet(issued, named).isReady)
        for selector in [TLSARecord.Selector.certificate, .publicKey] {
            let record = TLSARecord(
                usage: .daneTA,
                selector: selector,
                matching: .full,
                of: fixtures.root
            )
            // Under a key of which no certificate was sent, the leaf is all of the chain.
            expectRefusal(try meet(issued, TLSARecords([record])), .leafIsCA)
        }
    }

    @Test("a key that is weaker than the security level is refused, named or not")
    func weakKey() throws {
        var recipe = CertificateRecipe.server(["a.test"])
        recipe.key = .rsa1024
        let issued = try fixtures.ca.issue(recipe)
        let leaf = try Certificate(der: issued.certificateDER)
        let client = try fixtures.client(
            trust: TrustPolicy {
                $0.tlsaRecords = TLSARecords([TLSARecord(usage: .daneEE, of: leaf)])
            }
        )
        var engine = try TLSEngine(client, remoteName: "a.test")
        // One that presents what a sound server could not load.
        var server = try UncheckedServer(issued)
        var (flight, _) = produced { output throws(TLSError) in
            try engine.handshake(consuming: Span(), producing: &output)
        }
        flight = server.receive(flight)
        let (_, result) = produced { output throws(TLSError) in
            try engine.handshake(consuming: flight.span, producing: &output)
        }
        let error = #expect(throws: TLSError.self) { try result.get() }
        #expect(error?.verification?.code == .leafKeyTooSmall)
    }

    // MARK: With pins

    @Test("pins come on top of records, and replace nothing then", arguments: versions)
    func pins(_ version: ProtocolVersion) throws {
        let stranger = try Certificate(der: fixtures.strangers.rootDER)
        let right = TLSARecords([TLSARecord(usage: .daneEE, of: leaf)])
        let wrong = TLSARecords([TLSARecord(usage: .daneEE, of: stranger)])
        let pin = CertificatePin.publicKey(leaf.keyFingerprint())
        let other = CertificatePin.publicKey(stranger.keyFingerprint())
        for mode in CertificatePins.Mode.allCases {
            let both = try meet(issued, right, version) {
                $0.pins = CertificatePins([pin], mode: mode)
            }
            #expect(both.isReady)
            #expect(both.facts(.client).report.pins?.depth == 0)
            let noRecord = try meet(issued, wrong, version) {
                $0.pins = CertificatePins([pin], mode: mode)
            }
            expectRefusal(noRecord, .tlsaMismatch)
            let noPin = try meet(issued, right, version) {
                $0.pins = CertificatePins([other], mode: mode)
            }
            if mode == .reportOnly {
                #expect(noPin.isReady)
            } else {
                expectRefusal(noPin, .pinMismatch)
            }
        }
        // A pin that stands for the chain means the leaf, beside records as well.
        let authority = TLSARecords([TLSARecord(usage: .daneTA, of: intermediate)])
        let above = try meet(issued, authority, version) {
            $0.pins = CertificatePins(
                [.publicKey(intermediate.keyFingerprint())],
                mode: .replace
            )
        }
        expectRefusal(above, .pinMismatch)
    }

    // MARK: Misuse

    @Test("an empty list, a list that nobody could match, and a listener's records make no context")
    func misuse() throws {
        let unusable = TLSARecord(
            usage: .daneEE,
            selector: .publicKey,
            matching: .sha256,
            bytes: [1]
        )
        for records in [[], [unusable]] {
            let error = #expect(throws: TLSError.self) {
                try fixtures.client(trust: TrustPolicy { $0.tlsaRecords = TLSARecords(records) })
            }
            #expect(error == TLSError(.invalidTLSARecord))
            #expect(error?.category == .local && error?.hint != nil)
        }
        let trust = TrustPolicy {
            $0.tlsaRecords = TLSARecords([TLSARecord(usage: .daneEE, of: leaf)])
        }
        #expect(throws: TLSError(.invalidTLSARecord)) {
            try fixtures.server(trust: trust) { $0.clientAuthentication = .require }
        }
        // Without clients' certificates nobody looks at a listener's trust: an error all the same.
        #expect(throws: TLSError(.invalidTLSARecord)) { try fixtures.server(trust: trust) }
    }

    @Test("where nothing can be used, the anchors decide if the policy says so")
    func fallback() throws {
        let unusable = TLSARecord(
            usage: .daneEE,
            selector: .publicKey,
            matching: .sha256,
            bytes: [1]
        )
        let records = TLSARecords([unusable], fallback: .anchors)
        let pair = try meet(issued, records) { $0.anchors = .certificates([fixtures.root]) }
        #expect(pair.isReady)
        let report = pair.facts(.client).report
        #expect(report.tlsa == nil)
        #expect(report.concessions == ["no TLSA record can be used"])
        let strangers = try Certificate(der: fixtures.strangers.rootDER)
        let bad = try meet(issued, records) { $0.anchors = .certificates([strangers]) }
        expectRefusal(bad, .unableToGetIssuerLocally)
    }

    @Test("a policy that accepts anything tells what the records would have said")
    func acceptAnything() throws {
        var trust = TrustPolicy.acceptAnything(because: "a test")
        trust.tlsaRecords = TLSARecords([TLSARecord(usage: .daneEE, of: fixtures.root)])
        let pair = try meet(issued, TLSARecords([])) { $0 = trust }
        #expect(pair.isReady)
        let report = pair.facts(.client).report
        #expect(report.verification?.code == .tlsaMismatch && !report.isPeerTrusted)
        #expect(report.tlsa == TLSAVerdict(usableCount: 1))
    }
}
