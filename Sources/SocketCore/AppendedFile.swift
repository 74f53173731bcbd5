// A file that lines are appended to, each by one system call, so that lines of several threads and
// processes do not mix.

import Glibc

/// An open file that is appended to; closed with its last reference.
package final class AppendedFile: Sendable {
    private let number: Int32

    /// Opens a file for appending, or makes one for its owner's eyes only.
    ///
    /// - Throws: open's failure.
    package init(path: String) throws(SystemCallError) {
        number = unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard number >= 0 else { throw SystemCallError(Errno(rawValue: errno), call: "open") }
    }

    deinit { Syscalls.close(number) }

    /// Appends a line; one that cannot be written is lost.
    package func append(line: String) {
        var bytes = Array(line.utf8)
        bytes.append(10)
        var result = 0
        repeat {
            result = unsafe Glibc.write(number, bytes, bytes.count)
        } while result < 0 && errno == EINTR
    }
}
