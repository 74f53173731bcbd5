// OCSP responses: right, refusing, and wrong in one way each.

internal import TLSEngine

extension RevocationFault {
    static let ocspFaults = [
        ocspGood, ocspRevoked, ocspUnknown, ocspTryLater, ocspUnauthorized, ocspStale, ocspFuture,
        ocspWrongSerial, ocspWrongIssuer, ocspByStranger, ocspByDelegate, ocspByImpostor,
        ocspByForeignDelegate, ocspNonceMissing, ocspNonceMismatched, ocspGarbage, ocspEmpty,
        ocspHollow,
    ]

    /// Not revoked.
    public static let ocspGood = RevocationFault(
        ocsp: "ocspGood",
        "the responder says good",
        .good
    ) { (stage) throws(TestKitError) in try stage.answer() }

    /// Revoked an hour ago.
    public static let ocspRevoked = RevocationFault(
        ocsp: "ocspRevoked",
        "the responder says revoked",
        .revoked,
        client: .revoked
    ) { (stage) throws(TestKitError) in
        try stage.answer(.revoked(reason: .keyCompromise))
    }

    /// The responder does not know the certificate.
    public static let ocspUnknown = RevocationFault(
        ocsp: "ocspUnknown",
        "the responder says unknown",
        .unknown,
        client: .stapleStatusUnknown
    ) { (stage) throws(TestKitError) in try stage.answer(.unknown) }

    /// The responder is busy.
    public static let ocspTryLater = RevocationFault(
        ocsp: "ocspTryLater",
        "the responder says tryLater",
        .undetermined,
        client: .stapleTryLater
    ) { (stage) throws(TestKitError) in stage.answer(.tryLater) }

    /// The responder is not responsible.
    public static let ocspUnauthorized = RevocationFault(
        ocsp: "ocspUnauthorized",
        "the responder says unauthorized",
        .undetermined,
        client: .stapleUnauthorized
    ) { (stage) throws(TestKitError) in stage.answer(.unauthorized) }

    /// Newer information is overdue.
    public static let ocspStale = RevocationFault(
        ocsp: "ocspStale",
        "the response is out of date",
        .undetermined,
        client: .stapleExpired
    ) { (stage) throws(TestKitError) in
        try stage.answer { recipe in
            recipe.producedAt = .relative(seconds: -172_800)
            recipe.singles[0].thisUpdate = .relative(seconds: -172_800)
            recipe.singles[0].nextUpdate = .relative(seconds: -86_400)
        }
    }

    /// A response of tomorrow.
    public static let ocspFuture = RevocationFault(
        ocsp: "ocspFuture",
        "the response is of tomorrow",
        .undetermined,
        client: .stapleNotYetValid
    ) { (stage) throws(TestKitError) in
        try stage.answer { recipe in
            recipe.producedAt = .relative(seconds: 86_400)
            recipe.singles[0].thisUpdate = .relative(seconds: 86_400)
            recipe.singles[0].nextUpdate = .relative(seconds: 172_800)
        }
    }

    /// About another certificate of the same issuer.
    public static let ocspWrongSerial = RevocationFault(
        ocsp: "ocspWrongSerial",
        "the response is about another serial number",
        .undetermined,
        client: .stapleOfAnotherCertificate
    ) { (stage) throws(TestKitError) in
        try stage.answer { $0.singles[0].id.serial = [0x42] }
    }

    /// About a certificate of the same number of another issuer.
    public static let ocspWrongIssuer = RevocationFault(
        ocsp: "ocspWrongIssuer",
        "the response is about another issuer",
        .undetermined,
        client: .stapleOfAnotherCertificate
    ) { (stage) throws(TestKitError) in
        try stage.answer { recipe in
            let count = recipe.singles[0].id.issuerKeyHash.count
            recipe.singles[0].id.issuerKeyHash = [UInt8](repeating: 0, count: count)
        }
    }

    /// Signed by a key nobody knows, under the issuer's name.
    public static let ocspByStranger = RevocationFault(
        ocsp: "ocspByStranger",
        "the response's signature is a stranger's",
        .undetermined,
        client: .stapleBadSignature
    ) { (stage) throws(TestKitError) in try stage.answer { $0.responder = .stranger } }

    /// Signed by a responder whom the issuer delegated: right.
    public static let ocspByDelegate = RevocationFault(
        ocsp: "ocspByDelegate",
        "a delegated responder says good",
        .good
    ) { (stage) throws(TestKitError) in
        let delegate = try stage.authority.issue(.responder("Responder"))
        return try stage.answer { $0.responder = .delegate(delegate) }
    }

    /// Signed by a certificate of the issuer that may not do so (RFC 6960 §4.2.2.2).
    public static let ocspByImpostor = RevocationFault(
        ocsp: "ocspByImpostor",
        "the responder's certificate is not for OCSP",
        .undetermined,
        client: .stapleResponderNotAuthorized
    ) { (stage) throws(TestKitError) in
        let impostor = try stage.authority.issue(.responder("Impostor", isAuthorized: false))
        return try stage.answer { $0.responder = .delegate(impostor) }
    }

    /// Signed by a delegated responder of another issuer.
    public static let ocspByForeignDelegate = RevocationFault(
        ocsp: "ocspByForeignDelegate",
        "the responder is another issuer's",
        .undetermined,
        client: .stapleResponderNotAuthorized
    ) { (stage) throws(TestKitError) in
        let other = try TestCA(name: "Unrelated", now: stage.authority.now)
        let foreigner = try other.issue(.responder("Foreigner"))
        return try stage.answer { $0.responder = .delegate(foreigner) }
    }

    /// Without the request's nonce, which responders may leave out (RFC 5019 §4).
    public static let ocspNonceMissing = RevocationFault(
        ocsp: "ocspNonceMissing",
        "the response has no nonce",
        .good
    ) { (stage) throws(TestKitError) in try stage.answer { $0.nonce = nil } }

    /// With another nonce than the request's: an old response, sent again.
    public static let ocspNonceMismatched = RevocationFault(
        ocsp: "ocspNonceMismatched",
        "the response has another nonce",
        .undetermined
    ) { (stage) throws(TestKitError) in
        try stage.answer { $0.nonce = [UInt8](repeating: 0, count: 16) }
    }

    /// Something that is no response.
    public static let ocspGarbage = RevocationFault(
        ocsp: "ocspGarbage",
        "the response is none",
        .undetermined,
        client: .stapleMalformed
    ) { (stage) throws(TestKitError) in stage.answer(.garbage) }

    /// Nothing.
    public static let ocspEmpty = RevocationFault(
        ocsp: "ocspEmpty",
        "the response is empty",
        .undetermined,
        client: .revocationUnknown
    ) { (stage) throws(TestKitError) in stage.answer(.empty) }

    /// A success that says nothing.
    public static let ocspHollow = RevocationFault(
        ocsp: "ocspHollow",
        "the response is a success without contents",
        .undetermined,
        client: .stapleMalformed
    ) { (stage) throws(TestKitError) in stage.answer(.hollow) }
}
