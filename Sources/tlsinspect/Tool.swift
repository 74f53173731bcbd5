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
}
