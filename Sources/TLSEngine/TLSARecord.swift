// TLSA records (DANE): what a server's name says about its certificate in the DNS. Where they come from,
// and that DNSSEC vouches for them, is the caller's part.

/// One TLSA record (RFC 6698 §2.1).
///
/// ```swift
/// let record = try TLSARecord("3 1 1 0c72ac70b745ac19998811b131d662c9ac69dbdbe7cb23e5b514b56664c5d3d6")
/// ```
///
/// Any numbers can be said: a record that nobody could match is not ``isUsable``.
public struct TLSARecord: Hashable, Sendable {
    /// What a match stands for (RFC 6698 §2.1.1, RFC 7218 §2.1).
    public struct Usage: RawRepresentable, Hashable, Sendable {
        /// The number in the record.
        public var rawValue: UInt8

        /// Makes a usage from its number.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// 0: an authority of the verified chain has to match.
        public static let pkixTA = Usage(rawValue: 0)
        /// 1: the leaf has to match, and its chain has to be verified.
        public static let pkixEE = Usage(rawValue: 1)
        /// 2: the authority that matches is the anchor.
        public static let daneTA = Usage(rawValue: 2)
        /// 3: the leaf that matches is trusted as it stands.
        public static let daneEE = Usage(rawValue: 3)

        /// Whether anchors are needed besides.
        public var needsAnchors: Bool { self == .pkixTA || self == .pkixEE }
    }

    /// What of the certificate is compared (RFC 6698 §2.1.2).
    public struct Selector: RawRepresentable, Hashable, Sendable {
        /// The number in the record.
        public var rawValue: UInt8

        /// Makes a selector from its number.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// 0: all of it.
        public static let certificate = Selector(rawValue: 0)
        /// 1: its SubjectPublicKeyInfo, which outlives renewals.
        public static let publicKey = Selector(rawValue: 1)
    }

    /// How it is compared (RFC 6698 §2.1.3).
    public struct Matching: RawRepresentable, Hashable, Sendable {
        /// The number in the record.
        public var rawValue: UInt8

        /// Makes a matching type from its number.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// 0: byte for byte.
        public static let full = Matching(rawValue: 0)
        /// 1: by its SHA-256 digest.
        public static let sha256 = Matching(rawValue: 1)
        /// 2: by its SHA-512 digest.
        public static let sha512 = Matching(rawValue: 2)
    }

    /// What a match stands for.
    public var usage: Usage
    /// What of the certificate is compared.
    public var selector: Selector
    /// How it is compared.
    public var matching: Matching
    /// The digest, or the DER itself.
    public var bytes: [UInt8]

    /// Makes a record from its fields.
    public init(usage: Usage, selector: Selector, matching: Matching, bytes: [UInt8]) {
        self.usage = usage
        self.selector = selector
        self.matching = matching
        self.bytes = bytes
    }

    /// Makes the record that a certificate matches, for its owner to publish.
    ///
    /// - Parameters:
    ///   - usage: What a match stands for.
    ///   - selector: What of the certificate is compared.
    ///   - matching: How; SHA-256 for a number that is not known.
    ///   - certificate: The leaf or the authority.
    public init(
        usage: Usage,
        selector: Selector = .publicKey,
        matching: Matching = .sha256,
        of certificate: Certificate
    ) {
        let known = [.full, .sha512].contains(matching) ? matching : Matching.sha256
        self.init(
            usage: usage,
            selector: selector,
            matching: known,
            bytes: TLSARecord.association(selector, known, certificate)
        )
    }

    /// Reads a record's data as zone files write it (RFC 6698 §2.2).
    ///
    /// - Parameter text: Usage, selector and matching type in decimal, and the data in hexadecimal,
    ///   which may have spaces in it.
    /// - Throws: ``TLSError`` `.invalidTLSARecord` for any other form.
    public init(_ text: String) throws(TLSError) {
        let words = text.split(whereSeparator: \.isWhitespace)
        let numbers = words.prefix(3).compactMap { word -> UInt8? in
            word.utf8.allSatisfy { (0x30...0x39).contains($0) } ? UInt8(word) : nil
        }
        let digits = words.dropFirst(3).joined()
        guard numbers.count == 3, let bytes = TLSARecord.bytes(of: digits) else {
            throw TLSError(
                .invalidTLSARecord,
                detail: "the record is not written as in a zone file",
                hint: "Write three numbers and hexadecimal digits, for example 3 1 1 0C72AC70…"
            )
        }
        self.init(wire: numbers, bytes)
    }

    /// Reads a record's data as DNS messages have it (RFC 6698 §2.1).
    ///
    /// - Parameter wire: The RDATA.
    /// - Throws: ``TLSError`` `.invalidTLSARecord` when it is too short.
    public init(wire: [UInt8]) throws(TLSError) {
        guard wire.count > 3 else {
            throw TLSError(
                .invalidTLSARecord,
                detail: "\(wire.count) bytes are no record"
            )
        }
        self.init(wire: Array(wire.prefix(3)), Array(wire.dropFirst(3)))
    }

    private init(wire numbers: [UInt8], _ bytes: [UInt8]) {
        usage = Usage(rawValue: numbers[0])
        selector = Selector(rawValue: numbers[1])
        matching = Matching(rawValue: numbers[2])
        self.bytes = bytes
    }

    /// The record's data as DNS messages have it.
    public var wireForm: [UInt8] {
        [usage.rawValue, selector.rawValue, matching.rawValue] + bytes
    }

    /// Whether a certificate, or its key, is the one of the record.
    ///
    /// - Parameter certificate: The certificate.
    /// - Returns: False for a record that is not usable, too.
    public func matches(_ certificate: Certificate) -> Bool {
        isUsable && bytes == TLSARecord.association(selector, matching, certificate)
    }

    /// What of a certificate is compared with the data.
    private static func association(
        _ selector: Selector,
        _ matching: Matching,
        _ certificate: Certificate
    ) -> [UInt8] {
        let part = selector == .publicKey ? certificate.subjectPublicKeyInfo : certificate.der
        return switch matching {
        case .full: part
        case .sha512: OpenSSLLibrary.digest(part, .sha512)
        default: OpenSSLLibrary.digest(part, .sha256)
        }
    }

    /// Hexadecimal digits as bytes; nil for any other form, or for none.
    private static func bytes(of digits: String) -> [UInt8]? {
        let values = digits.utf8.compactMap { byte -> UInt8? in
            switch byte {
            case 0x30...0x39: byte - 0x30
            case 0x41...0x46: byte - 0x41 + 10
            case 0x61...0x66: byte - 0x61 + 10
            default: nil
            }
        }
        guard values.count == digits.utf8.count, values.count % 2 == 0, !values.isEmpty else {
            return nil
        }
        return stride(from: 0, to: values.count, by: 2).map { values[$0] << 4 | values[$0 + 1] }
    }
}

extension TLSARecord: CustomStringConvertible {
    /// The record's data as zone files write it, in lower case.
    public var description: String {
        let digits = bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
        return "\(usage.rawValue) \(selector.rawValue) \(matching.rawValue) \(digits.joined())"
    }
}

/// The TLSA records of a trust policy: at least one of them has to match (RFC 6698 §4.1).
///
/// - Usages 0 and 1 stand beside verification: the chain has to lead to the policy's anchors, and a
///   certificate of it has to match.
/// - Usages 2 and 3 stand in its place: the authority that matches is the anchor, or the leaf that
///   matches is trusted as it stands. Anchors play no part.
/// - With records of both kinds either way will do; a chain to the anchors without a match never does.
/// - Pins come on top, whatever their mode: those of ``CertificatePins/Mode/replace`` have to match the
///   leaf as well then, and replace nothing.
/// - Of records with one usage and selector only those with the strongest digest count
///   (RFC 7671 §9).
public struct TLSARecords: Hashable, Sendable {
    /// What happens when no record can be used (RFC 6698 §4.1).
    public enum Fallback: String, CaseIterable, Hashable, Sendable {
        /// The policy makes no context: somebody meant to restrict the server, and cannot.
        case refuse
        /// The server is verified as if there were no records.
        case anchors
    }

    /// The records; at least one.
    public var records: [TLSARecord]
    /// What happens when none of them can be used; refused by default.
    public var fallback: Fallback
    /// Whether a leaf that usage 3 names must be for the server's name, too; not by default.
    ///
    /// The record binds the key to the name already (RFC 7671 §5.1). Who lets servers choose what
    /// their clients do for other servers, as browsers do, turns it on: else a server can publish
    /// another one's key, and lead its clients there.
    public var checksNameOfEndEntity: Bool

    /// Makes a set of records.
    ///
    /// - Parameters:
    ///   - records: What DNSSEC vouches for.
    ///   - fallback: What happens when none of them can be used.
    ///   - checksNameOfEndEntity: Whether a leaf that usage 3 names must be for the name, too.
    public init(
        _ records: [TLSARecord],
        fallback: Fallback = .refuse,
        checksNameOfEndEntity: Bool = false
    ) {
        self.records = records
        self.fallback = fallback
        self.checksNameOfEndEntity = checksNameOfEndEntity
    }

    /// The records that a certificate could match.
    var usable: [TLSARecord] { records.filter(\.isUsable) }
}

/// What the TLSA records of a trust policy said of the peer's chain.
public struct TLSAVerdict: Hashable, Sendable {
    /// How many of the records can be used.
    public var usableCount: Int
    /// The record that matched; nil when none did.
    public var match: TLSARecord?
    /// The certificate that matched: 0 is the leaf, counted towards the anchor.
    ///
    /// Where a record has the whole key of an authority that was not sent, the certificate that this key
    /// signed.
    public var depth: Int?

    /// Makes a verdict.
    public init(usableCount: Int, match: TLSARecord? = nil, depth: Int? = nil) {
        self.usableCount = usableCount
        self.match = match
        self.depth = depth
    }
}

extension TrustPolicy {
    /// The records that verification goes by; none without any that can be used.
    var activeTLSARecords: [TLSARecord] { tlsaRecords?.usable ?? [] }
}
