// One file with key, certificate and chain, as browsers, Java and Windows take them.

internal import COpenSSL

/// How a PKCS #12 file is encrypted.
public enum PKCS12Encryption: String, Sendable, Hashable, CaseIterable {
    /// AES-256-CBC with PBKDF2 and a MAC of SHA-256: what current programs write.
    case modern
    /// Triple DES with a key derivation and a MAC of SHA-1: what old programs read.
    case legacy
}

extension IssuedCertificate {
    /// Returns the key, the certificate and its chain in one PKCS #12 file (RFC 7292).
    ///
    /// - Parameters:
    ///   - passphrase: Encrypts the file; may be empty.
    ///   - friendlyName: The name that programs show for the entry; nil for none.
    ///   - encryption: For current or for old programs.
    /// - Returns: The file's bytes.
    /// - Throws: ``TestKitError`` `.openSSL`.
    /// - Note: OpenSSL `PKCS12_create`.
    public func pkcs12(
        passphrase: String,
        friendlyName: String? = nil,
        encryption: PKCS12Encryption = .modern
    ) throws(TestKitError) -> [UInt8] {
        let leaf = try ParsedCertificate(certificateDER)
        let others = try CertificateStack()
        for other in chainDER.dropFirst() { try others.push(ParsedCertificate(other)) }
        let algorithm =
            switch encryption {
            case .modern: NID_aes_256_cbc
            case .legacy: NID_pbe_WithSHA1And3_Key_TripleDES_CBC
            }
        let output = try SecretOutput()
        let (certificate, stack) = unsafe (leaf.pointer, others.pointer)
        unsafe try privateKey.withPointer { (key) throws(TestKitError) in
            let archive = unsafe try openSSL("make a PKCS #12 file") {
                unsafe PKCS12_create(
                    passphrase,
                    friendlyName,
                    key,
                    certificate,
                    stack,
                    algorithm,
                    algorithm,
                    0,
                    // The old MAC is made below; -1 leaves it out here.
                    encryption == .legacy ? -1 : 0,
                    0
                )
            }
            defer { unsafe PKCS12_free(archive) }
            if encryption == .legacy {
                try openSSL(status: "protect a PKCS #12 file") {
                    unsafe PKCS12_set_mac(archive, passphrase, -1, nil, 0, 0, EVP_sha1())
                }
            }
            unsafe try output.write("encode a PKCS #12 file") { bio in
                unsafe i2d_PKCS12_bio(bio, archive)
            }
        }
        return output.bytes
    }
}
