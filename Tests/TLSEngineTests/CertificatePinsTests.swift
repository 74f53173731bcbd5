// Pins: what a match stands for in each mode, and what is checked all the same.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct CertificatePinsTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// Has a client of a policy meet a server.
    func meet(
        _ issued: IssuedCertificate,
        _ version: ProtocolVersion = .tls13,
        name: String? = "a.test",
        _ configure: (inout TrustPolicy) throws -> Void
    ) throws -> EnginePair {
        let pair = try EnginePair(
            client: fixtures.client(trust: TrustPolicy(configure)) { $0.allowOnly(version) },
            server: fixtures.server(identities: [TLSIdentity(issued)]),
            remoteName: name
        )
        pair.settle()
        return pair
    }

    func expectRefusal(
        _ pair: EnginePair,
        _ code: VerificationCode,
        _ alert: Alert = .badCertificate,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let (client, server) = (pair.facts(.client), pair.facts(.server))
        #expect(client.error?.code == .certificateRejected, sourceLocation: sourceLocation)
        #expect(client.error?.category == .policy, sourceLocation: sourceLocation)
        #expect(client.error?.phase == .certificate, sourceLocation: sourceLocation)
        #expect(client.error?.verification?.code == code, sourceLocation: sourceLocation)
        #expect(client.error?.verification?.depth == 0, sourceLocation: sourceLocation)
        #expect(client.error?.hint != nil, sourceLocation: sourceLocation)
        #expect(!client.report.isPeerTrusted, sourceLocation: sourceLocation)
        #expect(client.report.peerChain.first != nil, sourceLocation: sourceLocation)
        #expect(server.error?.alert == alert, sourceLocation: sourceLocation)
    }

    /// A certificate that signs itself, for another name.
    func selfSigned(_ change: (inout CertificateRecipe) -> Void = { _ in }) throws
        -> IssuedCertificate
    {
        var recipe = CertificateRecipe.server(["other.test"])
        recipe.signer = .itself
        change(&recipe)
        return try fixtures.ca.issue(recipe)
    }

    func certificate(_ issued: IssuedCertificate) throws -> Certificate {
        try Certificate(der: issued.certificateDER)
    }

    /// Every pin of a certificate: by itself and by its key, with every hash.
    func pins(of certificate: Certificate) -> [CertificatePin] {
        FingerprintAlgorithm.allCases.flatMap { algorithm -> [CertificatePin] in
            [
                .certificate(certificate.fingerprint(algorithm)),
                .publicKey(certificate.keyFingerprint(algorithm)),
            ]
        }
    }

    // MARK: In place of verification

    @Test(
        "a match stands for chain and name, so a certificate that signs itself is trusted",
        arguments: versions
    )
    func replace(_ version: ProtocolVersion) throws {
        let issued = try selfSigned()
        let leaf = try certificate(issued)
        let other = CertificatePin.certificate(fixtures.root.fingerprint())
        for pin in pins(of: leaf) {
            let pair = try meet(issued, version) {
                $0.pins = CertificatePins([other, pin], mode: .replace)
            }
            #expect(pair.isReady)
            try pair.expectDataFlows()
            let report = pair.facts(.client).report
            #expect(report.pins == PinVerdict(mode: .replace, match: pin, depth: 0))
            #expect(report.isPeerTrusted && report.verification == nil)
            #expect(report.verifiedChain == [leaf])
            #expect(report.concessions.count == 1)
        }
    }

    @Test("no match is a refusal with a code of its own, also for a chain that would be trusted")
    func replaceWithoutMatch() throws {
        let issued = try fixtures.ca.issue("a.test")
        for version in versions {
            let pair = try meet(issued, version) {
                $0.anchors = .certificates([fixtures.root])
                // The root is no leaf.
                $0.pins = CertificatePins(pins(of: fixtures.root), mode: .replace)
            }
            expectRefusal(pair, .pinMismatch)
            let report = pair.facts(.client).report
            #expect(report.pins == PinVerdict(mode: .replace, match: nil, depth: nil))
            let leaf = try certificate(issued)
            #expect(report.hint?.contains(leaf.fingerprint().value) == true)
        }
    }

    @Test("a match needs neither anchors nor a name", arguments: versions)
    func nothingElse(_ version: ProtocolVersion) throws {
        let issued = try selfSigned()
        let pair = try meet(issued, version, name: nil) {
            $0.anchors = .certificates([])
            $0.pins = CertificatePins(
                [.certificate(try certificate(issued).fingerprint())],
                mode: .replace
            )
        }
        #expect(pair.isReady)
    }

    @Test(
        "the dates of a pinned certificate are checked, at the policy's time",
        arguments: versions
    )
    func dates(_ version: ProtocolVersion) throws {
        let now = Int64(1_800_000_000)
        let issued = try selfSigned {
            $0.validity = .absolute(unixSeconds: now...now + 100)
        }
        let pin = CertificatePin.certificate(try certificate(issued).fingerprint())
        for (time, code, alert) in [
            (now - 1, VerificationCode.notYetValid, Alert.badCertificate),
            (now, .ok, .closeNotify), (now + 100, .ok, .closeNotify),
            (now + 101, .expired, .certificateExpired),
        ] {
            let pair = try meet(issued, version) {
                $0.pins = CertificatePins([pin], mode: .replace)
                $0.verificationTime = UnixTime(seconds: time)
            }
            if code == .ok {
                #expect(pair.isReady)
            } else {
                expectRefusal(pair, code, alert)
            }
        }
    }

    @Test("an expired certificate that is pinned is refused today")
    func expired() throws {
        let issued = try selfSigned { $0.validity = .days(-3 ... -1) }
        let pin = CertificatePin.certificate(try certificate(issued).fingerprint())
        let pair = try meet(issued) { $0.pins = CertificatePins([pin], mode: .replace) }
        expectRefusal(pair, .expired, .certificateExpired)
    }

    @Test("a CA certificate that is pinned may be a leaf, with or without its chain")
    func leafIsCA() throws {
        let issued = try selfSigned { $0.basicConstraints = .init(isAuthority: true) }
        let pair = try meet(issued) {
            $0.pins = CertificatePins(
                [.publicKey(try certificate(issued).keyFingerprint())],
                mode: .replace
            )
        }
        #expect(pair.isReady)
    }

    @Test("a key that is weaker than the security level is refused, pinned or not")
    func weakKey() throws {
        let issued = try selfSigned { $0.key = .rsa1024 }
        let leaf = try certificate(issued)
        let client = try fixtures.client(
            trust: TrustPolicy {
                $0.pins = CertificatePins([.certificate(leaf.fingerprint())], mode: .replace)
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
        #expect(engine.report.pins?.match != nil)
    }

    @Test("a list without pins is no policy")
    func empty() throws {
        for mode in CertificatePins.Mode.allCases {
            #expect(throws: TLSError(.invalidFingerprint)) {
                try fixtures.client(
                    trust: TrustPolicy { $0.pins = CertificatePins([], mode: mode) }
                )
            }
        }
    }

    // MARK: Beside verification

    @Test(
        "pins beside verification match any certificate of the verified chain",
        arguments: versions
    )
    func add(_ version: ProtocolVersion) throws {
        let intermediate = try fixtures.ca.intermediate()
        let issued = try intermediate.issue("a.test")
        let chain = try issued.chainDER.map { try Certificate(der: $0) } + [fixtures.root]
        for (depth, certificate) in chain.enumerated() {
            for pin in pins(of: certificate) {
                let pair = try meet(issued, version) {
                    $0.anchors = .certificates([fixtures.root])
                    $0.pins = CertificatePins([pin], mode: .add)
                }
                #expect(pair.isReady)
                let report = pair.facts(.client).report
                #expect(report.pins == PinVerdict(mode: .add, match: pin, depth: depth))
                #expect(report.verifiedChain == chain)
                #expect(report.concessions == [])
            }
        }
    }

    @Test("pins beside verification refuse a good chain that none matches, and trust no bad one")
    func addWithoutMatch() throws {
        let issued = try fixtures.ca.issue("a.test")
        let stranger = CertificatePin.publicKey(
            try Certificate(der: fixtures.strangers.rootDER).keyFingerprint()
        )
        for version in versions {
            let pair = try meet(issued, version) {
                $0.anchors = .certificates([fixtures.root])
                $0.pins = CertificatePins([stranger], mode: .add)
            }
            expectRefusal(pair, .pinMismatch)
        }
        let bad = try fixtures.strangers.issue("a.test")
        let pair = try meet(bad) {
            $0.anchors = .certificates([fixtures.root])
            $0.pins = CertificatePins(pins(of: try certificate(bad)), mode: .add)
        }
        expectRefusal(pair, .unableToGetIssuerLocally, .unknownCA)
        #expect(pair.facts(.client).report.pins == nil)
        let wrongName = try meet(issued, name: "b.test") {
            $0.anchors = .certificates([fixtures.root])
            $0.pins = CertificatePins(pins(of: try certificate(issued)), mode: .add)
        }
        expectRefusal(wrongName, .hostnameMismatch)
    }

    @Test("a CA certificate as leaf needs a pin of itself, not of what issued it")
    func addLeafIsCA() throws {
        var recipe = CertificateRecipe.server(["a.test"])
        recipe.basicConstraints = .init(isAuthority: true)
        recipe.keyUsage = .exactly([.digitalSignature, .keyCertSign])
        let issued = try fixtures.ca.issue(recipe)
        let rows: [(CertificatePin, VerificationCode?)] = [
            (.certificate(try certificate(issued).fingerprint()), nil),
            (.certificate(fixtures.root.fingerprint()), .leafIsCA),
        ]
        for (pin, code) in rows {
            for mode in [CertificatePins.Mode.add, .reportOnly] {
                let pair = try meet(issued) {
                    $0.anchors = .certificates([fixtures.root])
                    $0.pins = CertificatePins([pin], mode: mode)
                }
                if code == nil, mode == .add {
                    #expect(pair.isReady)
                } else {
                    expectRefusal(pair, .leafIsCA)
                }
            }
        }
    }

    @Test("pins that only report refuse nothing")
    func reportOnly() throws {
        let issued = try fixtures.ca.issue("a.test")
        let pin = CertificatePin.certificate(try certificate(issued).fingerprint())
        let other = CertificatePin.certificate(try certificate(selfSigned()).fingerprint())
        for (given, match, depth) in [(pin, pin, 0), (other, nil, nil)]
            as [(CertificatePin, CertificatePin?, Int?)]
        {
            let pair = try meet(issued) {
                $0.anchors = .certificates([fixtures.root])
                $0.pins = CertificatePins([given], mode: .reportOnly)
            }
            #expect(pair.isReady)
            let report = pair.facts(.client).report
            #expect(report.pins == PinVerdict(mode: .reportOnly, match: match, depth: depth))
            #expect(report.isPeerTrusted)
        }
    }

    @Test("a policy that accepts anything tells what the pins would have said")
    func acceptAnything() throws {
        let issued = try selfSigned()
        var trust = TrustPolicy.acceptAnything(because: "a test")
        trust.pins = CertificatePins([.certificate(fixtures.root.fingerprint())], mode: .replace)
        let pair = try meet(issued) { $0 = trust }
        #expect(pair.isReady)
        let report = pair.facts(.client).report
        #expect(report.verification?.code == .pinMismatch)
        #expect(!report.isPeerTrusted)
    }

    // MARK: Servers

    @Test("a server takes a client by its pin, without any authority", arguments: versions)
    func clients(_ version: ProtocolVersion) throws {
        var recipe = CertificateRecipe.client("alice", [])
        recipe.signer = .itself
        let alice = try fixtures.ca.issue(recipe)
        let pinned = TrustPolicy {
            $0.pins = CertificatePins(
                [.certificate(fixtures.root.fingerprint())],
                mode: .replace
            )
        }
        let aliceOnly = try TrustPolicy {
            $0.pins = CertificatePins(
                [.publicKey(try certificate(alice).keyFingerprint())],
                mode: .replace
            )
        }
        for (trust, isKnown) in [(aliceOnly, true), (pinned, false)] {
            let pair = try EnginePair(
                client: fixtures.client(identities: [TLSIdentity(alice)]) { $0.allowOnly(version) },
                server: fixtures.server(trust: trust) { $0.clientAuthentication = .require }
            )
            pair.settle()
            let server = pair.facts(.server)
            #expect(server.report.isPeerTrusted == isKnown)
            #expect((server.report.pins?.match != nil) == isKnown)
            #expect(server.error?.verification?.code == (isKnown ? nil : .pinMismatch))
            #expect(pair.errors[.client]?.alert == (isKnown ? nil : .badCertificate))
        }
    }
}
