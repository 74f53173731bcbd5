// What an OCSP client asks (RFC 6960 §4.1): made for tests of responders, read by responders.

/// Which certificate an OCSP request or response speaks of (`CertID`).
public struct OCSPCertificateID: Sendable, Hashable {
    /// The digest of name and key.
    public enum Digest: String, Sendable, Hashable, CaseIterable {
        /// SHA-1, which every responder understands (RFC 5019 §2.1.1).
        case sha1
        /// SHA-256.
        case sha256
    }

    /// The digest of name and key.
    public var digest: Digest
    /// The digest of the issuer's name in DER.
    public var issuerNameHash: [UInt8]
    /// The digest of the issuer's public key, the contents of its BIT STRING.
    public var issuerKeyHash: [UInt8]
    /// The contents octets of the serial number.
    public var serial: [UInt8]

    /// Makes an identifier of its parts.
    ///
    /// - Parameters:
    ///   - digest: The digest of name and key.
    ///   - issuerNameHash: The digest of the issuer's name in DER.
    ///   - issuerKeyHash: The digest of the issuer's public key.
    ///   - serial: The contents octets of the serial number.
    public init(
        digest: Digest,
        issuerNameHash: [UInt8],
        issuerKeyHash: [UInt8],
        serial: [UInt8]
    ) {
        self.digest = digest
        self.issuerNameHash = issuerNameHash
        self.issuerKeyHash = issuerKeyHash
        self.serial = serial
    }

    /// Makes the identifier of a certificate.
    ///
    /// - Parameters:
    ///   - certificate: The certificate.
    ///   - issuer: The authority that issued it.
    ///   - digest: The digest of name and key.
    /// - Throws: ``TestKitError`` `.openSSL`.
    public init(
        of certificate: IssuedCertificate,
        issuedBy issuer: TestCA,
        digest: Digest = .sha1
    ) throws(TestKitError) {
        let key = try issuer.identity.privateKey.publicKeyBits
        self.init(
            digest: digest,
            issuerNameHash: try digest.hash(issuer.identity.subject.encoded()),
            issuerKeyHash: try digest.hash(key),
            serial: certificate.serial
        )
    }

    init(reading reader: inout DERReader) throws(TestKitError) {
        var fields = try reader.sequence()
        var algorithm = try fields.sequence()
        let oid = try algorithm.contents(of: DERWriter.Tag.objectIdentifier)
        var known: Digest?
        for digest in Digest.allCases
        where try EncodedOID(dotted: digest.oid).contents == oid { known = digest }
        guard let known else {
            throw TestKitError(.malformed, "read an identifier of an unknown digest")
        }
        self.init(
            digest: known,
            issuerNameHash: try fields.contents(of: DERWriter.Tag.octetString),
            issuerKeyHash: try fields.contents(of: DERWriter.Tag.octetString),
            serial: try fields.contents(of: DERWriter.Tag.integer)
        )
    }
}

extension OCSPCertificateID.Digest {
    fileprivate func hash(_ bytes: [UInt8]) throws(TestKitError) -> [UInt8] {
        switch self {
        case .sha1: try TLSTestKit.sha1(bytes)
        case .sha256: try TLSTestKit.sha256(bytes)
        }
    }

    fileprivate var oid: String {
        switch self {
        case .sha1: "1.3.14.3.2.26"
        case .sha256: "2.16.840.1.101.3.4.2.1"
        }
    }
}

extension PrivateKey {
    /// The bits of the public key, which identifiers of issuers and responders are hashes of.
    var publicKeyBits: [UInt8] {
        get throws(TestKitError) {
            // SubjectPublicKeyInfo: the algorithm, then the BIT STRING, whose first octet counts bits.
            var outer = DERReader(subjectPublicKeyInfo)
            var info = try outer.sequence()
            _ = try info.next()
            return Array(try info.contents(of: DERWriter.Tag.bitString).dropFirst())
        }
    }
}

/// A request to an OCSP responder; never signed.
public struct OCSPRequest: Sendable, Hashable {
    /// The certificates asked for in order.
    public var certificates: [OCSPCertificateID]
    /// The nonce, 1 to 32 octets to be correct (RFC 8954 §2.1); nil for none.
    public var nonce: [UInt8]?

    /// Makes a request.
    ///
    /// - Parameters:
    ///   - certificates: The certificates asked for.
    ///   - nonce: The nonce; nil for none.
    public init(for certificates: [OCSPCertificateID], nonce: [UInt8]? = nil) {
        self.certificates = certificates
        self.nonce = nonce
    }

    /// Reads a request; a signature is not looked at.
    ///
    /// - Parameter der: The body of an HTTP POST.
    /// - Throws: ``TestKitError`` `.malformed`.
    public init(der: [UInt8]) throws(TestKitError) {
        var reader = DERReader(der)
        var request = try reader.sequence()
        var tbs = try request.sequence()
        // version [0] and requestorName [1] say nothing here.
        while let tag = tbs.nextTag, tag != DERWriter.Tag.sequence { _ = try tbs.next() }
        var list = try tbs.sequence()
        certificates = []
        while !list.isAtEnd {
            var single = try list.sequence()
            certificates.append(try OCSPCertificateID(reading: &single))
        }
        nonce = nil
        guard !tbs.isAtEnd else { return }
        let tag = DERWriter.Tag.context(2, isConstructed: true)
        var explicit = DERReader(try tbs.contents(of: tag))
        var extensions = try explicit.sequence()
        while !extensions.isAtEnd {
            var entry = try extensions.sequence()
            let oid = try entry.contents(of: DERWriter.Tag.objectIdentifier)
            guard try EncodedOID(dotted: OCSPRequest.nonceOID).contents == oid else { continue }
            if entry.nextTag == DERWriter.Tag.boolean { _ = try entry.next() }
            var value = DERReader(try entry.contents(of: DERWriter.Tag.octetString))
            nonce = try value.contents(of: DERWriter.Tag.octetString)
        }
    }

    /// Encodes the request.
    ///
    /// - Returns: The body of an HTTP POST.
    /// - Throws: ``TestKitError`` `.openSSL`.
    public func encoded() throws(TestKitError) -> [UInt8] {
        var writer = DERWriter()
        try writer.sequence { (request) throws(TestKitError) in
            try request.sequence { (tbs) throws(TestKitError) in
                try tbs.sequence { (list) throws(TestKitError) in
                    for id in certificates {
                        try list.sequence { (single) throws(TestKitError) in
                            try single.certificateID(id)
                        }
                    }
                }
                guard let nonce else { return }
                try tbs.constructed(DERWriter.Tag.context(2, isConstructed: true)) {
                    (explicit) throws(TestKitError) in
                    try explicit.nonceExtensions(nonce)
                }
            }
        }
        return writer.bytes
    }

    /// `id-pkix-ocsp-nonce` (RFC 6960 §4.4.1).
    static let nonceOID = "1.3.6.1.5.5.7.48.1.2"
}

extension DERWriter {
    /// Appends a CertID (RFC 6960 §4.1.1).
    mutating func certificateID(_ id: OCSPCertificateID) throws(TestKitError) {
        try sequence { (fields) throws(TestKitError) in
            try fields.sequence { (algorithm) throws(TestKitError) in
                try algorithm.objectIdentifier(id.digest.oid)
                algorithm.element(Tag.null, [])
            }
            fields.element(Tag.octetString, id.issuerNameHash)
            fields.element(Tag.octetString, id.issuerKeyHash)
            fields.element(Tag.integer, id.serial)
        }
    }

    /// Appends Extensions of a nonce alone.
    mutating func nonceExtensions(_ nonce: [UInt8]) throws(TestKitError) {
        var value = DERWriter()
        value.element(Tag.octetString, nonce)
        let der = value.bytes
        try sequence { (extensions) throws(TestKitError) in
            try extensions.certificateExtension(OCSPRequest.nonceOID, der)
        }
    }
}
