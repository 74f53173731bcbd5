import TLSEngine
import Testing

@Suite
struct TrustPolicyTests {
    @Test("the default trusts the system, for the servername, now, to the letter")
    func defaults() {
        let policy = TrustPolicy()
        #expect(policy.anchors == .system)
        #expect(policy.name == .servername)
        #expect(policy.verificationTime == nil)
        #expect(policy.strictness == .strict)
        #expect(policy.acceptsAnything == nil)
    }

    @Test("only its own maker accepts anything, and keeps the reason")
    func acceptAnything() {
        let policy = TrustPolicy.acceptAnything(because: "a tool")
        #expect(policy.acceptsAnything == "a tool")
        #expect(policy != TrustPolicy())
    }

    @Test("a closure changes the defaults, and may throw")
    func closure() throws {
        let policy = TrustPolicy { $0.name = .name("a.test") }
        #expect(policy.name == .name("a.test"))
        #expect(throws: CancellationError.self) {
            try TrustPolicy { _ in throw CancellationError() }
        }
        #expect(throws: CancellationError.self) { try TLSPolicy { _ in throw CancellationError() } }
    }
}
