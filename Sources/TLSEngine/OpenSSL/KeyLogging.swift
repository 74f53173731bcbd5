// The key log at OpenSSL: one callback a context, set only where there is a log.

import COpenSSL

extension SSLContextBuilder {
    /// Has the secrets of connections logged, if the policy has a log.
    ///
    /// OpenSSL keeps an unretained pointer to the log, which lives with the policy of the context.
    func setKeyLog() {
        guard let sink = policy.keyLog?.sink else { return }
        let context = unsafe handle.pointer
        let pointer = unsafe Unmanaged.passUnretained(sink).toOpaque()
        unsafe SSL_CTX_set_ex_data(context, keyLogIndex, pointer)
        unsafe SSL_CTX_set_keylog_callback(context, logKey)
    }
}

/// The slot of a context's log.
private let keyLogIndex = cssl_ctx_ex_index()

/// `SSL_CTX_set_keylog_callback`: a secret was derived.
@c(sockets_log_key)
private func logKey(_ ssl: OpaquePointer?, _ line: UnsafePointer<CChar>?) {
    guard let ssl = unsafe ssl, let line = unsafe line,
        let sink = unsafe SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), keyLogIndex)
    else { return }
    let text = unsafe String(cString: line)
    unsafe Unmanaged<TLSKeyLog.Sink>.fromOpaque(sink)._withUnsafeGuaranteedRef { $0.write(text) }
}
