// Counts that repeat on every machine, held against baselines that are kept with the sources: user
// instructions (valgrind), system calls (strace), memory of an idle connection. Each is made by two
// runs of different length; the difference over the difference of operations leaves out what starting
// and ending cost.

import ArgumentParser
import Foundation

struct Counts: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Count instructions, system calls and memory, and hold them against baselines.",
        discussion: "Fails when a count is above its baseline by more than its tolerance."
    )
    static let idleConnections = 2000
    static let attempts = 6

    @OptionGroup var places: Places
    @Option(help: "The server, with the standard library linked in and without debug information.")
    var server: String
    @Option(help: "The folder of the baselines.")
    var baselines: String
    @Option(help: "The version of the compiler.")
    var swift: String
    @Flag(help: "Write what was counted as the new baselines.")
    var update = false

    func run() throws {
        let openSSL = try SocketsBench.firstLine(
            of: [try places.program("sockets-bench-load"), "--openssl"]
        )
        let machine = try SocketsBench.firstLine(of: ["uname", "-m"])
        let versions = "openssl-\(openSSL)-swift-\(swift)-\(machine)"
        let instructionsFile = "\(baselines)/instructions-\(versions).json"
        let countsFile = "\(baselines)/counts.json"
        if !FileSystem.exists(instructionsFile), !update {
            print(
                "notice: no baseline of instructions for \(versions); they are counted and not held"
            )
        }
        let instructionsBaseline = try Baseline.read(instructionsFile)
        let instructions = try Metric.instructions.map { metric in
            (metric, try lowest(metric, instructionsBaseline[metric.name], countInstructions))
        }
        var calls: [(Metric, Double)] = []
        if mayTrace {
            let baseline = try Baseline.read(countsFile)
            calls = try Metric.systemCalls.map { metric in
                (metric, try lowest(metric, baseline[metric.name], countSystemCalls))
            }
        } else {
            print("notice: strace may not trace on this machine; system calls are not counted")
        }
        let memory = try Metric.memory.map { ($0, try measureMemory($0)) }
        var isKept = true
        for (file, counted) in [(instructionsFile, instructions), (countsFile, calls + memory)] {
            if update { try Baseline.write(counted, to: file) }
            let baseline = try Baseline.read(file)
            for (metric, value) in counted {
                let isWithin = metric.report(value, baseline: baseline[metric.name])
                isKept = isKept && isWithin
            }
        }
        guard isKept else { throw ExitCode(1) }
    }

    /// Counts again what is above its baseline, a few times, and gives the least.
    ///
    /// Whether two writes of the peer are received by one call, and two events come in one turn of the
    /// loop, is the scheduler's choice: neighbours that use the CPU add to it, and never take away.
    private func lowest(
        _ metric: Metric,
        _ baseline: Double?,
        _ count: (Metric) throws -> Double
    ) throws -> Double {
        var least = try count(metric)
        for _ in 1..<Counts.attempts {
            guard let baseline, least > baseline * (1 + metric.tolerance) else { break }
            least = min(least, try count(metric))
        }
        return least
    }

    /// Whether the machine lets one process trace another (ptrace); containers often do not.
    private var mayTrace: Bool {
        (try? output(of: ["strace", "-o", "/dev/null", "true"])) != nil
    }

    private var contender: Contender {
        Contender(name: Contender.ownName, title: "this package", path: server)
    }

    private func countInstructions(_ metric: Metric) throws -> Double {
        try metric.difference { operations in
            let log = FileSystem.temporary("valgrind")
            defer { FileSystem.remove(log) }
            let tracer = [
                "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                "--log-file=\(log)",
            ]
            try runLoad(metric, operations, tracer)
            guard
                let line = try FileSystem.read(log).split(separator: "\n")
                    .first(where: { $0.contains("Collected :") }),
                let count = line.split(separator: " ").last.flatMap({ Double($0) })
            else { throw BenchError("valgrind told no count") }
            return count
        }
    }

    /// All system calls but `getpid`, with which OpenSSL's random generator looks for forks.
    private func countSystemCalls(_ metric: Metric) throws -> Double {
        try metric.difference { operations in
            let log = FileSystem.temporary("strace")
            defer { FileSystem.remove(log) }
            let tracer = ["strace", "-f", "-c", "-U", "calls,name", "-o", log]
            try runLoad(metric, operations, tracer, isChild: true)
            var count = 0.0
            for line in try FileSystem.read(log).split(separator: "\n") {
                let words = line.split(separator: " ")
                guard words.count == 2, let calls = Double(words[0]) else { continue }
                if words[1] != "total", words[1] != "getpid" { count += calls }
            }
            return count
        }
    }

    private func measureMemory(_ metric: Metric) throws -> Double {
        let running = try Server(contender.command(metric.kind, places), cpus: nil)
        defer { running.stop() }
        let arguments = metric.load + ["--connections", "\(Counts.idleConnections)"]
        let result = try load(places, at: running, arguments, as: HoldResult.self)
        return result.kibPerConnection
    }

    private func runLoad(
        _ metric: Metric,
        _ operations: Int,
        _ tracer: [String],
        isChild: Bool = false
    ) throws {
        let command = contender.command(metric.kind, places)
        // On one CPU the load has its turn when the server waits: the same waits in every run.
        let cpu = "\(try allowedCPUs()[0])"
        let running = try Server(command, cpus: cpu, tracer: tracer, isChild: isChild)
        defer { running.stop() }
        let arguments =
            metric.load + ["--connections", "1", "--operations", "\(operations)", "--cpu", cpu]
        _ = try load(places, at: running, arguments, as: LoadResult.self)
    }
}

/// Something that is counted.
struct Metric {
    let name: String
    let title: String
    let kind: Kind
    let load: [String]
    /// Operations of the short and of the long run.
    let operations: (Int, Int)
    /// How far a count may be above its baseline.
    let tolerance: Double

    private static let echo = ["--mode", "echo", "--size", "64"]
    private static let full = ["--mode", "handshake-full"]
    private static let resumed = ["--mode", "handshake-resume"]
    private static let hold = ["--mode", "hold"]

    static let instructions = [
        Metric("echo-64", "instructions, TLS echo 64 B", .ecdsa, echo, (200, 2200), 0.01),
        Metric("handshake-full", "instructions, full handshake", .ecdsa, full, (20, 140), 0.01),
        Metric("handshake-resume", "instructions, resumed", .ecdsa, resumed, (20, 140), 0.01),
        Metric(
            "plain-echo-64",
            "instructions, plain echo 64 B",
            .plain,
            echo + ["--plain"],
            (200, 2200),
            0.05
        ),
    ]
    static let systemCalls = [
        Metric("calls-echo-64", "system calls, TLS echo 64 B", .ecdsa, echo, (200, 1200), 0.01),
        Metric("calls-full", "system calls, full handshake", .ecdsa, full, (20, 220), 0.05),
        Metric("calls-resume", "system calls, resumed", .ecdsa, resumed, (20, 220), 0.05),
    ]
    static let memory = [
        Metric("kib-tls", "KiB, idle TLS connection", .ecdsa, hold, (0, 0), 0.1),
        Metric("kib-plain", "KiB, idle plain connection", .plain, hold + ["--plain"], (0, 0), 0.1),
    ]

    private init(
        _ name: String,
        _ title: String,
        _ kind: Kind,
        _ load: [String],
        _ operations: (Int, Int),
        _ tolerance: Double
    ) {
        self.name = name
        self.title = title
        self.kind = kind
        self.load = load
        self.operations = operations
        self.tolerance = tolerance
    }

    /// What one operation more costs.
    func difference(_ count: (Int) throws -> Double) rethrows -> Double {
        let short = try count(operations.0)
        let long = try count(operations.1)
        return (long - short) / Double(operations.1 - operations.0)
    }

    /// Prints the count beside its baseline.
    ///
    /// - Returns: Whether it is within its tolerance, or has no baseline.
    func report(_ value: Double, baseline: Double?) -> Bool {
        let digits = value < 1000 ? 2 : 0
        var line = title.padding(toLength: 32, withPad: " ", startingAt: 0)
        line += fixed(value, digits)
        guard let baseline else {
            print(line + "  (no baseline)")
            return true
        }
        let change = value / baseline - 1
        line += "  baseline \(fixed(baseline, digits))  \(fixed(100 * change, 2)) %"
        guard change <= tolerance else {
            print(line + "  ABOVE the \(fixed(100 * tolerance, 0)) % that are tolerated")
            return false
        }
        print(line)
        if change < -tolerance {
            print(
                "notice: \(title): below its baseline; Scripts/bench.sh counts --update lowers it"
            )
        }
        return true
    }
}

/// A file of counts by name.
enum Baseline {
    static func read(_ path: String) throws -> [String: Double] {
        guard FileSystem.exists(path) else { return [:] }
        return try JSONDecoder().decode(
            [String: Double].self,
            from: Data(try FileSystem.read(path).utf8)
        )
    }

    static func write(_ counted: [(Metric, Double)], to path: String) throws {
        let lines = counted.map { metric, value in
            "  \"\(metric.name)\": \(fixed(value, value < 1000 ? 2 : 0))"
        }
        try FileSystem.write("{\n" + lines.joined(separator: ",\n") + "\n}\n", to: path)
    }
}

extension SocketsBench {
    static func firstLine(of command: [String]) throws -> String {
        try output(of: command).split(separator: "\n").first.map { String($0) } ?? ""
    }
}
