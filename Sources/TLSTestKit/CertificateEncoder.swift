/// The issuer as a certificate sees it.
struct Issuer {
    let name: DistinguishedName
    let key: PrivateKey
    /// The issuer's own subjectKeyIdentifier, which is what children repeat.
    let keyIdentifier: [UInt8]?
}

/// A signed certificate and what its issuer must remember of it.
struct EncodedCertificate {
    let der: [UInt8]
    /// The contents octets of the serial number.
    let serial: [UInt8]
    let keyIdentifier: [UInt8]?
}

extension CertificateRecipe {
    /// Writes and signs the certificate (RFC 5280 §4.1).
    ///
    /// - Parameters:
    ///   - key: The subject's key.
    ///   - authority: The issuer; nil for a root, which signs itself.
    ///   - now: The authority's clock in seconds since 1970.
    /// - Returns: The signed certificate.
    /// - Throws: ``TestKitError`` of any code but `.fileSystem`.
    func encode(
        key: PrivateKey,
        authority: Issuer?,
        now: Int64
    ) throws(TestKitError) -> EncodedCertificate {
        guard (1...256).contains(version) else {
            throw TestKitError(.invalidRecipe, "version \(version) is not encodable")
        }
        guard basicConstraints?.pathLength ?? 0 >= 0 else {
            throw TestKitError(.invalidRecipe, "a path length cannot be negative")
        }
        let ownIdentifier: [UInt8]? =
            switch subjectKeyIdentifier {
            case .automatic: version >= 3 ? key.identifier : nil
            case .exactly(let identifier): identifier
            case .omitted: nil
            }
        let issuer = try effectiveIssuer(authority, key, ownIdentifier)
        let algorithm = try issuer.key.signatureAlgorithm(digest)
        let serial = try serialOctets()
        let notBefore = validity.notBefore.unixSeconds(now: now)
        let notAfter = validity.notAfter.unixSeconds(now: now)

        var certificate = DERWriter(capacity: 640)
        try certificate.sequence { (tbs) throws(TestKitError) in
            if version > 1 {
                tbs.constructed(DERWriter.Tag.context(0, isConstructed: true)) { explicit in
                    explicit.integer(version - 1)
                }
            }
            tbs.element(DERWriter.Tag.integer, serial)
            tbs.append(algorithm)
            tbs.append(try (self.issuer ?? issuer.name).encoded())
            try tbs.sequence { (period) throws(TestKitError) in
                try period.time(unixSeconds: notBefore)
                try period.time(unixSeconds: notAfter)
            }
            tbs.append(try subject.encoded())
            tbs.append(key.subjectPublicKeyInfo)
            if version >= 3 {
                try extensions(into: &tbs, key, ownIdentifier, issuer.keyIdentifier)
            }
        }
        let der = try signed(certificate.bytes, algorithm: algorithm, by: issuer.key)
        return EncodedCertificate(der: der, serial: serial, keyIdentifier: ownIdentifier)
    }

    /// Whose name and key stand at the top, after ``signer`` has had its say.
    private func effectiveIssuer(
        _ authority: Issuer?,
        _ key: PrivateKey,
        _ ownIdentifier: [UInt8]?
    ) throws(TestKitError) -> Issuer {
        let itself = Issuer(name: subject, key: key, keyIdentifier: ownIdentifier)
        guard let authority else { return itself }
        switch signer {
        case .authority: return authority
        case .itself: return itself
        case .stranger:
            let kind = authority.key.kind
            let stranger = try KeyPool.shared.key(kind, avoiding: [authority.key, key])
            return Issuer(
                name: authority.name,
                key: stranger,
                keyIdentifier: authority.keyIdentifier
            )
        }
    }

    private func signed(
        _ tbs: [UInt8],
        algorithm: [UInt8],
        by signingKey: PrivateKey
    ) throws(TestKitError) -> [UInt8] {
        let signature = try signingKey.sign(tbs, digest)
        var writer = DERWriter(capacity: tbs.count + algorithm.count + signature.count + 16)
        writer.sequence { certificate in
            certificate.append(tbs)
            certificate.append(algorithm)
            certificate.bitString(signature)
        }
        return writer.bytes
    }

    private func serialOctets() throws(TestKitError) -> [UInt8] {
        switch serial {
        case .octets(let octets): return octets
        case .random:
            var octets = try randomBytes(20)
            octets[0] &= 0x7F
            // The shortest form, which drops leading zero bytes that no sign bit needs.
            while octets.count > 1, octets[0] == 0, octets[1] < 0x80 { octets.removeFirst() }
            return octets
        }
    }
}

extension CertificateRecipe {
    private func extensions(
        into tbs: inout DERWriter,
        _ key: PrivateKey,
        _ ownIdentifier: [UInt8]?,
        _ issuerIdentifier: [UInt8]?
    ) throws(TestKitError) {
        let list = try standardExtensions(key, ownIdentifier, issuerIdentifier) + extraExtensions
        guard !list.isEmpty else { return }
        try tbs.constructed(DERWriter.Tag.context(3, isConstructed: true)) {
            (explicit) throws(TestKitError) in
            try explicit.sequence { (extensions) throws(TestKitError) in
                for item in list {
                    try extensions.certificateExtension(
                        item.oid,
                        isCritical: item.isCritical,
                        item.der
                    )
                }
            }
        }
    }

    private func standardExtensions(
        _ key: PrivateKey,
        _ ownIdentifier: [UInt8]?,
        _ issuerIdentifier: [UInt8]?
    ) throws(TestKitError) -> [CertificateExtension] {
        var list: [CertificateExtension] = []
        func add(
            _ oid: String,
            isCritical: Bool = false,
            _ body: (inout DERWriter) throws(TestKitError) -> Void
        ) throws(TestKitError) {
            var writer = DERWriter()
            try body(&writer)
            list.append(CertificateExtension(oid: oid, isCritical: isCritical, der: writer.bytes))
        }
        if let basicConstraints {
            try add("2.5.29.19", isCritical: true) { $0.basicConstraints(basicConstraints) }
        }
        if let usage = usage(of: key) {
            try add("2.5.29.15", isCritical: true) { $0.keyUsage(usage) }
        }
        if !extendedKeyUsage.isEmpty {
            try add("2.5.29.37") { (writer) throws(TestKitError) in
                try writer.sequence { (purposes) throws(TestKitError) in
                    for purpose in extendedKeyUsage { try purposes.objectIdentifier(purpose.oid) }
                }
            }
        }
        if let ownIdentifier {
            try add("2.5.29.14") { $0.element(DERWriter.Tag.octetString, ownIdentifier) }
        }
        if let identifier = authorityIdentifier(issuerIdentifier) {
            try add("2.5.29.35") { writer in
                writer.sequence { $0.element(DERWriter.Tag.context(0), identifier) }
            }
        }
        if !names.isEmpty {
            try add("2.5.29.17", isCritical: isNameListCritical) { (writer) throws(TestKitError) in
                try writer.sequence { (list) throws(TestKitError) in
                    for name in names { try list.generalName(name) }
                }
            }
        }
        return list
    }

    private func usage(of key: PrivateKey) -> KeyUsage? {
        switch keyUsage {
        case .exactly(let usage): return usage
        case .omitted: return nil
        case .automatic:
            if basicConstraints?.isAuthority == true { return [.keyCertSign, .crlSign] }
            return key.kind.parameters.signing == .rsa
                ? [.digitalSignature, .keyEncipherment] : [.digitalSignature]
        }
    }

    private func authorityIdentifier(_ issuerIdentifier: [UInt8]?) -> [UInt8]? {
        switch authorityKeyIdentifier {
        case .automatic: issuerIdentifier
        case .exactly(let identifier): identifier
        case .omitted: nil
        }
    }

    private var isNameListCritical: Bool {
        if case .exactly(let isCritical) = isSubjectAltNameCritical { return isCritical }
        return subject.attributes.isEmpty
    }
}

extension DERWriter {
    fileprivate mutating func basicConstraints(_ value: CertificateRecipe.BasicConstraints) {
        sequence { constraints in
            if value.isAuthority { constraints.element(Tag.boolean, [0xFF]) }
            if let pathLength = value.pathLength { constraints.integer(pathLength) }
        }
    }

    /// A named bit list: usage 0 is the first byte's top bit, and trailing zero bits are cut
    /// (X.690 §11.2.2).
    fileprivate mutating func keyUsage(_ value: CertificateRecipe.KeyUsage) {
        var octets = [UInt8](repeating: 0, count: 2)
        for usage in 0..<16 where value.rawValue & 1 << usage != 0 {
            octets[usage / 8] |= 0x80 >> UInt8(usage % 8)
        }
        while octets.last == 0 { octets.removeLast() }
        let unusedBits = UInt8(octets.last?.trailingZeroBitCount ?? 0)
        element(Tag.bitString, [unusedBits] + octets)
    }
}
