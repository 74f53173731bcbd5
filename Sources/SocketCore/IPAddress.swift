// IP addresses as values: strict text in, canonical text out.
//
// Text that some parsers take and others read as something else is refused: leading zeros (octal
// for inet_aton), fewer than four parts, hexadecimal IPv4. Two systems that read one text
// differently are a way round an access check.

/// An IPv4 address.
package struct IPv4Address: Hashable, Sendable {
    /// The address as a number: 127.0.0.1 is 0x7F000001.
    package let number: UInt32

    package init(_ number: UInt32) {
        self.number = number
    }

    /// Parses four decimal numbers of 0...255 without leading zeros, such as "192.0.2.1".
    package init?(_ text: String) {
        self.init(Array(text.utf8)[...])
    }

    init?(_ text: ArraySlice<UInt8>) {
        var number: UInt32 = 0
        let parts = text.split(
            separator: UInt8(ascii: "."),
            maxSplits: 4,
            omittingEmptySubsequences: false
        )
        guard parts.count == 4 else {
            return nil
        }
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy(\.isDigit) else {
                return nil
            }
            guard part.count == 1 || part.first != UInt8(ascii: "0") else {
                return nil
            }
            let value = part.reduce(0) { $0 * 10 + UInt32($1 - UInt8(ascii: "0")) }
            guard value <= 255 else {
                return nil
            }
            number = number << 8 | value
        }
        self.number = number
    }

    package static let loopback = IPv4Address(0x7F00_0001)
    package static let any = IPv4Address(0)

    /// Whether the address is in 127.0.0.0/8.
    package var isLoopback: Bool {
        number >> 24 == 127
    }

    /// The four bytes in network order.
    package var bytes: [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
    }
}

extension IPv4Address: CustomStringConvertible {
    package var description: String {
        "\(number >> 24).\(number >> 16 & 255).\(number >> 8 & 255).\(number & 255)"
    }
}

/// An IPv6 address, with the zone a link-local one needs.
package struct IPv6Address: Hashable, Sendable {
    /// The first 64 bits as a number.
    package let high: UInt64
    /// The last 64 bits as a number.
    package let low: UInt64
    /// An interface's name or its index from 1 in decimal (RFC 4007 §11.2); nil for none.
    package let zone: String?

    package init(high: UInt64, low: UInt64, zone: String? = nil) {
        self.high = high
        self.low = low
        self.zone = zone
    }

    /// Parses the forms of RFC 4291 §2.2, with an optional "%zone" (RFC 4007 §11.2).
    package init?(_ text: String) {
        self.init(Array(text.utf8)[...])
    }

    init?(_ text: ArraySlice<UInt8>) {
        let mark = text.firstIndex(of: UInt8(ascii: "%"))
        guard let groups = Self.groups(text[..<(mark ?? text.endIndex)]) else {
            return nil
        }
        high = groups[..<4].reduce(0) { $0 << 16 | UInt64($1) }
        low = groups[4...].reduce(0) { $0 << 16 | UInt64($1) }
        guard let mark else {
            zone = nil
            return
        }
        let zoneText = text[(mark + 1)...]
        guard Self.isZone(zoneText) else {
            return nil
        }
        zone = String(decoding: zoneText, as: UTF8.self)
    }

    package static let loopback = IPv6Address(high: 0, low: 1)
    package static let any = IPv6Address(high: 0, low: 0)

    /// Whether the address is ::1.
    package var isLoopback: Bool {
        high == 0 && low == 1
    }

    /// Whether the address is in fe80::/10, where only a zone makes it complete.
    package var isLinkLocal: Bool {
        high >> 54 == 0x3FA
    }

    /// The IPv4 address inside ::ffff:0:0/96 (RFC 4291 §2.5.5.2).
    package var mappedIPv4: IPv4Address? {
        high == 0 && low >> 32 == 0xFFFF ? IPv4Address(UInt32(truncatingIfNeeded: low)) : nil
    }

    /// The sixteen bytes in network order.
    package var bytes: [UInt8] {
        groups.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
    }

    private var groups: [UInt16] {
        [high, low].flatMap { half in
            [48, 32, 16, 0].map { UInt16(truncatingIfNeeded: half >> $0) }
        }
    }

    /// Reads eight groups; nil if the text is none of RFC 4291's forms.
    private static func groups(_ text: ArraySlice<UInt8>) -> [UInt16]? {
        guard (2...45).contains(text.count) else {
            return nil
        }
        let colon = UInt8(ascii: ":")
        var gap: Int?
        for index in text.indices.dropLast() where text[index] == colon && text[index + 1] == colon
        {
            guard gap == nil else {
                return nil  // a second "::", or ":::"
            }
            gap = index
        }
        guard let gap else {
            let groups = run(text, mayEndInIPv4: true)
            return groups?.count == 8 ? groups : nil
        }
        guard let head = run(text[..<gap], mayEndInIPv4: false),
            let tail = run(text[(gap + 2)...], mayEndInIPv4: true),
            head.count + tail.count <= 7  // "::" stands for at least one group
        else {
            return nil
        }
        return head + [UInt16](repeating: 0, count: 8 - head.count - tail.count) + tail
    }

    /// Reads groups joined by single colons.
    private static func run(_ text: ArraySlice<UInt8>, mayEndInIPv4: Bool) -> [UInt16]? {
        guard !text.isEmpty else {
            return []
        }
        var groups: [UInt16] = []
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if mayEndInIPv4, index == parts.count - 1, part.contains(UInt8(ascii: ".")) {
                guard let ipv4 = IPv4Address(part) else {
                    return nil
                }
                groups.append(UInt16(ipv4.number >> 16))
                groups.append(UInt16(ipv4.number & 0xFFFF))
                continue
            }
            guard (1...4).contains(part.count) else {
                return nil
            }
            var value: UInt16 = 0
            for byte in part {
                guard let digit = byte.hexValue else {
                    return nil
                }
                value = value << 4 | UInt16(digit)
            }
            groups.append(value)
        }
        return groups
    }

    /// Accepts an interface's name (at most 15 bytes) or an index of 1...2^32-1.
    private static func isZone(_ text: ArraySlice<UInt8>) -> Bool {
        let refused = "%/[]:".utf8
        guard (1...15).contains(text.count),
            text.allSatisfy({ (0x21...0x7E).contains($0) && !refused.contains($0) })
        else {
            return false
        }
        guard text.allSatisfy(\.isDigit) else {
            return true
        }
        let number = UInt32(String(decoding: text, as: UTF8.self))
        return number != nil && number != 0 && text.first != UInt8(ascii: "0")
    }
}

extension IPv6Address: CustomStringConvertible {
    /// The canonical text (RFC 5952): lower case, the longest run of zero groups shortened, mapped
    /// addresses with their dotted part.
    package var description: String {
        let suffix = zone.map { "%" + $0 } ?? ""
        if let mappedIPv4 {
            return "::ffff:\(mappedIPv4)" + suffix
        }
        let groups = groups
        let gap = Self.longestZeroRun(groups)
        let hex = { (slice: ArraySlice<UInt16>) in
            slice.map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard gap.count >= 2 else {
            return hex(groups[...]) + suffix
        }
        return hex(groups[..<gap.lowerBound]) + "::" + hex(groups[gap.upperBound...]) + suffix
    }

    /// The first of the longest runs of zero groups (RFC 5952 §4.2.3).
    private static func longestZeroRun(_ groups: [UInt16]) -> Range<Int> {
        var longest = 0..<0
        var start = 0
        for (index, group) in groups.enumerated() {
            if group != 0 {
                start = index + 1
            } else if index + 1 - start > longest.count {
                longest = start..<(index + 1)
            }
        }
        return longest
    }
}

/// An address of either version.
package enum IPAddress: Hashable, Sendable {
    case v4(IPv4Address)
    case v6(IPv6Address)

    /// Parses an address of either version; see ``IPv4Address`` and ``IPv6Address``.
    package init?(_ text: String) {
        if let ipv4 = IPv4Address(text) {
            self = .v4(ipv4)
        } else if let ipv6 = IPv6Address(text) {
            self = .v6(ipv6)
        } else {
            return nil
        }
    }

    /// Whether packets to the address never leave this machine.
    package var isLoopback: Bool {
        switch self {
        case .v4(let ip): ip.isLoopback
        case .v6(let ip): ip.isLoopback || ip.mappedIPv4?.isLoopback == true
        }
    }

    /// The 4 or 16 bytes in network order, as in an iPAddress SAN; the zone is not part of them.
    package var bytes: [UInt8] {
        switch self {
        case .v4(let ip): ip.bytes
        case .v6(let ip): ip.bytes
        }
    }
}

extension IPAddress: CustomStringConvertible {
    package var description: String {
        switch self {
        case .v4(let ip): ip.description
        case .v6(let ip): ip.description
        }
    }
}

extension UInt8 {
    var isDigit: Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self)
    }

    var isLetter: Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20)
    }

    /// The value of a hexadecimal digit, 0...15.
    var hexValue: UInt8? {
        if isDigit {
            return self - UInt8(ascii: "0")
        }
        let lower = self | 0x20
        return (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(lower)
            ? lower - UInt8(ascii: "a") + 10 : nil
    }
}
