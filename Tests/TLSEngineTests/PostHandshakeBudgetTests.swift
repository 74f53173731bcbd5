import Testing

@testable import TLSEngine

@Suite
struct PostHandshakeBudgetTests {
    /// Nanoseconds of a second.
    private let second: UInt64 = 1_000_000_000

    @Test("the budget holds at its limit and is exceeded by one more", arguments: [0, 1, 64])
    func limit(_ limit: Int) {
        var budget = PostHandshakeBudget(limit: limit, dataPerMessage: 10)
        budget.begin(7)
        budget.note(7 + UInt32(limit))
        #expect(!budget.isExceeded)
        budget.note(8 + UInt32(limit))
        #expect(budget.isExceeded)
    }

    @Test("data pays by its amount, and does not forgive what came before it")
    func data() {
        var budget = PostHandshakeBudget(limit: 2, dataPerMessage: 10)
        for messages in UInt32(1)...20 {
            budget.note(messages)
            budget.credit(bytes: 4)
            budget.credit(bytes: 6)
        }
        #expect(!budget.isExceeded)
        #expect(budget.debt == 0)
        budget.note(23)
        #expect(budget.isExceeded)
        budget.credit(bytes: 1000)
        #expect(budget.isExceeded)
    }

    @Test("a byte between the messages buys nothing, and nor does data in advance")
    func bytes() {
        var budget = PostHandshakeBudget(limit: 64, dataPerMessage: 16384)
        budget.credit(bytes: 1 << 30)
        for messages in UInt32(1)...64 {
            budget.note(messages)
            budget.credit(bytes: 1)
        }
        #expect(!budget.isExceeded)
        budget.note(65)
        #expect(budget.isExceeded)
    }

    @Test("a minute gives the whole limit back, a part of it a part")
    func time() {
        var budget = PostHandshakeBudget(limit: 60, dataPerMessage: .max)
        budget.note(60)
        budget.credit(now: 100 * second)
        #expect(budget.debt == 60)
        budget.credit(now: 101 * second - 1)
        #expect(budget.debt == 60)
        budget.credit(now: 101 * second)
        #expect(budget.debt == 59)
        // Ten times a tenth of the price is the price.
        for tenth in UInt64(1)...10 { budget.credit(now: 101 * second + tenth * second / 10) }
        #expect(budget.debt == 58)
        budget.credit(now: 161 * second)
        #expect(budget.debt == 0)
        // Time in which nothing was owed is no credit.
        budget.note(120)
        budget.credit(now: 1000 * second)
        #expect(budget.debt == 60)
        budget.note(121)
        #expect(budget.isExceeded)
    }

    @Test("a clock that goes back gives nothing, and the longest time all")
    func clock() {
        var budget = PostHandshakeBudget(limit: 3, dataPerMessage: .max)
        budget.note(3)
        budget.credit(now: 50 * second)
        budget.credit(now: 10 * second)
        #expect(budget.debt == 3)
        budget.credit(now: .max)
        #expect(budget.debt == 0)
    }

    @Test("a limit beyond the counter is no limit, and no time breaks it")
    func clamping() {
        var budget = PostHandshakeBudget(limit: .max, dataPerMessage: .max)
        budget.note(.max)
        #expect(!budget.isExceeded)
        budget.credit(now: 0)
        budget.credit(now: .max)
        #expect(budget.debt == 0)
    }
}
