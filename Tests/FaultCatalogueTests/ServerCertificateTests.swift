// Every fault of the catalogue, over a real connection: the client's verdict is the catalogue's.

import Sockets
import TLSEngine
import TLSTestKit
import Testing

/// A fault in a version that can show it.
struct Row: Sendable, CustomTestStringConvertible {
    let fault: CertificateFault
    let version: ProtocolVersion

    var testDescription: String { "\(fault), \(version)" }

    static let all = CertificateFault.allCases.flatMap { fault in
        fault.versions.map { Row(fault: fault, version: $0) }
    }
}

@Suite("A client and the catalogue of certificate faults", .timeLimit(.minutes(1)))
struct ServerCertificateTests {
    @Test("the client does what the catalogue says", arguments: Row.all)
    func verdict(_ row: Row) async throws {
        let authority = try Authority.shared()
        let scenario = try row.fault.scenario(under: authority.root)
        let error = try await withFaultServer(scenario, row.version...row.version) { address in
            try await verdictOfClient(scenario, at: address)
        }
        #expect(
            CertificateFault.Verdict(error) == row.fault.verdict,
            "\(String(describing: error))"
        )
        #expect(error?.code == row.fault.verdict.error?.code)
        #expect(error?.tls == row.fault.verdict.error?.tls)
    }

    @Test("the catalogue without its fault is a certificate that is accepted")
    func control() async throws {
        let authority = try Authority.shared()
        for version in [ProtocolVersion.tls12, .tls13] {
            var scenario = try CertificateFault.wrongHost.scenario(under: authority.root)
            scenario.certificate = try authority.root.issue("a.test")
            let error = try await withFaultServer(scenario, version...version) { address in
                try await verdictOfClient(scenario, at: address)
            }
            #expect(error == nil)
        }
    }
}
