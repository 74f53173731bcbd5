// From arguments to output, for every program of this package. ArgumentParser reads the arguments; its
// exit code for wrong usage (64) becomes the documented one, and a caller who asked for JSON gets JSON
// for that too. A program is a type without values that says what is its own; tests run it without a
// process.

package import ArgumentParser
package import Sockets

/// What a program knows of the process around it.
package struct ToolSurroundings: Sendable {
    /// The arguments, without the program's name; whoever runs the program sets them.
    package var arguments: [String] = []
    /// The environment.
    package var variables: [String: String]
    /// Whether standard output is a terminal.
    package var isTerminal: Bool
    /// What time it is.
    package var now: UnixTime
    /// Writes text to standard output at once, while a command goes on.
    package var announce: @Sendable (String) -> Void
    /// Tells somebody who watches what takes a while; goes nowhere when nobody does.
    package var note: @Sendable (String) -> Void
    /// Waits until a server has to end.
    package var waitForEnd: @Sendable () async -> Void

    /// Makes surroundings; by default nobody reads what is announced or noted, and servers end at once.
    package init(
        variables: [String: String] = [:],
        isTerminal: Bool = false,
        now: UnixTime,
        announce: @escaping @Sendable (String) -> Void = { _ in },
        note: @escaping @Sendable (String) -> Void = { _ in },
        waitForEnd: @escaping @Sendable () async -> Void = {}
    ) {
        self.variables = variables
        self.isTerminal = isTerminal
        self.now = now
        self.announce = announce
        self.note = note
        self.waitForEnd = waitForEnd
    }
}

/// How a run ends: an exit code with a name.
///
/// These three every program has.
package protocol ToolStatus: RawRepresentable<Int>, Hashable, Sendable {
    /// Done, and nothing amiss.
    static var clean: Self { get }
    /// Wrong usage.
    static var usage: Self { get }
    /// A bug.
    static var internalError: Self { get }
}

/// What a run writes, and how it ends.
package struct ToolOutput<Status: ToolStatus>: Hashable, Sendable {
    /// What goes to standard output.
    package var text: String
    /// What goes to standard error.
    package var errors: String
    /// The exit code.
    package var status: Status

    /// Makes an output; the streams are empty by default.
    package init(text: String = "", errors: String = "", status: Status) {
        self.text = text
        self.errors = errors
        self.status = status
    }
}

/// What ends a command for a reason that its user can change.
package struct ToolFailure<Status: ToolStatus>: Error {
    /// The reason for programs: words with underscores, stable.
    package var code: String
    /// The reason for people.
    package var message: String
    /// The exit code.
    package var status: Status

    /// Makes a failure; wrong usage by default.
    package init(code: String, message: String, status: Status = .usage) {
        self.code = code
        self.message = message
        self.status = status
    }
}

/// A command of a program.
package protocol ToolCommand<Status>: ParsableCommand {
    /// The exit codes of the program.
    associatedtype Status: ToolStatus

    /// Does what the arguments say.
    ///
    /// - Parameter surroundings: What is known of the process.
    /// - Returns: What to write, and the exit code.
    /// - Throws: ``ToolFailure``, what ``CommandLineTool/failure(of:)`` knows, or what nobody expects:
    ///   it is shown as a bug.
    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput<Status>
}

/// A program of commands.
package protocol CommandLineTool {
    /// The exit codes of the program.
    associatedtype Status: ToolStatus
    /// The command that stands for the program; its name is the program's.
    associatedtype Root: ParsableCommand

    /// A failure as JSON.
    ///
    /// - Returns: One object in a line.
    static func json(of failure: ToolFailure<Status>) -> String

    /// What an error of a command means to the user; nil for a bug.
    static func failure(of error: any Error) -> ToolFailure<Status>?

    /// What the output of a run becomes for somebody who has rules of their own for outputs.
    ///
    /// - Parameters:
    ///   - output: What was made.
    ///   - arguments: The arguments, which may be wrong.
    /// - Returns: What is written.
    static func fitted(_ output: ToolOutput<Status>, to arguments: [String]) -> ToolOutput<Status>
}

extension CommandLineTool {
    /// The version that `--version` tells, the package's.
    package static var version: String { "0.1.0" }

    /// The program's name.
    package static var name: String { Root.configuration.commandName ?? "" }

    /// No error but ``ToolFailure`` is the user's.
    package static func failure(of error: any Error) -> ToolFailure<Status>? { nil }

    /// Outputs stay as they are.
    package static func fitted(
        _ output: ToolOutput<Status>,
        to arguments: [String]
    ) -> ToolOutput<Status> { output }

    /// Runs the program.
    ///
    /// Never fails: what goes wrong is output and an exit code.
    ///
    /// - Parameters:
    ///   - arguments: Without the program's name.
    ///   - surroundings: What is known of the process.
    /// - Returns: What to write, and the exit code.
    package static func run(
        _ arguments: [String],
        in surroundings: ToolSurroundings
    ) async -> ToolOutput<Status> {
        fitted(await carryOut(arguments, in: surroundings), to: arguments)
    }

    private static func carryOut(
        _ arguments: [String],
        in surroundings: ToolSurroundings
    ) async -> ToolOutput<Status> {
        let wantsJSON = asksForJSON(arguments)
        let command: any ToolCommand<Status>
        do {
            command = try parse(arguments)
        } catch {
            return answer(to: error, asJSON: wantsJSON)
        }
        var surroundings = surroundings
        surroundings.arguments = arguments
        do {
            return try await command.execute(in: surroundings)
        } catch {
            let known = error as? ToolFailure<Status> ?? failure(of: error)
            let failure =
                known
                ?? ToolFailure(
                    code: "internal_error",
                    message: "this is a bug: \(error)",
                    status: .internalError
                )
            return ToolOutput(
                text: wantsJSON ? json(of: failure) : "",
                errors: "\(name): \(failure.message)\n",
                status: failure.status
            )
        }
    }

    /// Reads the arguments.
    ///
    /// - Throws: What ArgumentParser throws, for wrong usage and for requests of help.
    package static func parse(_ arguments: [String]) throws -> any ToolCommand<Status> {
        var command = try Root.parseAsRoot(arguments)
        if let command = command as? any ToolCommand<Status> { return command }
        // What is left: the root alone, or ArgumentParser's own help command, which throws help.
        if !(command is Root) { try command.run() }
        var names = Root.configuration.subcommands.map { $0.configuration.commandName ?? "" }
        let last = names.popLast() ?? ""
        throw ValidationError("A command is missing: \(names.joined(separator: ", ")) or \(last).")
    }

    /// Help and version are requests; everything else ArgumentParser throws is wrong usage.
    private static func answer(to error: any Error, asJSON: Bool) -> ToolOutput<Status> {
        let text = Root.fullMessage(for: error) + "\n"
        guard Root.exitCode(for: error) != .success else {
            return ToolOutput(text: text, status: .clean)
        }
        let failure = ToolFailure<Status>(code: "wrong_usage", message: Root.message(for: error))
        return ToolOutput(text: asJSON ? json(of: failure) : "", errors: text, status: .usage)
    }

    /// Whether the arguments ask for JSON; also those that cannot be parsed.
    private static func asksForJSON(_ arguments: [String]) -> Bool {
        let forms = ["json", "jsonl"]
        return zip(arguments, arguments.dropFirst())
            .contains { $0 == "--format" && forms.contains($1) }
            || forms.contains { arguments.contains("--format=\($0)") }
    }
}
