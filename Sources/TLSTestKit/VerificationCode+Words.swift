// What verdicts on a chain mean, in words.

internal import COpenSSL
internal import TLSEngine

extension VerificationCode {
    /// The reason in a few words: OpenSSL's, or ours for what it does not check.
    var words: String {
        switch self {
        case .leafIsCA: "the leaf is an authority"
        case .invalidSerialNumber: "invalid serial number"
        case .alternativeNameNotCritical: "no subject, and names that are not critical"
        case .nameNotInALabels: "a name that is not in A-labels"
        case .noAnchors: "no trust anchors"
        case .keyMayNotSign: "a key that may not sign"
        case .stapleMissing: "the staple is missing"
        case .obsoleteKey: "an obsolete kind of key"
        case _ where rawValue < 1000:
            // The string is static.
            unsafe String(cString: X509_verify_cert_error_string(Int(rawValue)))
        default: "code \(rawValue)"
        }
    }
}
