// A key ring at OpenSSL: which key seals a ticket, and which one opens it. Tickets have the form of
// RFC 5077 §4: name of the key, initialisation vector, AES-256-CBC, HMAC with SHA-256 over all of it.

import COpenSSL

extension SSLContextBuilder {
    /// The slot of a context's key ring.
    private static let ringIndex = cssl_ctx_ex_index()

    /// Has tickets sealed and opened by a ring.
    func setTicketKeys(_ ring: TicketKeyRing) throws(TLSError) {
        try ring.serve(sessionsOf: policy.sessionTimeout)
        let context = unsafe handle.pointer
        let pointer = unsafe Unmanaged.passUnretained(ring).toOpaque()
        guard unsafe SSL_CTX_set_ex_data(context, SSLContextBuilder.ringIndex, pointer) == 1,
            unsafe SSL_CTX_set_tlsext_ticket_key_evp_cb(context, useTicketKey) == 1
        else { throw ErrorQueue.error(.internalError) }
        // Called behind every ClientHello, with a name or without.
        unsafe cssl_ctx_set_tlsext_servername_callback(context, withholdTickets)
    }

    /// The ring of a connection's context; nil without one.
    fileprivate static func ring(of ssl: OpaquePointer?) -> TicketKeyRing? {
        guard let ssl = unsafe ssl, let context = unsafe SSL_get_SSL_CTX(ssl),
            let pointer = unsafe SSL_CTX_get_ex_data(context, ringIndex)
        else { return nil }
        // The `TLSContext` keeps it, as long as there are connections.
        return unsafe Unmanaged<TicketKeyRing>.fromOpaque(pointer).takeUnretainedValue()
    }
}

/// `SSL_CTX_set_tlsext_servername_callback` of a server with a key ring.
///
/// Has a connection give no tickets in TLS 1.3 that nothing could seal. In TLS 1.2 an empty one says so
/// (RFC 5077 §3.3).
@c(sockets_withhold_tickets)
private func withholdTickets(
    _ ssl: OpaquePointer?,
    _ alert: UnsafeMutablePointer<CInt>?,
    _ context: UnsafeMutableRawPointer?
) -> CInt {
    if let ssl = unsafe ssl, unsafe SSLContextBuilder.ring(of: ssl)?.canSeal == false {
        _ = unsafe cssl_set_num_tickets(ssl, 0)
    }
    return unsafe acknowledgeServername(ssl, alert, context)
}

/// What `SSL_CTX_set_tlsext_ticket_key_evp_cb` may answer.
private enum KeyUse {
    static let failed: CInt = -1
    /// No ticket, or one that is not ours: the handshake is a full one.
    static let none: CInt = 0
    static let use: CInt = 1
    /// The ticket counts, and another one is given in its place.
    static let renew: CInt = 2
}

/// `SSL_CTX_set_tlsext_ticket_key_evp_cb`: a ticket is about to be sealed, or opened.
@c(sockets_use_ticket_key)
private func useTicketKey(
    _ ssl: OpaquePointer?,
    _ name: UnsafeMutablePointer<UInt8>?,
    _ vector: UnsafeMutablePointer<UInt8>?,
    _ cipher: OpaquePointer?,
    _ mac: OpaquePointer?,
    _ isSealing: CInt
) -> CInt {
    guard let ring = unsafe SSLContextBuilder.ring(of: ssl), let name = unsafe name,
        let vector = unsafe vector
    else { return KeyUse.failed }
    let sealing = ring.sealingKey()
    guard isSealing == 0 else {
        // TLS 1.3 has no empty ticket. Where the last key has gone since the ClientHello, a ticket is
        // given that nobody can open.
        let isEmptyAllowed = unsafe SSL_version(ssl) != TLS1_3_VERSION
        guard let key = sealing ?? (isEmptyAllowed ? nil : try? TicketKey.throwaway()) else {
            return isEmptyAllowed ? KeyUse.none : KeyUse.failed
        }
        // OpenSSL has room for both: 16 bytes of name, and 16 of vector.
        for (place, byte) in key.nameBytes.enumerated() { unsafe name[place] = byte }
        let count = EVP_MAX_IV_LENGTH
        guard unsafe RAND_bytes(vector, count) == 1,
            unsafe EVP_EncryptInit_ex(
                cipher,
                EVP_aes_256_cbc(),
                nil,
                key.encryption.pointer,
                vector
            ) == 1,
            unsafe setAuthentication(mac, key)
        else { return KeyUse.failed }
        return KeyUse.use
    }
    let nameBytes = unsafe UnsafeBufferPointer(start: name, count: TicketKeyName.byteCount)
    guard let wanted = unsafe TicketKeyName(nameBytes), let key = ring.openingKey(wanted) else {
        return KeyUse.none
    }
    guard
        unsafe EVP_DecryptInit_ex(
            cipher,
            EVP_aes_256_cbc(),
            nil,
            key.encryption.pointer,
            vector
        ) == 1,
        unsafe setAuthentication(mac, key)
    else { return KeyUse.failed }
    // A ticket of TLS 1.3 is of a single use, so another one is given in any case (RFC 8446 §C.4).
    let isSingleUse = unsafe SSL_version(ssl) == TLS1_3_VERSION
    return sealing == nil || (sealing === key && !isSingleUse) ? KeyUse.use : KeyUse.renew
}

private func setAuthentication(_ mac: OpaquePointer?, _ key: TicketKey) -> Bool {
    unsafe key.authentication.withPointer { start, count in
        unsafe cssl_mac_set_sha256_key(mac, start, count) == 1
    }
}

extension TicketKey {
    /// A key that nobody else has, and that is forgotten at once.
    fileprivate static func throwaway() throws(TLSError) -> TicketKey {
        try TicketKey(SecretBytes.random(count: 32), epoch: 0)
    }
}
