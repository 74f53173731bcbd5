// What two connections must have in common for one to resume the other's session: a digest of policy,
// trust and identity. The same settings give the same digest in another process.

extension TLSContext {
    /// A digest of everything a session stands for: a session made under one is never offered under
    /// another.
    ///
    /// The system's store counts as such, whatever it holds. Times and limits are not in it: they are
    /// looked at by themselves.
    var sessionScope: [UInt8] {
        var writer = FactsWriter()
        writer.append(text: "swift-sockets session scope 1")
        writer.append(versions.lowerBound.rawValue)
        writer.append(versions.upperBound.rawValue)
        for list in [policy.cipherAlgorithms, policy.groups, policy.signatureAlgorithms] {
            writer.append(text: list?.joined(separator: ":") ?? "default")
        }
        writer.append(Int64(diffieHellmanFloor.size))
        writer.append(UInt8(policy.requestsOCSPStaple ? 1 : 0))
        writer.append(Int64(policy.decisions.rawValue))
        if policy.requestsCertificateTimestamps { writer.append(text: "timestamps") }
        for identity in identities { writer.append(bytes: identity.certificate.sha256Fingerprint) }
        trust.write(to: &writer)
        return OpenSSLLibrary.sha256(writer.bytes)
    }
}

extension TrustPolicy {
    /// Writes whom the policy trusts; not the time at which it does, nor its reasons in words.
    func write(to writer: inout FactsWriter) {
        switch anchors {
        case .system: writer.append(text: "system")
        case .certificates(let certificates):
            writer.append(text: "certificates")
            writer.append(UInt32(clamping: certificates.count))
            for certificate in certificates { writer.append(bytes: certificate.sha256Fingerprint) }
        }
        switch name {
        case .servername: writer.append(text: "servername")
        case .name(let name): writer.append(text: "name " + name)
        case .unchecked: writer.append(text: "unchecked")
        }
        switch strictness {
        case .strict: writer.append(text: "strict")
        case .lenient: writer.append(text: "lenient")
        }
        writer.append(UInt8(acceptsAnything == nil ? 0 : 1))
        writer.append(text: revocation.demand.rawValue)
        for list in revocation.lists { writer.append(bytes: list.sha256Fingerprint) }
        write(tlsaRecords, to: &writer)
        guard let pins else { return writer.append(text: "no pins") }
        writer.append(text: pins.mode.rawValue)
        for pin in pins.pins { writer.append(text: pin.description) }
    }

    private func write(_ tlsa: TLSARecords?, to writer: inout FactsWriter) {
        guard let tlsa else { return }
        writer.append(text: "tlsa " + tlsa.fallback.rawValue)
        writer.append(UInt8(tlsa.checksNameOfEndEntity ? 1 : 0))
        writer.append(UInt32(clamping: tlsa.records.count))
        for record in tlsa.records { writer.append(bytes: record.wireForm) }
    }
}
