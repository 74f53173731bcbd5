// Collects the beginning of a connection until its ClientHello is whole. Whoever sends a byte at a time
// costs a byte's work each time: the parser runs when the records' headers say that it is worth it.

import Sockets

/// The beginning of a connection.
struct HelloPeek {
    /// What came so far.
    private(set) var bytes: [UInt8] = []
    private let limit: Int
    /// Where the next record begins.
    private var place = 0
    /// How much of the message whole records held.
    private var held = 0
    /// The first four bytes of the message, which tell its length, as far as they came.
    private var head: UInt32 = 0
    private var headCount = 0

    /// Makes an empty one.
    ///
    /// - Parameter limit: The most bytes of records that are looked at.
    init(limit: Int) { self.limit = limit }

    /// Takes what came.
    ///
    /// - Parameter piece: The next bytes.
    /// - Returns: The hello, once it is whole; nil when more is needed.
    /// - Throws: ``TLSError`` of ``ClientHello/init(reading:limit:)``.
    mutating func take(_ piece: [UInt8]) throws(TLSError) -> ClientHello? {
        if bytes.isEmpty { bytes = piece } else { bytes += piece }
        guard isWorthReading() else { return nil }
        return try ClientHello(reading: bytes, limit: limit)
    }

    /// Whether the parser would have something to say: a hello, or a fault.
    private mutating func isWorthReading() -> Bool {
        while bytes.count >= place + 5 {
            let count = Int(bytes[place + 3]) << 8 | Int(bytes[place + 4])
            guard bytes[place] == 22, bytes[place + 1] == 3, (1...16384).contains(count) else {
                return true
            }
            guard bytes.count >= place + 5 + count else { break }
            for byte in bytes[(place + 5)..<(place + 5 + min(count, 4 - headCount))] {
                head = head << 8 | UInt32(byte)
                headCount += 1
            }
            held += count
            place += 5 + count
            guard head >> (8 * UInt32(headCount - 1)) == 1 else { return true }
            if headCount == 4, held >= 4 + Int(head & 0xff_ffff) { return true }
        }
        return bytes.count >= limit || bytes.count > place && bytes[place] != 22
            || bytes.count > place + 5 && place == 0 && bytes[5] != 1
    }
}
