// A preshared key: what both sides know of each other before they meet (RFC 4279, RFC 8446 §4.2.11).
//
// A key says what it is for. One key is never used in two versions of TLS, under two hashes, or in both
// roles (RFC 8446 §4.2.11, RFC 9257 §4.1): the proofs of one use could be taken for another's. What is
// said here is checked where a key is used, in `PresharedKeyLedger`.

/// A preshared key and the name both sides know it by (seed `PresharedKeyInfo`).
///
/// ```swift
/// try PresharedKeyInfo(key: secret, identity: "meter 4711")
/// ```
public struct PresharedKeyInfo: Hashable, Sendable {
    /// What a key is for.
    public enum Use: Hashable, Sendable {
        /// TLS 1.2 (RFC 4279).
        case tls12
        /// TLS 1.3, with the suites of one hash (RFC 8446 §4.2.11).
        case tls13(PresharedKeyHash)
    }

    /// Which sides of a handshake a node plays with a key.
    public enum Roles: Hashable, Sendable {
        /// One: always the client, or always the server.
        case one
        /// Both, for a reason.
        ///
        /// A node that is client and server under one key can be made to talk to itself, and take itself
        /// for the other (RFC 9257 §4.1).
        case both(because: String)
    }

    /// The secret, 16...512 bytes (seed `key`).
    public let key: SecretBytes
    /// Its name (seed `identity`).
    public let identity: PresharedKeyIdentity
    /// What it is for.
    public let use: Use
    /// Which roles this process plays with it.
    public let roles: Roles

    /// Makes a key from secret bytes.
    ///
    /// - Parameters:
    ///   - key: The secret, 16...512 bytes. It must be as hard to guess as a random number of its size:
    ///     a password is not (RFC 9257 §6).
    ///   - identity: Its name; for TLS 1.2 up to 256 bytes, none of them 0.
    ///   - use: What it is for; TLS 1.3 with SHA-256 by default, which every TLS 1.3 peer has.
    ///   - roles: Which roles this process plays with it; one by default.
    /// - Throws: ``TLSError`` `.invalidPresharedKey`.
    public init(
        key: SecretBytes,
        identity: PresharedKeyIdentity,
        use: Use = .tls13(.sha256),
        roles: Roles = .one
    ) throws(TLSError) {
        guard PresharedKeyInfo.sizes.contains(key.count) else {
            throw TLSError(
                .invalidPresharedKey,
                detail: "the key has \(key.count) bytes, not 16...512",
                hint: "Make a key of 32 random bytes; a password is not one"
            )
        }
        let sizeMax =
            use == .tls12 ? PresharedKeyInfo.identityBytesMax12 : PresharedKeyInfo.identityBytesMax
        guard (1...sizeMax).contains(identity.bytes.count) else {
            throw TLSError(
                .invalidPresharedKey,
                detail: "the identity has \(identity.bytes.count) bytes, not 1...\(sizeMax)"
            )
        }
        guard use != .tls12 || !identity.bytes.contains(0) else {
            throw TLSError(.invalidPresharedKey, detail: "the identity holds a byte 0")
        }
        self.key = key
        self.identity = identity
        self.use = use
        self.roles = roles
    }

    /// Makes a key from bytes, which are copied; the array itself cannot be wiped.
    ///
    /// - Parameters:
    ///   - key: The secret, 16...512 bytes.
    ///   - identity: Its name.
    ///   - use: What it is for.
    ///   - roles: Which roles this process plays with it.
    /// - Throws: ``TLSError`` `.invalidPresharedKey`.
    public init(
        key: [UInt8],
        identity: PresharedKeyIdentity,
        use: Use = .tls13(.sha256),
        roles: Roles = .one
    ) throws(TLSError) {
        try self.init(key: SecretBytes(key), identity: identity, use: use, roles: roles)
    }

    /// The sizes a key may have, in bytes.
    static let sizes = 16...512
    /// The most bytes of a name (RFC 8446 §4.2.11).
    static let identityBytesMax = 65535
    /// The most bytes of a name in TLS 1.2 (OpenSSL `PSK_MAX_IDENTITY_LEN`; RFC 4279 §5.3 asks for 128).
    static let identityBytesMax12 = 256

    /// The version it is for.
    var version: ProtocolVersion { use == .tls12 ? .tls12 : .tls13 }

    /// The hash of a key for TLS 1.3.
    var hash: PresharedKeyHash? {
        switch use {
        case .tls12: nil
        case .tls13(let hash): hash
        }
    }
}

extension PresharedKeyInfo: CustomStringConvertible {
    /// The name and the use; the key is redacted.
    public var description: String { "\(identity), \(use), key <redacted>" }
}

extension PresharedKeyInfo.Use: CustomStringConvertible {
    /// For example `TLS 1.3 with sha256`.
    public var description: String {
        switch self {
        case .tls12: "TLS 1.2"
        case .tls13(let hash): "TLS 1.3 with \(hash.rawValue)"
        }
    }
}

/// The hash a key of TLS 1.3 belongs to (RFC 8446 §4.2.11).
public enum PresharedKeyHash: String, CaseIterable, Hashable, Sendable {
    /// For the suites of SHA-256, the hash of keys that name none.
    case sha256
    /// For the suites of SHA-384.
    case sha384
}

/// The name of a preshared key: bytes, mostly of text.
///
/// It travels in the clear, in both versions.
public struct PresharedKeyIdentity: Hashable, Sendable {
    /// The bytes on the wire.
    public let bytes: [UInt8]

    /// Makes a name from bytes.
    public init(bytes: [UInt8]) { self.bytes = bytes }

    /// Makes a name from text, in UTF-8 (RFC 4279 §5.1).
    public init(_ text: String) { bytes = Array(text.utf8) }

    /// The text; nil when the bytes are not UTF-8.
    public var text: String? { String(validating: bytes, as: UTF8.self) }
}

extension PresharedKeyIdentity: ExpressibleByStringLiteral, CustomStringConvertible {
    /// Makes a name from text.
    public init(stringLiteral text: String) { self.init(text) }

    /// The text when it can be printed, else the bytes in hexadecimal digits.
    public var description: String {
        if let text, text.unicodeScalars.allSatisfy({ $0.properties.isPrintable }) { return text }
        let digits = Array("0123456789abcdef")
        return "0x" + String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }
}

extension Unicode.Scalar.Properties {
    /// Whether a name may show it: no control, no format, nothing unassigned.
    fileprivate var isPrintable: Bool {
        switch generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
            .paragraphSeparator:
            false
        default: true
        }
    }
}
