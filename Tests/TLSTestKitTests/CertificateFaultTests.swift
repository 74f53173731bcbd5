import TLSEngine
import TLSTestKit
import Testing

@Suite("The catalogue of certificate faults and OpenSSL", .timeLimit(.minutes(1)))
struct CertificateFaultTests {
    let clock = ManualClock()

    @Test(
        "each fault gives exactly its code and depth, under a root of any kind of key",
        arguments: CertificateFault.allCases,
        [TestKey.p256, .rsa2048]
    )
    func faults(_ fault: CertificateFault, _ key: TestKey) throws {
        let scenario = try fault.scenario(under: TestCA(key: key, clock: clock))
        #expect(scenario.unixSeconds == clock.unixSeconds)
        var verification = ChainVerification(
            anchors: scenario.anchorsDER,
            unixSeconds: clock.unixSeconds
        )
        verification.purpose = .server
        verification.securityLevel = 2
        if scenario.host == "127.0.0.1" {
            verification.address = scenario.host
        } else {
            verification.host = scenario.host
        }
        let verdict = try verification.verify(scenario.certificate.chainDER)
        #expect(verdict.code == fault.verifyCode, "\(verdict)")
        if case .refused(let code, let depth) = fault.verdict, code.rawValue == verdict.code {
            #expect(Int(verdict.depth) == depth, "\(verdict)")
        }
    }

    @Test("a fault is made under a root, and under nothing else")
    func needsRoot() throws {
        let middle = try TestCA(clock: clock).intermediate()
        let error = #expect(throws: TestKitError.self) {
            try CertificateFault.expired.scenario(under: middle)
        }
        #expect(error?.code == .invalidRecipe)
    }

    @Test("fault names are unique")
    func uniqueNames() {
        #expect(Set(CertificateFault.allCases.map(\.name)).count == CertificateFault.allCases.count)
    }
}
