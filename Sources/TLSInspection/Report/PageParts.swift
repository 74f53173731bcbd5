// The pieces that pages are put together from: sections, lists of facts, tables in boxes of their own,
// pieces of code. All but what is named markup is text, and escaped.

/// Pieces of pages.
enum PageParts {
    /// A section; nothing without contents.
    static func section(_ title: String, _ contents: HTML) -> HTML {
        contents.isEmpty ? "" : "<section>\n<h2>\(title)</h2>\n\(contents)\n</section>\n"
    }

    /// Facts: a label and its value, which is markup.
    static func facts(_ rows: [(label: String, value: HTML)]) -> HTML {
        guard !rows.isEmpty else { return "" }
        let items = rows.map { row -> HTML in
            "<div><dt>\(row.label)</dt><dd>\(row.value)</dd></div>"
        }
        return "<dl>\n\(items.joined(by: "\n"))\n</dl>"
    }

    /// A text as a value.
    static func text(_ value: String) -> HTML { HTML(escaping: value) }

    /// A text that is code.
    static func code(_ value: some StringProtocol) -> HTML { "<code>\(value)</code>" }

    /// Texts side by side, each in a direction of its own.
    static func chips(_ values: [String]) -> HTML {
        let items = values.map { value -> HTML in "<li>\(value)</li>" }
        return items.isEmpty ? "" : "<ul class=\"chips\">\(items.joined(by: " "))</ul>"
    }

    /// A table that scrolls in its own box when the page is narrower.
    ///
    /// - Parameters:
    ///   - name: What it is called, for those who hear it.
    ///   - heads: The heads of its columns.
    ///   - rows: Its rows; the first cell of each is the head of the row.
    /// - Returns: The table; nothing without rows.
    static func table(_ name: String, _ heads: [String], _ rows: [[HTML]]) -> HTML {
        guard !rows.isEmpty else { return "" }
        let top = heads.map { head -> HTML in "<th scope=\"col\">\(head)</th>" }
        let body = rows.map { cells -> HTML in
            let rest = cells.dropFirst().map { cell -> HTML in "<td>\(cell)</td>" }
            return "<tr><th scope=\"row\">\(cells.first)</th>\(rest)</tr>"
        }
        return """
            <div class="scroll" role="region" aria-label="\(name)" tabindex="0">
            <table>
            <thead><tr>\(top)</tr></thead>
            <tbody>
            \(body.joined(by: "\n"))
            </tbody>
            </table>
            </div>
            """
    }
}
