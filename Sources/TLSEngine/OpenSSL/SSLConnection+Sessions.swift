// A client's sessions: offering one, and taking those that the server gives.

import COpenSSL
import CTLSTransport

extension SSLConnection {
    /// The session that this connection could be resumed by, as of now; nil while there is none.
    var resumableSession: SSLSessionHandle? {
        guard let session = unsafe SSL_get_session(ssl),
            unsafe SSL_SESSION_is_resumable(session) == 1
        else { return nil }
        return unsafe SSLSessionHandle(sharing: session)
    }

    /// Has the handshake offer a session, or none.
    mutating func offer(_ session: SSLSessionHandle?) -> Bool {
        ErrorQueue.clear()
        return unsafe SSL_set_session(ssl, session?.pointer) == 1
    }

    /// Whether who made the session that is offered trusted its peer.
    var offersTrustedPeer: Bool { unsafe SSL_get_verify_result(ssl) == X509_V_OK }

    /// Whether this connection offers the suite of a session: a server that resumes it chooses no other.
    func offersSuite(of session: SSLSessionHandle) -> Bool {
        guard let suite = unsafe SSL_SESSION_get0_cipher(session.pointer),
            let stack = unsafe SSL_get_ciphers(ssl)
        else { return false }
        return unsafe (0..<max(0, cssl_cipher_stack_count(stack))).contains { place in
            unsafe cssl_cipher_stack_value(stack, place).map {
                unsafe SSL_CIPHER_get_id($0) == SSL_CIPHER_get_id(suite)
            } ?? false
        }
    }

    /// Has every session that the server gives put into an inbox.
    ///
    /// - Parameter inbox: Must outlive the connection.
    mutating func deliverSessions(to inbox: SessionInbox) {
        let transport = unsafe ctls_transport_of(ssl)
        unsafe transport?.pointee.session_owner = Unmanaged.passUnretained(inbox).toOpaque()
        unsafe transport?.pointee.session_came = takeSession
    }
}

/// Sessions that came and were not taken; used by the engine's owner only.
final class SessionInbox {
    /// The most that wait; the oldest go.
    static let limit = 16

    private var sessions: [SSLSessionHandle] = []
    private let notice: (@Sendable () -> Void)?

    init(notice: (@Sendable () -> Void)?) {
        self.notice = notice
    }

    func append(_ session: SSLSessionHandle) {
        if sessions.count == SessionInbox.limit { sessions.removeFirst() }
        sessions.append(session)
        notice?()
    }

    func takeAll() -> [SSLSessionHandle] {
        defer { sessions = [] }
        return sessions
    }
}

/// The transport's `session_came`: a server gave a session.
@c(sockets_take_session)
private func takeSession(_ inbox: UnsafeMutableRawPointer?, _ session: OpaquePointer?) {
    guard let inbox = unsafe inbox, let session = unsafe session else { return }
    unsafe Unmanaged<SessionInbox>.fromOpaque(inbox)._withUnsafeGuaranteedRef {
        $0.append(unsafe SSLSessionHandle(sharing: session))
    }
}
