import SocketCore
import Testing

@Suite struct AddressParserTests {
    static let linkLocal = IPv6Address(high: 0xFE80 << 48, low: 1, zone: "eth0")

    @Test(
        "each form of endpoint parses",
        arguments: [
            ("1.2.3.4:80", Endpoint.address(.ip(.v4(IPv4Address(0x0102_0304)), port: 80))),
            ("[::1]:443", .address(.ip(.v6(.loopback), port: 443))),
            ("[fe80::1%eth0]:443", .address(.ip(.v6(linkLocal), port: 443))),
            ("0.0.0.0:0", .address(.ip(.v4(.any), port: 0))),
            ("127.0.0.1:65535", .address(.ip(.v4(.loopback), port: 65535))),
            ("unix:/run/x.sock", .address(.unix(path: "/run/x.sock"))),
            ("unix:x:1", .address(.unix(path: "x:1"))),
            ("unix:@name", .address(.unix(path: "\0name"))),
            ("unix:@\u{301}x", .address(.unix(path: "\0\u{301}x"))),
        ]
    )
    func address(text: String, expected: Endpoint) throws {
        let endpoint = try AddressParser.parse(text)
        #expect(endpoint == expected)
        #expect(endpoint.description == text)
    }

    @Test("a name parses to a name, with its port")
    func name() throws {
        let name = try #require(HostName("example.com"))
        #expect(try AddressParser.parse("Example.COM:443") == .name(name, port: 443))
        #expect(try AddressParser.parse("example.com", defaultPort: 80) == .name(name, port: 80))
        #expect(try AddressParser.parse("example.com:1", defaultPort: 80) == .name(name, port: 1))
        #expect(Endpoint.name(name, port: 443).description == "example.com:443")
    }

    @Test("a host called unix is told from a socket's path by the dot of a complete name")
    func unixHost() throws {
        #expect(throws: AddressParseError.badHost("unix")) {
            try AddressParser.parse("unix", defaultPort: 443)
        }
        let endpoint = try AddressParser.parse("unix.:443")
        #expect(endpoint == .name(try #require(HostName("unix.")), port: 443))
        #expect(endpoint.description == "unix.:443")
    }

    @Test("a default port lets an IP address come alone, brackets or not")
    func defaultPort() throws {
        let ipv6 = Endpoint.address(.ip(.v6(.loopback), port: 443))
        #expect(try AddressParser.parse("::1", defaultPort: 443) == ipv6)
        #expect(try AddressParser.parse("[::1]", defaultPort: 443) == ipv6)
        #expect(
            try AddressParser.parse("127.0.0.1", defaultPort: 9)
                == .address(.ip(.v4(.loopback), port: 9))
        )
    }

    @Test(
        "a text that names no endpoint says what is wrong with it",
        arguments: [
            ("", AddressParseError.empty), ("host", .missingPort), ("1.2.3.4", .missingPort),
            ("[::1]", .missingPort), ("host:", .badPort("")), ("host:65536", .badPort("65536")),
            ("host:-1", .badPort("-1")), ("host:+1", .badPort("+1")), ("host:080", .badPort("080")),
            ("host:http", .badPort("http")), ("host: 80", .badPort(" 80")), (":80", .badHost("")),
            ("127.1:80", .badHost("127.1")), ("01.2.3.4:80", .badHost("01.2.3.4")),
            ("a b:80", .badHost("a b")), ("UNIX:80", .badHost("UNIX")),
            ("a:b:c", .badHost("a:b:c")), ("::1", .unbracketedIPv6("::1")),
            ("[::1", .unclosedBracket),
            ("[1.2.3.4]:80", .badIPv6("1.2.3.4")), ("[]:80", .badIPv6("")),
            ("[::1]80", .trailing("80")),
            ("[::1] :80", .trailing(" :80")), ("unix:", .emptyUnixPath), ("unix:@", .emptyUnixPath),
            ("unix:/a\0b", .nulInUnixPath),
        ]
    )
    func wrong(text: String, expected: AddressParseError) {
        #expect(throws: expected) { try AddressParser.parse(text) }
        #expect(!expected.description.isEmpty)
    }

    @Test("a unix path is as long as the kernel takes, and not longer")
    func unixPath() throws {
        let longest = String(repeating: "p", count: 107)
        #expect(try AddressParser.parse("unix:" + longest) == .address(.unix(path: longest)))
        #expect(throws: AddressParseError.unixPathTooLong(bytes: 108)) {
            try AddressParser.parse("unix:p" + longest)
        }
        #expect(
            try AddressParser.parse("unix:@" + longest) == .address(.unix(path: "\0" + longest))
        )
        #expect(throws: AddressParseError.unixPathTooLong(bytes: 109)) {
            try AddressParser.parse("unix:@p" + longest)
        }
    }
}
