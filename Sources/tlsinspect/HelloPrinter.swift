// What `listen` writes: a hello in two lines, or a JSON object in one; and the sum of all.

import Sockets
import Synchronization
import TLSInspection
import Tooling

/// Writes what is known of connections, as it comes.
final class HelloPrinter: Sendable {
    /// How many connections may wait to be written.
    static let backlog = 1024
    /// How many connections one JSON object holds.
    static let keptMax = 1000
    /// Where the second line begins: below the remote address.
    static let indent = String(repeating: " ", count: 16)

    /// The first line of `jsonl`.
    private struct Listening: Codable {
        var schema = "tlsinspect/1"
        var command = "listen"
        var event = "listening"
        var local: String
    }

    private let format: OutputOptions.Format
    private let paint: Painter
    private let surroundings: ToolSurroundings
    /// The connections of `json`, and how many are not shown.
    private let kept = Mutex((records: [HelloRecord](), missed: 0))

    init(_ format: OutputOptions.Format, _ paint: Painter, _ surroundings: ToolSurroundings) {
        self.format = format
        self.paint = paint
        self.surroundings = surroundings
    }

    /// Tells that it listens.
    func begin(at address: SocketAddress) {
        switch format {
        case .text: surroundings.announce("  listening on \(address), Ctrl-C ends it\n")
        case .json: surroundings.note("tlsinspect: listening on \(address)\n")
        case .jsonl:
            surroundings.announce(JSONLine.text(of: Listening(local: "\(address)")))
        }
    }

    /// Writes a connection.
    func show(_ record: HelloRecord) {
        switch format {
        case .text: surroundings.announce(text(of: record))
        case .jsonl: surroundings.announce(JSONLine.text(of: record))
        case .json:
            kept.withLock {
                if $0.records.count < Self.keptMax {
                    $0.records.append(record)
                } else {
                    $0.missed += 1
                }
            }
        }
    }

    /// Counts a connection that is not shown.
    func miss() { kept.withLock { $0.missed += 1 } }

    /// The output of the whole run, for what was not written while it went on.
    func end(_ summary: ListenSummary) -> ToolOutput {
        var summary = summary
        kept.withLock {
            summary.shown = $0.records
            summary.unshown = $0.missed
        }
        return ToolOutput(
            text: format == .text ? text(of: summary) : JSONLine.text(of: summary),
            status: summary.exit
        )
    }

    // MARK: Text

    func text(of record: HelloRecord) -> String {
        let time = record.time?.dropFirst(11).dropLast() ?? "-           "
        let remote = Printable.text(record.remote).padded(to: 21)
        let start = "  " + paint(String(time), .dim) + "  " + remote + "  "
        guard record.result == .tls else {
            let beginning = record.beginning.map { ": \"\($0)\"" } ?? ""
            let reason = record.result == .notTLS ? "" : " (\(Printable.text(record.error ?? "")))"
            return start + paint(words(for: record.result), .yellow) + reason + beginning + "\n"
        }
        let versions = record.versions
            .map { $0.hasPrefix("TLS") ? String($0.dropFirst(3)) : $0 }.joined(separator: ",")
        let columns = [
            paint(name(record.sni).padded(to: 20), .bold),
            (record.alpn.isEmpty ? "-" : list(record.alpn)).padded(to: 13),
            Printable.text(versions).padded(to: 7),
        ]
        var way = ""
        if let backend = record.backend { way = "  → " + Printable.text(backend) }
        if let error = record.error { way += "  " + paint(Printable.text(error), .red) }
        let details = [
            "ja4 \(Printable.text(record.ja4 ?? "-"))   ja3 \(record.ja3 ?? "-")",
            "\(record.suites) suites · \(record.extensions) ext · groups "
                + (record.groups.isEmpty ? "-" : list(record.groups, by: " "))
                + " · \(record.size) B" + (record.grease ? " · GREASE" : ""),
        ]
        return start + columns.joined(separator: "  ") + way + "\n"
            + details.map { Self.indent + $0 + "\n" }.joined()
    }

    private func text(of summary: ListenSummary) -> String {
        var parts = [
            "\(summary.connections) connection" + (summary.connections == 1 ? "" : "s"),
            "\(summary.tls) TLS", "\(summary.unnamed) without servername",
        ]
        if summary.notTLS > 0 { parts.append("\(summary.notTLS) not TLS") }
        if summary.forwarded > 0 { parts.append("\(summary.forwarded) forwarded") }
        if summary.undelivered > 0 { parts.append("\(summary.undelivered) not delivered") }
        if let median = summary.medianBytes { parts.append("\(median) B median hello") }
        if summary.unshown > 0 { parts.append("\(summary.unshown) not shown") }
        return "  " + parts.joined(separator: " · ") + "\n"
    }

    private func name(_ name: String?) -> String { name.map(Printable.text) ?? "(none)" }

    /// At most eight of a list: a peer may send thousands.
    private func list(_ values: [String], by separator: String = ",") -> String {
        let shown = values.prefix(8).map { Printable.text($0) }.joined(separator: separator)
        return values.count > 8 ? "\(shown) +\(values.count - 8)" : shown
    }

    private func words(for result: HelloRecord.Outcome) -> String {
        switch result {
        case .tls: "TLS"
        case .notTLS: "not TLS"
        case .malformed: "malformed hello"
        case .tooLarge: "hello too large"
        case .closed: "closed"
        case .timeout: "no hello in time"
        }
    }
}
