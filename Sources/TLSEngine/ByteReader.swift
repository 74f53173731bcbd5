// Reads structures of TLS from the front of bytes (RFC 8446 §3). What does not fit is an error.

/// Takes numbers and vectors of TLS from the front of bytes.
struct ByteReader {
    private let bytes: [UInt8]
    private var place: Int
    private let end: Int

    /// Reads an array's bytes from a place on; they are not copied.
    init(_ bytes: [UInt8], from place: Int = 0) {
        self.init(bytes, place, bytes.count)
    }

    private init(_ bytes: [UInt8], _ place: Int, _ end: Int) {
        (self.bytes, self.place, self.end) = (bytes, place, end)
    }

    var isAtEnd: Bool { place == end }

    /// Everything that is left.
    mutating func takeRest() -> [UInt8] {
        defer { place = end }
        return Array(bytes[place..<end])
    }

    mutating func take(_ count: Int) throws(TLSError) -> [UInt8] {
        let start = try pass(count)
        return Array(bytes[start..<place])
    }

    mutating func number8() throws(TLSError) -> UInt8 { bytes[try pass(1)] }

    mutating func number16() throws(TLSError) -> UInt16 {
        let start = try pass(2)
        return UInt16(bytes[start]) << 8 | UInt16(bytes[start + 1])
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

    /// What reads a vector behind two bytes of length, where it stands.
    mutating func reader16(_ least: Int = 0) throws(TLSError) -> ByteReader {
        let count = Int(try number16())
        let start = try pass(count)
        guard count >= least else { throw ClientHello.malformed("a list is too short") }
        return ByteReader(bytes, start, place)
    }

    private func bounded(_ bytes: [UInt8], _ least: Int) throws(TLSError) -> [UInt8] {
        guard bytes.count >= least else {
            throw ClientHello.malformed("a list is too short")
        }
        return bytes
    }

    /// Goes over bytes, and gives the place where they begin.
    private mutating func pass(_ count: Int) throws(TLSError) -> Int {
        guard end - place >= count else { throw ClientHello.malformed("it ends too early") }
        defer { place += count }
        return place
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
        var found: [UInt16] = []
        found.reserveCapacity((end - place) / 2)
        while !isAtEnd { found.append(try number16()) }
        return found
    }
}
