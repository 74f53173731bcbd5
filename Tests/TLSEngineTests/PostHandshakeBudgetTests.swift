import Testing

@testable import TLSEngine

@Suite
struct PostHandshakeBudgetTests {
    @Test("the budget holds at its limit and is exceeded by one more", arguments: [0, 1, 64])
    func limit(_ limit: Int) {
        var budget = PostHandshakeBudget(limit: limit)
        budget.begin(7)
        budget.note(7 + UInt32(limit))
        #expect(!budget.isExceeded)
        budget.note(8 + UInt32(limit))
        #expect(budget.isExceeded)
    }

    @Test("data renews the budget, and does not forgive what came before it")
    func renewal() {
        var budget = PostHandshakeBudget(limit: 2)
        for messages in stride(from: UInt32(2), through: 20, by: 2) { budget.renew(messages) }
        #expect(!budget.isExceeded)
        budget.renew(23)
        #expect(budget.isExceeded)
        budget.renew(23)
        #expect(budget.isExceeded)
    }

    @Test("a limit beyond the counter is no limit")
    func clamping() {
        var budget = PostHandshakeBudget(limit: .max)
        budget.note(.max)
        #expect(!budget.isExceeded)
    }
}
