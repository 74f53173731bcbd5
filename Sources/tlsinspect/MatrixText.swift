// A matrix for people: the table, the certificates below it, and what both come to.

import TLSInspection
import Tooling

/// A matrix in text.
struct MatrixText {
    let report: MatrixReport
    let paint: Painter

    init(_ report: MatrixReport, _ painter: Painter) {
        self.report = report
        paint = painter
    }

    /// The whole report, with a line feed at its end.
    var text: String {
        var page = Page(paint)
        page.header(report.target, verdict, isGood: report.exit == .clean)
        if let error = report.error { page.failure(error) }
        table(&page)
        page.section()
        for letter in report.certificates.keys.sorted(by: order) { certificate(letter, &page) }
        page.section()
        conclusions(&page)
        page.findings(report.findings)
        return page.text
    }

    private func order(_ left: String, _ right: String) -> Bool {
        (left.count, left) < (right.count, right)
    }

    private var verdict: String {
        guard report.error == nil else { return report.result.words }
        let count = report.certificates.count
        return "\(count) certificate" + (count == 1 ? "" : "s")
    }

    private func table(_ page: inout Page) {
        guard !report.rows.isEmpty else { return }
        let names = report.rows.map { Printable.text($0.sni ?? "(none)") }
        let width = max(10, min(40, names.map(\.count).max() ?? 0))
        let heads = report.columns.map { column in
            switch column.title {
            case "-": "(none)"
            case "?": "(unknown)"
            default: Printable.text(column.title)
            }
        }
        let given = report.rows.map { row in
            row.certificate.map { name(of: $0) + (row.matches == false ? " !" : "") } ?? "-"
        }
        let middle = max(11, given.map(\.count).max() ?? 0)
        let columns = heads.indices.map { place in
            let words = report.rows.map { $0.cells[place].words }
            return max(heads[place].count, words.map(\.count).max() ?? 0)
        }
        let title = zip(heads, columns).map { $0.padded(to: $1) }.joined(separator: "  ")
        page.raw(
            "  "
                + paint(
                    "servername".padded(to: width) + "  " + "certificate".padded(to: middle) + "  "
                        + title,
                    .dim
                )
        )
        for (place, row) in report.rows.enumerated() {
            let cells = zip(row.cells, columns).map { cell, width in
                paint(cell.words.padded(to: width), cell.style)
            }
            let style: Painter.Style? =
                row.matches == false ? .yellow : row.certificate == nil ? .dim : nil
            page.raw(
                "  \(names[place].shortened(to: width).padded(to: width))  "
                    + paint(given[place].padded(to: middle), style) + "  "
                    + cells.joined(separator: "  ")
            )
        }
    }

    private func name(of letter: String) -> String {
        let name = report.certificates[letter]?.name ?? ""
        return "\(letter)  \(Printable.text(name).shortened(to: 24))"
    }

    private func certificate(_ letter: String, _ page: inout Page) {
        guard let certificate = report.certificates[letter] else { return }
        let names = certificate.san.dns + certificate.san.ip
        let shown = names.isEmpty ? certificate.name : names.joined(separator: ", ")
        var notes: [String] = []
        if report.defaults.unknown == letter { notes.append("for unknown names") }
        if report.defaults.absent == letter { notes.append("without a name") }
        let role = notes.isEmpty ? "" : "   default " + notes.joined(separator: " and ")
        page.raw(
            "  \(letter)  \(Printable.text(shown).shortened(to: 32).padded(to: 32))  "
                + Spans.days(certificate.daysLeft).padded(to: 9)
                + " \(certificate.sha256.prefix(8))…"
                + paint(role, .cyan)
        )
    }

    private func conclusions(_ page: inout Page) {
        guard !report.rows.isEmpty else { return }
        if let refusal = report.defaults.unknownRefusal { page.line("unknown name", refusal) }
        if let refusal = report.defaults.absentRefusal { page.line("no name", refusal) }
        if let order = report.order {
            let text =
                order.preference == .server
                ? "server's: " + order.protocols.joined(separator: " before ")
                : order.preference.words
            page.line("ALPN order", text)
        }
        if let noOverlap = report.noOverlap { page.line("ALPN unknown", noOverlap.words) }
        page.line(
            "cost",
            "\(report.cost.handshakes) handshakes, " + Spans.milliseconds(report.cost.elapsed)
        )
        if report.rows.contains(where: { $0.matches == false }) {
            page.line("", "! the certificate is not for the name")
        }
        page.section()
    }
}

extension MatrixReport.Cell {
    fileprivate var style: Painter.Style? {
        if imposed { return .red }
        if result.isHandshake { return chosen == nil ? .dim : .green }
        return .yellow
    }
}
