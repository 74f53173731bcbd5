internal import COpenSSL

// The owners of OpenSSL's short-lived objects: one noncopyable type each, freed in `deinit`. Every
// `unsafe` below passes the one pointer such a type owns, which lives exactly as long as it does.

/// Owner of an `EVP_PKEY_CTX` that makes keys.
@safe
struct KeyContext: ~Copyable {
    private let pointer: OpaquePointer

    init(algorithm: String) throws(TestKitError) {
        unsafe pointer = try openSSL("find the algorithm \(algorithm)") {
            unsafe EVP_PKEY_CTX_new_from_name(nil, algorithm, nil)
        }
    }

    /// Makes a context whose keys have the parameters of another `EVP_PKEY`, which it keeps alive.
    init(parameters: OpaquePointer) throws(TestKitError) {
        unsafe pointer = try openSSL("take over a key's parameters") {
            unsafe EVP_PKEY_CTX_new_from_pkey(nil, parameters, nil)
        }
    }

    deinit { unsafe EVP_PKEY_CTX_free(pointer) }

    /// Returns new parameters for keys, which the caller must free.
    ///
    /// - Parameter configure: Sets what the parameters depend on; returns OpenSSL's status.
    /// - Returns: An `EVP_PKEY` without a key.
    /// - Throws: ``TestKitError`` `.openSSL`.
    @unsafe
    func generateParameters(
        _ configure: (OpaquePointer) -> Int32
    ) throws(TestKitError) -> OpaquePointer {
        try openSSL(status: "prepare parameters") { unsafe EVP_PKEY_paramgen_init(pointer) }
        try openSSL(status: "choose what parameters depend on") { unsafe configure(pointer) }
        return unsafe try openSSL("make parameters") {
            var parameters: OpaquePointer?
            return unsafe EVP_PKEY_paramgen(pointer, &parameters) > 0 ? parameters : nil
        }
    }

    /// Returns a new key, which the caller must free.
    ///
    /// - Parameter configure: Sets parameters; returns OpenSSL's status.
    /// - Returns: An `EVP_PKEY`.
    /// - Throws: ``TestKitError`` `.openSSL`.
    @unsafe
    func generate(_ configure: (OpaquePointer) -> Int32) throws(TestKitError) -> OpaquePointer {
        try openSSL(status: "prepare a key") { unsafe EVP_PKEY_keygen_init(pointer) }
        try openSSL(status: "choose the key's parameters") { unsafe configure(pointer) }
        return unsafe try openSSL("make a key") {
            var key: OpaquePointer?
            return unsafe EVP_PKEY_generate(pointer, &key) > 0 ? key : nil
        }
    }
}

/// Owner of an `EVP_MD_CTX` that signs.
@safe
struct DigestContext: ~Copyable {
    private let pointer: OpaquePointer

    init() throws(TestKitError) {
        unsafe pointer = try openSSL("allocate a digest context") { unsafe EVP_MD_CTX_new() }
    }

    deinit { unsafe EVP_MD_CTX_free(pointer) }

    /// Signs in one go.
    ///
    /// - Parameters:
    ///   - message: What to sign.
    ///   - key: The `EVP_PKEY`, only read.
    ///   - digest: Nil for algorithms with a digest of their own.
    ///   - isPSS: Whether to salt as RSASSA-PSS does, with as many bytes as the digest has.
    /// - Returns: The signature.
    /// - Throws: ``TestKitError`` `.openSSL`.
    @unsafe
    func sign(
        _ message: [UInt8],
        key: OpaquePointer,
        digest: SigningDigest?,
        isPSS: Bool
    ) throws(TestKitError) -> [UInt8] {
        // Owned by the digest context, not by us.
        var parameters: OpaquePointer?
        try openSSL(status: "start a signature") {
            unsafe EVP_DigestSignInit_ex(
                pointer,
                &parameters,
                digest?.rawValue,
                nil,
                nil,
                key,
                nil
            )
        }
        if isPSS {
            try openSSL(status: "choose the salt") {
                unsafe EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST)
            }
        }
        var count = Int(unsafe EVP_PKEY_get_size(key))
        var signature = [UInt8](repeating: 0, count: count)
        try openSSL(status: "sign") {
            unsafe EVP_DigestSign(pointer, &signature, &count, message, message.count)
        }
        signature.removeLast(signature.count - count)
        return signature
    }
}

/// Owner of a memory BIO for secrets, which wipes its buffers when it grows and when it is freed.
@safe
struct SecretOutput: ~Copyable {
    private let pointer: OpaquePointer

    init() throws(TestKitError) {
        unsafe pointer = try openSSL("allocate a buffer") { unsafe BIO_new(BIO_s_secmem()) }
    }

    deinit { unsafe BIO_free_all(pointer) }

    /// Lets `call` write; it returns OpenSSL's status.
    @unsafe
    func write(_ operation: String, _ call: (OpaquePointer) -> Int32) throws(TestKitError) {
        try openSSL(status: operation) { unsafe call(pointer) }
    }

    /// A copy of everything written, which is the caller's to keep secret.
    var bytes: [UInt8] {
        var contents: UnsafeMutablePointer<CChar>?
        let count = unsafe cssl_kit_bio_contents(pointer, &contents)
        guard let contents = unsafe contents, count > 0 else { return [] }
        // The BIO's own buffer: valid until the next write, copied here.
        return unsafe Array(UnsafeRawBufferPointer(start: contents, count: count))
    }
}

/// Owner of an `X509`.
@safe
struct ParsedCertificate: ~Copyable {
    let pointer: OpaquePointer

    init(_ der: [UInt8]) throws(TestKitError) {
        unsafe pointer = try openSSL("parse a certificate") {
            // d2i_X509 moves the copy of the pointer to the end of what it parsed.
            unsafe der.withUnsafeBufferPointer { buffer in
                var position = buffer.baseAddress
                let parsed = unsafe d2i_X509(nil, &position, buffer.count)
                if unsafe position == buffer.baseAddress?.advanced(by: buffer.count) {
                    return unsafe parsed
                }
                unsafe X509_free(parsed)
                return nil
            }
        }
    }

    deinit { unsafe X509_free(pointer) }
}

/// Owner of a `STACK_OF(X509)` and one reference to each certificate in it.
@safe
struct CertificateStack: ~Copyable {
    let pointer: OpaquePointer

    init() throws(TestKitError) {
        unsafe pointer = try openSSL("allocate a stack") { unsafe cssl_kit_x509_stack_new() }
    }

    deinit { unsafe cssl_kit_x509_stack_free(pointer) }

    func push(_ certificate: borrowing ParsedCertificate) throws(TestKitError) {
        let element = unsafe certificate.pointer
        try openSSL(status: "share a certificate") { unsafe X509_up_ref(element) }
        do throws(TestKitError) {
            try openSSL(status: "grow a stack") {
                unsafe cssl_kit_x509_stack_push(pointer, element)
            }
        } catch {
            unsafe X509_free(element)
            throw error
        }
    }
}

/// The SHA-256 of `bytes`.
func sha256(_ bytes: [UInt8]) throws(TestKitError) -> [UInt8] { try digest("SHA256", bytes) }

/// The SHA-1 of `bytes`, which OCSP identifies issuers by.
func sha1(_ bytes: [UInt8]) throws(TestKitError) -> [UInt8] { try digest("SHA1", bytes) }

private func digest(_ name: String, _ bytes: [UInt8]) throws(TestKitError) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var count = 0
    try openSSL(status: "hash") {
        // The target has room for any digest; OpenSSL reports how much it wrote.
        unsafe EVP_Q_digest(nil, name, nil, bytes, bytes.count, &digest, &count)
    }
    return Array(digest.prefix(count))
}

/// `count` bytes from OpenSSL's generator.
func randomBytes(_ count: Int) throws(TestKitError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    try openSSL(status: "draw random bytes") { unsafe RAND_bytes(&bytes, Int32(count)) }
    return bytes
}
