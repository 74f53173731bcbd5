// `tlscerts list`: both catalogues with what a client must make of each.

import ArgumentParser
import TLSTestKit
import TLSTestServers
import Tooling

/// Lists all faults.
struct ListCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List every fault, and what a client must make of it.",
        discussion: """
            EXAMPLES
              tlscerts list
              tlscerts list --format json
            """
    )

    @OptionGroup var output: OutputOptions

    private struct Entry: Encodable {
        var name: String
        var kind: String
        var summary: String
        var expected: String
        var accepted: Bool
        var host: String
    }

    private struct Report: Encodable {
        var schema = "tlscerts/1"
        var command = "list"
        var faults: [Entry]
        var exit = 0
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        let certificates = CertificateFault.allCases.map { fault in
            Entry(
                name: fault.name,
                kind: "certificate",
                summary: fault.summary,
                expected: "\(fault.verdict)",
                accepted: fault.verdict == .accepted,
                host: "\(CertificateZoo.label(fault.name)).\(CertificateZoo.domain)"
            )
        }
        let transports = TransportFault.allCases.map { fault in
            let verdict = fault.verdict(in: fault.versions[fault.versions.count - 1])
            return Entry(
                name: fault.rawValue,
                kind: "transport",
                summary: fault.summary,
                expected: "\(verdict)",
                accepted: verdict == .accepted,
                host: "\(CertificateZoo.label(fault.rawValue)).\(CertificateZoo.domain)"
            )
        }
        guard output.format == .text else {
            let report = Report(faults: certificates + transports)
            return ToolOutput(text: JSONLine.text(of: report), status: .clean)
        }
        let paint = output.painter(in: surroundings)
        let width = (certificates + transports).map(\.name.count).max() ?? 0
        func rows(_ entries: [Entry]) -> String {
            entries.map { entry in
                "  \(paint(entry.name.padded(to: width), .bold))  \(entry.summary)\n"
                    + "  \("".padded(to: width))  "
                    + paint(entry.expected, entry.accepted ? .green : .red) + "\n"
            }
            .joined()
        }
        let text = """
            Certificates (make --fault, zoo)

            \(rows(certificates))
            Servers that misbehave (zoo)

            \(rows(transports))
            """
        return ToolOutput(text: text, status: .clean)
    }
}
