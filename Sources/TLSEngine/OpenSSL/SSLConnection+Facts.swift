// What an `SSL` knows about its connection, in the package's own types.

import COpenSSL
import CTLSTransport

extension SSLConnection {
    /// Makes a connection that sends and expects the names given.
    static func make(
        _ context: TLSContext,
        record: VerificationRecord?,
        servername: String?,
        expected: ServerName?,
        deliberation: Deliberation?
    ) throws(TLSError) -> SSLConnection {
        var connection = try SSLConnection(
            context: context,
            record: record,
            deliberation: deliberation
        )
        if context.trust.tlsaRecords != nil {
            try connection.setTLSARecords(context.trust.activeTLSARecords)
        }
        let decides = context.policy.decisions.contains(.serverIdentity)
        try connection.setNames(
            servername: servername,
            expected: decides ? nil : expected,
            requestsStaple: context.role == .client && context.asksForStaple
        )
        return connection
    }

    private mutating func setNames(
        servername: String?,
        expected: ServerName?,
        requestsStaple: Bool
    ) throws(TLSError) {
        // The queue is clear: the connection has just been made.
        if let servername {
            guard unsafe cssl_set_tlsext_host_name(ssl, servername) == 1 else {
                throw ErrorQueue.error(.invalidServername)
            }
        }
        if let expected {
            let parameters = unsafe SSL_get0_param(ssl)
            unsafe X509_VERIFY_PARAM_set_hostflags(parameters, cssl_host_check_flags())
            let isSet =
                switch expected.kind {
                case .dns: unsafe X509_VERIFY_PARAM_set1_host(parameters, expected.text, 0)
                case .ipAddress: unsafe X509_VERIFY_PARAM_set1_ip_asc(parameters, expected.text)
                }
            guard isSet == 1 else { throw ErrorQueue.error(.invalidServername) }
        }
        if requestsStaple {
            _ = unsafe cssl_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp)
        }
    }

    /// The negotiated application protocol.
    var applicationProtocol: String? {
        unsafe SSLConnection.applicationProtocol(of: ssl)
    }

    static func applicationProtocol(of ssl: OpaquePointer?) -> String? {
        var start: UnsafePointer<UInt8>?
        var count: CUnsignedInt = 0
        unsafe SSL_get0_alpn_selected(ssl, &start, &count)
        guard let start = unsafe start, count > 0 else { return nil }
        let bytes = unsafe UnsafeBufferPointer(start: start, count: Int(count))
        return unsafe String(decoding: bytes, as: UTF8.self)
    }

    /// The servername: as received by a server, as sent by a client.
    var servername: String? {
        unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { unsafe String(cString: $0) }
    }

    /// Whether the server acknowledged the servername of this client (RFC 6066 §3).
    var isServernameAcknowledged: Bool {
        guard let session = unsafe SSL_get_session(ssl) else { return false }
        return unsafe SSL_SESSION_get0_hostname(session) != nil
    }

    var version: ProtocolVersion? {
        let number = unsafe SSL_version(ssl)
        return UInt16(exactly: number).map(ProtocolVersion.init(rawValue:))
    }

    var cipherSuite: CipherSuite? {
        guard let cipher = unsafe SSL_get_current_cipher(ssl) else { return nil }
        return unsafe CipherSuite(cipher)
    }

    var isResumed: Bool { unsafe SSL_session_reused(ssl) == 1 }

    /// The group of the key exchange.
    ///
    /// OpenSSL tells NIDs, and for groups that have none the number on the wire.
    var group: NamedGroup? {
        // OpenSSL reads through the session without a look.
        guard unsafe SSL_get_session(ssl) != nil else { return nil }
        let number = unsafe cssl_get_negotiated_group(ssl)
        guard number != NID_undef else { return nil }
        let numbers: [CInt: UInt16] = [
            NID_X9_62_prime256v1: 0x0017, NID_secp384r1: 0x0018, NID_secp521r1: 0x0019,
            NID_brainpoolP256r1: 0x001a, NID_brainpoolP384r1: 0x001b, NID_brainpoolP512r1: 0x001c,
            NID_X25519: 0x001d, NID_X448: 0x001e, NID_ffdhe2048: 0x0100, NID_ffdhe3072: 0x0101,
            NID_ffdhe4096: 0x0102, NID_ffdhe6144: 0x0103, NID_ffdhe8192: 0x0104,
        ]
        let wire = numbers[number] ?? UInt16(truncatingIfNeeded: number)
        return NamedGroup(rawValue: wire)
    }

    /// The peer's ephemeral key, described as Node describes it.
    var ephemeralKey: EphemeralKey? {
        var pointer: OpaquePointer?
        guard unsafe cssl_get_peer_tmp_key(ssl, &pointer) == 1, let key = unsafe pointer else {
            // A TLS 1.2 server has dropped the client's key by now; its group tells the same.
            return isResumed ? nil : group?.ephemeralKey
        }
        defer { unsafe EVP_PKEY_free(key) }
        let bits = Int(unsafe EVP_PKEY_get_bits(key))
        switch unsafe EVP_PKEY_get_base_id(key) {
        case EVP_PKEY_DH: return EphemeralKey(type: "DH", name: "", size: bits)
        case EVP_PKEY_EC:
            var buffer = [CChar](repeating: 0, count: 80)
            var count = 0
            _ = unsafe EVP_PKEY_get_group_name(key, &buffer, buffer.count, &count)
            let name = buffer.prefix(count).map(UInt8.init(bitPattern:))
            return EphemeralKey(
                type: "ECDH",
                name: String(decoding: name, as: UTF8.self),
                size: bits
            )
        default:
            let name = unsafe EVP_PKEY_get0_type_name(key).map { unsafe String(cString: $0) }
            // A key that only a provider knows is no curve's: ML-KEM, by itself or joined with one.
            let isKEM = unsafe EVP_PKEY_get_base_id(key) == EVP_PKEY_KEYMGMT
            return EphemeralKey(type: isKEM ? "KEM" : "ECDH", name: name ?? "unknown", size: bits)
        }
    }

    /// The algorithm of the peer's CertificateVerify or ServerKeyExchange.
    var peerSignatureAlgorithm: String? {
        var hash: CInt = 0
        var kind: CInt = 0
        guard unsafe SSL_get_peer_signature_type_nid(ssl, &kind) == 1 else { return nil }
        _ = unsafe cssl_get_peer_signature_nid(ssl, &hash)
        let name = signatureName(kind: kind, hash: hash)
        // OpenSSL has one number for both; the key of the certificate tells them apart.
        guard kind == EVP_PKEY_RSA_PSS, peerChain.first?.publicKey.type == "RSA-PSS" else {
            return name
        }
        return name.replacing("rsae", with: "pss")
    }

    /// The algorithms both sides accept, most preferred first.
    var sharedSignatureAlgorithms: [String] {
        var total: CInt = 0
        total = unsafe SSL_get_shared_sigalgs(ssl, 0, nil, nil, nil, nil, nil)
        return (0..<max(0, total)).compactMap { place in
            var low: UInt8 = 0
            var high: UInt8 = 0
            let found = unsafe SSL_get_shared_sigalgs(ssl, place, nil, nil, nil, &low, &high)
            guard found > 0 else { return nil }
            return SignatureScheme(rawValue: UInt16(high) << 8 | UInt16(low)).description
        }
    }

    /// The leaf that was sent; OpenSSL also tells one that was only configured.
    var localCertificate: Certificate? {
        guard unsafe notes.certificate_presented == 1 else { return nil }
        return unsafe SSL_get_certificate(ssl).map {
            Certificate(unsafe X509Handle(sharing: $0))
        }
    }

    /// What the peer sent, leaf first, in both roles: a server's list lacks the leaf.
    var peerChain: [Certificate] {
        var chain: [Certificate] = []
        if let leaf = unsafe SSL_get0_peer_certificate(ssl) {
            chain.append(Certificate(unsafe X509Handle(sharing: leaf)))
        }
        for certificate in unsafe SSLConnection.certificates(SSL_get_peer_cert_chain(ssl))
        where certificate != chain.first {
            chain.append(certificate)
        }
        return chain
    }

    /// Whether the session that was resumed is of a peer whose certificate was trusted.
    var isSessionOfTrustedPeer: Bool {
        unsafe SSL_get0_peer_certificate(ssl) != nil && SSL_get_verify_result(ssl) == X509_V_OK
    }

    var verifiedChain: [Certificate] {
        unsafe SSLConnection.certificates(SSL_get0_verified_chain(ssl))
    }

    /// The certificates of a stack, in its order.
    static func certificates(_ stack: OpaquePointer?) -> [Certificate] {
        guard let stack = unsafe stack else { return [] }
        return unsafe (0..<cssl_x509_stack_count(stack)).compactMap { place in
            unsafe cssl_x509_stack_value(stack, place).map {
                Certificate(unsafe X509Handle(sharing: $0))
            }
        }
    }

    /// Whether the server asked the client for a certificate.
    var isClientCertificateRequested: Bool {
        unsafe notes.certificate_requested == 1
    }

    /// Whether the server asked for another ClientHello (RFC 8446 §4.1.4).
    var isHelloRetried: Bool { unsafe notes.hello_retried == 1 }

    var ocspResponse: [UInt8]? { unsafe SSLConnection.ocspResponse(of: ssl) }

    static func ocspResponse(of ssl: OpaquePointer) -> [UInt8]? {
        var start: UnsafePointer<UInt8>?
        let count = unsafe cssl_get_tlsext_status_ocsp_resp(ssl, &start)
        guard let start = unsafe start, count > 0 else { return nil }
        return unsafe Array(UnsafeBufferPointer(start: start, count: count))
    }

    /// The BIO's notes in the package's own types.
    var transportFacts: TransportFacts {
        let notes = unsafe notes
        return unsafe TransportFacts(
            alertSent: alert(notes.last_alert_sent),
            alertReceived: alert(notes.last_alert_received),
            bytesReceived: notes.bytes_in,
            bytesSent: notes.bytes_out,
            flights: Int(notes.flights_in) + Int(notes.flights_out)
        )
    }

    var tickets: [TicketFacts] {
        let notes = unsafe notes
        let kept = unsafe [notes.ticket.0, notes.ticket.1, notes.ticket.2, notes.ticket.3]
        return kept.prefix(Int(unsafe notes.tickets)).map {
            TicketFacts(
                size: Int($0.size),
                lifetime: Int($0.lifetime),
                earlyData: Int($0.early_data)
            )
        }
    }
}

extension NamedGroup {
    /// A key of the group as OpenSSL would describe it.
    fileprivate var ephemeralKey: EphemeralKey? {
        switch self {
        case .secp256r1: EphemeralKey(type: "ECDH", name: "prime256v1", size: 256)
        case .secp384r1: EphemeralKey(type: "ECDH", name: "secp384r1", size: 384)
        case .secp521r1: EphemeralKey(type: "ECDH", name: "secp521r1", size: 521)
        case .x25519: EphemeralKey(type: "ECDH", name: "X25519", size: 253)
        case .x448: EphemeralKey(type: "ECDH", name: "X448", size: 448)
        default: nil
        }
    }
}

/// What passed through a connection's BIO.
struct TransportFacts {
    var alertSent: Alert?
    var alertReceived: Alert?
    var bytesReceived: UInt64
    var bytesSent: UInt64
    var flights: Int
}

/// The registered name of a signature algorithm, from OpenSSL's key type and hash.
private func signatureName(kind: CInt, hash: CInt) -> String {
    let hashName =
        switch hash {
        case NID_sha1: "sha1"
        case NID_sha224: "sha224"
        case NID_sha256: "sha256"
        case NID_sha384: "sha384"
        case NID_sha512: "sha512"
        default: ""
        }
    return switch kind {
    case EVP_PKEY_RSA: "rsa_pkcs1_\(hashName)"
    case EVP_PKEY_RSA_PSS: "rsa_pss_rsae_\(hashName)"
    case EVP_PKEY_ED25519: "ed25519"
    case EVP_PKEY_ED448: "ed448"
    case EVP_PKEY_EC:
        switch hash {
        case NID_sha256: "ecdsa_secp256r1_sha256"
        case NID_sha384: "ecdsa_secp384r1_sha384"
        case NID_sha512: "ecdsa_secp521r1_sha512"
        default: "ecdsa_\(hashName)"
        }
    default: "\(unsafe OBJ_nid2sn(kind).map { unsafe String(cString: $0) } ?? "unknown")"
    }
}
