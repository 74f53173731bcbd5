import Foundation
import TLSTestKit
import Testing

/// Writes bytes into a folder.
private func write(_ bytes: [UInt8], to path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
}

@Suite("The catalogue of revocation and OpenSSL", .timeLimit(.minutes(1)))
struct RevocationFaultTests {
    @Test(
        "a list gives exactly its code, in process and by the command",
        arguments: RevocationFault.allCases.filter { $0.source == .list },
        [TestKey.p256, .rsaPSS2048, .ed25519]
    )
    func lists(_ fault: RevocationFault, _ key: TestKey) throws {
        let clock = ManualClock()
        let scenario = try fault.scenario(under: TestCA(key: key, clock: clock))
        var verification = ChainVerification(
            anchors: [scenario.issuerDER],
            unixSeconds: clock.unixSeconds
        )
        verification.revocationLists = scenario.lists.map(\.der)
        verification.requiresRevocationList = true
        let verdict = try verification.verify(scenario.certificate.chainDER)
        #expect(verdict.code == fault.verifyCode, "\(verdict)")
        #expect(verdict.isTrusted == (fault.verdict == .good))

        let directory = try TemporaryDirectory()
        let path = directory.path + "/list.pem"
        try write(Array(scenario.lists.map(\.pem).joined().utf8), to: path)
        let command = try verifyByCommand(
            scenario.certificate,
            options: ["-crl_check"] + (scenario.lists.isEmpty ? [] : ["-CRLfile", path]),
            at: clock.unixSeconds
        )
        #expect((command.exitCode == 0) == (fault.verifyCode == 0), "\(command.output)")
        if let code = fault.verifyCode, code != 0 {
            #expect(command.output.contains("error \(code) at 0 depth"), "\(command.output)")
        }
    }

    /// What `openssl ocsp` makes of a scenario, which only knows the clock of the machine.
    func verdictOfCommand(_ scenario: RevocationScenario) throws -> RevocationFault.Verdict {
        let directory = try TemporaryDirectory()
        let files = try scenario.certificate.write(to: directory.path)
        let (query, answer) = (directory.path + "/query.der", directory.path + "/answer.der")
        try write(scenario.request.encoded(), to: query)
        try write(#require(scenario.answer).der, to: answer)
        let trust = ["-CAfile", files.root, "-issuer", files.root, "-no_nonce", "-respin", answer]
        // A request that is read in is compared by its nonce alone, one for a certificate by that.
        let replay = try OpenSSLCommand(["ocsp", "-reqin", query] + trust)
        let command = try OpenSSLCommand(["ocsp"] + trust + ["-cert", files.chain])
        let output = command.output
        guard replay.exitCode == 0, command.exitCode == 0, output.contains("Response verify OK"),
            !output.contains("Status times invalid")
        else { return .undetermined }
        let words: [(String, RevocationFault.Verdict)] = [
            (": good", .good), (": revoked", .revoked), (": unknown", .unknown),
        ]
        return words.first { output.contains($0.0) }?.1 ?? .undetermined
    }

    @Test(
        "the command makes of a response what the catalogue says",
        arguments: RevocationFault.allCases.filter { $0.source == .ocsp }
    )
    func responses(_ fault: RevocationFault) throws {
        // The command has no option for the time.
        let scenario = try fault.scenario(under: TestCA())
        #expect(try verdictOfCommand(scenario) == fault.verdict)
    }

    @Test("a response of any kind of key is understood", arguments: TestKey.affordable)
    func responderKeys(_ key: TestKey) throws {
        let scenario = try RevocationFault.ocspGood.scenario(under: TestCA(key: key))
        #expect(try verdictOfCommand(scenario) == .good)
    }

    @Test("a request is read as it was written, ours and OpenSSL's")
    func requests() throws {
        let authority = try TestCA()
        let leaf = try authority.issue("a.test")
        for digest in OCSPCertificateID.Digest.allCases {
            let id = try OCSPCertificateID(of: leaf, issuedBy: authority, digest: digest)
            for nonce: [UInt8]? in [nil, [1, 2, 3]] {
                let request = OCSPRequest(for: [id, id], nonce: nonce)
                #expect(try OCSPRequest(der: request.encoded()) == request)
            }
            let directory = try TemporaryDirectory()
            let files = try leaf.write(to: directory.path)
            let path = directory.path + "/query.der"
            let command = try OpenSSLCommand(
                "ocsp",
                "-\(digest)",
                "-issuer",
                files.root,
                "-cert",
                files.chain,
                "-reqout",
                path
            )
            #expect(command.exitCode == 0, "\(command.output)")
            let theirs = try Array(Data(contentsOf: URL(fileURLWithPath: path)))
            let request = try OCSPRequest(der: theirs)
            #expect(request.certificates == [id])
            #expect(request.nonce?.isEmpty == false)
            let answer = try authority.ocspAnswer(to: request) { $0 == id ? .good : .unknown }
            #expect(!answer.der.isEmpty)
            for end in 0..<theirs.count {
                let error = #expect(throws: TestKitError.self) {
                    try OCSPRequest(der: Array(theirs[..<end]))
                }
                #expect(error?.code == .malformed)
            }
        }
    }

    @Test("names are unique, and there is one of each verdict")
    func names() {
        let all = RevocationFault.allCases
        #expect(Set(all.map(\.name)).count == all.count)
        #expect(Set(all.map(\.verdict)).count == 4)
    }
}
