// The chart: one group of bars a case, as long as the ratio to the C reference, whose line is drawn.
// Colours are of middle brightness, so it reads on light and on dark pages; where the viewer follows
// the page's scheme, the text does too.

/// Draws the results as SVG.
func drawing(_ records: [Record]) -> String {
    let servers = ["sockets", "nio"].filter { name in records.contains { $0.server == name } }
    let rows = Case.all.filter { row in records.contains { $0.name == row.name } }
    let bars = rows.map { row in
        (row.title, servers.map { Summary(records, name: row.name, server: $0)?.ratio })
    }
    let longest = bars.flatMap { $0.1 }.compactMap { $0 }.max() ?? 1
    let layout = ChartLayout(
        servers: servers.count,
        rows: rows.count,
        most: max(1.2, (longest * 5).rounded(.up) / 5)
    )
    var parts = [layout.opening, layout.legend(servers), layout.grid]
    for (index, bar) in bars.enumerated() {
        parts.append(layout.row(index, title: bar.0, ratios: bar.1))
    }
    parts += [layout.reference, "</svg>"]
    return parts.joined(separator: "\n") + "\n"
}

/// Where things are, in pixels.
private struct ChartLayout {
    let servers: Int
    let rows: Int
    /// The greatest ratio that fits.
    let most: Double

    let width = 860.0
    let labels = 276.0
    let right = 56.0
    let top = 70.0
    let bar = 14.0
    let gap = 12.0
    static let classes = ["own", "other"]
    static let titles = ["sockets": "swift-sockets", "nio": "SwiftNIO (BoringSSL)"]

    var group: Double { Double(servers) * bar + gap }
    var bottom: Double { top + Double(rows) * group }
    var height: Double { bottom + 34 }

    func x(_ ratio: Double) -> String { fixed(labels + (width - labels - right) * ratio / most, 1) }

    var opening: String {
        """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(fixed(width, 0)) \(fixed(height, 0))" \
        width="\(fixed(width, 0))" height="\(fixed(height, 0))" role="img" \
        aria-label="Work per CPU second of the server, as a ratio to a C server on the same OpenSSL">
        <style>
        text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #727a84 }
        .title { font-size: 15px; font-weight: 600 }
        .number { font-size: 12px }
        .grid { stroke: #808890; stroke-opacity: .25 }
        .one { stroke: #808890; stroke-width: 1.5; stroke-dasharray: 4 3 }
        .own { fill: #e8703a }
        .other { fill: #8a93a0 }
        @media (prefers-color-scheme: light) { text { fill: #424a53 } }
        @media (prefers-color-scheme: dark) { text { fill: #b4bcc6 } }
        </style>
        <text class="title" x="12" y="24">Work per CPU second of the server; C on the same OpenSSL = 1</text>
        """
    }

    func legend(_ names: [String]) -> String {
        names.enumerated().map { index, name in
            let left = 12 + Double(index) * 140
            let place = "x=\"\(fixed(left, 0))\" y=\"37\" width=\"12\" height=\"12\" rx=\"2\""
            return "<rect class=\"\(ChartLayout.classes[index])\" \(place)/>"
                + "<text x=\"\(fixed(left + 18, 0))\" y=\"48\">"
                + "\(ChartLayout.titles[name] ?? name)</text>"
        }.joined(separator: "\n")
    }

    var grid: String {
        let step = most > 1.6 ? 0.5 : 0.2
        var lines: [String] = []
        for index in 0...Int((most / step + 0.01).rounded(.down)) {
            let ratio = Double(index) * step
            let ends = "y1=\"\(fixed(top - 6, 0))\" y2=\"\(fixed(bottom, 0))\""
            lines.append("<line class=\"grid\" x1=\"\(x(ratio))\" x2=\"\(x(ratio))\" \(ends)/>")
            lines.append(
                "<text class=\"number\" x=\"\(x(ratio))\" y=\"\(fixed(bottom + 20, 0))\" "
                    + "text-anchor=\"middle\">\(fixed(ratio, 1))</text>"
            )
        }
        return lines.joined(separator: "\n")
    }

    var reference: String {
        "<line class=\"one\" x1=\"\(x(1))\" x2=\"\(x(1))\" y1=\"\(fixed(top - 6, 0))\" "
            + "y2=\"\(fixed(bottom, 0))\"/>"
    }

    func row(_ index: Int, title: String, ratios: [Double?]) -> String {
        let y = top + Double(index) * group
        let middle = y + Double(servers) * bar / 2 + 4.5
        var parts = [
            "<text x=\"\(fixed(labels - 10, 0))\" y=\"\(fixed(middle, 1))\" "
                + "text-anchor=\"end\">\(title)</text>"
        ]
        for (place, ratio) in ratios.enumerated() {
            guard let ratio else { continue }
            let barTop = y + Double(place) * bar
            let length = (width - labels - right) * ratio / most
            parts.append(
                "<rect class=\"\(ChartLayout.classes[place])\" x=\"\(x(0))\" "
                    + "y=\"\(fixed(barTop + 1, 1))\" width=\"\(fixed(length, 1))\" "
                    + "height=\"\(fixed(bar - 2, 0))\" rx=\"2\"/>"
            )
            parts.append(
                "<text class=\"number\" x=\"\(fixed(width - 14, 0))\" "
                    + "y=\"\(fixed(barTop + bar - 3, 1))\" text-anchor=\"end\">"
                    + "\(fixed(ratio, 2))</text>"
            )
        }
        return parts.joined(separator: "\n")
    }
}
