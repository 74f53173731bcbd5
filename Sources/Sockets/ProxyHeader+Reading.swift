// Reads a header of the PROXY protocol from the front of a connection: to the letter and within bounds, as
// whoever can connect can also write one. Only what a listener expects is looked for; there is no guessing
// whether a header is there.

import SocketCore

/// Why bytes are no header of the PROXY protocol.
package enum ProxyHeaderFault: Error, Hashable, Sendable {
    /// They begin with something else.
    case notProxy
    /// They begin like one and are none; says why.
    case malformed(String)
    /// The header is larger than the limit.
    case tooLarge(limit: Int)
}

extension ProxyHeader {
    /// The most bytes of a line of version 1, its end included.
    package static let lineBytesMax = 107
    /// The most bytes of a header of version 2 that are read unless told otherwise.
    package static let bytesMax = 4096

    /// A header and the bytes it takes.
    package struct Found: Hashable, Sendable {
        /// The header.
        package var header: ProxyHeader
        /// How many bytes of the connection it is; what follows is the connection's.
        package var count: Int
    }

    /// Reads the header at the front of a connection; nil when more is needed.
    ///
    /// - Parameters:
    ///   - bytes: What came so far, from the first byte on.
    ///   - limit: The most bytes of a header of version 2.
    /// - Returns: The header, and how long it is.
    /// - Throws: ``ProxyHeaderFault``.
    package static func read(
        _ bytes: [UInt8],
        limit: Int = bytesMax
    ) throws(ProxyHeaderFault) -> Found? {
        let text = Array("PROXY ".utf8)
        if bytes.prefix(text.count).elementsEqual(text.prefix(bytes.count)) {
            return bytes.count < text.count ? nil : try readLine(bytes)
        }
        let count = min(bytes.count, signature.count)
        guard bytes[..<count].elementsEqual(signature[..<count]) else {
            throw .notProxy
        }
        return try readBinary(bytes, limit)
    }

    // MARK: Version 1

    private static func readLine(_ bytes: [UInt8]) throws(ProxyHeaderFault) -> Found? {
        guard let end = bytes.prefix(lineBytesMax).firstIndex(of: 10) else {
            guard bytes.count < lineBytesMax else { throw .tooLarge(limit: lineBytesMax) }
            return nil
        }
        guard bytes[end - 1] == 13 else { throw .malformed("the line has no end") }
        let words = bytes[..<(end - 1)].split(separator: 32, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        var header = ProxyHeader(.v1, source: nil, destination: nil)
        // What follows UNKNOWN does not count.
        if words[1] == "UNKNOWN" { return Found(header: header, count: end + 1) }
        guard words.count == 6, ["TCP4", "TCP6"].contains(words[1]) else {
            throw .malformed("the line has not its six words")
        }
        let isIPv4 = words[1] == "TCP4"
        header.source = try address(words[2], words[4], isIPv4)
        header.destination = try address(words[3], words[5], isIPv4)
        return Found(header: header, count: end + 1)
    }

    private static func address(
        _ text: String,
        _ port: String,
        _ isIPv4: Bool
    ) throws(ProxyHeaderFault) -> SocketAddress {
        guard let ip = IPAddress(text), (ip.bytes.count == 4) == isIPv4, !text.contains("%") else {
            throw .malformed("an address has not its form")
        }
        // Neither a sign nor zeros in front, which UInt16 would take.
        guard port.utf8.allSatisfy({ (48...57).contains($0) }), port == "0" || !port.hasPrefix("0"),
            let number = UInt16(port)
        else { throw .malformed("a port has not its form") }
        return SocketAddress(ip.description, port: number)
    }

    // MARK: Version 2

    private static func readBinary(
        _ bytes: [UInt8],
        _ limit: Int
    ) throws(ProxyHeaderFault) -> Found? {
        guard bytes.count >= fixedCount else { return nil }
        guard bytes[12] >> 4 == 2, bytes[12] & 15 <= 1 else {
            throw .malformed("neither version 2 nor a command")
        }
        guard bytes[13] >> 4 <= 3, bytes[13] & 15 <= 2 else {
            throw .malformed("an address family that is not known")
        }
        let count = fixedCount + (Int(bytes[14]) << 8 | Int(bytes[15]))
        guard count <= limit else { throw .tooLarge(limit: limit) }
        guard bytes.count >= count else { return nil }
        var header = ProxyHeader(.v2, source: nil, destination: nil)
        header.isLocal = bytes[12] & 15 == 0
        var rest = bytes[fixedCount..<count]
        let size = [0, 12, 36, 216][Int(bytes[13] >> 4)]
        guard rest.count >= size else { throw .malformed("the addresses are cut off") }
        let parts = rest.prefix(size)
        rest = rest.dropFirst(size)
        // Of a connection of the proxy's own nothing counts; paths of another machine mean nothing.
        if !header.isLocal, size == 12 || size == 36 {
            let width = size == 12 ? 4 : 16
            let from = parts.startIndex
            let (to, ports) = (from + width, from + 2 * width)
            header.source = address(parts[from..<to], port: parts[ports..<(ports + 2)])
            header.destination = address(parts[to..<ports], port: parts[(ports + 2)...])
        }
        header.attributes = try attributes(in: rest, of: bytes[..<count])
        return Found(header: header, count: count)
    }

    private static func address(
        _ bytes: ArraySlice<UInt8>,
        port: ArraySlice<UInt8>
    ) -> SocketAddress {
        let halves = bytes.reduce((high: UInt64(0), low: UInt64(0))) { sum, byte in
            (sum.high << 8 | sum.low >> 56, sum.low << 8 | UInt64(byte))
        }
        return SocketAddress(
            ipHigh: halves.high,
            low: halves.low,
            isIPv4: bytes.count == 4,
            port: port.reduce(0) { $0 << 8 | UInt16($1) }
        )
    }

    private static func attributes(
        in bytes: ArraySlice<UInt8>,
        of header: ArraySlice<UInt8>
    ) throws(ProxyHeaderFault) -> [Attribute] {
        var found: [Attribute] = []
        var place = bytes.startIndex
        while place < bytes.endIndex {
            guard bytes.endIndex - place >= 3 else { throw .malformed("an attribute is cut off") }
            let count = Int(bytes[place + 1]) << 8 | Int(bytes[place + 2])
            guard bytes.endIndex - place - 3 >= count else {
                throw .malformed("an attribute is cut off")
            }
            let value = place + 3
            place = value + count
            switch bytes[value - 3] {
            case Attribute.filling: continue
            case Attribute.checksum:
                guard count == 4 else { throw .malformed("a checksum has four bytes") }
                var blank = Array(header)
                let start = value - header.startIndex
                blank.replaceSubrange(start..<(start + 4), with: [0, 0, 0, 0])
                let told = bytes[value..<place].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
                guard checksum(blank) == told else { throw .malformed("the checksum is wrong") }
            default: break
            }
            found.append(Attribute(bytes[value - 3], Array(bytes[value..<place])))
        }
        let alone = found.filter { $0.type == Attribute.checksum }.count <= 1
        guard alone else { throw .malformed("two checksums") }
        return found
    }

    /// CRC32c (RFC 3720 §B.4).
    static func checksum(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~0) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in
                sum >> 1 ^ (sum & 1 == 0 ? 0 : 0x82F6_3B78)
            }
        }
    }
}
