// What a verified OCSP response says of one certificate (RFC 6960 §4.2).

/// A stapled OCSP response that was verified: its signature, its responder, and the certificate it
/// speaks of.
public struct OCSPStaple: Hashable, Sendable {
    /// What the responder says of the certificate.
    public enum Status: Hashable, Sendable {
        /// It is not revoked as far as is known.
        case good
        /// It was revoked; the reason is a number of RFC 5280 §5.3.1, nil when none is given.
        case revoked(at: UnixTime, reason: Int?)
        /// The responder does not know it.
        case unknown
    }

    /// The response in DER as it came.
    public var der: [UInt8]
    /// What is said of the certificate.
    public var status: Status
    /// When the response was signed.
    public var producedAt: UnixTime
    /// When what it says was known to be true.
    public var thisUpdate: UnixTime
    /// When newer information comes at the latest; nil when the responder does not say.
    public var nextUpdate: UnixTime?
    /// The subject of the responder that the issuer delegated; nil when the issuer signed itself.
    public var delegate: String?
}
