// Does a second event loop cost anything? Work per CPU second of a listener with one loop and with
// two, the load on a CPU of its own. On a machine with three CPUs or more each loop has its own; on
// two CPUs both loops share the server's.

import ArgumentParser

struct Loops: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Work per CPU second with two event loops, as a ratio to one loop."
    )

    @OptionGroup var places: Places
    @Option(help: "Rounds; the table holds their medians.")
    var rounds = 5
    @Option(help: "Seconds that a run is measured.")
    var seconds = 1.5
    @Flag(help: "Of the C reference as well.")
    var reference = false

    func run() throws {
        let cpus = try allowedCPUs()
        guard cpus.count > 1 else { throw BenchError("the load needs a CPU of its own") }
        let serverCPUs = cpus.count > 2 ? "\(cpus[0]),\(cpus[1])" : "\(cpus[0])"
        let loadCPU = cpus.count > 2 ? cpus[2] : cpus[1]
        let rows = try Case.named(["handshake-full", "echo-64", "echo-16k", "plain-echo-64"])
        var contenders = [try Contender.own(places)]
        if reference { contenders.append(try Contender.reference(places)) }
        print("| Case | server | one loop | two loops | ratio | spread |")
        print("|---|---|--:|--:|--:|---|")
        for row in rows {
            for contender in contenders {
                let rates = try measure(row, contender, serverCPUs, loadCPU)
                let ratios = rates.map { $0.two / $0.one }.sorted()
                let spread = "\(fixed(ratios[0], 2)) to \(fixed(ratios[ratios.count - 1], 2))"
                print(
                    """
                    | \(row.title) | \(contender.title) | \(written(median(rates.map { $0.one }))) \
                    | \(written(median(rates.map { $0.two }))) | \(fixed(median(ratios), 2)) \
                    | \(spread) |
                    """
                )
            }
        }
    }

    private func measure(
        _ row: Case,
        _ contender: Contender,
        _ serverCPUs: String,
        _ loadCPU: Int
    ) throws -> [(one: Double, two: Double)] {
        let command = { contender.command(row.kind, places, threads: $0) }
        let one = try Server(command(1), cpus: serverCPUs)
        defer { one.stop() }
        let two = try Server(command(2), cpus: serverCPUs)
        defer { two.stop() }
        let arguments = row.load + ["--cpu", "\(loadCPU)", "--seconds", "\(seconds)"]
        return try (0..<max(1, rounds)).map { _ in
            (
                try load(places, at: one, arguments, as: LoadResult.self).perServerSecond,
                try load(places, at: two, arguments, as: LoadResult.self).perServerSecond
            )
        }
    }
}
