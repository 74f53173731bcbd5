// Judging a chain by pins: in place of OpenSSL's path validation, or behind it.

import COpenSSL

extension VerificationRecord {
    /// Judges the leaf by pins that stand for the chain (``CertificatePins/Mode/replace``).
    ///
    /// - Returns: What is wrong with it; nil when it matches.
    func pinnedLeafFailure(_ store: OpaquePointer, _ pins: CertificatePins) -> VerificationFailure?
    {
        guard let pointer = unsafe X509_STORE_CTX_get0_cert(store) else {
            return VerificationFailure(
                code: .pinMismatch,
                depth: 0,
                text: "there is no certificate"
            )
        }
        let leaf = Certificate(unsafe X509Handle(sharing: pointer))
        let verdict = pins.verdict(on: [leaf])
        pinVerdict = verdict
        guard verdict.match != nil else { return pinFailure([leaf]) }
        if let code = leaf.datesProblem(at: trust.time) {
            return VerificationFailure(
                code: code,
                depth: 0,
                text: code.openSSLText,
                certificate: leaf
            )
        }
        if let failure = unsafe weakKeyFailure(store, leaf) { return failure }
        unsafe X509_STORE_CTX_set0_verified_chain(store, cssl_x509_stack_of(pointer))
        unsafe X509_STORE_CTX_set_error(store, X509_V_OK)
        return nil
    }

    /// Looks for pins in a chain that OpenSSL accepts.
    func notePins(_ store: OpaquePointer, _ pins: CertificatePins) {
        let chain = unsafe SSLConnection.certificates(X509_STORE_CTX_get0_chain(store))
        // Those that stand for the chain come here beside TLSA records, and still mean the leaf.
        pinVerdict = pins.verdict(on: pins.mode == .replace ? Array(chain.prefix(1)) : chain)
    }

    /// The failure for a chain that no pin matches, where that counts.
    func pinFailure(_ store: OpaquePointer) -> VerificationFailure? {
        guard let pinVerdict, pinVerdict.match == nil, pinVerdict.mode != .reportOnly else {
            return nil
        }
        return pinFailure(unsafe SSLConnection.certificates(X509_STORE_CTX_get0_chain(store)))
    }

    private func pinFailure(_ chain: [Certificate]) -> VerificationFailure {
        VerificationFailure(
            code: .pinMismatch,
            depth: 0,
            text: "no pin matches",
            certificate: chain.first
        )
    }

    /// Whether exactly this leaf is pinned, so that it may be a CA's.
    var hasPinnedLeaf: Bool { pinVerdict?.depth == 0 && pinVerdict?.mode == .add }
}

extension TrustPolicy {
    /// When certificates must be valid: at the policy's time, or now.
    var time: UnixTime { verificationTime ?? UnixTime.now }
}

extension UnixTime {
    /// The system's clock, read as OpenSSL reads it when it judges a chain.
    package static var now: UnixTime {
        guard let time = unsafe X509_gmtime_adj(nil, 0) else { return UnixTime(seconds: .max) }
        defer { unsafe ASN1_STRING_free(time) }
        return unsafe UnixTime(time)
    }
}

extension Certificate {
    /// What is wrong with the dates; nil within them, the first and last second included.
    func datesProblem(at time: UnixTime) -> VerificationCode? {
        if time < notBefore { return .notYetValid }
        return time > notAfter ? .expired : nil
    }
}

extension VerificationCode {
    /// OpenSSL's words for one of its codes.
    var openSSLText: String {
        unsafe X509_verify_cert_error_string(Int(rawValue)).map { unsafe String(cString: $0) }
            ?? "X.509 error \(rawValue)"
    }
}

/// OpenSSL's security levels (`SSL_CTX_set_security_level`).
enum SecurityLevel {
    /// The bits of security that a level asks for, 0...5.
    static func bits(_ level: Int) -> CInt {
        let table: [CInt] = [0, 80, 112, 128, 192, 256]
        return table[min(max(level, 0), table.count - 1)]
    }

    /// The smallest finite field that a level allows, in bits (NIST SP 800-57).
    static func finiteFieldBits(_ level: Int) -> Int {
        let table = [0, 1024, 2048, 3072, 7680, 15360]
        return table[min(max(level, 0), table.count - 1)]
    }
}

extension SSLContextBuilder {
    /// Refuses a list of pins that nothing could match.
    func checkPins(_ trust: TrustPolicy) throws(TLSError) {
        guard let pins = trust.pins, pins.pins.isEmpty else { return }
        throw TLSError(
            .invalidFingerprint,
            detail: "the list of pins is empty",
            hint: "Give at least one, or nil for none"
        )
    }
}
