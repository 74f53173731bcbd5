// The page of a matrix: the table, the certificates by their letters, and what both come to.

extension ReportPage {
    /// Makes the page of a matrix.
    ///
    /// - Parameters:
    ///   - report: What the server gives.
    ///   - origin: How it came to be.
    public init(_ report: MatrixReport, _ origin: Origin) {
        let parts = MatrixParts(report)
        let count = report.certificates.count
        let verdict =
            report.error.map { _ in report.result.words }
            ?? "\(count) certificate" + (count == 1 ? "" : "s")
        self.init(
            Contents(
                kind: "tlsinspect matrix",
                title: report.target.name,
                place: report.target.place,
                tone: report.error == nil ? report.exit.tone(report.findings) : .bad,
                verdict: verdict,
                exit: report.exit,
                sections: [
                    FindingParts.section(report.error, report.result),
                    PageParts.section("Servername and protocol", parts.table),
                    PageParts.section("What it comes to", PageParts.facts(parts.conclusions)),
                    PageParts.section(
                        "Alerts",
                        FindingParts.alerts(report.rows.flatMap(\.cells).compactMap(\.alert))
                    ),
                    FindingParts.section(report.findings),
                    PageParts.section("Certificates", parts.certificates),
                ]
            ),
            origin
        )
    }
}

/// The parts of a matrix.
private struct MatrixParts {
    private let report: MatrixReport
    /// The letters, A before AA.
    private let letters: [String]

    init(_ report: MatrixReport) {
        self.report = report
        letters = report.certificates.keys.sorted { ($0.count, $0) < ($1.count, $1) }
    }

    /// A letter in its colour.
    private func mark(_ letter: String) -> HTML {
        let place = (letters.firstIndex(of: letter) ?? 0) % 7
        return "<span class=\"letter c\(place)\">\(letter)</span>"
    }

    var table: HTML {
        let heads = report.columns.map { column in
            switch column.title {
            case "-": "none offered"
            case "?": "unknown protocol"
            default: column.title
            }
        }
        let rows = report.rows.map { row -> [HTML] in
            let cells = row.cells.map { cell($0, of: row) }
            return ["\(row.sni ?? "(no servername)")", given(row)] + cells
        }
        let table = PageParts.table(
            "Servernames and protocols",
            ["Servername", "Certificate"] + heads,
            rows
        )
        return table.isEmpty ? "" : "\(table)\n\(legend)"
    }

    private func given(_ row: MatrixReport.Row) -> HTML {
        guard let letter = row.certificate else {
            let isSome = row.cells.contains { $0.certificate != nil }
            return isSome ? Tone.warn.badge("varies") : "<span class=\"dim\">none</span>"
        }
        let name = report.certificates[letter]?.names[0] ?? ""
        let verdict = row.matches == false ? Tone.bad.badge("other name") : ""
        return "\(mark(letter))\(PictureText.fitted(name, 260, size: 10)) \(verdict)"
    }

    private func cell(_ cell: MatrixReport.Cell, of row: MatrixReport.Row) -> HTML {
        let tone: Tone
        let words: String
        if let alert = cell.alert {
            (tone, words) = (.warn, "alert \(alert.number)")
        } else if cell.imposed {
            (tone, words) = (.bad, "\(cell.chosen ?? "its own") imposed")
        } else if cell.result.isHandshake {
            (tone, words) = cell.chosen.map { (.ok, $0) } ?? (.plain, "no protocol")
        } else {
            (tone, words) = (.warn, cell.result.words)
        }
        let letter = cell.certificate == row.certificate ? nil : cell.certificate.map(mark)
        return """
            <span class="cell \(tone.rawValue)"><span class="sign" aria-hidden="true">\
            \(tone.sign)</span>\(letter)\(words)</span>
            """
    }

    private var legend: HTML {
        """
        <p class="dim">\(Tone.ok.badge("chosen")) \(Tone.plain.badge("goes on without")) \
        \(Tone.warn.badge("refused")) \(Tone.bad.badge("not offered, or for another name"))</p>
        """
    }

    var conclusions: [(String, HTML)] {
        guard !report.rows.isEmpty else { return [] }
        let defaults = report.defaults
        var rows: [(String, HTML)] = [
            ("Unknown name", stands(defaults.unknown, defaults.unknownRefusal)),
            ("No name", stands(defaults.absent, defaults.absentRefusal)),
        ]
        if let order = report.order {
            let protocols =
                order.protocols.isEmpty ? "" : ": " + order.protocols.joined(separator: " before ")
            rows.append(("ALPN order", "\(order.preference.words)\(protocols)"))
        }
        if let noOverlap = report.noOverlap {
            rows.append(("ALPN unknown", "\(noOverlap.words)"))
        }
        let cost = report.cost
        rows.append(
            ("Cost", "\(cost.handshakes) handshakes, \(Spans.milliseconds(cost.elapsed))")
        )
        return rows
    }

    private func stands(_ letter: String?, _ refusal: String?) -> HTML {
        if let letter {
            let name = report.certificates[letter]?.names[0] ?? ""
            return "\(mark(letter))\(name) <small>the default certificate</small>"
        }
        return refusal.map { "refused: \($0)" } ?? "not known"
    }

    var certificates: HTML {
        let all = letters.map { letter -> HTML in
            guard let certificate = report.certificates[letter] else { return "" }
            return CertificateParts.details(certificate, mark(letter))
        }
        return "\(all)"
    }
}
