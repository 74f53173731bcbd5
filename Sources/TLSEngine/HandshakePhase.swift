// Where a connection stood when something happened. OpenSSL gives one text for five different
// faults ("unexpected eof while reading"); the phase tells them apart.

/// How far a connection had come, in the order it passes them.
public enum HandshakePhase: String, CaseIterable, Hashable, Sendable {
    /// Looking up the remote's name.
    case resolving
    /// Opening the transport's connection.
    case connecting
    /// A server waits for the ClientHello.
    case clientHello
    /// A client waits for the ServerHello.
    case serverHello
    /// The peer's certificate is received and judged.
    case certificate
    /// Key shares and signatures are exchanged.
    case keyExchange
    /// The Finished messages are exchanged.
    case finished
    /// The handshake is done for a TLS 1.3 client, and the server judges its certificate.
    case clientAuthentication
    /// Application data flows.
    case open
    /// One side or both have said that they send no more.
    case closing
}

extension HandshakePhase: CustomStringConvertible {
    /// The phase in words, for example `key exchange`.
    public var description: String {
        switch self {
        case .resolving: "name resolution"
        case .connecting: "connecting"
        case .clientHello: "waiting for the ClientHello"
        case .serverHello: "waiting for the ServerHello"
        case .certificate: "certificate"
        case .keyExchange: "key exchange"
        case .finished: "finishing the handshake"
        case .clientAuthentication: "client authentication"
        case .open: "open"
        case .closing: "closing"
        }
    }
}
