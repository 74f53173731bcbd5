// What of a program of commands is this one's own: its exit codes and the errors of its libraries.

import Sockets
import TLSTestKit
import Tooling

/// How a run ends; the numbers are those of `tlsinspect` where they mean the same.
enum ExitStatus: Int, CaseIterable, ToolStatus {
    /// Done, and nothing amiss.
    case clean = 0
    /// Done, with findings.
    case findings = 1
    /// Wrong usage, or a file that cannot be read or written.
    case usage = 2
    /// It cannot listen.
    case noListener = 3
    /// A bug.
    case internalError = 70
}

typealias ToolOutput = Tooling.ToolOutput<ExitStatus>
typealias ToolFailure = Tooling.ToolFailure<ExitStatus>

/// The tool without its process.
enum Tool: CommandLineTool {
    typealias Root = RootCommand

    private struct Report: Encodable {
        struct Reason: Encodable {
            var code: String
            var message: String
        }

        var schema = "tlscerts/1"
        var error: Reason
        var exit: Int
    }

    static func json(of failure: ToolFailure) -> String {
        let reason = Report.Reason(code: failure.code, message: failure.message)
        return JSONLine.text(of: Report(error: reason, exit: failure.status.rawValue))
    }

    static func failure(of error: any Error) -> ToolFailure? {
        switch error {
        case let error as TestKitError where error.code != .openSSL:
            return ToolFailure(code: error.code.rawValue.snakeCase, message: error.description)
        case let error as SocketError:
            let status: ExitStatus = error.category == .network ? .noListener : .usage
            return ToolFailure(
                code: error.code.rawValue.snakeCase,
                message: error.description,
                status: status
            )
        default: return nil
        }
    }
}

extension String {
    /// A name of Swift's as JSON has it: `fileSystem` is `file_system`.
    fileprivate var snakeCase: String {
        reduce(into: "") { text, character in
            text += character.isUppercase ? "_\(character.lowercased())" : "\(character)"
        }
    }
}
