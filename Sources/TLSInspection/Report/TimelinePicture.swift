// The handshake in time: who said what, in flights between two lines, with when the answers came; and below
// it a bar of what the time was spent on.

/// Draws a handshake.
struct TimelinePicture {
    /// What happens in one row.
    private struct Row {
        enum Arrow { case there, back, both, none }

        var arrow: Arrow
        var words: String
        var time: Double?
        var tone: Tone = .plain
    }

    private static let width = 344.0
    private static let client = 74.0
    private static let server = 318.0
    private static let rowHeight = 40.0

    private let report: InspectionReport

    /// Makes the picture of a probe.
    init(_ report: InspectionReport) { self.report = report }

    /// The drawing; nothing without an attempt.
    var markup: HTML {
        let rows = rows
        guard !rows.isEmpty else { return "" }
        let bottom = 34 + Self.rowHeight * Double(rows.count)
        let spent = spent
        let height = bottom + (spent.isEmpty ? 6 : 46 + 17 * Double((spent.count + 1) / 2))
        var contents: HTML = """
            <text class="middle" x="\(Self.client)" y="14">client</text>
            <text class="middle" x="\(Self.server)" y="14">server</text>
            <line class="life" x1="\(Self.client)" y1="22" x2="\(Self.client)" y2="\(bottom)"/>
            <line class="life" x1="\(Self.server)" y1="22" x2="\(Self.server)" y2="\(bottom)"/>

            """
        for (place, row) in rows.enumerated() {
            contents += drawn(row, 34 + Self.rowHeight * Double(place))
        }
        if !spent.isEmpty { contents += bar(spent, bottom + 16) }
        return """
            <div class="card picture">
            <svg class="time" viewBox="0 0 \(Self.width) \(height)" role="img" \
            aria-labelledby="time-t time-d">
            <title id="time-t">Handshake</title>
            <desc id="time-d">\(words(rows))</desc>
            \(contents)</svg>
            </div>
            """
    }

    // MARK: Rows

    private var rows: [Row] {
        guard report.target?.address != nil || report.timing.connect != nil else {
            guard let error = report.error, report.exit == .noConnection else { return [] }
            return [Row(arrow: .none, words: error.message, time: report.timing.dns, tone: .bad)]
        }
        var rows: [Row] = []
        if let dns = report.timing.dns {
            rows.append(Row(arrow: .none, words: "name looked up", time: dns))
        }
        guard let connect = report.timing.connect else {
            return rows + [Row(arrow: .there, words: report.result.words, tone: .bad)]
        }
        rows.append(Row(arrow: .both, words: "TCP connection", time: connect))
        let starttls = report.target?.starttls
        if let starttls, report.result != .starttlsRefused, report.error?.phase != "starttls" {
            rows.append(Row(arrow: .both, words: "\(starttls): STARTTLS"))
        }
        if report.error?.phase != "starttls" { rows += flights }
        if let error = report.error {
            rows.append(failure(error))
        } else if let last = rows.indices.last {
            rows[last].time = report.timing.handshake ?? rows[last].time
            rows[last].tone = .ok
        }
        return rows
    }

    /// What an undisturbed handshake of the version says; more flights are a second hello.
    private var flights: [Row] {
        let hello = Row(arrow: .there, words: "ClientHello")
        guard report.timing.serverHello != nil || report.negotiated != nil else { return [hello] }
        let time = report.timing.serverHello
        guard let negotiated = report.negotiated else {
            return report.error?.alert != nil
                ? [hello]
                : [
                    hello, Row(arrow: .back, words: "an answer", time: time),
                ]
        }
        let isNew = negotiated.version == "TLS1.3"
        let asks = report.clientCertificate?.requested == true ? ", asks for yours" : ""
        var rows = [hello]
        if isNew, (report.traffic?.flights ?? 0) > 4 {
            rows.append(Row(arrow: .back, words: "HelloRetryRequest", time: time))
            rows.append(Row(arrow: .there, words: "ClientHello, for another group"))
            rows.append(Row(arrow: .back, words: "ServerHello to Finished\(asks)"))
        } else {
            let last = isNew ? "Finished" : "ServerHelloDone"
            rows.append(Row(arrow: .back, words: "ServerHello to \(last)\(asks)", time: time))
        }
        guard report.error == nil else { return rows }
        rows.append(
            Row(arrow: .there, words: isNew ? "Finished" : "ClientKeyExchange, Finished")
        )
        if !isNew { rows.append(Row(arrow: .back, words: "Finished")) }
        return rows
    }

    private func failure(_ error: InspectionReport.Failure) -> Row {
        if let alert = error.alert {
            return Row(
                arrow: error.sent ? .there : .back,
                words: "alert \(alert.number) \(alert.name)",
                time: report.timing.serverHello,
                tone: .bad
            )
        }
        return Row(arrow: .none, words: report.result.words, tone: .bad)
    }

    private func drawn(_ row: Row, _ y: Double) -> HTML {
        let (left, right, line) = (Self.client + 5, Self.server - 5, y + 26)
        let room = right - left - 8
        var markup: HTML = "<g class=\"\(row.tone.rawValue)\">"
        let sign = row.tone == .plain ? "" : row.tone.sign + " "
        let style: HTML = row.tone == .plain ? "middle" : "middle tone"
        markup += """
            <text class="\(style)" x="\((left + right) / 2)" y="\(y + 18)">\
            \(sign)\(PictureText.fitted(row.words, room - 12, size: 12.4))</text>
            """
        if row.arrow != .none {
            let begin = row.arrow == .there ? left : left + 7
            let end = row.arrow == .back ? right : right - 7
            markup += "<path class=\"wire\" d=\"M\(begin) \(line)H\(end)\"/>"
        }
        if row.arrow == .there || row.arrow == .both {
            markup += "<path class=\"head\" d=\"M\(right) \(line)l-9 -5v10z\"/>"
        }
        if row.arrow == .back || row.arrow == .both {
            markup += "<path class=\"head\" d=\"M\(left) \(line)l9 -5v10z\"/>"
        }
        if let time = row.time {
            markup += """
                <text class="right small" x="\(Self.client - 10)" y="\(line + 4)">\
                \(Spans.milliseconds(time))</text>
                """
        }
        return markup + "</g>\n"
    }

    // MARK: Time

    private struct Part {
        var words: String
        var time: Double
        var style: String
    }

    private var spent: [Part] {
        let time = report.timing
        var parts: [Part] = []
        if let dns = time.dns { parts.append(Part(words: "name", time: dns, style: "s0")) }
        if let connect = time.connect {
            parts.append(Part(words: "connect", time: connect, style: "s1"))
        }
        if let hello = time.serverHello {
            parts.append(Part(words: "to the answer", time: hello, style: "s2"))
            if let all = time.handshake, all > hello {
                parts.append(Part(words: "to the end", time: all - hello, style: "s3"))
            }
        }
        return parts.count > 1 ? parts : []
    }

    private func bar(_ parts: [Part], _ y: Double) -> HTML {
        let sum = max(0.001, parts.map(\.time).reduce(0, +))
        var x = 4.0
        var markup = HTML.nothing
        for (place, part) in parts.enumerated() {
            let width = max(1.5, (Self.width - 8) * part.time / sum)
            let column = place % 2 == 0 ? 4.0 : 4 + Self.width / 2
            let row = y + 28 + 17 * Double(place / 2)
            markup += """
                <rect class="\(part.style)" x="\(x)" y="\(y)" width="\(width)" height="10"/>\
                <rect class="\(part.style)" x="\(column)" y="\(row - 9)" width="9" height="9"/>\
                <text class="small" x="\(column + 15)" y="\(row)">\
                \(part.words) \(Spans.milliseconds(part.time))</text>

                """
            x += width
        }
        return markup
    }

    /// The picture for those who hear it.
    private func words(_ rows: [Row]) -> String {
        let steps = rows.map { row in
            let who =
                switch row.arrow {
                case .there: "client: "
                case .back: "server: "
                case .both, .none: ""
                }
            return who + row.words + (row.time.map { " after \(Spans.milliseconds($0))" } ?? "")
        }
        return steps.joined(separator: "; ") + "."
    }
}
