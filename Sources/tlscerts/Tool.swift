// From arguments to output. ArgumentParser reads the arguments; its exit code for wrong usage (64)
// becomes the documented one, and a caller who asked for JSON gets JSON for that too.

import ArgumentParser
import Foundation
import Sockets
import TLSTestKit

/// What the tool knows of the process around it.
struct ToolSurroundings: Sendable {
    /// The environment.
    var variables: [String: String]
    /// Whether standard output is a terminal.
    var isTerminal: Bool
    /// What time it is.
    var now: UnixTime
    /// Writes text at once, while a command goes on.
    var announce: @Sendable (String) -> Void
    /// Waits until a server has to end.
    var waitForEnd: @Sendable () async -> Void
}

/// How a run ends; the numbers are those of `tlsinspect` where they mean the same.
enum ExitStatus: Int, CaseIterable, Sendable {
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

/// What a run writes, and how it ends.
struct ToolOutput: Hashable, Sendable {
    /// What goes to standard output.
    var text = ""
    /// What goes to standard error.
    var errors = ""
    /// The exit code.
    var status: ExitStatus
}

/// What ends a command for a reason that its user can change.
struct ToolFailure: Error {
    var code: String
    var message: String
    var status = ExitStatus.usage
}

/// A command of the tool.
protocol ToolCommand: ParsableCommand {
    /// How its output looks.
    var output: OutputOptions { get }

    /// Does what the arguments say.
    ///
    /// - Parameter surroundings: What is known of the process.
    /// - Returns: What to write, and the exit code.
    /// - Throws: ``ToolFailure``, or what nobody expects: it is shown as a bug.
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
        do {
            let command = try parse(arguments)
            return try await execute(command, in: surroundings, asJSON: wantsJSON)
        } catch {
            return usage(error, asJSON: wantsJSON)
        }
    }

    private static func execute(
        _ command: any ToolCommand,
        in surroundings: ToolSurroundings,
        asJSON: Bool
    ) async throws -> ToolOutput {
        do {
            return try await command.execute(in: surroundings)
        } catch let failure as ToolFailure {
            return self.failure(failure.code, failure.message, failure.status, asJSON: asJSON)
        } catch let error as TestKitError where error.code != .openSSL {
            return failure(error.code.rawValue, error.description, .usage, asJSON: asJSON)
        } catch let error as SocketError {
            let status: ExitStatus = error.category == .network ? .noListener : .usage
            return failure(error.code.rawValue, error.description, status, asJSON: asJSON)
        } catch {
            let message = "this is a bug: \(error)"
            return failure("internal_error", message, .internalError, asJSON: asJSON)
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
        throw ValidationError("A command is missing: make, list, zoo, ocsp or check.")
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
            output.text = json(
                Failure(error: .init(code: "wrong_usage", message: message), exit: 2)
            )
        }
        return output
    }

    private static func failure(
        _ code: String,
        _ message: String,
        _ status: ExitStatus,
        asJSON: Bool
    ) -> ToolOutput {
        guard asJSON else { return ToolOutput(errors: "tlscerts: \(message)\n", status: status) }
        let error = Failure.Reason(code: code, message: message)
        return ToolOutput(text: json(Failure(error: error, exit: status.rawValue)), status: status)
    }

    private struct Failure: Encodable {
        struct Reason: Encodable {
            var code: String
            var message: String
        }

        var schema = "tlscerts/1"
        var error: Reason
        var exit: Int
    }

    /// One JSON object with sorted keys in one line, and a line feed.
    static func json(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // What is encoded here holds strings, integers and Booleans: it cannot fail.
        guard let data = try? encoder.encode(value) else { return "{}\n" }
        return String(decoding: data, as: UTF8.self) + "\n"
    }

    /// Whether the arguments ask for JSON; also those that cannot be parsed.
    private static func asksForJSON(_ arguments: [String]) -> Bool {
        zip(arguments, arguments.dropFirst()).contains { $0 == "--format" && $1 == "json" }
            || arguments.contains("--format=json")
    }
}
