// What one run of the load tells, and what many of them come to.

import Foundation

/// One line of the load's.
struct LoadResult: Codable {
    /// Operations, or megabytes.
    let amount: Double
    let seconds: Double
    let perSecond: Double
    /// Work per second of CPU time that the server used: what is compared.
    let perServerSecond: Double
    let serverSeconds: Double
    let loadSeconds: Double
    /// What anything else used of the load's CPU meanwhile.
    let otherSeconds: Double
    let errors: Int
}

/// One line of the results.
struct Record: Codable {
    let name: String
    let server: String
    let round: Int
    /// How often it was measured until it was undisturbed, or given up.
    let tries: Int
    let result: LoadResult

    enum CodingKeys: String, CodingKey {
        case name = "case"
        case server, round, tries, result
    }

    static func read(_ path: String) throws -> [Record] {
        try FileSystem.read(path).split(separator: "\n").map { line in
            try JSONDecoder().decode(Record.self, from: Data(line.utf8))
        }
    }

    func line() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}

/// What a server did in all rounds of a case.
struct Summary {
    let server: String
    /// The median of work per CPU second.
    let rate: Double
    /// The median of the rounds' ratios to the reference; nil without it.
    let ratio: Double?
    /// The least and the greatest of these ratios.
    let spread: ClosedRange<Double>?

    /// Rounds are compared with themselves, so a machine that slows down from one round to the next
    /// moves no ratio.
    init?(_ records: [Record], name: String, server: String) {
        let own = records.filter { $0.name == name && $0.server == server }
        let reference = records.filter { $0.name == name && $0.server == Contender.referenceName }
        guard !own.isEmpty else { return nil }
        let ratios = own.compactMap { record in
            reference.first { $0.round == record.round }.map {
                record.result.perServerSecond / $0.result.perServerSecond
            }
        }.sorted()
        self.server = server
        rate = median(own.map { $0.result.perServerSecond })
        guard let least = ratios.first, let most = ratios.last else {
            ratio = nil
            spread = nil
            return
        }
        ratio = median(ratios)
        spread = least...most
    }
}

func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2)
        ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
}

/// `4,313` or `217.0k`.
func written(_ value: Double) -> String {
    if value >= 100_000 { return "\(fixed(value / 1000, 1))k" }
    var digits = Array(fixed(value, value < 100 ? 1 : 0))
    if digits.count > 3, !digits.contains(".") { digits.insert(",", at: digits.count - 3) }
    return String(digits)
}

func fixed(_ value: Double, _ places: Int) -> String {
    let scale = pow(10.0, Double(places))
    let number = (value * scale).rounded() / scale
    guard places > 0 else { return "\(Int(number))" }
    let text = "\(number)"
    let point = text.firstIndex(of: ".") ?? text.endIndex
    let decimals = text[point...].dropFirst()
    return text[..<point] + "." + decimals.prefix(places)
        + String(repeating: "0", count: max(0, places - decimals.count))
}

/// The table of a run, in Markdown.
func table(_ records: [Record], _ contenders: [Contender]) -> String {
    let others = contenders.filter { $0.name != Contender.referenceName }
    var header = "| Case | C reference |"
    var rule = "|---|--:|"
    for other in others {
        header += " \(other.title) | ratio | spread |"
        rule += "--:|--:|---|"
    }
    var lines = [header, rule]
    for row in Case.all {
        guard
            let reference = Summary(records, name: row.name, server: Contender.referenceName)
        else { continue }
        var line = "| \(row.title) | \(written(reference.rate)) |"
        for other in others {
            guard
                let summary = Summary(records, name: row.name, server: other.name),
                let ratio = summary.ratio, let spread = summary.spread
            else {
                line += " | | |"
                continue
            }
            line += " \(written(summary.rate)) | \(fixed(ratio, 2)) |"
            line += " \(fixed(spread.lowerBound, 2)) to \(fixed(spread.upperBound, 2)) |"
        }
        lines.append(line)
    }
    return lines.joined(separator: "\n")
}
