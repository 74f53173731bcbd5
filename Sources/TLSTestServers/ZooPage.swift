// The zoo's pages: self-contained HTML that reads well on a phone, in light and in dark.

import TLSEngine
import TLSTestKit

/// The pages of a zoo.
enum ZooPage {
    /// What hosts there are, and how to get to them.
    static func index(_ hosts: [CertificateZoo.Host], _ authority: TestCA) -> String {
        let certificates = hosts.filter {
            if case .certificate = $0.resident { true } else { false }
        }
        let transports = hosts.filter { if case .transport = $0.resident { true } else { false } }
        let body = """
            <h1>TLS zoo</h1>
            <p>Every host below has something amiss on purpose. A sound client refuses what is marked \
            <span class="bad">refused</span> and bears what is marked \
            <span class="good">accepted</span>.</p>
            <pre>curl --connect-to ::127.0.0.1:PORT --cacert root.pem \\
                https://expired.\(CertificateZoo.domain)/</pre>
            <h2>Certificates <small>\(certificates.count)</small></h2>
            <ul>\(certificates.map(row).joined(separator: "\n"))</ul>
            <h2>Servers that misbehave <small>\(transports.count)</small></h2>
            <ul>\(transports.map(row).joined(separator: "\n"))</ul>
            """
        return page("TLS zoo", body)
    }

    /// What a client sees that should perhaps not have come here.
    static func page(of fault: CertificateFault, at name: String) -> String {
        let isAccepted = fault.verdict == .accepted
        let body = """
            <h1>\(escaped(name))</h1>
            <p class="lead">\(escaped(fault.summary))</p>
            <p>\(isAccepted
                ? "This certificate is odd and legal: a client may come here."
                : "A client that shows this page did not refuse the certificate. It should have:")</p>
            <p><code class="\(isAccepted ? "good" : "bad")">\(escaped("\(fault.verdict)"))</code></p>
            <p><a href="https://\(CertificateZoo.domain)/">All hosts</a></p>
            """
        return page(name, body)
    }

    private static func row(_ host: CertificateZoo.Host) -> String {
        let (summary, verdict, isGood) =
            switch host.resident {
            case .certificate(let fault):
                (fault.summary, "\(fault.verdict)", fault.verdict == .accepted)
            case .transport(let fault):
                (
                    fault.summary,
                    "\(fault.verdict(in: fault.versions.last ?? .tls13))",
                    fault.verdict(in: fault.versions.last ?? .tls13) == .accepted
                )
            }
        let name = escaped(host.isReachable ? host.target : host.name)
        let title =
            host.isReachable
            ? "<a href=\"https://\(name)/\">\(name)</a>" : "<span>\(name)</span>"
        return """
            <li><b>\(title)</b> <code class="\(isGood ? "good" : "bad")">\(escaped(verdict))</code>\
            <br>\(escaped(summary))</li>
            """
    }

    private static func page(_ title: String, _ body: String) -> String {
        """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>\(escaped(title))</title>
        <style>
        :root { --ink: #1b1f24; --dim: #5b6570; --line: #dfe3e8; --card: #ffffff; --back: #f5f6f8;
          --good: #0a6b3d; --bad: #a8201a; --link: #0b57a4 }
        @media (prefers-color-scheme: dark) { :root { --ink: #e7eaee; --dim: #9aa5b1;
          --line: #2c333b; --card: #1a1f25; --back: #111418; --good: #5fd198; --bad: #ff8a80;
          --link: #8ab8ff } }
        * { box-sizing: border-box }
        body { margin: 0 auto; max-width: 46rem; padding: 1.25rem 1rem 3rem; color: var(--ink);
          background: var(--back); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
        h1 { font-size: 1.5rem; line-height: 1.2 } h2 { font-size: 1.1rem; margin-top: 2rem }
        small { color: var(--dim); font-weight: 400 } .lead { font-size: 1.15rem }
        a { color: var(--link) } ul { list-style: none; margin: 0; padding: 0 }
        li { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
          padding: .6rem .8rem; margin: .5rem 0 }
        code, pre { font: .85rem/1.5 ui-monospace, monospace } .good { color: var(--good) }
        pre { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
          padding: .8rem; overflow-x: auto } .bad { color: var(--bad) }
        </style>
        </head>
        <body>
        \(body)
        </body>
        </html>

        """
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            default: result.append(character)
            }
        }
        return result
    }
}
