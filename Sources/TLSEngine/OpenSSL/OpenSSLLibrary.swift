// The OpenSSL library that runs, which need not be the one this was compiled against: the same
// binary starts on every 3.x, and refuses another major version before it uses anything of it.

import COpenSSL

/// The OpenSSL library that runs.
public enum OpenSSLLibrary {
    /// The version that runs, for example `OpenSSL 3.0.19 27 Jan 2026`.
    public static var version: String {
        unsafe String(cString: OpenSSL_version(OPENSSL_VERSION))
    }

    /// Whether the major version is one this package was written for.
    static func requireSupportedVersion() throws(TLSError) {
        let major = OPENSSL_version_major()
        guard major == 3 else {
            throw TLSError(
                .unsupportedLibrary,
                detail: "\(version) runs, version 3 is needed",
                hint: "Install OpenSSL 3"
            )
        }
    }

    /// The SHA-256 digest of bytes.
    package static func sha256(_ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        // The digest has the length that SHA256 writes.
        _ = unsafe SHA256(bytes, bytes.count, &digest)
        return digest
    }

    /// The SHA-256 digest of a secret, of which no copy is made.
    package static func sha256(_ secret: SecretBytes) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        unsafe secret.withPointer { start, count in
            // The digest has the length that SHA256 writes.
            _ = unsafe SHA256(start, count, &digest)
        }
        return digest
    }

    /// The digest of bytes that a fingerprint is made of.
    static func digest(_ bytes: [UInt8], _ algorithm: FingerprintAlgorithm) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: algorithm.byteCount)
        // The digest has the length that the function writes.
        switch algorithm {
        case .sha256: _ = unsafe SHA256(bytes, bytes.count, &digest)
        case .sha384: _ = unsafe SHA384(bytes, bytes.count, &digest)
        case .sha512: _ = unsafe SHA512(bytes, bytes.count, &digest)
        }
        return digest
    }

    /// The MD5 digest of bytes, for names that are defined by it, never for security.
    ///
    /// - Returns: 16 bytes; nil where no provider of the library has MD5.
    static func md5(_ bytes: [UInt8]) -> [UInt8]? {
        // A FIPS provider beside the default one shall not be asked for it.
        guard let algorithm = unsafe EVP_MD_fetch(nil, "MD5", "-fips") else {
            ErrorQueue.clear()
            return nil
        }
        defer { unsafe EVP_MD_free(algorithm) }
        var digest = [UInt8](repeating: 0, count: 16)
        // The digest has the length that MD5 writes.
        guard unsafe EVP_Digest(bytes, bytes.count, &digest, nil, algorithm, nil) == 1 else {
            ErrorQueue.clear()
            return nil
        }
        return digest
    }
}
