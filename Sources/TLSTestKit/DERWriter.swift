/// Appends DER to a byte array (X.690), as little of it as certificates, CRLs and OCSP need.
///
/// The kit writes its own DER because half of what it issues is wrong on purpose: negative serial
/// numbers, NUL bytes in names, repeated extensions. OpenSSL's builders refuse or repair such
/// things; here each is one field. OpenSSL still makes every key and every signature.
struct DERWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    /// Appends bytes that are DER already.
    mutating func append(_ der: [UInt8]) { bytes.append(contentsOf: der) }

    /// Appends one element with the given contents octets.
    mutating func element(_ tag: UInt8, _ contents: some Collection<UInt8>) {
        bytes.append(tag)
        bytes.append(contentsOf: Self.length(contents.count))
        bytes.append(contentsOf: contents)
    }

    /// Appends an element whose contents are what `body` appends.
    mutating func constructed<Failure>(
        _ tag: UInt8,
        _ body: (inout DERWriter) throws(Failure) -> Void
    ) throws(Failure) {
        bytes.append(tag)
        let lengthIndex = bytes.count
        bytes.append(0)
        try body(&self)
        let count = bytes.count - lengthIndex - 1
        if count < 0x80 {
            bytes[lengthIndex] = UInt8(count)
        } else {
            bytes.replaceSubrange(lengthIndex...lengthIndex, with: Self.length(count))
        }
    }

    /// Appends a SEQUENCE.
    mutating func sequence<Failure>(
        _ body: (inout DERWriter) throws(Failure) -> Void
    ) throws(Failure) {
        try constructed(Tag.sequence, body)
    }

    /// Appends a non-negative INTEGER in its shortest form.
    mutating func integer(bigEndian magnitude: some Collection<UInt8>) {
        let significant = magnitude.drop { $0 == 0 }
        let isHigh = significant.first.map { $0 >= 0x80 } ?? true
        element(Tag.integer, (isHigh ? [0] : []) + significant)
    }

    /// Appends a small non-negative INTEGER.
    mutating func integer(_ value: Int) {
        integer(bigEndian: (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) })
    }

    /// Appends a BIT STRING of whole bytes.
    mutating func bitString(_ contents: [UInt8]) { element(Tag.bitString, [0] + contents) }

    /// The length octets of X.690 §8.1.3.
    private static func length(_ count: Int) -> [UInt8] {
        guard count >= 0x80 else { return [UInt8(count)] }
        var octets: [UInt8] = []
        var rest = count
        while rest > 0 {
            octets.insert(UInt8(truncatingIfNeeded: rest), at: 0)
            rest >>= 8
        }
        return [0x80 | UInt8(octets.count)] + octets
    }

    /// The identifier octets in use; all fit in one byte.
    enum Tag {
        static let boolean: UInt8 = 0x01
        static let integer: UInt8 = 0x02
        static let bitString: UInt8 = 0x03
        static let octetString: UInt8 = 0x04
        static let null: UInt8 = 0x05
        static let objectIdentifier: UInt8 = 0x06
        static let enumerated: UInt8 = 0x0A
        static let utf8String: UInt8 = 0x0C
        static let printableString: UInt8 = 0x13
        static let utcTime: UInt8 = 0x17
        static let generalizedTime: UInt8 = 0x18
        static let sequence: UInt8 = 0x30
        static let set: UInt8 = 0x31

        /// A context-specific tag; `isConstructed` for explicit tags and nested structures.
        static func context(_ number: UInt8, isConstructed: Bool = false) -> UInt8 {
            (isConstructed ? 0xA0 : 0x80) | number
        }
    }
}

/// The contents octets of an object identifier (X.690 §8.19), parsed from its dotted form.
struct EncodedOID {
    let contents: [UInt8]

    init(dotted: String) throws(TestKitError) {
        let parts = dotted.split(separator: ".", omittingEmptySubsequences: false)
        let arcs = parts.compactMap { UInt64($0) }
        // Arc 2 may be followed by anything that still fits once 80 is added.
        guard arcs.count == parts.count, arcs.count >= 2, arcs[0] <= 2,
            arcs[1] < (arcs[0] < 2 ? 40 : UInt64.max - 80)
        else {
            throw TestKitError(.invalidRecipe, "\"\(dotted)\" is not an object identifier")
        }
        var contents: [UInt8] = []
        for arc in [arcs[0] * 40 + arcs[1]] + arcs[2...] {
            var septets = [UInt8(arc & 0x7F)]
            var rest = arc >> 7
            while rest > 0 {
                septets.append(UInt8(rest & 0x7F) | 0x80)
                rest >>= 7
            }
            contents.append(contentsOf: septets.reversed())
        }
        self.contents = contents
    }
}
