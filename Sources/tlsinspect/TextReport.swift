// A report for people: one header line, labelled lines, the chain as a table, the findings. A
// section without contents is left out, so a failed handshake shows as much as it had come to.

import TLSInspection
import Tooling

/// A report in text.
struct TextReport {
    /// Columns of a line, as far as contents allow.
    static let width = 78
    private static let labelWidth = 13

    let report: InspectionReport
    let paint: Painter

    init(_ report: InspectionReport, _ painter: Painter) {
        self.report = report
        paint = painter
    }

    /// The whole report, with a line feed at its end.
    var text: String {
        let sections = [[header], failure, facts, ChainTable(report, paint).lines, findings]
        return sections.filter { !$0.isEmpty }.map { $0.joined(separator: "\n") }
            .joined(separator: "\n\n") + "\n"
    }

    // MARK: Header

    private var header: String {
        let verdict = report.verdict
        guard let target = report.target else { return paint(verdict, verdictStyle) }
        let name = Printable.text(target.name)
        let host = target.address ?? target.name
        let address = (host.contains(":") ? "[\(host)]" : host) + ":\(target.port)"
        let left = "\(name)  →  \(address)"
        let gap = max(2, Self.width - left.count - verdict.count)
        return paint(name, .bold) + "  →  \(address)" + String(repeating: " ", count: gap)
            + paint(verdict, verdictStyle)
    }

    private var verdictStyle: Painter.Style {
        guard report.result == .ok else { return .red }
        return report.findings.contains { $0.severity >= .warn } ? .yellow : .green
    }

    // MARK: Failure

    private var failure: [String] {
        guard let error = report.error else { return [] }
        var lines = [line("Failed", error.message, style: .red)]
        if let phase = error.phase {
            lines.append(line("Phase", phase.replacing("_", with: " ")))
        }
        if let hint = error.hint { lines.append(line("Hint", hint)) }
        return lines
    }

    // MARK: Facts

    private var facts: [String] {
        var lines = negotiated
        if report.negotiated == nil, let sent = report.sent {
            let offers = [
                sent.versions.joined(separator: " "),
                "ALPN " + (sent.alpn.isEmpty ? "none" : sent.alpn.joined(separator: ", ")),
                "servername " + (sent.sni ?? "none"),
            ]
            lines.append(line("Offered", offers.joined(separator: " · ")))
        }
        if let session = report.session { lines.append(line("Resumption", resumption(session))) }
        if report.session != nil {
            let staple = report.ocspStaple.map { "\($0.bytes) B" } ?? "none"
            lines.append(line("OCSP staple", staple))
        }
        if let certificate = report.clientCertificate, certificate.requested {
            let answer = certificate.sent ? "asked for, sent" : "asked for, none sent"
            lines.append(line("Client cert", answer))
        }
        if let time { lines.append(line("Time", time)) }
        return lines
    }

    private var negotiated: [String] {
        guard let negotiated = report.negotiated else { return [] }
        let choices: [String?] = [
            negotiated.version.replacing("TLS", with: "TLS "), negotiated.suite.name,
            negotiated.group?.name, negotiated.signature,
        ]
        var lines = [line("Negotiated", choices.compactMap(\.self).joined(separator: " · "))]
        if let sent = report.sent {
            let offer = sent.alpn.isEmpty ? "none offered" : sent.alpn.joined(separator: ", ")
            lines.append(
                line(
                    "ALPN",
                    negotiated.alpn ?? "none",
                    beside: sent.alpn.isEmpty ? offer : "offered " + offer
                )
            )
            let answer = negotiated.servernameAccepted.map {
                $0 ? "acknowledged" : "not acknowledged"
            }
            lines.append(line("Servername", sent.sni ?? "none sent", beside: answer))
        }
        return lines
    }

    private func resumption(_ session: InspectionReport.Session) -> String {
        guard let first = session.tickets.first else { return "no session ticket" }
        let count = session.tickets.count
        let sizes = Set(session.tickets.map(\.bytes)).sorted().map { "\($0)" }
        let early = session.tickets.map(\.earlyData).max() ?? 0
        return
            "\(count) ticket\(count == 1 ? "" : "s") of \(sizes.joined(separator: ", ")) B, "
            + "lifetime "
            + Spans.seconds(first.lifetime) + ", "
            + (early > 0 ? "0-RTT up to \(early) B" : "0-RTT not offered")
    }

    private var time: String? {
        let timing = report.timing
        let steps: [(String, Double?)] = [
            ("dns", timing.dns), ("connect", timing.connect), ("hello", timing.serverHello),
            ("done", timing.handshake),
        ]
        var words = steps.compactMap { name, value in
            value.map { "\(name) \(Spans.milliseconds($0))" }
        }
        guard !words.isEmpty else { return nil }
        if let flights = report.traffic?.flights, flights > 0 {
            words.append("\(flights) flight" + (flights == 1 ? "" : "s"))
        }
        return words.joined(separator: " · ")
    }

    // MARK: Findings

    private var findings: [String] {
        let width = report.findings.map(\.id.count).max() ?? 0
        return report.findings.map { finding in
            "  " + paint(finding.severity.rawValue.padded(to: 5), finding.severity.style)
                + " \(finding.id.padded(to: width))  \(Printable.text(finding.text))"
        }
    }

    private func line(
        _ label: String,
        _ value: String,
        beside: String? = nil,
        style: Painter.Style? = nil
    ) -> String {
        let value = Printable.text(value)
        let start = "  " + paint(label.padded(to: Self.labelWidth), .dim)
        guard let beside else { return start + paint(value, style) }
        return start + value.padded(to: 24) + " " + paint(Printable.text(beside), .dim)
    }
}

extension Severity {
    /// How the severity is painted.
    var style: Painter.Style {
        switch self {
        case .info: .dim
        case .note: .cyan
        case .warn: .yellow
        case .bad: .red
        }
    }
}

extension String {
    /// The text with spaces in front of it up to a width.
    func paddedLeft(to width: Int) -> String {
        String(repeating: " ", count: max(0, width - count)) + self
    }

    /// At most so many characters; an ellipsis stands for what is left out.
    func shortened(to width: Int) -> String {
        count <= width ? self : prefix(width - 1) + "…"
    }
}
