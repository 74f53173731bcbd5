// The comparison: every case with every server in turn, round after round, on one core.

import ArgumentParser
import Foundation

struct Compare: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Work per CPU second of the server, as a ratio to the C reference."
    )
    /// A run is made again when something else took more of its core than this.
    static let disturbance = 0.1
    static let mostTries = 3

    @OptionGroup var places: Places
    @Option(help: "Rounds; the table holds their medians.")
    var rounds = 5
    @Option(help: "Seconds that a run is measured.")
    var seconds = 1.5
    @Flag(help: "Three short rounds: about a minute.")
    var quick = false
    @Option(help: "Only these cases, separated by commas.")
    var cases = ""
    @Option(help: "A server of SwiftNIO to compare with as well.")
    var nio: String?
    @Option(help: "The CPU for server and load; the first one otherwise.")
    var cpu: Int?
    @Option(help: "Write one line of JSON a run to this file.")
    var out: String?
    @Option(help: "Draw a chart into this SVG file.")
    var chart: String?

    func run() throws {
        let chosen = try Case.named(cases.split(separator: ",").map { String($0) })
        var contenders = [try Contender.reference(places), try Contender.own(places)]
        if let nio { contenders.append(Contender(name: "nio", title: "SwiftNIO", path: nio)) }
        let records = try measure(chosen, contenders)
        print(table(records, contenders))
        if let out {
            let lines = try records.map { try $0.line() }
            try FileSystem.write(lines.joined(separator: "\n") + "\n", to: out)
        }
        if let chart { try FileSystem.write(drawing(records), to: chart) }
    }

    private func measure(_ cases: [Case], _ contenders: [Contender]) throws -> [Record] {
        let cpu = try self.cpu ?? allowedCPUs()[0]
        var servers: [String: Server] = [:]
        defer { for server in servers.values { server.stop() } }
        var records: [Record] = []
        for round in 1...(quick ? 3 : rounds) {
            for row in cases {
                FileHandle.standardError.write(Data("round \(round): \(row.title)\n".utf8))
                for contender in contenders {
                    let key = "\(contender.name) \(row.kind.rawValue)"
                    if servers[key] == nil {
                        let command = contender.command(row.kind, places)
                        servers[key] = try Server(command, cpus: "\(cpu)")
                    }
                    guard let server = servers[key] else { continue }
                    let (result, tries) = try measureOnce(row, server, cpu)
                    records.append(
                        Record(
                            name: row.name,
                            server: contender.name,
                            round: round,
                            tries: tries,
                            result: result
                        )
                    )
                }
            }
        }
        return records
    }

    private func measureOnce(_ row: Case, _ server: Server, _ cpu: Int) throws -> (LoadResult, Int)
    {
        let seconds = quick ? 0.6 : seconds
        let arguments =
            row.load + ["--cpu", "\(cpu)", "--seconds", "\(seconds)", "--warmup", "0.2"]
        var tries = 0
        while true {
            let result = try load(places, at: server, arguments, as: LoadResult.self)
            tries += 1
            let isQuiet = result.otherSeconds <= Compare.disturbance * result.seconds
            if isQuiet || tries == Compare.mostTries { return (result, tries) }
        }
    }
}

struct Chart: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the table of kept results, and draw their chart."
    )

    @Argument(help: "Results of an earlier comparison.")
    var results: String
    @Option(help: "The SVG file.")
    var chart: String?

    func run() throws {
        let records = try Record.read(results)
        let servers = Set(records.map { $0.server })
        let titles = [
            ("reference", "C reference"), ("sockets", "this package"), ("nio", "SwiftNIO"),
        ]
        let contenders = titles.filter { servers.contains($0.0) }
            .map { Contender(name: $0.0, title: $0.1, path: "") }
        print(table(records, contenders))
        if let chart { try FileSystem.write(drawing(records), to: chart) }
    }
}
