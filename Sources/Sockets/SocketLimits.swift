// Every limit of a socket in one place: what a peer or a slow consumer may cost, and how long things
// may take. TLS has its own, `TLSLimits`.

/// What a connection may cost in time and memory.
public struct SocketLimits: Hashable, Sendable {
    /// Time for one address of a name before the next is tried; 10 s by default.
    public var connectAttempt: Duration = .seconds(10)
    /// Time for the TLS handshake; 10 s by default.
    public var handshake: Duration = .seconds(10)
    /// Time for which a closed connection waits for the peer to have received all; 5 s by default.
    public var shutdown: Duration = .seconds(5)
    /// Bytes that a closed connection reads and throws away while it waits; 1 MiB by default.
    public var lingerBytes = 1 << 20
    /// Calls of `read` and `write` each that may wait at once; 1,024 by default.
    public var waitingCalls = 1024
    /// Unsent ciphertext of this side's answers (alerts, key updates) that may pile up while the peer
    /// does not read; 256 KiB by default.
    public var pendingAnswers = 256 << 10

    /// Makes the default limits.
    public init() {}
}
