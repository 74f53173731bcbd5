// Certificate revocation lists (RFC 5280 §5): what a right one says, and each field to be wrong in.

/// A certificate revocation list.
public struct RevocationList: Sendable, Hashable {
    /// The list in DER.
    public let der: [UInt8]

    /// The list in PEM.
    public var pem: String { TLSTestKit.pem(der, label: "X509 CRL") }
}

/// Why a certificate was revoked (RFC 5280 §5.3.1).
@nonexhaustive
public enum RevocationReason: UInt8, Sendable, Hashable, CaseIterable {
    /// No reason is given; the same as none at all, which RFC 5280 prefers.
    case unspecified = 0
    /// The key became known.
    case keyCompromise = 1
    /// The issuer's key became known.
    case authorityCompromise = 2
    /// The subject's name or other facts changed.
    case affiliationChanged = 3
    /// Another certificate took its place.
    case superseded = 4
    /// It is no longer needed.
    case cessationOfOperation = 5
    /// Revoked for the time being.
    case certificateHold = 6
    /// Taken off the list again; in delta lists only.
    case removeFromCRL = 8
    /// The subject lost a privilege.
    case privilegeWithdrawn = 9
    /// The attribute authority's key became known.
    case attributeAuthorityCompromise = 10
}

/// Everything that goes into a revocation list, right or wrong.
public struct RevocationListRecipe: Sendable {
    /// One revoked certificate.
    public struct Entry: Sendable, Hashable {
        /// The contents octets of the serial number.
        public var serial: [UInt8]
        /// When it was revoked.
        public var revoked: Validity.Bound
        /// Why; nil leaves the extension out.
        public var reason: RevocationReason?

        /// Makes an entry.
        ///
        /// - Parameters:
        ///   - serial: The contents octets of the serial number.
        ///   - revoked: When it was revoked.
        ///   - reason: Why; nil leaves the extension out.
        public init(
            serial: [UInt8],
            revoked: Validity.Bound = .relative(seconds: -3600),
            reason: RevocationReason? = nil
        ) {
            self.serial = serial
            self.revoked = revoked
            self.reason = reason
        }
    }

    /// Whose key signs a list or a response.
    public enum Signer: Sendable, Hashable {
        /// The issuing authority's: correct.
        case authority
        /// One nobody knows, under the authority's name: a bad signature.
        case stranger
    }

    /// The revoked certificates in order.
    public var entries: [Entry]
    /// When the list was made.
    public var thisUpdate: Validity.Bound = .relative(seconds: -3600)
    /// When the next list comes at the latest; nil leaves the field out.
    public var nextUpdate: Validity.Bound? = .relative(seconds: 86_400)
    /// The number of the list; nil leaves the extension out.
    public var number: Int? = 1
    /// The issuer's name; nil takes the true one.
    public var issuer: DistinguishedName?
    /// Whose key signs.
    public var signer: Signer = .authority
    /// The digest to sign with; nil takes the one that belongs to the issuer's key.
    public var digest: SigningDigest?
    /// Whether the list has a critical extension that nobody knows.
    public var hasUnknownCriticalExtension = false
    /// Further extensions, which make it a delta list, for example.
    public var extraExtensions: [CertificateRecipe.CertificateExtension] = []

    /// Makes a recipe of a correct list.
    ///
    /// - Parameters:
    ///   - certificates: What is revoked.
    ///   - reason: Why; nil gives no reason.
    public init(revoking certificates: [IssuedCertificate] = [], reason: RevocationReason? = nil) {
        entries = certificates.map { Entry(serial: $0.serial, reason: reason) }
    }
}

extension TestCA {
    /// Makes a correct revocation list.
    ///
    /// - Parameters:
    ///   - certificates: What is revoked.
    ///   - reason: Why; nil gives no reason.
    /// - Returns: The list, signed by this authority.
    /// - Throws: ``TestKitError`` `.openSSL` or `.invalidValidity`.
    public func revocationList(
        revoking certificates: [IssuedCertificate] = [],
        reason: RevocationReason? = nil
    ) throws(TestKitError) -> RevocationList {
        try revocationList(RevocationListRecipe(revoking: certificates, reason: reason))
    }

    /// Makes whatever list the recipe says.
    ///
    /// - Parameter recipe: The list, right or wrong.
    /// - Returns: The list.
    /// - Throws: ``TestKitError`` `.openSSL`, `.invalidValidity` or `.invalidRecipe`.
    public func revocationList(
        _ recipe: RevocationListRecipe
    ) throws(TestKitError) -> RevocationList {
        let now = now()
        let key = try signingKey(recipe.signer)
        let algorithm = try key.signatureAlgorithm(recipe.digest)
        var list = DERWriter(capacity: 512)
        try list.sequence { (list) throws(TestKitError) in
            list.integer(1)  // version 2
            list.append(algorithm)
            list.append(try (recipe.issuer ?? identity.subject).encoded())
            try list.time(unixSeconds: recipe.thisUpdate.unixSeconds(now: now))
            if let nextUpdate = recipe.nextUpdate {
                try list.time(unixSeconds: nextUpdate.unixSeconds(now: now))
            }
            if !recipe.entries.isEmpty {
                try list.sequence { (entries) throws(TestKitError) in
                    for entry in recipe.entries { try entries.revoked(entry, now: now) }
                }
            }
            try list.constructed(DERWriter.Tag.context(0, isConstructed: true)) {
                (explicit) throws(TestKitError) in
                try explicit.sequence { (extensions) throws(TestKitError) in
                    try extensions.listExtensions(recipe, identity.keyIdentifier)
                }
            }
        }
        let signature = try key.sign(list.bytes, recipe.digest)
        var writer = DERWriter(capacity: list.bytes.count + signature.count + 32)
        writer.sequence { signed in
            signed.append(list.bytes)
            signed.append(algorithm)
            signed.bitString(signature)
        }
        return RevocationList(der: writer.bytes)
    }

    /// The authority's key, or one of the same kind that nobody knows.
    func signingKey(_ signer: RevocationListRecipe.Signer) throws(TestKitError) -> PrivateKey {
        let own = identity.privateKey
        switch signer {
        case .authority: return own
        case .stranger: return try KeyPool.shared.key(own.kind, avoiding: [own])
        }
    }
}

extension DERWriter {
    fileprivate mutating func revoked(
        _ entry: RevocationListRecipe.Entry,
        now: Int64
    ) throws(TestKitError) {
        try sequence { (fields) throws(TestKitError) in
            fields.element(Tag.integer, entry.serial)
            try fields.time(unixSeconds: entry.revoked.unixSeconds(now: now))
            guard let reason = entry.reason else { return }
            try fields.sequence { (extensions) throws(TestKitError) in
                var code = DERWriter()
                code.element(Tag.enumerated, [reason.rawValue])
                try extensions.certificateExtension("2.5.29.21", code.bytes)
            }
        }
    }

    fileprivate mutating func listExtensions(
        _ recipe: RevocationListRecipe,
        _ keyIdentifier: [UInt8]?
    ) throws(TestKitError) {
        if let keyIdentifier {
            var identifier = DERWriter()
            identifier.sequence { $0.element(Tag.context(0), keyIdentifier) }
            try certificateExtension("2.5.29.35", identifier.bytes)
        }
        if let number = recipe.number {
            var value = DERWriter()
            value.integer(number)
            try certificateExtension("2.5.29.20", value.bytes)
        }
        if recipe.hasUnknownCriticalExtension {
            try certificateExtension("2.25.74656", isCritical: true, [Tag.null, 0])
        }
        for extra in recipe.extraExtensions {
            try certificateExtension(extra.oid, isCritical: extra.isCritical, extra.der)
        }
    }

    /// Appends an Extension (RFC 5280 §4.1).
    mutating func certificateExtension(
        _ oid: String,
        isCritical: Bool = false,
        _ der: [UInt8]
    ) throws(TestKitError) {
        try sequence { (entry) throws(TestKitError) in
            try entry.objectIdentifier(oid)
            // The default is FALSE, and DER leaves defaults out.
            if isCritical { entry.element(Tag.boolean, [0xFF]) }
            entry.element(Tag.octetString, der)
        }
    }
}
