// A ClientHello as a page: self-contained HTML that reads well on a phone, in light and in dark. Whatever
// a client said is escaped.

import TLSInspection

/// The page of one client.
struct HelloPage {
    let report: HelloReport

    init(_ report: HelloReport) { self.report = report }

    /// The whole page.
    var text: String {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>Your ClientHello</title>
        <style>\(HelloPage.style)</style>
        </head>
        <body>
        <h1>Your ClientHello</h1>
        <p>This is what your program said when it began TLS with this server, in its own order. \
        <a href="/json">As JSON</a></p>
        \(agreed)
        <h2>Fingerprints</h2>
        <dl>\(row("JA4", code(report.ja4)))\(row("JA3", code(report.ja3 ?? "-")))\
        \(row("JA4 in full", code(report.ja4Raw)))\(row("JA3 in full", code(report.ja3Text)))</dl>
        \(offer)
        \(list("Extensions", report.extensions))
        \(list("Cipher suites", report.suites))
        \(list("Groups", report.groups))
        \(list("Key shares", report.keyShares))
        \(list("Signature schemes", report.signatures))
        \(list("Versions", report.versions))
        </body>
        </html>

        """
    }

    private var agreed: String {
        guard let agreed = report.negotiated else { return "" }
        let rows = [
            ("Version", agreed.version), ("Suite", agreed.suite), ("Group", agreed.group ?? "none"),
            ("ALPN", agreed.alpn ?? "none"),
            ("Session", agreed.resumed ? "resumed" : "new"),
            (
                "Hello", agreed.retried ? "sent twice, for another group" : "sent once"
            ),
        ]
        let items = rows.map { row($0.0, HelloPage.escaped($0.1)) }.joined()
        return "<h2>Agreed on</h2>\n<dl>\(items)</dl>"
    }

    private var offer: String {
        let alpn = report.alpn.isEmpty ? "none" : report.alpn.joined(separator: ", ")
        let rows = [
            ("Servername", report.sni ?? "none: an address was asked for, or none is sent"),
            ("ALPN", alpn), ("GREASE", report.grease ? "yes" : "no"),
            ("Size", "\(report.bytes) bytes"), ("Session id", "\(report.sessionIDBytes) bytes"),
            ("Old version field", report.legacyVersion.name),
        ]
        let items = rows.map { row($0.0, HelloPage.escaped($0.1)) }.joined()
        return "<h2>Offered</h2>\n<dl>\(items)</dl>"
    }

    private func row(_ name: String, _ value: String) -> String {
        "<div><dt>\(name)</dt><dd>\(value)</dd></div>"
    }

    private func code(_ text: String) -> String { "<code>\(HelloPage.escaped(text))</code>" }

    private func list(_ title: String, _ entries: [HelloReport.Entry]) -> String {
        guard !entries.isEmpty else { return "" }
        let items = entries.map { entry in
            let size = entry.bytes.map { " <small>\($0) B</small>" } ?? ""
            return "<li\(entry.grease ? " class=\"grease\"" : "")><code>\(entry.id)</code>"
                + "<span>\(HelloPage.escaped(entry.name))\(size)</span></li>"
        }
        return """
            <h2>\(title) <small>\(entries.count)</small></h2>
            <ol>\(items.joined(separator: "\n"))</ol>
            """
    }

    /// Text that is no markup and turns nothing around.
    static func escaped(_ text: String) -> String {
        var result = ""
        for character in Printable.text(text) {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.append(character)
            }
        }
        return result
    }

    private static let style = """
        :root { --ink: #1b1f24; --dim: #57606a; --line: #dfe3e8; --card: #ffffff; --back: #f5f6f8;
          --link: #0b57a4 }
        @media (prefers-color-scheme: dark) { :root { --ink: #e7eaee; --dim: #9aa5b1;
          --line: #2c333b; --card: #1a1f25; --back: #111418; --link: #8ab8ff } }
        * { box-sizing: border-box }
        body { margin: 0 auto; max-width: 60rem; padding: 1.25rem 1rem 3rem; color: var(--ink);
          background: var(--back); font: 1rem/1.5 system-ui, sans-serif }
        h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .5rem }
        h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem }
        p { margin: .4rem 0 } small { color: var(--dim); font-weight: 400 } a { color: var(--link) }
        dl, ol { margin: 0; padding: .2rem .9rem; list-style: none; background: var(--card);
          border: 1px solid var(--line); border-radius: .6rem }
        dl div, li { display: flex; gap: .3rem 1rem; padding: .35rem 0 }
        dl div { flex-wrap: wrap } dl div + div, li + li { border-top: 1px solid var(--line) }
        dt { flex: 0 0 9rem; color: var(--dim) }
        dd { flex: 1 1 14rem; margin: 0; min-width: 0; overflow-wrap: anywhere }
        li span { min-width: 0; overflow-wrap: anywhere } li code { color: var(--dim) }
        code { font: .85rem/1.7 ui-monospace, monospace } .grease span { color: var(--dim);
          font-style: italic }
        """
}
