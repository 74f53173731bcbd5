// Faults of keys and signatures: wrong, weak, or of a kind that TLS has left behind.

internal import TLSEngine

extension CertificateFault {
    static let signatureFaults = [
        badSignature, badIntermediateSignature, wrongKeyForCert, rsa512, rsa1024, p192, dsa, sha1,
        md5, ed25519, rsaPSS,
    ]

    /// A stranger's signature (`X509_V_ERR_CERT_SIGNATURE_FAILURE`).
    public static let badSignature = CertificateFault(
        leaf: "badSignature",
        "the leaf's signature is a stranger's",
        code: 7
    ) { $0.signer = .stranger }

    /// A stranger's signature on the intermediate.
    public static let badIntermediateSignature = CertificateFault(
        "badIntermediateSignature",
        "the intermediate's signature is a stranger's",
        code: 7,
        depth: 1
    ) { (stage) throws(TestKitError) in
        try stage.leaf(below: try stage.intermediate { $0.signer = .stranger })
    }

    /// A server that does not have the certificate's key.
    public static let wrongKeyForCert = CertificateFault(
        "wrongKeyForCert",
        "the server does not have the leaf's key",
        code: 0,
        .handshakeFailed(.protocolViolation)
    ) { (stage) throws(TestKitError) in
        stage.scenario(try stage.root.issue(stage.recipe()).withWrongKey())
    }

    /// A key that a laptop factors (`X509_V_ERR_EE_KEY_TOO_SMALL`).
    public static let rsa512 = CertificateFault(
        leaf: "rsa512",
        "the leaf's key is RSA of 512 bits",
        code: 66,
        versions: [.tls12]
    ) { $0.key = .rsa512 }

    /// A key below today's security level.
    public static let rsa1024 = CertificateFault(
        leaf: "rsa1024",
        "the leaf's key is RSA of 1,024 bits",
        code: 66
    ) { $0.key = .rsa1024 }

    /// Issued by a key on a curve that is too small (`X509_V_ERR_CA_KEY_TOO_SMALL`).
    ///
    /// OpenSSL's servers do not present a leaf on a curve that the client did not offer.
    public static let p192 = CertificateFault(
        "p192",
        "the issuer's key is on P-192",
        code: 67,
        depth: 1
    ) { (stage) throws(TestKitError) in
        try stage.leaf(below: try stage.intermediate { $0.key = .p192 })
    }

    /// Issued by a DSA key, which TLS 1.3 has no signatures of; OpenSSL takes it.
    public static let dsa = CertificateFault(
        "dsa",
        "the issuer's key is DSA of 2,048 bits",
        code: 0,
        .refused(.obsoleteKey, depth: 1)
    ) { (stage) throws(TestKitError) in
        try stage.leaf(below: try stage.intermediate { $0.key = .dsa2048 })
    }

    /// Signed with SHA-1 (`X509_V_ERR_CA_MD_TOO_WEAK`).
    public static let sha1 = CertificateFault(
        "sha1",
        "the leaf is signed with SHA-1",
        code: 68
    ) { (stage) throws(TestKitError) in try stage.signed(with: .sha1) }

    /// Signed with MD5.
    public static let md5 = CertificateFault(
        "md5",
        "the leaf is signed with MD5",
        code: 68
    ) { (stage) throws(TestKitError) in try stage.signed(with: .md5) }

    /// A key of Ed25519: right, and rare.
    public static let ed25519 = CertificateFault(
        leaf: "ed25519",
        "the leaf's key is Ed25519",
        code: 0
    ) { $0.key = .ed25519 }

    /// A key that may only sign RSASSA-PSS: right, and rare.
    public static let rsaPSS = CertificateFault(
        leaf: "rsaPSS",
        "the leaf's key is RSASSA-PSS",
        code: 0
    ) { $0.key = .rsaPSS2048 }
}

extension FaultStage {
    /// A leaf that an RSA authority signed with this digest.
    fileprivate func signed(with digest: SigningDigest) throws(TestKitError) -> FaultScenario {
        let authority = try intermediate { $0.key = .rsa2048 }
        return scenario(try authority.issue(recipe { $0.digest = digest }))
    }
}
