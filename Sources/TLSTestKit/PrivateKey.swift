internal import COpenSSL

/// One private key, held in an OpenSSL object that is wiped when freed.
///
/// OpenSSL allows one key to sign on several threads at once, and nothing here changes it after
/// the initialiser, so the class is `Sendable`.
@safe
final class PrivateKey: Sendable {
    let kind: TestKey
    /// The DER of the SubjectPublicKeyInfo (RFC 5280 §4.1).
    let subjectPublicKeyInfo: [UInt8]
    /// 20 bytes that identify the key: SHA-256 of ``subjectPublicKeyInfo``, cut (RFC 7093 §2).
    let identifier: [UInt8]
    /// Owned: one reference, given back in `deinit`.
    private nonisolated(unsafe) let pointer: OpaquePointer

    convenience init(generating kind: TestKey) throws(TestKitError) {
        unsafe try self.init(owning: try Self.generate(kind), kind)
    }

    /// Makes a key of ECDSA whose halves belong to two others, so that whoever compares public keys
    /// finds it fitting and whoever checks a signature does not.
    ///
    /// - Parameters:
    ///   - publicHalf: A key on P-256.
    ///   - privateHalf: Another key on P-256.
    /// - Throws: ``TestKitError`` `.openSSL` or `.invalidRecipe`.
    convenience init(
        publicHalf: PrivateKey,
        privateHalf: PrivateKey
    ) throws(TestKitError) {
        guard publicHalf.kind == .p256, privateHalf.kind == .p256 else {
            throw TestKitError(.invalidRecipe, "only keys on P-256 can be put together of halves")
        }
        // RFC 5915 §3: version 1, 32 bytes of scalar, the curve, and 65 bytes of point, which is
        // also how the SubjectPublicKeyInfo ends.
        let scalar = try privateHalf.traditionalDER()[7..<39]
        var writer = DERWriter()
        try writer.sequence { (key) throws(TestKitError) in
            key.integer(1)
            key.element(DERWriter.Tag.octetString, scalar)
            try key.constructed(DERWriter.Tag.context(0, isConstructed: true)) {
                (curve) throws(TestKitError) in
                try curve.objectIdentifier("1.2.840.10045.3.1.7")
            }
            key.constructed(DERWriter.Tag.context(1, isConstructed: true)) { point in
                point.bitString(Array(publicHalf.subjectPublicKeyInfo.suffix(65)))
            }
        }
        let der = writer.bytes
        let pointer = unsafe try openSSL("read a key") {
            unsafe der.withUnsafeBufferPointer { buffer in
                var position = buffer.baseAddress
                return unsafe d2i_PrivateKey(EVP_PKEY_EC, nil, &position, buffer.count)
            }
        }
        unsafe try self.init(owning: pointer, .p256)
    }

    /// Reads a key from PEM that is not encrypted.
    ///
    /// - Parameters:
    ///   - pem: The key, with or without text around it.
    ///   - kind: What it is.
    /// - Throws: ``TestKitError`` `.openSSL`.
    convenience init(pem: [UInt8], _ kind: TestKey) throws(TestKitError) {
        let pointer = unsafe try openSSL("read a key") {
            unsafe pem.withUnsafeBytes { bytes -> OpaquePointer? in
                guard
                    let bio = unsafe BIO_new_mem_buf(
                        bytes.baseAddress,
                        Int32(clamping: bytes.count)
                    )
                else { return nil }
                defer { unsafe BIO_free(bio) }
                // An empty passphrase keeps OpenSSL from asking on the terminal.
                return unsafe PEM_read_bio_PrivateKey(bio, nil, { _, _, _, _ in 0 }, nil)
            }
        }
        unsafe try self.init(owning: pointer, kind)
    }

    /// Takes over one reference to an `EVP_PKEY`, also when it throws.
    private init(owning pointer: OpaquePointer, _ kind: TestKey) throws(TestKitError) {
        do throws(TestKitError) {
            let encoded = unsafe try Self.encodePublicKey(pointer)
            identifier = Array(try sha256(encoded).prefix(20))
            subjectPublicKeyInfo = encoded
        } catch {
            // No `deinit` runs for an object that was not completed.
            unsafe EVP_PKEY_free(pointer)
            throw error
        }
        self.kind = kind
        unsafe self.pointer = pointer
    }

    deinit { unsafe EVP_PKEY_free(pointer) }

    /// Lends the `EVP_PKEY` for the duration of `body`.
    func withPointer<Result>(
        _ body: (OpaquePointer) throws(TestKitError) -> Result
    ) throws(TestKitError) -> Result {
        unsafe try body(pointer)
    }

    /// Signs `message` with the algorithm that ``signatureAlgorithm(_:)`` describes.
    func sign(_ message: [UInt8], _ digest: SigningDigest?) throws(TestKitError) -> [UInt8] {
        let digest = try usable(digest)
        let context = try DigestContext()
        return unsafe try context.sign(
            message,
            key: pointer,
            digest: digest,
            isPSS: kind.parameters.signing == .rsaPSS
        )
    }

    /// The DER of the AlgorithmIdentifier of this key's signatures (RFC 5280 §4.1.1.2).
    func signatureAlgorithm(_ digest: SigningDigest?) throws(TestKitError) -> [UInt8] {
        let digest = try usable(digest)
        var writer = DERWriter()
        try writer.sequence { (algorithm) throws(TestKitError) in
            switch (kind.parameters.signing, digest) {
            case (.ed25519, _):
                try algorithm.objectIdentifier("1.3.101.112")  // RFC 8410 §3
            case (.ecdsa, let digest?):
                try algorithm.objectIdentifier(digest.ecdsaOID)
            case (.rsa, let digest?):
                try algorithm.objectIdentifier(digest.rsaOID)
                algorithm.element(DERWriter.Tag.null, [])
            case (.rsaPSS, let digest?):
                try algorithm.objectIdentifier("1.2.840.113549.1.1.10")
                try algorithm.pssParameters(digest)
            case (.dsa, let digest?):
                guard digest == .sha256 else {
                    throw TestKitError(.invalidRecipe, "DSA signs with SHA-256 only")
                }
                try algorithm.objectIdentifier("2.16.840.1.101.3.4.3.2")  // RFC 5758 §3.1
            case (.ecdsa, nil), (.rsa, nil), (.rsaPSS, nil), (.dsa, nil):
                throw TestKitError(.invalidRecipe, "\(kind) needs a digest")
            }
        }
        return writer.bytes
    }

    /// The PKCS #8 form of the key (RFC 5958), encrypted with AES-256-CBC when there is a passphrase.
    func pkcs8DER(passphrase: String? = nil) throws(TestKitError) -> [UInt8] {
        let output = try SecretOutput()
        unsafe try output.write("encode the private key") { bio in
            guard let passphrase else {
                return unsafe i2d_PKCS8PrivateKey_bio(bio, pointer, nil, nil, 0, nil, nil)
            }
            let count = Int32(passphrase.utf8.count)
            // Static.
            let cipher = unsafe EVP_aes_256_cbc()
            return unsafe passphrase.withCString { text in
                unsafe i2d_PKCS8PrivateKey_bio(bio, pointer, cipher, text, count, nil, nil)
            }
        }
        return output.bytes
    }

    /// The form of the key before PKCS #8, which differs with its kind.
    private func traditionalDER() throws(TestKitError) -> [UInt8] {
        let output = try SecretOutput()
        unsafe try output.write("encode the private key") { bio in
            unsafe i2d_PrivateKey_bio(bio, pointer)
        }
        return output.bytes
    }

    /// The PEM of the PKCS #8 form, encrypted with AES-256-CBC when there is a passphrase.
    func pkcs8PEM(passphrase: String?) throws(TestKitError) -> String {
        let output = try SecretOutput()
        unsafe try output.write("encode the private key") { bio in
            guard let passphrase else {
                return unsafe PEM_write_bio_PKCS8PrivateKey(bio, pointer, nil, nil, 0, nil, nil)
            }
            let count = Int32(passphrase.utf8.count)
            return unsafe passphrase.withCString { text in
                unsafe PEM_write_bio_PKCS8PrivateKey(
                    bio,
                    pointer,
                    EVP_aes_256_cbc(),
                    text,
                    count,
                    nil,
                    nil
                )
            }
        }
        return String(decoding: output.bytes, as: UTF8.self)
    }

    /// Fills in the kind's own digest, and refuses one for kinds that have none.
    private func usable(_ digest: SigningDigest?) throws(TestKitError) -> SigningDigest? {
        let natural = kind.parameters.digest
        guard natural != nil || digest == nil else {
            throw TestKitError(.invalidRecipe, "\(kind) signs without a digest")
        }
        return digest ?? natural
    }

    private static func generate(_ kind: TestKey) throws(TestKitError) -> OpaquePointer {
        switch kind.parameters.generation {
        case .elliptic(let group):
            let context = try KeyContext(algorithm: "EC")
            return unsafe try context.generate { unsafe EVP_PKEY_CTX_set_group_name($0, group) }
        case .edwards(let name):
            let context = try KeyContext(algorithm: name)
            return unsafe try context.generate { _ in 1 }
        case .rsa(let name, let bits):
            let context = try KeyContext(algorithm: name)
            return unsafe try context.generate {
                unsafe EVP_PKEY_CTX_set_rsa_keygen_bits($0, bits)
            }
        case .dsa(let bits, let order):
            let domain = unsafe try KeyContext(algorithm: "DSA").generateParameters {
                let isSet = unsafe EVP_PKEY_CTX_set_dsa_paramgen_bits($0, bits)
                return unsafe isSet > 0 ? EVP_PKEY_CTX_set_dsa_paramgen_q_bits($0, order) : isSet
            }
            defer { unsafe EVP_PKEY_free(domain) }
            return unsafe try KeyContext(parameters: domain).generate { _ in 1 }
        }
    }

    private static func encodePublicKey(_ key: OpaquePointer) throws(TestKitError) -> [UInt8] {
        var encoded: UnsafeMutablePointer<UInt8>?
        // A nil target makes OpenSSL allocate the buffer, which is freed below.
        let count = try openSSL("encode the public key") {
            let count = unsafe i2d_PUBKEY(key, &encoded)
            return count > 0 ? Int(count) : nil
        }
        defer { unsafe cssl_kit_free(encoded) }
        return unsafe Array(UnsafeBufferPointer(start: encoded, count: count))
    }
}

extension SigningDigest {
    fileprivate var ecdsaOID: String {
        get throws(TestKitError) {
            switch self {
            case .sha1: "1.2.840.10045.4.1"
            case .sha256: "1.2.840.10045.4.3.2"
            case .sha384: "1.2.840.10045.4.3.3"
            case .sha512: "1.2.840.10045.4.3.4"
            case .md5: throw TestKitError(.invalidRecipe, "ECDSA with MD5 has no identifier")
            }
        }
    }

    fileprivate var rsaOID: String {
        switch self {
        case .md5: "1.2.840.113549.1.1.4"
        case .sha1: "1.2.840.113549.1.1.5"
        case .sha256: "1.2.840.113549.1.1.11"
        case .sha384: "1.2.840.113549.1.1.12"
        case .sha512: "1.2.840.113549.1.1.13"
        }
    }

    fileprivate var digestOID: String {
        switch self {
        case .md5: "1.2.840.113549.2.5"
        case .sha1: "1.3.14.3.2.26"
        case .sha256: "2.16.840.1.101.3.4.2.1"
        case .sha384: "2.16.840.1.101.3.4.2.2"
        case .sha512: "2.16.840.1.101.3.4.2.3"
        }
    }

    fileprivate var byteCount: Int {
        switch self {
        case .md5: 16
        case .sha1: 20
        case .sha256: 32
        case .sha384: 48
        case .sha512: 64
        }
    }
}

extension DERWriter {
    /// Appends an OBJECT IDENTIFIER given in dotted form.
    mutating func objectIdentifier(_ dotted: String) throws(TestKitError) {
        element(Tag.objectIdentifier, try EncodedOID(dotted: dotted).contents)
    }

    /// Appends RSASSA-PSS-params (RFC 4055 §3.1).
    ///
    /// MGF1 uses the same digest, and the salt is as long as the digest. A trailer field of 1 is
    /// the default, so DER leaves it out, and with SHA-1 so is everything else.
    fileprivate mutating func pssParameters(_ digest: SigningDigest) throws(TestKitError) {
        try sequence { (parameters) throws(TestKitError) in
            guard digest != .sha1 else { return }
            var hash = DERWriter()
            try hash.sequence { (algorithm) throws(TestKitError) in
                try algorithm.objectIdentifier(digest.digestOID)
                algorithm.element(Tag.null, [])
            }
            parameters.element(Tag.context(0, isConstructed: true), hash.bytes)
            try parameters.constructed(Tag.context(1, isConstructed: true)) {
                (mask) throws(TestKitError) in
                try mask.sequence { (algorithm) throws(TestKitError) in
                    try algorithm.objectIdentifier("1.2.840.113549.1.1.8")
                    algorithm.append(hash.bytes)
                }
            }
            parameters.constructed(Tag.context(2, isConstructed: true)) { salt in
                salt.integer(digest.byteCount)
            }
        }
    }
}
