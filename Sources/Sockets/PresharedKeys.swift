// Preshared keys of sockets and listeners: the closures that give them.

/// Gives a client its preshared key (seed `PresharedKeyCallback`); nil has none.
///
/// With TLS 1.3 allowed it is asked before anything is sent, without a hint: no server of TLS 1.3 has
/// one. In TLS 1.2 it is asked when the server wants a key, with the server's hint if there is one, and
/// not a second time if it has given a key for TLS 1.2 before and there is no hint.
///
/// ```swift
/// $0.presharedKey = { hint in
///     try await PresharedKeyInfo(key: vault.secret(), identity: "meter 4711")
/// }
/// ```
///
/// A key that was given is insisted on (``TLSSocketInit/presharedKeyDemand``).
public typealias PresharedKeyCallback =
    @Sendable (
        _ hint: String?
    ) async throws -> PresharedKeyInfo?

/// Gives a listener the preshared key of an identity; nil knows none.
///
/// Asked about what the client names, in both versions. The key's own
/// ``PresharedKeyInfo/identity`` is the one asked for.
public typealias PresharedKeyLookupCallback =
    @Sendable (
        _ identity: PresharedKeyIdentity
    ) async throws -> PresharedKeyInfo?

extension TLSSocketInit {
    /// Gives the preshared key; nil has none (seed `presharedKey`).
    ///
    /// It has until ``SocketLimits/handshake`` or ``SocketInit/connectionTimeout`` is over. What it
    /// throws ends the connection. See <doc:PresharedKeys>.
    public var presharedKey: PresharedKeyCallback? {
        get { callbacks.presharedKey?.function }
        set { callbacks.presharedKey = newValue.map(TLSCallback.init) }
    }
}

extension TLSSocketListenerInit {
    /// Gives the preshared key of a client's identity; nil has none.
    ///
    /// A listener with it needs no certificate; with one, clients come in by either. A key proves the
    /// client too: it is asked for no certificate then, whatever ``clientAuthentication`` says. See
    /// <doc:PresharedKeys>.
    public var presharedKey: PresharedKeyLookupCallback? {
        get { callbacks.presharedKey?.function }
        set { callbacks.presharedKey = newValue.map(TLSCallback.init) }
    }
}

extension TLSCallback<PresharedKeyCallback> {
    /// Answers an engine's question.
    func answer(_ request: PresharedKeyRequest) async throws -> TLSAnswer {
        switch request {
        case .begin: .presharedKey(try await function(nil))
        case .hint(let hint): .presharedKey(try await function(hint))
        case .identity: .presharedKey(nil)
        }
    }
}

extension TLSCallback<PresharedKeyLookupCallback> {
    /// Answers an engine's question.
    func answer(_ request: PresharedKeyRequest) async throws -> TLSAnswer {
        guard case .identity(let identity, _) = request else { return .presharedKey(nil) }
        return .presharedKey(try await function(identity))
    }
}
