import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct TLSIdentityTests {
    let fixtures: Fixtures
    let issued: IssuedCertificate

    init() throws {
        fixtures = try Fixtures.shared()
        issued = try fixtures.ca.issue("a.test")
    }

    /// The error of reading a key beside the certificate.
    func error(
        key: [UInt8],
        certificate: [UInt8]? = nil,
        passphrase: SecretBytes? = nil
    ) -> TLSError? {
        #expect(throws: TLSError.self) {
            try TLSIdentity(
                certificate: certificate ?? Array(issued.chainPEM.utf8),
                privateKey: key,
                passphrase: passphrase
            )
        }
    }

    @Test("PEM and DER give the same identity, for every kind of key", arguments: handshakeKeys)
    func forms(_ key: TestKey) throws {
        let issued = try fixtures.ca.issue("a.test", key: key)
        let pem = try TLSIdentity(
            certificate: Array(issued.chainPEM.utf8),
            privateKey: Array(issued.privateKeyPEM.utf8)
        )
        let der = try TLSIdentity(
            certificate: issued.certificateDER,
            privateKey: issued.privateKeyDER
        )
        #expect(pem == der)
        #expect(pem.hashValue == der.hashValue)
        #expect(pem.certificate.der == issued.certificateDER)
    }

    @Test("the chain is kept in order, leaf first")
    func chain() throws {
        let middle = try fixtures.ca.intermediate(pathLength: 0)
        let issued = try middle.issue("a.test")
        let identity = try TLSIdentity(issued)
        #expect(identity.certificateChain.map(\.der) == issued.chainDER)
        #expect(identity.certificate == identity.certificateChain[0])
    }

    @Test("one PEM text may hold the key, the chain and words around them")
    func bundle() throws {
        let text = try "0 words\n" + issued.privateKeyPEM + "more\n" + issued.chainPEM + "end\n"
        let bundle = Array(text.utf8)
        let identity = try TLSIdentity(certificate: bundle, privateKey: bundle)
        #expect(identity.certificateChain.map(\.der) == issued.chainDER)
    }

    @Test("an encrypted key opens with its passphrase, in PEM and in DER")
    func encrypted() throws {
        let pem = try Array(issued.privateKeyPEM(passphrase: "pass £").utf8)
        let der = try openSSL(
            "pkcs8",
            "-topk8",
            "-outform",
            "DER",
            "-passout",
            "pass:pass £",
            input: Array(issued.privateKeyPEM.utf8)
        )
        let traditional = try openSSL(
            "ec",
            "-aes256",
            "-passout",
            "pass:pass £",
            input: Array(issued.privateKeyPEM.utf8)
        )
        for key in [pem, der, traditional] {
            let identity = try TLSIdentity(
                certificate: issued.certificateDER,
                privateKey: key,
                passphrase: "pass £"
            )
            #expect(identity.certificate.der == issued.certificateDER)
        }
    }

    @Test(
        "a wrong, missing or oversized passphrase is told as such and never asked for",
        arguments: ["wrong", "", String(repeating: "a", count: 2000), nil]
    )
    func wrongPassphrase(_ passphrase: String?) throws {
        let passphrase = passphrase.map { SecretBytes($0) }
        let pem = try Array(issued.privateKeyPEM(passphrase: "right").utf8)
        let der = try openSSL(
            "pkcs8",
            "-topk8",
            "-outform",
            "DER",
            "-passout",
            "pass:right",
            input: Array(issued.privateKeyPEM.utf8)
        )
        for key in [pem, der] {
            let error = error(key: key, passphrase: passphrase)
            #expect(error == TLSError(.wrongPassphrase))
            #expect(error?.description.contains("right") == false)
        }
    }

    @Test("an empty passphrase is one, and none is none")
    func emptyPassphrase() throws {
        let key = try openSSL(
            "pkcs8",
            "-topk8",
            "-outform",
            "DER",
            "-passout",
            "pass:",
            input: Array(issued.privateKeyPEM.utf8)
        )
        _ = try TLSIdentity(certificate: issued.certificateDER, privateKey: key, passphrase: "")
        #expect(error(key: key, passphrase: nil) == TLSError(.wrongPassphrase))
    }

    @Test("a passphrase for a key that is not encrypted does no harm")
    func needlessPassphrase() throws {
        let key = try issued.privateKeyDER
        let certificate = issued.certificateDER
        _ = try TLSIdentity(certificate: certificate, privateKey: key, passphrase: "needless")
    }

    @Test("the key of another certificate is refused, and the chain in the wrong order explained")
    func mismatch() throws {
        let other = try fixtures.ca.issue("b.test")
        let plain = try error(key: other.privateKeyDER)
        #expect(plain == TLSError(.keyMismatch))
        #expect(plain?.hint == nil)
        let rsa = try fixtures.ca.issue("b.test", key: .rsa2048)
        #expect(try error(key: rsa.privateKeyDER) == TLSError(.keyMismatch))

        let reversed = Array((other.certificatePEM + issued.certificatePEM).utf8)
        let ordered = try error(key: issued.privateKeyDER, certificate: reversed)
        #expect(ordered == TLSError(.keyMismatch))
        #expect(ordered?.hint == "It belongs to a.test: put the leaf first")
    }

    @Test("what is no key is told from what is no certificate")
    func garbage() throws {
        let key = try issued.privateKeyDER
        for bytes in [[], [0], [0x30], [0x30, 0x82, 0xff, 0xff], pattern(100), Array("text".utf8)] {
            #expect(error(key: bytes) == TLSError(.invalidPrivateKey))
            #expect(error(key: key, certificate: bytes) == TLSError(.invalidCertificate))
        }
        #expect(error(key: Array(key.dropLast())) == TLSError(.invalidPrivateKey))
        #expect(error(key: issued.certificateDER) == TLSError(.invalidPrivateKey))
        let keyAsCertificate = try Array(issued.privateKeyPEM.utf8)
        #expect(
            error(key: key, certificate: keyAsCertificate) == TLSError(.invalidCertificate)
        )
    }

    @Test("neither description nor reflection shows a key")
    func secrecy() throws {
        let identity = try TLSIdentity(issued)
        #expect(identity.description == "a.test, key <redacted>")
        #expect(identity.debugDescription == identity.description)
        var dumped = ""
        dump(identity, to: &dumped)
        #expect(!dumped.contains("PrivateKeyHandle"))
        #expect("\(identity)" == identity.description)
        #expect(String(reflecting: [identity]).contains("redacted"))
    }
}
