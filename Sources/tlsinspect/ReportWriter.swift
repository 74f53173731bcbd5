// A report as the options want it, on the stream where it belongs.

import Foundation
import TLSInspection

/// Writes reports.
struct ReportWriter {
    var options: OutputOptions
    var surroundings: ToolSurroundings

    /// The output of a run with one report.
    func output(_ report: InspectionReport) -> ToolOutput {
        switch options.format {
        case .json:
            return ToolOutput(text: JSONReport.text(of: report), status: report.exit)
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
        TextReport(report, Painter(isColored: options.isColored(in: surroundings))).text
    }
}

/// Reports as JSON.
enum JSONReport {
    /// One JSON object with sorted keys in one line, and a line feed.
    static func text(of report: InspectionReport) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // A report holds strings, finite numbers and Booleans: encoding them cannot fail.
        guard let data = try? encoder.encode(report) else { return "{}\n" }
        return String(decoding: data, as: UTF8.self) + "\n"
    }
}
