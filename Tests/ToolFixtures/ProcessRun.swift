// A program as users have it: a process with arguments, two streams and an exit code.

public import Foundation
import Glibc

/// One run of a program.
public struct ProcessRun: Sendable {
    /// Its exit code; 128 and the signal's number when one ended it.
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
    /// - Throws: ``NotStarted``, or what the files of its streams throw.
    public init(
        _ program: URL,
        _ arguments: [String],
        environment: [String: String] = [:]
    ) async throws {
        // Into files: a pipe that nobody reads holds 64 KiB and no more.
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("process-run-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: directory) }
        let files = ["output", "errors"].map { directory.appendingPathComponent($0) }
        for file in files { try Data().write(to: file) }
        let child = try ProcessRun.start(
            [program.path] + arguments,
            environment: ProcessInfo.processInfo.environment.merging(environment) { $1 },
            output: files[0].path,
            errors: files[1].path
        )
        exitCode = await withCheckedContinuation { waiter in
            Thread.detachNewThread { waiter.resume(returning: ProcessRun.end(of: child)) }
        }
        output = String(decoding: try Data(contentsOf: files[0]), as: UTF8.self)
        errors = String(decoding: try Data(contentsOf: files[1]), as: UTF8.self)
    }

    private static func start(
        _ command: [String],
        environment: [String: String],
        output: String,
        errors: String
    ) throws -> pid_t {
        var files = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&files)
        defer { unsafe posix_spawn_file_actions_destroy(&files) }
        unsafe posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&files, 1, output, O_WRONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&files, 2, errors, O_WRONLY, 0)
        return try unsafe spawn(command, environment: environment, &files)
    }

    /// Starts a program; not by Foundation's `Process`, whose listing of open descriptors reads past its end
    /// and has crashed where there are many.
    static func spawn(
        _ command: [String],
        environment: [String: String],
        _ files: inout posix_spawn_file_actions_t
    ) throws -> pid_t {
        var words = unsafe command.map { unsafe strdup($0) } + [nil]
        defer { unsafe words.forEach { unsafe free($0) } }
        var variables = unsafe environment.map { unsafe strdup("\($0)=\($1)") } + [nil]
        defer { unsafe variables.forEach { unsafe free($0) } }
        var child: pid_t = 0
        let result = unsafe posix_spawn(&child, command[0], &files, nil, &words, &variables)
        guard result == 0 else { throw NotStarted(program: command[0], errno: result) }
        return child
    }

    /// Waits for a program's end.
    ///
    /// - Returns: Its exit code, or 128 and the signal that ended it.
    @discardableResult
    static func end(of child: pid_t) -> Int32 {
        var status: Int32 = 0
        while unsafe waitpid(child, &status, 0) == -1, errno == EINTR {}
        // The low seven bits are the signal, the next byte the exit code.
        return status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + (status & 0x7F)
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

    /// A program could not be started.
    public struct NotStarted: Error {
        /// The program.
        public let program: String
        /// Why (POSIX errno).
        public let errno: Int32
    }

    /// A program is not where the tests are.
    public struct NotBuilt: Error {
        /// The program.
        public let name: String
    }
}
