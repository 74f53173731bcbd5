// The keys that sessions are sealed with, in memory that is wiped, and the sealing: AES-256 in Galois
// counter mode with a random nonce for each export.

import COpenSSL

/// The key that a client's sessions are sealed with, so that they can be kept outside the process.
///
/// Whoever has key and export can read what the session protects: keep the key where the private keys
/// are. The default, ``process``, lives and dies with the process.
public struct SessionKey: Sendable {
    /// Bytes of a key.
    public static let byteCount = 32
    /// The key of this process: random, made when it is first needed.
    public static let process = SessionKey.random()

    let secret: SecretBytes
    /// Tells which key sealed an export, and nothing about the key: 8 bytes.
    let identifier: [UInt8]

    /// Takes a key.
    ///
    /// - Parameter bytes: 32 bytes that nobody can guess, from a random source or derived from one. A
    ///   copy is kept, in memory that is wiped; the array is the caller's to wipe.
    /// - Throws: ``TLSError`` `.invalidSession` for another number of bytes.
    public init(_ bytes: [UInt8]) throws(TLSError) {
        guard bytes.count == SessionKey.byteCount else {
            throw TLSError(
                .invalidSession,
                detail: "a session key has \(SessionKey.byteCount) bytes, not \(bytes.count)"
            )
        }
        self.init(SecretBytes(bytes))
    }

    /// Makes a random key.
    ///
    /// - Returns: A key that nobody else has.
    /// - Precondition: The system's random source works.
    public static func random() -> SessionKey {
        let secret = SecretBytes(count: byteCount)
        let isFilled = unsafe RAND_priv_bytes(secret.pointer, CInt(byteCount)) == 1
        precondition(isFilled, "OpenSSL has no random bytes")
        return SessionKey(secret)
    }

    init(_ secret: SecretBytes) {
        self.secret = secret
        var labelled = Array("swift-sockets session key".utf8)
        labelled.reserveCapacity(labelled.count + secret.count)
        unsafe labelled.append(contentsOf: UnsafeBufferPointer(secret.buffer))
        identifier = Array(OpenSSLLibrary.sha256(labelled).prefix(8))
        unsafe OPENSSL_cleanse(&labelled, labelled.count)
    }
}

extension SessionKey: Hashable {
    /// Compares the keys by their digests.
    public static func == (left: SessionKey, right: SessionKey) -> Bool {
        left.identifier == right.identifier
    }

    /// Hashes the digest.
    public func hash(into hasher: inout Hasher) { hasher.combine(identifier) }
}

extension SessionKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Nothing of the key.
    public var description: String { "session key <redacted>" }
    /// Nothing of the key.
    public var debugDescription: String { description }
    /// Nothing of the key.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// AES-256-GCM.
enum SealedBox {
    static let nonceCount = 12
    static let tagCount = 16

    /// Encrypts and authenticates.
    ///
    /// - Parameters:
    ///   - secret: What to encrypt.
    ///   - header: What to authenticate beside it.
    ///   - key: The key.
    /// - Returns: Nonce, ciphertext and tag; nil when OpenSSL fails.
    static func seal(_ secret: SecretBytes, header: [UInt8], key: SessionKey) -> [UInt8]? {
        var box = [UInt8](repeating: 0, count: nonceCount + secret.count + tagCount)
        ErrorQueue.clear()
        guard unsafe RAND_bytes(&box, CInt(nonceCount)) == 1,
            let context = unsafe EVP_CIPHER_CTX_new()
        else { return nil }
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        var count: CInt = 0
        let isSealed = unsafe box.withUnsafeMutableBufferPointer { box in
            guard let start = box.baseAddress else { return false }
            // Within the box: nonce, as many bytes as the secret has, tag.
            return unsafe EVP_EncryptInit_ex(
                context,
                EVP_aes_256_gcm(),
                nil,
                key.secret.pointer,
                start
            ) == 1
                && EVP_EncryptUpdate(context, nil, &count, header, CInt(header.count)) == 1
                && EVP_EncryptUpdate(
                    context,
                    start + nonceCount,
                    &count,
                    secret.pointer,
                    CInt(secret.count)
                ) == 1
                && EVP_EncryptFinal_ex(context, start + nonceCount + secret.count, &count) == 1
                && EVP_CIPHER_CTX_ctrl(
                    context,
                    EVP_CTRL_AEAD_GET_TAG,
                    CInt(tagCount),
                    start + nonceCount + secret.count
                ) == 1
        }
        ErrorQueue.clear()
        return isSealed ? box : nil
    }

    /// Decrypts what ``seal(_:header:key:)`` made.
    ///
    /// - Returns: The secret; nil when a bit of box or header is not as it was, or the key is another.
    static func open(_ box: ArraySlice<UInt8>, header: [UInt8], key: SessionKey) -> SecretBytes? {
        guard box.count >= nonceCount + tagCount else { return nil }
        let secret = SecretBytes(count: box.count - nonceCount - tagCount)
        var tag = Array(box.suffix(tagCount))
        ErrorQueue.clear()
        guard let context = unsafe EVP_CIPHER_CTX_new() else { return nil }
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        var count: CInt = 0
        let isOpen = unsafe box.withUnsafeBufferPointer { box in
            guard let start = box.baseAddress else { return false }
            return unsafe EVP_DecryptInit_ex(
                context,
                EVP_aes_256_gcm(),
                nil,
                key.secret.pointer,
                start
            ) == 1
                && EVP_DecryptUpdate(context, nil, &count, header, CInt(header.count)) == 1
                && EVP_DecryptUpdate(
                    context,
                    secret.pointer,
                    &count,
                    start + nonceCount,
                    CInt(secret.count)
                ) == 1
                && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, CInt(tagCount), &tag) == 1
                && EVP_DecryptFinal_ex(context, secret.pointer, &count) == 1
        }
        ErrorQueue.clear()
        return isOpen ? secret : nil
    }
}
