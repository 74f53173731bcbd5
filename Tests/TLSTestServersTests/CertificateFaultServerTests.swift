import Sockets
import TLSTestKit
import TLSTestServers
import Testing

/// The catalogue of certificates, over sockets.
@Suite(.timeLimit(.minutes(1))) struct CertificateFaultServerTests {
    @Test(
        "a client judges each certificate as its verdict says",
        arguments: CertificateFault.allCases
    )
    func judges(fault: CertificateFault) async throws {
        for version in fault.versions {
            try await FaultServer.run(fault) { server in
                let options = server.client {
                    $0.minimumVersion = version
                    $0.maximumVersion = version
                }
                let attempt = try await Attempt(options)
                let error = attempt.error
                #expect(error?.code == fault.verdict.socketCode, "\(error.debugDescription)")
                switch fault.verdict {
                case .accepted: #expect(attempt.received == Array("ping".utf8))
                case .refused(let code, let depth):
                    #expect(error?.tls?.verification?.code == code)
                    #expect(error?.tls?.verification?.depth == depth)
                case .handshakeFailed(let code): #expect(error?.tls?.code == code)
                }
            }
        }
    }
}
