// Why a certificate was refused: OpenSSL's X509_V_ERR codes and the package's own rules in one
// number space, with the depth and the certificate they speak of.

/// A code for one way to fail certificate verification.
///
/// Values below 1000 are OpenSSL's `X509_V_ERR_…`; values from 1000 on are this package's rules.
public struct VerificationCode: RawRepresentable, Hashable, Sendable {
    /// The number.
    public var rawValue: Int32

    /// Makes a code from its number.
    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// Everything is in order (`X509_V_OK`).
    public static let ok = VerificationCode(rawValue: 0)
    /// The issuer of a certificate is not known.
    public static let unableToGetIssuer = VerificationCode(rawValue: 2)
    /// A signature does not verify.
    public static let badSignature = VerificationCode(rawValue: 7)
    /// The validity has not begun.
    public static let notYetValid = VerificationCode(rawValue: 9)
    /// The validity is over.
    public static let expired = VerificationCode(rawValue: 10)
    /// The leaf signs itself and is no anchor.
    public static let selfSignedLeaf = VerificationCode(rawValue: 18)
    /// The chain ends in a root that is no anchor.
    public static let selfSignedInChain = VerificationCode(rawValue: 19)
    /// No anchor or intermediate that issued the certificate was found.
    public static let unableToGetIssuerLocally = VerificationCode(rawValue: 20)
    /// The chain is one certificate whose issuer is unknown.
    public static let unableToVerifyLeaf = VerificationCode(rawValue: 21)
    /// The chain is longer than allowed.
    public static let chainTooLong = VerificationCode(rawValue: 22)
    /// A CA is further up the chain than the path length of one above it allows.
    public static let pathLengthExceeded = VerificationCode(rawValue: 25)
    /// A CA issued a certificate for a name that its constraints do not permit.
    public static let nameNotPermitted = VerificationCode(rawValue: 47)
    /// A CA issued a certificate for a name that its constraints exclude.
    public static let nameExcluded = VerificationCode(rawValue: 48)
    /// A certificate signs another and is no CA.
    public static let invalidCA = VerificationCode(rawValue: 79)
    /// The certificate may not be used for this purpose.
    public static let invalidPurpose = VerificationCode(rawValue: 26)
    /// A critical extension is not understood.
    public static let unhandledCriticalExtension = VerificationCode(rawValue: 34)
    /// The certificate is for another DNS name.
    public static let hostnameMismatch = VerificationCode(rawValue: 62)
    /// The certificate is for another IP address.
    public static let ipAddressMismatch = VerificationCode(rawValue: 64)
    /// No certificate matches a TLSA record of the trust policy, see ``TLSARecords``.
    public static let tlsaMismatch = VerificationCode(rawValue: 65)
    /// The leaf's key is too small for the security level.
    public static let leafKeyTooSmall = VerificationCode(rawValue: 66)
    /// An issuer's key is too small for the security level.
    public static let issuerKeyTooSmall = VerificationCode(rawValue: 67)
    /// A signature's hash is too weak for the security level.
    public static let hashTooWeak = VerificationCode(rawValue: 68)

    /// A CA certificate is used as leaf, and is not itself the anchor.
    public static let leafIsCA = VerificationCode(rawValue: 1001)
    /// The serial number is zero, negative or longer than 20 bytes (RFC 5280 §4.1.2.2).
    public static let invalidSerialNumber = VerificationCode(rawValue: 1002)
    /// The subject is empty and the subject alternative name is not critical (RFC 5280 §4.2.1.6).
    public static let alternativeNameNotCritical = VerificationCode(rawValue: 1003)
    /// A DNS name is not written in A-labels (RFC 5280 §7.2).
    public static let nameNotInALabels = VerificationCode(rawValue: 1004)
    /// There is no trust anchor at all; reported under ``TrustPolicy/acceptAnything(because:)``,
    /// since another policy without anchors makes no context.
    public static let noAnchors = VerificationCode(rawValue: 1005)
    /// The leaf's key usage does not allow the signature that the handshake needs
    /// (RFC 8446 §4.4.2.2, RFC 5246 §7.4.2).
    public static let keyMayNotSign = VerificationCode(rawValue: 1006)
    /// The certificate demands a stapled OCSP response, and none came (RFC 7633).
    public static let stapleMissing = VerificationCode(rawValue: 1007)
    /// A key in the chain is of a kind that TLS 1.3 has no signatures of: DSA (RFC 8446 §4.2.3).
    public static let obsoleteKey = VerificationCode(rawValue: 1008)
    /// No certificate matches a pin of the trust policy, see ``CertificatePins``.
    public static let pinMismatch = VerificationCode(rawValue: 1009)
}

extension VerificationCode {
    /// Whether the number is one of `X509_V_ERR_…`.
    var isOfOpenSSL: Bool { rawValue < 1000 }

    /// Whether the chain was sound as far as it went, and ended at nothing trusted.
    var saysNoAnchor: Bool {
        switch self {
        case .unableToGetIssuer, .unableToGetIssuerLocally, .unableToVerifyLeaf, .selfSignedLeaf,
            .selfSignedInChain:
            true
        default: false
        }
    }
}

/// Why a certificate was refused.
public struct VerificationFailure: Hashable, Sendable {
    /// The rule that was broken.
    public var code: VerificationCode
    /// Which certificate: 0 is the leaf, counted towards the anchor.
    public var depth: Int
    /// The rule in words.
    public var text: String
    /// The certificate that broke it.
    public var certificate: Certificate?
    /// The name that was asked for, when a name did not match.
    public var expectedName: String?

    /// Makes a failure.
    public init(
        code: VerificationCode,
        depth: Int,
        text: String,
        certificate: Certificate? = nil,
        expectedName: String? = nil
    ) {
        self.code = code
        self.depth = depth
        self.text = text
        self.certificate = certificate
        self.expectedName = expectedName
    }
}

extension VerificationFailure: CustomStringConvertible {
    /// One line: rule, depth and subject.
    public var description: String {
        var line = "\(text) at depth \(depth)"
        if let certificate { line += " (\(certificate.shortName))" }
        if let expectedName { line += ", expected \(expectedName)" }
        return line
    }
}

extension VerificationFailure {
    /// What would cure it, in one sentence, where that is known.
    var hint: String? {
        switch code {
        case .unableToGetIssuer, .unableToGetIssuerLocally, .unableToVerifyLeaf:
            "Trust the issuing root as an anchor, or have the peer send its intermediates"
        case .selfSignedLeaf:
            "Trust exactly this certificate as an anchor if it is meant to be trusted"
        case .selfSignedInChain:
            "Trust the root at the end of the chain as an anchor"
        case .expired: "Renew the certificate, or check the clock"
        case .notYetValid: "Check the clock of this machine and of the issuer"
        case .hostnameMismatch, .ipAddressMismatch: nameHint
        case .badSignature:
            "The issuer's key did not sign it: look for a namesake among the issuers"
        case .chainTooLong: "Shorten the chain, or raise the limit of its depth"
        case .pathLengthExceeded, .invalidCA:
            "Have it issued by a CA that may issue it: CA:TRUE, keyCertSign, and a path length"
        case .nameNotPermitted, .nameExcluded:
            "Have it issued by a CA whose name constraints allow its names"
        case .invalidPurpose: "Issue it with the extended key usage of its role"
        case .leafIsCA:
            "Issue a leaf with CA:FALSE, or trust exactly this certificate as an anchor"
        case .noAnchors: "Install ca-certificates, or give anchors in the trust policy"
        case .unhandledCriticalExtension:
            "Issue it anew without the extension, or with the extension not critical"
        case .leafKeyTooSmall, .issuerKeyTooSmall, .hashTooWeak, .obsoleteKey:
            "Issue it anew with a current key and hash"
        case .keyMayNotSign: "Issue it with the key usage digitalSignature"
        case .pinMismatch:
            certificate.map {
                "The leaf's fingerprint is \($0.fingerprint()): ask its owner before it is pinned"
            }
        case .tlsaMismatch:
            certificate.map {
                "The leaf's record is \(TLSARecord(usage: .daneEE, of: $0)): compare it with the zone"
            }
        case .stapleMissing:
            "Have the server staple, or issue the certificate without the TLS feature extension"
        case .invalidSerialNumber, .alternativeNameNotCritical, .nameNotInALabels:
            "The certificate breaks RFC 5280; issue it anew"
        default:
            (80...94).contains(code.rawValue)
                ? "The certificate breaks RFC 5280; issue it anew, or make the trust policy lenient"
                : code.revocationHint
        }
    }

    private var nameHint: String {
        guard let certificate else { return "The certificate is for another name" }
        let names = certificate.subjectAlternativeNames
        guard !names.isEmpty else {
            return "The certificate has no subject alternative name; a common name is not matched"
        }
        let shown = names.prefix(5).map(\.description).joined(separator: ", ")
        return "The certificate is for \(shown)\(names.count > 5 ? ", …" : "")"
    }
}
