// The records of TLS in one direction, cut out whole, as bytes come (RFC 8446 §5.1).

import Sockets

/// Cuts records out of a stream.
struct RecordWalk {
    private var bytes: [UInt8] = []
    private var place = 0

    /// The bytes that are held.
    var heldBytes: Int { bytes.count }

    /// Takes the next bytes.
    mutating func take(_ piece: some Sequence<UInt8>) {
        bytes.removeFirst(place)
        place = 0
        bytes += piece
    }

    /// The next record with its header; nil when more bytes are needed.
    ///
    /// - Throws: ``Malformed`` for what is no record.
    mutating func next() throws(Malformed) -> [UInt8]? {
        let head = BoundedBytes(bytes[place...])
        guard let kind = head.number8(0) else { return nil }
        guard (20...24).contains(kind), head.number8(1) ?? 3 == 3 else {
            throw Malformed("the record has no form of TLS", isTLS: false)
        }
        guard let count = head.number16(3) else { return nil }
        guard count <= RawLimits.recordBytesRead else {
            throw Malformed("a record of \(count) bytes")
        }
        guard head.count >= 5 + count else { return nil }
        place += 5 + count
        return Array(head.slice.prefix(5 + count))
    }
}

/// What a record is to somebody who has no key.
enum OpenRecord {
    /// Handshake, in clear unless something before says otherwise.
    case handshake
    /// An alert in clear.
    case alert(Alert)
    /// From here on all is encrypted, or would be (RFC 8446 §5).
    case changeCipherSpec
    /// What is encrypted.
    case hidden

    init(_ record: [UInt8]) {
        switch record[0] {
        case 20: self = .changeCipherSpec
        case 21 where record.count == 7:
            self =
                Alert.Level(rawValue: record[5]).map { .alert(Alert(record[6], level: $0)) }
                ?? .hidden
        case 22: self = .handshake
        default: self = .hidden
        }
    }
}
