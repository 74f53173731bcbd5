// A report as the options want it, on the stream where it belongs.

import TLSInspection
import Tooling

/// Writes reports.
struct ReportWriter {
    var options: OutputOptions
    var surroundings: ToolSurroundings

    /// The output of a run with one report.
    func output(_ report: InspectionReport) -> ToolOutput {
        switch options.format {
        case .json:
            return ToolOutput(text: JSONLine.text(of: report), status: report.exit)
        case .text where report.result == .invalid:
            let words = [report.error?.message ?? "invalid", report.error?.hint].compactMap(\.self)
            return ToolOutput(
                errors: "tlsinspect: \(Printable.text(words.joined(separator: ". ")))\n",
                status: report.exit
            )
        case .text:
            return ToolOutput(text: text(report), status: report.exit)
        }
    }

    /// The report in text.
    func text(_ report: InspectionReport) -> String {
        TextReport(report, options.painter(in: surroundings)).text
    }
}
