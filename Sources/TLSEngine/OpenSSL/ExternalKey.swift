// A private key that is elsewhere: in a hardware module, another process, or another machine. OpenSSL
// gets a key with the public part only, whose sign operation stops the handshake (`CExternalKey`).

import CExternalKey
import COpenSSL

/// Who a key that is elsewhere belongs to.
final class ExternalKey: Sendable {
    /// The leaf with the public key.
    let certificate: Certificate
    /// Something of the maker's that goes with it.
    let companion: (any Sendable)?

    init(_ certificate: Certificate, companion: (any Sendable)?) {
        self.certificate = certificate
        self.companion = companion
    }
}

extension TLSIdentity {
    /// Makes an identity whose private key is elsewhere.
    ///
    /// Its signatures are asked for by ``TLSQuestion/signature(_:)``, in both roles and versions; no
    /// part of the private key is ever in this process. A server does without the suites of TLS 1.2 that
    /// decrypt by the key instead of signing.
    ///
    /// - Parameter chain: The leaf and its intermediates, leaf first.
    /// - Throws: ``TLSError`` `.invalidCertificate` for an empty chain, or a key that is neither EC, RSA,
    ///   RSA-PSS, Ed25519 nor Ed448.
    public init(externalKeyFor chain: [Certificate]) throws(TLSError) {
        try self.init(externalKeyFor: chain, companion: nil)
    }

    /// The same with something that ``SignatureRequest/companion`` gives back.
    package init(
        externalKeyFor chain: [Certificate],
        companion: (any Sendable)?
    ) throws(TLSError) {
        guard let leaf = chain.first else {
            throw TLSError(.invalidCertificate, detail: "the chain is empty")
        }
        ErrorQueue.clear()
        let owner = ExternalKey(leaf, companion: companion)
        guard let publicKey = unsafe X509_get0_pubkey(leaf.handle.pointer) else {
            throw ErrorQueue.error(.invalidCertificate, leaf.shortName)
        }
        // Released by `releaseExternalKey`, also when no key is made.
        let retained = unsafe Unmanaged.passRetained(owner).toOpaque()
        guard let pointer = unsafe cek_key_new(publicKey, retained, releaseExternalKey) else {
            throw ErrorQueue.error(
                .invalidCertificate,
                "\(leaf.shortName) has a key of type \(leaf.publicKey.type)",
                hint: "A key that is elsewhere is EC, RSA, RSA-PSS, Ed25519 or Ed448"
            )
        }
        ErrorQueue.clear()
        certificateChain = chain
        key = unsafe PrivateKeyHandle(owning: pointer)
        external = owner
    }

    /// Whether the private key is elsewhere.
    public var hasExternalKey: Bool { external != nil }
}

/// The last reference to a key goes.
@c(sockets_release_external_key)
private func releaseExternalKey(_ owner: UnsafeMutableRawPointer?) {
    guard let owner = unsafe owner else { return }
    unsafe Unmanaged<ExternalKey>.fromOpaque(owner).release()
}

extension SSLConnection {
    /// What the handshake waits for; nil when it does not wait for a signature.
    func signatureRequest(role: TLSRole) -> SignatureRequest? {
        guard let wanted = unsafe wantedSignature, let owner = unsafe wanted.owner else {
            return nil
        }
        let key = unsafe Unmanaged<ExternalKey>.fromOpaque(owner).takeUnretainedValue()
        let bytes = unsafe UnsafeBufferPointer(start: wanted.message, count: wanted.count)
        return unsafe SignatureRequest(
            scheme: SignatureScheme(rawValue: wanted.scheme),
            message: Array(bytes),
            certificate: key.certificate,
            role: role,
            servername: servername,
            key: key
        )
    }
}

extension SSLContextBuilder {
    /// Leaves out what a server would decrypt by its key, where that is elsewhere and only signs.
    func excludeKeyTransport(_ identities: [TLSIdentity]) throws(TLSError) {
        let decrypts = identities.contains { $0.external == nil && $0.isOfRSA }
        let isMeant = identities.contains { $0.external != nil && $0.isOfRSA }
        guard role == .server, isMeant, !decrypts else { return }
        let stack = unsafe SSL_CTX_get_ciphers(handle.pointer)
        var names: [String] = []
        for place in 0..<max(0, unsafe cssl_cipher_stack_count(stack)) {
            guard let cipher = unsafe cssl_cipher_stack_value(stack, place) else { continue }
            let suite = unsafe CipherSuite(cipher)
            guard unsafe SSL_CIPHER_get_kx_nid(cipher) != NID_kx_any else { continue }
            guard unsafe ![NID_kx_rsa, NID_kx_rsa_psk].contains(SSL_CIPHER_get_kx_nid(cipher))
            else {
                guard policy.cipherAlgorithms == nil else {
                    throw TLSError(
                        .invalidCipherSuite,
                        detail: "\(suite.name) decrypts by the server's key, which is elsewhere",
                        hint: "Leave it out: a key that is elsewhere only signs"
                    )
                }
                continue
            }
            names.append(suite.name)
        }
        guard !names.isEmpty else { return }
        ErrorQueue.clear()
        let list = names.joined(separator: ":")
        guard unsafe SSL_CTX_set_cipher_list(handle.pointer, list) == 1 else {
            throw ErrorQueue.error(.internalError)
        }
    }
}

extension TLSIdentity {
    /// Whether its key could decrypt what a client of TLS 1.2 sends.
    fileprivate var isOfRSA: Bool { certificate.publicKey.type == "RSA" }
}

/// The most bytes of a stack of its own that a handshake has used in this process so far.
package var stackBytesUsedByHandshakes: Int { cek_stack_used() }
