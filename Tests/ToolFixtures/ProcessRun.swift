// A program as users have it: a process with arguments, two streams and an exit code.

public import Foundation

/// One run of a program.
public struct ProcessRun: Sendable {
    /// Its exit code.
    public let exitCode: Int32
    /// What came on standard output.
    public let output: String
    /// What came on standard error.
    public let errors: String

    /// Runs a program to its end.
    ///
    /// - Parameters:
    ///   - program: The executable.
    ///   - arguments: Its arguments.
    ///   - environment: What is added to this process's.
    /// - Throws: What starting it throws.
    public init(
        _ program: URL,
        _ arguments: [String],
        environment: [String: String] = [:]
    ) async throws {
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        // Into files: a pipe that nobody reads holds 64 KiB and no more.
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("process-run-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: directory) }
        func stream(_ name: String) throws -> (file: URL, handle: FileHandle) {
            let file = directory.appendingPathComponent(name)
            try Data().write(to: file)
            return (file, try FileHandle(forWritingTo: file))
        }
        let (output, errors) = (try stream("output"), try stream("errors"))
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output.handle
        process.standardError = errors.handle
        try await withCheckedThrowingContinuation {
            (waiter: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in waiter.resume() }
            do { try process.run() } catch { waiter.resume(throwing: error) }
        }
        self.output = String(decoding: try Data(contentsOf: output.file), as: UTF8.self)
        self.errors = String(decoding: try Data(contentsOf: errors.file), as: UTF8.self)
        exitCode = process.terminationStatus
    }

    /// Where a program of this package is: beside the tests.
    ///
    /// - Throws: ``NotBuilt``.
    public static func product(_ name: String) throws -> URL {
        let places = [
            URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent(),
            Bundle.main.bundleURL, Bundle.main.bundleURL.deletingLastPathComponent(),
        ]
        let files = places.map { $0.appendingPathComponent(name) }
        guard
            let file = files.first(where: { FileManager.default.isExecutableFile(atPath: $0.path) })
        else { throw NotBuilt(name: name) }
        return file
    }

    /// A program is not where the tests are.
    public struct NotBuilt: Error {
        /// The program.
        public let name: String
    }
}
