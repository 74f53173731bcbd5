// The driver of the benchmarks. It starts servers and loads as processes of their own, pinned, and
// never has work while they are measured. `Scripts/bench.sh` builds everything and calls it.

import ArgumentParser

@main
struct SocketsBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sockets-bench",
        abstract: "Measure this package against a C server on the same OpenSSL.",
        subcommands: [Compare.self, Counts.self, Loops.self, Hold.self, Chart.self],
        defaultSubcommand: Compare.self
    )
}

/// What every subcommand needs to find its programs.
struct Places: ParsableArguments {
    @Option(help: "The folder with ecdsa.pem, ecdsa.key, rsa.pem and rsa.key.")
    var certificates: String

    /// The folder of this executable, which the load and the servers share.
    var programs: String {
        get throws {
            let own = try FileSystem.resolve("/proc/self/exe")
            return String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)])
        }
    }

    func program(_ name: String) throws -> String { try "\(programs)/\(name)" }
}

/// A failure that ends the run with one line.
struct BenchError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
