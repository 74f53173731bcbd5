// By what the sides of a handshake proved who they are.

/// By what the sides of a handshake proved who they are.
@nonexhaustive
public enum HandshakeAuthentication: Hashable, Sendable {
    /// The server by its certificate; the client by one, if it showed one.
    case certificate
    /// Both by a preshared key.
    case presharedKey(PresharedKeyIdentity)
    /// Both by a session of an earlier handshake: of one with this preshared key, or, when nil, of one
    /// by certificate.
    case resumption(presharedKey: PresharedKeyIdentity?)

    /// The preshared key of this handshake, or of the one whose session was resumed; nil without.
    public var presharedKey: PresharedKeyIdentity? {
        switch self {
        case .certificate: nil
        case .presharedKey(let identity): identity
        case .resumption(let identity): identity
        }
    }
}

extension HandshakeAuthentication: CustomStringConvertible {
    /// For example `preshared key "meter 4711"`.
    public var description: String {
        switch self {
        case .certificate: "certificate"
        case .presharedKey(let identity): "preshared key \"\(identity)\""
        case .resumption(nil): "session of a certificate"
        case .resumption(let identity?): "session of preshared key \"\(identity)\""
        }
    }
}
