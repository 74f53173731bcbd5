// The extensions of RFC 5280 and RFC 7633 that a recipe has no field for, each made of what it says.

extension CertificateRecipe.CertificateExtension {
    /// Makes the nameConstraints extension, critical (RFC 5280 §4.2.1.10).
    ///
    /// A DNS name stands for itself and everything below it; an address is a network such as
    /// `10.0.0.0/8` or `::1/128`, or that one address.
    ///
    /// - Parameters:
    ///   - permitted: The names below this authority must lie in one of these of their kind.
    ///   - excluded: No name below this authority may lie in these.
    /// - Returns: The extension.
    /// - Throws: ``TestKitError`` `.invalidName`.
    public static func nameConstraints(
        permitted: [SubjectName] = [],
        excluded: [SubjectName] = []
    ) throws(TestKitError) -> Self {
        var writer = DERWriter()
        try writer.sequence { (constraints) throws(TestKitError) in
            for (tag, names) in [(UInt8(0), permitted), (1, excluded)] where !names.isEmpty {
                try constraints.constructed(DERWriter.Tag.context(tag, isConstructed: true)) {
                    (subtrees) throws(TestKitError) in
                    for name in names {
                        let subtree = try name.subtree()
                        try subtrees.sequence { (entry) throws(TestKitError) in
                            try entry.generalName(subtree)
                        }
                    }
                }
            }
        }
        return Self(oid: "2.5.29.30", isCritical: true, der: writer.bytes)
    }

    /// The TLS feature extension that demands a stapled OCSP response (RFC 7633 §4.1).
    public static let mustStaple = Self(
        oid: "1.3.6.1.5.5.7.1.24",
        der: [0x30, 0x03, 0x02, 0x01, 0x05]  // a list of one: extension 5, status_request
    )

    /// Makes the authorityInfoAccess extension (RFC 5280 §4.2.2.1).
    ///
    /// - Parameters:
    ///   - ocsp: URLs of OCSP responders.
    ///   - issuers: URLs of the issuer's certificate.
    /// - Returns: The extension.
    /// - Throws: ``TestKitError`` `.invalidName` if a URL is not ASCII.
    public static func authorityInformationAccess(
        ocsp: [String] = [],
        issuers: [String] = []
    ) throws(TestKitError) -> Self {
        var writer = DERWriter()
        try writer.sequence { (access) throws(TestKitError) in
            for (method, urls) in [("48.1", ocsp), ("48.2", issuers)] {
                for url in urls {
                    try access.sequence { (description) throws(TestKitError) in
                        try description.objectIdentifier("1.3.6.1.5.5.7." + method)
                        try description.generalName(.uri(url))
                    }
                }
            }
        }
        return Self(oid: "1.3.6.1.5.5.7.1.1", der: writer.bytes)
    }

    /// Makes the cRLDistributionPoints extension, one point a URL (RFC 5280 §4.2.1.13).
    ///
    /// - Parameter urls: Where the issuer's revocation list is.
    /// - Returns: The extension.
    /// - Throws: ``TestKitError`` `.invalidName` if a URL is not ASCII.
    public static func crlDistributionPoints(_ urls: [String]) throws(TestKitError) -> Self {
        var writer = DERWriter()
        let explicit = DERWriter.Tag.context(0, isConstructed: true)
        try writer.sequence { (points) throws(TestKitError) in
            for url in urls {
                try points.sequence { (point) throws(TestKitError) in
                    try point.constructed(explicit) { (name) throws(TestKitError) in
                        try name.constructed(explicit) { (fullName) throws(TestKitError) in
                            try fullName.generalName(.uri(url))
                        }
                    }
                }
            }
        }
        return Self(oid: "2.5.29.31", der: writer.bytes)
    }
}

extension CertificateRecipe {
    /// Returns the recipe with more extensions.
    ///
    /// - Parameter extensions: Appended to ``extraExtensions``.
    /// - Returns: The changed recipe.
    public func adding(_ extensions: CertificateExtension...) -> Self {
        var recipe = self
        recipe.extraExtensions += extensions
        return recipe
    }
}

extension SubjectName {
    /// The name as the root of a subtree: an address becomes address and mask.
    fileprivate func subtree() throws(TestKitError) -> SubjectName {
        let text: String
        switch self {
        case .ip(let address): text = address
        // A literal with a slash is taken for a DNS name.
        case .dns(let name) where name.contains("/"): text = name
        default: return self
        }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let bytes = addressBytes(of: String(parts[0])) else {
            throw TestKitError(.invalidName, "\"\(text)\" is not a network")
        }
        let width = bytes.count * 8
        guard let bits = parts.count == 2 ? Int(parts[1]) : width, (0...width).contains(bits) else {
            throw TestKitError(.invalidName, "\"\(text)\" is not a network")
        }
        let mask = bytes.indices.map { index -> UInt8 in
            let ones = min(8, max(0, bits - index * 8))
            return UInt8(truncatingIfNeeded: 0xFF00 >> ones)
        }
        return .raw(tag: 7, contents: zip(bytes, mask).map { $0 & $1 } + mask)
    }
}
