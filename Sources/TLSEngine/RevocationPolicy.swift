// What is made of revocation: whether it is looked at, which lists are at hand, and how old evidence
// may be. Evidence is of two kinds of equal rank: a stapled OCSP response (RFC 6066 §8), which only
// servers bring, and revocation lists (RFC 5280 §5), which the policy is given.
//
// Rule 1: evidence that is at hand must be in order. A staple that does not verify, or a list of the
// issuer that is out of date, ends the handshake also where nothing is required.
// Rule 2: whoever says revoked is believed, whatever else is said.
// Rule 3: an anchor is trusted as it stands, so nothing is asked about it.

/// What is made of revocation (RFC 5280 §6.3, RFC 6960).
///
/// ```swift
/// trust.revocation = .require                                       // a good staple, or no connection
/// trust.revocation.lists = try CertificateRevocationList.read(pem)  // or a list that clears the leaf
/// ```
public struct RevocationPolicy: Hashable, Sendable {
    /// Whether there must be evidence.
    public enum Demand: String, CaseIterable, Hashable, Sendable {
        /// Nothing is judged, and a certificate's demand for a staple is passed over; the report says
        /// so. A staple that was asked for is reported as it came.
        case off
        /// What is at hand is judged; nothing needs to be.
        case ifPresent
        /// A good staple or a list must clear the leaf. Certificates above it are looked for in the
        /// lists, and pass where there is none of their issuer.
        case require
    }

    /// Whether there must be evidence; `.ifPresent` by default.
    public var demand: Demand = .ifPresent
    /// The revocation lists at hand, of any issuers, in any order; none by default.
    ///
    /// Of several lists of one issuer the newest that is in date counts, and what delta lists in date
    /// revoke beside it; a delta list is no evidence by itself, and lifts no hold. Their dates are held
    /// exactly against the verification time.
    public var lists: [CertificateRevocationList] = []
    /// How far the clocks of this machine and of an OCSP responder may differ; five minutes by
    /// default, and counted in whole seconds.
    public var clockSkew: Duration = .seconds(300)
    /// How old a response may be that does not say when the next one comes; seven days by default,
    /// and counted in whole seconds (RFC 6960 §2.4).
    public var maximumAge: Duration = .seconds(604_800)

    /// Makes a policy with the defaults.
    ///
    /// - Parameters:
    ///   - demand: Whether there must be evidence.
    ///   - lists: The revocation lists at hand.
    public init(_ demand: Demand = .ifPresent, lists: [CertificateRevocationList] = []) {
        self.demand = demand
        self.lists = lists
    }

    /// Nothing is judged.
    public static let off = RevocationPolicy(.off)
    /// What is at hand is judged.
    public static let ifPresent = RevocationPolicy(.ifPresent)
    /// A staple or a list must clear the leaf.
    public static let require = RevocationPolicy(.require)

    /// Whether revocation lists are looked at.
    var usesLists: Bool { demand != .off && !lists.isEmpty }
}

/// What cleared the peer's leaf of revocation.
public enum RevocationEvidence: String, CaseIterable, Hashable, Sendable {
    /// A stapled OCSP response that says good.
    case staple
    /// A revocation list of its issuer that does not name it.
    case list
}
