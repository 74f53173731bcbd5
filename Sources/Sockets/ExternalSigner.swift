// Keys outside the process: the closure that signs. It runs like every decision, as a task of its own
// under the handshake's deadline, while the loop serves others.

/// Signs for a private key that is elsewhere; what it throws ends the handshake.
///
/// Gets what is to be signed and how; gives the signature in the form TLS has it, ECDSA in DER. It is
/// verified before it is used.
public typealias SignatureCallback =
    @Sendable (
        _ request: SignatureRequest
    ) async throws -> [UInt8]

extension TLSIdentity {
    /// Makes an identity whose private key is elsewhere: in a hardware module, another process, another
    /// machine.
    ///
    /// ```swift
    /// let identity = try TLSIdentity(chain: chain) { request in
    ///     try await vault.sign(request.digest ?? request.message, by: request.scheme.description)
    /// }
    /// ```
    ///
    /// The handshake waits for the closure, and no loop does. It has until ``SocketLimits/handshake`` or
    /// ``SocketInit/connectionTimeout`` is over, and is cancelled when the connection ends before. One
    /// that throws, or gives what is not the signature, ends the handshake:
    /// ``SocketError/Code/signingFailed`` here, the alert internal_error for the peer.
    ///
    /// - Parameters:
    ///   - chain: The leaf and its intermediates, leaf first.
    ///   - signer: Signs; called once a full handshake, by many handshakes at once.
    /// - Throws: ``SocketError`` `.invalidTLSConfiguration`.
    public init(
        chain: [Certificate],
        signer: @escaping SignatureCallback
    ) throws(SocketError) {
        do throws(TLSError) {
            try self.init(externalKeyFor: chain, companion: TLSCallback(signer))
        } catch {
            throw .configuration(error)
        }
    }
}

extension SignatureRequest {
    /// The closure that was given with the identity; nil for an identity without one.
    var signer: TLSCallback<SignatureCallback>? { companion as? TLSCallback<SignatureCallback> }
}
