// docs/CERTIFICATE-FAULTS.md: what this package's client, OpenSSL, curl and GnuTLS make of every
// fault. `Scripts/fault-table.sh` writes it; without it, the suite compares what depends on this
// package alone.

import Foundation
import Sockets
import TLSEngine
import TLSTestKit
import TLSTestServers
import Testing

/// A row of the table.
struct TableRow: Hashable {
    /// What depends on this package: fault, summary, our verdict, `X509_verify_cert`.
    var own: [String]
    /// What other programs say, in the order of ``ForeignVerifier``.
    var foreign: [String]
    var note: String

    init(_ fault: CertificateFault, foreign: [String], note: String) {
        let code = fault.verifyCode
        own = [
            "`\(fault.name)`", fault.summary, Self.text(fault.verdict),
            code == 0 ? "accepted" : "refused \(code)",
        ]
        self.foreign = foreign
        self.note = note
    }

    /// Reads a row of Markdown; nil for other lines.
    init?(_ line: Substring) {
        let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
        guard line.hasPrefix("| `"), cells.count >= 8 else { return nil }
        own = Array(cells[0..<4])
        foreign = Array(cells[4..<8])
        note = cells.count > 8 ? cells[8] : ""
    }

    var line: String { "| " + (own + foreign + [note]).joined(separator: " | ") + " |" }

    /// Whether all agree.
    var isUnanimous: Bool {
        Set((own[2...] + foreign).map { $0.hasPrefix("accepted") }).count == 1
    }

    private static func text(_ verdict: CertificateFault.Verdict) -> String {
        switch verdict {
        case .accepted: "accepted"
        case .refused(let code, 0): "refused \(code.rawValue)"
        case .refused(let code, let depth): "refused \(code.rawValue) at depth \(depth)"
        case .handshakeFailed(let code): "refused: \(code.rawValue)"
        }
    }
}

@Suite("The table of certificate faults", .timeLimit(.minutes(5)))
struct FaultTableTests {
    static let url = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "docs/CERTIFICATE-FAULTS.md")

    @Test("the committed table has every fault with its verdict, and a reason for each difference")
    func committed() async throws {
        if ProcessInfo.processInfo.environment["FAULT_TABLE"] == "write" { try await write() }
        let text = try String(contentsOf: Self.url, encoding: .utf8)
        let rows = text.split(separator: "\n").compactMap(TableRow.init)
        let expected = CertificateFault.allCases.map { fault in
            TableRow(fault, foreign: [], note: "").own
        }
        #expect(rows.map(\.own) == expected, "write it anew: Scripts/fault-table.sh")
        for row in rows where !row.isUnanimous {
            #expect(!row.note.isEmpty, "\(row.own[0]) has a difference without a reason")
        }
    }

    private func write() async throws {
        var text = Self.introduction
        for fault in CertificateFault.allCases {
            // The machine's time: curl and GnuTLS know no other.
            let scenario = try fault.scenario(under: TestCA())
            let directory = FileManager.default.temporaryDirectory
                .appending(path: "fault-\(UUID().uuidString)")
            try FileManager.default.createDirectory(
                at: directory,
                withIntermediateDirectories: false
            )
            defer { try? FileManager.default.removeItem(at: directory) }
            let files = try ScenarioFiles(scenario, in: directory.path)
            let cells = try await FaultServer.run(scenario) { server in
                var cells: [String] = []
                for verifier in ForeignVerifier.allCases {
                    // Its second is over before another program has begun.
                    guard fault != .expiresInOneSecond else {
                        cells.append("–")
                        continue
                    }
                    cells.append(try await verifier.judge(scenario, files, port: server.port))
                }
                return cells
            }
            let note = differenceNotes[fault.name] ?? ""
            text += TableRow(fault, foreign: cells, note: note).line + "\n"
        }
        try text.write(to: Self.url, atomically: true, encoding: .utf8)
    }

    private static let introduction = """
        # Certificate faults and who refuses them

        Written by `Scripts/fault-table.sh`, do not edit. Every row is a fault, or a legal oddity, of
        `CertificateFault` in `TLSTestKit`, served over a real connection.

        - **client**: `Socket` with its defaults. Numbers below 1000 are OpenSSL's `X509_V_ERR_…`, from
          1000 on this package's own (`VerificationCode`).
        - **X509_verify_cert**: in process, strict, at security level 2, never looking at the subject.
        - **openssl verify**, **openssl s_client**: `-x509_strict -purpose sslserver -auth_level 2` and
          the name.
        - **curl** (built on OpenSSL), **gnutls-cli**: with their defaults. curl's numbers are its exit
          codes.
        - **why they differ**: where not all agree whether to connect.

        `FaultCatalogueTests` holds the second and third columns against the suite.

        | fault | what | client | X509_verify_cert | openssl verify | openssl s_client | curl | gnutls-cli | why they differ |
        |---|---|---|---|---|---|---|---|---|

        """
}
