// JA3 and JA4, held against the examples of their authors, and every rule by itself.

import TLSEngine
import Testing

@Suite struct FingerprintTests {
    /// The client of JA4's own example.
    static let example = HelloRecipe(
        sessionID: pattern(32),
        suites: [
            0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
            0x009c, 0x009d, 0x002f, 0x0035,
        ],
        extensions: [
            (0x001b, [2, 0, 2]), HelloRecipe.servername("a.test"),
            (0x0033, long(big(29) + long(pattern(32)))), HelloRecipe.alpn(["h2", "http/1.1"]),
            (0x4469, long(short(Array("h2".utf8)))), (0x0017, []), (0x002d, [1, 1]),
            HelloRecipe.numbers(
                13,
                [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]
            ),
            (0x0005, [1, 0, 0, 0, 0]), (0x0023, []), (0x0012, []),
            HelloRecipe.versions([0x0304, 0x0303]), (0xff01, [0]), (0x000b, [1, 0]),
            HelloRecipe.numbers(10, [29, 23, 24]), (0x0015, [0, 0, 0, 0]),
        ]
    )

    private static let head = "t13d1516h2"
    private static let suites =
        "002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9"
    private static let numbers =
        "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01"
    private static let schemes = "0403,0804,0401,0503,0805,0501,0806,0601"

    // MARK: JA4

    @Test("JA4's own example has the fingerprint that is printed there")
    func published() throws {
        let hello = try #require(try Self.example.read())
        #expect(hello.ja4 == "t13d1516h2_8daaf6152771_e5627efa2ab1")
        #expect(hello.ja4Raw == "\(Self.head)_\(Self.suites)_\(Self.numbers)_\(Self.schemes)")
    }

    @Test("without signature algorithms there is no line between, as in JA4's example")
    func withoutSchemes() throws {
        var recipe = Self.example
        // The list without an algorithm that is meant: the extension stays in its own list.
        let place = try #require(recipe.extensions?.firstIndex { $0.number == 13 })
        recipe.extensions?[place] = HelloRecipe.numbers(13, [0x2a2a])
        let hello = try #require(try recipe.read())
        #expect(hello.ja4 == "t13d1516h2_8daaf6152771_6d807ffa2a79")
        #expect(hello.ja4Raw.hasSuffix("4469,ff01"))
    }

    @Test("GREASE changes nothing, wherever it stands")
    func grease() throws {
        let plain = try #require(try Self.example.read())
        var recipe = Self.example
        recipe.suites.insert(0xfafa, at: 0)
        recipe.extensions = Self.example.extensions?.map { part in
            switch part.number {
            case 10: HelloRecipe.numbers(10, [0x0a0a, 29, 23, 24])
            case 13:
                HelloRecipe.numbers(
                    13,
                    [0x0403, 0x0804, 0x0401, 0x0503, 0x9a9a, 0x0805, 0x0501, 0x0806, 0x0601]
                )
            case 43: HelloRecipe.versions([0xdada, 0x0304, 0x0303])
            default: part
            }
        }
        recipe.extensions?.insert((0x1a1a, []), at: 0)
        recipe.extensions?.append((0xeaea, [0]))
        let hello = try #require(try recipe.read())
        #expect(hello.ja4 == plain.ja4)
        #expect(hello.ja4Raw == plain.ja4Raw)
        #expect(hello.ja3 == plain.ja3)
        #expect(hello.ja3Text == plain.ja3Text)
    }

    @Test("the order of suites and extensions is nothing to JA4, that of signature algorithms is")
    func order() throws {
        let plain = try #require(try Self.example.read())
        var recipe = Self.example
        recipe.suites.reverse()
        recipe.extensions?.reverse()
        let turned = try #require(try recipe.read())
        #expect(turned.ja4 == plain.ja4)
        #expect(turned.ja3 != plain.ja3)
        let place = try #require(recipe.extensions?.firstIndex { $0.number == 13 })
        recipe.extensions?[place] = HelloRecipe.numbers(13, [0x0804, 0x0403])
        #expect(try recipe.read()?.ja4 != plain.ja4)
    }

    @Test(
        "the first part tells the version",
        arguments: [
            ([0x0304, 0x0303], 0x0303, "13"), ([0x0303], 0x0303, "12"),
            ([0x2a2a, 0x0302], 0x0303, "11"),
            ([], 0x0303, "12"), ([], 0x0302, "11"), ([], 0x0301, "10"), ([], 0x0300, "s3"),
            ([], 0x0002, "s2"), ([], 0x0505, "00"), ([0x7f1c, 0x0304], 0x0303, "00"),
            ([0xfefd], 0x0303, "d2"), ([0xfeff], 0x0303, "d1"), ([0xfefc], 0x0303, "d3"),
            ([0x0a0a], 0x0303, "00"),
        ] as [([UInt16], UInt16, String)]
    )
    func version(offered: [UInt16], legacy: UInt16, text: String) throws {
        var recipe = HelloRecipe(version: legacy)
        if !offered.isEmpty { recipe.extensions = [HelloRecipe.versions(offered)] }
        let hello = try #require(try recipe.read())
        #expect(Array(hello.ja4)[1...2] == Array(text)[...])
    }

    @Test(
        "the first part ends with the ends of the first protocol",
        arguments: [
            (Array("h2".utf8), "h2"), (Array("http/1.1".utf8), "h1"), (Array("h".utf8), "hh"),
            (Array("Z".utf8), "ZZ"), ([0xab], "ab"), ([0xab, 0xcd], "ad"), ([0x30, 0xab], "3b"),
            ([0x30, 0x31, 0xab, 0xcd], "3d"), ([0x30, 0xab, 0xcd, 0x31], "01"),
            (Array(" a".utf8), "21"),
        ] as [([UInt8], String)]
    )
    func alpn(name: [UInt8], text: String) throws {
        let recipe = HelloRecipe(
            extensions: [HelloRecipe.alpn(bytes: [name, Array("x9".utf8)])]
        )
        #expect(try recipe.read()?.ja4.hasPrefix("t12i0101\(text)_") == true)
    }

    @Test("empty lists are zeros, and large counts end at 99")
    func ends() throws {
        let bare = try #require(try HelloRecipe(suites: [0x3a3a], extensions: nil).read())
        #expect(bare.ja4 == "t12i000000_000000000000_000000000000")
        #expect(bare.ja4Raw == "t12i000000__")
        // A name and a protocol alone leave nothing for the last part.
        let named = HelloRecipe(
            extensions: [HelloRecipe.servername("a.test"), HelloRecipe.alpn(["h2"])]
        )
        #expect(try named.read()?.ja4 == "t12d0102h2_0f2cb44170f4_000000000000")
        let many = HelloRecipe(
            suites: Array(1...120),
            extensions: (0..<100).map { (0x6000 + $0, []) }
        )
        #expect(try many.read()?.ja4.hasPrefix("t12i999900_") == true)
    }

    @Test("the first letter is the transport's, and the rest is the same")
    func transports() throws {
        let hello = try #require(try Self.example.read())
        let rest = hello.ja4.dropFirst()
        #expect(hello.ja4(over: .quic) == "q" + rest)
        #expect(hello.ja4(over: .dtls) == "d" + rest)
        #expect(hello.ja4Raw(over: .quic).hasPrefix("q13d1516h2_002f,"))
    }

    // MARK: JA3

    @Test("JA3's own examples have the fingerprints that are printed there")
    func ja3Published() throws {
        let first = HelloRecipe(
            version: 769,
            suites: [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
            extensions: [
                HelloRecipe.servername("a.test"), HelloRecipe.numbers(10, [23, 24, 25]),
                (11, [1, 0]),
            ]
        )
        let hello = try #require(try first.read())
        #expect(
            hello.ja3Text
                == "769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0"
        )
        #expect(hello.ja3 == "ada70206e40642a3e4461f35503241d5")
        for extensions in [nil, []] as [[HelloRecipe.Part]?] {
            let second = HelloRecipe(
                version: 769,
                suites: [4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99],
                extensions: extensions
            )
            let hello = try #require(try second.read())
            #expect(hello.ja3Text == "769,4-5-10-9-100-98-3-6-19-18-99,,,")
            #expect(hello.ja3 == "de350869b8c85de67a350c8d186f11e6")
        }
    }

    // MARK: GREASE

    @Test("the numbers of GREASE are sixteen of two bytes and eight of one")
    func numbers() {
        let numbers = (0...UInt16.max).filter { GREASE.contains($0) }
        #expect(numbers == (0..<16).map { UInt16($0) * 0x1010 + 0x0a0a })
        let modes = (0...UInt8.max).filter { GREASE.contains(mode: $0) }
        #expect(modes == [0x0b, 0x2a, 0x49, 0x68, 0x87, 0xa6, 0xc5, 0xe4])
    }
}
