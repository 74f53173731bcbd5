// A process that lives as long as whoever holds it, for tests that talk to it by files and sockets.

import Foundation
import Glibc

/// A process whose input is open until it is let go; then it is killed and waited for.
///
/// Its output goes nowhere. A process that ends with its input ends with the one that started it, too.
public final class HeldProcess: Sendable {
    private let identifier: pid_t
    private let input: Int32

    /// - Throws: ``ProcessRun/NotStarted``.
    public init(_ command: [String]) throws {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else {
            throw ProcessRun.NotStarted(program: command[0], errno: errno)
        }
        // Whoever starts between these two lines has an end, too: then the input ends later than this process.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        defer { close(ends[0]) }
        var files = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&files)
        defer { unsafe posix_spawn_file_actions_destroy(&files) }
        unsafe posix_spawn_file_actions_adddup2(&files, ends[0], 0)
        unsafe posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0)
        let environment = ProcessInfo.processInfo.environment
        do {
            identifier = try unsafe ProcessRun.spawn(command, environment: environment, &files)
        } catch {
            close(ends[1])
            throw error
        }
        input = ends[1]
    }

    /// Ends it, without a word to anybody.
    public func kill() { _ = Glibc.kill(identifier, SIGKILL) }

    deinit {
        // Not waited for yet, so the number is its own still.
        kill()
        close(input)
        ProcessRun.end(of: identifier)
    }
}
