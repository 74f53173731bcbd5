// The page of a scan: what the server takes, each with how good it is.

extension ReportPage {
    /// Makes the page of a scan.
    ///
    /// - Parameters:
    ///   - report: What the server takes.
    ///   - origin: How it came to be.
    public init(_ report: ScanReport, _ origin: Origin) {
        let parts = ScanParts(report)
        self.init(
            Contents(
                kind: "tlsinspect scan",
                title: report.target.name,
                place: report.target.place,
                tone: report.error == nil ? report.exit.tone(report.findings) : .bad,
                verdict: parts.verdict,
                exit: report.exit,
                sections: [
                    FindingParts.section(report.error, report.result),
                    PageParts.section("Versions", parts.versions),
                    PageParts.section("Policy", parts.policy),
                    parts.suites,
                    PageParts.section("Key exchange and more", PageParts.facts(parts.facts)),
                    PageParts.section("Behaviour", parts.behaviours),
                    FindingParts.section(report.findings),
                ]
            ),
            origin
        )
    }
}

/// The parts of a scan.
private struct ScanParts {
    private let report: ScanReport

    init(_ report: ScanReport) { self.report = report }

    var verdict: String {
        guard report.error == nil else { return report.result.words }
        if let policy = report.policy {
            let count = policy.violations.count
            return count == 0 ? "keeps to \(policy.name)" : "\(count) against \(policy.name)"
        }
        return report.findings.contains { $0.severity >= .warn } ? "done, with findings" : "done"
    }

    // MARK: Versions

    var versions: HTML {
        let badges = report.versions.map { version -> HTML in
            let words = version.version.replacing("TLS", with: "TLS ")
                .replacing("SSL", with: "SSL ").replacing("  ", with: " ")
            return tone(version).badge(words + (version.supported ? " spoken" : " not spoken"))
        }
        return badges.isEmpty ? "" : "<div class=\"card\">\(badges.joined(by: " "))</div>"
    }

    private func tone(_ version: ScanReport.Version) -> Tone {
        switch (version.version, version.supported) {
        case ("TLS1.2", true), ("TLS1.3", true): .ok
        case ("TLS1.3", false): .note
        case (_, false): .plain
        case ("SSL3", true), ("SSL3.0", true): .bad
        case (_, true): .warn
        }
    }

    var policy: HTML {
        guard let policy = report.policy else { return "" }
        guard !policy.violations.isEmpty else {
            return "<div class=\"card\">\(Tone.ok.badge("keeps to \(policy.name)"))</div>"
        }
        return """
            <div class="card finding bad"><h3>\(Tone.bad.badge("not \(policy.name)"))</h3>
            \(PageParts.chips(policy.violations))</div>
            """
    }

    // MARK: Suites

    var suites: HTML {
        let sections = report.suites.reversed().map { entry -> HTML in
            let rows = entry.suites.map { suite -> [HTML] in
                [
                    "\(suite.name)", tone(suite.grade).badge(suite.grade),
                    PageParts.code(suite.id),
                ]
            }
            let decides = entry.preference.map { ", \($0.words)" } ?? ""
            let first = entry.first.map { ", which begins with \($0)" } ?? ""
            let version = entry.version.replacing("TLS", with: "TLS ")
            let count = "\(entry.suites.count) suite" + (entry.suites.count == 1 ? "" : "s")
            let note: HTML = "<p class=\"dim\">\(count)\(decides)\(first)</p>"
            let table = PageParts.table("Suites of \(version)", ["Suite", "Grade", "Id"], rows)
            return PageParts.section("Suites of \(version)", "\(note)\n\(table)")
        }
        return "\(sections)"
    }

    private func tone(_ grade: String) -> Tone {
        switch grade {
        case "ok": .ok
        case "weak": .warn
        case "bad": .bad
        default: .plain
        }
    }

    // MARK: The rest

    var facts: [(String, HTML)] {
        var rows: [(String, HTML)] = []
        for entry in report.groups.reversed() {
            let chips = entry.groups.map { group -> HTML in
                group.isPostQuantum
                    ? "<li class=\"quantum\">\(group.name) <small>post-quantum</small></li>"
                    : "<li>\(group.name)</li>"
            }
            let decides: HTML = entry.preference.map { "<p class=\"dim\">\($0.words)</p>" } ?? ""
            rows.append(
                (
                    "Groups \(entry.version.dropFirst(3))",
                    "<ul class=\"chips\">\(chips)</ul>\(decides)"
                )
            )
        }
        for entry in report.schemes.reversed() {
            let names = entry.schemes.map(\.name)
            rows.append(("Signatures \(entry.version.dropFirst(3))", PageParts.chips(names)))
        }
        if let bits = report.primeBits { rows.append(("DH prime", "\(bits) bits")) }
        if let alpn = report.alpn {
            let names = alpn.protocols.isEmpty ? "none" : PageParts.chips(alpn.protocols)
            let unknown: HTML =
                alpn.noOverlap.map { "<p class=\"dim\">unknown: \($0.words)</p>" } ?? ""
            rows.append(("ALPN", "\(names)\(unknown)"))
        }
        guard !report.versions.isEmpty else { return rows }
        let cost = report.cost
        let made = "\(cost.connections) connections, \(cost.rounds) rounds"
        rows.append(("Cost", "\(made), \(Spans.milliseconds(cost.elapsed))"))
        return rows
    }

    var behaviours: HTML {
        let rows = report.behaviours.map { behaviour -> [HTML] in
            let tone: Tone = behaviour.ok ? .ok : .warn
            return [
                "\(behaviour.id.trial)", tone.badge(behaviour.ok ? "ok" : behaviour.outcome),
            ]
        }
        return PageParts.table("Behaviour", ["What was tried", "How it went"], rows)
    }
}

extension ScanReport.Behaviour.Kind {
    /// What was tried, in words.
    fileprivate var trial: String {
        switch self {
        case .splitHello: "A hello in two packets"
        case .smallRecords: "A hello in records of one byte"
        case .grease: "Values that nobody knows (GREASE)"
        case .largeHello: "A hello of 20 KB"
        case .fallback: "A fallback to an older version is noticed"
        case .renegotiation: "Renegotiation is bound to its handshake"
        case .masterSecret: "The master secret covers the handshake"
        case .noCompression: "Nothing is compressed"
        }
    }
}
