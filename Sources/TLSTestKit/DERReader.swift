/// Takes DER apart, as little of it as OCSP requests and the kit's own output need.
///
/// Every call consumes one element or throws; lengths must be in their shortest form.
struct DERReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: some Collection<UInt8>) { rest = Array(bytes)[...] }

    var isAtEnd: Bool { rest.isEmpty }

    /// The identifier octet of the next element; nil at the end.
    var nextTag: UInt8? { rest.first }

    /// Consumes an element with this tag.
    ///
    /// - Returns: Its contents octets.
    /// - Throws: ``TestKitError`` `.malformed`.
    mutating func contents(of tag: UInt8) throws(TestKitError) -> [UInt8] {
        guard rest.first == tag else { throw Self.malformed }
        return try next().contents
    }

    /// Consumes an element of any tag.
    ///
    /// - Returns: All its octets, and its contents octets.
    /// - Throws: ``TestKitError`` `.malformed`.
    mutating func next() throws(TestKitError) -> (element: [UInt8], contents: [UInt8]) {
        var position = rest.startIndex + 1
        guard position < rest.endIndex else { throw Self.malformed }
        var length = Int(rest[position])
        position += 1
        if length >= 0x80 {
            let count = length - 0x80
            guard (1...4).contains(count), rest.endIndex - position >= count,
                rest[position] != 0
            else { throw Self.malformed }
            length = rest[position..<position + count].reduce(0) { $0 << 8 | Int($1) }
            guard length >= 0x80 else { throw Self.malformed }
            position += count
        }
        guard rest.endIndex - position >= length else { throw Self.malformed }
        let end = position + length
        defer { rest = rest[end...] }
        return (Array(rest[rest.startIndex..<end]), Array(rest[position..<end]))
    }

    /// Enters a SEQUENCE.
    mutating func sequence() throws(TestKitError) -> DERReader {
        DERReader(try contents(of: DERWriter.Tag.sequence))
    }

    private static var malformed: TestKitError { TestKitError(.malformed, "read DER") }
}
