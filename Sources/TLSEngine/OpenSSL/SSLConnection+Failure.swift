// Where a handshake stands and why it failed, from OpenSSL's state, its error queue, and the notes
// of the BIO.

import COpenSSL
import CTLSTransport

extension SSLConnection {
    /// How far the handshake has come, by the messages that went in and out whole.
    ///
    /// OpenSSL's own state would tell less, as it enters a message's state with the header, and its
    /// numbers differ between libraries of one major version.
    func handshakePhase(role: TLSRole) -> HandshakePhase {
        unsafe SSLConnection.handshakePhase(of: ssl, notes, role: role)
    }

    static func handshakePhase(
        of ssl: OpaquePointer,
        _ notes: ctls_transport,
        role: TLSRole
    ) -> HandshakePhase {
        if unsafe SSL_is_init_finished(ssl) == 1 { return .open }
        return switch role {
        case .client: unsafe clientPhase(notes)
        case .server: unsafe serverPhase(notes)
        }
    }

    private static func clientPhase(_ notes: ctls_transport) -> HandshakePhase {
        if unsafe Int32(notes.last_message_out) == SSL3_MT_FINISHED { return .finished }
        return switch unsafe Int32(notes.last_message_in) {
        case 0: .serverHello
        case SSL3_MT_SERVER_HELLO, SSL3_MT_ENCRYPTED_EXTENSIONS, SSL3_MT_CERTIFICATE_REQUEST,
            SSL3_MT_CERTIFICATE, SSL3_MT_CERTIFICATE_STATUS, Int32(CTLS_COMPRESSED_CERTIFICATE):
            .certificate
        case SSL3_MT_CERTIFICATE_VERIFY, SSL3_MT_SERVER_KEY_EXCHANGE, SSL3_MT_SERVER_DONE:
            .keyExchange
        default: .finished
        }
    }

    private static func serverPhase(_ notes: ctls_transport) -> HandshakePhase {
        if unsafe notes.client_hello_due == 1 { return .clientHello }
        let sent = Int32(unsafe notes.last_message_out)
        switch unsafe Int32(notes.last_message_in) {
        case SSL3_MT_CLIENT_HELLO:
            let hasAnswered = sent == SSL3_MT_FINISHED || sent == SSL3_MT_SERVER_DONE
            guard hasAnswered else { return .clientHello }
            guard unsafe notes.certificate_requested == 0 else { return .clientAuthentication }
            return sent == SSL3_MT_FINISHED ? .finished : .keyExchange
        case SSL3_MT_CERTIFICATE, SSL3_MT_CERTIFICATE_VERIFY, Int32(CTLS_COMPRESSED_CERTIFICATE):
            return .clientAuthentication
        case SSL3_MT_CLIENT_KEY_EXCHANGE: return .keyExchange
        default: return .finished
        }
    }

    /// The alert by which the peer ended the connection.
    ///
    /// TLS 1.3 takes every alert but two for fatal, whatever level it came with (RFC 8446 §6); such
    /// an alert shows in the error queue.
    ///
    /// - Parameter reasons: What was in the error queue.
    /// - Returns: The alert as a fatal one; nil when it was another thing that ended the connection.
    func fatalAlert(_ reasons: [OpenSSLReason]) -> Alert? {
        let note = unsafe notes.last_alert_received
        guard note >= 0 else { return nil }
        let code = UInt8(truncatingIfNeeded: note)
        if note >> 8 == SSL3_AL_FATAL { return Alert(code) }
        let number = SSL_AD_REASON_OFFSET + Int32(code)
        let hasEnded = reasons.contains { $0.library == ERR_LIB_SSL && $0.reason == number }
        return hasEnded ? Alert(code) : nil
    }

    /// Makes an alert from the note `level << 8 | description`.
    func alert(_ note: CInt) -> Alert? { Alert(note: note) }

    /// The code for a failure that is neither an alert of the peer nor a verdict on its chain.
    ///
    /// - Parameters:
    ///   - reasons: What was in the error queue. The data path does not empty it before a call, so
    ///     only the last entry of the SSL library is sure to belong to the failure; libraries from
    ///     3.2 on put one behind it that says nothing.
    ///   - isHandshake: Whether the handshake was under way.
    ///   - phase: Where it stood.
    /// - Returns: The code.
    func code(
        for reasons: [OpenSSLReason],
        isHandshake: Bool,
        phase: HandshakePhase
    ) -> TLSError.Code {
        if unsafe notes.client_hello_overflow == 1 { return .clientHelloTooLarge }
        if alert(unsafe notes.last_alert_sent) == .noApplicationProtocol {
            return .noApplicationProtocol
        }
        let telling = reasons.lastIndex {
            $0.library == ERR_LIB_SSL && $0.reason != recordLayerFailure
        }
        guard let telling else {
            if unsafe notes.end_of_input == 1 {
                return isHandshake ? .closedDuringHandshake : .truncated
            }
            return .internalError
        }
        let reason = reasons[telling].reason
        switch reason {
        // A record too short for its cipher fails there, and OpenSSL blames itself.
        case Int32(ERR_R_INTERNAL_ERROR) where refusedRecord(reasons[..<telling]):
            return .badRecord
        // A number outside the group's subgroup is met where the secret is derived.
        case Int32(ERR_R_INTERNAL_ERROR) where refusedShare(reasons): return .protocolViolation
        // OpenSSL takes a staple of no bytes for a want of memory.
        case Int32(ERR_R_MALLOC_FAILURE)
        where unsafe Int32(notes.last_message_in) == SSL3_MT_CERTIFICATE_STATUS:
            return .protocolViolation
        case SSL_R_UNEXPECTED_EOF_WHILE_READING:
            return isHandshake ? .closedDuringHandshake : .truncated
        case SSL_R_HTTP_REQUEST, SSL_R_HTTPS_PROXY_REQUEST, SSL_R_WRONG_VERSION_NUMBER:
            // Later it is a record that lost its form, not a peer that never spoke TLS.
            guard messagesReceived > 0 else { return isHandshake ? .notTLS : .badRecord }
            return hasUnreadAlert ? .alertReceived : .badRecord
        case SSL_R_EXCESSIVE_MESSAGE_SIZE:
            return phase == .clientHello ? .clientHelloTooLarge : .handshakeMessageTooLarge
        default: return codes[reason] ?? .protocolViolation
        }
    }

    /// Whether the peer's share of a finite field was refused.
    private func refusedShare(_ reasons: [OpenSSLReason]) -> Bool {
        let refusals = [DH_R_CHECK_PUBKEY_INVALID, DH_R_INVALID_PUBKEY, DH_R_INVALID_SECRET]
        return reasons.contains { $0.library == ERR_LIB_DH && refusals.contains($0.reason) }
    }

    /// Whether a cipher refused a record before it was decrypted: the last of the reasons in front of the
    /// telling one.
    private func refusedRecord(_ before: ArraySlice<OpenSSLReason>) -> Bool {
        guard let cause = before.last, cause.library == ERR_LIB_PROV else { return false }
        // GCM and CCM, or ChaCha20-Poly1305.
        return [PROV_R_INVALID_AAD, PROV_R_INVALID_DATA].contains(cause.reason)
    }
}

extension Alert {
    /// Makes an alert from the note `level << 8 | description`; nil for one that is none.
    init?(note: CInt) {
        guard note >= 0, let level = Level(rawValue: UInt8(truncatingIfNeeded: note >> 8))
        else { return nil }
        self.init(UInt8(truncatingIfNeeded: note), level: level)
    }
}

/// `SSL_R_RECORD_LAYER_FAILURE` of OpenSSL 3.2, which 3.0's headers do not name.
private let recordLayerFailure: Int32 = 313

/// The codes of OpenSSL's reasons that mean the same everywhere.
private let codes: [Int32: TLSError.Code] = {
    let table: [(TLSError.Code, [Int32])] = [
        (.noApplicationProtocol, [SSL_R_NO_APPLICATION_PROTOCOL]),
        (.presharedKeyMismatch, [SSL_R_BINDER_DOES_NOT_VERIFY]),
        (.presharedKeyMissing, [SSL_R_PSK_IDENTITY_NOT_FOUND]),
        (.peerCertificateMissing, [SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE]),
        (
            .recordOverflow,
            [
                SSL_R_PACKET_LENGTH_TOO_LONG, SSL_R_DATA_LENGTH_TOO_LONG,
                SSL_R_ENCRYPTED_LENGTH_TOO_LONG,
            ]
        ),
        (
            .badRecord,
            [
                SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC, SSL_R_BAD_RECORD_TYPE,
                SSL_R_RECORD_LENGTH_MISMATCH, SSL_R_RECORD_TOO_SMALL, SSL_R_DECRYPTION_FAILED,
            ]
        ),
        (
            .noSharedParameters,
            [
                SSL_R_NO_SHARED_CIPHER, SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_NO_PROTOCOLS_AVAILABLE,
                SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SSL_R_NO_SUITABLE_KEY_SHARE,
                SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, SSL_R_NO_SUITABLE_GROUPS,
                SSL_R_VERSION_TOO_LOW, SSL_R_VERSION_TOO_HIGH, SSL_R_NO_CIPHERS_AVAILABLE,
                SSL_R_WRONG_SIGNATURE_TYPE,
            ]
        ),
        (
            .weakParameters,
            [
                SSL_R_DH_KEY_TOO_SMALL, SSL_R_EE_KEY_TOO_SMALL, SSL_R_CA_KEY_TOO_SMALL,
                SSL_R_CA_MD_TOO_WEAK,
            ]
        ),
        (.internalError, [Int32(ERR_R_INTERNAL_ERROR), Int32(ERR_R_MALLOC_FAILURE)]),
    ]
    let pairs = table.flatMap { code, reasons in reasons.map { ($0, code) } }
    return Dictionary(uniqueKeysWithValues: pairs)
}()
