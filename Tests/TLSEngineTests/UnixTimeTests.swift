import TLSEngine
import Testing

@Suite
struct UnixTimeTests {
    @Test(
        "a time prints as RFC 3339 has it, at every turn of the calendar",
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59Z"),
            (951_782_399, "2000-02-28T23:59:59Z"), (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"), (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"), (2_147_483_648, "2038-01-19T03:14:08Z"),
            (1_803_114_000, "2027-02-20T09:00:00Z"), (-2_203_891_200, "1900-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"), (253_402_300_800, "10000-01-01T00:00:00Z"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"), (-62_167_219_201, "-0001-12-31T23:59:59Z"),
        ]
    )
    func text(_ seconds: Int64, _ text: String) {
        #expect(UnixTime(seconds: seconds).description == text)
    }

    @Test("no time is too far away to print")
    func extremes() {
        #expect(UnixTime(seconds: .max).description == "292277026596-12-04T15:30:07Z")
        #expect(UnixTime(seconds: .min).description == "-292277022657-01-27T08:29:52Z")
    }

    @Test("a span leads to the last time there is at most, and never traps")
    func adding() {
        let time = UnixTime(seconds: 100)
        #expect(time.adding(.seconds(20)) == UnixTime(seconds: 120))
        #expect(time.adding(.seconds(-120)) == UnixTime(seconds: -20))
        #expect(time.adding(.seconds(Int64.max)) == UnixTime(seconds: .max))
        #expect(UnixTime(seconds: .max).adding(.seconds(1)) == UnixTime(seconds: .max))
        #expect(UnixTime(seconds: .max - 1).adding(.seconds(1)) == UnixTime(seconds: .max))
        #expect(UnixTime(seconds: .min).adding(.seconds(-1)) == UnixTime(seconds: .min))
    }

    @Test("earlier is less")
    func order() {
        #expect(UnixTime(seconds: -1) < UnixTime(seconds: 0))
        #expect(!(UnixTime(seconds: 0) < UnixTime(seconds: 0)))
    }
}
