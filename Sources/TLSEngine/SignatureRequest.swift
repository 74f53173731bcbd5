// Keys that are elsewhere, as the engine's owner sees them: what is to be signed and how, and what
// becomes of the handshake when nobody signs it, or signs it wrong.

/// A signature that a handshake needs of a private key that is elsewhere.
///
/// It proves this side's certificate: in TLS 1.3 the CertificateVerify of either side, in TLS 1.2 a
/// server's ServerKeyExchange or a client's CertificateVerify.
public struct SignatureRequest: Sendable {
    /// How to sign: which key type, padding and hash.
    public let scheme: SignatureScheme
    /// What is to be signed, not yet hashed; up to the length of a handshake's messages.
    ///
    /// For a signer that wants it hashed there is ``digest``.
    public let message: [UInt8]
    /// The leaf of this side, whose key signs.
    public let certificate: Certificate
    /// Which side this is.
    public let role: TLSRole
    /// The servername of the handshake; nil when there is none.
    public let servername: String?
    let key: ExternalKey

    /// What the maker of the identity gave with it.
    package var companion: (any Sendable)? { key.companion }

    /// The error of a handshake that gets no signature.
    func failure(_ refusal: TLSRefusal) -> TLSError {
        TLSError(
            .signingFailed,
            phase: .keyExchange,
            detail: refusal.reason,
            hint: "Look at the service that holds the key of \(certificate.shortName)"
        )
    }

    /// The error of a handshake that gets a wrong one.
    func invalidSignature(of count: Int) -> TLSError {
        TLSError(
            .invalidSignature,
            phase: .keyExchange,
            detail: "\(count) bytes, not the \(scheme) of the key of \(certificate.shortName)",
            hint:
                "Compare key, scheme, and form: ECDSA signatures are in DER, and messages are hashed once"
        )
    }
}

extension SignatureRequest: CustomStringConvertible, CustomReflectable {
    /// The scheme and the leaf; not the message.
    public var description: String { "\(scheme) by the key of \(certificate.shortName)" }
    /// The scheme and the leaf.
    public var customMirror: Mirror { Mirror(self, children: ["scheme": scheme]) }
}

extension SignatureScheme {
    /// RSA with PKCS #1 v1.5 padding and SHA-256; TLS 1.2.
    public static let rsaPKCS1SHA256 = SignatureScheme(rawValue: 0x0401)
    /// RSA with PKCS #1 v1.5 padding and SHA-384; TLS 1.2.
    public static let rsaPKCS1SHA384 = SignatureScheme(rawValue: 0x0501)
    /// RSA with PKCS #1 v1.5 padding and SHA-512; TLS 1.2.
    public static let rsaPKCS1SHA512 = SignatureScheme(rawValue: 0x0601)
    /// ECDSA with SHA-256, in TLS 1.3 over P-256.
    public static let ecdsaSHA256 = SignatureScheme(rawValue: 0x0403)
    /// ECDSA with SHA-384, in TLS 1.3 over P-384.
    public static let ecdsaSHA384 = SignatureScheme(rawValue: 0x0503)
    /// ECDSA with SHA-512, in TLS 1.3 over P-521.
    public static let ecdsaSHA512 = SignatureScheme(rawValue: 0x0603)
    /// RSA-PSS with SHA-256 by a key for any use of RSA; the salt is as long as the hash.
    public static let rsaPSSRSAESHA256 = SignatureScheme(rawValue: 0x0804)
    /// RSA-PSS with SHA-384 by a key for any use of RSA; the salt is as long as the hash.
    public static let rsaPSSRSAESHA384 = SignatureScheme(rawValue: 0x0805)
    /// RSA-PSS with SHA-512 by a key for any use of RSA; the salt is as long as the hash.
    public static let rsaPSSRSAESHA512 = SignatureScheme(rawValue: 0x0806)
    /// Ed25519, which hashes by itself.
    public static let ed25519 = SignatureScheme(rawValue: 0x0807)
    /// Ed448, which hashes by itself.
    public static let ed448 = SignatureScheme(rawValue: 0x0808)
    /// RSA-PSS with SHA-256 by a key for PSS only.
    public static let rsaPSSPSSSHA256 = SignatureScheme(rawValue: 0x0809)
    /// RSA-PSS with SHA-384 by a key for PSS only.
    public static let rsaPSSPSSSHA384 = SignatureScheme(rawValue: 0x080a)
    /// RSA-PSS with SHA-512 by a key for PSS only.
    public static let rsaPSSPSSSHA512 = SignatureScheme(rawValue: 0x080b)

    /// Whether it is RSA with PSS padding.
    public var isPSS: Bool {
        (0x0804...0x0806).contains(rawValue) || (0x0809...0x080b).contains(rawValue)
    }

    /// The hash that is signed, for example `SHA-256`; nil for schemes that hash by themselves, and for
    /// those this package does not know.
    public var hashName: String? {
        if isPSS { return ["SHA-256", "SHA-384", "SHA-512"][Int(rawValue - 0x0804) % 5] }
        guard [1, 3].contains(rawValue & 0xff) else { return nil }
        return switch rawValue >> 8 {
        case 2: "SHA-1"
        case 3: "SHA-224"
        case 4: "SHA-256"
        case 5: "SHA-384"
        case 6: "SHA-512"
        default: nil
        }
    }
}
