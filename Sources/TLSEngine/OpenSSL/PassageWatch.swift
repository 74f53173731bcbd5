// From the BIO's notes on what passes to the engine's owner.

import COpenSSL
import CTLSTransport

/// Who is told what passes through a connection; belongs to its engine.
@safe
final class PassageWatch {
    private let role: TLSRole
    private let notice: @Sendable (TLSPassage) -> Void
    // Safe: the connection is of the engine that holds this, and calls only while it lives.
    fileprivate var ssl: OpaquePointer?

    init(role: TLSRole, notice: @escaping @Sendable (TLSPassage) -> Void) {
        self.role = role
        self.notice = notice
    }

    fileprivate func take(_ what: ctls_passage, _ note: CInt) {
        guard let ssl = unsafe ssl, let transport = unsafe ctls_transport_of(ssl) else { return }
        let notes = unsafe transport.pointee
        switch what {
        case CTLS_ALERT_SENT:
            guard let alert = Alert(note: note) else { return }
            notice(.alertSent(alert, phase: unsafe phase(of: alert, ssl, notes)))
        case CTLS_ALERT_RECEIVED:
            guard let alert = Alert(note: note) else { return }
            let phase = unsafe phase(of: alert, ssl, notes)
            // A TLS 1.3 client is done before the server has judged its certificate.
            let judges = alert.judgesCertificate || alert == .certificateRequired
            let isVerdict = role == .client && phase == .open && judges
            notice(.alertReceived(alert, phase: isVerdict ? .clientAuthentication : phase))
        case CTLS_TICKET_SENT: notice(.ticketSent)
        case CTLS_TICKET_RECEIVED:
            guard let session = unsafe SSL_get_session(ssl) else { return }
            notice(.ticketReceived(unsafe TicketFacts(session)))
        case CTLS_KEY_UPDATE_SENT: notice(.keyUpdateSent)
        case CTLS_KEY_UPDATE_RECEIVED: notice(.keyUpdateReceived)
        default: break
        }
    }

    private func phase(
        of alert: Alert,
        _ ssl: OpaquePointer,
        _ notes: ctls_transport
    ) -> HandshakePhase {
        guard unsafe notes.handshake_done == 1 else {
            let phase = unsafe SSLConnection.handshakePhase(of: ssl, notes, role: role)
            // OpenSSL is through, and the owner of a server is not: it judges the client.
            return phase == .open ? .clientAuthentication : phase
        }
        return alert.code == Alert.closeNotify.code ? .closing : .open
    }
}

extension SSLConnection {
    /// Has a watch told what passes.
    ///
    /// - Parameter watch: Must outlive the connection.
    mutating func tell(_ watch: PassageWatch) {
        unsafe watch.ssl = unsafe ssl
        let transport = unsafe ctls_transport_of(ssl)
        unsafe transport?.pointee.passed_owner = Unmanaged.passUnretained(watch).toOpaque()
        unsafe transport?.pointee.passed = tellPassage
    }
}

extension TicketFacts {
    fileprivate init(_ session: OpaquePointer) {
        var ticket: UnsafePointer<UInt8>?
        var size = 0
        unsafe SSL_SESSION_get0_ticket(session, &ticket, &size)
        self.init(
            size: size,
            lifetime: Int(unsafe SSL_SESSION_get_ticket_lifetime_hint(session)),
            earlyData: Int(unsafe SSL_SESSION_get_max_early_data(session))
        )
    }
}

/// The transport's `passed`.
@c(sockets_tell_passage)
private func tellPassage(_ owner: UnsafeMutableRawPointer?, _ what: ctls_passage, _ alert: CInt) {
    guard let owner = unsafe owner else { return }
    unsafe Unmanaged<PassageWatch>.fromOpaque(owner)._withUnsafeGuaranteedRef {
        $0.take(what, alert)
    }
}
