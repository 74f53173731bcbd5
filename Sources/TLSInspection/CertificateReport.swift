// What the report tells of one certificate, and the small text forms it needs: hexadecimal, base64,
// names of signature algorithms.

public import Sockets

/// What a report tells of one certificate.
public struct CertificateReport: Codable, Hashable, Sendable {
    /// A certificate's part in a chain.
    public enum Position: String, CaseIterable, Codable, Hashable, Sendable {
        /// The server's own.
        case leaf
        /// One that issued another.
        case intermediate
        /// One that signed itself, and is not the leaf.
        case root
    }

    /// The names a certificate is for.
    public struct Names: Codable, Hashable, Sendable {
        /// DNS names, in order.
        public var dns: [String]
        /// IP addresses, in order.
        public var ip: [String]
    }

    /// A certificate's public key.
    public struct Key: Codable, Hashable, Sendable {
        /// The type, for example `EC` or `RSA`.
        public var type: String
        /// The size.
        public var bits: Int
        /// The curve of an EC key, for example `P-256`.
        @EncodesNull public var curve: String?
    }

    /// Its part in the chain.
    public var position: Position
    /// A short name: the common name, or the first alternative name, or the subject.
    public var name: String
    /// The subject (RFC 2253 form).
    public var subject: String
    /// The issuer (RFC 2253 form).
    public var issuer: String
    /// The serial number in hexadecimal.
    public var serial: String
    /// The subject alternative names.
    public var san: Names
    /// The first second of the validity, in UTC as RFC 3339 writes it.
    public var notBefore: String
    /// The last second of the validity, in UTC as RFC 3339 writes it.
    public var notAfter: String
    /// Whole days left of the validity; negative when it is over.
    public var daysLeft: Int
    /// The public key.
    public var key: Key
    /// The algorithm of the issuer's signature, for example `ecdsa-sha256`.
    public var signature: String
    /// Whether it signed itself.
    public var selfSigned: Bool
    /// The SHA-256 digest of the DER, in hexadecimal.
    public var sha256: String
    /// The SHA-256 digest of the public key in base64, as pins have it (RFC 7469 §2.4).
    public var spkiSHA256: String
    /// The certificate in PEM.
    public var pem: String

    enum CodingKeys: String, CodingKey {
        case position, name, subject, issuer, serial, san
        case notBefore = "not_before"
        case notAfter = "not_after"
        case daysLeft = "days_left"
        case key, signature
        case selfSigned = "self_signed"
        case sha256
        case spkiSHA256 = "spki_sha256"
        case pem
    }
}

extension CertificateReport {
    init(_ certificate: Certificate, position: Position, at now: UnixTime) {
        let key = certificate.publicKey
        self.position = position
        name = certificate.shortName
        subject = certificate.subject
        issuer = certificate.issuer
        serial = hexadecimal(certificate.serialNumber)
        san = Names(dns: [], ip: [])
        for alternative in certificate.subjectAlternativeNames {
            switch alternative {
            case .dns(let name): san.dns.append(name)
            case .ipAddress(let address): san.ip.append(address)
            case .email, .uri, .other: break
            }
        }
        notBefore = certificate.notBefore.description
        notAfter = certificate.notAfter.description
        daysLeft = wholeDays(from: now, to: certificate.notAfter)
        self.key = Key(type: key.type, bits: key.bits, curve: key.curve)
        signature = signatureName(certificate.signatureAlgorithm)
        selfSigned = certificate.isSelfSigned
        sha256 = hexadecimal(certificate.sha256Fingerprint)
        spkiSHA256 = base64(key.sha256)
        pem = certificate.pem
    }

    /// The reports of what a server sent.
    static func chain(_ certificates: [Certificate], at now: UnixTime) -> [CertificateReport] {
        certificates.enumerated().map { place, certificate in
            let position: Position =
                place == 0 ? .leaf : certificate.isSelfSigned ? .root : .intermediate
            return CertificateReport(certificate, position: position, at: now)
        }
    }
}

extension CertificateReport {
    /// The last second of the validity, counted from 1970.
    public var notAfterTime: UnixTime { CertificateReport.time(notAfter) }

    /// The first second of the validity, counted from 1970.
    public var notBeforeTime: UnixTime { CertificateReport.time(notBefore) }

    private static func time(_ text: String) -> UnixTime {
        // "2027-02-20T09:00:00Z", with as many digits of the year as it needs.
        let isBeforeChrist = text.hasPrefix("-")
        let parts = text.split { !$0.isNumber }.compactMap { Int64($0) }
        guard parts.count == 6 else { return UnixTime(seconds: 0) }
        let (year, month) = (isBeforeChrist ? -parts[0] : parts[0], parts[1])
        // Days by the era method: years begin in March, so the leap day is last.
        let shifted = month > 2 ? year : year - 1
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + parts[2] - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        return UnixTime(seconds: days * 86400 + parts[3] * 3600 + parts[4] * 60 + parts[5])
    }
}

/// Days from one point in time to another, rounded down.
func wholeDays(from start: UnixTime, to end: UnixTime) -> Int {
    let seconds = end.seconds - start.seconds
    return Int((Double(seconds) / 86400).rounded(.down))
}

/// Lower-case hexadecimal digits without separators.
func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// Base64 with padding (RFC 4648 §4).
func base64(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    var text = ""
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = bytes[start..<min(start + 3, bytes.count)]
        let bits = (0..<3).reduce(0) { $0 << 8 | ($1 < group.count ? Int(group[start + $1]) : 0) }
        for place in 0..<4 {
            text.append(place <= group.count ? alphabet[bits >> (18 - 6 * place) & 63] : "=")
        }
    }
    return text
}

/// One form for the many names of signature algorithms: key and hash, for example `rsa-sha256`.
func signatureName(_ name: String) -> String {
    let lower = name.lowercased()
    let hash = ["sha1", "sha224", "sha256", "sha384", "sha512", "md5"].last { lower.contains($0) }
    guard let hash else { return lower == "rsassapss" ? "rsa-pss" : lower }
    if lower.hasPrefix("ecdsa") { return "ecdsa-\(hash)" }
    return lower.contains("rsa") ? "rsa-\(hash)" : lower
}

/// A name of Swift's in the report's spelling: `serverHello` is `server_hello`, `notTLS` `not_tls`.
func snakeCase(_ name: String) -> String {
    var text = ""
    var wasUpper = true
    for character in name {
        if character.isUppercase, !wasUpper { text += "_" }
        wasUpper = character.isUppercase
        text += character.lowercased()
    }
    return text
}
