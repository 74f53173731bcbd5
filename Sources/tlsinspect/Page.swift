// What the reports of all commands look like: a header, labelled lines, findings.

import TLSInspection
import Tooling

/// A report in text, put together line by line.
struct Page {
    private static let labelWidth = 13

    private let paint: Painter
    private var sections: [[String]] = [[]]

    init(_ paint: Painter) { self.paint = paint }

    /// The whole page, with a line feed at its end.
    var text: String {
        sections.filter { !$0.isEmpty }.map { $0.joined(separator: "\n") }
            .joined(separator: "\n\n") + "\n"
    }

    /// Begins a section.
    mutating func section() { sections.append([]) }

    /// A line as it is: what peers say in it must have been made printable.
    mutating func raw(_ line: String) { sections[sections.count - 1].append(line) }

    /// Whom it is about, and what it came to.
    mutating func header(_ target: InspectionReport.Target, _ verdict: String, isGood: Bool) {
        let name = Printable.text(target.name)
        let address = target.place
        let left = "\(name)  →  \(Printable.text(address))"
        let gap = max(2, TextReport.width - left.count - verdict.count)
        raw(
            paint(name, .bold) + left.dropFirst(name.count) + String(repeating: " ", count: gap)
                + paint(verdict, isGood ? .green : .red)
        )
        section()
    }

    /// Why there is nothing to tell.
    mutating func failure(_ error: InspectionReport.Failure) {
        line("Failed", error.message, style: .red)
        if let phase = error.phase { line("Phase", phase.replacing("_", with: " ")) }
        if let hint = error.hint { line("Hint", hint) }
        section()
    }

    /// A label and its value, which goes on below itself when it is long.
    mutating func line(_ label: String, _ value: String, style: Painter.Style? = nil) {
        let room = TextReport.width - 2 - Page.labelWidth
        for (place, piece) in Printable.text(value).wrapped(to: room).enumerated() {
            let start = place == 0 ? label : ""
            raw("  " + paint(start.padded(to: Page.labelWidth), .dim) + paint(piece, style))
        }
    }

    /// The findings, each in a line.
    mutating func findings(_ findings: [Finding]) {
        section()
        let width = findings.map(\.id.count).max() ?? 0
        for finding in findings {
            raw(
                "  " + paint(finding.severity.rawValue.padded(to: 5), finding.severity.style)
                    + " \(finding.id.padded(to: width))  \(Printable.text(finding.text))"
            )
        }
    }
}

extension String {
    /// The text in lines of at most so many characters, broken at spaces where there are some.
    func wrapped(to width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in split(separator: " ", omittingEmptySubsequences: false) {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = String(word)
            } else {
                line += (line.isEmpty ? "" : " ") + word
            }
        }
        return lines + [line]
    }
}
