// Why a connection ended. The end of a stream is typed: a clean end, a cut, a reset, an abort and a
// deadline are different things, and "end of file" for all of them hides attacks.

/// Why a socket is closed.
public enum CloseReason: Hashable, Sendable {
    /// Both sides ended in good order, or this side closed with a reason given to `close(_:)`.
    case clean(String?)
    /// The peer ended the stream without saying so (RFC 8446 §6.1): data may be missing.
    case truncated
    /// The peer reset the connection.
    case reset
    /// This side broke it off: a signal, a cancelled task, `abort()`, or the socket was dropped.
    case aborted(String?)
    /// A deadline passed; the error says which.
    case timedOut(SocketError)
    /// It failed in another way.
    case failed(SocketError)

    /// The error that ended the connection; nil for a clean end.
    public var error: SocketError? {
        switch self {
        case .clean: nil
        case .truncated: SocketError(.truncated)
        case .reset: SocketError(.peerReset)
        case .aborted(let reason): SocketError(.aborted, detail: reason)
        case .timedOut(let error), .failed(let error): error
        }
    }

    /// The reason that belongs to an error.
    init(_ error: SocketError) {
        self =
            switch error.code {
            case .truncated: .truncated
            case .peerReset where error.tls == nil: .reset
            case .aborted: .aborted(error.detail)
            case .connectTimedOut, .handshakeTimedOut, .responseTimedOut, .idleTimedOut:
                .timedOut(error)
            default: .failed(error)
            }
    }
}

extension CloseReason: CustomStringConvertible {
    /// The reason in words.
    public var description: String {
        switch self {
        case .clean(let reason): reason.map { "closed: \($0)" } ?? "closed"
        case .truncated: "truncated"
        case .reset: "reset by the peer"
        case .aborted(let reason): reason.map { "aborted: \($0)" } ?? "aborted"
        case .timedOut(let error), .failed(let error): error.description
        }
    }
}
