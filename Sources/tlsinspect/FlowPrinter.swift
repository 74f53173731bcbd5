// What `read` writes: a flow as `listen` writes a connection, with the answer below it; and the sum of all.

import TLSInspection
import Tooling

/// Writes what is known of flows, as it is known.
struct FlowPrinter {
    private let format: OutputOptions.Format
    private let paint: Painter
    private let surroundings: ToolSurroundings
    private let hellos: HelloLines
    /// The flows of `json`, and how many are not shown.
    private var kept: [FlowRecord] = []
    private var missed = 0

    init(_ format: OutputOptions.Format, _ paint: Painter, _ surroundings: ToolSurroundings) {
        self.format = format
        self.paint = paint
        self.surroundings = surroundings
        hellos = HelloLines(paint)
    }

    /// Writes a flow.
    mutating func show(_ flow: FlowRecord) {
        switch format {
        case .text: surroundings.announce(text(of: flow))
        case .jsonl: surroundings.announce(JSONLine.text(of: flow))
        case .json:
            if kept.count < HelloPrinter.keptMax { kept.append(flow) } else { missed += 1 }
        }
    }

    /// The output of the whole run, for what was not written while it went on.
    func end(_ summary: CaptureSummary) -> ToolOutput {
        var summary = summary
        (summary.shown, summary.unshown) = (kept, missed)
        return ToolOutput(
            text: format == .text ? text(of: summary) : JSONLine.text(of: summary),
            status: summary.exit
        )
    }

    // MARK: Text

    private func text(of flow: FlowRecord) -> String {
        var lines: [String] = []
        if let retry = flow.retry { lines.append("retry   " + Printable.text(retry.name)) }
        if let answer = flow.answer { lines += text(of: answer) }
        lines += flow.findings.map(text(of:))
        return hellos.text(of: flow.hello) + lines.map { HelloLines.indent + $0 + "\n" }.joined()
    }

    private func text(of answer: FlowRecord.Answer) -> [String] {
        guard answer.result == .chosen else { return [] }
        let choices = [answer.version, answer.suite?.name, answer.group?.name, answer.signature]
        var words = choices.compactMap(\.self).map { Printable.text($0) }
        if let alpn = answer.alpn { words.append(Printable.text(alpn)) }
        if answer.requestsCertificate { words.append("asks for a certificate") }
        var lines = ["answer  " + words.joined(separator: " · ")]
        if let leaf = answer.certificates.first {
            let names = leaf.names.prefix(4).joined(separator: " ")
            let more = leaf.names.count > 4 ? " +\(leaf.names.count - 4)" : ""
            let parts = [
                leaf.name ?? "unreadable", names.isEmpty ? nil : "for \(names)\(more)",
                leaf.notAfter.map { "until \($0.prefix { $0 != "T" })" },
                answer.certificates.count > 1 ? "\(answer.certificates.count) sent" : nil,
            ]
            let text = parts.compactMap(\.self).joined(separator: " · ")
            lines.append("cert    " + Printable.text(text))
        }
        return lines
    }

    private func text(of finding: Finding) -> String {
        paint(finding.severity.rawValue.padded(to: 5), finding.severity.style)
            + " \(finding.id)  \(Printable.text(finding.text))"
    }

    private func text(of summary: CaptureSummary) -> String {
        var parts = [
            "\(summary.flows) flow" + (summary.flows == 1 ? "" : "s"), "\(summary.tls) TLS",
            "\(summary.unnamed) without servername", "\(summary.answered) answered",
        ]
        if summary.refused > 0 { parts.append("\(summary.refused) refused") }
        if summary.notTLS > 0 { parts.append("\(summary.notTLS) not TLS") }
        if summary.middle > 0 { parts.append("\(summary.middle) from the middle on") }
        if let median = summary.medianBytes { parts.append("\(median) B median hello") }
        if summary.hidden > 0 { parts.append("\(summary.hidden) hidden") }
        var packets = ["\(summary.packets) packet" + (summary.packets == 1 ? "" : "s")]
        if let first = summary.first, let last = summary.last {
            packets.append(
                "\(first) to \(last.dropFirst(first.prefix(11) == last.prefix(11) ? 11 : 0))"
            )
        }
        for skip in PacketSkip.allCases {
            guard let count = summary.skipped[skip], count > 0 else { continue }
            packets.append("\(count) \(skip.words)")
        }
        let lines =
            [parts, packets].map { $0.joined(separator: " · ") }
            + summary.findings.map(text(of:))
        return lines.map { "  \($0)\n" }.joined()
    }
}

extension PacketSkip {
    /// The reason in a few words, behind a number.
    fileprivate var words: String {
        switch self {
        case .link: "of an unknown link layer"
        case .notIP: "not IP"
        case .udp: "UDP"
        case .notTCP: "not TCP"
        case .fragment: "fragments"
        case .cut: "cut in their headers"
        case .malformed: "malformed"
        case .unknown: "unusable"
        }
    }
}
