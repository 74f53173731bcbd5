// Signatures of the handshake outside a handshake: the check of one that came from elsewhere, and the
// other end, which holds the key and signs.

import COpenSSL

extension SignatureRequest {
    /// The digest of ``message`` that is to be signed, by the hash of the scheme; nil for Ed25519 and
    /// Ed448, which take the message.
    public var digest: [UInt8]? {
        guard let name = scheme.hashName else { return nil }
        ErrorQueue.clear()
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count = 0
        let made = unsafe EVP_Q_digest(
            nil,
            name,
            nil,
            message,
            message.count,
            &digest,
            &count
        )
        ErrorQueue.clear()
        return made == 1 ? Array(digest.prefix(count)) : nil
    }

    /// Whether it is the signature of the leaf's key under this request.
    func isSigned(by signature: [UInt8]) -> Bool {
        guard !signature.isEmpty,
            let key = unsafe X509_get0_pubkey(certificate.handle.pointer),
            let operation = DigestOperation(scheme)
        else { return false }
        ErrorQueue.clear()
        defer { ErrorQueue.clear() }
        return unsafe operation.begin(EVP_DigestVerifyInit_ex, key)
            && EVP_DigestVerify(
                operation.context,
                signature,
                signature.count,
                message,
                message.count
            ) == 1
    }
}

extension TLSIdentity {
    /// Signs what a ``SignatureRequest`` elsewhere asks for, by the key that is here: the other end of
    /// ``init(externalKeyFor:)``.
    ///
    /// - Parameters:
    ///   - message: What is to be signed, not yet hashed.
    ///   - scheme: How.
    /// - Returns: The signature in the form TLS has it.
    /// - Throws: ``TLSError`` `.signingFailed` for a scheme that is not of this key, or a key that is not
    ///   here.
    /// - Note: OpenSSL `EVP_DigestSign`.
    public func signature(
        of message: [UInt8],
        scheme: SignatureScheme
    ) throws(TLSError) -> [UInt8] {
        guard external == nil, let operation = DigestOperation(scheme) else {
            throw TLSError(
                .signingFailed,
                detail: external == nil ? "\(scheme) is not known" : "the key is not here"
            )
        }
        guard scheme.isOf(certificate.publicKey.type) else {
            throw TLSError(
                .signingFailed,
                detail: "\(scheme) is not for a key of type \(certificate.publicKey.type)"
            )
        }
        ErrorQueue.clear()
        var count = 0
        guard unsafe operation.begin(EVP_DigestSignInit_ex, key.pointer),
            unsafe EVP_DigestSign(operation.context, nil, &count, message, message.count) == 1
        else { throw ErrorQueue.error(.signingFailed, "\(scheme)") }
        var signature = [UInt8](repeating: 0, count: count)
        guard
            unsafe EVP_DigestSign(operation.context, &signature, &count, message, message.count)
                == 1
        else { throw ErrorQueue.error(.signingFailed, "\(scheme)") }
        return Array(signature.prefix(count))
    }
}

extension SignatureScheme {
    /// Whether a key of a type, as ``Certificate/PublicKey`` has it, signs so.
    fileprivate func isOf(_ type: String) -> Bool {
        switch rawValue {
        case 0x0807: type == "ED25519"
        case 0x0808: type == "ED448"
        case 0x0809...0x080b: type == "RSA-PSS"
        case 0x0804...0x0806: type == "RSA"
        default: rawValue & 0xff == 1 ? type == "RSA" : rawValue & 0xff == 3 && type == "EC"
        }
    }
}

/// One `EVP_MD_CTX` under a scheme.
@safe
private struct DigestOperation: ~Copyable {
    typealias Begin = (
        OpaquePointer?, UnsafeMutablePointer<OpaquePointer?>?, UnsafePointer<CChar>?,
        OpaquePointer?, UnsafePointer<CChar>?, OpaquePointer?, UnsafePointer<OSSL_PARAM>?
    ) -> CInt

    let context: OpaquePointer
    private let hash: String?
    private let isPSS: Bool

    /// Nil for a scheme that is not known, or out of memory.
    init?(_ scheme: SignatureScheme) {
        hash = scheme.hashName
        isPSS = scheme.isPSS
        guard hash != nil || [0x0807, 0x0808].contains(scheme.rawValue),
            let context = unsafe EVP_MD_CTX_new()
        else { return nil }
        unsafe self.context = context
    }

    deinit { unsafe EVP_MD_CTX_free(context) }

    func begin(_ begin: Begin, _ key: OpaquePointer) -> Bool {
        var parameters: OpaquePointer?
        guard unsafe begin(context, &parameters, hash, nil, nil, key, nil) == 1 else {
            return false
        }
        guard isPSS else { return true }
        // The salt is as long as the hash (RFC 8446 §4.2.3).
        return unsafe EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1
            && EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1
    }
}
