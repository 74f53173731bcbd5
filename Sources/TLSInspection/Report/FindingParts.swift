// Findings and failures with what they mean, in the words of `explain`.

/// Findings and failures on pages.
enum FindingParts {
    /// The section of findings, those of one kind together; nothing without any.
    ///
    /// - Parameters:
    ///   - findings: The findings, heaviest first.
    ///   - names: Whom each is about, where they are about several.
    /// - Returns: The section.
    static func section(_ findings: [Finding], of names: [String] = []) -> HTML {
        var kinds: [(finding: Finding, texts: [String])] = []
        for (place, finding) in findings.enumerated() {
            let text = names.isEmpty ? finding.text : "\(names[place]): \(finding.text)"
            let kind = kinds.firstIndex {
                $0.finding.id == finding.id && $0.finding.severity == finding.severity
            }
            if let kind {
                kinds[kind].texts.append(text)
            } else {
                kinds.append((finding, [text]))
            }
        }
        let items = kinds.map { finding, texts in
            item(
                finding.severity.tone,
                finding.severity.rawValue,
                finding.id,
                texts,
                Explanation.of("finding \(finding.id)")
            )
        }
        return PageParts.section("Findings", "\(items)")
    }

    /// The section of a failure: what happened, when, what it means; nothing without one.
    static func section(
        _ error: InspectionReport.Failure?,
        _ result: InspectionReport.Outcome
    ) -> HTML {
        guard let error else { return "" }
        var rows: [(String, HTML)] = [("What", "\(error.message)")]
        if let phase = error.phase { rows.append(("When", "\(phase.replacing("_", with: " "))")) }
        if let hint = error.hint { rows.append(("Cure", "\(hint)")) }
        var known = Explanation.of("result \(result.rawValue)")
        if let alert = error.alert {
            let sender = error.sent ? "sent by this side" : "sent by the server"
            rows.append(("Alert", "\(alert.number) <code>\(alert.name)</code>, \(sender)"))
            known = Explanation.of("alert \(alert.number)") + known
        }
        let explained = known.prefix(1).map(words)
        let facts = PageParts.facts(rows)
        return PageParts.section(
            "What went wrong",
            "\(facts)\n<div class=\"card finding bad\">\(explained)</div>"
        )
    }

    /// One failure of many: whom it is about, what happened, what it means.
    static func failure(
        _ name: String,
        _ error: InspectionReport.Failure,
        _ result: InspectionReport.Outcome
    ) -> HTML {
        let known =
            error.alert.map { Explanation.of("alert \($0.number)") }
            ?? Explanation.of("result \(result.rawValue)")
        return item(.bad, result.words, name, [error.message], known)
    }

    /// The alerts of the server with what they mean, each once.
    static func alerts(_ alerts: [InspectionReport.AlertReport]) -> HTML {
        let numbers = Set(alerts.map(\.number)).sorted()
        let items = numbers.compactMap { number in
            alerts.first { $0.number == number }.map { alert in
                let known = Explanation.of("alert \(number)")
                return item(.warn, "alert \(number)", alert.name, [], known)
            }
        }
        return "\(items)"
    }

    /// A verdict on a certificate with what it means.
    static func verdict(_ error: InspectionReport.VerificationError) -> HTML {
        let hint: HTML = error.hint.map { "<p>\($0)</p>" } ?? ""
        let known = Explanation.of("x509 \(error.code)").prefix(1).map(words)
        return """
            <div class="card finding bad"><h3>\(Tone.bad.badge("not trusted"))\
            <code>X.509 verdict \(error.code)</code></h3><p>\(error.text)</p>\(hint)\(known)</div>

            """
    }

    private static func item(
        _ tone: Tone,
        _ severity: String,
        _ id: String,
        _ texts: [String],
        _ known: [Explanation]
    ) -> HTML {
        let lines = texts.map { text -> HTML in texts.count == 1 ? "\(text)" : "<li>\(text)</li>" }
        let told: HTML =
            switch texts.count {
            case 0: ""
            case 1: "<p>\(lines)</p>"
            default: "<ul class=\"values\">\(lines)</ul>"
            }
        return """
            <div class="card finding \(tone.rawValue)"><h3>\(tone.badge(severity))\
            <code>\(id)</code></h3>\(told)\(known.prefix(1).map(words))</div>

            """
    }

    private static func words(_ known: Explanation) -> HTML {
        let causes = known.causes.joined(separator: "; ")
        let often: HTML = causes.isEmpty ? "" : " Often: \(marked(causes))."
        return "<p class=\"dim\">\(marked(known.meaning))\(often)</p>"
    }

    /// A text in which what stands in backticks is code.
    private static func marked(_ text: String) -> HTML {
        let parts = text.split(separator: "`", omittingEmptySubsequences: false)
        let pieces = parts.enumerated().map { place, part -> HTML in
            place % 2 == 0 ? "\(part)" : "<code>\(part)</code>"
        }
        return "\(pieces)"
    }
}
