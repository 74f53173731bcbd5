/// The subject or issuer of a certificate: attributes in order (RFC 5280 §4.1.2.4).
///
/// An array literal spells one out: `[.organization("Example"), .commonName("a.test")]`; the empty
/// literal is the empty name.
public struct DistinguishedName: Sendable, Hashable, ExpressibleByArrayLiteral {
    /// One attribute, alone in its relative distinguished name.
    public struct Attribute: Sendable, Hashable {
        /// The attribute's type in dotted form.
        public var oid: String
        /// The attribute's value; encoded as UTF8String, the country as PrintableString.
        public var value: String

        /// Makes an attribute of any type.
        ///
        /// - Parameters:
        ///   - oid: The type in dotted form.
        ///   - value: The value; not checked against the type's limits.
        public init(oid: String, value: String) {
            self.oid = oid
            self.value = value
        }

        /// Makes a common name (CN); correct ones have at most 64 characters.
        ///
        /// - Parameter value: The value.
        /// - Returns: The attribute.
        public static func commonName(_ value: String) -> Self {
            Self(oid: "2.5.4.3", value: value)
        }

        /// Makes a country (C), two letters of ISO 3166.
        ///
        /// - Parameter value: The value.
        /// - Returns: The attribute.
        public static func country(_ value: String) -> Self { Self(oid: countryOID, value: value) }

        /// Makes an organization (O).
        ///
        /// - Parameter value: The value.
        /// - Returns: The attribute.
        public static func organization(_ value: String) -> Self {
            Self(oid: "2.5.4.10", value: value)
        }

        /// Makes an organizational unit (OU).
        ///
        /// - Parameter value: The value.
        /// - Returns: The attribute.
        public static func organizationalUnit(_ value: String) -> Self {
            Self(oid: "2.5.4.11", value: value)
        }

        fileprivate static let countryOID = "2.5.4.6"
    }

    /// The attributes in the order they are encoded.
    public var attributes: [Attribute]

    /// Makes a name of attributes.
    ///
    /// - Parameter attributes: In the order they are encoded.
    public init(_ attributes: [Attribute]) { self.attributes = attributes }

    /// Makes a name of attributes.
    ///
    /// - Parameter elements: In the order they are encoded.
    public init(arrayLiteral elements: Attribute...) { self.init(elements) }

    /// Makes a name of a single common name.
    ///
    /// - Parameter value: The common name.
    /// - Returns: The name.
    public static func commonName(_ value: String) -> Self { [.commonName(value)] }

    /// The DER of the name.
    ///
    /// Equal names have equal DER, which is how chains link.
    func encoded() throws(TestKitError) -> [UInt8] {
        var writer = DERWriter()
        try writer.sequence { (name) throws(TestKitError) in
            for attribute in attributes {
                let type = try EncodedOID(dotted: attribute.oid)
                let isCountry = attribute.oid == Attribute.countryOID
                name.constructed(DERWriter.Tag.set) { relativeName in
                    relativeName.sequence { pair in
                        pair.element(DERWriter.Tag.objectIdentifier, type.contents)
                        pair.element(
                            isCountry ? DERWriter.Tag.printableString : DERWriter.Tag.utf8String,
                            attribute.value.utf8
                        )
                    }
                }
            }
        }
        return writer.bytes
    }
}
