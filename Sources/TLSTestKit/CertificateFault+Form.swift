// Faults of form: what RFC 5280 forbids and many verifiers let pass.

internal import TLSEngine

extension CertificateFault {
    static let formFaults = [
        version1, negativeSerial, zeroSerial, longSerial, serialOf20, uncriticalName,
        pathLengthOnLeaf, leafMaySignCertificates, missingAuthorityKeyIdentifier,
        wrongAuthorityKeyIdentifier, missingSubjectKeyIdentifier, caWithoutKeyUsage,
        emptyIssuer, duplicateExtension,
    ]

    /// Version 1, which has no extensions and so no names (`X509_V_ERR_HOSTNAME_MISMATCH`).
    public static let version1 = CertificateFault(
        leaf: "version1",
        "the leaf is a certificate of version 1",
        code: 62
    ) { $0.version = 1 }

    /// A negative serial number (RFC 5280 §4.1.2.2).
    public static let negativeSerial = CertificateFault(
        leaf: "negativeSerial",
        "the serial number is negative",
        code: 0,
        .refused(.invalidSerialNumber)
    ) { $0.serial = .octets([0xFF, 0x01]) }

    /// The serial number zero.
    public static let zeroSerial = CertificateFault(
        leaf: "zeroSerial",
        "the serial number is zero",
        code: 0,
        .refused(.invalidSerialNumber)
    ) { $0.serial = .octets([0]) }

    /// A serial number of 21 bytes.
    public static let longSerial = CertificateFault(
        leaf: "longSerial",
        "the serial number has 21 bytes",
        code: 0,
        .refused(.invalidSerialNumber)
    ) { $0.serial = .octets([UInt8](repeating: 0x55, count: 21)) }

    /// A serial number of 20 bytes: the most.
    public static let serialOf20 = CertificateFault(
        leaf: "serialOf20",
        "the serial number has 20 bytes",
        code: 0
    ) { $0.serial = .octets([UInt8](repeating: 0x55, count: 20)) }

    /// No subject, and names that are not critical (RFC 5280 §4.2.1.6).
    public static let uncriticalName = CertificateFault(
        leaf: "uncriticalName",
        "the subject is empty, the names are not critical",
        code: 88
    ) {
        $0.subject = []
        $0.isSubjectAltNameCritical = .exactly(false)
    }

    /// A path length where there is no authority (RFC 5280 §4.2.1.9).
    public static let pathLengthOnLeaf = CertificateFault(
        leaf: "pathLengthOnLeaf",
        "the leaf has a path length",
        code: 80
    ) { $0.basicConstraints = .init(isAuthority: false, pathLength: 0) }

    /// A key that may sign certificates, and no authority (RFC 5280 §4.2.1.3).
    public static let leafMaySignCertificates = CertificateFault(
        leaf: "leafMaySignCertificates",
        "the leaf's key may sign certificates",
        code: 82
    ) { $0.keyUsage = .exactly([.digitalSignature, .keyCertSign]) }

    /// No authorityKeyIdentifier (RFC 5280 §4.2.1.1).
    public static let missingAuthorityKeyIdentifier = CertificateFault(
        leaf: "missingAuthorityKeyIdentifier",
        "the leaf does not name its issuer's key",
        code: 85
    ) { $0.authorityKeyIdentifier = .omitted }

    /// Another key's identifier: the issuer is not found.
    public static let wrongAuthorityKeyIdentifier = CertificateFault(
        leaf: "wrongAuthorityKeyIdentifier",
        "the leaf names another issuer's key",
        code: 20
    ) { $0.authorityKeyIdentifier = .exactly([1, 2, 3]) }

    /// An authority without subjectKeyIdentifier (RFC 5280 §4.2.1.2).
    public static let missingSubjectKeyIdentifier = CertificateFault(
        "missingSubjectKeyIdentifier",
        "the intermediate does not identify its key",
        code: 86,
        depth: 1
    ) { (stage) throws(TestKitError) in
        let middle = try stage.intermediate { $0.subjectKeyIdentifier = .omitted }
        // Or the leaf would be at fault as well.
        let recipe = try stage.recipe { $0.authorityKeyIdentifier = .exactly([1, 2, 3]) }
        return stage.scenario(try middle.issue(recipe))
    }

    /// An authority without keyUsage (RFC 5280 §4.2.1.3).
    public static let caWithoutKeyUsage = CertificateFault(
        "caWithoutKeyUsage",
        "the intermediate has no keyUsage",
        code: 92,
        depth: 1
    ) { (stage) throws(TestKitError) in
        try stage.leaf(below: try stage.intermediate { $0.keyUsage = .omitted })
    }

    /// An authority without a name (RFC 5280 §4.1.2.4).
    public static let emptyIssuer = CertificateFault(
        "emptyIssuer",
        "the intermediate has no name",
        code: 83
    ) { (stage) throws(TestKitError) in
        try stage.leaf(below: try stage.intermediate { $0.subject = [] })
    }

    /// The alternative names twice (RFC 5280 §4.2); for OpenSSL nobody issued it.
    public static let duplicateExtension = CertificateFault(
        leaf: "duplicateExtension",
        "the leaf has its names twice",
        code: 20,
        versions: [.tls13]
    ) { recipe in
        // One dNSName of "b.test", as a whole extension.
        let names: [UInt8] = [0x30, 0x08, 0x82, 0x06] + Array("b.test".utf8)
        recipe.extraExtensions = [.init(oid: "2.5.29.17", der: names)]
    }
}
