// Judging staples: who may sign, what is said of whom, when, and what is no response at all.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct OCSPStapleTests {
    @Test(
        "a good staple clears the leaf, whatever key signs it, and is told in full",
        arguments: handshakeKeys,
        versions
    )
    func good(_ key: TestKey, _ version: ProtocolVersion) throws {
        var stage = try StapleStage(key: key)
        stage.version = version
        stage.trust.revocation = .require
        try stage.answer()
        let report = try stage.meet()
        #expect(report.isComplete, "\(String(describing: report.error))")
        #expect(report.revocationEvidence == .staple)
        let staple = try #require(report.ocspStaple)
        let now = ManualClock.defaultUnixSeconds
        #expect(staple.der == stage.staple?.der && report.ocspResponse == staple.der)
        #expect(staple.status == .good)
        #expect(staple.producedAt == UnixTime(seconds: now - 30))
        #expect(staple.thisUpdate == UnixTime(seconds: now - 60))
        #expect(staple.nextUpdate == UnixTime(seconds: now + 3600))
        #expect(staple.delegate == nil)
    }

    @Test("the responder may be told by its key, and the certificate by SHA-256")
    func otherForms() throws {
        var stage = try StapleStage()
        stage.trust.revocation = .require
        try stage.answer(digest: .sha256) { $0.isByKey = true }
        #expect(try stage.refusal() == nil)
    }

    @Test("revoked is told with its time and reason, also by a staple that is out of date")
    func revoked() throws {
        var stage = try StapleStage()
        try stage.answer(.revoked(at: .relative(seconds: -3600), reason: .keyCompromise)) {
            $0.singles[0].nextUpdate = .relative(seconds: -30)
        }
        stage.verify(after: 3600)
        let report = try stage.meet()
        #expect(report.error?.verification?.code == .revoked)
        let time = UnixTime(seconds: ManualClock.defaultUnixSeconds - 3600)
        #expect(report.ocspStaple?.status == .revoked(at: time, reason: 1))
        #expect(report.revocationEvidence == nil)
        #expect(report.alertSent?.code == 113)
    }

    @Test("of two statements the one that does not clear the certificate counts")
    func twoStatements() throws {
        for status: [OCSPStatus] in [[.good, .revoked()], [.revoked(), .good]] {
            var stage = try StapleStage()
            try stage.answer { recipe in
                let id = recipe.singles[0].id
                recipe.singles = status.map { OCSPAnswerRecipe.Single(id, $0) }
            }
            #expect(try stage.refusal() == .revoked)
        }
    }

    @Test("the statement is found among those of other certificates, up to the 64th")
    func manyStatements() throws {
        for (others, expected) in [(63, nil), (64, VerificationCode.stapleOfAnotherCertificate)] {
            var stage = try StapleStage()
            try stage.answer { recipe in
                let own = recipe.singles[0]
                recipe.singles = (0..<others).map { place in
                    var other = own
                    other.id.serial = [0x10, UInt8(place)]
                    return other
                }
                recipe.singles.append(own)
            }
            #expect(try stage.refusal() == expected)
        }
    }

    @Test("a responder's certificate is found among others, up to the fourth")
    func manyDelegates() throws {
        for (others, expected) in [(3, nil), (4, VerificationCode.stapleResponderNotAuthorized)] {
            var stage = try StapleStage()
            let delegate = try stage.root.issue(.responder("Responder"))
            let companions = try (0..<others).map {
                try stage.root.issue(.responder("Another responder \($0)"))
            }
            try stage.answer {
                $0.responder = .delegate(delegate)
                $0.companions = companions
            }
            #expect(try stage.refusal() == expected)
        }
    }

    // MARK: Who signs

    @Test("a delegate of the issuer may sign; one that is expired, weak or may not sign may not")
    func delegates() throws {
        func refusal(_ change: (inout CertificateRecipe) -> Void) throws -> VerificationCode? {
            var stage = try StapleStage()
            var recipe = CertificateRecipe.responder("Responder")
            change(&recipe)
            let delegate = try stage.root.issue(recipe)
            try stage.answer { $0.responder = .delegate(delegate) }
            return try stage.refusal()
        }
        #expect(try refusal { _ in } == nil)
        #expect(
            try refusal { $0.validity = .days(-3 ... -1) } == .stapleResponderNotAuthorized
        )
        #expect(
            try refusal { $0.keyUsage = .exactly([.keyEncipherment]) }
                == .stapleResponderNotAuthorized
        )
        #expect(try refusal { $0.key = .rsa1024 } == .stapleSignatureTooWeak)
        #expect(
            try refusal {
                $0.extraExtensions = [.init(oid: "2.25.1", isCritical: true, der: [5, 0])]
            }
                == .stapleResponderNotAuthorized
        )
    }

    @Test("a delegate is told by name in the report")
    func delegateName() throws {
        var stage = try StapleStage()
        let delegate = try stage.root.issue(.responder("Responder"))
        try stage.answer { $0.responder = .delegate(delegate) }
        #expect(try stage.meet().ocspStaple?.delegate?.contains("Responder") == true)
    }

    @Test("below an intermediate its own word counts, and not the root's")
    func intermediates() throws {
        let root = try TestCA(clock: ManualClock())
        let middle = try root.intermediate(pathLength: 0)
        var stage = try StapleStage(root: root, issuer: middle)
        stage.trust.revocation = .require
        try stage.answer()
        #expect(try stage.refusal() == nil)
        try stage.answer(by: root)
        #expect(try stage.refusal() == .stapleResponderNotAuthorized)
        let delegate = try root.issue(.responder("Responder of the root"))
        try stage.answer { $0.responder = .delegate(delegate) }
        #expect(try stage.refusal() == .stapleResponderNotAuthorized)
    }

    @Test("hashes below the security level are refused", arguments: [SigningDigest.sha1, .md5])
    func weakHashes(_ digest: SigningDigest) throws {
        var stage = try StapleStage(key: .rsa2048)
        try stage.answer { $0.digest = digest }
        #expect(try stage.refusal() == .stapleSignatureTooWeak)
    }

    @Test("a critical extension that is not understood is refused (RFC 6960 §4.4)")
    func criticalExtension() throws {
        var stage = try StapleStage()
        try stage.answer { $0.hasUnknownCriticalExtension = true }
        #expect(try stage.refusal() == .stapleUnhandledCriticalExtension)
    }

    // MARK: When

    @Test("the dates hold to the second, with the clock skew on top")
    func dates() throws {
        var stage = try StapleStage { $0.validity = .days(-30...30) }
        stage.trust.revocation.clockSkew = .seconds(10)
        try stage.answer()
        let cases: [(Int64, VerificationCode?)] = [
            (3610, nil), (3611, .stapleExpired), (-40, nil), (-41, .stapleNotYetValid),
        ]
        for (seconds, expected) in cases {
            stage.verify(after: seconds)
            #expect(try stage.refusal() == expected, "after \(seconds) seconds")
        }
    }

    @Test("a staple that does not say when the next comes is good for the maximum age")
    func maximumAge() throws {
        var stage = try StapleStage { $0.validity = .days(-30...30) }
        stage.trust.revocation.clockSkew = .zero
        stage.trust.revocation.maximumAge = .seconds(1000)
        try stage.answer { $0.singles[0].nextUpdate = nil }
        for (seconds, expected) in [(940, nil), (941, VerificationCode.stapleTooOld)] {
            stage.verify(after: Int64(seconds))
            #expect(try stage.refusal() == expected)
        }
    }

    @Test("a staple that ends before it begins is none")
    func backwards() throws {
        var stage = try StapleStage()
        try stage.answer { $0.singles[0].nextUpdate = .relative(seconds: -61) }
        #expect(try stage.refusal() == .stapleMalformed)
    }

    // MARK: What is no response

    @Test("the size holds at the limit and past it", arguments: versions)
    func size(_ version: ProtocolVersion) throws {
        var stage = try StapleStage()
        stage.version = version
        try stage.answer()
        let count = try #require(stage.staple?.der.count)
        stage.limits.ocspResponseBytes = count
        #expect(try stage.refusal() == nil)
        stage.limits.ocspResponseBytes = count - 1
        #expect(try stage.refusal() == .stapleTooLarge)
    }

    @Test("the largest that a server can staple is refused, by OpenSSL's limit or by ours")
    func largest() throws {
        var stage = try StapleStage()
        // TLS 1.3 carries it in an extension, of at most 64 KiB.
        stage.staple = OCSPAnswer(der: [UInt8](repeating: 0x30, count: 65_000))
        #expect(try stage.refusal() == .stapleTooLarge)
        stage.limits.ocspResponseBytes = 1 << 20
        #expect(try stage.refusal() == .stapleMalformed)
        stage.version = .tls12
        #expect(try stage.meet().error?.code == .handshakeMessageTooLarge)
    }

    @Test("a response that ends anywhere too early, or has bytes behind it, is none")
    func truncated() throws {
        var stage = try StapleStage()
        try stage.answer()
        let der = try #require(stage.staple?.der)
        for count in 1..<der.count {
            stage.staple = OCSPAnswer(der: Array(der[..<count]))
            #expect(try stage.refusal() == .stapleMalformed, "\(count) bytes")
        }
        stage.staple = OCSPAnswer(der: der + [0])
        #expect(try stage.refusal() == .stapleMalformed)
    }

    @Test("a response with any byte changed clears nobody")
    func changed() throws {
        var stage = try StapleStage()
        stage.trust.revocation = .require
        try stage.answer()
        let der = try #require(stage.staple?.der)
        for place in der.indices {
            var bent = der
            bent[place] ^= 0x01
            stage.staple = OCSPAnswer(der: bent)
            let report = try stage.meet()
            #expect(report.error?.code == .certificateRejected, "byte \(place)")
            #expect(report.revocationEvidence == nil)
        }
    }

    // MARK: What is demanded

    @Test("a certificate that demands a staple is refused without, and let in with one")
    func mustStaple() throws {
        for version in versions {
            var stage = try StapleStage { $0.extraExtensions = [.mustStaple] }
            stage.version = version
            #expect(try stage.refusal() == .stapleMissing)
            try stage.answer()
            #expect(try stage.refusal() == nil)
            stage.staple = nil
            // A list clears it, and still it demands a staple.
            try stage.know(stage.root.revocationList())
            #expect(try stage.refusal() == .stapleMissing)
            stage.trust.revocation = .off
            #expect(try stage.refusal() == nil)
        }
    }

    @Test("who does not look at revocation and asks for no staple gets none")
    func unasked() throws {
        var stage = try StapleStage()
        try stage.answer(.revoked())
        stage.trust.revocation = .off
        stage.asks = false
        let report = try stage.meet()
        #expect(report.isComplete && report.ocspResponse == nil)
        stage.trust.revocation = .ifPresent
        stage.trust.strictness = .lenient(because: "an old server")
        #expect(try stage.meet().isComplete)
        stage.trust.revocation = .require
        #expect(try stage.refusal() == .revoked)
    }

    @Test("an anchor is trusted as it stands, whatever is stapled to it")
    func anchors() throws {
        var stage = try StapleStage()
        stage.trust.anchors = .certificates([try Certificate(der: stage.certificate.certificateDER)]
        )
        stage.trust.revocation = .require
        #expect(try stage.refusal() == nil)
        stage.staple = .garbage
        #expect(try stage.refusal() == nil)
    }

    @Test("a policy that accepts anything tells the verdict on the staple and connects")
    func acceptAnything() throws {
        for version in versions {
            var stage = try StapleStage()
            stage.version = version
            try stage.answer(.revoked())
            let (anchors, time) = (stage.trust.anchors, stage.trust.verificationTime)
            stage.trust = .acceptAnything(because: "looking around")
            (stage.trust.anchors, stage.trust.verificationTime) = (anchors, time)
            let report = try stage.meet()
            #expect(report.isComplete && !report.isPeerTrusted)
            #expect(report.verification?.code == .revoked)
        }
    }
}
