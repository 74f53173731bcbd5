// The page of a comparison: what differs, each with what went and what came.

extension ReportPage {
    /// Makes the page of a comparison.
    ///
    /// - Parameters:
    ///   - report: What differs.
    ///   - origin: How it came to be.
    public init(_ report: DiffReport, _ origin: Origin) {
        let count = report.changes.count
        let changes = report.changes.map(DiffParts.change)
        self.init(
            Contents(
                kind: "tlsinspect diff",
                title: "\(report.before.name) → \(report.after.name)",
                place: DiffParts.place(report),
                tone: report.error != nil ? .bad : count == 0 ? .ok : .warn,
                verdict: report.error != nil
                    ? report.result.words
                    : count == 0
                        ? "no difference" : "\(count) difference" + (count == 1 ? "" : "s"),
                exit: report.exit,
                sections: [
                    FindingParts.section(report.error, report.result),
                    PageParts.section("What differs", "\(changes)"),
                    PageParts.section(
                        "The same",
                        report.same.isEmpty
                            ? "" : "<div class=\"card\">\(PageParts.chips(report.same))</div>"
                    ),
                ]
            ),
            origin
        )
    }
}

/// The parts of a comparison.
private enum DiffParts {
    /// Where both were reached.
    static func place(_ report: DiffReport) -> String {
        [report.before, report.after].map { $0.target?.place ?? $0.name }.joined(separator: " → ")
    }

    /// What went and what came.
    static func change(_ change: Change) -> HTML {
        if change.isReordered {
            return """
                <div class="card finding warn"><h3>\(Tone.warn.badge("other order")) \
                <code>\(change.id)</code></h3><div class="two">\
                \(list(change.before ?? [], "was", ""))\(list(change.after ?? [], "is", ""))\
                </div></div>

                """
        }
        let word =
            change.before == nil ? "new" : change.after == nil ? "gone" : "differs"
        return """
            <div class="card finding warn"><h3>\(Tone.warn.badge(word)) \
            <code>\(change.id)</code></h3><div class="two">\
            \(list(change.removed, "only before", "del"))\(list(change.added, "only after", "ins"))\
            </div></div>

            """
    }

    private static func list(_ values: [String], _ label: String, _ element: HTML) -> HTML {
        let sign = element == "del" ? "−\u{a0}" : element == "ins" ? "+\u{a0}" : ""
        let rows = values.map { value -> HTML in
            element.isEmpty
                ? "<li>\(value)</li>" : "<li><\(element)>\(sign)\(value)</\(element)></li>"
        }
        let shown: HTML = rows.isEmpty ? "<li class=\"dim\">nothing</li>" : "\(rows)"
        return "<div><small>\(label)</small><ul class=\"values\">\(shown)</ul></div>"
    }
}
