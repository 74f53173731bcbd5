// Faults of time: too early, too late, at the last moment.

extension CertificateFault {
    static let timeFaults = [
        expired, expiredIntermediate, expiredRoot, notYetValid, notYetValidIntermediate,
        expiresInOneSecond, backwardValidity, farFuture,
    ]

    /// Expired a day ago (`X509_V_ERR_CERT_HAS_EXPIRED`).
    public static let expired = CertificateFault(
        leaf: "expired",
        "the leaf expired a day ago",
        code: 10
    ) { $0.validity = .days(-2 ... -1) }

    /// Issued by an intermediate that expired a day ago.
    public static let expiredIntermediate = CertificateFault(
        "expiredIntermediate",
        "the intermediate expired a day ago",
        code: 10,
        depth: 1
    ) { (stage) throws(TestKitError) in
        let middle = try stage.intermediate { $0.validity = .days(-2 ... -1) }
        return try stage.leaf(below: middle)
    }

    /// Issued by a root that expired a day ago, and is trusted.
    public static let expiredRoot = CertificateFault(
        "expiredRoot",
        "the trusted root expired a day ago",
        code: 10,
        depth: 1
    ) { (stage) throws(TestKitError) in
        var recipe = CertificateRecipe.authority("Expired Root")
        recipe.validity = .days(-2 ... -1)
        let root = try TestCA(recipe: recipe, now: stage.root.now)
        return stage.scenario(try root.issue(stage.recipe()), anchors: [root])
    }

    /// Valid from tomorrow (`X509_V_ERR_CERT_NOT_YET_VALID`).
    public static let notYetValid = CertificateFault(
        leaf: "notYetValid",
        "the leaf is valid from tomorrow",
        code: 9
    ) { $0.validity = .days(1...2) }

    /// Issued by an intermediate that is valid from tomorrow.
    public static let notYetValidIntermediate = CertificateFault(
        "notYetValidIntermediate",
        "the intermediate is valid from tomorrow",
        code: 9,
        depth: 1
    ) { (stage) throws(TestKitError) in
        try stage.leaf(below: try stage.intermediate { $0.validity = .days(1...2) })
    }

    /// Valid for one more second of the scenario's time: still accepted.
    public static let expiresInOneSecond = CertificateFault(
        leaf: "expiresInOneSecond",
        "the leaf has one second left",
        code: 0
    ) { $0.validity = .seconds(-3600...1) }

    /// Ends before it begins.
    public static let backwardValidity = CertificateFault(
        leaf: "backwardValidity",
        "the leaf's validity ends before it begins",
        code: 9
    ) {
        $0.validity = Validity(
            notBefore: .relative(seconds: 86_400),
            notAfter: .relative(seconds: -86_400)
        )
    }

    /// Valid without end as RFC 5280 §4.1.2.5 writes it: the last second of the year 9999.
    public static let farFuture = CertificateFault(
        leaf: "farFuture",
        "the leaf is valid until the end of the year 9999",
        code: 0
    ) {
        $0.validity = Validity(
            notBefore: .relative(seconds: -3600),
            notAfter: .absolute(unixSeconds: 253_402_300_799)
        )
    }
}
