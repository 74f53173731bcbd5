import SocketCore
import Testing

@Suite struct NetworkAddressTests {
    @Test(
        "an address goes through its sockaddr unchanged",
        arguments: [
            "0.0.0.0:0", "127.0.0.1:65535", "203.0.113.7:443", "255.255.255.255:1", "[::]:0",
            "[::1]:443",
            "[2001:db8::42]:8443", "[fe80::1%lo]:80", "[fe80::1%4294967295]:80", "unix:/tmp/a.sock",
            "unix:rel",
            "unix:@abstract", "unix:/tmp/ünï",
        ]
    )
    func sockaddrRoundTrip(text: String) throws {
        guard case .address(let address) = try AddressParser.parse(text) else {
            Issue.record("not an address")
            return
        }
        #expect(NetworkAddress(socketAddress: try address.socketAddress()) == address)
        #expect(address.description == text)
    }

    @Test("a sockaddr has the kernel's layout")
    func layout() throws {
        let ipv4 = NetworkAddress.ip(.v4(IPv4Address(0x0102_0304)), port: 0x1122)
        #expect(
            try ipv4.socketAddress() == [2, 0, 0x11, 0x22, 1, 2, 3, 4]
                + [UInt8](repeating: 0, count: 8)
        )
        let ipv6 = NetworkAddress.ip(.v6(IPv6Address(high: 1 << 56, low: 9, zone: "7")), port: 1)
        #expect(
            try ipv6.socketAddress()
                == [10, 0, 0, 1, 0, 0, 0, 0, 1] + [UInt8](repeating: 0, count: 14) + [
                    9, 7, 0, 0, 0,
                ]
        )
        let path = NetworkAddress.unix(path: "/x")
        #expect(try path.socketAddress() == [1, 0, 0x2F, 0x78, 0])
        let abstract = NetworkAddress.unix(path: "\0x")
        #expect(try abstract.socketAddress() == [1, 0, 0, 0x78])
        #expect(try NetworkAddress.unix(path: "").socketAddress() == [1, 0])
    }

    @Test(
        "bytes that are no address of ours are refused",
        arguments: [
            [], [2], [2, 0, 0, 80, 1, 2, 3], [10, 0, 0, 80, 0, 0], [16, 0, 0, 0, 0, 0, 0, 0],
        ]
            as [[UInt8]]
    )
    func badSockaddr(bytes: [UInt8]) {
        #expect(NetworkAddress(socketAddress: bytes) == nil)
    }

    @Test("a unix path fits up to its limit, and fails past it")
    func unixPathLimit() throws {
        let longest = String(repeating: "p", count: 107)
        let longestAbstract = "\0" + longest
        for path in [longest, longestAbstract] {
            let address = NetworkAddress.unix(path: path)
            #expect(NetworkAddress(socketAddress: try address.socketAddress()) == address)
            #expect(throws: SystemCallError(.fileNameTooLong, call: "socketAddress")) {
                try NetworkAddress.unix(path: path + "p").socketAddress()
            }
        }
        #expect(throws: SystemCallError(.invalidArgument, call: "socketAddress")) {
            try NetworkAddress.unix(path: "a\0b").socketAddress()
        }
    }

    @Test("a zone that names no interface is an error, not another interface")
    func unknownZone() {
        let ip = IPv6Address(high: 0xFE80 << 48, low: 1, zone: "no-such-if")
        #expect(throws: SystemCallError(.noSuchDevice, call: "if_nametoindex")) {
            try NetworkAddress.ip(.v6(ip), port: 1).socketAddress()
        }
    }
}

@Suite struct HostNameTests {
    @Test(
        "a host name is letters, digits, hyphens and underscores in labels",
        arguments: [
            ("example.com", "example.com", false), ("EXAMPLE.com.", "example.com", true),
            ("a", "a", false),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", false),
            ("_sip._tcp.a1", "_sip._tcp.a1", false),
            ("3com.com", "3com.com", false), ("1.2.3.4a", "1.2.3.4a", false),
            ("0x.y", "0x.y", false),
            ("a--b", "a--b", false),
        ]
    )
    func good(text: String, canonical: String, isFullyQualified: Bool) throws {
        let name = try #require(HostName(text))
        #expect(name.text == canonical)
        #expect(name.isFullyQualified == isFullyQualified)
        #expect(name.description == (isFullyQualified ? canonical + "." : canonical))
    }

    @Test(
        "what is no host name, or could be read as an IP address, is refused",
        arguments: [
            "", ".", "..", "a..b", ".a", "a.b..", "-a.b", "a-.b", "a b", "a/b", "a:b", "ä.de",
            "a\0b", "1.2.3.4",
            "127.1", "1", "a.1", "0x7f000001", "a.0x1F", "a.0x", "256.256.256.256", "::1", "[::1]",
            "*.a",
        ]
    )
    func bad(text: String) {
        #expect(HostName(text) == nil)
    }

    @Test("labels hold 63 bytes and names 253, and not one more")
    func limits() {
        let label = String(repeating: "a", count: 63)
        #expect(HostName(label) != nil)
        #expect(HostName(label + "a") == nil)
        let name = "\(label).\(label).\(label)." + String(repeating: "b", count: 61)
        #expect(name.utf8.count == 253)
        #expect(HostName(name) != nil)
        #expect(HostName(name + ".") != nil)
        #expect(HostName(name + "b") == nil)
    }

    @Test("localhost and the names below it are this machine")
    func localhost() {
        #expect(HostName("LocalHost.")?.isLocalhost == true)
        #expect(HostName("a.localhost")?.isLocalhost == true)
        #expect(HostName("notlocalhost")?.isLocalhost == false)
        #expect(HostName("localhost.example")?.isLocalhost == false)
    }
}
