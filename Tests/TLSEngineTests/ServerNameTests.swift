import TLSEngine
import Testing

@Suite
struct ServerNameTests {
    @Test(
        "a host name is taken as it stands, but for one trailing dot",
        arguments: [
            ("localhost", "localhost"), ("a.test", "a.test"), ("a.test.", "a.test"),
            ("A.Test", "A.Test"), ("xn--bcher-kva.test", "xn--bcher-kva.test"),
            ("under_score.test", "under_score.test"), ("1.a", "1.a"), ("4u.test", "4u.test"),
            (label(63) + ".test", label(63) + ".test"), (longName(253), longName(253)),
            (longName(253) + ".", longName(253)),
        ]
    )
    func hostName(_ text: String, _ name: String) throws {
        let made = try ServerName(text)
        #expect(made.kind == .dns)
        #expect(made.text == name)
        #expect(made.description == name)
    }

    @Test(
        "an address is read in any form and kept in its canonical one, without zone",
        arguments: [
            ("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("0:0:0:0:0:0:0:1", "::1"),
            ("FE80::1%eth0", "fe80::1"), ("2001:DB8::0001", "2001:db8::1"),
            ("::ffff:1.2.3.4", "::ffff:102:304"),
        ]
    )
    func address(_ text: String, _ canonical: String) throws {
        let made = try ServerName(text)
        #expect(made.kind == .ipAddress)
        #expect(made.text == canonical)
    }

    @Test(
        "what is neither a host name nor an address is refused",
        arguments: [
            "", ".", "..", "a..test", ".a.test", "a.test..", "-a.test", "a-.test", "a b.test",
            "bücher.test", "a.test:443", "[::1]", "a.test\0.evil", "127.0.0.1\0", " 127.0.0.1",
            "+1.2.3.4", "256.1.1.1", "1.2.3", "1.2.3.4.5", "1.2.3.4%eth0", "127.1", "*.test",
            "a/b", label(64) + ".test", longName(254), "::1::", "fe80::g",
        ]
    )
    func refusal(_ text: String) {
        #expect(throws: TLSError(.invalidServername)) { try ServerName(text) }
    }

    @Test("equal names are equal, and case is kept and compared")
    func equality() throws {
        #expect(try ServerName("a.test.") == ServerName("a.test"))
        #expect(try ServerName("::1") == ServerName("0:0::1"))
        #expect(try ServerName("A.test") != ServerName("a.test"))
    }
}

private func label(_ count: Int) -> String { String(repeating: "a", count: count) }

/// A name of so many bytes in labels of at most 63.
private func longName(_ count: Int) -> String {
    var name = ""
    while name.utf8.count < count {
        if !name.isEmpty { name += "." }
        name += label(min(63, count - name.utf8.count))
    }
    return name
}
