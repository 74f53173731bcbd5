// docs/REVOCATION-FAULTS.md: what this package, OpenSSL, curl and GnuTLS make of every state of
// revocation. `Scripts/fault-table.sh` writes it; without it, the suite compares what depends on this
// package alone.

import Foundation
import Sockets
import TLSEngine
import TLSTestKit
import TLSTestServers
import Testing

/// A row of the table.
private struct RevocationTableRow {
    /// What depends on this package: state, summary, client, client that requires, listener.
    var own: [String]
    /// What other programs say: openssl, curl, gnutls-cli.
    var foreign: [String]
    var note: String

    init(_ fault: RevocationFault, foreign: [String], note: String) {
        func text(_ code: VerificationCode?) -> String {
            code.map { "refused \($0.rawValue)" } ?? "accepted"
        }
        let code = fault.clientCode
        own = [
            "`\(fault.name)`", fault.summary, text(code == .revocationUnknown ? nil : code),
            text(code), fault.source == .list ? text(code) : "–",
        ]
        self.foreign = foreign
        self.note = note
    }

    /// Reads a row of Markdown; nil for other lines.
    init?(_ line: Substring) {
        let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        guard line.hasPrefix("| `"), cells.count >= 8 else { return nil }
        own = Array(cells[0..<5])
        foreign = Array(cells[5..<8])
        note = cells.count > 8 ? cells[8] : ""
    }

    var line: String { "| " + (own + foreign + [note]).joined(separator: " | ") + " |" }

    /// Whether nobody connects where the client that requires evidence does not, or the other way
    /// round.
    var isUnanimous: Bool { Set(([own[3]] + foreign).map { $0.hasPrefix("accepted") }).count == 1 }
}

@Suite("The table of revocation", .timeLimit(.minutes(5)))
struct RevocationTableTests {
    static let url = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "docs/REVOCATION-FAULTS.md")

    @Test("the committed table has every state with its verdict, and a reason for each difference")
    func committed() async throws {
        if ProcessInfo.processInfo.environment["FAULT_TABLE"] == "write" { try await write() }
        let text = try String(contentsOf: Self.url, encoding: .utf8)
        let rows = text.split(separator: "\n").compactMap(RevocationTableRow.init)
        let expected = RevocationFault.allCases.map { fault in
            RevocationTableRow(fault, foreign: [], note: "").own
        }
        #expect(rows.map(\.own) == expected, "write it anew: Scripts/fault-table.sh")
        for row in rows where !row.isUnanimous {
            #expect(!row.note.isEmpty, "\(row.own[0]) has a difference without a reason")
        }
    }

    private func write() async throws {
        var text = Self.introduction
        for fault in RevocationFault.allCases {
            // The machine's time: the others know no other. Curl looks for the issuer of a staple in
            // what the server sends, and GnuTLS for that of a list among the roots.
            let root = try TestCA()
            let authority = fault.source == .list ? root : try root.intermediate(pathLength: 0)
            let revocation = try fault.scenario(under: authority)
            var scenario = try CertificateFault.wrongHost.scenario(under: root)
            scenario.certificate = revocation.certificate
            scenario.staple = revocation.answer
            let directory = FileManager.default.temporaryDirectory
                .appending(path: "revocation-\(UUID().uuidString)")
            try FileManager.default.createDirectory(
                at: directory,
                withIntermediateDirectories: false
            )
            defer { try? FileManager.default.removeItem(at: directory) }
            let files = try ScenarioFiles(scenario, in: directory.path)
            if !revocation.lists.isEmpty {
                try revocation.lists.map(\.pem).joined().write(
                    toFile: files.directory + "/lists.pem",
                    atomically: true,
                    encoding: .utf8
                )
            }
            let served = scenario
            let cells = try await FaultServer.run(served) { server in
                [
                    try await openssl(revocation, files, server.address.port),
                    try await curl(revocation, files, server.address.port),
                    try await gnutls(revocation, files, server.address.port),
                ]
            }
            let note = revocationNotes[fault.name] ?? ""
            text += RevocationTableRow(fault, foreign: cells, note: note).line + "\n"
        }
        try text.write(to: Self.url, atomically: true, encoding: .utf8)
    }

    /// The lists as a file; nil without any.
    private func listFile(_ scenario: RevocationScenario, _ files: ScenarioFiles) -> String? {
        scenario.lists.isEmpty ? nil : files.directory + "/lists.pem"
    }

    private func openssl(
        _ scenario: RevocationScenario,
        _ files: ScenarioFiles,
        _ port: UInt16
    ) async throws -> String {
        if let answer = scenario.answer {
            let path = files.directory + "/answer.der"
            let issuer = files.directory + "/issuer.pem"
            try Data(answer.der).write(to: URL(fileURLWithPath: path))
            try Certificate(der: scenario.issuerDER).pem.write(
                toFile: issuer,
                atomically: true,
                encoding: .utf8
            )
            let words = [
                "openssl", "ocsp", "-CAfile", files.anchors, "-verify_other", issuer, "-issuer",
                issuer, "-cert", files.leaf, "-no_nonce", "-respin", path,
            ]
            let (code, output) = try await ForeignVerifier.run(words, in: files.directory)
            let isGood =
                code == 0 && output.contains("Response verify OK") && output.contains(": good")
                && !output.contains("Status times invalid")
            return isGood ? "accepted" : "refused"
        }
        var words = [
            "openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-verify_return_error",
            "-crl_check", "-CAfile", files.anchors, "-servername", "a.test",
        ]
        if let path = listFile(scenario, files) { words += ["-CRL", path] }
        let (code, output) = try await ForeignVerifier.run(words, in: files.directory)
        guard code != 0 else { return "accepted" }
        let number = output.split(separator: "num=").dropFirst().first?.prefix { $0.isNumber }
        return "refused \(number ?? "")"
    }

    private func curl(
        _ scenario: RevocationScenario,
        _ files: ScenarioFiles,
        _ port: UInt16
    ) async throws -> String {
        var words = [
            "curl", "-sS", "--noproxy", "*", "--max-time", "20", "--cacert", files.anchors,
            "--connect-to", "a.test:443:127.0.0.1:\(port)",
        ]
        if scenario.answer != nil { words.append("--cert-status") }
        if let path = listFile(scenario, files) { words += ["--crlfile", path] }
        words.append("https://a.test/")
        let (code, _) = try await ForeignVerifier.run(words, in: files.directory)
        // What came after the handshake is no HTTP, which is 1 for curl.
        return code <= 1 ? "accepted" : "refused \(code)"
    }

    private func gnutls(
        _ scenario: RevocationScenario,
        _ files: ScenarioFiles,
        _ port: UInt16
    ) async throws -> String {
        var words = ["gnutls-cli", "--x509cafile", files.anchors, "--port", "\(port)"]
        if let path = listFile(scenario, files) { words += ["--x509crlfile", path] }
        words += ["--sni-hostname", "a.test", "--verify-hostname", "a.test", "127.0.0.1"]
        let (code, _) = try await ForeignVerifier.run(words, in: files.directory)
        return code == 0 ? "accepted" : "refused"
    }

    private static let introduction = """
        # Revocation and who refuses it

        Written by `Scripts/fault-table.sh`, do not edit. Every row is a state of `RevocationFault` in
        `TLSTestKit`: a revocation list that is at hand, or an OCSP response that is stapled.

        - **client**: `Socket` with its defaults and the lists: evidence that is at hand must be in
          order. Numbers below 1000 are OpenSSL's `X509_V_ERR_…`, from 1000 on this package's own
          (`VerificationCode`).
        - **requires**: the same with `trust.revocation = .require`.
        - **listener**: `SocketListener` with `.require` and the lists, for a client's certificate.
        - **openssl**: `openssl s_client -crl_check -CRL` for lists, `openssl ocsp -respin` for
          responses, as `s_client` does not judge staples.
        - **curl** (built on OpenSSL): `--crlfile`, `--cert-status`. **gnutls-cli**: `--x509crlfile`,
          and its defaults for staples.
        - **why they differ**: where not all agree with the client that requires evidence.

        `FaultCatalogueTests` holds what this package does against the suite.

        | state | what | client | requires | listener | openssl | curl | gnutls-cli | why they differ |
        |---|---|---|---|---|---|---|---|---|

        """
}
