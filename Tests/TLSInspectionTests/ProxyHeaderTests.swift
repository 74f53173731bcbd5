// The PROXY protocol, written, read, and lied in. What haproxy says and understands is in
// ListenInteropTests.

import Testing

@testable import Sockets

@Suite
struct ProxyHeaderTests {
    private static let addresses: [(String, String, String, String)] = [
        ("192.0.2.1", "198.51.100.2", "TCP4", "192.0.2.1 198.51.100.2"),
        ("2001:db8::1", "::1", "TCP6", "2001:db8::1 ::1"),
        ("192.0.2.1", "::1", "TCP6", "::ffff:192.0.2.1 ::1"),
        ("fe80::1%eth0", "192.0.2.1", "TCP6", "fe80::1 ::ffff:192.0.2.1"),
    ]

    private func header(
        _ version: ProxyHeader.Version,
        _ source: String = "192.0.2.1",
        _ destination: String = "198.51.100.2"
    ) -> ProxyHeader {
        ProxyHeader(
            version,
            source: SocketAddress(source, port: 56324),
            destination: SocketAddress(destination, port: 443)
        )
    }

    @Test("version 1 is the line of the document", arguments: addresses)
    func line(_ source: String, _ destination: String, _ family: String, _ text: String) throws {
        let bytes = header(.v1, source, destination).bytes
        #expect(String(decoding: bytes, as: UTF8.self) == "PROXY \(family) \(text) 56324 443\r\n")
        #expect(bytes.count <= ProxyHeader.lineBytesMax)
    }

    @Test("version 2 is the bytes of the document")
    func binary() throws {
        var header = header(.v2)
        header.attributes = [.init(ProxyHeader.Attribute.authority, Array("a.test".utf8))]
        let expected: [UInt8] =
            [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10, 0x21, 0x11, 0, 21]
            + [192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb]
            + [2, 0, 6, 0x61, 0x2e, 0x74, 0x65, 0x73, 0x74]
        #expect(header.bytes == expected)
        header.isLocal = true
        #expect(header.bytes[12...15] == [0x20, 0, 0, 9])
    }

    @Test(
        "what is written is read, needs every byte, and ends where it ends",
        arguments: addresses,
        ProxyHeader.Version.allCases
    )
    func roundTrip(_ row: (String, String, String, String), _ version: ProxyHeader.Version) throws {
        var written = header(version, row.0, row.1)
        if version == .v2 {
            written.attributes = [
                .init(ProxyHeader.Attribute.alpn, Array("h2".utf8)),
                .init(ProxyHeader.Attribute.authority, Array("a.test".utf8)),
                .init(ProxyHeader.Attribute.filling, [0, 0, 0]),
            ]
        }
        let bytes = written.bytes
        for count in bytes.indices {
            #expect(try ProxyHeader.read(Array(bytes[..<count])) == nil)
        }
        let found = try #require(try ProxyHeader.read(bytes + [22, 3, 1]))
        #expect(found.count == bytes.count)
        // Filling is passed over; families that differ become one.
        var again = found.header
        if version == .v2 {
            again.attributes.append(.init(ProxyHeader.Attribute.filling, [0, 0, 0]))
        }
        #expect(again.bytes == bytes)
        #expect(found.header.source?.port == 56324)
        #expect(found.header.destination?.port == 443)
        #expect(found.header.alpn == (version == .v2 ? "h2" : nil))
        #expect(found.header.authority == (version == .v2 ? "a.test" : nil))
    }

    @Test(
        "addresses that are not known are told as unknown",
        arguments: ProxyHeader.Version.allCases
    )
    func unknown(_ version: ProxyHeader.Version) throws {
        let here = SocketAddress("unix:/run/a.sock", port: 0)
        for (source, destination) in [(nil, nil), (here, here), (nil, here)] {
            let header = ProxyHeader(version, source: source, destination: destination)
            let found = try #require(try ProxyHeader.read(header.bytes))
            #expect(found.count == header.bytes.count)
            #expect(found.header.source == nil && found.header.destination == nil)
        }
    }

    @Test("a checksum is checked, and is CRC32c")
    func checksum() throws {
        #expect(ProxyHeader.checksum(Array("123456789".utf8)) == 0xE306_9283)
        var header = header(.v2)
        header.attributes = [.init(ProxyHeader.Attribute.checksum, [0, 0, 0, 0])]
        let sum = ProxyHeader.checksum(header.bytes)
        header.attributes[0].value = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: sum >> $0) }
        #expect(try ProxyHeader.read(header.bytes)?.header == header)
        var wrong = header.bytes
        wrong[18] ^= 1
        #expect(throws: ProxyHeaderFault.malformed("the checksum is wrong")) {
            try ProxyHeader.read(wrong)
        }
    }

    @Test(
        "a line that is not to the letter is refused",
        arguments: [
            "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n", "PROXY  TCP4 192.0.2.1 198.51.100.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 \r\n",
            "PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n", "PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2  2\r\n", "PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n",
            "PROXY \r\n", "PROXY \n", "PROXY TCP4\r\n",
        ]
    )
    func wrongLines(_ line: String) {
        #expect {
            try ProxyHeader.read(Array(line.utf8))
        } throws: { error in
            if case .malformed = error as? ProxyHeaderFault { true } else { false }
        }
    }

    @Test("a line has an end within 107 bytes")
    func endlessLine() throws {
        let line = Array("PROXY UNKNOWN ".utf8) + [UInt8](repeating: 0x61, count: 200)
        #expect(try ProxyHeader.read(Array(line.prefix(106))) == nil)
        for bytes in [Array(line.prefix(107)), line, line + [13, 10]] {
            #expect(throws: ProxyHeaderFault.tooLarge(limit: 107)) { try ProxyHeader.read(bytes) }
        }
        let longest = line.prefix(105) + [13, 10]
        #expect(try ProxyHeader.read(Array(longest))?.count == 107)
    }

    @Test(
        "something else is no header",
        arguments: ["GET / HTTP/1.1", "\u{16}\u{3}\u{1}", "PROXZ", "\r\n\r\nQUIT", "proxy "]
    )
    func somethingElse(_ text: String) {
        #expect(throws: ProxyHeaderFault.notProxy) { try ProxyHeader.read(Array(text.utf8)) }
    }

    @Test("a binary header that lies is refused, and one over the limit before it has come")
    func wrongBinary() throws {
        var header = header(.v2)
        header.attributes = [.init(0xe0, [1, 2, 3])]
        let good = header.bytes
        let table: [(Int, UInt8)] = [
            (12, 0x11), (12, 0x31), (12, 0x22), (13, 0x41), (13, 0x13), (13, 0x21), (13, 0x31),
            (15, 11), (15, 13), (15, 17), (29, 1), (30, 4),
        ]
        for (place, value) in table {
            var bytes = good
            bytes[place] = value
            #expect("byte \(place) is \(value)") {
                try ProxyHeader.read(bytes)
            } throws: { error in
                if case .malformed = error as? ProxyHeaderFault { true } else { false }
            }
        }
        var large = good
        large[14] = 0x10
        #expect(throws: ProxyHeaderFault.tooLarge(limit: 4096)) { try ProxyHeader.read(large) }
        #expect(try ProxyHeader.read(large, limit: 65551) == nil)
    }

    @Test("nothing that comes makes it trap, and it never reads past what came")
    func noise() throws {
        var header = header(.v2, "::1", "::2")
        header.attributes = [.init(1, Array("h2".utf8)), .init(3, [1, 2, 3, 4]), .init(4, [])]
        var generator = SeededGenerator(state: 7)
        for seed in [header.bytes, self.header(.v1).bytes] {
            for _ in 0..<3000 {
                var bytes = seed
                for _ in 0..<Int.random(in: 1...3, using: &generator) {
                    let place = Int.random(in: 0..<bytes.count, using: &generator)
                    bytes[place] = .random(in: 0...255, using: &generator)
                }
                bytes.removeLast(Int.random(in: 0...2, using: &generator))
                if let found = try? ProxyHeader.read(bytes) { #expect(found.count <= bytes.count) }
            }
        }
    }
}

/// Numbers that look random and come again (splitmix64).
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
