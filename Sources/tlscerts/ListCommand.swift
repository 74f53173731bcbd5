// `tlscerts list`: all catalogues, with what the other side must make of each fault.

import ArgumentParser
import TLSTestKit
import TLSTestServers
import Tooling

/// Lists all faults.
struct ListCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List every fault, and what the other side must make of it.",
        usage: "tlscerts list [options]",
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
        /// The zoo's; nil for what no server does.
        var host: String?
    }

    private struct Report: Encodable {
        var schema = "tlscerts/1"
        var command = "list"
        var faults: [Entry]
        var exit = 0
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        let chapters: [(title: String, entries: [Entry])] = [
            ("Certificates (make --fault, zoo)", certificates),
            ("Clients' certificates (make --client --fault)", clients),
            ("Servers that misbehave (zoo)", transports),
            ("Revocation (lists and OCSP responses that the library makes)", revocations),
        ]
        let all = chapters.flatMap(\.entries)
        guard output.format == .text else {
            return ToolOutput(text: JSONLine.text(of: Report(faults: all)), status: .clean)
        }
        let paint = output.painter(in: surroundings)
        let width = all.map(\.name.count).max() ?? 0
        let text = chapters.map { title, entries in
            let rows = entries.map { entry in
                "  \(paint(entry.name.padded(to: width), .bold))  \(entry.summary)\n"
                    + "  \("".padded(to: width))  "
                    + paint(entry.expected, entry.accepted ? .green : .red) + "\n"
            }
            return "\(title)\n\n\(rows.joined())"
        }
        return ToolOutput(text: text.joined(separator: "\n"), status: .clean)
    }

    private var certificates: [Entry] {
        CertificateFault.allCases.map { fault in
            Entry(
                name: fault.name,
                kind: "certificate",
                summary: fault.summary,
                expected: "\(fault.verdict)",
                accepted: fault.verdict == .accepted,
                host: "\(CertificateZoo.label(fault.name)).\(CertificateZoo.domain)"
            )
        }
    }

    private var clients: [Entry] {
        ClientFault.all.map { fault in
            Entry(
                name: fault.name,
                kind: "client",
                summary: fault.summary,
                expected: "\(fault.verdict)",
                accepted: fault.verdict == .accepted
            )
        }
    }

    private var transports: [Entry] {
        TransportFault.allCases.map { fault in
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
    }

    private var revocations: [Entry] {
        RevocationFault.allCases.map { fault in
            Entry(
                name: fault.name,
                kind: "revocation",
                summary: fault.summary,
                expected: "\(fault.verdict)",
                accepted: fault.verdict == .good
            )
        }
    }
}
