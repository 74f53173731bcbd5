import Foundation
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct CertificateExtensionTests {
    let clock = ManualClock()

    func text(_ recipe: CertificateRecipe) throws -> String {
        let pem = try TestCA(clock: clock).issue(recipe).certificatePEM
        return try OpenSSLCommand("x509", "-noout", "-text", input: pem).output
    }

    @Test("OpenSSL reads each extension as it was meant")
    func reading() throws {
        let output = try text(
            .server(["a.test"]).adding(
                .mustStaple,
                .authorityInformationAccess(
                    ocsp: ["http://ocsp.test/"],
                    issuers: ["http://ca.test/ca.der"]
                ),
                .crlDistributionPoints(["http://crl.test/1", "http://crl.test/2"]),
                .nameConstraints(
                    permitted: ["test", "10.0.0.0/8", .email("a.test"), "127.0.0.1"],
                    excluded: ["2001:db8::/33"]
                )
            )
        )
        for part in [
            "TLS Feature: \n                status_request",
            "OCSP - URI:http://ocsp.test/", "CA Issuers - URI:http://ca.test/ca.der",
            "URI:http://crl.test/1", "URI:http://crl.test/2", "Name Constraints: critical",
            "DNS:test", "IP:10.0.0.0/255.0.0.0", "email:a.test", "IP:127.0.0.1/255.255.255.255",
            "IP:2001:DB8:0:0:0:0:0:0/FFFF:FFFF:8000:0:0:0:0:0",
        ] {
            #expect(output.contains(part), "\(part) is not in \(output)")
        }
    }

    @Test(
        "what is no network is refused",
        arguments: ["10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "::/129", "::1/x", "a.test/8", "/"]
    )
    func noNetwork(_ text: String) {
        let error = #expect(throws: TestKitError.self) {
            try CertificateRecipe.CertificateExtension.nameConstraints(permitted: [.dns(text)])
        }
        #expect(error?.code == .invalidName)
    }

    @Test("a name outside ASCII is refused with the cure, unless it is meant to be wrong")
    func unicode() throws {
        let authority = try TestCA(clock: clock)
        for name in [SubjectName.dns("bücher.test"), .email("ä@a.test"), .uri("http://ä.test")] {
            let error = #expect(throws: TestKitError.self) { try authority.issue(name) }
            #expect(error?.code == .invalidName)
            #expect(error?.operation.contains("xn--") == true)
        }
        let bytes = Array("bücher.test".utf8)
        let leaf = try authority.issue(.raw(tag: 2, contents: bytes))
        #expect(leaf.certificateDER.firstRange(of: bytes) != nil)
    }
}

@Suite(.timeLimit(.minutes(1)))
struct PKCS12Tests {
    @Test(
        "the file opens with its passphrase only, and holds key, certificate and chain",
        arguments: PKCS12Encryption.allCases,
        ["", "päss phrase"]
    )
    func opening(_ encryption: PKCS12Encryption, _ passphrase: String) throws {
        let leaf = try TestCA().intermediate().issue("a.test")
        let directory = try TemporaryDirectory()
        let path = directory.path + "/all.p12"
        let file = try leaf.pkcs12(
            passphrase: passphrase,
            friendlyName: "the server",
            encryption: encryption
        )
        try Data(file).write(to: URL(fileURLWithPath: path))
        let open = { (word: String) in
            try OpenSSLCommand("pkcs12", "-in", path, "-info", "-nodes", "-passin", "pass:" + word)
        }
        let command = try open(passphrase)
        #expect(command.exitCode == 0, "\(command.output)")
        for der in leaf.chainDER {
            let body = pemBody(of: der)
            #expect(command.output.contains(body))
        }
        #expect(command.output.contains("friendlyName: the server"))
        #expect(command.output.contains(try leaf.privateKeyPEM))
        #expect(
            command.output.contains(encryption == .modern ? "AES-256-CBC" : "pbeWithSHA1And3-Key")
        )
        #expect(try open("wrong").exitCode != 0)
    }

    @Test("an encrypted key in DER opens with its passphrase only")
    func encryptedDER() throws {
        let leaf = try TestCA().issue("a.test")
        let directory = try TemporaryDirectory()
        let path = directory.path + "/key.der"
        try Data(leaf.privateKeyDER(passphrase: "secret")).write(to: URL(fileURLWithPath: path))
        let open = { (word: String) in
            try OpenSSLCommand("pkcs8", "-inform", "DER", "-in", path, "-passin", "pass:" + word)
        }
        #expect(try open("secret").output.contains(leaf.privateKeyPEM))
        #expect(try open("wrong").exitCode != 0)
    }

    /// The first line of a certificate's PEM block.
    private func pemBody(of der: [UInt8]) -> String {
        Data(der).base64EncodedString(options: .lineLength64Characters)
            .split(separator: "\r\n").map(String.init)[0]
    }
}
