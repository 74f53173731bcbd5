// HKDF with SHA-256 (RFC 5869), from secret memory to secret memory.

import COpenSSL

/// HKDF with SHA-256.
enum KeyDerivation {
    /// Makes an evenly distributed key of 32 bytes of a secret (RFC 5869 §2.2).
    static func extract(_ secret: SecretBytes, salt: String) throws(TLSError) -> SecretBytes {
        let salt = Array(salt.utf8)
        return try unsafe derive(secret, count: 32) { context in
            unsafe EVP_PKEY_CTX_set_hkdf_mode(
                context,
                CInt(EVP_KDF_HKDF_MODE_EXTRACT_ONLY)
            ) == 1
                && EVP_PKEY_CTX_set1_hkdf_salt(context, salt, CInt(salt.count)) == 1
        }
    }

    /// Makes keys for a purpose (RFC 5869 §2.3).
    ///
    /// - Parameters:
    ///   - key: Of ``extract(_:salt:)`` or of this function.
    ///   - purpose: The info of the standard.
    ///   - count: Bytes, at most 8,160.
    /// - Returns: The key.
    /// - Throws: ``TLSError`` `.internalError`.
    static func expand(
        _ key: SecretBytes,
        _ purpose: String,
        count: Int = 32
    ) throws(TLSError) -> SecretBytes {
        let info = Array(purpose.utf8)
        return try unsafe derive(key, count: count) { context in
            unsafe EVP_PKEY_CTX_set_hkdf_mode(context, CInt(EVP_KDF_HKDF_MODE_EXPAND_ONLY)) == 1
                && EVP_PKEY_CTX_add1_hkdf_info(context, info, CInt(info.count)) == 1
        }
    }

    private static func derive(
        _ key: SecretBytes,
        count: Int,
        _ configure: (OpaquePointer) -> Bool
    ) throws(TLSError) -> SecretBytes {
        ErrorQueue.clear()
        guard let context = unsafe EVP_PKEY_CTX_new_id(NID_hkdf, nil) else {
            throw ErrorQueue.error(.internalError)
        }
        // OpenSSL wipes its copy of the key with it.
        defer { unsafe EVP_PKEY_CTX_free(context) }
        let derived = SecretBytes(count: count)
        var size = count
        let isDerived =
            unsafe EVP_PKEY_derive_init(context) == 1
            && EVP_PKEY_CTX_set_hkdf_md(context, EVP_sha256()) == 1
            && key.withPointer { start, count in
                unsafe EVP_PKEY_CTX_set1_hkdf_key(context, start, CInt(count)) == 1
            }
            && configure(context)
            && EVP_PKEY_derive(context, derived.pointer, &size) == 1
        guard isDerived, size == count else { throw ErrorQueue.error(.internalError) }
        return derived
    }
}
