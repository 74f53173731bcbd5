// The inspector against servers that begin in the clear: exim4 and PostgreSQL, by a whole handshake and by
// hellos of its own.

import Sockets
import TLSInspection
import TLSTestKit
import Testing

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("the inspector", .serialized, .needs(.exim, .postgres, .initdb, .setpriv))
    struct InspectionTests {
        /// Probes and scans a server that has TLS.
        private func inspect(_ kind: StartTLSProtocol, _ address: SocketAddress) async throws {
            let inspector = Inspector(now: UnixTime(seconds: TestCA.wallClock()))
            let probe = try Probe(SocketAddress(Authorities.host, port: address.port)) {
                $0.connect = address
                $0.starttls = kind
                $0.alpn = []
                $0.anchors = try Authorities.shared.get().trust().anchors
            }
            let report = await inspector.run(probe)
            #expect(report.result == .ok, "\(String(describing: report.error))")
            #expect(report.target?.starttls == kind.rawValue)
            #expect(report.negotiated?.version == "TLS1.3")
            #expect(report.verify?.nameMatch == Authorities.host)
            var options = ScanOptions(probe.target)
            options.connect = address
            options.starttls = kind
            options.jobs = 4
            let scan = await inspector.scan(options)
            #expect(scan.error == nil)
            #expect(scan.target.starttls == kind.rawValue)
            #expect(scan.versions.contains { $0.version == "TLS1.3" && $0.supported })
            #expect(scan.suites.contains { $0.version == "TLS1.3" && !$0.suites.isEmpty })
        }

        @Test("exim's STARTTLS leads to a whole report")
        func mail() async throws {
            let certificate = try Authorities.shared.get().serverCertificate(HandshakeRow())
            try await EximServer(version: .tls13).run(certificate) { try await inspect(.smtp, $0) }
        }

        @Test("PostgreSQL's SSLRequest leads to a whole report")
        func database() async throws {
            let certificate = try Authorities.shared.get().serverCertificate(HandshakeRow())
            try await PostgresServer(certificate: certificate).run {
                try await inspect(.postgres, $0)
            }
        }

        @Test("what is no mail server does not get through for one")
        func wrongProtocol() async throws {
            let certificate = try Authorities.shared.get().serverCertificate(HandshakeRow())
            try await EximServer(version: .tls13).run(certificate) { address in
                let probe = Probe(address) { $0.starttls = .postgres }
                let inspector = Inspector(now: UnixTime(seconds: TestCA.wallClock()))
                let report = await inspector.run(probe)
                #expect(report.exit == .noHandshake)
                #expect(report.result == .starttlsRefused)
                #expect(report.error?.code == "starttls_not_spoken")
            }
        }
    }
}
