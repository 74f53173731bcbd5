// Judging the peer's chain: OpenSSL's path validation with strict flags, then the rules that
// DESIGN asks for and OpenSSL does not have. The verdict goes into a record of the connection;
// whether it ends the handshake is the trust policy's choice.

import COpenSSL

/// What was found out about one peer's chain.
///
/// Written during the handshake, under the engine.
final class VerificationRecord {
    let trust: TrustPolicy
    let expectedName: ServerName?
    /// Whether there was any anchor to verify against.
    let hasAnchors: Bool
    /// For a client: what it accepts as the server's application protocol.
    let protocolRule: ApplicationProtocolRule?
    /// Why the handshake ends though the chain is in order.
    var refusal: TLSError?
    /// Set once a chain was judged.
    var wasJudged = false
    /// The first rule that was broken.
    var failure: VerificationFailure?
    /// What the peer sent, leaf first, when a rule was broken: a server's session forgets it.
    var refusedChain: [Certificate] = []
    /// What the pins said; nil without pins, and before they were asked.
    var pinVerdict: PinVerdict?
    /// Whom a client connects to.
    var sessionPeer: SessionPeer?
    /// The session that a client is about to offer.
    var offered: TLSSession?
    /// Why a session that was given is not offered.
    var withheld: SessionObstacle?
    /// The chain of the session that may be resumed; counts only if it is.
    var kept: KeptChain?
    /// When the staple behind that session is over.
    var stapleExpires: UnixTime?
    /// How long a server lets a client's certificate count.
    var sessionTimeout: Duration?
    /// The sessions that came, when somebody asked for them.
    var inbox: SessionInbox?
    /// The leaf when it demands a stapled response.
    private var leafThatWantsStaple: Certificate?
    /// The most bytes of a staple; nil for a server, which gets none.
    let stapleLimit: Int?
    /// What cleared the leaf of revocation so far.
    var evidence: RevocationEvidence?
    /// Whether a list of the leaf's issuer was looked at.
    var hasListForLeaf = false
    /// The staple, once it was verified.
    var staple: OCSPStapleBox?
    /// How many TLSA records verification goes by.
    let usableTLSACount: Int
    /// What they said; nil without any, and before they were asked.
    var tlsaVerdict: TLSAVerdict?
    /// Whether the anchor is a key in a TLSA record, of which no certificate was sent.
    var anchorIsBareKey = false
    /// The list of timestamps that the server said in the handshake; nil when it said none.
    var timestampList: [UInt8]?
    /// Where the owner decides; nil where it does not.
    var deliberation: Deliberation?

    init(
        trust: TrustPolicy,
        hasAnchors: Bool,
        expectedName: ServerName?,
        protocolRule: ApplicationProtocolRule?,
        deliberation: Deliberation? = nil,
        stapleLimit: Int? = nil
    ) {
        self.deliberation = deliberation
        self.trust = trust
        usableTLSACount = trust.tlsaRecords == nil ? 0 : trust.activeTLSARecords.count
        self.stapleLimit = stapleLimit
        self.protocolRule = protocolRule
        self.hasAnchors = hasAnchors
        self.expectedName = expectedName
    }

    /// Judges the chain that OpenSSL is about to verify, and then the application protocol.
    ///
    /// This is the one place where a client can end the handshake with an alert, and in both versions
    /// the protocol is known by then.
    ///
    /// - Parameters:
    ///   - store: What OpenSSL verifies.
    ///   - choice: The server's application protocol; nil for none.
    /// - Returns: Whether the handshake goes on.
    func judge(_ store: OpaquePointer, applicationProtocol choice: String?) -> Bool {
        if let problem = unsafe presharedKeyProblem(store) {
            refusal = problem
            unsafe X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION)
            return false
        }
        guard unsafe judgeChain(store) else { return false }
        guard let problem = protocolRule?.problem(with: choice) else { return true }
        refusal = problem
        // OpenSSL makes handshake_failure of it; no_application_protocol is a server's to say.
        unsafe X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION)
        return false
    }

    private func judgeChain(_ store: OpaquePointer) -> Bool {
        ErrorQueue.clear()
        wasJudged = true
        failure = nil
        leafThatWantsStaple = nil
        pinVerdict = nil
        if let pins = trust.pins, trust.isPinned {
            failure = unsafe pinnedLeafFailure(store, pins)
        } else if unsafe withRevocationLists(store, { unsafe X509_verify_cert(store) }) == 1 {
            if let pins = trust.pins { unsafe notePins(store, pins) }
            unsafe noteTLSA(store, isInOrder: true)
            failure =
                unsafe tlsaFailure(store) ?? brokenRule(store) ?? pinFailure(store)
                ?? clientFailure(store)
        } else {
            unsafe noteTLSA(store, isInOrder: false)
            failure = unsafe openSSLFailure(store)
        }
        ErrorQueue.clear()
        guard let failure else { return true }
        refusedChain = unsafe sentChain(store)
        guard trust.acceptsAnything == nil else {
            unsafe X509_STORE_CTX_set_error(store, X509_V_OK)
            return true
        }
        // OpenSSL chooses the alert by this code.
        let code = failure.code.isOfOpenSSL ? failure.code.rawValue : X509_V_ERR_CERT_REJECTED
        unsafe X509_STORE_CTX_set_error(store, code)
        return false
    }

    /// Judges the end of the server's flight, whose certificate may demand a staple.
    ///
    /// - Parameters:
    ///   - ssl: The connection.
    ///   - response: The staple; nil without one.
    /// - Returns: Whether the handshake goes on.
    func judgeStaple(_ ssl: OpaquePointer, _ response: [UInt8]?) -> Bool {
        // The owner's word on the staple, in TLS 1.3.
        guard deliberation?.refusal == nil else { return false }
        guard failure == nil else {
            unsafe askForStaple(ssl, response)
            return true
        }
        if response == nil, let leaf = leafThatWantsStaple {
            let text = "the certificate demands a stapled OCSP response, and none came"
            failure = failure(.stapleMissing, text, 0, leaf)
        } else {
            failure = unsafe revocationFailure(ssl, response)
        }
        guard failure == nil || trust.acceptsAnything != nil else { return false }
        unsafe askForStaple(ssl, response)
        return true
    }

    /// What revocation makes of a client, of whom no more evidence will come.
    private func clientFailure(_ store: OpaquePointer) -> VerificationFailure? {
        guard stapleLimit == nil, trust.revocation.demand == .require else { return nil }
        return missingEvidence(
            unsafe SSLConnection.certificates(X509_STORE_CTX_get0_chain(store))
        )
    }

    private func openSSLFailure(_ store: OpaquePointer) -> VerificationFailure {
        let number = unsafe X509_STORE_CTX_get_error(store)
        let text = unsafe X509_verify_cert_error_string(Int(number)).map {
            unsafe String(cString: $0)
        }
        // Without a code the validation itself failed, for want of memory for example.
        let code = VerificationCode(rawValue: number == X509_V_OK ? X509_V_ERR_UNSPECIFIED : number)
        if let failure = unsafe tlsaMismatch(code, sentChain(store).first) { return failure }
        guard hasAnchors || !code.saysNoAnchor else {
            return failure(.noAnchors, "there is no trust anchor", 0, unsafe certificate(of: store))
        }
        let isNameMismatch = code == .hostnameMismatch || code == .ipAddressMismatch
        return VerificationFailure(
            code: code,
            depth: Int(unsafe X509_STORE_CTX_get_error_depth(store)),
            text: text ?? "X.509 error \(number)",
            certificate: unsafe certificate(of: store),
            expectedName: isNameMismatch ? expectedName?.text : nil
        )
    }

    /// What the peer sent, leaf first.
    func sentChain(_ store: OpaquePointer) -> [Certificate] {
        var chain =
            unsafe X509_STORE_CTX_get0_cert(store).map {
                [Certificate(unsafe X509Handle(sharing: $0))]
            } ?? []
        for certificate in unsafe SSLConnection.certificates(X509_STORE_CTX_get0_untrusted(store))
        where certificate != chain.first {
            chain.append(certificate)
        }
        return chain
    }

    /// The certificate that a verdict speaks of.
    private func certificate(of store: OpaquePointer) -> Certificate? {
        unsafe X509_STORE_CTX_get_current_cert(store).map {
            Certificate(unsafe X509Handle(sharing: $0))
        }
    }

    /// The rules of our own, on a chain that OpenSSL accepts; leaf first.
    private func brokenRule(_ store: OpaquePointer) -> VerificationFailure? {
        guard trust.strictness == .strict,
            let stack = unsafe X509_STORE_CTX_get0_chain(store)
        else { return nil }
        let chain = unsafe SSLConnection.certificates(stack)
        // A leaf that is itself an anchor is trusted as it stands. It is the chain's only member,
        // unless its issuer is an anchor too.
        let anchorCount = anchorIsBareKey ? 0 : 1
        guard chain.count > anchorCount, let leaf = chain.first else { return nil }
        if case .certificates(let anchors) = trust.anchors, anchors.contains(leaf) { return nil }
        if leaf.isCA, !hasPinnedLeaf {
            return failure(.leafIsCA, "a CA certificate is used as leaf", 0, leaf)
        }
        if leaf.mayNotSign, unsafe mustSign(store) {
            let text = "the key usage does not allow the signature of the handshake"
            return failure(.keyMayNotSign, text, 0, leaf)
        }
        // The anchor is trusted as it stands; the rules are for what was sent.
        for (depth, certificate) in chain.dropLast(anchorCount).enumerated() {
            if let failure = brokenRule(certificate, depth) { return failure }
        }
        if leaf.subject.isEmpty, !leaf.hasCriticalAlternativeName {
            return failure(
                .alternativeNameNotCritical,
                "the subject is empty and the alternative name is not critical",
                0,
                leaf
            )
        }
        for case .dns(let name) in leaf.subjectAlternativeNames where name.contains("\\x") {
            return failure(
                .nameNotInALabels,
                "a DNS name is not written in A-labels",
                0,
                leaf
            )
        }
        if trust.revocation.demand != .off, leaf.requiresStaple { leafThatWantsStaple = leaf }
        return nil
    }

    /// The rules that hold for every certificate below the anchor.
    private func brokenRule(_ certificate: Certificate, _ depth: Int) -> VerificationFailure? {
        let serial = certificate.serialNumber
        if certificate.hasNegativeSerialNumber || serial.count > 20
            || serial.allSatisfy({ $0 == 0 })
        {
            return failure(
                .invalidSerialNumber,
                "the serial number is not a positive number of at most 20 bytes",
                depth,
                certificate
            )
        }
        if certificate.hasObsoleteKey {
            let text = "the key is of a kind that TLS 1.3 has no signatures of"
            return failure(.obsoleteKey, text, depth, certificate)
        }
        return nil
    }

    /// Whether the peer's key signs the handshake: always, but for TLS 1.2's exchange by RSA.
    private func mustSign(_ store: OpaquePointer) -> Bool {
        let place = SSL_get_ex_data_X509_STORE_CTX_idx()
        guard let ssl = unsafe X509_STORE_CTX_get_ex_data(store, place).map(OpaquePointer.init),
            unsafe SSL_version(ssl) < TLS1_3_VERSION, unsafe SSL_is_server(ssl) == 0,
            let suite = unsafe SSL_get_pending_cipher(ssl)
        else { return true }
        return unsafe SSL_CIPHER_get_kx_nid(suite) != NID_kx_rsa
    }

    private func failure(
        _ code: VerificationCode,
        _ text: String,
        _ depth: Int,
        _ certificate: Certificate?
    ) -> VerificationFailure {
        VerificationFailure(code: code, depth: depth, text: text, certificate: certificate)
    }
}
