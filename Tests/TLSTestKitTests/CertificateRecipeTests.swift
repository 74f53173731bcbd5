import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct CertificateRecipeTests {
    let clock = ManualClock()

    func verdict(_ certificate: IssuedCertificate) throws -> ChainVerification.Verdict {
        var verification = ChainVerification(
            anchors: [certificate.rootDER],
            unixSeconds: clock.unixSeconds
        )
        verification.purpose = .server
        verification.host = "a.test"
        return try verification.verify(certificate.chainDER)
    }

    @Test("the recipe a fault is made from is correct but for the fault")
    func soundRecipe() throws {
        let leaf = try TestCA(clock: clock).issue(.server(["a.test"]))
        #expect(try verdict(leaf).code == 0)
    }

    @Test("public recipes issue what their names say")
    func publicRecipes() throws {
        let authority = try TestCA(clock: clock)
        let rows: [(CertificateRecipe, CertificateFault)] = [
            (.expired("a.test"), .expired), (.notYetValid("a.test"), .notYetValid),
            (.wrongHost("a.test"), .wrongHost), (.noSAN("a.test"), .noSAN),
            (.caAsLeaf("a.test"), .caAsLeaf), (.wrongEKU("a.test"), .wrongEKU),
            (.unknownCriticalExtension("a.test"), .unknownCriticalExtension),
            (.selfSigned("a.test"), .selfSigned),
        ]
        for (recipe, fault) in rows {
            #expect(try verdict(authority.issue(recipe)).code == fault.verifyCode)
        }
    }

    @Test(
        "a stranger's signature is a bad signature",
        arguments: [TestKey.p256, .rsa2048, .ed25519]
    )
    func stranger(_ key: TestKey) throws {
        var recipe = CertificateRecipe.server(["a.test"])
        recipe.signer = .stranger
        let leaf = try TestCA(key: key, clock: clock).issue(recipe)
        #expect(try verdict(leaf).code == 7)  // X509_V_ERR_CERT_SIGNATURE_FAILURE
    }

    @Test("an unknown authority of the same name is not taken for the known one")
    func namesake() throws {
        let leaf = try TestCA(clock: clock).issue("a.test")
        let namesake = try TestCA(clock: clock)
        var verification = ChainVerification(
            anchors: [namesake.rootDER],
            unixSeconds: clock.unixSeconds
        )
        verification.isStrict = false
        // X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
        #expect(try verification.verify(leaf.chainDER).code == 20)
    }

    /// A change to a leaf that only strict verification minds, and what it then says.
    struct Laxity: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let code: Int32
        let change: @Sendable (inout CertificateRecipe) -> Void

        static let table = [
            Laxity(testDescription: "a path length on a leaf", code: 80) {
                $0.basicConstraints = .init(isAuthority: false, pathLength: 0)
            },
            Laxity(testDescription: "a leaf that may sign certificates", code: 82) {
                $0.keyUsage = .exactly([.digitalSignature, .keyCertSign])
            },
            Laxity(testDescription: "no authorityKeyIdentifier", code: 85) {
                $0.authorityKeyIdentifier = .omitted
            },
            Laxity(testDescription: "no subject and uncritical names", code: 88) {
                $0.subject = []
                $0.isSubjectAltNameCritical = .exactly(false)
            },
        ]
    }

    @Test("strict verification minds each broken rule of form", arguments: Laxity.table)
    func strictness(_ row: Laxity) throws {
        var recipe = CertificateRecipe.server(["a.test"])
        row.change(&recipe)
        let leaf = try TestCA(clock: clock).issue(recipe)
        #expect(try verdict(leaf).code == row.code)
        var lax = ChainVerification(anchors: [leaf.rootDER], unixSeconds: clock.unixSeconds)
        lax.isStrict = false
        #expect(try lax.verify(leaf.chainDER).code == 0)
    }

    @Test("the issuer's name and its identifier can be wrong on purpose")
    func wrongIssuer() throws {
        for change: (inout CertificateRecipe) -> Void in [
            { $0.issuer = .commonName("Nobody") },
            { $0.authorityKeyIdentifier = .exactly([1, 2, 3]) },
        ] {
            var recipe = CertificateRecipe.server(["a.test"])
            change(&recipe)
            // X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
            #expect(try verdict(TestCA(clock: clock).issue(recipe)).code == 20)
        }
    }

    @Test("an authority's path length is enforced")
    func pathLength() throws {
        let top = try TestCA(clock: clock).intermediate(name: "Top", pathLength: 0)
        let leaf = try top.intermediate(name: "Below").issue("a.test")
        #expect(try verdict(leaf).code == 25)  // X509_V_ERR_PATH_LENGTH_EXCEEDED
    }

    @Test("a leaf that acts as an authority is refused as one")
    func leafSigns() throws {
        let leaf = try TestCA(clock: clock).issue("b.test")
        let child = try TestCA(actingAs: leaf, now: { clock.unixSeconds }).issue("a.test")
        #expect(child.chainDER.count == 2)
        #expect(try verdict(child).code == 79)  // X509_V_ERR_INVALID_CA
    }

    @Test("a key can be certified twice")
    func sharedKey() throws {
        let authority = try TestCA(clock: clock)
        let first = try authority.issue("a.test")
        var recipe = CertificateRecipe.server(["a.test"], key: .rsa2048)
        recipe.keyHolder = first
        let second = try authority.issue(recipe)
        #expect(second.key == .p256)
        #expect(try first.privateKeyDER == second.privateKeyDER)
        #expect(first.certificateDER != second.certificateDER)
    }

    @Test("odd fields are encoded exactly as given")
    func oddFields() throws {
        let authority = try TestCA(key: .rsa2048, clock: clock)
        func text(_ change: (inout CertificateRecipe) -> Void) throws -> String {
            var recipe = CertificateRecipe.server(["a.test"])
            change(&recipe)
            let pem = try authority.issue(recipe).certificatePEM
            return try OpenSSLCommand("x509", "-noout", "-serial", "-text", input: pem).output
                .replacing(" = ", with: "=")  // releases differ in the spaces
        }
        #expect(try text { $0.serial = .octets([0xFF]) }.contains("serial=-01\n"))
        #expect(try text { $0.version = 1 }.contains("Version: 1 (0x0)"))
        #expect(try !text { $0.version = 1 }.contains("X509v3"))
        #expect(try text { $0.digest = .sha1 }.contains("sha1WithRSAEncryption"))
        #expect(try text { $0.digest = .md5 }.contains("md5WithRSAEncryption"))
        #expect(try text { $0.digest = .sha512 }.contains("sha512WithRSAEncryption"))
        #expect(try text { $0.issuer = .commonName("Nobody") }.contains("Issuer: CN=Nobody"))
        #expect(try text { $0.subjectKeyIdentifier = .exactly([0xAB, 0xCD]) }.contains("AB:CD\n"))
        #expect(
            try text { $0.subject = [.country("DE"), .organizationalUnit("Ü")] }
                .contains("Subject: C=DE, OU=\\C3\\9C")
        )
        #expect(
            try text { $0.keyUsage = .exactly([.digitalSignature, .keyAgreement, .crlSign]) }
                .contains("Digital Signature, Key Agreement, CRL Sign")
        )
        #expect(try !text { $0.keyUsage = .omitted }.contains("Key Usage: critical"))
        #expect(
            try text { $0.extendedKeyUsage = [.any, .ocspSigning] }
                .contains("Any Extended Key Usage, OCSP Signing")
        )
    }

    @Test("PSS parameters of every digest are understood", arguments: SigningDigest.allCases)
    func pssDigests(_ digest: SigningDigest) throws {
        var recipe = CertificateRecipe.server(["a.test"])
        recipe.digest = digest
        let leaf = try TestCA(key: .rsaPSS2048, clock: clock).issue(recipe)
        var verification = ChainVerification(
            anchors: [leaf.rootDER],
            unixSeconds: clock.unixSeconds
        )
        verification.isStrict = false
        #expect(try verification.verify(leaf.chainDER).code == 0)
    }

    @Test("ten thousand names survive")
    func manyNames() throws {
        var recipe = CertificateRecipe.server((0..<10_000).map { .dns("n\($0).test") } + ["a.test"])
        recipe.extendedKeyUsage = [.serverAuth]
        let leaf = try TestCA(clock: clock).issue(recipe)
        #expect(leaf.certificateDER.count > 100_000)
        #expect(try verdict(leaf).code == 0)
    }

    @Test("contradictions are refused")
    func contradictions() throws {
        let rows: [(TestKey, @Sendable (inout CertificateRecipe) -> Void)] = [
            (.ed25519, { $0.digest = .sha256 }),
            (.p256, { $0.digest = .md5 }),
            (.p256, { $0.version = 0 }),
            (.p256, { $0.version = 257 }),
            (.p256, { $0.basicConstraints = .init(isAuthority: true, pathLength: -1) }),
            (.p256, { $0.extendedKeyUsage = [.init(oid: "1")] }),
            (.p256, { $0.extendedKeyUsage = [.init(oid: "3.1")] }),
            (.p256, { $0.extendedKeyUsage = [.init(oid: "1.40")] }),
            (.p256, { $0.extraExtensions = [.init(oid: "1.2.x", der: [])] }),
            (.p256, { $0.subject = [.init(oid: "", value: "")] }),
        ]
        for (key, change) in rows {
            var recipe = CertificateRecipe.server(["a.test"])
            change(&recipe)
            let authority = try TestCA(key: key, clock: clock)
            let error = #expect(throws: TestKitError.self) { try authority.issue(recipe) }
            #expect(error?.code == .invalidRecipe)
        }
    }
}
