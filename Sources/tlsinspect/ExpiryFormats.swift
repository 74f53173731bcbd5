// What monitors read: a line for Nagios, samples for Prometheus; and the table for people. What peers
// say is escaped as each of them demands.

import TLSInspection
import Tooling

/// The exit codes of Nagios.
enum NagiosStatus: Int, Comparable {
    case ok = 0
    case warning = 1
    case critical = 2
    case unknown = 3

    /// The word in the line.
    var word: String { "\(self)".uppercased() }

    /// The process's exit code, which has the same number.
    var exit: ExitStatus { ExitStatus(rawValue: rawValue) ?? .internalError }

    static func < (left: NagiosStatus, right: NagiosStatus) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// Reports in the formats of monitors.
struct ExpiryFormats {
    let reports: [ExpiryReport]
    let limits: ExpiryLimits

    // MARK: Nagios

    /// Text without what a line of Nagios is divided by.
    static func plain(_ text: String) -> String {
        Printable.text(text).replacing("|", with: "/")
    }

    /// The output, and the code: a line with a number, then a line for each server that is amiss.
    var nagios: (text: String, status: NagiosStatus) {
        let states = reports.map(state)
        let worst = states.map(\.status).max() ?? .unknown
        let days = reports.flatMap { report in
            report.certificates.filter { $0.position != .root }.map(\.daysLeft)
        }.min()
        let amiss = zip(reports, states).filter { $0.1.status != .ok }
        let said = amiss.first { $0.1.status == worst }?.1.words
        var summary = said ?? "\(count(reports.count, "server")) in order"
        if amiss.count > 1 { summary += " (\(amiss.count) of \(reports.count) are amiss)" }
        // Below these numbers it is a warning, or critical: ranges without an end.
        let number = days.map { " | min_days=\($0);\(limits.warn):;\(limits.critical):" } ?? ""
        var lines = ["TLS \(worst.word) - \(summary)\(number)"]
        if amiss.count > 1 { lines += amiss.map { "\($0.1.status.word): \($0.1.words)" } }
        return (lines.joined(separator: "\n") + "\n", worst)
    }

    private func state(_ report: ExpiryReport) -> (status: NagiosStatus, words: String) {
        let name = ExpiryFormats.plain(report.asked)
        if let error = report.error {
            return (.critical, "\(name) \(ExpiryFormats.plain(error.message))")
        }
        guard let finding = report.findings.first, finding.severity >= .warn else {
            // What is not trusted has a finding; this is for one that none was thought of for.
            return report.exit == .untrusted
                ? (.critical, "\(name) \(report.result.words)") : (.ok, "\(name) in order")
        }
        let words = "\(name) \(ExpiryFormats.plain(finding.text))"
        return (finding.severity == .bad ? .critical : .warning, words)
    }

    private func count(_ number: Int, _ word: String) -> String {
        "\(number) \(word)" + (number == 1 ? "" : "s")
    }

    // MARK: Prometheus

    /// The samples in the text format (version 0.0.4).
    var prometheus: String {
        var probes: [String] = []
        var ends: [String] = []
        var served: [String] = []
        var verified: [String] = []
        var seen: Set<String> = []
        for report in reports {
            let who = [("target", report.asked), ("sni", report.sni ?? "")]
            // Two lines of one name would be refused as a whole.
            guard seen.insert(labels(who)).inserted else { continue }
            let isUp = report.error == nil ? 1 : 0
            probes.append("tls_probe_success\(labels(who)) \(isUp)")
            for entry in report.certificates {
                let own = [
                    ("position", entry.position.rawValue), ("index", "\(entry.index)"),
                    ("cn", entry.name), ("serial", entry.serial),
                ]
                ends.append(
                    "tls_cert_not_after_seconds\(labels(who + own)) \(entry.notAfterSeconds)"
                )
            }
            if let end = report.earliestServed {
                served.append("tls_served_chain_not_after_seconds\(labels(who)) \(end)")
            }
            if let end = report.earliestVerified {
                verified.append("tls_verified_path_not_after_seconds\(labels(who)) \(end)")
            }
        }
        return family("tls_probe_success", "Whether there was a TLS handshake.", probes)
            + family("tls_cert_not_after_seconds", "End of a certificate that was served.", ends)
            + family(
                "tls_served_chain_not_after_seconds",
                "Earliest end of the certificates that were served.",
                served
            )
            + family(
                "tls_verified_path_not_after_seconds",
                "Earliest end on the verified path to the anchor.",
                verified
            )
    }

    private func family(_ name: String, _ help: String, _ samples: [String]) -> String {
        guard !samples.isEmpty else { return "" }
        return "# HELP \(name) \(help)\n# TYPE \(name) gauge\n" + samples.joined(separator: "\n")
            + "\n"
    }

    private func labels(_ pairs: [(String, String)]) -> String {
        let words = pairs.map { name, value in
            let escaped = Printable.text(value).replacing("\\", with: "\\\\")
                .replacing("\"", with: "\\\"")
            return "\(name)=\"\(escaped)\""
        }
        return "{" + words.joined(separator: ",") + "}"
    }

    // MARK: Text

    /// The table: a line for each server, and what is amiss.
    func text(_ paint: Painter) -> String {
        var page = Page(paint)
        let width = max(6, min(40, reports.map { Printable.text($0.asked).count }.max() ?? 0))
        for report in reports {
            let name = Printable.text(report.asked).shortened(to: width).padded(to: width)
            guard let first = report.first else {
                let reason = report.error?.message ?? report.result.words
                page.raw("  \(name)  " + paint(Printable.text(reason), .red))
                continue
            }
            let worst = report.findings.first?.severity
            let style: Painter.Style? = worst.map { $0 >= .warn ? $0.style : .green } ?? .green
            let days = Spans.days(first.daysLeft).paddedLeft(to: 9)
            let trust = report.exit == .untrusted ? "   " + paint(report.result.words, .red) : ""
            page.raw(
                "  \(name)  " + paint(days, style)
                    + "  \(first.notAfter.prefix(10))  \(first.position.rawValue) "
                    + Printable.text(first.name).shortened(to: 32) + trust
            )
        }
        page.section()
        for report in reports where report.findings.contains(where: { $0.severity >= .warn }) {
            for finding in report.findings {
                let name = Printable.text(report.asked)
                page.raw(
                    "  " + paint(finding.severity.rawValue.padded(to: 5), finding.severity.style)
                        + " \(name)  \(Printable.text(finding.text))"
                )
            }
        }
        return page.text
    }
}
