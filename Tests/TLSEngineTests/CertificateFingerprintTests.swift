// Fingerprints in the form of RFC 8122, and those that `openssl x509 -fingerprint` prints.

import TLSEngine
import TLSTestKit
import Testing

@Suite struct CertificateFingerprintTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    @Test(
        "the form that is written is the form that is read",
        arguments: FingerprintAlgorithm.allCases
    )
    func roundTrip(_ algorithm: FingerprintAlgorithm) throws {
        let made = fixtures.root.fingerprint(algorithm)
        #expect(made.digest.count == algorithm.byteCount)
        #expect(made.value.utf8.count == algorithm.byteCount * 3 - 1)
        let name = algorithm.rawValue
        #expect(try CertificateFingerprint(algorithm: name, value: made.value) == made)
        let lower = try CertificateFingerprint(
            algorithm: name.uppercased(),
            value: made.value.lowercased()
        )
        #expect(lower == made)
        #expect(lower.description == "\(name) \(made.value)")
    }

    @Test(
        "a certificate's fingerprint is what openssl says it is",
        arguments: FingerprintAlgorithm.allCases
    )
    func openSSLsFingerprint(_ algorithm: FingerprintAlgorithm) throws {
        let option = "-" + algorithm.rawValue.replacing("-", with: "")
        let output = try openSSL(
            "x509",
            "-noout",
            "-fingerprint",
            option,
            input: Array(fixtures.root.pem.utf8)
        )
        let line = String(decoding: output, as: UTF8.self)
        let value = try #require(line.split(separator: "=").last).filter { !$0.isWhitespace }
        #expect(
            try CertificateFingerprint(algorithm: algorithm.rawValue, value: value)
                == fixtures.root.fingerprint(algorithm)
        )
    }

    @Test("a key's fingerprint is the digest of the public key that openssl writes")
    func keyFingerprint() throws {
        let pem = try openSSL("x509", "-noout", "-pubkey", input: Array(fixtures.root.pem.utf8))
        let der = try openSSL("pkey", "-pubin", "-outform", "DER", input: pem)
        let digest = try openSSL("dgst", "-sha384", "-binary", input: der)
        #expect(fixtures.root.keyFingerprint(.sha384).digest == digest)
        #expect(fixtures.root.keyFingerprint() != fixtures.root.fingerprint())
    }

    static func hexadecimal(_ count: Int, _ separator: String = ":") -> String {
        Array(repeating: "AB", count: count).joined(separator: separator)
    }

    struct Form: Sendable {
        var algorithm: String
        var value: String

        init(_ algorithm: String, _ value: String) {
            self.algorithm = algorithm
            self.value = value
        }
    }

    static let badForms: [Form] = [
        Form("sha-1", hexadecimal(20)), Form("sha-224", hexadecimal(28)),
        Form("md5", hexadecimal(16)), Form("sha256", hexadecimal(32)), Form("", hexadecimal(32)),
        Form("sha-256", ""), Form("sha-256", hexadecimal(32, "")),
        Form("sha-256", hexadecimal(32, "-")), Form("sha-256", hexadecimal(32) + ":"),
        Form("sha-256", ":" + hexadecimal(32)), Form("sha-256", " " + hexadecimal(32)),
        Form("sha-256", hexadecimal(31)), Form("sha-256", hexadecimal(33)),
        Form("sha-256", hexadecimal(31) + ":AG"), Form("sha-256", hexadecimal(31) + ":A"),
        Form("sha-256", hexadecimal(31) + ":é"), Form("sha-384", hexadecimal(32)),
        Form("sha-512", hexadecimal(32)),
    ]

    @Test("any other form is refused", arguments: badForms)
    func badForm(_ row: Form) {
        let error = #expect(throws: TLSError(.invalidFingerprint)) {
            try CertificateFingerprint(algorithm: row.algorithm, value: row.value)
        }
        #expect(error?.category == .local)
        #expect(error?.detail != nil)
    }
}
