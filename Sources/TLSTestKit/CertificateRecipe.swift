/// Everything that goes into one certificate, right or wrong.
///
/// A recipe starts out correct (``server(_:key:)``, ``client(_:_:key:)``,
/// ``authority(_:pathLength:key:)``) and is bent by setting fields; nothing but encodability is
/// checked. Named bad recipes stand in `CertificateRecipe+Faults.swift`.
///
/// ```swift
/// var recipe = CertificateRecipe.server(["a.test"])
/// recipe.serial = .octets([0xFF])  // negative
/// let leaf = try ca.issue(recipe)
/// ```
public struct CertificateRecipe: Sendable {
    /// The subject; may be empty.
    public var subject: DistinguishedName
    /// The entries of the subjectAltName extension, which is left out when there are none.
    public var names: [SubjectName] = []
    /// The kind of key to make, unless ``keyHolder`` is set.
    public var key: TestKey = .p256
    /// A certificate whose key is certified again, instead of making one.
    public var keyHolder: IssuedCertificate?
    /// When the certificate is valid.
    public var validity: Validity = .standard
    /// The basicConstraints extension, always critical; nil leaves it out.
    public var basicConstraints: BasicConstraints? = .leaf
    /// The keyUsage extension, always critical; automatic fits the key and ``basicConstraints``.
    public var keyUsage: RecipeField<KeyUsage> = .automatic
    /// The purposes of the extendedKeyUsage extension, which is left out when there are none.
    public var extendedKeyUsage: [ExtendedKeyUsage] = []
    /// Whether subjectAltName is critical; automatic means: exactly if the subject is empty.
    public var isSubjectAltNameCritical: RecipeField<Bool> = .automatic
    /// The subjectKeyIdentifier extension; automatic derives it from the key.
    public var subjectKeyIdentifier: RecipeField<[UInt8]> = .automatic
    /// The authorityKeyIdentifier extension; automatic repeats the issuer's identifier.
    public var authorityKeyIdentifier: RecipeField<[UInt8]> = .automatic
    /// Further extensions, appended in order, also ones that occur already.
    public var extraExtensions: [CertificateExtension] = []
    /// The serial number.
    public var serial: Serial = .random
    /// The version as people count it, 1 to 256; version 1 has no extensions at all.
    public var version = 3
    /// The digest to sign with; nil takes the one that belongs to the issuer's key.
    public var digest: SigningDigest?
    /// The issuer's name; nil takes the true one.
    public var issuer: DistinguishedName?
    /// Whose key signs.
    public var signer: Signer = .authority

    /// Makes a recipe of a certificate for nothing in particular.
    ///
    /// - Parameter subject: The subject.
    public init(subject: DistinguishedName) { self.subject = subject }

    /// Makes a recipe of a correct TLS server certificate.
    ///
    /// The subject is the first name as common name, or empty if that exceeds 64 characters.
    ///
    /// - Parameters:
    ///   - names: The server's names.
    ///   - key: The kind of key.
    /// - Returns: A recipe whose fields may be changed.
    public static func server(_ names: [SubjectName], key: TestKey = .p256) -> Self {
        var recipe = Self(subject: commonName(names.first?.description))
        recipe.names = names
        recipe.key = key
        recipe.extendedKeyUsage = [.serverAuth]
        return recipe
    }

    /// Makes a recipe of a correct TLS client certificate.
    ///
    /// - Parameters:
    ///   - commonName: Who the client is.
    ///   - names: Alternative names, if any.
    ///   - key: The kind of key.
    /// - Returns: A recipe whose fields may be changed.
    public static func client(
        _ commonName: String,
        _ names: [SubjectName] = [],
        key: TestKey = .p256
    ) -> Self {
        var recipe = Self(subject: Self.commonName(commonName))
        recipe.names = names
        recipe.key = key
        recipe.extendedKeyUsage = [.clientAuth]
        return recipe
    }

    /// Makes a recipe of a correct certificate authority.
    ///
    /// - Parameters:
    ///   - commonName: The authority's name; at most 64 characters.
    ///   - pathLength: How many authorities may follow below it; nil for any number.
    ///   - key: The kind of key.
    /// - Returns: A recipe whose fields may be changed.
    public static func authority(
        _ commonName: String,
        pathLength: Int? = nil,
        key: TestKey = .p256
    ) -> Self {
        // The organization tells what this is to whoever finds the certificate later.
        var recipe = Self(subject: [.organization("TEST ONLY"), .commonName(commonName)])
        recipe.key = key
        recipe.validity = .authority
        recipe.basicConstraints = BasicConstraints(isAuthority: true, pathLength: pathLength)
        return recipe
    }

    /// RFC 5280 appendix A.1 ends common names at 64 characters.
    private static func commonName(_ text: String?) -> DistinguishedName {
        guard let text, !text.isEmpty, text.unicodeScalars.count <= 64 else { return [] }
        return .commonName(text)
    }
}

/// A field of a recipe that the kit fills in unless told otherwise.
public enum RecipeField<Value: Sendable>: Sendable {
    /// The correct value for the certificate.
    case automatic
    /// This value.
    case exactly(Value)
    /// No such extension; for a yes-or-no field the same as ``automatic``.
    case omitted
}

extension CertificateRecipe {
    /// The contents of basicConstraints (RFC 5280 §4.2.1.9).
    public struct BasicConstraints: Sendable, Hashable {
        /// Whether the subject may issue certificates.
        public var isAuthority: Bool
        /// How many intermediate authorities may follow, 0 or more; encoded even for a leaf.
        public var pathLength: Int?

        /// Makes constraints.
        ///
        /// - Parameters:
        ///   - isAuthority: Whether the subject may issue certificates.
        ///   - pathLength: How many intermediate authorities may follow; nil for any number.
        public init(isAuthority: Bool, pathLength: Int? = nil) {
            self.isAuthority = isAuthority
            self.pathLength = pathLength
        }

        /// The constraints of a certificate that issues nothing.
        public static let leaf = BasicConstraints(isAuthority: false)
    }

    /// The bits of keyUsage, numbered as RFC 5280 §4.2.1.3 does.
    public struct KeyUsage: OptionSet, Sendable, Hashable {
        /// Bit n stands for usage n.
        public let rawValue: UInt16

        /// Makes a set of its bits.
        ///
        /// - Parameter rawValue: Bit n stands for usage n.
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        /// Signing anything but certificates and CRLs, as TLS 1.3 does.
        public static let digitalSignature = KeyUsage(rawValue: 1 << 0)
        /// Also called nonRepudiation.
        public static let contentCommitment = KeyUsage(rawValue: 1 << 1)
        /// RSA key exchange of TLS 1.2.
        public static let keyEncipherment = KeyUsage(rawValue: 1 << 2)
        /// Encrypting content directly.
        public static let dataEncipherment = KeyUsage(rawValue: 1 << 3)
        /// Static Diffie-Hellman.
        public static let keyAgreement = KeyUsage(rawValue: 1 << 4)
        /// Signing certificates.
        public static let keyCertSign = KeyUsage(rawValue: 1 << 5)
        /// Signing CRLs.
        public static let crlSign = KeyUsage(rawValue: 1 << 6)
    }

    /// One purpose of extendedKeyUsage (RFC 5280 §4.2.1.12).
    public struct ExtendedKeyUsage: Sendable, Hashable {
        /// The purpose in dotted form.
        public var oid: String

        /// Makes a purpose.
        ///
        /// - Parameter oid: In dotted form.
        public init(oid: String) { self.oid = oid }

        /// TLS servers.
        public static let serverAuth = ExtendedKeyUsage(oid: "1.3.6.1.5.5.7.3.1")
        /// TLS clients.
        public static let clientAuth = ExtendedKeyUsage(oid: "1.3.6.1.5.5.7.3.2")
        /// Code signing.
        public static let codeSigning = ExtendedKeyUsage(oid: "1.3.6.1.5.5.7.3.3")
        /// OCSP responses on behalf of the issuer (RFC 6960 §4.2.2.2).
        public static let ocspSigning = ExtendedKeyUsage(oid: "1.3.6.1.5.5.7.3.9")
        /// Any purpose, which TLS verifiers need not accept.
        public static let any = ExtendedKeyUsage(oid: "2.5.29.37.0")
    }

    /// An extension given as it is encoded.
    public struct CertificateExtension: Sendable, Hashable {
        /// The extension's type in dotted form.
        public var oid: String
        /// Whether verifiers that do not know it must refuse.
        public var isCritical: Bool
        /// The DER inside the extension's OCTET STRING; not checked.
        public var der: [UInt8]

        /// Makes an extension.
        ///
        /// - Parameters:
        ///   - oid: The type in dotted form.
        ///   - isCritical: Whether verifiers that do not know it must refuse.
        ///   - der: The DER inside the OCTET STRING.
        public init(oid: String, isCritical: Bool = false, der: [UInt8]) {
            self.oid = oid
            self.isCritical = isCritical
            self.der = der
        }
    }

    /// A serial number.
    public enum Serial: Sendable, Hashable {
        /// A positive number of 159 random bits (RFC 5280 §4.1.2.2).
        case random
        /// The contents octets of the INTEGER exactly: two's complement, may be malformed.
        case octets([UInt8])
    }

    /// Whose key signs a certificate.
    public enum Signer: Sendable, Hashable {
        /// The issuing authority's: correct.
        case authority
        /// The certificate's own, under its own name.
        case itself
        /// One nobody knows, of the authority's kind and under its name: a bad signature.
        case stranger
    }
}
