// What a TLS socket gives to the protocol on top of it, and what that may have it do: keying material,
// channel bindings, new keys, a client's certificate behind the handshake.

import Synchronization

extension Socket {
    /// Derives keying material for a protocol on top of TLS (RFC 5705, RFC 8446 §7.5).
    ///
    /// Both sides get the same for the same label, context and count, and nobody else does.
    ///
    /// ```swift
    /// let key = try socket.exportKeyingMaterial(label: "EXPORTER-my-protocol", count: 32)
    /// ```
    ///
    /// - Parameters:
    ///   - label: What it is for, 1...249 bytes of UTF-8; registered ones begin with `EXPORTER`.
    ///   - context: What it is bound to, up to 65,535 bytes, in TLS 1.2 up to 958 with the label. There
    ///     nil gives other material than an empty context, in TLS 1.3 the same.
    ///   - count: Bytes of material, 1...8,160.
    /// - Returns: The material, in memory that is wiped.
    /// - Throws: ``SocketError`` `.invalidOption` for arguments out of their range; `.tlsUnavailable`
    ///   before the socket is ready, without TLS, and in TLS 1.2 without extended master secret, which
    ///   would let somebody in the middle have the same (RFC 7627 §5.4).
    public func exportKeyingMaterial(
        label: String,
        context: [UInt8]? = nil,
        count: Int
    ) throws(SocketError) -> SecretBytes {
        try askEngine { engine throws(TLSError) in
            try engine.exportKeyingMaterial(label: label, context: context, count: count)
        }
    }

    /// What ties an authentication above TLS, such as SCRAM's, to this connection.
    ///
    /// - Parameter kind: Which binding; ``ChannelBinding`` says where each exists.
    /// - Returns: The binding's data, the same on both sides.
    /// - Throws: ``SocketError`` `.tlsUnavailable`, with the reason, where the connection has no such
    ///   binding, and before the socket is ready.
    public func channelBinding(_ kind: ChannelBinding) throws(SocketError) -> [UInt8] {
        try askEngine { engine throws(TLSError) in try engine.channelBinding(kind) }
    }

    /// Takes a new key for what this side sends (RFC 8446 §4.6.3).
    ///
    /// Happens by itself when a key has sealed ``TLSLimits/recordsPerKey`` records. Returns when the
    /// kernel has taken the message, which goes between two writes.
    ///
    /// - Parameter requestPeer: Whether the peer is to take a new key too; it does so when it likes.
    /// - Throws: ``SocketError`` `.tlsUnavailable` in TLS 1.2 and without TLS, `.aborted` when the task
    ///   was cancelled before its turn, or the connection's failure.
    public func updateKeys(requestPeer: Bool = false) async throws(SocketError) {
        try await connection.updateKeys(requestPeer: requestPeer)
    }

    /// Asks the client of a listener for its certificate behind the handshake (RFC 8446 §4.6.2), and
    /// waits until it has answered.
    ///
    /// The certificate is verified by ``TLSSocketListenerInit/trust``, and shows in the result and in
    /// ``info``. Needs ``TLSSocketListenerInit/postHandshakeAuthentication``, TLS 1.3, and a client that
    /// offers it. The answer comes in the stream of what the client sends: data before it has to be read
    /// meanwhile, by another task. A client may take its time, and need not answer at all: the wait ends
    /// with the connection, or when the task is cancelled.
    ///
    /// - Parameter required: Whether a client that shows none is refused.
    /// - Returns: What is known about the connection now.
    /// - Throws: ``SocketError`` `.certificateRejected` for a certificate that is not trusted, and for
    ///   none where it is required: the client got the alert, and the connection is over. With
    ///   `.tlsUnavailable` the client cannot be asked, with `.aborted` the task was cancelled; the
    ///   connection goes on then.
    @discardableResult
    public func requestClientCertificate(
        required: Bool = true
    ) async throws(SocketError) -> SocketInfo {
        try await connection.requestClientCertificate(required: required)
        guard let info else { throw SocketError(.closed) }
        return info
    }

    /// Takes what the client of a listener sent as early data (RFC 8446 §2.3): the beginning of what it
    /// says, which `read` goes on with; empty for none, and the second time.
    ///
    /// Only a listener with ``TLSSocketListenerInit/acceptsEarlyData`` has any. It reached this listener
    /// once, but may have reached others, or reach them later: act on it only if that may be done twice.
    public func takeEarlyData() -> [UInt8] {
        connection.state.withLock { s in
            guard s.wasEstablished, let bytes = s.engine?.takeEarlyData() else { return [] }
            s.bytesReceived &+= UInt64(bytes.count)
            return bytes
        }
    }

    private func askEngine<Value: Sendable>(
        _ question: @Sendable (borrowing TLSEngine) throws(TLSError) -> Value
    ) throws(SocketError) -> Value {
        let result = connection.state.withLock { s -> Result<Value, SocketError> in
            guard s.isTLS else {
                return .failure(
                    SocketError(.tlsUnavailable, detail: "the socket does not speak TLS")
                )
            }
            do throws(TLSError) {
                if let value = try s.engine?.asked(question) { return .success(value) }
                return .failure(SocketError(.tlsUnavailable, detail: "the socket is not ready"))
            } catch {
                return .failure(.call(error))
            }
        }
        return try result.get()
    }
}

extension TLSEngine {
    /// Answers by way of a closure: an engine cannot be copied out of an optional.
    fileprivate borrowing func asked<Value>(
        _ question: (borrowing TLSEngine) throws(TLSError) -> Value
    ) throws(TLSError) -> Value {
        try question(self)
    }
}
