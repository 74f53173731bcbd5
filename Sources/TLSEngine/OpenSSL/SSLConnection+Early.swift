// Early data at OpenSSL: a server's context that takes each session's once, and the two calls that move
// it.

import COpenSSL
import CTLSTransport

extension SSLContextBuilder {
    /// Has a server take early data, if the policy says so.
    ///
    /// OpenSSL's anti-replay is on by default. With it tickets name sessions in the context's own cache,
    /// and early data is taken only by the ClientHello that takes its session out.
    func setEarlyData(hosts: TLSHosts?, sharesSessions: Bool) throws(TLSError) {
        guard role == .server, policy.acceptsEarlyData else { return }
        if let reason = earlyDataObstacle(hosts, sharesSessions) {
            throw TLSError(
                .invalidPolicy,
                detail: "early data is accepted, and \(reason)",
                hint: "Take early data on a listener of its own"
            )
        }
        let context = unsafe handle.pointer
        let limits = policy.limits
        let most = UInt32(limits.earlyDataBytes)
        guard unsafe SSL_CTX_set_max_early_data(context, most) == 1,
            unsafe SSL_CTX_set_recv_max_early_data(context, most) == 1
        else { throw ErrorQueue.error(.internalError) }
        unsafe cssl_ctx_set_session_cache_mode(context, Int(SSL_SESS_CACHE_SERVER))
        // OpenSSL makes room once the new one is in: of n it keeps n - 1 (ssl_sess.c, SSL_CTX_add_session).
        unsafe cssl_ctx_set_session_cache_size(context, limits.earlyDataSessions + 1)
    }

    private func earlyDataObstacle(_ hosts: TLSHosts?, _ sharesSessions: Bool) -> String? {
        // Another process would take the same again (RFC 8446 §8.1).
        if sharesSessions { return "sessions are shared" }
        if hosts != nil { return "there are virtual hosts" }
        if policy.judgesClients { return "clients are asked for a certificate" }
        if !policy.decisions.isEmpty { return "a decision of the handshake may take time" }
        if policy.ticketCount == 0 { return "there are no tickets" }
        if policy.maximumVersion < .tls13 { return "TLS 1.3 is not" }
        return nil
    }
}

extension SSLConnection {
    /// Whether the server took the early data.
    var isEarlyDataAccepted: Bool {
        unsafe SSL_get_early_data_status(ssl) == SSL_EARLY_DATA_ACCEPTED
    }

    /// Sends the ClientHello and early data behind it; called again while it wants room.
    mutating func writeEarlyData(_ early: EarlyExchange) -> StepOutcome {
        ErrorQueue.clear()
        prepare()
        var put = 0
        let bytes = early.bytes
        return unsafe SSL_write_early_data(ssl, bytes, bytes.count, &put) == 1 ? .done : outcome()
    }

    /// Takes in the ClientHello, answers it, and takes early data up to its end; at once where there is
    /// none.
    mutating func readEarlyData(_ early: EarlyExchange) -> StepOutcome {
        ErrorQueue.clear()
        prepare()
        var buffer = [UInt8](repeating: 0, count: TLSEngine.recordPlaintextMax)
        while true {
            var got = 0
            switch unsafe SSL_read_early_data(ssl, &buffer, buffer.count, &got) {
            case SSL_READ_EARLY_DATA_SUCCESS:
                // OpenSSL holds it to the limit.
                early.bytes += buffer[..<got]
                early.count += got
            case SSL_READ_EARLY_DATA_FINISH: return .done
            default: return outcome()
            }
        }
    }
}

extension SSLConnection {
    /// Sends a record before the client has finished its handshake.
    mutating func answerEarlyData(_ bytes: Span<UInt8>) -> StepOutcome {
        ErrorQueue.clear()
        prepare()
        return unsafe bytes.withUnsafeBufferPointer { bytes in
            var put = 0
            let result = unsafe SSL_write_early_data(ssl, bytes.baseAddress, bytes.count, &put)
            return result == 1 ? .done : outcome()
        }
    }
}

extension SSLSessionHandle {
    /// The most bytes of early data that the session allows; 0 for none.
    var earlyDataMax: Int { Int(unsafe SSL_SESSION_get_max_early_data(pointer)) }

    /// The application protocol that was chosen with it.
    var applicationProtocol: String? {
        var start: UnsafePointer<UInt8>?
        var count = 0
        unsafe SSL_SESSION_get0_alpn_selected(pointer, &start, &count)
        guard let start = unsafe start, count > 0 else { return nil }
        let bytes = unsafe UnsafeBufferPointer(start: start, count: count)
        return unsafe String(decoding: bytes, as: UTF8.self)
    }
}
