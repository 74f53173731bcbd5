import SocketCore
import Testing

@Suite struct IPAddressTests {
    @Test(
        "IPv4 text is four decimal numbers, and prints as it was read",
        arguments: [
            ("0.0.0.0", UInt32(0)), ("127.0.0.1", 0x7F00_0001), ("1.2.3.4", 0x0102_0304),
            ("255.255.255.255", 0xFFFF_FFFF), ("192.168.100.200", 0xC0A8_64C8),
        ]
    )
    func goodIPv4(text: String, number: UInt32) throws {
        let address = try #require(IPv4Address(text))
        #expect(address.number == number)
        #expect(address.description == text)
        #expect(IPAddress(text) == .v4(address))
    }

    @Test(
        "what is not strict IPv4 is refused",
        arguments: [
            "", ".", "1", "1.2", "1.2.3", "1.2.3.4.5", "1.2.3.4.", ".1.2.3.4", "1..3.4", "01.2.3.4",
            "1.2.3.04", "00.0.0.0", "256.1.1.1", "1.2.3.256", "1.2.3.1000", "0x7f.0.0.1", "1.2.3.a",
            " 1.2.3.4", "1.2.3.4 ", "+1.2.3.4", "-1.2.3.4", "1.2.3.4%lo", "127.1", "2130706433",
            "１.2.3.4",
        ]
    )
    func badIPv4(text: String) {
        #expect(IPv4Address(text) == nil)
        #expect(IPAddress(text) == nil)
    }

    @Test(
        "IPv6 text of every form of RFC 4291 prints in the canonical form of RFC 5952",
        arguments: [
            ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("0:0:0:0:0:0:0:0", "::"),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:DB8::A", "2001:db8::a"),
            ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
            ("1:0:0:2:3:0:0:4", "1::2:3:0:0:4"), ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
            ("::FFFF:c000:201", "::ffff:192.0.2.1"), ("::13.1.68.3", "::d01:4403"),
            ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
            ("1:2:3:4:5:6:7.8.9.10", "1:2:3:4:5:6:708:90a"),
            ("fe80::1%eth0", "fe80::1%eth0"), ("fe80::1%3", "fe80::1%3"),
            ("fe80::1%4294967295", "fe80::1%4294967295"),
            ("fe80::1%abcdefghijklmno", "fe80::1%abcdefghijklmno"),
            (
                "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
            ),
        ]
    )
    func goodIPv6(text: String, canonical: String) throws {
        let address = try #require(IPv6Address(text))
        #expect(address.description == canonical)
        #expect(IPv6Address(canonical) == address)
    }

    @Test(
        "what is not IPv6 is refused",
        arguments: [
            "", ":", ":::", "1", "1:2", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "::1::",
            ":1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:", ":1::", "1::2:", "12345::", "::g", "::1 ", " ::1", "[::1]",
            "1:2:3:4::5:6:7:8",
            "::1.2.3", "::1.2.3.4.5", "::01.2.3.4", "::256.1.1.1", "1.2.3.4::", "::1.2.3.4:5",
            "1:2:3:4:5:6:7:1.2.3.4", "fe80::1%", "fe80::1%0", "fe80::1%03", "fe80::1%4294967296",
            "fe80::1%eth0%1", "fe80::1%a b", "fe80::1%a/b", "fe80::1%abcdefghijklmnop", "%eth0",
            "::-1", "::+1",
            "0000:0000:0000:0000:0000:0000:0000:00000",
        ]
    )
    func badIPv6(text: String) {
        #expect(IPv6Address(text) == nil)
    }

    @Test("an address knows its bytes and what it is")
    func properties() throws {
        let ipv6 = try #require(IPv6Address("2001:db8::ff00:42"))
        #expect(ipv6.bytes == [0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0, 0, 0x42])
        #expect(IPv4Address("192.0.2.1")?.bytes == [192, 0, 2, 1])
        #expect(IPv6Address("fe80::1")?.isLinkLocal == true)
        #expect(IPv6Address("febf::1")?.isLinkLocal == true)
        #expect(IPv6Address("fec0::1")?.isLinkLocal == false)
        #expect(IPAddress("::1")?.isLoopback == true)
        #expect(IPAddress("127.255.0.9")?.isLoopback == true)
        #expect(IPAddress("::ffff:127.0.0.1")?.isLoopback == true)
        #expect(IPAddress("128.0.0.1")?.isLoopback == false)
        #expect(IPv6Address("::ffff:1.2.3.4")?.mappedIPv4 == IPv4Address("1.2.3.4"))
        #expect(IPv6Address("::1.2.3.4")?.mappedIPv4 == nil)
    }

    @Test("every address prints to text that reads back as itself")
    func roundTrip() {
        var random = SeededRandom(seed: 42)
        for _ in 0..<2000 {
            // Masks make runs of zero groups likely.
            let high = random.next() & random.groupMask()
            let low = random.next() & random.groupMask()
            let address = IPv6Address(high: high, low: low)
            #expect(IPv6Address(address.description) == address)
            let ipv4 = IPv4Address(UInt32(truncatingIfNeeded: random.next()))
            #expect(IPv4Address(ipv4.description) == ipv4)
        }
    }
}

/// SplitMix64: the same numbers in every run.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Ones in some of the four 16-bit groups.
    mutating func groupMask() -> UInt64 {
        let choice = next()
        return (0..<4).reduce(0) { mask, group in
            choice >> group & 1 == 0 ? mask : mask | 0xFFFF << (16 * UInt64(group))
        }
    }
}
