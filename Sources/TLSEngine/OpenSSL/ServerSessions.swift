// A server's sessions. A ticket vouches for the client's certificate, so a server that asks for one looks
// at the chain again before it lets the ticket count: OpenSSL would take a certificate that has expired
// since. The chain travels in the ticket, encrypted as all of it is: OpenSSL keeps the leaf alone.

import COpenSSL

extension SSLContextBuilder {
    /// Sets for how long sessions are resumed.
    func setSessionTimeout() throws(TLSError) {
        guard let timeout = policy.sessionTimeout else { return }
        let seconds = timeout.components.seconds
        guard (1...TLSPolicy.sessionTimeoutMax).contains(seconds) else {
            throw TLSError(
                .invalidPolicy,
                detail: "sessionTimeout is \(timeout), not 1 s to 7 days (RFC 8446 §4.6.1)"
            )
        }
        _ = unsafe SSL_CTX_set_timeout(handle.pointer, Int(seconds))
    }

    /// Has tickets carry the client's chain, where there can be one.
    func setTicketCallbacks() {
        guard policy.clientAuthentication != .none else { return }
        _ = unsafe SSL_CTX_set_session_ticket_cb(
            handle.pointer,
            fillTicket,
            openTicket,
            nil
        )
    }
}

extension TLSContext {
    /// Has a server open the tickets of another, and the other this one's; before it has connections.
    ///
    /// Virtual hosts of the same name share theirs too.
    package func shareTicketKeys(with other: TLSContext) throws(TLSError) {
        // Of two lengths: OpenSSL says how many bytes it wants.
        let count = Int(unsafe cssl_ctx_get_ticket_keys(other.handle.pointer, nil, 0))
        let keys = SecretBytes(count: max(0, count))
        guard
            unsafe cssl_ctx_get_ticket_keys(other.handle.pointer, keys.pointer, CInt(keys.count))
                == 1,
            unsafe cssl_ctx_set_ticket_keys(handle.pointer, keys.pointer, CInt(keys.count)) == 1
        else { throw ErrorQueue.error(.internalError) }
        for (host, earlier) in hosts?.pairs(with: other.hosts) ?? [] {
            try host.shareTicketKeys(with: earlier)
        }
    }
}

/// A ticket of more bytes is too much to ask a client to keep; it goes without the chain.
private let ticketDataMax = 16 << 10

/// `SSL_CTX_set_session_ticket_cb`: a ticket is about to be made.
@c(sockets_fill_ticket)
func fillTicket(_ ssl: OpaquePointer?, _ context: UnsafeMutableRawPointer?) -> CInt {
    // The session of a resumed connection has the data of the first.
    guard let ssl = unsafe ssl, unsafe SSL_session_reused(ssl) == 0,
        let session = unsafe SSL_get_session(ssl),
        let leaf = unsafe SSL_SESSION_get0_peer(session)
    else { return 1 }
    var sent = [Certificate(unsafe X509Handle(sharing: leaf))]
    for certificate in unsafe SSLConnection.certificates(SSL_get_peer_cert_chain(ssl))
    where certificate != sent.first {
        sent.append(certificate)
    }
    let record = unsafe SSL_get_ex_data(ssl, Callbacks.recordIndex)
    let failure = unsafe record.flatMap {
        unsafe Unmanaged<VerificationRecord>.fromOpaque($0)._withUnsafeGuaranteedRef { $0.failure }
    }
    var kept = KeptChain(
        authenticatedAt: .now,
        sent: sent,
        verified: failure == nil
            ? unsafe SSLConnection.certificates(SSL_get0_verified_chain(ssl)) : [],
        failure: failure
    )
    var data = kept.bytes
    if data.count > ticketDataMax {
        kept.sent = [sent[0]]
        kept.verified = []
        data = kept.bytes
    }
    return unsafe SSL_SESSION_set1_ticket_appdata(session, data, data.count)
}

/// `SSL_CTX_set_session_ticket_cb`: a ticket was opened, or could not be.
@c(sockets_open_ticket)
private func openTicket(
    _ ssl: OpaquePointer?,
    _ session: OpaquePointer?,
    _ name: UnsafePointer<UInt8>?,
    _ nameCount: Int,
    _ status: CInt,
    _ context: UnsafeMutableRawPointer?
) -> CInt {
    guard status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW else {
        // Empty, or of another key: a full handshake, and a new ticket.
        return SSL_TICKET_RETURN_IGNORE_RENEW
    }
    let use = status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW
    return unsafe session != nil && admitsSession(session, ssl)
        ? use : SSL_TICKET_RETURN_IGNORE_RENEW
}

/// Whether the client of a session would be let in by a full handshake now, as far as that can be seen.
func admitsSession(_ session: OpaquePointer?, _ ssl: OpaquePointer?) -> Bool {
    // A client that was not asked, or gave no certificate, has nothing that could be over.
    guard let session = unsafe session, let ssl = unsafe ssl,
        let leaf = unsafe SSL_SESSION_get0_peer(session)
    else { return true }
    guard let record = unsafe SSL_get_ex_data(ssl, Callbacks.recordIndex) else { return false }
    let kept = unsafe KeptChain(
        ticketOf: session,
        leaf: Certificate(X509Handle(sharing: leaf))
    )
    return unsafe Unmanaged<VerificationRecord>.fromOpaque(record)
        ._withUnsafeGuaranteedRef { record in
            record.kept = kept
            let end = record.sessionTimeout.map(kept.authenticatedAt.adding)
            guard end.map({ $0 > .now }) ?? true else { return false }
            return kept.obstacle(record.trust, name: nil) == nil
        }
}

extension KeptChain {
    fileprivate var bytes: [UInt8] {
        var writer = FactsWriter()
        write(to: &writer)
        return writer.bytes
    }

    /// Reads the chain in a ticket; of a ticket without one, the leaf stands alone.
    fileprivate init(ticketOf session: OpaquePointer, leaf: Certificate) {
        var data: UnsafeMutableRawPointer?
        var count = 0
        if unsafe SSL_SESSION_get0_ticket_appdata(session, &data, &count) == 1,
            let data = unsafe data, count > 0
        {
            var reader = FactsReader(
                unsafe Array(UnsafeRawBufferPointer(start: data, count: count))
            )
            if let kept = KeptChain(from: &reader, leaf: leaf) {
                self = kept
                return
            }
        }
        self.init(
            authenticatedAt: UnixTime(seconds: Int64(unsafe SSL_SESSION_get_time(session))),
            sent: [leaf],
            verified: []
        )
    }
}
