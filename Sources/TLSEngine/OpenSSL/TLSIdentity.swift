// Who this side is: a certificate chain and the private key of its leaf, read once from PEM or DER
// and checked against each other.

import COpenSSL

/// A certificate chain and the private key of its leaf.
///
/// The key lives in OpenSSL's memory, is wiped when the last copy of the identity goes, and is
/// never printed.
public struct TLSIdentity: Sendable {
    /// The leaf and its intermediates, leaf first; never empty.
    public let certificateChain: [Certificate]
    let key: PrivateKeyHandle
    /// Who signs; nil where the key is here.
    let external: ExternalKey?

    /// Reads an identity.
    ///
    /// - Parameters:
    ///   - certificate: The chain in PEM, leaf first, or one certificate in DER.
    ///   - privateKey: The leaf's key in PEM or DER: PKCS#8, encrypted or not, or a traditional form.
    ///   - passphrase: Opens an encrypted key, at most 1,024 bytes of UTF-8; ignored for a key that
    ///     is not encrypted. OpenSSL never asks on the terminal.
    /// - Throws: ``TLSError`` `.invalidCertificate`, `.invalidPrivateKey`, `.wrongPassphrase` or
    ///   `.keyMismatch`.
    /// - Note: OpenSSL `PEM_read_bio_PrivateKey`, `X509_check_private_key`.
    public init(
        certificate: [UInt8],
        privateKey: [UInt8],
        passphrase: SecretBytes? = nil
    ) throws(TLSError) {
        certificateChain = try Certificate.read(certificate)
        key = try PrivateKeyHandle.read(privateKey, passphrase: passphrase)
        external = nil
        ErrorQueue.clear()
        let leaf = certificateChain[0].handle
        guard unsafe X509_check_private_key(leaf.pointer, key.pointer) == 1 else {
            let owner = certificateChain.dropFirst().first {
                unsafe X509_check_private_key($0.handle.pointer, key.pointer) == 1
            }
            throw ErrorQueue.error(
                .keyMismatch,
                hint: owner.map { "It belongs to \($0.shortName): put the leaf first" }
            )
        }
    }

    /// The leaf.
    public var certificate: Certificate { certificateChain[0] }
}

extension TLSIdentity: Hashable {
    /// Compares the chains: the key belongs to the leaf.
    ///
    /// One that is elsewhere equals its copies only.
    public static func == (left: TLSIdentity, right: TLSIdentity) -> Bool {
        left.certificateChain == right.certificateChain && left.external === right.external
    }

    /// Hashes the chain.
    public func hash(into hasher: inout Hasher) { hasher.combine(certificateChain) }
}

extension TLSIdentity: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The leaf; the key is redacted.
    public var description: String { "\(certificate.shortName), key <redacted>" }
    /// The leaf; the key is redacted.
    public var debugDescription: String { description }
    /// The chain; the key is not shown.
    public var customMirror: Mirror { Mirror(self, children: ["certificate": certificate]) }
}

extension PrivateKeyHandle {
    static func read(
        _ bytes: [UInt8],
        passphrase: SecretBytes?
    ) throws(TLSError) -> PrivateKeyHandle {
        ErrorQueue.clear()
        var isEncrypted = false
        let pointer = unsafe bytes.withUnsafeBytes { key -> OpaquePointer? in
            guard let bio = unsafe MemoryBIO(reading: key) else { return nil }
            // The passphrase outlives the call.
            let secret = unsafe passphrase.map { unsafe UnsafeRawBufferPointer($0.buffer) }
            var phrase = unsafe Passphrase(bytes: secret)
            return unsafe withUnsafeMutablePointer(to: &phrase) { phrase in
                defer { isEncrypted = unsafe phrase.pointee.wasAsked }
                guard PEMText.isPEM(bytes) else {
                    return unsafe readDER(bytes, bio.pointer, phrase)
                }
                return unsafe PEM_read_bio_PrivateKey(bio.pointer, nil, givePassphrase, phrase)
            }
        }
        withExtendedLifetime(passphrase) {}
        guard let pointer = unsafe pointer else {
            guard isEncrypted else { throw ErrorQueue.error(.invalidPrivateKey) }
            let detail = passphrase == nil ? "the key is encrypted" : nil
            throw ErrorQueue.error(.wrongPassphrase, detail)
        }
        ErrorQueue.clear()
        return unsafe PrivateKeyHandle(owning: pointer)
    }

    private static func readDER(
        _ bytes: [UInt8],
        _ bio: OpaquePointer,
        _ phrase: UnsafeMutablePointer<Passphrase>
    ) -> OpaquePointer? {
        let plain = unsafe bytes.withUnsafeBufferPointer { buffer in
            var cursor = buffer.baseAddress
            return unsafe d2i_AutoPrivateKey(nil, &cursor, buffer.count)
        }
        if let plain = unsafe plain { return unsafe plain }
        return unsafe d2i_PKCS8PrivateKey_bio(bio, nil, givePassphrase, phrase)
    }
}

/// What the passphrase callback gives and notes.
@safe
struct Passphrase {
    // Valid during the one call that the callback belongs to; nil without a passphrase, which is
    // not the same as an empty one.
    var bytes: UnsafeRawBufferPointer?
    var wasAsked = false
}

/// OpenSSL's `pem_password_cb`: without a passphrase it fails instead of asking on the terminal.
@c(sockets_give_passphrase)
func givePassphrase(
    _ buffer: UnsafeMutablePointer<CChar>?,
    _ size: CInt,
    _ isWriting: CInt,
    _ context: UnsafeMutableRawPointer?
) -> CInt {
    guard let buffer = unsafe buffer, let context = unsafe context else { return -1 }
    let phrase = unsafe context.assumingMemoryBound(to: Passphrase.self)
    unsafe phrase.pointee.wasAsked = true
    guard let bytes = unsafe phrase.pointee.bytes, bytes.count <= Int(size) else { return -1 }
    unsafe UnsafeMutableRawBufferPointer(start: buffer, count: Int(size)).copyMemory(from: bytes)
    return CInt(bytes.count)
}
