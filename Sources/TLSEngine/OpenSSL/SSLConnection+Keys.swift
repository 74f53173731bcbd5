// The keys of a connection whose handshake is done: what is derived from them, and new ones.

import COpenSSL
import CTLSTransport

extension SSLConnection {
    /// Whether the master secret belongs to its handshake alone: always in TLS 1.3, with extended master
    /// secret in TLS 1.2 (RFC 7627).
    var hasBoundSecret: Bool {
        unsafe SSL_version(ssl) == TLS1_3_VERSION || cssl_get_extms_support(ssl) == 1
    }

    /// Derives keying material; nil when OpenSSL cannot.
    func exportKeyingMaterial(label: String, context: [UInt8]?, count: Int) -> SecretBytes? {
        ErrorQueue.clear()
        let material = SecretBytes(count: count)
        let result = unsafe material.withPointer { memory, count in
            unsafe SSL_export_keying_material(
                ssl,
                memory,
                count,
                label,
                label.utf8.count,
                context ?? [],
                context?.count ?? 0,
                context == nil ? 0 : 1
            )
        }
        return result == 1 ? material : nil
    }

    /// The verify_data of one side's Finished message.
    func finished(isOwn: Bool) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count =
            unsafe isOwn
            ? SSL_get_finished(ssl, &bytes, bytes.count)
            : SSL_get_peer_finished(ssl, &bytes, bytes.count)
        return Array(bytes.prefix(count))
    }

    // MARK: New keys

    /// Begins to count records, behind the handshake.
    ///
    /// - Parameter limit: Records under one key; TLS 1.2 has no new keys without a new handshake.
    mutating func beginCounting(limit: Int) {
        unsafe transport.pointee.records_in = 0
        unsafe transport.pointee.records_out = 0
        let isCounted = unsafe SSL_version(ssl) == TLS1_3_VERSION
        unsafe transport.pointee.records_max = isCounted ? UInt64(limit) : .max
    }

    /// Whether this side has sent as many records under its key as it should.
    @inline(__always)
    var isKeySpent: Bool {
        unsafe transport.pointee.records_out >= transport.pointee.records_max
    }

    /// Whether the peer has.
    @inline(__always)
    var isPeerKeySpent: Bool {
        unsafe transport.pointee.records_in >= transport.pointee.records_max
    }

    /// Waits for as many records again before the peer is asked anew.
    mutating func forgiveRecords() {
        unsafe transport.pointee.records_in = 0
    }

    /// Has the next record that is sent go under a new key, behind a KeyUpdate (RFC 8446 §4.6.3).
    ///
    /// - Returns: Whether it will.
    mutating func scheduleKeyUpdate(isAsking: Bool) -> Bool {
        ErrorQueue.clear()
        let kind = isAsking ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED
        let isScheduled = unsafe SSL_key_update(ssl, kind) == 1
        ErrorQueue.clear()
        return isScheduled
    }

    /// How often each side took a new key.
    var keyUpdates: KeyUpdateFacts {
        let notes = unsafe notes
        return unsafe KeyUpdateFacts(
            sent: Int(notes.key_updates_out),
            received: Int(notes.key_updates_in)
        )
    }
}

extension SSLConnection {
    /// Has the next step ask the client for its certificate.
    ///
    /// - Returns: Whether the client can be asked.
    mutating func scheduleCertificateRequest(required: Bool) -> Bool {
        ErrorQueue.clear()
        let mode = SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0)
        unsafe SSL_set_verify(ssl, mode, nil)
        return unsafe SSL_verify_client_post_handshake(ssl) == 1
    }

    /// The peer's Finished messages behind the handshake: each ends an answer of a client.
    var lateFinishedMessages: UInt32 { unsafe transport.pointee.late_finished_in }

    /// Whether a server asked for a certificate behind the handshake.
    var wasAskedLate: Bool { unsafe transport.pointee.late_requests_in > 0 }
}

extension Certificate {
    /// The hash of the whole, by the hash of its signature (RFC 5929 §4.1); nil where that has none, or
    /// several.
    var endPointDigest: [UInt8]? {
        var number: CInt = 0
        guard unsafe X509_get_signature_info(handle.pointer, &number, nil, nil, nil) == 1,
            number != NID_undef
        else {
            ErrorQueue.clear()
            return nil
        }
        let isWeak = number == NID_md5 || number == NID_sha1 || number == NID_md5_sha1
        let name = isWeak ? SN_sha256 : unsafe String(cString: OBJ_nid2sn(number))
        guard let method = unsafe EVP_get_digestbyname(name) else { return nil }
        let bytes = der
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: CUnsignedInt = 0
        guard unsafe EVP_Digest(bytes, bytes.count, &digest, &count, method, nil) == 1 else {
            ErrorQueue.clear()
            return nil
        }
        return Array(digest.prefix(Int(count)))
    }
}
