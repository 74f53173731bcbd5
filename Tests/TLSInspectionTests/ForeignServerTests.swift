// One server of another make: what this package's own listener refuses to be, `openssl s_server` is
// glad to show.

import Foundation
import Glibc
import Sockets
import TLSTestKit
import Testing
import ToolFixtures

@testable import TLSInspection

@Suite(.timeLimit(.minutes(1)))
struct ForeignServerTests {
    @Test("weak keys, signatures and key exchange are told, each apart")
    func weakServer() async throws {
        let directory = try TemporaryDirectory()
        let (cert, key) = (directory.path + "/cert.pem", directory.path + "/key.pem")
        let made = try await ProcessRun(
            URL(fileURLWithPath: "/usr/bin/env"),
            [
                "openssl", "req", "-x509", "-newkey", "rsa:1024", "-sha1", "-nodes", "-days", "400",
                "-subj", "/CN=a.test", "-addext", "subjectAltName=DNS:a.test", "-keyout", key,
                "-out", cert,
            ]
        )
        try #require(made.exitCode == 0, "openssl is installed by Scripts/install.sh --peers")
        let report = try await withOpenSSLServer([
            "-cert", cert, "-key", key, "-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0",
        ]) { address in
            let probe = Probe(SocketAddress("a.test", port: address.port)) {
                $0.timeout = .seconds(60)
                $0.connect = address
                $0.anchors = .certificates([])
            }
            return try checked(
                await Inspector(now: UnixTime(seconds: TestCA.wallClock())).run(probe)
            )
        }
        #expect(
            report.findingIDs == [
                "self-signed", "sha1-signature", "small-key", "no-forward-secrecy", "tls12-only",
                "no-alpn-answer", "no-staple", "sni-not-acknowledged",
            ]
        )
        #expect(report.negotiated?.suite.name == "TLS_RSA_WITH_AES_128_GCM_SHA256")
        #expect(report.negotiated?.group == nil)
        #expect(report.chain.map(\.key) == [.init(type: "RSA", bits: 1024, curve: nil)])
        #expect(report.exit == .untrusted)
    }
}
