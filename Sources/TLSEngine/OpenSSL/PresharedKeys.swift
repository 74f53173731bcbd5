// Preshared keys at OpenSSL: what a context and a connection are set up with, the callbacks that give
// the keys, and what shows which key was used. `PresharedKeyExchange` tells the whole story.

import COpenSSL

// MARK: Contexts

extension SSLContextBuilder {
    /// Sets what preshared keys need.
    func setPresharedKeys() throws(TLSError) {
        let context = unsafe handle.pointer
        switch role {
        case .client:
            // Always both: by the older one alone OpenSSL would use a key of TLS 1.2 in TLS 1.3 too.
            unsafe SSL_CTX_set_psk_use_session_callback(context, offerPresharedKey)
            unsafe SSL_CTX_set_psk_client_callback(context, usePresharedKey)
        case .server:
            unsafe SSL_CTX_set_psk_find_session_callback(context, findPresharedKey)
            unsafe SSL_CTX_set_psk_server_callback(context, lookUpPresharedKey)
            if let hint = policy.presharedKeyHint {
                guard !hint.isEmpty, !hint.utf8.contains(0),
                    unsafe SSL_CTX_use_psk_identity_hint(context, hint) == 1
                else {
                    throw ErrorQueue.error(
                        .invalidPolicy,
                        "presharedKeyHint is 1...256 bytes without a byte 0"
                    )
                }
            }
        }
        if policy.cipherAlgorithms == nil { try setPresharedKeySuites() }
    }

    /// Whether a client takes no server without a preshared key.
    var demandsPresharedKey: Bool {
        role == .client && policy.decisions.contains(.presharedKey)
            && policy.presharedKeyDemand == .always
    }

    /// Has OpenSSL count suites with preshared keys among those that can be used: it looks for a client's
    /// callback on servers too.
    func admitPresharedKeySuites(_ ssl: OpaquePointer) {
        unsafe SSL_set_psk_client_callback(ssl, usePresharedKey)
    }

    /// Adds the suites with preshared keys to those of the system's choice, which has all of them or
    /// none.
    private func setPresharedKeySuites() throws(TLSError) {
        let context = unsafe handle.pointer
        let others = unsafe CipherSuiteList.suites(of: SSL_CTX_get_ciphers(context)).filter {
            $0.version != "TLSv1.3" && !CipherSuiteList.presharedKeySuites.contains($0.id)
        }
        let names = others.map(\.name)
        // A client that speaks only TLS 1.2 is here for its keys.
        let isFirst = policy.maximumVersion == .tls12
        let list =
            isFirst
            ? CipherSuiteList.presharedKeyDefaults + names
            : names + CipherSuiteList.presharedKeyDefaults
        guard unsafe SSL_CTX_set_cipher_list(context, list.joined(separator: ":")) == 1 else {
            throw ErrorQueue.error(.invalidCipherSuite)
        }
    }
}

extension CipherSuiteList {
    /// With forward secrecy and AEAD: plain preshared keys and CBC are for those who name them.
    static let presharedKeyDefaults = [
        "ECDHE-PSK-CHACHA20-POLY1305", "DHE-PSK-AES256-GCM-SHA384", "DHE-PSK-CHACHA20-POLY1305",
        "DHE-PSK-AES128-GCM-SHA256",
    ]

    /// The suites of a stack.
    static func suites(of stack: OpaquePointer?) -> [CipherSuite] {
        unsafe (0..<max(0, cssl_cipher_stack_count(stack))).compactMap { place in
            unsafe cssl_cipher_stack_value(stack, place).map { unsafe CipherSuite($0) }
        }
    }

    /// The numbers of the suites of TLS 1.2 with preshared keys.
    static let presharedKeySuites: Set<UInt16> = {
        var numbers: Set<UInt16> = []
        guard let context = unsafe SSL_CTX_new(TLS_method()) else { return numbers }
        defer { unsafe SSL_CTX_free(context) }
        unsafe SSL_CTX_set_cipher_list(context, "ALL:COMPLEMENTOFALL:@SECLEVEL=0")
        let stack = unsafe SSL_CTX_get_ciphers(context)
        for place in 0..<(unsafe cssl_cipher_stack_count(stack)) {
            guard let cipher = unsafe cssl_cipher_stack_value(stack, place),
                unsafe hasPresharedKey(cipher)
            else { continue }
            numbers.insert(unsafe SSL_CIPHER_get_protocol_id(cipher))
        }
        ErrorQueue.clear()
        return numbers
    }()

    /// Whether a suite of TLS 1.2 is one with preshared keys.
    static func hasPresharedKey(_ cipher: OpaquePointer) -> Bool {
        switch unsafe SSL_CIPHER_get_kx_nid(cipher) {
        case NID_kx_psk, NID_kx_dhe_psk, NID_kx_ecdhe_psk, NID_kx_rsa_psk: true
        default: false
        }
    }
}

extension TLSContext {
    /// Whether the name of a preshared key is a ticket of this context's (RFC 5077 §4).
    func isOwnTicket(_ identity: PresharedKeyIdentity) -> Bool {
        if let ticketKeys {
            return TicketKeyName(identity.bytes).flatMap(ticketKeys.openingKey(_:)) != nil
        }
        let size = unsafe cssl_ctx_get_ticket_keys(handle.pointer, nil, 0)
        guard size >= TLSContext.ticketNameCount else { return false }
        // The name comes first, and then the keys.
        let keys = SecretBytes(capacity: Int(size)) { output in
            output.append(repeating: 0, count: Int(size))
        }
        return unsafe keys.withPointer { keys, count in
            guard unsafe cssl_ctx_get_ticket_keys(handle.pointer, keys, CInt(count)) == 1 else {
                return false
            }
            let name = unsafe UnsafeBufferPointer(start: keys, count: TLSContext.ticketNameCount)
            return unsafe identity.bytes.starts(with: name)
        }
    }

    private static let ticketNameCount = 16
}

// MARK: Callbacks

/// `SSL_CTX_set_psk_use_session_callback`: a client's key for TLS 1.3, asked for at each ClientHello.
@c(sockets_offer_preshared_key)
private func offerPresharedKey(
    _ ssl: OpaquePointer?,
    _ digest: OpaquePointer?,
    _ identity: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ identityCount: UnsafeMutablePointer<Int>?,
    _ session: UnsafeMutablePointer<OpaquePointer?>?
) -> CInt {
    guard let keys = unsafe Callbacks.deliberation(of: ssl)?.presharedKeys, let ssl = unsafe ssl,
        let offer = keys.offer
    else {
        unsafe session?.pointee = nil
        return 1
    }
    // Behind a HelloRetryRequest the suite is chosen, and with it the hash.
    if let digest = unsafe digest, unsafe EVP_MD_get_type(digest) != offer.hash.number {
        unsafe session?.pointee = nil
        return 1
    }
    guard let made = unsafe SSLConnection.session(of: offer, keys.nonce, ssl) else { return 0 }
    // Safe: OpenSSL copies the name before anything else happens; until then the offer keeps it.
    unsafe offer.name.withPointer { start, count in
        unsafe identity?.pointee = UnsafePointer(start)
        unsafe identityCount?.pointee = count
    }
    unsafe session?.pointee = made
    return 1
}

/// `SSL_CTX_set_psk_find_session_callback`: a server's key for TLS 1.3.
@c(sockets_find_preshared_key)
private func findPresharedKey(
    _ ssl: OpaquePointer?,
    _ identity: UnsafePointer<UInt8>?,
    _ identityCount: Int,
    _ session: UnsafeMutablePointer<OpaquePointer?>?
) -> CInt {
    unsafe session?.pointee = nil
    guard let keys = unsafe Callbacks.deliberation(of: ssl)?.presharedKeys, let ssl = unsafe ssl,
        let offer = keys.offer
    else { return 1 }
    let name = unsafe UnsafeBufferPointer(start: identity, count: identityCount)
    guard unsafe name.elementsEqual(offer.identity.bytes) else { return 1 }
    guard let made = unsafe SSLConnection.session(of: offer, keys.nonce, ssl) else { return 0 }
    unsafe session?.pointee = made
    return 1
}

/// `SSL_CTX_set_psk_client_callback`: a client's key for TLS 1.2; 0 has none.
@c(sockets_use_preshared_key)
private func usePresharedKey(
    _ ssl: OpaquePointer?,
    _ hint: UnsafePointer<CChar>?,
    _ identity: UnsafeMutablePointer<CChar>?,
    _ identityMax: CUnsignedInt,
    _ key: UnsafeMutablePointer<UInt8>?,
    _ keyMax: CUnsignedInt
) -> CUnsignedInt {
    guard let keys = unsafe Callbacks.deliberation(of: ssl)?.presharedKeys,
        let exchanged = keys.exchanged, let identity = unsafe identity, let key = unsafe key,
        exchanged.identity.count <= Int(identityMax), exchanged.key.count <= Int(keyMax)
    else { return 0 }
    // OpenSSL has room for one byte more than it says, for the end of the text.
    for (place, byte) in exchanged.identity.enumerated() {
        unsafe identity[place] = CChar(bitPattern: byte)
    }
    unsafe identity[exchanged.identity.count] = 0
    unsafe exchanged.key.withPointer { start, count in
        unsafe key.update(from: start, count: count)
    }
    return CUnsignedInt(exchanged.key.count)
}

/// `SSL_CTX_set_psk_server_callback`: a server's key for TLS 1.2; 0 has none.
@c(sockets_look_up_preshared_key)
private func lookUpPresharedKey(
    _ ssl: OpaquePointer?,
    _ identity: UnsafePointer<CChar>?,
    _ key: UnsafeMutablePointer<UInt8>?,
    _ keyMax: CUnsignedInt
) -> CUnsignedInt {
    guard let keys = unsafe Callbacks.deliberation(of: ssl)?.presharedKeys,
        let exchanged = keys.exchanged, let identity = unsafe identity, let key = unsafe key,
        exchanged.key.count <= Int(keyMax)
    else { return 0 }
    // OpenSSL's text ends at the first byte 0; such a name was answered with a random key.
    let expected = exchanged.identity.prefix { $0 != 0 }
    guard unsafe textBytes(identity) == Array(expected) else { return 0 }
    unsafe exchanged.key.withPointer { start, count in
        unsafe key.update(from: start, count: count)
    }
    return CUnsignedInt(exchanged.key.count)
}

/// The bytes of a text of C, which need not be UTF-8.
private func textBytes(_ start: UnsafePointer<CChar>) -> [UInt8] {
    var bytes: [UInt8] = []
    while unsafe start[bytes.count] != 0 {
        bytes.append(UInt8(bitPattern: unsafe start[bytes.count]))
    }
    return bytes
}

extension PresharedKeyHash {
    /// OpenSSL's number of the hash.
    fileprivate var number: CInt {
        switch self {
        case .sha256: NID_sha256
        case .sha384: NID_sha384
        }
    }

    /// The suite that stands for the hash in a session.
    fileprivate var suite: [UInt8] {
        switch self {
        case .sha256: [0x13, 0x01]
        case .sha384: [0x13, 0x02]
        }
    }
}

// MARK: Connections

extension SSLConnection {
    /// The session that stands for a key (`SSL_SESSION`); nil when out of memory.
    fileprivate static func session(
        of offer: PresharedKeyExchange.Offer,
        _ nonce: [UInt8],
        _ ssl: OpaquePointer
    ) -> OpaquePointer? {
        guard let session = unsafe SSL_SESSION_new() else { return nil }
        let mark = PresharedKeyMark.make(nonce: nonce, offer.identity)
        let isMade = unsafe offer.key.withPointer { key, count in
            unsafe SSL_SESSION_set1_master_key(session, key, count) == 1
                && SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, offer.hash.suite)) == 1
                && SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1
                && SSL_SESSION_set1_ticket_appdata(session, mark, mark.count) == 1
        }
        guard isMade else {
            unsafe SSL_SESSION_free(session)
            return nil
        }
        return unsafe session
    }

    /// The mark of the session; nil when no preshared key made it.
    private var mark: (nonce: [UInt8], identity: PresharedKeyIdentity)? {
        guard let session = unsafe SSL_get_session(ssl) else { return nil }
        var start: UnsafeMutableRawPointer?
        var count = 0
        guard unsafe SSL_SESSION_get0_ticket_appdata(session, &start, &count) == 1,
            let start = unsafe start
        else { return nil }
        return PresharedKeyMark.read(
            unsafe Array(UnsafeRawBufferPointer(start: start, count: count))
        )
    }

    /// The name of the key in a session of TLS 1.2.
    private var identity12: PresharedKeyIdentity? {
        unsafe SSL_get_psk_identity(ssl).map {
            PresharedKeyIdentity(bytes: unsafe textBytes($0))
        }
    }

    /// What the sides proved themselves by, of a handshake that is complete.
    ///
    /// - Parameter nonce: Of the session that this handshake may have made; nil without preshared keys.
    /// - Returns: Nil where that cannot be told.
    func authentication(nonce: [UInt8]?) -> HandshakeAuthentication? {
        if version == .tls13 {
            guard isResumed else { return .certificate }
            if let mark, mark.nonce == nonce { return .presharedKey(mark.identity) }
            return .resumption(presharedKey: mark?.identity)
        }
        guard let cipher = unsafe SSL_get_current_cipher(ssl) else { return nil }
        guard unsafe CipherSuiteList.hasPresharedKey(cipher), let identity12 else {
            return isResumed ? .resumption(presharedKey: nil) : .certificate
        }
        return isResumed ? .resumption(presharedKey: identity12) : .presharedKey(identity12)
    }

    /// Whether the suite that was chosen is one of TLS 1.2 with preshared keys.
    var exchangesPresharedKey: Bool { unsafe SSLConnection.exchangesPresharedKey(ssl) }

    static func exchangesPresharedKey(_ ssl: OpaquePointer) -> Bool {
        guard unsafe SSL_version(ssl) == TLS1_2_VERSION,
            let cipher = unsafe SSL_get_pending_cipher(ssl)
        else { return false }
        return unsafe CipherSuiteList.hasPresharedKey(cipher)
    }

    /// Speaks only one version.
    mutating func allowOnly(_ version: ProtocolVersion) -> Bool {
        let number = CInt(version.rawValue)
        return unsafe cssl_set_min_proto_version(ssl, number) == 1
            && cssl_set_max_proto_version(ssl, number) == 1
    }

    /// Speaks only suites with preshared keys in TLS 1.2.
    ///
    /// - Returns: False when there is none.
    mutating func allowOnlyPresharedKeySuites() -> Bool {
        let names = unsafe CipherSuiteList.suites(of: SSL_get_ciphers(ssl))
            .filter { CipherSuiteList.presharedKeySuites.contains($0.id) }
            .map(\.name)
        guard !names.isEmpty else { return false }
        return unsafe SSL_set_cipher_list(ssl, names.joined(separator: ":")) == 1
    }

    /// The suites of TLS 1.3 that have a hash, among those of a client if given.
    func suites(of hash: PresharedKeyHash, among offered: [UInt16]? = nil) -> [String] {
        let stack = unsafe SSL_get_ciphers(ssl)
        var names: [String] = []
        for place in 0..<(unsafe max(0, cssl_cipher_stack_count(stack))) {
            guard let cipher = unsafe cssl_cipher_stack_value(stack, place),
                let digest = unsafe SSL_CIPHER_get_handshake_digest(cipher),
                unsafe EVP_MD_get_type(digest) == hash.number
            else { continue }
            let suite = unsafe CipherSuite(cipher)
            guard suite.version == "TLSv1.3", offered?.contains(suite.id) ?? true else { continue }
            names.append(suite.name)
        }
        return names
    }

    /// Speaks only these suites in TLS 1.3.
    mutating func allowOnlySuites(_ names: [String]) -> Bool {
        unsafe SSL_set_ciphersuites(ssl, names.joined(separator: ":")) == 1
    }

    /// Speaks these suites before all others in TLS 1.3.
    mutating func preferSuites(_ names: [String]) -> Bool {
        let others = unsafe CipherSuiteList.suites(of: SSL_get_ciphers(ssl))
            .filter { $0.version == "TLSv1.3" && !names.contains($0.name) }
            .map(\.name)
        return allowOnlySuites(names + others)
    }
}

extension VerificationRecord {
    /// Why a certificate must not be judged: a preshared key is insisted on, and was not used.
    func presharedKeyProblem(_ store: OpaquePointer) -> TLSError? {
        guard let keys = deliberation?.presharedKeys, keys.isDemanded else { return nil }
        let place = SSL_get_ex_data_X509_STORE_CTX_idx()
        // A suite of TLS 1.2 may have both.
        if let ssl = unsafe X509_STORE_CTX_get_ex_data(store, place).map(OpaquePointer.init),
            unsafe SSLConnection.exchangesPresharedKey(ssl)
        {
            return nil
        }
        return keys.unused
    }
}
