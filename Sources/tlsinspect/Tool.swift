// From arguments to output. ArgumentParser reads the arguments; its exit code for wrong usage (64)
// becomes the documented one, and a caller who asked for JSON gets JSON for that too.

import ArgumentParser
import Sockets
import TLSInspection

/// What the tool knows of the process around it.
struct ToolSurroundings: Sendable {
    /// The environment.
    var variables: [String: String]
    /// Whether standard output is a terminal.
    var isTerminal: Bool
    /// What time it is.
    var now: UnixTime
}

/// What a run writes, and how it ends.
struct ToolOutput: Hashable, Sendable {
    /// What goes to standard output.
    var text = ""
    /// What goes to standard error.
    var errors = ""
    /// The exit code.
    var status: ExitStatus
}

/// A command of the tool.
protocol ToolCommand: ParsableCommand {
    /// Does what the arguments say.
    ///
    /// - Parameter surroundings: What is known of the process.
    /// - Returns: What to write, and the exit code.
    /// - Throws: What nobody expects: it is shown as a bug.
    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput
}

/// The tool without its process.
enum Tool {
    /// The version that `--version` tells.
    static let version = "0.1.0"

    /// Runs the tool.
    ///
    /// Never fails: what goes wrong is output and an exit code.
    ///
    /// - Parameters:
    ///   - arguments: Without the program's name.
    ///   - surroundings: What is known of the process.
    /// - Returns: What to write, and the exit code.
    static func run(
        _ arguments: [String],
        in surroundings: ToolSurroundings
    ) async -> ToolOutput {
        let wantsJSON = asksForJSON(arguments)
        let command: any ToolCommand
        do {
            command = try parse(arguments)
        } catch {
            return usage(error, asJSON: wantsJSON)
        }
        do {
            return try await command.execute(in: surroundings)
        } catch {
            return bug("\(error)", asJSON: wantsJSON)
        }
    }

    /// Reads the arguments.
    ///
    /// - Throws: What ArgumentParser throws, for wrong usage and for requests of help.
    static func parse(_ arguments: [String]) throws -> any ToolCommand {
        var command = try RootCommand.parseAsRoot(arguments)
        if let command = command as? any ToolCommand { return command }
        // What is left: the root alone, or ArgumentParser's own help command, which throws help.
        if !(command is RootCommand) { try command.run() }
        throw ValidationError("A command is missing: probe or demo.")
    }

    /// Help and version are requests; everything else ArgumentParser throws is wrong usage.
    private static func usage(_ error: any Error, asJSON: Bool) -> ToolOutput {
        let text = RootCommand.fullMessage(for: error) + "\n"
        guard RootCommand.exitCode(for: error) != .success else {
            return ToolOutput(text: text, status: .clean)
        }
        var output = ToolOutput(errors: text, status: .usage)
        if asJSON {
            let message = RootCommand.message(for: error)
            output.text = failure("wrong_usage", message, .invalid, .usage)
        }
        return output
    }

    private static func bug(_ message: String, asJSON: Bool) -> ToolOutput {
        var output = ToolOutput(status: .internalError)
        output.errors = "tlsinspect: this is a bug: \(message)\n"
        if asJSON {
            output.text = failure("internal_error", message, .internalError, .internalError)
        }
        return output
    }

    private static func failure(
        _ code: String,
        _ message: String,
        _ result: InspectionReport.Outcome,
        _ exit: ExitStatus
    ) -> String {
        var report = InspectionReport(command: "tlsinspect", result: result, exit: exit)
        report.error = InspectionReport.Failure(code: code, message: message)
        return JSONReport.text(of: report)
    }

    /// Whether the arguments ask for JSON; also those that cannot be parsed.
    private static func asksForJSON(_ arguments: [String]) -> Bool {
        zip(arguments, arguments.dropFirst()).contains { $0 == "--format" && $1 == "json" }
            || arguments.contains("--format=json")
    }
}
