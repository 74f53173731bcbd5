// Revocation lists: right, revoking, and wrong in one way each.

extension RevocationFault {
    static let listFaults = [
        listGood, listRevoked, listKeyCompromise, listHold, listExpired, listNotYetValid,
        listOfWrongIssuer, listWithBadSignature, listMissing, listUnknownCritical,
        listWithoutNextUpdate,
    ]

    /// A list without the certificate.
    public static let listGood = RevocationFault(
        list: "listGood",
        "the list does not name the certificate",
        .good,
        code: 0
    ) { (stage) throws(TestKitError) in try stage.list() }

    /// A list with the certificate (`X509_V_ERR_CERT_REVOKED`).
    public static let listRevoked = RevocationFault(
        list: "listRevoked",
        "the list names the certificate",
        .revoked,
        code: 23
    ) { (stage) throws(TestKitError) in try stage.list(revokes: true) }

    /// A list with the certificate and a reason.
    public static let listKeyCompromise = RevocationFault(
        list: "listKeyCompromise",
        "the list names the certificate, its key became known",
        .revoked,
        code: 23
    ) { (stage) throws(TestKitError) in
        try stage.list(revokes: true) { $0.entries[0].reason = .keyCompromise }
    }

    /// A list with the certificate on hold: revoked for the time being.
    public static let listHold = RevocationFault(
        list: "listHold",
        "the list has the certificate on hold",
        .revoked,
        code: 23
    ) { (stage) throws(TestKitError) in
        try stage.list(revokes: true) { $0.entries[0].reason = .certificateHold }
    }

    /// A list whose successor is overdue (`X509_V_ERR_CRL_HAS_EXPIRED`).
    public static let listExpired = RevocationFault(
        list: "listExpired",
        "the next list is overdue",
        .undetermined,
        code: 12
    ) { (stage) throws(TestKitError) in
        try stage.list {
            $0.thisUpdate = .relative(seconds: -172_800)
            $0.nextUpdate = .relative(seconds: -86_400)
        }
    }

    /// A list of tomorrow (`X509_V_ERR_CRL_NOT_YET_VALID`).
    public static let listNotYetValid = RevocationFault(
        list: "listNotYetValid",
        "the list is of tomorrow",
        .undetermined,
        code: 11
    ) { (stage) throws(TestKitError) in
        try stage.list {
            $0.thisUpdate = .relative(seconds: 86_400)
            $0.nextUpdate = .relative(seconds: 172_800)
        }
    }

    /// A list of another authority: none for this certificate (`X509_V_ERR_UNABLE_TO_GET_CRL`).
    public static let listOfWrongIssuer = RevocationFault(
        list: "listOfWrongIssuer",
        "the list is another authority's",
        .undetermined,
        code: 3
    ) { (stage) throws(TestKitError) in
        try stage.list(by: try TestCA(name: "Unrelated", now: stage.authority.now))
    }

    /// A list that a stranger signed (`X509_V_ERR_CRL_SIGNATURE_FAILURE`).
    public static let listWithBadSignature = RevocationFault(
        list: "listWithBadSignature",
        "the list's signature is a stranger's",
        .undetermined,
        code: 8
    ) { (stage) throws(TestKitError) in try stage.list { $0.signer = .stranger } }

    /// No list at all (`X509_V_ERR_UNABLE_TO_GET_CRL`).
    public static let listMissing = RevocationFault(
        list: "listMissing",
        "there is no list",
        .undetermined,
        code: 3
    ) { (stage) throws(TestKitError) in stage.scenario }

    /// A list with a critical extension nobody knows (`X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION`).
    public static let listUnknownCritical = RevocationFault(
        list: "listUnknownCritical",
        "the list has an unknown critical extension",
        .undetermined,
        code: 36
    ) { (stage) throws(TestKitError) in
        try stage.list { $0.hasUnknownCriticalExtension = true }
    }

    /// A list that does not say when the next comes, which RFC 5280 §5.1.2.5 forbids.
    public static let listWithoutNextUpdate = RevocationFault(
        list: "listWithoutNextUpdate",
        "the list does not say when the next comes",
        .good,
        code: 0
    ) { (stage) throws(TestKitError) in try stage.list { $0.nextUpdate = nil } }
}
