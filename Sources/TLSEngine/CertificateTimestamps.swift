// Signed certificate timestamps (Certificate Transparency): what logs have promised about the server's
// certificate, as far as the server shows it. They are counted and named; no signature of a log is
// verified, and nobody is refused for want of them.

/// A log's promise to publish a certificate (RFC 6962 §3.2).
public struct CertificateTimestamp: Hashable, Sendable {
    /// Where it was found (RFC 6962 §3.3).
    public enum Source: String, CaseIterable, Hashable, Sendable {
        /// An extension of the handshake: ``TLSPolicy/requestsCertificateTimestamps``.
        case handshake
        /// An extension of the leaf, by which most servers have them.
        case certificate
        /// An extension of the stapled OCSP response.
        case staple
    }

    /// Where it was found.
    public var source: Source
    /// The version: 0 is the first, v1.
    public var version: UInt8
    /// The digest of the log's key, 32 bytes; empty for a version that is not known.
    public var logID: [UInt8]
    /// When the log promised it; nil for a version that is not known.
    public var time: UnixTime?
    /// What the log signed it with; nil for a version that is not known.
    public var signatureAlgorithm: SignatureScheme?

    /// Reads one.
    ///
    /// - Parameters:
    ///   - bytes: The serialized timestamp.
    ///   - source: Where it was found.
    /// - Throws: ``TLSError`` when it cannot be read.
    init(_ bytes: [UInt8], _ source: Source) throws(TLSError) {
        var reader = ByteReader(bytes)
        self.source = source
        version = try reader.number8()
        guard version == 0 else {
            logID = []
            return
        }
        logID = try reader.take(32)
        time = UnixTime(seconds: Int64(try reader.number64() / 1000))
        _ = try reader.vector16()
        signatureAlgorithm = SignatureScheme(rawValue: try reader.number16())
        _ = try reader.vector16(1)
        try reader.finish()
    }
}

/// The signed certificate timestamps of one server.
public struct CertificateTimestamps: Hashable, Sendable {
    /// Makes an empty list.
    public init() {}

    /// All of them: of the handshake, of the leaf, of the staple, each in its order.
    public var all: [CertificateTimestamp] = []
    /// The places that have a list which cannot be read (RFC 6962 §3.3).
    public var malformed: Set<CertificateTimestamp.Source> = []

    /// How many there are of a source.
    ///
    /// - Parameter source: Where they were found.
    /// - Returns: Their number.
    public func count(of source: CertificateTimestamp.Source) -> Int {
        all.count { $0.source == source }
    }

    /// How many different logs promised something.
    public var logCount: Int { Set(all.map(\.logID).filter { !$0.isEmpty }).count }

    /// Adds the list of a place.
    ///
    /// - Parameters:
    ///   - list: The list; nil where the place has none.
    ///   - source: The place.
    mutating func add(_ list: [UInt8]?, _ source: CertificateTimestamp.Source) {
        guard let list else { return }
        do throws(TLSError) {
            var outer = ByteReader(list)
            var inner = try outer.reader16(1)
            try outer.finish()
            all += try inner.all { reader throws(TLSError) in
                try CertificateTimestamp(try reader.vector16(1), source)
            }
        } catch {
            malformed.insert(source)
        }
    }
}
