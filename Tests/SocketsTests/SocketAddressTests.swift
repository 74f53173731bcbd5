import Testing

@testable import Sockets

@Suite struct SocketAddressTests {
    @Test(
        "texts are read and printed alike",
        arguments: [
            ("127.0.0.1:443", "127.0.0.1", 443), ("[::1]:443", "::1", 443),
            ("example.com:443", "example.com", 443), ("[fe80::1%lo]:1", "fe80::1%lo", 1),
            ("unix:/run/app.sock", "unix:/run/app.sock", 0), ("unix:@app", "unix:@app", 0),
            ("example.com.:443", "example.com.", 443), ("127.0.0.1:0", "127.0.0.1", 0),
            ("127.0.0.1:65535", "127.0.0.1", 65535),
        ] as [(String, String, UInt16)]
    )
    func roundTrip(text: String, address: String, port: UInt16) throws {
        let read = try SocketAddress(parsing: text)
        #expect(read == SocketAddress(address, port: port))
        #expect(read.description == text)
        _ = try read.endpoint()
    }

    @Test("a text without a port takes the one that is given")
    func defaultPort() throws {
        let port: UInt16 = 443
        #expect(try SocketAddress(parsing: "example.com", defaultPort: port).port == port)
        #expect(try SocketAddress(parsing: "[::1]", defaultPort: port).description == "[::1]:443")
    }

    @Test(
        "a text that is no address says so",
        arguments: [
            "", ":", "example.com", "example.com:", "example.com:65536", "example.com:-1",
            "exa mple.com:1", "[::1:1", "127.0.0.1:x", "unix:",
        ]
    )
    func refused(text: String) {
        do {
            _ = try SocketAddress(parsing: text)
            Issue.record("\(text) was taken")
        } catch {
            #expect(error.code == .invalidAddress)
            #expect(error.category == .misuse)
            #expect(error.detail?.isEmpty == false)
        }
    }

    @Test(
        "parts that make no address are refused when they are used",
        arguments: [
            "", "a b", "-.example.com", "exa_mple..com", "unix:", "unix:@", "unix:/a\0b",
            "unix:/" + String(repeating: "x", count: 108), "999.999.999.999.999/8",
        ]
    )
    func refusedParts(address: String) {
        #expect(throws: SocketError(.invalidAddress)) {
            _ = try SocketAddress(address, port: 0).endpoint()
        }
        #expect(throws: SocketError(.invalidAddress)) {
            _ = try Socket(SocketInit(remote: SocketAddress(address, port: 0)))
        }
    }

    @Test("brackets around an IPv6 address are taken off")
    func brackets() {
        #expect(SocketAddress("[::1]", port: 0) == SocketAddress("::1", port: 0))
    }
}
