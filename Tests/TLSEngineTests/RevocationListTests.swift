// Revocation lists as values, and what they make of chains.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct RevocationListTests {
    @Test("lists are read from DER and PEM, and tell issuer, dates and count")
    func reading() throws {
        let authority = try TestCA(clock: ManualClock())
        let leaf = try authority.issue("a.test")
        let one = try authority.revocationList(revoking: [leaf])
        let two = try authority.revocationList(RevocationListRecipe())
        let list = try CertificateRevocationList(der: one.der)
        let now = ManualClock.defaultUnixSeconds
        #expect(list.der == one.der)
        #expect(list.count == 1)
        #expect(list.issuer.contains("Test Root"))
        #expect(list.thisUpdate == UnixTime(seconds: now - 3600))
        #expect(list.nextUpdate == UnixTime(seconds: now + 86400))
        #expect(list.description.contains("1 revoked"))
        let both = try CertificateRevocationList.read(Array((one.pem + two.pem).utf8))
        #expect(both.map(\.count) == [1, 0])
        #expect(both[0] == list && both[1] != list)
        #expect(try CertificateRevocationList.read(one.der) == [list])
        var recipe = RevocationListRecipe()
        recipe.nextUpdate = nil
        let endless = try CertificateRevocationList(der: authority.revocationList(recipe).der)
        #expect(endless.nextUpdate == nil)
    }

    @Test("what is no list is an error that says so", arguments: ["", "no PEM", "0"])
    func garbage(_ text: String) throws {
        #expect(throws: TLSError(.invalidRevocationList)) {
            try CertificateRevocationList.read(Array(text.utf8))
        }
        let der = try TestCA().revocationList().der
        for bytes in [Array(der.dropLast()), der + [0]] {
            #expect(throws: TLSError(.invalidRevocationList)) {
                try CertificateRevocationList(der: bytes)
            }
        }
        let pem = Array("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n".utf8)
        let error = #expect(throws: TLSError.self) { try CertificateRevocationList.read(pem) }
        #expect(error?.code == .invalidRevocationList && error?.category == .local)
    }

    @Test("a revoked intermediate is refused at its depth; one without a list passes")
    func intermediates() throws {
        let root = try TestCA(clock: ManualClock())
        let middle = try root.intermediate(pathLength: 0)
        for version in versions {
            var stage = try StapleStage(root: root, issuer: middle)
            stage.version = version
            stage.trust.revocation = .require
            try stage.know(middle.revocationList())
            #expect(try stage.meet().revocationEvidence == .list)
            let entry = try root.revocationList(
                RevocationListRecipe(revoking: [middle.identity])
            )
            try stage.know(middle.revocationList(), entry)
            let failure = try stage.meet().error?.verification
            #expect(failure?.code == .revoked)
            #expect(failure?.depth == 1)
            #expect(failure?.certificate?.der == middle.certificateDER)
            // A delta list says the same.
            let delta = try root.revocationList(deltaRecipe(revoking: [middle.identity]))
            try stage.know(middle.revocationList(), root.revocationList(), delta)
            let again = try stage.meet().error?.verification
            #expect(again?.code == .revoked && again?.depth == 1)
            #expect(again?.certificate?.der == middle.certificateDER)
            // The root's list alone says nothing of the leaf.
            try stage.know(root.revocationList())
            #expect(try stage.refusal() == .revocationUnknown)
            stage.trust.revocation.demand = .ifPresent
            #expect(try stage.refusal() == nil)
        }
    }

    @Test("of several lists the one in date counts, in any order")
    func several() throws {
        var stage = try StapleStage()
        stage.trust.revocation = .require
        var old = RevocationListRecipe()
        old.thisUpdate = .relative(seconds: -172_800)
        old.nextUpdate = .relative(seconds: -86_400)
        let lists = try [stage.root.revocationList(old), stage.root.revocationList()]
        try stage.know(lists[0], lists[1])
        #expect(try stage.refusal() == nil)
        try stage.know(lists[1], lists[0])
        #expect(try stage.refusal() == nil)
        try stage.know(lists[0])
        #expect(try stage.refusal() == .listExpired)
    }

    @Test("whoever says revoked is believed, list or staple")
    func both() throws {
        var stage = try StapleStage()
        stage.trust.revocation = .require
        try stage.know(stage.root.revocationList(revoking: [stage.certificate]))
        try stage.answer(.good)
        #expect(try stage.refusal() == .revoked)
        try stage.know(stage.root.revocationList())
        #expect(try stage.meet().revocationEvidence == .staple)
        try stage.answer(.revoked())
        #expect(try stage.refusal() == .revoked)
    }

    @Test("a list for other kinds of certificates says nothing of the leaf")
    func scope() throws {
        var stage = try StapleStage()
        stage.trust.revocation = .require
        var recipe = RevocationListRecipe()
        // IssuingDistributionPoint with onlyContainsCACerts (RFC 5280 §5.2.5).
        recipe.extraExtensions = [
            .init(oid: "2.5.29.28", isCritical: true, der: [0x30, 0x03, 0x82, 0x01, 0xFF])
        ]
        try stage.know(stage.root.revocationList(recipe))
        #expect(try stage.refusal() == .revocationUnknown)
        stage.trust.revocation.demand = .ifPresent
        #expect(try stage.meet().revocationEvidence == nil)
    }

    @Test("a delta list is joined to its list (RFC 5280 §5.2.4)")
    func deltas() throws {
        var stage = try StapleStage()
        stage.trust.revocation = .require
        var complete = RevocationListRecipe()
        // FreshestCRL: one distribution point without anything in it.
        complete.extraExtensions = [.init(oid: "2.5.29.46", der: [0x30, 0x02, 0x30, 0x00])]
        let delta = deltaRecipe(revoking: [stage.certificate])
        let lists = try (stage.root.revocationList(complete), stage.root.revocationList(delta))
        try stage.know(lists.0)
        #expect(try stage.refusal() == nil)
        try stage.know(lists.0, lists.1)
        #expect(try stage.refusal() == .revoked)
        try stage.know(lists.1, lists.0)
        #expect(try stage.refusal() == .revoked)
        // Whoever says revoked is believed.
        try stage.know(lists.1)
        #expect(try stage.refusal() == .revoked)
    }

    /// The second list, with what changed since the first (deltaCRLIndicator, RFC 5280 §5.2.4).
    private func deltaRecipe(
        revoking certificates: [IssuedCertificate] = []
    ) -> RevocationListRecipe {
        var recipe = RevocationListRecipe(revoking: certificates)
        recipe.number = 2
        recipe.extraExtensions = [
            .init(oid: "2.5.29.27", isCritical: true, der: [0x02, 0x01, 0x01])
        ]
        return recipe
    }

    @Test("a delta list by itself is no evidence, and a newer one clears nothing")
    func silentDeltas() throws {
        var stage = try StapleStage()
        stage.trust.revocation = .require
        var recipe = deltaRecipe()
        recipe.thisUpdate = .relative(seconds: -1800)
        let delta = try stage.root.revocationList(recipe)
        try stage.know(delta)
        #expect(try stage.refusal() == .revocationUnknown)
        try stage.know(stage.root.revocationList(), delta)
        #expect(try stage.meet().revocationEvidence == .list)
        try stage.know(stage.root.revocationList(revoking: [stage.certificate]), delta)
        #expect(try stage.refusal() == .revoked)
    }

    /// The lists that a server has of its clients' authority.
    enum ServersLists: CaseIterable {
        case none, clean, revoking, revokingDelta
    }

    @Test("a server holds its clients' certificates against its lists", arguments: versions)
    func clients(_ version: ProtocolVersion) throws {
        let fixtures = try Fixtures.shared()
        let ca = try TestCA(clock: ManualClock())
        let issued = try ca.issue(.client("alice"))
        let client = try fixtures.client(identities: [issued.tlsIdentity]) { $0.allowOnly(version) }
        for lists in ServersLists.allCases {
            var trust = TrustPolicy(anchors: [try Certificate(der: ca.rootDER)])
            trust.verificationTime = UnixTime(seconds: ManualClock.defaultUnixSeconds)
            trust.revocation = .require
            let (known, code): ([RevocationList], VerificationCode?) =
                switch lists {
                case .none: ([], .revocationUnknown)
                case .clean: (try [ca.revocationList()], nil)
                case .revoking: (try [ca.revocationList(revoking: [issued])], .revoked)
                case .revokingDelta:
                    (
                        try [
                            ca.revocationList(), ca.revocationList(deltaRecipe(revoking: [issued])),
                        ], .revoked
                    )
                }
            trust.revocation.lists = try known.map { try CertificateRevocationList(der: $0.der) }
            let server = try fixtures.server(trust: trust) {
                $0.allowOnly(version)
                $0.clientAuthentication = .require
            }
            let pair = try EnginePair(client: client, server: server)
            pair.settle()
            #expect(pair.errors[.server]?.verification?.code == code, "\(lists)")
            #expect((pair.errors[.server] == nil) == (code == nil), "\(lists)")
        }
    }

    @Test("a delta list that is out of date, or of a stranger's key, says nothing")
    func uselessDeltas() throws {
        var stage = try StapleStage()
        stage.trust.revocation = .require
        let change: [(inout RevocationListRecipe) -> Void] = [
            { $0.thisUpdate = .relative(seconds: 3600) },
            {
                $0.thisUpdate = .relative(seconds: -7200)
                $0.nextUpdate = .relative(seconds: -3600)
            },
            { $0.signer = .stranger },
            { $0.entries[0].reason = .removeFromCRL },
        ]
        for change in change {
            var recipe = deltaRecipe(revoking: [stage.certificate])
            change(&recipe)
            try stage.know(
                stage.root.revocationList(),
                stage.root.revocationList(recipe)
            )
            #expect(try stage.meet().revocationEvidence == .list)
        }
    }

    @Test("an indirect list, of an issuer for another, is not taken (RFC 5280 §5.2.5)")
    func indirect() throws {
        var stage = try StapleStage()
        stage.trust.revocation = .require
        var recipe = RevocationListRecipe()
        recipe.extraExtensions = [
            .init(oid: "2.5.29.28", isCritical: true, der: [0x30, 0x03, 0x84, 0x01, 0xFF])
        ]
        try stage.know(stage.root.revocationList(recipe))
        #expect(try stage.refusal() == .revocationUnknown)
    }

    @Test("lists of one context are none of another that trusts the same anchors")
    func separate() throws {
        var stage = try StapleStage()
        let before = stage
        try stage.know(stage.root.revocationList(revoking: [stage.certificate]))
        #expect(try stage.refusal() == .revoked)
        #expect(try before.refusal() == nil)
    }
}
