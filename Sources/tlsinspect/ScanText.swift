// A scan for people: a line a subject, lists broken at the width of a terminal.

import TLSInspection
import Tooling

/// A scan in text.
struct ScanText {
    let report: ScanReport
    let paint: Painter

    init(_ report: ScanReport, _ painter: Painter) {
        self.report = report
        paint = painter
    }

    /// The whole report, with a line feed at its end.
    var text: String {
        var page = Page(paint)
        page.header(report.target, verdict, isGood: report.exit == .clean)
        if let error = report.error { page.failure(error) }
        if !report.versions.isEmpty { facts(&page) }
        page.findings(report.findings)
        return page.text
    }

    private var verdict: String {
        guard report.error == nil else { return report.result.words }
        if let policy = report.policy {
            let count = policy.violations.count
            return count == 0 ? "keeps to \(policy.name)" : "\(count) against \(policy.name)"
        }
        return report.exit == .clean ? "done" : "done, with findings"
    }

    private func facts(_ page: inout Page) {
        page.line(
            "versions",
            report.versions.map {
                "\($0.version.replacing("TLS", with: "")) \($0.supported ? "yes" : "no")"
            }
            .joined(separator: "   ")
        )
        for entry in report.suites.reversed() {
            let decides = entry.preference.map { " · \($0.words)" } ?? ""
            page.line(entry.version, "\(count(entry.suites.count, "suite"))\(decides)")
            for suite in entry.suites {
                let mark = paint(suite.grade.padded(to: 5), suite.style)
                page.raw("                 \(mark) \(suite.name)")
            }
        }
        for entry in report.groups.reversed() {
            let decides = entry.preference.map { "   (\($0.words))" } ?? ""
            let quantum = entry.groups.contains(where: \.isPostQuantum) ? "" : "   no post-quantum"
            let names = entry.groups.map(\.name).joined(separator: " · ")
            page.line("groups \(entry.version.dropFirst(3))", names + decides + quantum)
        }
        for entry in report.schemes.reversed() {
            let names = entry.schemes.map(\.name).joined(separator: " · ")
            page.line("signs \(entry.version.dropFirst(3))", names)
        }
        if let bits = report.primeBits { page.line("DH prime", "\(bits) bits") }
        if let alpn = report.alpn {
            let names = alpn.protocols.isEmpty ? "none" : alpn.protocols.joined(separator: ", ")
            page.line("ALPN", names + (alpn.noOverlap.map { "   unknown: \($0.rawValue)" } ?? ""))
        }
        if !report.behaviours.isEmpty {
            let words = report.behaviours.map {
                $0.id.rawValue.replacing("_", with: " ") + " " + ($0.ok ? "ok" : $0.outcome)
            }
            page.line("behaviour", words.joined(separator: " · "))
        }
        if !report.unknown.isEmpty {
            page.line("not known", report.unknown.joined(separator: " · ") + "   no answer")
        }
        let cost = report.cost
        page.line(
            "cost",
            "\(cost.connections) connections, \(cost.rounds) round trips, "
                + Spans.milliseconds(cost.elapsed)
        )
    }

    private func count(_ number: Int, _ word: String) -> String {
        "\(number) \(word)" + (number == 1 ? "" : "s")
    }
}

extension ScanReport.SuiteEntry {
    fileprivate var style: Painter.Style? {
        switch grade {
        case "ok": .green
        case "weak": .yellow
        case "bad": .red
        default: nil
        }
    }
}
