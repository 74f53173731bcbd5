// A program in its process: arguments and environment in, two streams and an exit code out.

import Foundation
import Glibc
import Sockets

extension CommandLineTool {
    /// Runs the program with this process's arguments, and ends the process.
    package static func main() async -> Never {
        let isWatched = isatty(STDERR_FILENO) == 1
        let surroundings = ToolSurroundings(
            variables: ProcessInfo.processInfo.environment,
            isTerminal: isatty(STDOUT_FILENO) == 1,
            now: UnixTime(seconds: Int64(Date().timeIntervalSince1970)),
            announce: { FileHandle.standardOutput.write(Data($0.utf8)) },
            note: { if isWatched { FileHandle.standardError.write(Data($0.utf8)) } },
            waitForEnd: { await EndSignals.wait() }
        )
        let output = await run(Array(CommandLine.arguments.dropFirst()), in: surroundings)
        FileHandle.standardOutput.write(Data(output.text.utf8))
        FileHandle.standardError.write(Data(output.errors.utf8))
        exit(Int32(output.status.rawValue))
    }
}

/// The signals that end a server: SIGINT and SIGTERM.
private enum EndSignals {
    /// Waits for one of them, on a thread of its own.
    static func wait() async {
        var ends: [CInt] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { return }
        let (reader, writer) = (ends[0], ends[1])
        unsafe endDescriptor = writer
        // Writing to a pipe is one of the few things a handler may do.
        let handler: @convention(c) (CInt) -> Void = { _ in
            var byte: UInt8 = 1
            _ = unsafe write(endDescriptor, &byte, 1)
        }
        for number in [SIGINT, SIGTERM] { signal(number, handler) }
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var byte: UInt8 = 0
                while unsafe read(reader, &byte, 1) < 0, errno == EINTR {}
                continuation.resume()
            }
        }
    }
}

/// Where the handler writes; set once, before there is a handler.
nonisolated(unsafe) private var endDescriptor: CInt = -1
