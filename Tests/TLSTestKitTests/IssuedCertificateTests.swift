import Foundation
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct IssuedCertificateTests {
    let clock = ManualClock()

    @Test("certificate and private key belong together", arguments: TestKey.affordable)
    func keyMatches(_ key: TestKey) throws {
        let leaf = try TestCA(clock: clock).issue("a.test", key: key)
        let certified = try OpenSSLCommand("x509", "-noout", "-pubkey", input: leaf.certificatePEM)
        let own = try OpenSSLCommand("pkey", "-pubout", input: try leaf.privateKeyPEM)
        #expect(certified.exitCode == 0)
        #expect(certified.output == own.output)
        #expect(try leaf.privateKeyPEM.hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
    }

    @Test("PEM is what the openssl program makes of the DER")
    func pem() throws {
        // Lengths of every remainder modulo 3, so that all paddings occur.
        for length in 1...3 {
            let name = String(repeating: "a", count: length) + ".test"
            let leaf = try TestCA(clock: clock).issue(.dns(name), key: .ed25519)
            let command = try OpenSSLCommand("x509", input: leaf.certificatePEM)
            #expect(command.output == leaf.certificatePEM)
        }
    }

    @Test("the DER key is the PEM key decoded", arguments: TestKey.affordable)
    func keyDER(_ key: TestKey) throws {
        let leaf = try TestCA(clock: clock).issue("a.test", key: key)
        let lines = try leaf.privateKeyPEM.split(separator: "\n").dropFirst().dropLast()
        let decoded = try #require(Data(base64Encoded: lines.joined()))
        #expect(try Array(decoded) == leaf.privateKeyDER)
    }

    @Test("an encrypted key opens with its passphrase only", arguments: TestKey.affordable)
    func encryptedKey(_ key: TestKey) throws {
        let leaf = try TestCA(clock: clock).issue("a.test", key: key)
        let encrypted = try leaf.privateKeyPEM(passphrase: "pâss wörd")
        #expect(encrypted.hasPrefix("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"))
        let right = try OpenSSLCommand("pkey", "-passin", "pass:pâss wörd", input: encrypted)
        #expect(right.exitCode == 0)
        #expect(right.output == (try leaf.privateKeyPEM))
        let wrong = try OpenSSLCommand("pkey", "-passin", "pass:password", input: encrypted)
        #expect(wrong.exitCode != 0)
        #expect(!wrong.output.contains("PRIVATE KEY"))
        let structure = try OpenSSLCommand("asn1parse", input: encrypted)
        #expect(structure.output.contains("aes-256-cbc"))
    }

    @Test("an empty passphrase still encrypts")
    func emptyPassphrase() throws {
        let leaf = try TestCA(clock: clock).issue("a.test")
        let encrypted = try leaf.privateKeyPEM(passphrase: "")
        #expect(encrypted.hasPrefix("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"))
        let right = try OpenSSLCommand("pkey", "-passin", "pass:", input: encrypted)
        #expect(right.output == (try leaf.privateKeyPEM))
    }

    @Test("the chain starts with the leaf and leaves the root out")
    func chain() throws {
        let root = try TestCA(clock: clock)
        let first = try root.intermediate(name: "First")
        let second = try first.intermediate(name: "Second")
        let leaf = try second.issue("a.test")
        #expect(
            leaf.chainDER == [leaf.certificateDER, second.certificateDER, first.certificateDER]
        )
        #expect(leaf.rootDER == root.certificateDER)
        #expect(second.rootPEM == root.certificatePEM)
        #expect(leaf.chainPEM == leaf.certificatePEM + second.certificatePEM + first.certificatePEM)
        #expect(try root.issue("a.test").chainDER.count == 1)
        #expect(try second.issue(.selfSigned("a.test")).chainDER.count == 1)
    }

    @Test("the fingerprint is the SHA-256 of the DER")
    func fingerprint() throws {
        let leaf = try TestCA(clock: clock).issue("a.test")
        let command = try OpenSSLCommand(
            "x509",
            "-noout",
            "-fingerprint",
            "-sha256",
            input: leaf.certificatePEM
        )
        let digits = leaf.fingerprintSHA256.map { String(format: "%02X", $0) }
        #expect(command.output == "sha256 Fingerprint=\(digits.joined(separator: ":"))\n")
    }

    @Test("written files are what was issued, and the key is for this user only")
    func files() throws {
        try withTemporaryDirectory { directory in
            let leaf = try TestCA(clock: clock).intermediate().issue("a.test")
            let files = try leaf.write(to: directory, name: "server")
            #expect(files.chain == "\(directory)/server-chain.pem")
            #expect(files.key == "\(directory)/server-key.pem")
            #expect(files.root == "\(directory)/server-root.pem")
            #expect(try String(contentsOfFile: files.chain, encoding: .utf8) == leaf.chainPEM)
            #expect(try String(contentsOfFile: files.root, encoding: .utf8) == leaf.rootPEM)
            let key = try String(contentsOfFile: files.key, encoding: .utf8)
            #expect(key == "TEST ONLY: a.test\n" + (try leaf.privateKeyPEM))
            let mode = try FileManager.default.attributesOfItem(atPath: files.key)[
                .posixPermissions
            ]
            #expect(mode as? Int == 0o600)
        }
    }

    @Test("writing again replaces the files and tightens the key's permissions")
    func overwrite() throws {
        let directory = try TemporaryDirectory()
        let authority = try TestCA(clock: clock)
        let first = try authority.issue("a.test").write(to: directory.path)
        try FileManager.default.setAttributes([.posixPermissions: 0o666], ofItemAtPath: first.key)
        let leaf = try authority.issue("b.test", key: .ed25519)
        let second = try leaf.write(to: directory.path, passphrase: "secret")
        #expect(first == second)
        let mode = try FileManager.default.attributesOfItem(atPath: second.key)[.posixPermissions]
        #expect(mode as? Int == 0o600)
        let command = try OpenSSLCommand("pkey", "-in", second.key, "-passin", "pass:secret")
        #expect(command.output == (try leaf.privateKeyPEM))
    }

    @Test("a directory that is not there is reported with its errno")
    func missingDirectory() throws {
        let leaf = try TestCA(clock: clock).issue("a.test")
        let path = try withTemporaryDirectory { $0 }
        let error = #expect(throws: TestKitError.self) { try leaf.write(to: path) }
        #expect(error?.code == .fileSystem)
        #expect(error?.errno == ENOENT)
    }

    @Test("no description shows a private key")
    func descriptions() throws {
        let leaf = try TestCA(name: "Top", clock: clock).issue("a.test", "127.0.0.1", key: .rsa2048)
        #expect(leaf.description.hasPrefix("IssuedCertificate(a.test, a.test, 127.0.0.1; serial "))
        #expect(leaf.description.hasSuffix("; rsa2048)"))
        var dumped = ""
        dump(leaf, to: &dumped)
        let lines = try leaf.privateKeyPEM.split(separator: "\n")
        for text in ["\(leaf)", String(reflecting: leaf), dumped] {
            #expect(text.contains("a.test"))
            #expect(!lines.contains { text.contains($0) })
            #expect(!text.contains("PRIVATE KEY"))
            #expect(text.count < 400)
        }
    }
}
