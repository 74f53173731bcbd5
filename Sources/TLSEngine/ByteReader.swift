// Reads structures of TLS from the front of bytes (RFC 8446 §3). What does not fit is an error.

/// Takes numbers and vectors of TLS from the front of bytes.
struct ByteReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: some Collection<UInt8>) { rest = Array(bytes)[...] }

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isAtEnd: Bool { rest.isEmpty }

    /// Everything that is left.
    mutating func takeRest() -> [UInt8] {
        defer { rest = [] }
        return Array(rest)
    }

    mutating func take(_ count: Int) throws(TLSError) -> [UInt8] {
        guard rest.count >= count else { throw ClientHello.malformed("it ends too early") }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }

    mutating func number8() throws(TLSError) -> UInt8 {
        guard let byte = rest.popFirst() else { throw ClientHello.malformed("it ends too early") }
        return byte
    }

    mutating func number16() throws(TLSError) -> UInt16 {
        try UInt16(number8()) << 8 | UInt16(number8())
    }

    mutating func number32() throws(TLSError) -> UInt32 {
        try UInt32(number16()) << 16 | UInt32(number16())
    }

    mutating func number64() throws(TLSError) -> UInt64 {
        try UInt64(number32()) << 32 | UInt64(number32())
    }

    /// A vector behind one byte of length.
    mutating func vector8(_ least: Int = 0) throws(TLSError) -> [UInt8] {
        try bounded(take(Int(try number8())), least)
    }

    /// A vector behind two bytes of length.
    mutating func vector16(_ least: Int = 0) throws(TLSError) -> [UInt8] {
        try bounded(take(Int(try number16())), least)
    }

    private func bounded(_ bytes: [UInt8], _ least: Int) throws(TLSError) -> [UInt8] {
        guard bytes.count >= least else {
            throw ClientHello.malformed("a list is too short")
        }
        return bytes
    }

    /// Refuses what nothing accounts for.
    func finish() throws(TLSError) {
        guard isAtEnd else { throw ClientHello.malformed("something follows its end") }
    }

    /// Reads elements until nothing is left.
    mutating func all<Element>(
        _ element: (inout ByteReader) throws(TLSError) -> Element
    ) throws(TLSError) -> [Element] {
        var found: [Element] = []
        while !isAtEnd { found.append(try element(&self)) }
        return found
    }

    /// Reads numbers of two bytes until nothing is left.
    mutating func numbers16() throws(TLSError) -> [UInt16] {
        try all { reader throws(TLSError) in try reader.number16() }
    }
}
