// Faults of purpose: certificates for something else, or that may not do what they do.

internal import TLSEngine

extension CertificateFault {
    static let purposeFaults = [
        wrongEKU, anyEKU, noEKU, codeSigningEKU, intermediateWrongEKU, keyUsageMissing,
        keyUsageWithoutSignature, caAsLeaf, caAsServer, unknownCriticalExtension,
        unknownExtension, unknownCriticalInIntermediate, mustStapleWithout, mustStapleWith,
    ]

    /// For clients only (`X509_V_ERR_INVALID_PURPOSE`).
    public static let wrongEKU = CertificateFault(
        leaf: "wrongEKU",
        "the leaf is for clients only",
        code: 26
    ) { $0.extendedKeyUsage = [.clientAuth] }

    /// For any purpose, which RFC 5280 §4.2.1.12 lets verifiers refuse, and OpenSSL does.
    public static let anyEKU = CertificateFault(
        leaf: "anyEKU",
        "the leaf is for anyExtendedKeyUsage only",
        code: 26
    ) { $0.extendedKeyUsage = [.any] }

    /// For no named purpose: legal, and for every purpose.
    public static let noEKU = CertificateFault(
        leaf: "noEKU",
        "the leaf names no purpose",
        code: 0
    ) { $0.extendedKeyUsage = [] }

    /// For signing programs.
    public static let codeSigningEKU = CertificateFault(
        leaf: "codeSigningEKU",
        "the leaf is for signing programs",
        code: 26
    ) { $0.extendedKeyUsage = [.codeSigning] }

    /// Issued by an intermediate whose certificates are for clients only.
    public static let intermediateWrongEKU = CertificateFault(
        "intermediateWrongEKU",
        "the intermediate is for clients only",
        code: 26,
        depth: 1
    ) { (stage) throws(TestKitError) in
        try stage.leaf(below: try stage.intermediate { $0.extendedKeyUsage = [.clientAuth] })
    }

    /// No keyUsage extension: legal.
    public static let keyUsageMissing = CertificateFault(
        leaf: "keyUsageMissing",
        "the leaf has no keyUsage",
        code: 0
    ) { $0.keyUsage = .omitted }

    /// A key that may agree on keys and not sign, and signs (RFC 8446 §4.4.2.2).
    public static let keyUsageWithoutSignature = CertificateFault(
        leaf: "keyUsageWithoutSignature",
        "the leaf's key may not sign",
        code: 0,
        .refused(.keyMayNotSign),
        versions: [.tls13]
    ) { $0.keyUsage = .exactly([.keyAgreement]) }

    /// An authority that serves, with an authority's key usage.
    public static let caAsLeaf = CertificateFault(
        leaf: "caAsLeaf",
        "an authority's certificate serves",
        code: 26,
        versions: [.tls13]
    ) { $0.basicConstraints = .init(isAuthority: true) }

    /// An authority that serves, and whose key may do so.
    public static let caAsServer = CertificateFault(
        leaf: "caAsServer",
        "an authority's certificate serves, and its key may sign",
        code: 0,
        .refused(.leafIsCA)
    ) {
        $0.basicConstraints = .init(isAuthority: true)
        $0.keyUsage = .exactly([.digitalSignature, .keyCertSign])
    }

    /// An unknown critical extension (`X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION`).
    public static let unknownCriticalExtension = CertificateFault(
        leaf: "unknownCriticalExtension",
        "the leaf has an unknown critical extension",
        code: 34
    ) { $0.extraExtensions = [.unknown(isCritical: true)] }

    /// An unknown extension that is not critical: to be passed over.
    public static let unknownExtension = CertificateFault(
        leaf: "unknownExtension",
        "the leaf has an unknown extension",
        code: 0
    ) { $0.extraExtensions = [.unknown(isCritical: false)] }

    /// Issued by an intermediate with an unknown critical extension.
    public static let unknownCriticalInIntermediate = CertificateFault(
        "unknownCriticalInIntermediate",
        "the intermediate has an unknown critical extension",
        code: 34,
        depth: 1
    ) { (stage) throws(TestKitError) in
        let middle = try stage.intermediate { $0.extraExtensions = [.unknown(isCritical: true)] }
        return try stage.leaf(below: middle)
    }

    /// Demands a stapled OCSP response, and comes without (RFC 7633 §4.2.3.1).
    public static let mustStapleWithout = CertificateFault(
        leaf: "mustStapleWithout",
        "the leaf demands a staple that is not there",
        code: 0,
        .refused(.stapleMissing)
    ) { $0.extraExtensions = [.mustStaple] }

    /// Demands a stapled OCSP response, and comes with one.
    public static let mustStapleWith = CertificateFault(
        "mustStapleWith",
        "the leaf demands a staple that is there",
        code: 0
    ) { (stage) throws(TestKitError) in
        let leaf = try stage.root.issue(stage.recipe { $0.extraExtensions = [.mustStaple] })
        return stage.scenario(leaf, staple: try stage.root.ocspAnswer(for: leaf))
    }
}

extension CertificateRecipe.CertificateExtension {
    /// An arc under 2.25, which belongs to UUIDs, holding a DER NULL.
    static func unknown(isCritical: Bool) -> Self {
        Self(oid: "2.25.74656", isCritical: isCritical, der: [0x05, 0x00])
    }
}
