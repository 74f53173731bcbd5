// A hello in three lines. Most clients are of few makes, and what hellos of one make have in common is put
// into words once: fingerprints above all, which cost more than carrying the connection.

import Sockets
import TLSInspection
import Tooling

/// Makes the lines of connections.
struct HelloLines {
    /// How many makes of clients are remembered.
    static let kindsMax = 256
    /// Where the second line begins: below the remote address.
    static let indent = String(repeating: " ", count: 16)

    /// What hellos of one make have in common.
    private struct Words {
        /// Protocols and versions.
        var columns: String
        /// The lines below, up to the size.
        var details: String
        /// What stands behind the size.
        var end: String
    }

    private let paint: Painter
    private var kinds: [HelloKind: Words] = [:]
    /// The last second that was written.
    private var second: (time: UnixTime, text: String)?

    init(_ paint: Painter) { self.paint = paint }

    /// Adds the lines of a connection to a text.
    mutating func add(_ arrival: Arrival, to text: inout String) {
        text += "  "
        text += paint(clock(arrival.instant), .dim)
        text += "  "
        text.append(padding: Printable.text(arrival.remoteText), to: 21)
        text += "  "
        guard let kind = arrival.kind else {
            return add(noHello: arrival.record, to: &text)
        }
        add(words(of: kind, arrival), arrival.servername, arrival.size, to: &text) { text in
            if let backend = arrival.backend {
                text += "  → "
                text += Printable.text(backend)
            }
            if let error = arrival.error {
                text += "  "
                text += paint(Printable.text(error), .red)
            }
        }
    }

    /// The lines of a hello that came another way.
    func text(of record: HelloRecord) -> String {
        let time = record.time?.dropFirst(11).dropLast() ?? "-           "
        var text = "  " + paint(String(time), .dim) + "  "
        text.append(padding: Printable.text(record.remote), to: 21)
        text += "  "
        guard record.result == .tls else {
            add(noHello: record, to: &text)
            return text
        }
        add(words(of: record), record.sni, record.size, to: &text) { text in
            if let backend = record.backend { text += "  → " + Printable.text(backend) }
            if let error = record.error { text += "  " + paint(Printable.text(error), .red) }
        }
        return text
    }

    /// Adds the servername, what hellos of its make have in common, and the size; where it was sent is
    /// written by the caller, behind the columns.
    private func add(
        _ words: Words,
        _ servername: String?,
        _ size: Int,
        to text: inout String,
        way: (inout String) -> Void
    ) {
        let name = servername.map(Printable.text) ?? "(none)"
        if paint.isColored {
            text += paint(name.padded(to: 20), .bold)
        } else {
            text.append(padding: name, to: 20)
        }
        text += words.columns
        way(&text)
        text += "\n"
        text += words.details
        text += String(size)
        text += words.end
    }

    private func add(noHello record: HelloRecord, to text: inout String) {
        let beginning = record.beginning.map { ": \"\($0)\"" } ?? ""
        let reason = record.result == .notTLS ? "" : " (\(Printable.text(record.error ?? "")))"
        text += paint(words(for: record.result), .yellow) + reason + beginning + "\n"
    }

    /// The time of the day, of a second that is put into words once.
    private mutating func clock(_ instant: (second: UnixTime, milliseconds: Int)) -> String {
        if second?.time != instant.second {
            let text = String(instant.second.description.dropFirst(11).dropLast()) + "."
            second = (instant.second, text)
        }
        var text = second?.text ?? ""
        if instant.milliseconds < 100 { text += instant.milliseconds < 10 ? "00" : "0" }
        return text + String(instant.milliseconds)
    }

    private mutating func words(of kind: HelloKind, _ arrival: Arrival) -> Words {
        if let known = kinds[kind] { return known }
        if kinds.count >= Self.kindsMax { kinds = [:] }
        let words = words(of: arrival.record)
        kinds[kind] = words
        return words
    }

    private func words(of record: HelloRecord) -> Words {
        let versions = record.versions
            .map { $0.hasPrefix("TLS") ? String($0.dropFirst(3)) : $0 }.joined(separator: ",")
        let columns = [
            (record.alpn.isEmpty ? "-" : list(record.alpn)).padded(to: 13),
            Printable.text(versions).padded(to: 7),
        ]
        return Words(
            columns: columns.map { "  " + $0 }.joined(),
            details: """
                \(Self.indent)ja4 \(Printable.text(record.ja4 ?? "-"))   ja3 \(record.ja3 ?? "-")
                \(Self.indent)\(record.suites) suites · \(record.extensions) ext · groups \
                \(record.groups.isEmpty ? "-" : list(record.groups, by: " ")) ·\u{20}
                """,
            end: " B" + (record.grease ? " · GREASE" : "") + "\n"
        )
    }

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

extension String {
    /// Adds a text, and spaces behind it up to a width.
    fileprivate mutating func append(padding text: String, to width: Int) {
        self += text
        let count = text.utf8.allSatisfy { $0 < 0x80 } ? text.utf8.count : text.count
        for _ in 0..<max(0, width - count) { self += " " }
    }
}
