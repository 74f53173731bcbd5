// Keys and certificates by URI, through OpenSSL's store.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct KeyStoreTests {
    let fixtures: Fixtures
    let issued: IssuedCertificate

    init() throws {
        fixtures = try Fixtures.shared()
        issued = try fixtures.ca.intermediate().issue("localhost")
    }

    func error(
        _ uri: String,
        certificates: String? = nil,
        passphrase: SecretBytes? = nil,
        library: TLSLibrary? = nil
    ) -> TLSError? {
        #expect(throws: TLSError.self) {
            try TLSIdentity(
                uri: uri,
                certificateURI: certificates,
                passphrase: passphrase,
                library: library
            )
        }
    }

    @Test("a key and a chain in one file, or in two, as URI and as path")
    func files() throws {
        let directory = try TemporaryDirectory()
        let (key, chain, both) = (
            directory.path + "/key.pem", directory.path + "/chain.pem", directory.path + "/both.pem"
        )
        try write(Array(issued.privateKeyPEM.utf8), to: key)
        try write(Array(issued.chainPEM.utf8), to: chain)
        try write(Array((issued.chainPEM + issued.privateKeyPEM).utf8), to: both)
        let wanted = try TLSIdentity(issued)
        for prefix in ["", "file:", "file://"] {
            #expect(try TLSIdentity(uri: prefix + both) == wanted)
            #expect(try TLSIdentity(uri: prefix + key, certificateURI: prefix + chain) == wanted)
            #expect(try Certificate.read(uri: prefix + chain) == wanted.certificateChain)
        }
        let pair = try EnginePair(
            client: fixtures.client(),
            server: fixtures.server(identities: [TLSIdentity(uri: both)])
        )
        try pair.handshake()
        #expect(pair.isReady)
    }

    @Test("DER, PKCS #12 and a library context of one's own")
    func forms() throws {
        let directory = try TemporaryDirectory()
        let (key, leaf, archive) = (
            directory.path + "/key.der", directory.path + "/leaf.der", directory.path + "/a.p12"
        )
        try write(issued.privateKeyDER, to: key)
        try write(issued.certificateDER, to: leaf)
        try write(issued.pkcs12(passphrase: "secret"), to: archive)
        let library = try TLSLibrary(providers: ["default"])
        for library in [nil, library] {
            let one = try TLSIdentity(uri: key, certificateURI: leaf, library: library)
            #expect(one.certificateChain.map(\.der) == [issued.certificateDER])
            let other = try TLSIdentity(uri: archive, passphrase: "secret", library: library)
            #expect(other.certificateChain.map(\.der) == issued.chainDER)
            let pair = try EnginePair(
                client: fixtures.client(),
                server: fixtures.server(identities: [other])
            )
            try pair.handshake()
            #expect(pair.isReady)
        }
    }

    @Test("an encrypted key opens by its passphrase; nobody is asked on the terminal")
    func encrypted() throws {
        let directory = try TemporaryDirectory()
        let (key, chain) = (directory.path + "/key.pem", directory.path + "/chain.pem")
        try write(Array(issued.privateKeyPEM(passphrase: "secret").utf8), to: key)
        try write(Array(issued.chainPEM.utf8), to: chain)
        let identity = try TLSIdentity(uri: key, certificateURI: chain, passphrase: "secret")
        #expect(identity.certificate.der == issued.certificateDER)
        #expect(error(key, certificates: chain) == TLSError(.wrongPassphrase))
        #expect(error(key, certificates: chain, passphrase: "x") == TLSError(.wrongPassphrase))
    }

    @Test("an archive of an old program is told from a wrong passphrase, with the way to read it")
    func legacy() throws {
        let directory = try TemporaryDirectory()
        let (key, archive) = (directory.path + "/key.pem", directory.path + "/a.p12")
        try write(Array((issued.chainPEM + issued.privateKeyPEM).utf8), to: key)
        try run(
            "openssl",
            "pkcs12",
            "-export",
            "-legacy",
            "-in",
            key,
            "-passout",
            "pass:secret",
            "-out",
            archive
        )
        let refused = error(archive, passphrase: "secret")
        #expect(refused == TLSError(.unsupportedEncryption))
        #expect(refused?.hint?.contains("TLSIdentity(pkcs12:passphrase:library:)") == true)
        let identity = try TLSIdentity(
            pkcs12: contents(of: archive),
            passphrase: "secret",
            library: .legacy()
        )
        #expect(identity.certificateChain.map(\.der) == issued.chainDER)
    }

    @Test("what is not there, unknown, or empty is told")
    func refused() throws {
        let directory = try TemporaryDirectory()
        #expect(error(directory.path + "/none") == TLSError(.invalidKeyStore))
        let scheme = error("pkcs11:token=a;object=b")
        #expect(scheme == TLSError(.invalidKeyStore))
        #expect(scheme?.hint?.contains("TLSLibrary") == true)
        #expect(error("file:/tmp/\0a") == TLSError(.invalidKeyStore))
        let (empty, chain, key) = (
            directory.path + "/empty", directory.path + "/chain.pem", directory.path + "/key.pem"
        )
        try write([], to: empty)
        try write(Array(issued.chainPEM.utf8), to: chain)
        let other = try fixtures.ca.issue("other.test")
        try write(Array(other.privateKeyPEM.utf8), to: key)
        #expect(error(empty) == TLSError(.invalidKeyStore))
        #expect(error(chain)?.detail?.contains("no private key") == true)
        #expect(error(key)?.detail?.contains("no certificate") == true)
        #expect(error(key, certificates: chain) == TLSError(.keyMismatch))
        #expect(throws: TLSError(.invalidKeyStore)) { try Certificate.read(uri: key) }
        #expect(throws: TLSError(.invalidKeyStore)) { try TrustPolicy(anchorsAt: empty) }
    }

    @Test("anchors are read by URI")
    func anchors() throws {
        let directory = try TemporaryDirectory()
        let root = directory.path + "/root.pem"
        try write(Array(issued.rootPEM.utf8), to: root)
        let pair = try EnginePair(
            client: fixtures.client(trust: TrustPolicy(anchorsAt: "file:" + root)),
            server: fixtures.server()
        )
        try pair.handshake()
        #expect(pair.facts(.client).report.isPeerTrusted)
    }
}
