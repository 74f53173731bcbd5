import Sockets
import TLSTestKit
import Testing

@testable import TLSInspection

@Suite struct RawHelloTests {
    private func parsed(_ hello: RawHello, _ framing: RawFraming = .plain) throws -> ClientHello {
        let bytes = framing.records(of: hello.message(), version: hello.newest)
        return try #require(try ClientHello(reading: bytes))
    }

    @Test("a hello offers what it was told to, in that order")
    func contents() throws {
        var hello = RawHello(versions: [.tls12, .tls13], suites: [0x1303, 0xc02b, 0x0005])
        hello.groups = [0x11ec, 0x001d]
        hello.keyShares = [0x11ec]
        hello.schemes = [0x0403, 0x0804]
        hello.servername = "a.test"
        hello.alpn = ["h2", "http/1.1"]
        let read = try parsed(hello)
        #expect(read.cipherSuites == [0x1303, 0xc02b, 0x0005])
        #expect(read.versions == [0x0304, 0x0303])
        #expect(read.groups.map(\.rawValue) == [0x11ec, 0x001d])
        #expect(read.signatureAlgorithms.map(\.rawValue) == [0x0403, 0x0804])
        #expect(read.servername == "a.test")
        #expect(read.alpn == ["h2", "http/1.1"])
        // 2 of the list, 2 of the group, 2 of the share.
        #expect(read.extensions.first { $0.number == 51 }?.contents.count == 6 + 1184 + 32)
    }

    @Test(
        "the version on the wire is the newest one, and 1.2 at most",
        arguments: CodePoints.versions
    )
    func versions(_ version: ProtocolVersion) throws {
        let hello = RawHello(versions: [version], suites: [0x002f])
        let read = try parsed(hello)
        #expect(read.versions == [version.rawValue])
        #expect(read.message[4...5] == [3, UInt8(min(version.rawValue, 0x0303) & 255)])
        if version == .ssl3 {
            #expect(read.extensions.isEmpty)
            #expect(read.records[2] == 0)
        }
        #expect(read.cipherSuites.contains(0x00ff) == (version < .tls13))
    }

    @Test(
        "padding makes a hello exactly as large as it should be",
        arguments: [600, 5000, 20000, 60000]
    )
    func padding(_ size: Int) throws {
        var hello = RawHello(versions: [.tls13], suites: [0x1301])
        hello.size = size
        #expect(hello.message().count == size)
        #expect(try parsed(hello).message.count == size)
    }

    @Test("any cut into records is the same message", arguments: [1, 2, 7, 300, 16384])
    func framing(_ size: Int) throws {
        var hello = RawHello(versions: [.tls13], suites: CodePoints.suitesOfTLS12)
        hello.servername = "a.test"
        let message = hello.message()
        let bytes = RawFraming.records(of: size).records(of: message, version: .tls13)
        let read = try #require(try ClientHello(reading: bytes))
        #expect(read.message == message)
        #expect(bytes.count == message.count + 5 * ((message.count + size - 1) / size))
    }

    @Test("GREASE stands among suites, groups, versions and extensions")
    func grease() throws {
        var hello = RawHello(versions: [.tls13], suites: [0x1301])
        hello.groups = [0x001d]
        hello.hasGrease = true
        let read = try parsed(hello)
        func isGrease(_ number: UInt16) -> Bool { number & 0x0f0f == 0x0a0a }
        #expect(read.cipherSuites.contains(where: isGrease))
        #expect(read.groups.map(\.rawValue).contains(where: isGrease))
        #expect(read.versions.contains(where: isGrease))
        #expect(read.extensions.filter { isGrease($0.number) }.count == 2)
    }

    @Test("numbers of the catalogue have names, each its own, and no number twice")
    func catalogue() {
        #expect(CodePoints.suiteNames.count > 350)
        #expect(Set(CodePoints.suiteNames.values).count == CodePoints.suiteNames.count)
        for list in [
            CodePoints.suitesOfTLS12 + CodePoints.suitesOfTLS13, CodePoints.groups(of: .tls12),
            CodePoints.groups(of: .tls13), CodePoints.schemes,
        ] { #expect(Set(list).count == list.count) }
        let groups = CodePoints.groups(of: .tls12) + CodePoints.groups(of: .tls13)
        for group in groups { #expect(!CodePoints.groupName(group).hasPrefix("group ")) }
        for scheme in CodePoints.schemes {
            #expect(!CodePoints.schemeName(scheme).hasPrefix("scheme "))
        }
        #expect(Set(groups.map(CodePoints.groupName)).count == Set(groups).count)
        #expect(ScanPolicy.modern.unknownNames == [])
        #expect(ScanPolicy.intermediate.unknownNames == [])
    }

    @Test(
        "a suite is judged by its name",
        arguments: [
            (0x1301, "ok"), (0x1305, "odd"), (0xc02b, "ok"), (0xc0ac, "odd"), (0xc009, "weak"),
            (0x002f, "weak"), (0x009c, "weak"), (0x0005, "bad"), (0x0018, "bad"), (0x0001, "bad"),
            (0x0003, "bad"), (0xcca9, "ok"), (0xcc14, "bad"), (0x000a, "weak"), (0x0009, "bad"),
        ] as [(UInt16, String)]
    )
    func grades(_ number: UInt16, _ grade: String) {
        #expect(Suite(number).grade.rawValue == grade)
    }
}
