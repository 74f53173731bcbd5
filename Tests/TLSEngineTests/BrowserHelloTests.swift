// ClientHellos as browsers send them, put together from what is published about them. Their JA4 is
// published too: it would not come out if the recipe or the method were wrong.

import TLSEngine
import Testing

/// Recipes of browsers' ClientHellos.
enum BrowserHello {
    /// Chrome 131 and later; `settings` is the number of its application settings.
    static func chrome(settings: UInt16 = 17613) -> HelloRecipe {
        let hybrid = big(0x11ec) + long(pattern(1216))
        let shares = big(0x6a6a) + long([0]) + hybrid + big(29) + long(pattern(32))
        let outer = [0, 0, 1, 0, 1, 0x2c] + long(pattern(32)) + long(pattern(208))
        return HelloRecipe(
            sessionID: pattern(32),
            suites: [
                0x4a4a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8,
                0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
            ],
            extensions: [
                (0x8a8a, []), (0x0023, []), (settings, long(short(Array("h2".utf8)))),
                (0x001b, [2, 0, 2]), HelloRecipe.versions([0xcaca, 0x0304, 0x0303]),
                (0x0033, long(shares)), HelloRecipe.servername("a.test"),
                HelloRecipe.alpn(["h2", "http/1.1"]), (0xfe0d, outer), (0x0012, []), (0x0017, []),
                (0x000b, [1, 0]), (0x002d, [1, 1]), (0x0005, [1, 0, 0, 0, 0]),
                HelloRecipe.numbers(10, [0x6a6a, 0x11ec, 29, 23, 24]), (0xff01, [0]),
                HelloRecipe.numbers(
                    13,
                    [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]
                ),
                (0xdada, [0]),
            ]
        )
    }

    /// Firefox 135 and later.
    static let firefox = HelloRecipe(
        sessionID: pattern(32),
        suites: [
            0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc02c, 0xc030, 0xc00a, 0xc009,
            0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
        ],
        extensions: [
            HelloRecipe.servername("a.test"), (0x0017, []), (0xff01, [0]),
            HelloRecipe.numbers(10, [0x11ec, 29, 23, 24, 25, 256, 257]), (0x000b, [1, 0]),
            (0x0023, []), HelloRecipe.alpn(["h2", "http/1.1"]), (0x0005, [1, 0, 0, 0, 0]),
            HelloRecipe.numbers(34, [0x0403, 0x0503, 0x0603, 0x0203]), (0x0012, []),
            (
                0x0033,
                long(
                    big(0x11ec) + long(pattern(1216)) + big(29) + long(pattern(32)) + big(23)
                        + long(pattern(65))
                )
            ), HelloRecipe.versions([0x0304, 0x0303]),
            HelloRecipe.numbers(
                13,
                [
                    0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0203,
                    0x0201,
                ]
            ), (0x002d, [1, 1]), (0x001c, [0x40, 1]), (0x001b, [6, 0, 1, 0, 2, 0, 3]),
            (0xfe0d, [0, 0, 1, 0, 1, 7] + long(pattern(32)) + long(pattern(239))),
        ]
    )
}

@Suite struct BrowserHelloTests {
    @Test("Chrome's has the JA4 that is known of it, with either number of its settings")
    func chrome() throws {
        let hello = try #require(try BrowserHello.chrome().read())
        #expect(hello.ja4 == "t13d1516h2_8daaf6152771_d8a2da3f94cd")
        let older = try #require(try BrowserHello.chrome(settings: 17513).read())
        #expect(older.ja4 == "t13d1516h2_8daaf6152771_02713d6af862")
        #expect(hello.hasGREASE)
        #expect(hello.requestsOCSPStaple)
        #expect(hello.keyExchangeModes == [1])
        #expect(hello.keyShares.map(\.group.rawValue) == [0x6a6a, 0x11ec, 29])
        #expect(hello.keyShares.map(\.keyExchange.count) == [1, 1216, 32])
        #expect(hello.keyShares[1].group == .x25519MLKEM768)
        #expect(hello.encryptedClientHello?.payloadByteCount == 208)
        #expect(hello.certificateSignatureAlgorithms == nil)
        #expect(hello.has(.applicationSettings) && !older.has(.applicationSettings))
        #expect(hello.offers(.tls13) && hello.servername == "a.test")
    }

    @Test("Firefox's has the JA4 that is known of it")
    func firefox() throws {
        let hello = try #require(try BrowserHello.firefox.read())
        #expect(hello.ja4 == "t13d1717h2_5b57614c22b0_3cbfd9057e0d")
        #expect(!hello.hasGREASE)
        #expect(hello.first(.recordSizeLimit)?.value == .recordSizeLimit(16385))
        #expect(hello.first(.compressCertificate)?.value == .certificateCompression([1, 2, 3]))
        #expect(hello.keyShares.map(\.keyExchange.count) == [1216, 32, 65])
        #expect(hello.alpn == ["h2", "http/1.1"])
    }
}
