// What a process holds behind each wave of a soak, and whether it grows.

import CMemoryGauge
import CTLSMemory
import Foundation
import Glibc

struct SoakGauge: Sendable {
    /// What is held at one moment.
    struct Sample: Sendable {
        let descriptors: Int
        /// Bytes that were allocated and not freed.
        let inUse: Int
        /// Bytes of the process that are in memory.
        let resident: Int
        /// What the connections left, in words; empty when nothing.
        let residue: String
    }

    /// The growth that passes, in bytes a connection: the smallest block of the allocator is 32.
    private static let tolerance = 8.0
    /// What threads keep for themselves, more at one time than at another, in bytes: this decides in
    /// a short soak.
    private static let noise = 96 << 10
    /// How much of a growth that counts has to show in nearly every wave.
    ///
    /// A leak does. Where others want the processor too, the pool begins one more thread, whose own
    /// takes 100 KiB in three or four waves (1,024 continuations of Dispatch's).
    private static let steadyPart = 0.5
    /// What two such threads take, in bytes: more is a leak, whenever it comes.
    private static let threads = 256 << 10
    /// Pages are coarse: a short soak cannot tell a small leak by them.
    private static let residentNoise = 2 << 20
    /// Waves in which pools, caches and tables find their size.
    private static let warmUp = 2

    let connectionsPerWave: Int
    private var samples: [Sample] = []

    init(connectionsPerWave: Int) { self.connectionsPerWave = connectionsPerWave }

    mutating func add(_ sample: Sample) { samples.append(sample) }

    /// Prepares processes that begin from now on.
    static let isPrepared: Bool = {
        let variables = [
            // The allocator keeps nothing to itself: what its threads' caches hold would be counted as
            // in use, and grow for long.
            "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1",
            // Swift Testing remembers where every error was thrown until the test ends, 50 bytes a
            // connection that fails.
            "SWT_SWIFT_ERROR_BACKTRACING_ENABLED": "0",
        ]
        // Once a process, so the variables that others read at the same time stay where they are.
        return variables.allSatisfy { name, value in unsafe setenv(name, value, 1) == 0 }
    }()

    /// Looks at this process.
    mutating func measure(_ residue: String) {
        // What is kept for OpenSSL has a limit a thread, and is reached by and by.
        let kept = ctlsm_kept_bytes_of_all()
        add(
            Sample(
                descriptors: Files.openDescriptors(),
                inUse: memory_in_use() - kept - ctlsm_list_bytes_of_all(),
                resident: is_sanitized() == 0 ? SoakGauge.residentBytes() - kept : 0,
                residue: residue
            )
        )
    }

    /// What grows; empty when nothing does.
    var problems: [String] {
        let steady = samples.dropFirst(SoakGauge.warmUp)
        guard let first = steady.first, steady.count >= 4 else {
            return ["\(samples.count) waves are too few"]
        }
        var problems = steady.filter { !$0.residue.isEmpty }.map(\.residue)
        if let most = steady.map(\.descriptors).max(), most > first.descriptors {
            problems.append("descriptors grow from \(first.descriptors) to \(most)")
        }
        let memory = growth(steady.map(\.inUse))
        if memory.bytes > memory.tolerance, memory.isLasting {
            problems.append("memory in use grows by \(memory.bytes) bytes a connection")
        }
        let resident = growth(steady.map(\.resident), noise: SoakGauge.residentNoise)
        if resident.bytes > max(32, resident.tolerance) {
            problems.append("the resident size grows by \(resident.bytes) bytes a connection")
        }
        return problems
    }

    /// Bytes a connection, how many may be noise, and whether it is more than a thread's beginning.
    ///
    /// Between the least of the first and of the last third of the waves, since noise only adds.
    private func growth(
        _ bytes: [Int],
        noise: Int = SoakGauge.noise
    ) -> (bytes: Double, tolerance: Double, isLasting: Bool) {
        let third = max(1, bytes.count / 3)
        guard let early = bytes.prefix(third).min(), let late = bytes.suffix(third).min() else {
            return (0, SoakGauge.tolerance, false)
        }
        let connections = Double((bytes.count - third) * connectionsPerWave)
        let steps = zip(bytes, bytes.dropFirst()).map { $1 - $0 }.sorted()
        let step = Double(steps[steps.count / 4]) / Double(connectionsPerWave)
        let tolerance = max(SoakGauge.tolerance, Double(noise) / connections)
        return (
            Double(late - early) / connections, tolerance,
            step > tolerance * SoakGauge.steadyPart || late - early > SoakGauge.threads
        )
    }

    /// One line a wave.
    var table: String {
        var lines = ["wave  descriptors    in use, KiB    resident, KiB"]
        for (number, sample) in samples.enumerated() {
            let cells = [
                "\(number + 1)", "\(sample.descriptors)", "\(sample.inUse / 1024)",
                "\(sample.resident / 1024)",
            ]
            lines.append(
                zip(cells, [4, 11, 13, 15]).map { cell, width in
                    String(repeating: " ", count: max(0, width - cell.count)) + cell
                }
                .joined(separator: "  ")
            )
        }
        let steady = samples.dropFirst(SoakGauge.warmUp)
        lines.append("growth in use: \(growth(steady.map(\.inUse)).bytes) bytes a connection")
        lines.append("growth resident: \(growth(steady.map(\.resident)).bytes) bytes a connection")
        return lines.joined(separator: "\n")
    }

    /// Leaves a report where the script that asked for it looks.
    static func report(_ text: String) {
        guard let path = ProcessInfo.processInfo.environment["SOCKETS_SOAK_REPORT"] else { return }
        try? Files.write(Array((text + "\n").utf8), to: path)
    }

    private static func residentBytes() -> Int {
        let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
        let pages = text?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * Int(getpagesize())
    }
}
