// Every fault of the catalogue, over a real connection: the client's verdict is the catalogue's.

import Sockets
import TLSEngine
import TLSTestKit
import TLSTestServers
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
        var scenario = try row.fault.scenario(under: authority.root)
        scenario.versions = row.version...row.version
        let served = scenario
        let error = try await FaultServer.run(served) { server in
            try await verdictOfClient(served, at: server.address)
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
            scenario.versions = version...version
            let served = scenario
            let error = try await FaultServer.run(served) { server in
                try await verdictOfClient(served, at: server.address)
            }
            #expect(error == nil)
        }
    }
}
