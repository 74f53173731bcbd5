import Testing

@testable import TLSTestKit

@Suite
struct DERWriterTests {
    @Test(
        "lengths take their shortest form at every boundary",
        arguments: zip(
            [0, 127, 128, 255, 256, 65_535, 65_536],
            [
                [0x00], [0x7F], [0x81, 0x80], [0x81, 0xFF], [0x82, 0x01, 0x00],
                [0x82, 0xFF, 0xFF], [0x83, 0x01, 0x00, 0x00],
            ] as [[UInt8]]
        )
    )
    func lengths(_ count: Int, _ octets: [UInt8]) {
        let contents = [UInt8](repeating: 7, count: count)
        var primitive = DERWriter()
        primitive.element(0x04, contents)
        #expect(primitive.bytes == [0x04] + octets + contents)
        var constructed = DERWriter()
        constructed.sequence { $0.append(contents) }
        #expect(constructed.bytes == [0x30] + octets + contents)
    }

    @Test(
        "integers take their shortest form",
        arguments: zip(
            [0, 1, 127, 128, 255, 256, Int.max],
            [
                [0], [1], [0x7F], [0, 0x80], [0, 0xFF], [1, 0],
                [0x7F] + [UInt8](repeating: 0xFF, count: 7),
            ] as [[UInt8]]
        )
    )
    func integers(_ value: Int, _ contents: [UInt8]) {
        var writer = DERWriter()
        writer.integer(value)
        #expect(writer.bytes == [0x02, UInt8(contents.count)] + contents)
    }

    @Test(
        "object identifiers are packed seven bits a byte",
        arguments: zip(
            ["1.2.840.113549.1.1.11", "2.5.29.19", "2.999.1", "0.0", "2.25.18446744073709551615"],
            [
                [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 11], [0x55, 0x1D, 0x13],
                [0x88, 0x37, 1], [0],
                [0x69, 0x81] + [UInt8](repeating: 0xFF, count: 8) + [0x7F],
            ] as [[UInt8]]
        )
    )
    func objectIdentifiers(_ dotted: String, _ contents: [UInt8]) throws {
        #expect(try EncodedOID(dotted: dotted).contents == contents)
    }

    @Test(
        "malformed object identifiers are refused",
        arguments: [
            "", "1", "1.", ".1", "1..2", "3.0", "1.40", "a.b", "1.-2", "2.18446744073709551615",
        ]
    )
    func malformedObjectIdentifiers(_ dotted: String) {
        #expect(throws: TestKitError(.invalidRecipe, "")) { try EncodedOID(dotted: dotted) }
    }

    @Test(
        "times are UTCTime from 1950 to 2049 and GeneralizedTime otherwise",
        arguments: zip(
            [
                -62_167_219_200, -631_152_001, -631_152_000, 0, 951_782_400, 2_524_607_999,
                2_524_608_000, 4_107_542_400, 253_402_300_799,
            ],
            [
                "00000101000000Z", "19491231235959Z", "500101000000Z", "700101000000Z",
                "000229000000Z", "491231235959Z", "20500101000000Z", "21000301000000Z",
                "99991231235959Z",
            ]
        )
    )
    func times(_ unixSeconds: Int, _ text: String) throws {
        var writer = DERWriter()
        try writer.time(unixSeconds: Int64(unixSeconds))
        let tag: UInt8 = text.utf8.count == 13 ? 0x17 : 0x18
        #expect(writer.bytes == [tag, UInt8(text.utf8.count)] + Array(text.utf8))
    }

    @Test(
        "times outside four-digit years are refused",
        arguments: [-62_167_219_201, 253_402_300_800]
    )
    func impossibleTimes(_ unixSeconds: Int) {
        var writer = DERWriter()
        #expect(throws: TestKitError(.invalidValidity, "")) {
            try writer.time(unixSeconds: Int64(unixSeconds))
        }
    }
}
