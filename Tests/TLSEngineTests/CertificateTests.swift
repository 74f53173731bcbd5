import TLSTestKit
import Testing

@testable import TLSEngine

@Suite(.timeLimit(.minutes(1)))
struct CertificateTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    func issue(_ change: (inout CertificateRecipe) -> Void) throws -> Certificate {
        var recipe = CertificateRecipe.server(["a.test"])
        change(&recipe)
        return try Certificate(der: fixtures.ca.issue(recipe).certificateDER)
    }

    @Test("a certificate tells who it is for, who issued it, and when it is valid")
    func fields() throws {
        let issued = try fixtures.ca.issue(
            "a.test",
            "127.0.0.1",
            "::1",
            .email("a@a.test"),
            .uri("https://a.test/"),
            .raw(tag: 8, contents: [0x2a]),
            validity: .absolute(unixSeconds: 1_000_000_000...2_600_000_000)
        )
        let certificate = try Certificate(der: issued.certificateDER)
        #expect(certificate.subject == "CN=a.test")
        #expect(certificate.issuer == "CN=Test Root,O=TEST ONLY")
        #expect(certificate.commonName == "a.test")
        #expect(certificate.shortName == "a.test")
        #expect(certificate.notBefore == UnixTime(seconds: 1_000_000_000))
        #expect(certificate.notAfter == UnixTime(seconds: 2_600_000_000))
        #expect(certificate.serialNumber == Array(issued.serial.drop { $0 == 0 }))
        let names: [AlternativeName] = [
            .dns("a.test"), .ipAddress("127.0.0.1"), .ipAddress("::1"), .email("a@a.test"),
            .uri("https://a.test/"), .other(tag: 8),
        ]
        #expect(certificate.subjectAlternativeNames == names)
        #expect(!certificate.isCA)
        #expect(!certificate.isSelfSigned)
        #expect(!certificate.requiresStaple)
        #expect(certificate.signatureAlgorithm == "ecdsa-with-SHA256")
        #expect(certificate.sha256Fingerprint == issued.fingerprintSHA256)
        #expect(certificate.description == "a.test, valid until 2052-05-22T14:13:20Z")
    }

    @Test("a certificate that was not quite DER is the one that OpenSSL sends of it")
    func notQuiteDER() throws {
        let strict = try issue { _ in }.der
        try #require(strict[..<2] == [0x30, 0x82])
        let loose = [0x30, 0x83, 0] + strict[2...]
        let read = try Certificate(der: loose)
        #expect(read.der == strict)
        #expect(try Certificate.read(Array(read.pem.utf8)) == [read])
    }

    @Test("a root is a CA that signed itself")
    func root() {
        #expect(fixtures.root.isCA)
        #expect(fixtures.root.isSelfSigned)
        #expect(fixtures.root.subjectAlternativeNames.isEmpty)
    }

    @Test(
        "the public key is told by type, size and curve",
        arguments: [
            (TestKey.p256, "EC", 256, "P-256"), (.p384, "EC", 384, "P-384"),
            (.ed25519, "ED25519", 256, nil), (.rsa2048, "RSA", 2048, nil),
            (.rsaPSS2048, "RSA-PSS", 2048, nil),
        ] as [(TestKey, String, Int, String?)]
    )
    func publicKey(_ key: TestKey, _ type: String, _ bits: Int, _ curve: String?) throws {
        let certificate = try fixtures.serverIdentity(key).certificate
        #expect(certificate.publicKey.type == type)
        #expect(certificate.publicKey.bits == bits)
        #expect(certificate.publicKey.curve == curve)
        #expect(certificate.publicKey.sha256.count == 32)
    }

    @Test("the digest of the public key is that of the SubjectPublicKeyInfo")
    func publicKeyDigest() throws {
        let certificate = try fixtures.serverIdentity().certificate
        let key = try openSSL("x509", "-pubkey", "-noout", input: Array(certificate.pem.utf8))
        let der = try openSSL("pkey", "-pubin", "-outform", "DER", input: key)
        #expect(certificate.publicKey.sha256 == OpenSSLLibrary.sha256(der))
    }

    @Test("what a certificate lacks is nil or empty")
    func lacking() throws {
        let certificate = try issue {
            $0.subject = []
            $0.names = []
        }
        #expect(certificate.subject.isEmpty)
        #expect(certificate.commonName == nil)
        #expect(certificate.subjectAlternativeNames.isEmpty)
        #expect(certificate.shortName == "no subject")
    }

    @Test("the last of several common names counts, and letters beyond ASCII stay readable")
    func commonNames() throws {
        let certificate = try issue { $0.subject = [.commonName("first"), .commonName("Zweiß")] }
        #expect(certificate.commonName == "Zweiß")
        #expect(certificate.subject == "CN=Zweiß,CN=first")
    }

    @Test("bytes that no DNS name has are shown as escapes")
    func oddNames() throws {
        let odd = Array("a\0b".utf8) + [0xff]
        let certificate = try issue { $0.names = [.raw(tag: 2, contents: odd)] }
        #expect(certificate.subjectAlternativeNames == [.dns("a\\x00b\\xff")])
    }

    @Test("the demand for a staple is seen (RFC 7633)")
    func mustStaple() throws {
        let certificate = try issue {
            $0.extraExtensions = [
                .init(oid: "1.3.6.1.5.5.7.1.24", der: [0x30, 0x03, 0x02, 0x01, 0x05])
            ]
        }
        #expect(certificate.requiresStaple)
    }

    @Test("PEM and DER of a certificate read back the same")
    func roundTrip() throws {
        let chain = try Certificate.read(Array((fixtures.root.pem + fixtures.root.pem).utf8))
        #expect(chain == [fixtures.root, fixtures.root])
        #expect(try Certificate.read(fixtures.root.der) == [fixtures.root])
        #expect(fixtures.root.pem == fixtures.ca.rootPEM)
        #expect(Set(chain).count == 1)
    }

    @Test("one certificate that cannot be read spoils the text, and an empty text is no success")
    func unreadable() throws {
        let broken = fixtures.root.pem.replacing("MII", with: "MIJ")
        let trailing = fixtures.root.der + [0]
        let encrypted = fixtures.root.pem.replacing(
            "CERTIFICATE-----\nM",
            with: "CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nM"
        )
        for bytes in [
            [], Array("no certificate".utf8), Array((fixtures.root.pem + broken).utf8), trailing,
            Array(fixtures.root.der.dropLast()), Array(encrypted.utf8),
        ] {
            #expect(throws: TLSError(.invalidCertificate)) { try Certificate.read(bytes) }
        }
    }

    /// One row: a name in a certificate, and one that is asked for.
    struct NameRow: Sendable, CustomTestStringConvertible {
        let held: SubjectName
        let asked: String
        let matches: Bool
        var testDescription: String { "\(held) \(matches ? "is" : "is not") for \(asked)" }
    }

    @Test(
        "names match as RFC 9525 has it: no partial wildcards, one label each, addresses as such",
        arguments: [
            NameRow(held: "a.test", asked: "a.test", matches: true),
            NameRow(held: "a.test", asked: "A.TEST.", matches: true),
            NameRow(held: "a.test", asked: "b.a.test", matches: false),
            NameRow(held: "*.a.test", asked: "b.a.test", matches: true),
            NameRow(held: "*.a.test", asked: "a.test", matches: false),
            NameRow(held: "*.a.test", asked: "c.b.a.test", matches: false),
            NameRow(held: "*.test", asked: "a.test", matches: false),
            NameRow(held: "*", asked: "test", matches: false),
            NameRow(held: "b*.a.test", asked: "bc.a.test", matches: false),
            NameRow(held: "*b.a.test", asked: "cb.a.test", matches: false),
            NameRow(held: "a.*.test", asked: "a.b.test", matches: false),
            NameRow(held: "xn--*.a.test", asked: "xn--b.a.test", matches: false),
            NameRow(held: .ip("127.0.0.1"), asked: "127.0.0.1", matches: true),
            NameRow(held: .ip("::1"), asked: "0:0::1", matches: true),
            NameRow(held: .ip("127.0.0.1"), asked: "127.0.0.2", matches: false),
            NameRow(held: .dns("127.0.0.1"), asked: "127.0.0.1", matches: false),
            NameRow(held: .ip("::ffff:127.0.0.1"), asked: "127.0.0.1", matches: false),
            NameRow(
                held: .raw(tag: 2, contents: Array("a.test\0.evil".utf8)),
                asked: "a.test",
                matches: false
            ),
        ]
    )
    func matching(_ row: NameRow) throws {
        let certificate = try issue {
            $0.names = [row.held]
            $0.subject = .commonName(row.asked)
        }
        #expect(try certificate.matches(ServerName(row.asked)) == row.matches)
    }

    @Test("an address is written as RFC 5952 has it")
    func addressText() {
        #expect(ipAddressText([127, 0, 0, 1]) == "127.0.0.1")
        #expect(ipAddressText([UInt8](repeating: 0, count: 16)) == "::")
        let cases = [
            "2001:db8::1", "1::8:0:0:1", "1:0:0:2::", "::1:2:3:4:5:6:7", "1:2:3:4:5:6:7:0",
            "2001:db8:0:1:1:1:1:1", "fe80::",
        ]
        for text in cases {
            let expected = text == "::1:2:3:4:5:6:7" ? "0:1:2:3:4:5:6:7" : text
            #expect(ipAddressBytes(text).map(ipAddressText) == expected)
        }
        #expect(ipAddressText([1, 2, 255]) == "1:2:ff")
    }
}
