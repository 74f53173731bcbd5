import Foundation
import Sockets
import Testing
import ToolFixtures

@testable import TLSInspection

@Suite(.timeLimit(.minutes(1)))
struct ExplainTests {
    @Test(
        "a code is found by number, name, kind and error line",
        arguments: [
            ("112", ["alert unrecognized_name"]),
            ("unrecognized_name", ["alert unrecognized_name"]),
            ("Unrecognized Name", ["alert unrecognized_name"]),
            ("alert 40", ["alert handshake_failure"]),
            ("10", ["alert unexpected_message", "certificate CERT_HAS_EXPIRED"]),
            ("x509 10", ["certificate CERT_HAS_EXPIRED"]), ("exit 4", ["exit noHandshake"]),
            ("X509_V_ERR_HOSTNAME_MISMATCH", ["certificate HOSTNAME_MISMATCH"]),
            ("X509_V_OK", ["certificate OK"]), ("no-pq-group", ["finding no-pq-group"]),
            ("not_tls", ["result not_tls"]), ("1007", ["certificate stapleMissing"]),
            ("wrong version number", ["openssl wrong version number"]),
            (
                "error:0A000086:SSL routines::certificate verify failed",
                ["openssl certificate verify failed"]
            ),
            ("0A000438", ["alert internal_error"]),
            (
                "error:0A000410:SSL routines::sslv3 alert handshake failure",
                ["alert handshake_failure"]
            ),
            ("no such thing", []), ("999999", []), ("", []),
        ] as [(String, [String])]
    )
    func codes(_ code: String, _ found: [String]) {
        #expect(Explanation.of(code).map { "\($0.kind.rawValue) \($0.name)" } == found)
    }

    @Test("every alert with a name, every exit code and every result is explained")
    func complete() {
        for code in UInt8.min...UInt8.max where !Alert(code).name.hasPrefix("alert ") {
            let entry = Explanation.alerts.first { $0.number == Int(code) }
            #expect(entry?.name == Alert(code).name)
        }
        #expect(Explanation.exits.compactMap(\.number) == ExitStatus.allCases.map(\.rawValue))
        #expect(
            Explanation.results.map(\.name) == InspectionReport.Outcome.allCases.map(\.rawValue)
        )
        for number in 0...94 {
            #expect(Explanation.certificates.contains { $0.number == number }, "\(number)")
        }
    }

    @Test("every finding of the documentation is explained, and every explained one documented")
    func findings() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../docs/tlsinspect.md")
        let text = try String(contentsOf: file, encoding: .utf8)
        let rows = text.split(separator: "\n").drop { $0 != "## Findings" }
            .prefix { $0 != "## JSON" }.filter { $0.hasPrefix("| `") }
        let ids = rows.flatMap { row in
            row.split(separator: "|")[0].matches(of: /`([a-z0-9-]+)`/).map { String($0.1) }
        }
        #expect(Set(ids) == Set(Explanation.findings.map(\.name)))
    }

    @Test("each has a meaning and a cause, and no name stands twice in a kind")
    func form() {
        for entry in Explanation.all {
            #expect(entry.meaning.hasSuffix("."), "\(entry.name)")
            #expect(!entry.causes.isEmpty && !entry.causes.contains(""), "\(entry.name)")
        }
        for kind in Explanation.Kind.allCases {
            let names = Explanation.all.filter { $0.kind == kind }.map(\.name)
            #expect(!names.isEmpty)
            #expect(Set(names).count == names.count)
        }
    }

    @Test("numbers of OpenSSL's reasons are OpenSSL's")
    func openssl() async throws {
        let codes = Explanation.openssl.compactMap(\.number).map { number in
            let digits = String(number, radix: 16, uppercase: true)
            return "0A" + String(repeating: "0", count: 6 - digits.count) + digits
        }
        let run = try await ProcessRun(
            URL(fileURLWithPath: "/usr/bin/env"),
            ["openssl", "errstr"] + codes
        )
        let reasons = run.output.split(separator: "\n").map { $0.split(separator: ":").last ?? "" }
        #expect(reasons.map(String.init) == Explanation.openssl.map(\.name))
    }
}
