import TLSTestKit
import Testing

@Suite
struct ChainVerificationTests {
    let clock = ManualClock()

    @Test("what is not a certificate is an error with OpenSSL's reasons, the same each time")
    func garbage() throws {
        let verification = ChainVerification(anchors: [], unixSeconds: 0)
        let leaf = try TestCA(clock: clock).issue("a.test").certificateDER
        var reasons: [[String]] = []
        for _ in 0..<2 {
            let error = #expect(throws: TestKitError.self) {
                try verification.verify([[0x30, 0x05]])
            }
            #expect(error?.code == .openSSL)
            reasons.append(error?.reasons ?? [])
        }
        #expect(!reasons[0].isEmpty)
        // A queue that was not drained would show the first failure again.
        #expect(reasons[0] == reasons[1])
        #expect(throws: TestKitError.self, "bytes may not follow a certificate") {
            try verification.verify([leaf + [0]])
        }
        #expect(throws: TestKitError.self) { try verification.verify([]) }
    }

    @Test("a chain is verified at the time asked for, whatever the clock says")
    func time() throws {
        let leaf = try TestCA(clock: clock).issue("a.test", validity: .hours(-1...1))
        for (offset, code) in [(-3601, 9), (-3600, 0), (0, 0), (3599, 0), (3600, 10)]
            as [(Int64, Int32)]
        {
            let verification = ChainVerification(
                anchors: [leaf.rootDER],
                unixSeconds: clock.unixSeconds + offset
            )
            #expect(try verification.verify(leaf.chainDER) == .init(code: code, depth: 0))
        }
    }

    @Test("a missing intermediate and a missing anchor are told apart from a bad signature")
    func missing() throws {
        let leaf = try TestCA(clock: clock).intermediate().issue("a.test")
        let verification = ChainVerification(
            anchors: [leaf.rootDER],
            unixSeconds: clock.unixSeconds
        )
        #expect(try verification.verify([leaf.certificateDER]).code == 20)
        let nobody = ChainVerification(anchors: [], unixSeconds: clock.unixSeconds)
        #expect(try nobody.verify(leaf.chainDER) == .init(code: 20, depth: 1))
        var tampered = leaf.chainDER
        tampered[0][tampered[0].count - 1] ^= 1
        #expect(try verification.verify(tampered) == .init(code: 7, depth: 0))
    }
}
