// A ClientHello as a page: self-contained HTML that reads well on a phone, in light and in dark. Whatever
// a client said is escaped.

import TLSInspection

/// The page of one client.
struct HelloPage {
    let report: HelloReport

    init(_ report: HelloReport) { self.report = report }

    /// The whole page.
    var text: String {
        PageFrame.page(
            "Your ClientHello",
            """
            <header>
            <p class="kind">tlsinspect serve</p>
            <h1>Your ClientHello</h1>
            <p>This is what your program said when it began TLS with this server, in its own order. \
            <a href="/json">As JSON</a></p>
            </header>
            <main>
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
            </main>
            """
        )
    }

    private var agreed: HTML {
        guard let agreed = report.negotiated else { return "" }
        let rows = [
            ("Version", agreed.version), ("Suite", agreed.suite), ("Group", agreed.group ?? "none"),
            ("ALPN", agreed.alpn ?? "none"),
            ("Session", agreed.resumed ? "resumed" : "new"),
            (
                "Hello", agreed.retried ? "sent twice, for another group" : "sent once"
            ),
        ]
        let items = rows.map { row($0.0, HTML(escaping: $0.1)) }
        return "<h2>Agreed on</h2>\n<dl>\(items)</dl>"
    }

    private var offer: HTML {
        let alpn = report.alpn.isEmpty ? "none" : report.alpn.joined(separator: ", ")
        let rows = [
            ("Servername", report.sni ?? "none: an address was asked for, or none is sent"),
            ("ALPN", alpn), ("GREASE", report.grease ? "yes" : "no"),
            ("Size", "\(report.bytes) bytes"), ("Session id", "\(report.sessionIDBytes) bytes"),
            ("Old version field", report.legacyVersion.name),
        ]
        let items = rows.map { row($0.0, HTML(escaping: $0.1)) }
        return "<h2>Offered</h2>\n<dl>\(items)</dl>"
    }

    private func row(_ name: String, _ value: HTML) -> HTML {
        "<div><dt>\(name)</dt><dd>\(value)</dd></div>"
    }

    private func code(_ text: String) -> HTML { "<code>\(text)</code>" }

    private func list(_ title: String, _ entries: [HelloReport.Entry]) -> HTML {
        guard !entries.isEmpty else { return "" }
        let items = entries.map { entry -> HTML in
            let size: HTML? = entry.bytes.map { " <small>\($0) B</small>" }
            return """
                <li\(entry.grease ? " class=\"grease\"" as HTML : "")><code>\(entry.id)</code>\
                <span>\(entry.name)\(size)</span></li>
                """
        }
        return """
            <h2>\(title) <small>\(entries.count)</small></h2>
            <ol>\(items.joined(by: "\n"))</ol>
            """
    }
}
