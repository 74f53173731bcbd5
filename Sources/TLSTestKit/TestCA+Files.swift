// Authorities on disk: for programs that issue today and answer for it tomorrow. The library's tests
// never need them. An authority that is written is name-constrained unless somebody insists, because
// development roots leak.

internal import TLSEngine

/// Where ``TestCA/write(to:)`` put things.
public struct AuthorityFiles: Sendable, Hashable {
    /// The path of the certificate in PEM.
    public let certificate: String
    /// The path of the private key in PEM, readable by this user only.
    public let key: String

    /// The files of an authority in a directory: `ca.pem` and `ca-key.pem`.
    ///
    /// - Parameter directory: The directory's path.
    public init(in directory: String) {
        certificate = directory + "/ca.pem"
        key = directory + "/ca-key.pem"
    }
}

extension CertificateRecipe.CertificateExtension {
    /// What an authority on disk may issue for: `.test`, `localhost` and the loopback addresses.
    public static var loopbackOnly: Self {
        get throws(TestKitError) {
            try .nameConstraints(permitted: [
                .dns("test"), .dns("localhost"), .ip("127.0.0.0/8"), .ip("::1/128"),
            ])
        }
    }
}

extension TestCA {
    /// Writes the authority's certificate and private key.
    ///
    /// The key file begins with a line that says it is for tests only. Existing files are overwritten.
    ///
    /// - Parameter directory: The path of an existing directory.
    /// - Returns: The paths of the files.
    /// - Throws: ``TestKitError`` `.fileSystem` or `.openSSL`.
    public func write(to directory: String) throws(TestKitError) -> AuthorityFiles {
        let files = AuthorityFiles(in: directory)
        let key = "TEST ONLY: \(identity.summary)\n" + (try identity.privateKeyPEM)
        try writeFile(files.certificate, Array(certificatePEM.utf8), mode: 0o644)
        try writeFile(files.key, Array(key.utf8), mode: 0o600)
        return files
    }

    /// Reads a root authority that was made before.
    ///
    /// - Parameters:
    ///   - certificatePEM: Its certificate, which it signed itself.
    ///   - privateKeyPEM: Its key, not encrypted: of any kind of ``TestKey`` but RSA-PSS and DSA.
    ///   - now: The clock of this authority and its intermediates, in seconds since 1970.
    /// - Throws: ``TestKitError`` `.openSSL` or `.malformed`, or `.invalidRecipe` for an authority
    ///   that the kit could not have made.
    public init(
        certificatePEM: [UInt8],
        privateKeyPEM: [UInt8],
        now: @escaping @Sendable () -> Int64 = TestCA.wallClock
    ) throws(TestKitError) {
        guard let certificate = try? Certificate.read(certificatePEM).first else {
            throw TestKitError(.malformed, "read an authority's certificate")
        }
        guard let kind = TestKey(certificate.publicKey), certificate.isSelfSigned else {
            throw TestKitError(.invalidRecipe, "read an authority: it is no root of a known kind")
        }
        let key = try PrivateKey(pem: privateKeyPEM, kind)
        // Certificate ::= { { [0] version, serial, algorithm, issuer, validity, subject, key, … } … }
        var outer = DERReader(certificate.der)
        var whole = try outer.sequence()
        var fields = try whole.sequence()
        if fields.nextTag == DERWriter.Tag.context(0, isConstructed: true) { _ = try fields.next() }
        let serial = try fields.contents(of: DERWriter.Tag.integer)
        for _ in 0..<3 { _ = try fields.next() }
        let subject = try DistinguishedName(der: try fields.next().element)
        guard try fields.next().element == key.subjectPublicKeyInfo else {
            throw TestKitError(.invalidRecipe, "read an authority: the key is not its own")
        }
        let identity = try IssuedCertificate(
            root: certificate.der,
            subject: subject,
            serial: serial,
            keyIdentifier: try fields.subjectKeyIdentifier(),
            privateKey: key
        )
        self.init(actingAs: identity, now: now)
    }
}

extension TestKey {
    /// The kind of a public key; nil for one that the kit does not make.
    fileprivate init?(_ key: PublicKey) {
        switch (key.type, key.bits) {
        case ("EC", 256) where key.curve == "P-256" || key.curve == "prime256v1": self = .p256
        case ("EC", 384): self = .p384
        case ("ED25519", _): self = .ed25519
        case ("RSA", 2048): self = .rsa2048
        case ("RSA", 3072): self = .rsa3072
        case ("RSA", 4096): self = .rsa4096
        default: return nil
        }
    }
}

extension DistinguishedName {
    /// Reads a name of attributes that stand alone, and makes sure that it is written the same again.
    fileprivate init(der: [UInt8]) throws(TestKitError) {
        var reader = DERReader(der)
        var names = try reader.sequence()
        var attributes: [Attribute] = []
        while !names.isAtEnd {
            var set = DERReader(try names.contents(of: DERWriter.Tag.set))
            var pair = try set.sequence()
            let oid = try pair.contents(of: DERWriter.Tag.objectIdentifier)
            let value = String(decoding: try pair.next().contents, as: UTF8.self)
            attributes.append(Attribute(oid: DistinguishedName.dotted(oid), value: value))
        }
        self.init(attributes)
        guard try encoded() == der else {
            throw TestKitError(.invalidRecipe, "read an authority: its name has another form")
        }
    }

    private static func dotted(_ contents: [UInt8]) -> String {
        var numbers: [UInt64] = []
        var number: UInt64 = 0
        for byte in contents {
            number = number << 7 | UInt64(byte & 0x7f)
            guard byte < 0x80 else { continue }
            if numbers.isEmpty {
                let first = min(number / 40, 2)
                numbers = [first, number - 40 * first]
            } else {
                numbers.append(number)
            }
            number = 0
        }
        return numbers.map(String.init).joined(separator: ".")
    }
}

extension DERReader {
    /// The subjectKeyIdentifier among what follows the public key; nil without one.
    fileprivate mutating func subjectKeyIdentifier() throws(TestKitError) -> [UInt8]? {
        let tag = DERWriter.Tag.context(3, isConstructed: true)
        while !isAtEnd, nextTag != tag { _ = try next() }
        guard !isAtEnd else { return nil }
        var explicit = DERReader(try contents(of: tag))
        var list = try explicit.sequence()
        while !list.isAtEnd {
            var entry = try list.sequence()
            let oid = try entry.contents(of: DERWriter.Tag.objectIdentifier)
            guard oid == [0x55, 0x1d, 0x0e] else { continue }
            if entry.nextTag == DERWriter.Tag.boolean { _ = try entry.next() }
            var value = DERReader(try entry.contents(of: DERWriter.Tag.octetString))
            return try value.contents(of: DERWriter.Tag.octetString)
        }
        return nil
    }
}
