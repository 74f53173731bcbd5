// Whom to trust: anchors, the name the certificate must be for, the time at which it must be valid,
// and how strictly RFC 5280 is read. There is no "insecure" switch; what is given up carries its
// reason and shows in the report.

/// Whom to trust, and for which name and time.
///
/// The defaults verify against the system's store, the servername, and now, strictly.
public struct TrustPolicy: Hashable, Sendable {
    /// Where trust begins.
    public enum Anchors: Hashable, Sendable {
        /// The system's certificate bundle. An empty one is an error of its own.
        case system
        /// Exactly these; a leaf or intermediate among them is trusted as it stands.
        case certificates([Certificate])
    }

    /// Which name the leaf must be for.
    public enum Name: Hashable, Sendable {
        /// The servername (the remote's name unless another is given).
        case servername
        /// This DNS name or IP address, whatever is sent as servername.
        case name(String)
        /// Any; the reason shows in the report. A server's view of client certificates needs none.
        case unchecked(because: String)
    }

    /// How the rules of RFC 5280 are read.
    public enum Strictness: Hashable, Sendable {
        /// To the letter (`X509_V_FLAG_X509_STRICT` and this package's own rules).
        case strict
        /// As OpenSSL does by default; the reason shows in the report.
        case lenient(because: String)
    }

    /// Where trust begins; the system's store by default.
    public var anchors: Anchors = .system
    /// Which name the leaf must be for; the servername by default.
    public var name: Name = .servername
    /// When the certificates must be valid; nil is now.
    public var verificationTime: UnixTime?
    /// How RFC 5280 is read; to the letter by default.
    public var strictness: Strictness = .strict
    /// Certificates and keys known beforehand, and what they stand for; nil for none.
    public var pins: CertificatePins?
    /// What the DNS says of the server's certificate, and what that stands for; nil for nothing.
    ///
    /// A client's alone: a listener with records is refused.
    public var tlsaRecords: TLSARecords?
    /// What is made of revocation; by default evidence that is at hand must be in order.
    public var revocation = RevocationPolicy()
    /// Set by ``acceptAnything(because:)``: the verdict is reported and not acted on.
    public private(set) var acceptsAnything: String?

    /// Makes the default policy.
    public init() {}

    /// Makes a policy that trusts exactly these certificates.
    public init(anchors certificates: [Certificate]) {
        anchors = .certificates(certificates)
    }

    /// Makes a policy and lets a closure change the defaults.
    public init(_ configure: (inout TrustPolicy) throws -> Void) rethrows {
        try configure(&self)
    }

    /// Lets every certificate pass: for tools that look at what a server presents.
    ///
    /// The certificate is judged all the same, and the verdict stands in the report.
    ///
    /// - Parameter reason: Why, for whoever reads the report.
    /// - Returns: A policy for tools that connect, look and hang up.
    public static func acceptAnything(because reason: String) -> TrustPolicy {
        var policy = TrustPolicy()
        policy.acceptsAnything = reason
        return policy
    }
}
