// The page of many certificates' ends: a row a server, with a bar of the days left.

import Sockets

extension ReportPage {
    /// Makes the page of the ends of many servers' certificates.
    ///
    /// - Parameters:
    ///   - summary: The reports.
    ///   - limits: Days below which something was reported.
    ///   - origin: How it came to be.
    public init(_ summary: ExpirySummary, _ limits: ExpiryLimits, _ origin: Origin) {
        let parts = ExpiryParts(summary.targets, limits)
        let count = summary.targets.count
        let findings = summary.targets.flatMap { report in
            report.findings.map { (parts.name(report), $0) }
        }.sorted { $0.1.severity > $1.1.severity }
        self.init(
            Contents(
                kind: "tlsinspect expiry",
                title: count == 1 ? summary.targets[0].asked : "\(count) servers",
                tone: summary.exit.tone(findings.map(\.1)),
                verdict: parts.verdict,
                exit: summary.exit,
                sections: [
                    PageParts.section("Days left", parts.table),
                    PageParts.section("Failures", parts.failures),
                    FindingParts.section(findings.map(\.1), of: findings.map(\.0)),
                ]
            ),
            origin
        )
    }
}

/// The parts of an overview of ends.
private struct ExpiryParts {
    /// Days that fill a bar: the longest a public certificate has been valid for in years.
    private static let wholeBar = 398.0

    private let reports: [ExpiryReport]
    private let limits: ExpiryLimits

    init(_ reports: [ExpiryReport], _ limits: ExpiryLimits) {
        self.reports = reports
        self.limits = limits
    }

    var verdict: String {
        let amiss = reports.filter { tone($0) != .ok }.count
        return amiss == 0 ? "all in order" : "\(amiss) of \(reports.count) are amiss"
    }

    var table: HTML {
        let rows = reports.map { report -> [HTML] in
            let servername =
                report.sni.map { $0 == report.target.name ? "" : "as \($0)" }
                ?? "no servername"
            let who: HTML = "\(report.asked) <small>\(servername)</small>"
            guard let first = report.first else {
                return [who, Tone.bad.badge(report.result.words), "", "", "", ""]
            }
            let tone = tone(report)
            return [
                who, tone.badge(words(report, first)), bar(first),
                "\(first.notAfter.prefix(10))",
                "\(first.position.rawValue) \(PictureText.fitted(first.name, 300, size: 10))",
                "\(report.earliestVerified.map(date) ?? "not trusted")",
            ]
        }
        return PageParts.table(
            "Days left",
            ["Server", "Verdict", "Left", "Ends", "Ends first", "Verified until"],
            rows
        )
    }

    /// What failed, each with what it means.
    var failures: HTML {
        let items = reports.compactMap { report in
            report.error.map { FindingParts.failure(name(report), $0, report.result) }
        }
        return "\(items)"
    }

    /// The server and its name, where that is another one.
    func name(_ report: ExpiryReport) -> String {
        [report.asked, servername(report)].filter { !$0.isEmpty }.joined(separator: " ")
    }

    private func servername(_ report: ExpiryReport) -> String {
        guard let sni = report.sni else { return "no servername" }
        return sni == report.target.name ? "" : "as \(sni)"
    }

    private func words(_ report: ExpiryReport, _ first: ExpiryReport.Entry) -> String {
        if report.exit == .untrusted, first.daysLeft >= 0 { return report.result.words }
        return first.daysLeft < 0 ? "expired" : tone(report) == .ok ? "in order" : "ends soon"
    }

    private func tone(_ report: ExpiryReport) -> Tone {
        guard report.error == nil, report.exit != .untrusted else { return .bad }
        switch report.findings.first?.severity {
        case .bad: return .bad
        case .warn: return .warn
        default: return .ok
        }
    }

    /// The days left as a bar beside them.
    private func bar(_ entry: ExpiryReport.Entry) -> HTML {
        let days = entry.daysLeft
        let tone: Tone = days < limits.critical ? .bad : days < limits.warn ? .warn : .ok
        let part = min(1, max(0, Double(days) / Self.wholeBar))
        return """
            <svg class="bar \(tone.rawValue)" viewBox="0 0 96 9" aria-hidden="true">\
            <rect class="track" x=".5" y=".5" width="95" height="8" rx="4"/>\
            <rect class="left" x=".5" y=".5" width="\(95 * part)" height="8" rx="4"/></svg>\
            \(Spans.days(days))
            """
    }

    private func date(_ seconds: Int) -> String {
        String(UnixTime(seconds: Int64(seconds)).description.prefix(10))
    }
}
