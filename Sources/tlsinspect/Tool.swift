// What of a program of commands is this one's own: its exit codes, and failures as reports.

import TLSInspection
import Tooling

extension ExitStatus: ToolStatus {}

typealias ToolOutput = Tooling.ToolOutput<ExitStatus>
typealias ToolFailure = Tooling.ToolFailure<ExitStatus>

/// The tool without its process.
enum Tool: CommandLineTool {
    typealias Root = RootCommand

    static func json(of failure: ToolFailure) -> String {
        var report = InspectionReport(
            command: name,
            result: failure.status == .usage ? .invalid : .internalError,
            exit: failure.status
        )
        report.error = InspectionReport.Failure(code: failure.code, message: failure.message)
        return JSONLine.text(of: report)
    }

    /// Nagios knows four codes, and wants a line whatever happens.
    static func fitted(_ output: ToolOutput, to arguments: [String]) -> ToolOutput {
        guard arguments.first == "expiry",
            output.status == .usage || output.status == .internalError,
            zip(arguments, arguments.dropFirst()).contains(where: {
                $0 == "--format" && $1 == "nagios"
            })
                || arguments.contains("--format=nagios"), output.text.isEmpty
        else { return output }
        let reason = output.errors.split(whereSeparator: \.isNewline).first.map(String.init)
        return ToolOutput(
            text: "TLS UNKNOWN - \(ExpiryFormats.plain(reason ?? "wrong usage"))\n",
            errors: output.errors,
            status: NagiosStatus.unknown.exit
        )
    }
}
