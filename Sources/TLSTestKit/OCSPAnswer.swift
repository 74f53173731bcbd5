// What an OCSP responder answers (RFC 6960 §4.2): right, and wrong in one field.

/// An OCSP response as it travels: the body of an HTTP answer, or a staple.
public struct OCSPAnswer: Sendable, Hashable {
    /// The response in DER, or what stands in its place.
    public let der: [UInt8]

    /// Makes an answer of any bytes.
    ///
    /// - Parameter der: The body of the answer.
    public init(der: [UInt8]) { self.der = der }

    /// The request could not be read.
    public static let malformedRequest = OCSPAnswer(status: 1)
    /// The responder failed.
    public static let internalError = OCSPAnswer(status: 2)
    /// The responder cannot answer now.
    public static let tryLater = OCSPAnswer(status: 3)
    /// The responder wants signed requests.
    public static let signatureRequired = OCSPAnswer(status: 5)
    /// The responder does not answer for this certificate (RFC 5019 §2.2.3).
    public static let unauthorized = OCSPAnswer(status: 6)
    /// What is no OCSP response.
    public static let garbage = OCSPAnswer(der: Array("<html>no responder here</html>".utf8))
    /// Nothing.
    public static let empty = OCSPAnswer(der: [])
    /// A response that says it was successful and holds nothing.
    public static let hollow = OCSPAnswer(status: 0)

    private init(status: UInt8) {
        der = [DERWriter.Tag.sequence, 3, DERWriter.Tag.enumerated, 1, status]
    }
}

/// What a responder says of one certificate.
public enum OCSPStatus: Sendable, Hashable {
    /// It is not revoked as far as is known.
    case good
    /// It was revoked.
    case revoked(at: Validity.Bound = .relative(seconds: -3600), reason: RevocationReason? = nil)
    /// The responder does not know it.
    case unknown
}

/// Everything that goes into a successful OCSP response, right or wrong.
public struct OCSPAnswerRecipe: Sendable {
    /// The part of a response that speaks of one certificate.
    public struct Single: Sendable, Hashable {
        /// Which certificate.
        public var id: OCSPCertificateID
        /// What is said of it.
        public var status: OCSPStatus
        /// When this was known to be true.
        public var thisUpdate: Validity.Bound = .relative(seconds: -60)
        /// When newer information comes at the latest; nil leaves the field out.
        public var nextUpdate: Validity.Bound? = .relative(seconds: 3600)

        /// Makes the part of a response that speaks of one certificate.
        ///
        /// - Parameters:
        ///   - id: Which certificate.
        ///   - status: What is said of it.
        public init(_ id: OCSPCertificateID, _ status: OCSPStatus) {
            self.id = id
            self.status = status
        }
    }

    /// Who signs.
    public enum Responder: Sendable {
        /// The authority itself.
        case authority
        /// One whose certificate comes with the response; see
        /// ``CertificateRecipe/responder(_:isAuthorized:)``.
        case delegate(IssuedCertificate)
        /// A key nobody knows, under the authority's name: a bad signature.
        case stranger
    }

    /// What is said, one part a certificate.
    public var singles: [Single]
    /// When the response was made.
    public var producedAt: Validity.Bound = .relative(seconds: -30)
    /// Who signs.
    public var responder: Responder = .authority
    /// Certificates that come in front of a delegate's, and have nothing to do with the response.
    public var companions: [IssuedCertificate] = []
    /// The nonce, which a correct response repeats from the request; nil for none.
    public var nonce: [UInt8]?
    /// The digest to sign with; nil takes the one that belongs to the responder's key.
    public var digest: SigningDigest?
    /// Whether the responder is told by the hash of its key instead of its name; not for
    /// ``Responder/stranger``.
    public var isByKey = false
    /// Whether the response has a critical extension that nobody knows.
    public var hasUnknownCriticalExtension = false

    /// Makes a recipe.
    ///
    /// - Parameters:
    ///   - singles: What is said, one part a certificate.
    ///   - nonce: The request's nonce; nil for none.
    public init(_ singles: [Single], nonce: [UInt8]? = nil) {
        self.singles = singles
        self.nonce = nonce
    }
}

extension CertificateRecipe {
    /// Makes a recipe of a delegated OCSP responder (RFC 6960 §4.2.2.2).
    ///
    /// - Parameters:
    ///   - commonName: The responder's name.
    ///   - isAuthorized: Whether it has the OCSPSigning purpose, without which verifiers must
    ///     refuse it.
    /// - Returns: A recipe whose fields may be changed.
    public static func responder(_ commonName: String, isAuthorized: Bool = true) -> Self {
        var recipe = CertificateRecipe.client(commonName)
        recipe.extendedKeyUsage = isAuthorized ? [.ocspSigning] : [.clientAuth]
        // id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1): nobody asks for the responder's own status.
        recipe.extraExtensions = [
            CertificateExtension(oid: "1.3.6.1.5.5.7.48.1.5", der: [0x05, 0x00])
        ]
        return recipe
    }
}

extension TestCA {
    /// Makes a correct OCSP response for one certificate of this authority.
    ///
    /// - Parameters:
    ///   - certificate: Which certificate.
    ///   - status: What is said of it.
    ///   - nonce: The request's nonce; nil for none.
    /// - Returns: The response, signed by this authority.
    /// - Throws: ``TestKitError`` `.openSSL` or `.invalidValidity`.
    public func ocspAnswer(
        for certificate: IssuedCertificate,
        _ status: OCSPStatus = .good,
        nonce: [UInt8]? = nil
    ) throws(TestKitError) -> OCSPAnswer {
        let id = try OCSPCertificateID(of: certificate, issuedBy: self)
        return try ocspAnswer(OCSPAnswerRecipe([.init(id, status)], nonce: nonce))
    }

    /// Makes a correct OCSP response to a request.
    ///
    /// - Parameters:
    ///   - request: The request, whose nonce is repeated.
    ///   - status: Says what to answer for each certificate.
    /// - Returns: The response, signed by this authority.
    /// - Throws: ``TestKitError`` `.openSSL` or `.invalidValidity`.
    public func ocspAnswer(
        to request: OCSPRequest,
        _ status: (OCSPCertificateID) -> OCSPStatus
    ) throws(TestKitError) -> OCSPAnswer {
        let singles = request.certificates.map { OCSPAnswerRecipe.Single($0, status($0)) }
        return try ocspAnswer(OCSPAnswerRecipe(singles, nonce: request.nonce))
    }

    /// Makes whatever response the recipe says.
    ///
    /// - Parameter recipe: The response, right or wrong.
    /// - Returns: The response.
    /// - Throws: ``TestKitError`` `.openSSL`, `.invalidValidity` or `.invalidRecipe`.
    public func ocspAnswer(_ recipe: OCSPAnswerRecipe) throws(TestKitError) -> OCSPAnswer {
        let (key, responder): (PrivateKey, IssuedCertificate) =
            switch recipe.responder {
            case .authority: (identity.privateKey, identity)
            case .stranger: (try signingKey(.stranger), identity)
            case .delegate(let delegate): (delegate.privateKey, delegate)
            }
        let algorithm = try key.signatureAlgorithm(recipe.digest)
        let tbs = try responseContents(recipe, responder: responder)
        let signature = try key.sign(tbs, recipe.digest)
        var basic = DERWriter(capacity: tbs.count + signature.count + 64)
        basic.sequence { response in
            response.append(tbs)
            response.append(algorithm)
            response.bitString(signature)
            guard case .delegate(let delegate) = recipe.responder else { return }
            response.constructed(DERWriter.Tag.context(0, isConstructed: true)) { explicit in
                explicit.sequence { certificates in
                    for companion in recipe.companions {
                        certificates.append(companion.certificateDER)
                    }
                    certificates.append(delegate.certificateDER)
                }
            }
        }
        var writer = DERWriter(capacity: basic.bytes.count + 64)
        try writer.sequence { (response) throws(TestKitError) in
            response.element(DERWriter.Tag.enumerated, [0])
            try response.constructed(DERWriter.Tag.context(0, isConstructed: true)) {
                (explicit) throws(TestKitError) in
                try explicit.sequence { (bytes) throws(TestKitError) in
                    try bytes.objectIdentifier("1.3.6.1.5.5.7.48.1.1")  // id-pkix-ocsp-basic
                    bytes.element(DERWriter.Tag.octetString, basic.bytes)
                }
            }
        }
        return OCSPAnswer(der: writer.bytes)
    }

    /// The part that is signed (RFC 6960 §4.2.1).
    private func responseContents(
        _ recipe: OCSPAnswerRecipe,
        responder: IssuedCertificate
    ) throws(TestKitError) -> [UInt8] {
        let now = now()
        var tbs = DERWriter(capacity: 256)
        try tbs.sequence { (contents) throws(TestKitError) in
            if recipe.isByKey {
                let hash = try sha1(responder.privateKey.publicKeyBits)
                contents.constructed(DERWriter.Tag.context(2, isConstructed: true)) { byKey in
                    byKey.element(DERWriter.Tag.octetString, hash)
                }
            } else {
                try contents.constructed(DERWriter.Tag.context(1, isConstructed: true)) {
                    (byName) throws(TestKitError) in
                    byName.append(try responder.subject.encoded())
                }
            }
            let producedAt = recipe.producedAt.unixSeconds(now: now)
            try contents.time(unixSeconds: producedAt, isGeneralized: true)
            try contents.sequence { (singles) throws(TestKitError) in
                for single in recipe.singles { try singles.singleResponse(single, now: now) }
            }
            guard recipe.nonce != nil || recipe.hasUnknownCriticalExtension else { return }
            try contents.constructed(DERWriter.Tag.context(1, isConstructed: true)) {
                (explicit) throws(TestKitError) in
                guard recipe.hasUnknownCriticalExtension else {
                    return try explicit.nonceExtensions(recipe.nonce ?? [])
                }
                try explicit.sequence { (extensions) throws(TestKitError) in
                    let null: [UInt8] = [DERWriter.Tag.null, 0]
                    try extensions.certificateExtension("2.25.74656", isCritical: true, null)
                }
            }
        }
        return tbs.bytes
    }
}

extension DERWriter {
    fileprivate mutating func singleResponse(
        _ single: OCSPAnswerRecipe.Single,
        now: Int64
    ) throws(TestKitError) {
        try sequence { (fields) throws(TestKitError) in
            try fields.certificateID(single.id)
            switch single.status {
            case .good: fields.element(Tag.context(0), [])
            case .unknown: fields.element(Tag.context(2), [])
            case .revoked(let instant, let reason):
                try fields.constructed(Tag.context(1, isConstructed: true)) {
                    (revoked) throws(TestKitError) in
                    let seconds = instant.unixSeconds(now: now)
                    try revoked.time(unixSeconds: seconds, isGeneralized: true)
                    guard let reason else { return }
                    revoked.constructed(Tag.context(0, isConstructed: true)) { explicit in
                        explicit.element(Tag.enumerated, [reason.rawValue])
                    }
                }
            }
            let thisUpdate = single.thisUpdate.unixSeconds(now: now)
            try fields.time(unixSeconds: thisUpdate, isGeneralized: true)
            guard let nextUpdate = single.nextUpdate?.unixSeconds(now: now) else { return }
            try fields.constructed(Tag.context(0, isConstructed: true)) {
                (explicit) throws(TestKitError) in
                try explicit.time(unixSeconds: nextUpdate, isGeneralized: true)
            }
        }
    }
}
