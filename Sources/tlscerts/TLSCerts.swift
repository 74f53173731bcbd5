// The entry: arguments in, text and an exit code out. Everything between is in `Tool`, which tests
// run without a process.

import Foundation
import Glibc
import Sockets
import TLSTestKit

/// Runs the tool in this process.
@main
struct TLSCerts {
    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        // Before there is another thread, which would inherit the mask too late.
        if !Set(arguments).isDisjoint(with: ["zoo", "ocsp"]) { EndSignals.block() }
        let surroundings = ToolSurroundings(
            variables: ProcessInfo.processInfo.environment,
            isTerminal: isatty(STDOUT_FILENO) == 1,
            now: UnixTime(seconds: TestCA.wallClock()),
            announce: { FileHandle.standardOutput.write(Data($0.utf8)) },
            waitForEnd: { await EndSignals.wait() }
        )
        let output = await Tool.run(arguments, in: surroundings)
        FileHandle.standardOutput.write(Data(output.text.utf8))
        FileHandle.standardError.write(Data(output.errors.utf8))
        exit(Int32(output.status.rawValue))
    }
}

/// The signals that end a server: SIGINT and SIGTERM.
private enum EndSignals {
    private static func set() -> sigset_t {
        var set = sigset_t()
        // Each writes only the set.
        unsafe sigemptyset(&set)
        unsafe sigaddset(&set, SIGINT)
        unsafe sigaddset(&set, SIGTERM)
        return set
    }

    /// Keeps them from ending the process.
    static func block() {
        var set = set()
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Waits for one of them, on a thread of its own.
    static func wait() async {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var set = set()
                var number: CInt = 0
                unsafe sigwait(&set, &number)
                continuation.resume()
            }
        }
    }
}
