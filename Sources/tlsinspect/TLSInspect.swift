// The entry: arguments in, text and an exit code out. Everything between is in `Tool`, which tests
// run without a process.

import Foundation
import Glibc
import Sockets
import TLSInspection

/// Runs the tool in this process.
@main
struct TLSInspect {
    static func main() async {
        let surroundings = ToolSurroundings(
            variables: ProcessInfo.processInfo.environment,
            isTerminal: isatty(STDOUT_FILENO) == 1,
            now: UnixTime(seconds: Int64(Date().timeIntervalSince1970))
        )
        let arguments = Array(CommandLine.arguments.dropFirst())
        let output = await Tool.run(arguments, in: surroundings)
        FileHandle.standardOutput.write(Data(output.text.utf8))
        FileHandle.standardError.write(Data(output.errors.utf8))
        exit(Int32(output.status.rawValue))
    }
}
