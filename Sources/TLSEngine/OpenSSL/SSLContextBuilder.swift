// From policy, identities and trust to OpenSSL's calls, one step a topic.

import COpenSSL
import CTLSTransport

struct SSLContextBuilder {
    let handle: SSLContextHandle
    let role: TLSRole
    let policy: TLSPolicy

    /// Refuses numbers that no connection could work with.
    func checkNumbers() throws(TLSError) {
        let limits = policy.limits
        let ranges: [(String, Int, ClosedRange<Int>)] = [
            ("ticketCount", policy.ticketCount, 0...16),
            ("minDHSize", policy.minDHSize, 0...DiffieHellmanFloor.sizeMax),
            ("clientHelloBytes", limits.clientHelloBytes, 1...Int.max),
            ("certificateChainBytes", limits.certificateChainBytes, 1...Int.max),
            ("certificateChainDepth", limits.certificateChainDepth, 0...Int(Int32.max)),
            ("alpnListBytes", limits.alpnListBytes, 0...65535),
            ("postHandshakeMessages", limits.postHandshakeMessages, 0...Int.max),
            ("dataPerPostHandshakeMessage", limits.dataPerPostHandshakeMessage, 1...Int.max),
            ("presharedKeyIdentities", limits.presharedKeyIdentities, 1...1024),
            ("presharedKeyIdentityBytes", limits.presharedKeyIdentityBytes, 1...65535),
            ("ocspResponseBytes", limits.ocspResponseBytes, 0...Int.max),
        ]
        for (name, value, range) in ranges where !range.contains(value) {
            throw TLSError(
                .invalidPolicy,
                detail: "\(name) is \(value), not \(range.lowerBound)...\(range.upperBound)"
            )
        }
    }

    func setFundamentals() {
        let context = unsafe handle.pointer
        // A write takes one record at a time and may come again from another address; both ways of
        // working are what a nonblocking caller with its own buffers needs.
        // Record buffers are given back at first; see `SSLConnection.adapt`.
        // A peer gets the chain it was given, not one completed from what this side trusts.
        let modes =
            SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
            | SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS
        unsafe cssl_ctx_set_mode(context, Int(modes))
        unsafe SSL_CTX_set_options(context, cssl_op_no_renegotiation() | cssl_op_no_compression())
        // TLS 1.2 clients and servers resume by tickets; a cache of ours would only hold memory.
        unsafe cssl_ctx_set_session_cache_mode(context, Int(SSL_SESS_CACHE_OFF))
        unsafe cssl_ctx_set_max_cert_list(context, policy.limits.certificateChainBytes)
        unsafe SSL_CTX_set_verify_depth(
            context,
            CInt(clamping: policy.limits.certificateChainDepth)
        )
        switch role {
        case .client:
            unsafe ctls_note_tickets(context)
        case .server:
            unsafe cssl_ctx_set_dh_auto(context, 1)
            unsafe cssl_ctx_set_tlsext_servername_callback(context, acknowledgeServername)
            if policy.cipherAlgorithms != nil {
                unsafe SSL_CTX_set_options(context, cssl_op_cipher_server_preference())
            }
        }
    }

    /// Sets suites and versions; each depends on the other.
    func setSuitesAndVersions() throws(TLSError) -> ClosedRange<ProtocolVersion> {
        var oldest = policy.minimumVersion
        var newest = policy.maximumVersion
        if let names = policy.cipherAlgorithms {
            let suites = try CipherSuiteList(names)
            if suites.tls12.isEmpty { oldest = max(oldest, .tls13) }
            if suites.tls13.isEmpty { newest = min(newest, .tls12) }
            let context = unsafe handle.pointer
            var isSet = true
            if !suites.tls13.isEmpty {
                let list = suites.tls13.joined(separator: ":")
                isSet = unsafe SSL_CTX_set_ciphersuites(context, list) == 1
            }
            if !suites.tls12.isEmpty {
                let list = suites.tls12.joined(separator: ":")
                isSet = unsafe isSet && SSL_CTX_set_cipher_list(context, list) == 1
            }
            guard isSet else {
                throw ErrorQueue.error(.invalidCipherSuite, names.joined(separator: ", "))
            }
        }
        guard oldest <= newest, oldest >= .tls12, newest <= .tls13 else {
            throw TLSError(
                .invalidVersionRange,
                detail: "from \(oldest) to \(newest), after the cipher suites",
                hint: "Allow TLS 1.2, TLS 1.3 or both, with at least one suite for each"
            )
        }
        let context = unsafe handle.pointer
        guard unsafe cssl_ctx_set_min_proto_version(context, CInt(oldest.rawValue)) == 1,
            unsafe cssl_ctx_set_max_proto_version(context, CInt(newest.rawValue)) == 1
        else { throw ErrorQueue.error(.invalidVersionRange) }
        return oldest...newest
    }

    func setAlgorithms() throws(TLSError) {
        let context = unsafe handle.pointer
        if let groups = policy.groups {
            let list = groups.joined(separator: ":")
            guard !list.isEmpty, unsafe cssl_ctx_set1_groups_list(context, list) == 1 else {
                throw ErrorQueue.error(.invalidGroup, list.isEmpty ? "the list is empty" : list)
            }
        }
        if let algorithms = policy.signatureAlgorithms {
            let list = algorithms.joined(separator: ":")
            guard !list.isEmpty,
                unsafe cssl_ctx_set1_sigalgs_list(context, list) == 1,
                unsafe cssl_ctx_set1_client_sigalgs_list(context, list) == 1
            else {
                let detail = list.isEmpty ? "the list is empty" : list
                throw ErrorQueue.error(.invalidSignatureAlgorithm, detail)
            }
        }
    }

    /// Refuses suites that are named and cannot be used.
    ///
    /// OpenSSL passes over them: a server that was meant to speak only those would speak nothing,
    /// or only the others. Comes last, since it depends on everything else.
    func checkSuites(_ versions: ClosedRange<ProtocolVersion>) throws(TLSError) {
        guard let names = policy.cipherAlgorithms else { return }
        let suites = try CipherSuiteList(names)
        ErrorQueue.clear()
        guard let ssl = unsafe SSL_new(handle.pointer) else {
            throw ErrorQueue.error(.internalError)
        }
        defer { unsafe SSL_free(ssl) }
        if policy.decisions.contains(.presharedKey) { unsafe admitPresharedKeySuites(ssl) }
        let stack = unsafe SSL_get1_supported_ciphers(ssl)
        defer { unsafe cssl_cipher_stack_free(stack) }
        let usable = Set(
            unsafe (0..<max(0, cssl_cipher_stack_count(stack))).compactMap { place in
                unsafe cssl_cipher_stack_value(stack, place).map { unsafe CipherSuite($0).name }
            }
        )
        let wanted =
            (versions.upperBound >= .tls13 ? suites.tls13 : [])
            + (versions.lowerBound <= .tls12 ? suites.tls12 : [])
        guard let unusable = wanted.first(where: { !usable.contains($0) }) else { return }
        throw TLSError(
            .invalidCipherSuite,
            detail: "\(unusable) cannot be used",
            hint: "It is below this system's security level, or needs a preshared key"
        )
    }

    func setIdentities(_ identities: [TLSIdentity]) throws(TLSError) {
        let context = unsafe handle.pointer
        var types: Set<String> = []
        for identity in identities {
            // OpenSSL has one place for each type, whatever the curve: the second would replace
            // the first.
            let type = identity.certificate.publicKey.type
            guard types.insert(type).inserted else {
                throw TLSError(
                    .invalidCertificate,
                    detail: "two identities have keys of type \(type)",
                    hint: "Give one identity for each type of key"
                )
            }
            ErrorQueue.clear()
            // A key too small for the security level is refused here, with OpenSSL's reason.
            guard
                unsafe SSL_CTX_use_certificate(context, identity.certificate.handle.pointer) == 1
            else { throw ErrorQueue.error(.invalidCertificate, identity.certificate.shortName) }
            guard unsafe SSL_CTX_use_PrivateKey(context, identity.key.pointer) == 1 else {
                throw ErrorQueue.error(.invalidPrivateKey, identity.certificate.shortName)
            }
            for certificate in identity.certificateChain.dropFirst() {
                let added = unsafe cssl_ctx_add1_chain_cert(context, certificate.handle.pointer)
                guard added == 1 else {
                    throw ErrorQueue.error(.invalidCertificate, certificate.shortName)
                }
            }
        }
    }

    /// Sets whom to trust.
    ///
    /// - Returns: Whether there is any anchor; always, unless the policy accepts anything.
    func setTrust(_ trust: TrustPolicy) throws(TLSError) -> Bool {
        let context = unsafe handle.pointer
        try checkPins(trust)
        try setTLSARecords(trust)
        let hasAnchors = try setAnchors(trust)
        let parameters = unsafe SSL_CTX_get0_param(context)
        var flags = UInt(X509_V_FLAG_TRUSTED_FIRST)
        if trust.strictness == .strict { flags |= UInt(X509_V_FLAG_X509_STRICT) }
        // A certificate that was named as an anchor is one, whoever issued it.
        if case .certificates(let anchors) = trust.anchors {
            flags |= UInt(X509_V_FLAG_PARTIAL_CHAIN)
            if role == .server, !trust.isPinned { setAcceptableAuthorities(anchors) }
        }
        unsafe X509_VERIFY_PARAM_set_flags(parameters, flags)
        if let time = trust.verificationTime {
            unsafe X509_VERIFY_PARAM_set_time(parameters, Int(time.seconds))
        }
        unsafe SSL_CTX_set_cert_verify_callback(context, verifyPeer, nil)
        if role == .client { unsafe cssl_ctx_set_status_callback(context, judgeStaple) }
        let mode =
            switch (role, policy.clientAuthentication) {
            case (.client, _), (.server, .request): SSL_VERIFY_PEER
            case (.server, .require): SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
            case (.server, .none): SSL_VERIFY_NONE
            }
        unsafe SSL_CTX_set_verify(context, mode, nil)
        return hasAnchors
    }

    private func setAnchors(_ trust: TrustPolicy) throws(TLSError) -> Bool {
        // Pins that stand for the chain need none.
        guard !trust.isPinned else { return true }
        // Nor do records that stand in their place.
        let records = trust.activeTLSARecords
        guard records.isEmpty || records.contains(where: { $0.usage.needsAnchors }) else {
            return true
        }
        do throws(TLSError) {
            let store = try TrustStore.store(for: trust.anchors)
            unsafe cssl_ctx_set1_cert_store(handle.pointer, store.pointer)
            return true
        } catch {
            // Who takes nothing but keys has nothing to verify.
            let isSpared = trust.acceptsAnything != nil || demandsPresharedKey
            guard isSpared, error.code == .emptyTrustStore else { throw error }
            return false
        }
    }

    /// Tells clients whose certificates are welcome (RFC 8446 §4.2.4).
    private func setAcceptableAuthorities(_ anchors: [Certificate]) {
        guard let names = unsafe cssl_x509_name_stack_new() else { return }
        for anchor in anchors {
            let subject = unsafe X509_get_subject_name(anchor.handle.pointer)
            if let copy = unsafe X509_NAME_dup(subject) {
                unsafe cssl_x509_name_stack_push(names, copy)
            }
        }
        unsafe SSL_CTX_set_client_CA_list(handle.pointer, names)
    }

    func setApplicationProtocols() throws(TLSError) -> ApplicationProtocolPreferences? {
        guard !policy.alpn.isEmpty else {
            guard !policy.alpnRequired else {
                throw TLSError(
                    .invalidApplicationProtocol,
                    detail: "ALPN is required and no protocol is given"
                )
            }
            return nil
        }
        let limit = policy.limits.alpnListBytes
        let wire = try ApplicationProtocolList.wireForm(of: policy.alpn, limit: limit)
        let context = unsafe handle.pointer
        switch role {
        case .client:
            guard unsafe SSL_CTX_set_alpn_protos(context, wire, CUnsignedInt(wire.count)) == 0
            else {
                throw ErrorQueue.error(.invalidApplicationProtocol)
            }
            return nil
        case .server:
            let preferences = ApplicationProtocolPreferences(wireForm: wire)
            let pointer = unsafe Unmanaged.passUnretained(preferences).toOpaque()
            unsafe SSL_CTX_set_alpn_select_cb(context, selectApplicationProtocol, pointer)
            if policy.alpnRequired, !policy.decisions.contains(.clientHello) {
                unsafe SSL_CTX_set_client_hello_cb(context, requireApplicationProtocol, nil)
            }
            return preferences
        }
    }

    /// Sets where staples come from.
    func setStaples(_ staples: OCSPStapleShelf) {
        let context = unsafe handle.pointer
        let pointer = unsafe Unmanaged.passUnretained(staples).toOpaque()
        unsafe cssl_ctx_set_status_argument(context, pointer)
        unsafe cssl_ctx_set_status_callback(context, giveStaple)
    }

    /// Sets tickets, and the context in which sessions may be resumed.
    func setSessions(trust: TrustPolicy) throws(TLSError) {
        try setSessionTimeout()
        guard role == .server else { return }
        setTicketCallbacks()
        let context = unsafe handle.pointer
        if policy.ticketCount == 0 { unsafe SSL_CTX_set_options(context, cssl_op_no_ticket()) }
        unsafe SSL_CTX_set_num_tickets(context, policy.ticketCount)
        // A session vouches for a client certificate, so it counts only where the same host asked
        // for it under the same trust.
        var label = Array(policy.sessionIDContext.utf8)
        label.append(0)
        label += Array(policy.clientAuthentication.rawValue.utf8)
        if policy.clientAuthentication != .none {
            label.append(0)
            var writer = FactsWriter()
            trust.write(to: &writer)
            label += writer.bytes
        }
        if policy.decisions.contains(.presharedKey) { label += Array("\0preshared key".utf8) }
        let digest = OpenSSLLibrary.sha256(label)
        guard
            unsafe SSL_CTX_set_session_id_context(context, digest, CUnsignedInt(digest.count)) == 1
        else { throw ErrorQueue.error(.internalError) }
    }
}
