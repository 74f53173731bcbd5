// PKCS #12 files: of the kit, of the openssl program and of Java, in and out of order, encrypted by what
// is current and by what is not, and broken.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct PKCS12Tests {
    let fixtures: Fixtures
    /// A leaf under two intermediates.
    let issued: IssuedCertificate

    init() throws {
        fixtures = try Fixtures.shared()
        issued = try fixtures.ca.intermediate(name: "Upper").intermediate(name: "Lower")
            .issue("localhost")
    }

    /// A file of the openssl program.
    func exported(
        _ options: [String] = [],
        passphrase: String = "secret",
        certificates: [[UInt8]]? = nil
    ) throws -> [UInt8] {
        let directory = try TemporaryDirectory()
        let (key, chain) = (directory.path + "/key.pem", directory.path + "/chain.pem")
        try write(Array(issued.privateKeyPEM.utf8), to: key)
        let pem = try (certificates ?? issued.chainDER).map { try Certificate(der: $0).pem }
        try write(Array(pem.joined().utf8), to: chain)
        return try openSSL(
            ["pkcs12", "-export", "-inkey", key, "-in", chain, "-passout", "pass:" + passphrase]
                + options
        )
    }

    func error(
        _ bytes: [UInt8],
        _ passphrase: SecretBytes? = "secret",
        library: TLSLibrary? = nil
    ) -> TLSError? {
        #expect(throws: TLSError.self) {
            try TLSIdentity(pkcs12: bytes, passphrase: passphrase, library: library)
        }
    }

    @Test(
        "a file of the kit gives its identity, for every kind of key and encryption",
        arguments: handshakeKeys,
        PKCS12Encryption.allCases
    )
    func kit(key: TestKey, encryption: PKCS12Encryption) throws {
        let issued = try fixtures.ca.intermediate().issue("localhost", key: key)
        let bytes = try issued.pkcs12(passphrase: "secret", encryption: encryption)
        let identity = try TLSIdentity(pkcs12: bytes, passphrase: "secret")
        #expect(identity.certificateChain.map(\.der) == issued.chainDER)
        let pair = try EnginePair(
            client: fixtures.client(),
            server: fixtures.server(identities: [identity])
        )
        try pair.handshake()
        #expect(pair.isReady)
    }

    @Test("the chain is put in order, and what does not belong to it is left out")
    func order() throws {
        let stranger = try fixtures.strangers.issue("b.test").certificateDER
        let chain = issued.chainDER
        #expect(chain.count == 3)
        for order in [[0, 1, 2], [0, 2, 1]] {
            let certificates = order.map { chain[$0] } + [stranger, issued.rootDER]
            let identity = try TLSIdentity(
                pkcs12: exported(certificates: certificates),
                passphrase: "secret"
            )
            #expect(identity.certificateChain.map(\.der) == chain + [issued.rootDER])
        }
        // A link that is missing ends it.
        let cut = try TLSIdentity(
            pkcs12: exported(certificates: [chain[0], chain[2]]),
            passphrase: "secret"
        )
        #expect(cut.certificateChain.map(\.der) == [chain[0]])
    }

    @Test("of two namesakes that one is the issuer whose key signed")
    func namesakes() throws {
        let (first, second) = try (
            fixtures.ca.intermediate(name: "Twin"), fixtures.ca.intermediate(name: "Twin")
        )
        let leaf = try second.issue("localhost")
        let chain = leaf.chainDER + [try first.issue("x.test").chainDER[1]]
        let bytes = try leaf.presenting(with: [chain[2], chain[1]]).pkcs12(passphrase: "secret")
        let identity = try TLSIdentity(pkcs12: bytes, passphrase: "secret")
        #expect(identity.certificateChain.map(\.der) == leaf.chainDER)
    }

    @Test(
        "files without a passphrase are opened, whichever way they have none",
        arguments: [
            ["-passout", "pass:"], ["-passout", "pass:", "-nomac"],
            ["-keypbe", "NONE", "-certpbe", "NONE"],
        ]
    )
    func noPassphrase(options: [String]) throws {
        let bytes = try exported(options, passphrase: "")
        for passphrase in [nil, ""] as [SecretBytes?] {
            let identity = try TLSIdentity(pkcs12: bytes, passphrase: passphrase)
            #expect(identity.certificateChain.map(\.der) == issued.chainDER)
        }
    }

    @Test("a missing, a wrong and an impossible passphrase are told")
    func passphrases() throws {
        let bytes = try issued.pkcs12(passphrase: "grün und blau")
        #expect(error(bytes, nil) == TLSError(.wrongPassphrase))
        #expect(error(bytes, "grün") == TLSError(.wrongPassphrase))
        #expect(
            error(bytes, SecretBytes(Array("grün und blau\0".utf8))) == TLSError(.wrongPassphrase)
        )
        let identity = try TLSIdentity(pkcs12: bytes, passphrase: "grün und blau")
        #expect(identity.certificate.der == issued.certificateDER)
    }

    @Test(
        "RC2 of old programs is refused with the way out, and read in a library context that has it"
    )
    func legacy() throws {
        let bytes = try exported(["-legacy"])
        let error = self.error(bytes)
        #expect(error == TLSError(.unsupportedEncryption))
        #expect(error?.hint?.contains("TLSLibrary.legacy()") == true)
        #expect(error?.category == .local)
        let identity = try TLSIdentity(
            pkcs12: bytes,
            passphrase: "secret",
            library: .legacy()
        )
        #expect(identity.certificateChain.map(\.der) == issued.chainDER)
        // The key works where the legacy provider is not.
        let pair = try EnginePair(
            client: fixtures.client(),
            server: fixtures.server(identities: [identity])
        )
        try pair.handshake()
        #expect(pair.isReady)
        #expect(self.error(bytes, "wrong", library: try .legacy()) == TLSError(.wrongPassphrase))
        // Nothing of it is in the process's own context.
        #expect(self.error(bytes) == TLSError(.unsupportedEncryption))
    }

    @Test("a file of Java's is read")
    func java() throws {
        let directory = try TemporaryDirectory()
        let store = directory.path + "/store.p12"
        try run(
            "keytool",
            "-genkeypair",
            "-alias",
            "a",
            "-keyalg",
            "EC",
            "-groupname",
            "secp256r1",
            "-dname",
            "CN=java",
            "-ext",
            "san=dns:localhost",
            "-storetype",
            "PKCS12",
            "-keystore",
            store,
            "-storepass",
            "changeit",
            "-validity",
            "1"
        )
        let identity = try TLSIdentity(pkcs12: contents(of: store), passphrase: "changeit")
        #expect(identity.certificate.shortName == "java")
        #expect(identity.certificateChain.count == 1)
        let byURI = try TLSIdentity(uri: "file:" + store, passphrase: "changeit")
        #expect(byURI == identity)
    }

    @Test("a file with a key or with certificates only is told from a broken one")
    func parts() throws {
        let bytes = try exported(["-nocerts"])
        #expect(error(bytes) == TLSError(.invalidKeyStore))
        #expect(error(bytes)?.detail?.contains("no certificate") == true)
        let others = try exported(["-nokeys"])
        #expect(error(others)?.detail?.contains("no private key") == true)
        let pem = self.error(Array(issued.chainPEM.utf8))
        #expect(pem == TLSError(.invalidKeyStore))
        #expect(pem?.hint?.contains("PEM") == true)
        #expect(error([]) == TLSError(.invalidKeyStore))
        #expect(error(pattern(1000)) == TLSError(.invalidKeyStore))
    }

    @Test("a file that wants endless rounds is refused at once")
    func rounds() throws {
        var bytes = try issued.pkcs12(passphrase: "secret")
        // The last of a file are the rounds of its check sum: INTEGER 2048.
        #expect(bytes.suffix(4) == [0x02, 0x02, 0x08, 0x00])
        bytes.replaceSubrange(bytes.count - 2..<bytes.count, with: [0x80, 0x01])
        #expect(error(bytes) == TLSError(.invalidKeyStore))
        // Two more bytes in the last number, and in everything around it.
        bytes = try issued.pkcs12(passphrase: "secret")
        let last = Array(bytes.suffix(4))
        #expect(last == [0x02, 0x02, 0x08, 0x00])
        let macLength = bytes.count
        let mac = try #require(
            bytes.indices.last { index in
                bytes[index] == 0x30 && index + 2 + Int(bytes[index + 1]) == macLength
                    && bytes[index + 1] > 50
            }
        )
        bytes.replaceSubrange(
            bytes.count - 4..<bytes.count,
            with: [0x02, 0x04, 0x7f, 0xff, 0xff, 0xff]
        )
        bytes[mac + 1] += 2
        let whole = Int(bytes[2]) << 8 + Int(bytes[3]) + 2
        #expect(bytes[1] == 0x82)
        bytes[2] = UInt8(whole >> 8)
        bytes[3] = UInt8(whole & 0xff)
        let error = self.error(bytes)
        #expect(error == TLSError(.invalidKeyStore))
        #expect(error?.detail?.contains("rounds") == true)
    }

    @Test("changed bytes and cut files are errors, never anything else", arguments: 0..<8)
    func hostile(part: Int) throws {
        let bytes = try issued.pkcs12(passphrase: "secret")
        for place in stride(from: part, to: bytes.count, by: 8) {
            var changed = bytes
            changed[place] ^= 1 << UInt8(part)
            // A change may hit a number of rounds that is still small, or nothing that counts.
            _ = try? TLSIdentity(pkcs12: changed, passphrase: "secret")
            #expect(throws: TLSError.self) {
                try TLSIdentity(pkcs12: Array(bytes[..<place]), passphrase: "secret")
            }
        }
    }
}
