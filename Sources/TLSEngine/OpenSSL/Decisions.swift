// Decisions at OpenSSL: what a context and a connection are set up with when there are any, the
// callbacks that wait for an answer, and what an answer makes of a connection. `Deliberation` tells
// how each of them waits.

import COpenSSL
import CTLSTransport

extension SSLContextBuilder {
    /// Sets what decisions of this policy, or virtual hosts, need.
    func setDecisions(hosts: TLSHosts?) throws(TLSError) {
        let context = unsafe handle.pointer
        if policy.decisions.contains(.presharedKey) { try setPresharedKeys() }
        guard role == .server else {
            guard hosts == nil else {
                throw TLSError(.invalidPolicy, detail: "a client has no virtual hosts")
            }
            return
        }
        if hosts != nil
            || !policy.decisions.isDisjoint(with: [.clientHello, .presharedKey, .session])
        {
            // Not looked at: an address that is not null says that ALPN is required.
            let mark = unsafe UnsafeMutableRawPointer(bitPattern: policy.alpnRequired ? 1 : 0)
            unsafe SSL_CTX_set_client_hello_cb(context, considerClientHello, mark)
        }
        // Also without protocols of its own: whoever chose this context may bring some.
        if policy.alpn.isEmpty {
            unsafe SSL_CTX_set_alpn_select_cb(context, selectApplicationProtocol, nil)
        }
        guard policy.decisions.contains(.clientCertificate) else { return }
        let added = unsafe SSL_CTX_add_custom_ext(
            context,
            CUnsignedInt(refusalExtension),
            CUnsignedInt(SSL_EXT_TLS1_3_ONLY | SSL_EXT_TLS1_3_NEW_SESSION_TICKET),
            refuseInTicket,
            nil,
            nil,
            nil,
            nil
        )
        guard added == 1 else { throw ErrorQueue.error(.internalError) }
    }
}

/// A number for private use (RFC 8446 §11), which is never sent.
private let refusalExtension: Int32 = 0xff21

// MARK: Callbacks

/// `SSL_CTX_set_client_hello_cb`: waits until it is known who answers.
@c(sockets_consider_client_hello)
func considerClientHello(
    _ ssl: OpaquePointer?,
    _ alert: UnsafeMutablePointer<CInt>?,
    _ requiresProtocol: UnsafeMutableRawPointer?
) -> CInt {
    if let deliberation = unsafe Callbacks.deliberation(of: ssl) {
        if let refusal = deliberation.refusal {
            unsafe alert?.pointee = CInt(refusal.alert.code)
            return SSL_CLIENT_HELLO_ERROR
        }
        guard deliberation.isHelloSettled, deliberation.presharedKeys?.isHelloSettled ?? true,
            deliberation.sessions?.isSettled ?? true
        else {
            deliberation.isHelloIn = true
            return SSL_CLIENT_HELLO_RETRY
        }
    }
    guard unsafe requiresProtocol != nil else { return SSL_CLIENT_HELLO_SUCCESS }
    return unsafe requireApplicationProtocol(ssl, alert, nil)
}

/// `SSL_CTX_set_cert_cb` of a client: the server has asked for a certificate.
@c(sockets_choose_certificate)
func chooseCertificate(_ ssl: OpaquePointer?, _ context: UnsafeMutableRawPointer?) -> CInt {
    guard let ssl = unsafe ssl, let deliberation = unsafe Callbacks.deliberation(of: ssl) else {
        return 1
    }
    let answer = unsafe deliberation.ask(
        .certificateChoice,
        .certificateChoice(CertificateRequest(ssl))
    )
    return switch answer {
    case nil: -1
    case .present(let identity): unsafe SSLConnection.present(identity, on: ssl) ? 1 : 0
    case .refuse: 0
    case .accept, .use, .presharedKey, .session, .signature: 1
    }
}

/// `SSL_custom_ext_add_cb_ex` of an extension that no ticket ever gets: the one place where OpenSSL
/// lets a server that is done say an alert of its owner's choice.
@c(sockets_refuse_in_ticket)
private func refuseInTicket(
    _ ssl: OpaquePointer?,
    _ kind: CUnsignedInt,
    _ place: CUnsignedInt,
    _ contents: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ count: UnsafeMutablePointer<Int>?,
    _ certificate: OpaquePointer?,
    _ index: Int,
    _ alert: UnsafeMutablePointer<CInt>?,
    _ context: UnsafeMutableRawPointer?
) -> CInt {
    guard let refusal = unsafe Callbacks.deliberation(of: ssl)?.refusal else { return 0 }
    unsafe alert?.pointee = CInt(refusal.alert.code)
    return -1
}

extension Deliberation {
    /// Waits behind the verification of a server's chain for the word on its identity.
    ///
    /// - Returns: What `SSL_CTX_set_cert_verify_callback` has to return.
    func confirmServer(
        _ record: VerificationRecord,
        _ store: OpaquePointer,
        _ ssl: OpaquePointer
    ) -> CInt {
        // On a server the same call would accept the client's certificate.
        guard decisions.contains(.serverIdentity), unsafe SSL_is_server(ssl) == 0 else { return 1 }
        let chain = unsafe record.sentChain(store)
        guard !chain.isEmpty else { return 0 }
        let answer = unsafe ask(
            .serverIdentity,
            .serverIdentity(
                ServerIdentity(
                    servername: record.expectedName?.text ?? "",
                    chain: chain,
                    verifiedChain: record.failure == nil
                        ? SSLConnection.certificates(X509_STORE_CTX_get0_chain(store)) : [],
                    isResumed: false
                )
            )
        )
        switch answer {
        case nil:
            unsafe cssl_set_retry_verify(ssl)
            return 1
        case .refuse(let refusal):
            // OpenSSL chooses the alert by this code.
            unsafe X509_STORE_CTX_set_error(store, verificationCode(of: refusal))
            return 0
        case .accept, .use, .present, .presharedKey, .session, .signature: return 1
        }
    }
}

/// The code by which OpenSSL chooses the alert of a refusal.
private func verificationCode(of refusal: TLSRefusal) -> CInt {
    if let code = refusal.verification?.code {
        return code.isOfOpenSSL ? code.rawValue : X509_V_ERR_CERT_REJECTED
    }
    return switch refusal.alert {
    case .badCertificate: X509_V_ERR_CERT_REJECTED
    case Alert(43): X509_V_ERR_INVALID_PURPOSE
    case Alert(44): X509_V_ERR_CERT_REVOKED
    case .certificateExpired: X509_V_ERR_CERT_HAS_EXPIRED
    case .unknownCA: X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
    case .handshakeFailure: X509_V_ERR_APPLICATION_VERIFICATION
    case .internalError: X509_V_ERR_UNSPECIFIED
    // A number that OpenSSL does not know makes certificate_unknown.
    default: VerificationCode.refusedByApplication.rawValue
    }
}

extension VerificationCode {
    /// Given to OpenSSL for what only the application knows; shows nowhere.
    fileprivate static let refusedByApplication = VerificationCode(rawValue: 2000)
}

// MARK: Connections

extension SSLConnection {
    /// Sets up what decisions need of a connection.
    mutating func install(_ deliberation: Deliberation) {
        if deliberation.signsElsewhere { signElsewhere() }
        let pointer = unsafe Unmanaged.passUnretained(deliberation).toOpaque()
        unsafe SSL_set_ex_data(ssl, Callbacks.deliberationIndex, pointer)
        if deliberation.decisions.contains(.certificateChoice), unsafe SSL_is_server(ssl) == 0 {
            unsafe SSL_set_cert_cb(ssl, chooseCertificate, nil)
        }
        // Tickets of TLS 1.3 go out behind the owner's "yes"; TLS 1.2 has no number of them.
        if !deliberation.isClientSettled { _ = unsafe cssl_set_num_tickets(ssl, 0) }
    }

    /// Forgets the decisions, which are all made.
    mutating func uninstallDeliberation() {
        unsafe SSL_set_ex_data(ssl, Callbacks.deliberationIndex, nil)
        signElsewhereNoMore()
    }

    /// Whether OpenSSL takes the handshake for done.
    var isHandshakeDone: Bool { unsafe SSL_is_init_finished(ssl) == 1 }

    /// Whether a ClientHello, the first one or that behind a HelloRetryRequest, is still to come.
    var isClientHelloDue: Bool { unsafe notes.client_hello_due == 1 }

    /// Whether there is a certificate of the peer, of this handshake or of the session's.
    var hasPeerCertificate: Bool { unsafe SSL_get0_peer_certificate(ssl) != nil }

    /// Has the next step send session tickets (RFC 8446 §4.6.1).
    ///
    /// - Returns: Whether it will.
    mutating func sendTickets(_ count: Int) -> Bool {
        ErrorQueue.clear()
        var scheduled = 0
        while scheduled < count, unsafe SSL_new_session_ticket(ssl) == 1 { scheduled += 1 }
        return scheduled > 0
    }

    /// Ends a handshake that is done for OpenSSL: a server of TLS 1.3 by the alert of the refusal, other
    /// sides, which have no way to say one, by close_notify.
    mutating func sayNo() -> StepOutcome {
        sendTickets(1) ? handshake() : shutdown()
    }

    /// Shows an identity in this connection only; nil shows none.
    ///
    /// - Returns: Whether OpenSSL took it.
    static func present(_ identity: TLSIdentity?, on ssl: OpaquePointer) -> Bool {
        unsafe SSL_certs_clear(ssl)
        guard let identity else { return true }
        guard unsafe SSL_use_certificate(ssl, identity.certificate.handle.pointer) == 1,
            unsafe SSL_use_PrivateKey(ssl, identity.key.pointer) == 1
        else { return false }
        return identity.certificateChain.dropFirst().allSatisfy {
            unsafe cssl_add1_chain_cert(ssl, $0.handle.pointer) == 1
        }
    }
}

extension CertificateRequest {
    /// Reads what a server asked for.
    fileprivate init(_ ssl: OpaquePointer) {
        let names = unsafe SSL_get0_peer_CA_list(ssl)
        let count = unsafe names == nil ? 0 : cssl_x509_name_stack_count(names)
        authorities = (0..<count).map { place in
            let name = unsafe cssl_x509_name_stack_value(names, place)
            return unsafe Authority(der: nameDER(name), description: nameText(name))
        }
        let total = unsafe SSL_get_sigalgs(ssl, 0, nil, nil, nil, nil, nil)
        signatureAlgorithms = (0..<max(0, total)).map { place in
            var low: UInt8 = 0
            var high: UInt8 = 0
            _ = unsafe SSL_get_sigalgs(ssl, place, nil, nil, nil, &low, &high)
            return SignatureScheme(rawValue: UInt16(high) << 8 | UInt16(low))
        }
        servername = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map {
            unsafe String(cString: $0)
        }
    }
}
