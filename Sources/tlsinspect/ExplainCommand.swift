// `tlsinspect explain`: what a code means.

import ArgumentParser
import TLSInspection
import Tooling

/// Tells what a code means, and what is usually behind it.
struct ExplainCommand: ToolCommand {
    /// What is told of a code.
    struct Report: Codable {
        var schema = InspectionReport.schema
        var command = "explain"
        var code: String
        var exit: ExitStatus
        var entries: [Explanation]
    }

    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "What an alert, a reason, a finding or an exit code means.",
        discussion: """
            Takes numbers and names of alerts, verdicts on certificates (X509_V_ERR_…), \
            reasons of OpenSSL and whole error lines, findings, results and exit codes of \
            this tool. A kind in front says which is meant: alert, x509, exit.

            EXAMPLES
              tlsinspect explain 112
              tlsinspect explain alert 40
              tlsinspect explain X509_V_ERR_CERT_HAS_EXPIRED
              tlsinspect explain 'error:0A00010B:SSL routines::wrong version number'
              tlsinspect explain no-pq-group
              tlsinspect explain exit 4
            """
    )

    @Argument(help: ArgumentHelp("A number or a name.", valueName: "code"))
    var code: [String]

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard code.contains(where: { !$0.isEmpty }) else { throw ValidationError("Name a CODE.") }
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        let text = code.joined(separator: " ")
        let entries = Explanation.of(text)
        guard !entries.isEmpty else {
            throw ToolFailure(
                code: "unknown_code",
                message: "nothing is known of \"\(Printable.text(text))\""
            )
        }
        let report = Report(code: text, exit: .clean, entries: entries)
        return ReportWriter(options: output, surroundings: surroundings).output(report, .clean) {
            words(entries, output.painter(in: surroundings))
        }
    }

    private func words(_ entries: [Explanation], _ paint: Painter) -> String {
        var page = Page(paint)
        for entry in entries {
            let number = entry.number.map { " \($0)" } ?? ""
            page.raw(paint("\(entry.kind.words)\(number)", .dim) + "  " + paint(entry.name, .bold))
            page.line("means", entry.meaning)
            for (place, cause) in entry.causes.enumerated() {
                page.line(place == 0 ? "often" : "", cause)
            }
            page.section()
        }
        return page.text
    }
}

extension Explanation.Kind {
    /// The kind in words.
    fileprivate var words: String {
        switch self {
        case .alert: "TLS alert"
        case .certificate: "X.509 verdict"
        case .openssl: "OpenSSL reason"
        case .finding: "finding"
        case .exit: "exit code"
        case .result: "result"
        }
    }
}
