// Judging a chain by TLSA records. OpenSSL looks for the match, while it builds the chain
// (`SSL_dane_enable`); what it leaves out of a leaf that is trusted as it stands is looked at here.

import COpenSSL

extension VerificationRecord {
    /// Notes which record OpenSSL's verification went by.
    ///
    /// - Parameters:
    ///   - store: What OpenSSL verified.
    ///   - isInOrder: Whether it did.
    func noteTLSA(_ store: OpaquePointer, isInOrder: Bool) {
        guard usableTLSACount > 0 else { return }
        var verdict = TLSAVerdict(usableCount: usableTLSACount)
        defer { tlsaVerdict = verdict }
        let place = SSL_get_ex_data_X509_STORE_CTX_idx()
        guard isInOrder,
            let ssl = unsafe X509_STORE_CTX_get_ex_data(store, place).map(OpaquePointer.init)
        else { return }
        var numbers: [UInt8] = [0, 0, 0]
        var start: UnsafePointer<UInt8>?
        var count = 0
        let depth = unsafe numbers.withUnsafeMutableBufferPointer { numbers in
            guard let first = numbers.baseAddress else { return CInt(-1) }
            return unsafe SSL_get0_dane_tlsa(ssl, first, first + 1, first + 2, &start, &count)
        }
        guard depth >= 0, let start = unsafe start else { return }
        verdict.depth = Int(depth)
        verdict.match = TLSARecord(
            usage: TLSARecord.Usage(rawValue: numbers[0]),
            selector: TLSARecord.Selector(rawValue: numbers[1]),
            matching: TLSARecord.Matching(rawValue: numbers[2]),
            bytes: unsafe Array(UnsafeBufferPointer(start: start, count: count))
        )
        var authority: OpaquePointer?
        var key: OpaquePointer?
        _ = unsafe SSL_get0_dane_authority(ssl, &authority, &key)
        anchorIsBareKey = unsafe authority == nil && key != nil
    }

    /// What is wrong though OpenSSL accepts the chain; nil when nothing is.
    func tlsaFailure(_ store: OpaquePointer) -> VerificationFailure? {
        guard usableTLSACount > 0 else { return nil }
        guard let leaf = unsafe sentChain(store).first else { return nil }
        guard let match = tlsaVerdict?.match else {
            // OpenSSL finds one or fails; should that change, nobody comes in by it.
            return VerificationFailure(
                code: .tlsaMismatch,
                depth: 0,
                text: "no TLSA record matches",
                certificate: leaf
            )
        }
        guard match.usage == .daneEE else { return nil }
        return unsafe weakKeyFailure(store, leaf)
    }

    /// Refuses a leaf that nothing else is asked of when its key is too small for the security level.
    func weakKeyFailure(_ store: OpaquePointer, _ leaf: Certificate) -> VerificationFailure? {
        let parameters = unsafe X509_STORE_CTX_get0_param(store)
        let level = Int(unsafe X509_VERIFY_PARAM_get_auth_level(parameters))
        let key = unsafe X509_get0_pubkey(leaf.handle.pointer)
        let bits = unsafe key.map { unsafe EVP_PKEY_get_security_bits($0) }
        guard (bits ?? 0) < SecurityLevel.bits(level) else { return nil }
        let code = VerificationCode.leafKeyTooSmall
        return VerificationFailure(
            code: code,
            depth: 0,
            text: code.openSSLText,
            certificate: leaf
        )
    }

    /// The failure of a chain that leads nowhere, where records stand in the place of anchors.
    func tlsaMismatch(_ code: VerificationCode, _ leaf: Certificate?) -> VerificationFailure? {
        guard usableTLSACount > 0, code.saysNoAnchor,
            !trust.activeTLSARecords.contains(where: { $0.usage.needsAnchors })
        else { return nil }
        return VerificationFailure(
            code: .tlsaMismatch,
            depth: 0,
            text: VerificationCode.tlsaMismatch.openSSLText,
            certificate: leaf
        )
    }
}

extension TLSARecord {
    /// Whether a certificate could match: its numbers are known and its data is of their form.
    public var isUsable: Bool {
        guard usage.rawValue <= 3, selector.rawValue <= 1 else { return false }
        switch (matching, selector) {
        case (.sha256, _): return bytes.count == 32
        case (.sha512, _): return bytes.count == 64
        case (.full, .certificate): return (try? Certificate(der: bytes))?.der == bytes
        case (.full, _): return isPublicKey
        default: return false
        }
    }

    /// Whether the data is one SubjectPublicKeyInfo that can be read.
    private var isPublicKey: Bool {
        defer { ErrorQueue.clear() }
        return unsafe bytes.withUnsafeBufferPointer { bytes in
            var cursor = bytes.baseAddress
            guard let key = unsafe d2i_PUBKEY(nil, &cursor, bytes.count) else { return false }
            defer { unsafe EVP_PKEY_free(key) }
            guard let start = bytes.baseAddress, let cursor = unsafe cursor else { return false }
            return unsafe cursor - start == bytes.count
        }
    }
}

extension SSLContextBuilder {
    /// Refuses records that nobody asks for, or that nothing could match, and sets OpenSSL up for them.
    func setTLSARecords(_ trust: TrustPolicy) throws(TLSError) {
        guard let given = trust.tlsaRecords else { return }
        guard role == .client else {
            throw TLSError(
                .invalidTLSARecord,
                detail: "a server verifies nobody by TLSA records",
                hint: "Records speak of servers: leave them out of a listener's trust policy"
            )
        }
        guard !given.records.isEmpty else {
            throw TLSError(
                .invalidTLSARecord,
                detail: "the list of TLSA records is empty",
                hint: "Give at least one, or nil for none"
            )
        }
        guard !given.usable.isEmpty else {
            guard given.fallback == .anchors else {
                throw TLSError(
                    .invalidTLSARecord,
                    detail: "none of \(given.records.count) TLSA records can be used",
                    hint: "Correct the records, or let the fallback be the anchors"
                )
            }
            return
        }
        guard unsafe SSL_CTX_dane_enable(handle.pointer) == 1 else {
            throw ErrorQueue.error(.internalError)
        }
        if !given.checksNameOfEndEntity {
            unsafe SSL_CTX_dane_set_flags(handle.pointer, cssl_dane_no_ee_namechecks())
        }
    }
}

extension SSLConnection {
    /// Gives a connection the records of its context.
    func setTLSARecords(_ records: [TLSARecord]) throws(TLSError) {
        guard !records.isEmpty else { return }
        ErrorQueue.clear()
        // The names are set as without records, behind this.
        guard unsafe SSL_dane_enable(ssl, nil) == 1 else {
            throw ErrorQueue.error(.internalError)
        }
        for record in records {
            let added = unsafe SSL_dane_tlsa_add(
                ssl,
                record.usage.rawValue,
                record.selector.rawValue,
                record.matching.rawValue,
                record.bytes,
                record.bytes.count
            )
            // One that was usable when the context was made is.
            guard added == 1 else { throw ErrorQueue.error(.invalidTLSARecord, "\(record)") }
        }
    }
}
