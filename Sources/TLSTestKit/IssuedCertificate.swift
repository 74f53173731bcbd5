/// A certificate with its chain and its private key.
///
/// The key stays in an OpenSSL object and is wiped when the last copy goes away; what the key
/// properties return are copies whose secrecy is the caller's affair. `description` and string
/// interpolation never show a key.
public struct IssuedCertificate: Sendable, CustomStringConvertible, CustomReflectable {
    /// The certificate in DER.
    public let certificateDER: [UInt8]
    /// What a TLS peer presents, in DER: this certificate, then intermediates, without the root.
    public let chainDER: [[UInt8]]
    /// The root of the authority that issued this certificate, in DER; a root is its own.
    public let rootDER: [UInt8]
    /// The contents octets of the serial number: big-endian two's complement.
    public let serial: [UInt8]
    /// The subject.
    public let subject: DistinguishedName
    /// The subject's alternative names in order.
    public let names: [SubjectName]
    /// The SHA-256 of ``certificateDER``: 32 bytes.
    public let fingerprintSHA256: [UInt8]

    let privateKey: PrivateKey
    /// The subjectKeyIdentifier, if the certificate has one.
    let keyIdentifier: [UInt8]?
    /// The keys above this one, nearest first.
    private let keysAbove: [PrivateKey]

    /// Makes a certificate.
    ///
    /// - Parameters:
    ///   - recipe: What to make.
    ///   - authority: Who issues it; nil for a root.
    ///   - now: The authority's clock in seconds since 1970.
    /// - Throws: ``TestKitError`` of any code but `.fileSystem`.
    init(
        issuing recipe: CertificateRecipe,
        authority: IssuedCertificate?,
        now: Int64
    ) throws(TestKitError) {
        let keysAbove = authority.map { [$0.privateKey] + $0.keysAbove } ?? []
        let key =
            if let holder = recipe.keyHolder { holder.privateKey } else {
                try KeyPool.shared.key(recipe.key, avoiding: keysAbove)
            }
        let issuer = authority.map {
            Issuer(name: $0.subject, key: $0.privateKey, keyIdentifier: $0.keyIdentifier)
        }
        let encoded = try recipe.encode(key: key, authority: issuer, now: now)
        certificateDER = encoded.der
        serial = encoded.serial
        keyIdentifier = encoded.keyIdentifier
        fingerprintSHA256 = try sha256(encoded.der)
        subject = recipe.subject
        names = recipe.names
        privateKey = key
        self.keysAbove = keysAbove
        rootDER = authority?.rootDER ?? encoded.der
        // A root is not sent, and neither is anything above a certificate that signed itself.
        let isLinked = authority.map { $0.certificateDER != $0.rootDER } ?? false
        let sendsIssuer = isLinked && recipe.signer != .itself
        chainDER = [encoded.der] + (sendsIssuer ? authority?.chainDER ?? [] : [])
    }

    /// Takes over a self-signed certificate that was made before.
    init(
        root der: [UInt8],
        subject: DistinguishedName,
        serial: [UInt8],
        keyIdentifier: [UInt8]?,
        privateKey: PrivateKey
    ) throws(TestKitError) {
        certificateDER = der
        chainDER = [der]
        rootDER = der
        self.serial = serial
        self.subject = subject
        names = []
        fingerprintSHA256 = try sha256(der)
        self.privateKey = privateKey
        self.keyIdentifier = keyIdentifier
        keysAbove = []
    }

    /// Changes what a certificate is presented with.
    private init(
        _ original: IssuedCertificate,
        chainDER: [[UInt8]]? = nil,
        privateKey: PrivateKey? = nil
    ) {
        certificateDER = original.certificateDER
        self.chainDER = chainDER ?? original.chainDER
        rootDER = original.rootDER
        serial = original.serial
        subject = original.subject
        names = original.names
        fingerprintSHA256 = original.fingerprintSHA256
        self.privateKey = privateKey ?? original.privateKey
        keyIdentifier = original.keyIdentifier
        keysAbove = original.keysAbove
    }

    /// Returns the certificate with other certificates behind it.
    ///
    /// - Parameter others: What a TLS peer presents behind the certificate, in DER and in this order;
    ///   not checked.
    /// - Returns: The same certificate, whose ``chainDER`` is itself and the others.
    public func presenting(with others: [[UInt8]]) -> IssuedCertificate {
        IssuedCertificate(self, chainDER: [certificateDER] + others)
    }

    /// Returns the certificate with a key that seems to fit it and does not.
    ///
    /// The key's public half is the certificate's, and that is all that programs compare when they
    /// load the two; its private half is another, so that every signature made with it is wrong.
    ///
    /// - Returns: The same certificate with the key of two halves.
    /// - Throws: ``TestKitError`` `.invalidRecipe` unless the key is one of P-256, or `.openSSL`.
    public func withWrongKey() throws(TestKitError) -> IssuedCertificate {
        let stranger = try PrivateKey(generating: .p256)
        let mixed = try PrivateKey(publicHalf: privateKey, privateHalf: stranger)
        return IssuedCertificate(self, privateKey: mixed)
    }

    /// The certificate in PEM.
    public var certificatePEM: String { pemCertificate(certificateDER) }

    /// ``chainDER`` in PEM, one block after the other.
    public var chainPEM: String { chainDER.map(pemCertificate).joined() }

    /// ``rootDER`` in PEM.
    public var rootPEM: String { pemCertificate(rootDER) }

    /// The kind of the private key.
    public var key: TestKey { privateKey.kind }

    /// The private key in DER: PKCS #8, not encrypted (RFC 5958).
    ///
    /// - Throws: ``TestKitError`` `.openSSL`.
    public var privateKeyDER: [UInt8] {
        get throws(TestKitError) { try privateKey.pkcs8DER() }
    }

    /// The private key in PEM: PKCS #8, not encrypted (`BEGIN PRIVATE KEY`).
    ///
    /// - Throws: ``TestKitError`` `.openSSL`.
    public var privateKeyPEM: String {
        get throws(TestKitError) { try privateKey.pkcs8PEM(passphrase: nil) }
    }

    /// Returns the private key in PEM, encrypted (`BEGIN ENCRYPTED PRIVATE KEY`).
    ///
    /// The encryption is PBES2 with AES-256-CBC and OpenSSL's default key derivation.
    ///
    /// - Parameter passphrase: The passphrase, used as its UTF-8 bytes.
    /// - Returns: The PEM block.
    /// - Throws: ``TestKitError`` `.openSSL`.
    public func privateKeyPEM(passphrase: String) throws(TestKitError) -> String {
        try privateKey.pkcs8PEM(passphrase: passphrase)
    }

    /// Returns the private key in DER, encrypted (`EncryptedPrivateKeyInfo`, RFC 5958 §3).
    ///
    /// - Parameter passphrase: The passphrase, used as its UTF-8 bytes.
    /// - Returns: The DER.
    /// - Throws: ``TestKitError`` `.openSSL`.
    public func privateKeyDER(passphrase: String) throws(TestKitError) -> [UInt8] {
        try privateKey.pkcs8DER(passphrase: passphrase)
    }

    /// The names, serial number and key kind.
    public var description: String { "IssuedCertificate(\(summary))" }

    /// Shows no more than ``description``.
    public var customMirror: Mirror {
        Mirror(self, children: ["certificate": summary], displayStyle: .struct)
    }

    var summary: String {
        let values = subject.attributes.map(\.value) + names.map(\.description).prefix(3)
        let title = values.isEmpty ? "no name" : values.joined(separator: ", ")
        return "\(title); serial \(hexadecimal(serial.prefix(20))); \(key)"
    }
}

/// The PEM block of a certificate (RFC 7468 §5).
func pemCertificate(_ der: [UInt8]) -> String { pem(der, label: "CERTIFICATE") }

/// A PEM block (RFC 7468 §3).
func pem(_ der: [UInt8], label: String) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text = Array("-----BEGIN \(label)-----\n".utf8)
    text.reserveCapacity(der.count * 3 / 2 + 64)
    // 48 bytes make a line of 64 characters.
    for lineStart in stride(from: 0, to: der.count, by: 48) {
        let lineEnd = min(lineStart + 48, der.count)
        for start in stride(from: lineStart, to: lineEnd, by: 3) {
            let count = min(3, lineEnd - start)
            var group = UInt32(0)
            for offset in 0..<3 {
                group = group << 8 | (offset < count ? UInt32(der[start + offset]) : 0)
            }
            for digit in 0..<4 {
                let isPadding = digit > count
                text.append(
                    isPadding ? UInt8(ascii: "=") : alphabet[Int(group >> (18 - 6 * digit) & 63)]
                )
            }
        }
        text.append(UInt8(ascii: "\n"))
    }
    text.append(contentsOf: "-----END \(label)-----\n".utf8)
    return String(decoding: text, as: UTF8.self)
}
