// The entry: arguments in, text and an exit code out. Everything between is in `Tool`, which tests
// run without a process.

import Tooling

/// Runs the tool in this process.
@main
struct TLSInspect {
    static func main() async { await Tool.main() }
}
