// Running `swift` and what it builds, from within a test: its own package, its own scratch folder, so
// that it never waits for the lock of the build this test is a part of.

import Foundation
import Synchronization

/// What a program said, and how it ended.
struct CommandResult: Sendable {
    let exitCode: Int32
    /// Standard output and standard error together.
    let output: String

    /// The lines of a compiler's output that say what is wrong, or its end when none does.
    var complaints: String {
        let lines = output.split(separator: "\n").filter { $0.contains("error:") }
        return lines.isEmpty ? String(output.suffix(4000)) : lines.joined(separator: "\n")
    }
}

/// Runs a program to its end; it is killed when the task is cancelled.
///
/// - Parameters:
///   - program: Its name or path.
///   - arguments: Its arguments.
///   - log: A file that does not exist yet, which gets what it says.
/// - Returns: What it said, and how it ended.
/// - Throws: `CocoaError` when the file cannot be made or the program not be started.
func runCommand(_ program: String, _ arguments: [String], log: String) async throws -> CommandResult
{
    guard FileManager.default.createFile(atPath: log, contents: nil) else {
        throw CocoaError(.fileWriteUnknown)
    }
    let output = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = output
    try await withTaskCancellationHandler {
        let (ends, end) = AsyncStream<Void>.makeStream()
        process.terminationHandler = { _ in end.finish() }
        try process.run()
        for await _ in ends {}
        // Also reached by cancellation, before the program has ended.
        if process.isRunning { process.terminate() }
        process.waitUntilExit()
    } onCancel: {
        process.terminate()
    }
    let text = try String(contentsOfFile: log, encoding: .utf8)
    return CommandResult(exitCode: process.terminationStatus, output: text)
}

/// Runs `swift` in the present, whatever time the tests have: taken for years old, the modules that all
/// compilers of this user share would be thrown away, under the hands of those that run.
///
/// - Parameters:
///   - arguments: Its arguments.
///   - log: A file that does not exist yet, which gets what it says.
/// - Returns: What it said, and how it ended.
/// - Throws: As ``runCommand(_:_:log:)`` does.
func runSwift(_ arguments: [String], log: String) async throws -> CommandResult {
    let present = ["-u", "LD_PRELOAD", "-u", "SWIFTPM_MODULECACHE_OVERRIDE"]
    return try await runCommand("env", present + ["swift"] + arguments, log: log)
}
