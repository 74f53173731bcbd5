// Faults of chains: what is missing, too much, in disorder, or endless.

internal import TLSEngine

extension CertificateFault {
    static let chainFaults = [
        selfSigned, unknownCA, untrustedRoot, namesakeCA, missingIntermediate,
        missingUpperIntermediate, reversedChain, extraUnrelatedCert, duplicateIntermediate,
        rootInChain, leafSignsLeaf, pathLength, intermediateNotCA, intermediateWithoutConstraints,
        intermediateMayNotSign, intermediateVersion1, nameConstraintPermitted,
        nameConstraintExcluded, nameConstraintAddress, nameConstraintHonoured, chainOf12,
        chainTooLong, largeChain, oversizedChain, crossSignedExpired, caCycle,
    ]

    /// Signed by itself (`X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT`).
    public static let selfSigned = CertificateFault(
        leaf: "selfSigned",
        "the leaf signed itself",
        code: 18
    ) { $0.signer = .itself }

    /// Issued by an authority that nobody trusts (`X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY`).
    public static let unknownCA = CertificateFault(
        "unknownCA",
        "nobody trusts the issuer",
        code: 20
    ) { (stage) throws(TestKitError) in
        let stranger = try TestCA(name: "Unknown Root", now: stage.root.now)
        return try stage.leaf(below: stranger)
    }

    /// The same with the unknown root in the chain (`X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN`).
    public static let untrustedRoot = CertificateFault(
        "untrustedRoot",
        "the chain ends in a root that nobody trusts",
        code: 19,
        depth: 1
    ) { (stage) throws(TestKitError) in
        let stranger = try TestCA(name: "Unknown Root", now: stage.root.now)
        let leaf = try stranger.issue(stage.recipe())
        return stage.scenario(leaf.presenting(with: [stranger.rootDER]))
    }

    /// Issued by an authority of the trusted root's name, with another key.
    public static let namesakeCA = CertificateFault(
        "namesakeCA",
        "the issuer has only the name of the trusted root",
        code: 20
    ) { (stage) throws(TestKitError) in
        var recipe = CertificateRecipe.authority("")
        recipe.subject = stage.root.identity.subject
        return try stage.leaf(below: try TestCA(recipe: recipe, now: stage.root.now))
    }

    /// The server forgot its intermediate.
    public static let missingIntermediate = CertificateFault(
        "missingIntermediate",
        "the intermediate is not sent",
        code: 20
    ) { (stage) throws(TestKitError) in
        let leaf = try stage.intermediate().issue(stage.recipe())
        return stage.scenario(leaf.presenting(with: []))
    }

    /// The server forgot the upper of two intermediates.
    public static let missingUpperIntermediate = CertificateFault(
        "missingUpperIntermediate",
        "the upper of two intermediates is not sent",
        code: 20,
        depth: 1
    ) { (stage) throws(TestKitError) in
        let lower = try stage.intermediate("Upper").intermediate(name: "Lower")
        let leaf = try lower.issue(stage.recipe())
        return stage.scenario(leaf.presenting(with: [lower.certificateDER]))
    }

    /// Two intermediates in the wrong order, which clients should bear (RFC 8446 §4.4.2).
    public static let reversedChain = CertificateFault(
        "reversedChain",
        "two intermediates in the wrong order",
        code: 0
    ) { (stage) throws(TestKitError) in
        let lower = try stage.intermediate("Upper").intermediate(name: "Lower")
        let leaf = try lower.issue(stage.recipe())
        return stage.scenario(leaf.presenting(with: leaf.chainDER.dropFirst().reversed()))
    }

    /// A certificate that has nothing to do with the others, which clients should bear.
    public static let extraUnrelatedCert = CertificateFault(
        "extraUnrelatedCert",
        "a certificate of another chain is sent as well",
        code: 0
    ) { (stage) throws(TestKitError) in
        let leaf = try stage.intermediate().issue(stage.recipe())
        let other = try TestCA(name: "Unrelated", now: stage.root.now)
        let others = [other.certificateDER] + leaf.chainDER.dropFirst()
        return stage.scenario(leaf.presenting(with: others))
    }

    /// The intermediate twice.
    public static let duplicateIntermediate = CertificateFault(
        "duplicateIntermediate",
        "the intermediate is sent twice",
        code: 0
    ) { (stage) throws(TestKitError) in
        let leaf = try stage.intermediate().issue(stage.recipe())
        let middle = Array(leaf.chainDER.dropFirst())
        return stage.scenario(leaf.presenting(with: middle + middle))
    }

    /// The trusted root is sent as well: superfluous and legal.
    public static let rootInChain = CertificateFault(
        "rootInChain",
        "the trusted root is sent as well",
        code: 0
    ) { (stage) throws(TestKitError) in
        let leaf = try stage.root.issue(stage.recipe())
        return stage.scenario(leaf.presenting(with: [stage.root.rootDER]))
    }

    /// Issued by a leaf (`X509_V_ERR_INVALID_CA`).
    public static let leafSignsLeaf = CertificateFault(
        "leafSignsLeaf",
        "the issuer is a server's certificate",
        code: 79,
        depth: 1
    ) { (stage) throws(TestKitError) in
        let leaf = try stage.root.issue(.server(["issuer.invalid"]))
        let issuer = TestCA(actingAs: leaf, now: stage.root.now)
        return try stage.leaf(below: issuer)
    }

    /// One authority more than the upper one allows (`X509_V_ERR_PATH_LENGTH_EXCEEDED`).
    public static let pathLength = CertificateFault(
        "pathLength",
        "an authority below one that allows none",
        code: 25,
        depth: 2
    ) { (stage) throws(TestKitError) in
        let upper = try stage.root.intermediate(name: "Upper", pathLength: 0)
        return try stage.leaf(below: try upper.intermediate(name: "Lower"))
    }

    /// Issued by one that says it is no authority (`X509_V_ERR_INVALID_CA`).
    public static let intermediateNotCA = CertificateFault(
        "intermediateNotCA",
        "the issuer says it is no authority",
        code: 79,
        depth: 1
    ) { (stage) throws(TestKitError) in
        let middle = try stage.intermediate {
            $0.basicConstraints = .leaf
            $0.keyUsage = .exactly([.keyCertSign, .digitalSignature])
        }
        return try stage.leaf(below: middle)
    }

    /// Issued by one that does not say whether it is an authority.
    public static let intermediateWithoutConstraints = CertificateFault(
        "intermediateWithoutConstraints",
        "the issuer does not say that it is an authority",
        code: 79,
        depth: 1
    ) { (stage) throws(TestKitError) in
        let middle = try stage.intermediate {
            $0.basicConstraints = nil
            $0.keyUsage = .omitted
        }
        return try stage.leaf(below: middle)
    }

    /// Issued by an authority whose key may not sign certificates.
    public static let intermediateMayNotSign = CertificateFault(
        "intermediateMayNotSign",
        "the issuer's key may not sign certificates",
        code: 79,
        depth: 1
    ) { (stage) throws(TestKitError) in
        try stage.leaf(below: try stage.intermediate { $0.keyUsage = .exactly([.crlSign]) })
    }

    /// Issued by a certificate of version 1, which cannot say that it is an authority.
    public static let intermediateVersion1 = CertificateFault(
        "intermediateVersion1",
        "the issuer is a certificate of version 1",
        code: 79,
        depth: 1
    ) { (stage) throws(TestKitError) in
        let middle = try stage.intermediate { $0.version = 1 }
        // Or the leaf would be at fault as well.
        let recipe = try stage.recipe { $0.authorityKeyIdentifier = .exactly([1, 2, 3]) }
        return stage.scenario(try middle.issue(recipe))
    }

    /// A name outside what the authority may issue for (`X509_V_ERR_PERMITTED_VIOLATION`).
    public static let nameConstraintPermitted = CertificateFault(
        "nameConstraintPermitted",
        "the name lies outside what the issuer may issue for",
        code: 47
    ) { (stage) throws(TestKitError) in
        let middle = try stage.intermediate { (recipe) throws(TestKitError) in
            recipe.extraExtensions = [try .nameConstraints(permitted: ["elsewhere.invalid"])]
        }
        return try stage.leaf(below: middle)
    }

    /// A name that the authority must not issue for (`X509_V_ERR_EXCLUDED_VIOLATION`).
    public static let nameConstraintExcluded = CertificateFault(
        "nameConstraintExcluded",
        "the name lies where the issuer may not issue for",
        code: 48
    ) { (stage) throws(TestKitError) in
        let middle = try stage.intermediate { (recipe) throws(TestKitError) in
            recipe.extraExtensions = [try .nameConstraints(excluded: [.dns(stage.host)])]
        }
        return try stage.leaf(below: middle)
    }

    /// An address outside the network that the authority may issue for.
    public static let nameConstraintAddress = CertificateFault(
        "nameConstraintAddress",
        "the address lies outside what the issuer may issue for",
        code: 47
    ) { (stage) throws(TestKitError) in
        let middle = try stage.intermediate { (recipe) throws(TestKitError) in
            recipe.extraExtensions = [try .nameConstraints(permitted: ["10.0.0.0/8"])]
        }
        return stage.scenario(try middle.issue("127.0.0.1"), host: "127.0.0.1")
    }

    /// A name inside what the authority may issue for: right.
    public static let nameConstraintHonoured = CertificateFault(
        "nameConstraintHonoured",
        "the name lies inside what the issuer may issue for",
        code: 0
    ) { (stage) throws(TestKitError) in
        let middle = try stage.intermediate { (recipe) throws(TestKitError) in
            recipe.extraExtensions = [
                try .nameConstraints(
                    permitted: [.dns(stage.host)],
                    excluded: [.dns("b." + stage.host)]
                )
            ]
        }
        return try stage.leaf(below: middle)
    }

    /// Twelve certificates from leaf to root: the most that ``TLSLimits`` allow by default.
    public static let chainOf12 = CertificateFault(
        "chainOf12",
        "twelve certificates from leaf to root",
        code: 0
    ) { (stage) throws(TestKitError) in
        try stage.leaf(below: try stage.tower(of: 10))
    }

    /// One certificate more than ``TLSLimits`` allow by default.
    public static let chainTooLong = CertificateFault(
        "chainTooLong",
        "thirteen certificates from leaf to root",
        code: 0,
        .refused(.chainTooLong, depth: 11)
    ) { (stage) throws(TestKitError) in
        try stage.leaf(below: try stage.tower(of: 11))
    }

    /// Certificates of 96 KB, which fill many records, and are just allowed.
    public static let largeChain = CertificateFault(
        "largeChain",
        "the certificates have 96 KB",
        code: 0
    ) { (stage) throws(TestKitError) in
        stage.scenario(try stage.root.issue(stage.recipe { $0.fill(96_000) }))
    }

    /// More bytes of certificates than ``TLSLimits`` allow by default.
    public static let oversizedChain = CertificateFault(
        "oversizedChain",
        "the certificates have 120 KB",
        code: 0,
        .handshakeFailed(.handshakeMessageTooLarge)
    ) { (stage) throws(TestKitError) in
        stage.scenario(try stage.root.issue(stage.recipe { $0.fill(120_000) }))
    }

    /// An intermediate of two issuers, one of which expired, sent first: as in May 2020.
    public static let crossSignedExpired = CertificateFault(
        "crossSignedExpired",
        "cross-signed, and the branch that is sent has expired",
        code: 0
    ) { (stage) throws(TestKitError) in
        var recipe = CertificateRecipe.authority("Expired Root")
        recipe.validity = .days(-2 ... -1)
        let expired = try TestCA(recipe: recipe, now: stage.root.now)
        var cross = CertificateRecipe.authority("")
        cross.subject = stage.root.identity.subject
        cross.keyHolder = stage.root.identity
        cross.validity = .days(-2 ... -1)
        let crossed = try expired.issue(cross)
        let leaf = try stage.intermediate().issue(stage.recipe())
        let others = Array(leaf.chainDER.dropFirst()) + [crossed.certificateDER]
        return stage.scenario(leaf.presenting(with: others), anchors: [stage.root, expired])
    }

    /// Two authorities that issued each other's certificate, and no root.
    public static let caCycle = CertificateFault(
        "caCycle",
        "two authorities that certify each other",
        code: 20,
        depth: 2
    ) { (stage) throws(TestKitError) in
        let now = stage.root.now
        let first = try TestCA(name: "First", now: now)
        let second = try TestCA(name: "Second", now: now)
        let leaf = try first.issue(stage.recipe())
        let firstBySecond = try second.certify(first)
        let secondByFirst = try first.certify(second)
        return stage.scenario(leaf.presenting(with: [firstBySecond, secondByFirst]))
    }
}

extension FaultStage {
    /// So many authorities one below the other, the lowest of which issues.
    fileprivate func tower(of count: Int) throws(TestKitError) -> TestCA {
        var authority = root
        for level in 0..<count { authority = try authority.intermediate(name: "Level \(level)") }
        return authority
    }
}

extension TestCA {
    /// Another authority's name and key, certified by this one.
    fileprivate func certify(_ other: TestCA) throws(TestKitError) -> [UInt8] {
        var recipe = CertificateRecipe.authority("")
        recipe.subject = other.identity.subject
        recipe.keyHolder = other.identity
        return try issue(recipe).certificateDER
    }
}

extension CertificateRecipe {
    /// Adds an extension of so many bytes that nobody knows or needs.
    fileprivate mutating func fill(_ count: Int) {
        var writer = DERWriter(capacity: count + 8)
        writer.element(DERWriter.Tag.octetString, repeatElement(0, count: count))
        extraExtensions.append(CertificateExtension(oid: "2.25.74656", der: writer.bytes))
    }
}
