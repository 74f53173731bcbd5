// New keys on a connection that is open (RFC 8446 §4.6.3): by call, and before a key has sealed more
// records than its cipher is good for (RFC 8446 §5.5). The records are counted in C, where OpenSSL tells
// of each; here is looked at the count once a step.

/// How often each side of a connection has taken a new key (RFC 8446 §4.6.3).
public struct KeyUpdateFacts: Hashable, Sendable {
    /// KeyUpdates this side sent, answers included.
    public var sent: Int
    /// KeyUpdates the peer sent.
    public var received: Int

    /// Makes a count.
    public init(sent: Int = 0, received: Int = 0) {
        self.sent = sent
        self.received = received
    }
}

extension TLSEngine {
    /// Takes a new key for what this side sends, and has the peer do the same if asked to.
    ///
    /// Happens by itself when a key has sealed ``TLSLimits/recordsPerKey`` records. A peer that was asked
    /// answers when it likes; its answer does not count against ``TLSLimits/postHandshakeMessages``.
    ///
    /// - Parameters:
    ///   - requestPeer: Whether the peer is to take a new key too.
    ///   - output: Receives the KeyUpdate; 64 bytes of room are enough.
    /// - Returns: `.write` when there was no room for it.
    /// - Throws: ``TLSError`` `.featureUnavailable` in TLS 1.2, `.handshakeIncomplete` before the
    ///   handshake is done, `.engineClosed` after ``close(producing:)``; these leave the engine as it is.
    /// - Note: OpenSSL `SSL_key_update`.
    public mutating func updateKeys(
        requestPeer: Bool = false,
        producing output: inout OutputSpan<UInt8>
    ) throws(TLSError) -> Progress {
        if let problem = keyUpdateProblem { throw problem }
        guard output.freeCapacity >= TLSEngine.keyUpdateRoom else {
            return Progress(consumed: 0, wants: .write)
        }
        try sayKeyUpdate(isAsking: requestPeer, &output)
        return Progress(consumed: 0, wants: .nothing)
    }

    /// Why there can be no new key now; nil when there can.
    package var keyUpdateProblem: TLSError? {
        guard state.canSend else { return stepFailure }
        guard connection.version == .tls13 else {
            return TLSError(
                .featureUnavailable,
                phase: phase,
                detail: "TLS 1.2 takes new keys only by renegotiation, which is off"
            )
        }
        return nil
    }

    /// The room that a KeyUpdate needs at most.
    private static let keyUpdateRoom = 64

    private mutating func sayKeyUpdate(
        isAsking: Bool,
        _ output: inout OutputSpan<UInt8>
    ) throws(TLSError) {
        guard connection.scheduleKeyUpdate(isAsking: isAsking) else {
            throw TLSError(.internalError, phase: phase)
        }
        if isAsking { expectKeyUpdate() }
        let (outcome, _) = withWindows(Span(), &output) { $0.handshake() }
        guard outcome == .done else { throw fail() }
    }

    /// The key of this side has sealed enough: the next record goes under a new one.
    @inline(never)
    mutating func renewKey() {
        _ = connection.scheduleKeyUpdate(isAsking: false)
    }

    /// The key of the peer has: asks it for a new one.
    @inline(never)
    mutating func askForNewKey(_ output: inout OutputSpan<UInt8>) {
        guard state.canSend, output.freeCapacity >= TLSEngine.keyUpdateRoom else { return }
        connection.forgiveRecords()
        try? sayKeyUpdate(isAsking: true, &output)
    }
}
