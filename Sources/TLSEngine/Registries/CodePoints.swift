// Code points of the TLS registries that the API speaks in: protocol versions, named groups and
// signature schemes. Each is a struct around the number on the wire, so a value this package has
// never heard of still has a place and prints as its number.

/// A TLS protocol version, by its number on the wire (RFC 8446 §4.2.1).
public struct ProtocolVersion: RawRepresentable, Hashable, Comparable, Sendable {
    /// The two bytes on the wire, for example `0x0304`.
    public var rawValue: UInt16

    /// Makes a version from its number on the wire.
    public init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// Whether it means nothing, and only keeps servers used to the unknown (RFC 8701 §2).
    public var isGREASE: Bool { GREASE.contains(rawValue) }

    /// TLS 1.2 (RFC 5246).
    public static let tls12 = ProtocolVersion(rawValue: 0x0303)
    /// TLS 1.3 (RFC 8446).
    public static let tls13 = ProtocolVersion(rawValue: 0x0304)

    /// Orders versions by age.
    public static func < (left: ProtocolVersion, right: ProtocolVersion) -> Bool {
        left.rawValue < right.rawValue
    }
}

extension ProtocolVersion: CustomStringConvertible {
    /// The version's usual name, for example `TLS 1.3`.
    public var description: String {
        switch rawValue {
        case 0x0300: "SSL 3.0"
        case 0x0301: "TLS 1.0"
        case 0x0302: "TLS 1.1"
        case 0x0303: "TLS 1.2"
        case 0x0304: "TLS 1.3"
        default: "version \(hexadecimal(rawValue))"
        }
    }
}

/// A group for ephemeral key exchange, by its number on the wire (RFC 8446 §4.2.7).
public struct NamedGroup: RawRepresentable, Hashable, Sendable {
    /// The two bytes on the wire, for example `0x001d`.
    public var rawValue: UInt16

    /// Makes a group from its number on the wire.
    public init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// Whether it means nothing, and only keeps servers used to the unknown (RFC 8701 §2).
    public var isGREASE: Bool { GREASE.contains(rawValue) }

    /// X25519 (RFC 7748).
    public static let x25519 = NamedGroup(rawValue: 0x001d)
    /// NIST P-256.
    public static let secp256r1 = NamedGroup(rawValue: 0x0017)
    /// NIST P-384.
    public static let secp384r1 = NamedGroup(rawValue: 0x0018)
    /// NIST P-521.
    public static let secp521r1 = NamedGroup(rawValue: 0x0019)
    /// X448 (RFC 7748).
    public static let x448 = NamedGroup(rawValue: 0x001e)
    /// X25519 together with ML-KEM-768, against a recorder with a quantum computer.
    public static let x25519MLKEM768 = NamedGroup(rawValue: 0x11ec)
}

extension NamedGroup: CustomStringConvertible {
    /// The group's registered name, for example `x25519`.
    public var description: String {
        NamedGroup.names[rawValue] ?? "group \(hexadecimal(rawValue))"
    }
}

/// A signature algorithm of the handshake, by its number on the wire (RFC 8446 §4.2.3).
public struct SignatureScheme: RawRepresentable, Hashable, Sendable {
    /// The two bytes on the wire, for example `0x0403`.
    public var rawValue: UInt16

    /// Makes a scheme from its number on the wire.
    public init(rawValue: UInt16) {
        self.rawValue = rawValue
    }
}

extension SignatureScheme {
    /// Whether it means nothing, and only keeps servers used to the unknown (RFC 8701 §2).
    public var isGREASE: Bool { GREASE.contains(rawValue) }
}

extension SignatureScheme: CustomStringConvertible {
    /// The scheme's registered name, for example `ecdsa_secp256r1_sha256`.
    public var description: String {
        SignatureScheme.names[rawValue] ?? "scheme \(hexadecimal(rawValue))"
    }
}

/// Writes a code point as the registries do, for example `0x0304`.
func hexadecimal(_ value: UInt16) -> String {
    let digits = String(value, radix: 16)
    return "0x" + String(repeating: "0", count: 4 - digits.count) + digits
}
