// A report as the options want it, on the stream where it belongs.

import Sockets
import TLSInspection
import Tooling

/// Writes reports.
struct ReportWriter {
    var options: OutputOptions
    var surroundings: ToolSurroundings

    /// The output of a run with one report.
    func output(_ report: InspectionReport) -> ToolOutput {
        switch options.format {
        case .json, .jsonl:
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

    /// The output of a run with a report of another kind.
    ///
    /// - Parameters:
    ///   - report: What JSON is made of.
    ///   - status: The exit code.
    ///   - text: The report for people.
    /// - Returns: The output.
    func output(
        _ report: some Encodable,
        _ status: ExitStatus,
        text: () -> String
    ) -> ToolOutput {
        ToolOutput(
            text: options.format == .text ? text() : JSONLine.text(of: report),
            status: status
        )
    }

    /// The report in text.
    func text(_ report: InspectionReport) -> String {
        TextReport(report, options.painter(in: surroundings)).text
    }
}

extension InspectionReport {
    /// The report of a run that ended at its files.
    ///
    /// - Parameters:
    ///   - error: What is wrong with a file.
    ///   - command: The command.
    ///   - probe: What it was about.
    /// - Returns: The report.
    static func unusableFile(
        _ error: SocketError,
        command: String,
        _ probe: Probe
    ) -> InspectionReport {
        var report = InspectionReport(command: command, result: .invalid, exit: .usage)
        report.target = Target(
            name: probe.target.address,
            address: nil,
            port: Int((probe.connect ?? probe.target).port),
            starttls: probe.starttls?.rawValue
        )
        report.error = Failure(
            code: "unusable_file",
            message: error.description,
            hint: error.hint
        )
        return report
    }
}
