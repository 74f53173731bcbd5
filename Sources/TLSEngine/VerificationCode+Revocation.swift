// The codes of revocation. Lists are OpenSSL's to judge and keep its numbers; staples are judged
// here, one code a reason.

extension VerificationCode {
    /// The issuer has revoked the certificate; a list or a responder says so.
    public static let revoked = VerificationCode(rawValue: 23)
    /// The signature of a revocation list does not verify.
    public static let listBadSignature = VerificationCode(rawValue: 8)
    /// A revocation list is not valid yet.
    public static let listNotYetValid = VerificationCode(rawValue: 11)
    /// The successor of a revocation list is overdue.
    public static let listExpired = VerificationCode(rawValue: 12)
    /// The certificate of a revocation list's issuer was not found.
    public static let listIssuerUnknown = VerificationCode(rawValue: 33)
    /// The key of a revocation list's issuer may not sign lists.
    public static let listIssuerMayNotSign = VerificationCode(rawValue: 35)
    /// A revocation list has a critical extension that is not understood.
    public static let listUnhandledCriticalExtension = VerificationCode(rawValue: 36)

    /// Revocation must be known, and neither a staple nor a list says anything of the certificate.
    public static let revocationUnknown = VerificationCode(rawValue: 1020)
    /// The staple is no OCSP response, or one with parts that cannot be read.
    public static let stapleMalformed = VerificationCode(rawValue: 1021)
    /// The staple is larger than ``TLSLimits/ocspResponseBytes``.
    public static let stapleTooLarge = VerificationCode(rawValue: 1022)
    /// The responder says that it cannot answer now.
    public static let stapleTryLater = VerificationCode(rawValue: 1023)
    /// The responder says that it does not answer for this certificate.
    public static let stapleUnauthorized = VerificationCode(rawValue: 1024)
    /// The responder says that it failed, or did not like the request.
    public static let stapleResponderFailed = VerificationCode(rawValue: 1025)
    /// The signature of the staple does not verify.
    public static let stapleBadSignature = VerificationCode(rawValue: 1026)
    /// The staple is signed by neither the certificate's issuer nor a responder that the issuer
    /// delegated (RFC 6960 §4.2.2.2).
    public static let stapleResponderNotAuthorized = VerificationCode(rawValue: 1027)
    /// The staple speaks of another certificate.
    public static let stapleOfAnotherCertificate = VerificationCode(rawValue: 1028)
    /// The responder says that it does not know the certificate.
    public static let stapleStatusUnknown = VerificationCode(rawValue: 1029)
    /// Newer information than the staple's is overdue.
    public static let stapleExpired = VerificationCode(rawValue: 1030)
    /// The staple is of a time that has not come.
    public static let stapleNotYetValid = VerificationCode(rawValue: 1031)
    /// The staple does not say when the next comes, and is older than
    /// ``RevocationPolicy/maximumAge``.
    public static let stapleTooOld = VerificationCode(rawValue: 1032)
    /// The staple has a critical extension that is not understood.
    public static let stapleUnhandledCriticalExtension = VerificationCode(rawValue: 1033)
    /// The staple is signed with a key or hash below the security level.
    public static let stapleSignatureTooWeak = VerificationCode(rawValue: 1034)

    /// What would cure a failure of revocation, in one sentence.
    var revocationHint: String? {
        switch self {
        case .revoked: "The issuer has revoked it: the peer needs a new certificate"
        case .listBadSignature: "Another key signed the list: get the list of this very issuer"
        case .listNotYetValid, .stapleNotYetValid:
            "Check the clock of this machine and of the issuer"
        case .listExpired: "Get the issuer's current list"
        case .listIssuerUnknown, .listIssuerMayNotSign, .listUnhandledCriticalExtension:
            "Get a list that the certificate's own issuer signed, or take this one out"
        case .revocationUnknown:
            "Have the server staple, give the issuer's revocation list, or require no revocation"
        case .stapleMalformed, .stapleTooLarge, .stapleTryLater, .stapleUnauthorized,
            .stapleResponderFailed, .stapleStatusUnknown, .stapleOfAnotherCertificate,
            .stapleUnhandledCriticalExtension:
            "Have the server staple its responder's answer for this certificate, or nothing"
        case .stapleBadSignature, .stapleResponderNotAuthorized, .stapleSignatureTooWeak:
            "Have the server staple a response that its issuer, or a responder of its issuer, signed"
        case .stapleExpired, .stapleTooOld:
            "The server staples an old response: have it fetch anew, or check the clock"
        default: nil
        }
    }
}
