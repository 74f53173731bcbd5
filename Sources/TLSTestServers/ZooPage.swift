// The zoo's pages: self-contained HTML that reads well on a phone, in light and in dark.

import Sockets
import TLSEngine
import TLSTestKit

/// The pages of a zoo.
enum ZooPage {
    /// Where the index has the root certificate in PEM.
    static let rootTarget = "/root.pem"

    /// What hosts there are, and how to get to them.
    ///
    /// - Parameters:
    ///   - hosts: All of them.
    ///   - address: Where the zoo listens.
    /// - Returns: The page.
    static func index(_ hosts: [CertificateZoo.Host], at address: SocketAddress) -> String {
        let certificates = hosts.filter {
            if case .certificate = $0.resident { true } else { false }
        }
        let transports = hosts.filter { if case .transport = $0.resident { true } else { false } }
        let place = escaped("\(address)")
        let domain = CertificateZoo.domain
        let body = """
            <h1>TLS zoo</h1>
            <p>Every host below has something amiss on purpose. A sound client refuses what is marked \
            <span class="bad">refuse</span> and bears what is marked \
            <span class="good">accept</span>. No name needs an entry in <code>/etc/hosts</code>:</p>
            <pre>curl --connect-to ::\(place) --cacert root.pem https://expired.\(domain)/
            chromium --host-resolver-rules="MAP *.test \(place)" https://\(domain)/</pre>
            <p>Trust <a href="\(rootTarget)" download>root.pem</a> for as long as you test: who has \
            its key, in the memory of this zoo, can pretend to be anybody.</p>
            <nav><a href="#certificates">Certificates</a> <a href="#servers">Servers</a></nav>
            <h2 id="certificates">Certificates <small>\(certificates.count)</small></h2>
            <ul>\(certificates.map(row).joined(separator: "\n"))</ul>
            <h2 id="servers">Servers that misbehave <small>\(transports.count)</small></h2>
            <ul>\(transports.map(row).joined(separator: "\n"))</ul>
            """
        return page("TLS zoo", body)
    }

    /// What a client sees that should perhaps not have come here.
    static func page(of fault: CertificateFault, at name: String) -> String {
        let isAccepted = fault.verdict == .accepted
        let body = """
            <h1>\(escaped(name))</h1>
            <p class="lead">\(escaped(sentence(fault.summary))).</p>
            <p>\(isAccepted
                ? "This certificate is odd and legal: a client may come here."
                : "A client that shows this page did not refuse the certificate. It should have:")</p>
            <p>\(mark(escaped("\(fault.verdict)"), isAccepted))</p>
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
            ? "<a href=\"https://\(name)/\">\(breakable(name))</a>"
            : "<span>\(breakable(name))</span> <small>not reachable by a servername and this root</small>"
        return """
            <li>\(mark(isGood ? "accept" : "refuse", isGood))<div><b>\(title)</b>\
            <p>\(escaped(sentence(summary)))\
            \(isGood ? "" : " <small>\(escaped(verdict))</small>")</p></div></li>
            """
    }

    private static func mark(_ text: String, _ isGood: Bool) -> String {
        "<span class=\"mark \(isGood ? "good" : "bad")\">\(text)</span>"
    }

    /// The text with a capital in front.
    private static func sentence(_ text: String) -> String {
        text.prefix(1).uppercased() + text.dropFirst()
    }

    /// A host name that breaks behind its hyphens and dots alone.
    private static func breakable(_ name: String) -> String {
        name.replacing("-", with: "-<wbr>").replacing(".", with: ".<wbr>")
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
        :root { --ink: #1b1f24; --dim: #57606a; --line: #dfe3e8; --card: #ffffff; --back: #f5f6f8;
          --good: #0a6b3d; --bad: #a8201a; --link: #0b57a4 }
        @media (prefers-color-scheme: dark) { :root { --ink: #e7eaee; --dim: #9aa5b1;
          --line: #2c333b; --card: #1a1f25; --back: #111418; --good: #5fd198; --bad: #ff8a80;
          --link: #8ab8ff } }
        * { box-sizing: border-box }
        body { margin: 0 auto; max-width: 60rem; padding: 1.25rem 1rem 3rem; color: var(--ink);
          background: var(--back); font: 1rem/1.5 system-ui, sans-serif }
        h1 { font-size: 1.6rem; line-height: 1.2; overflow-wrap: anywhere }
        h2 { font-size: 1.2rem; margin: 2rem 0 .5rem }
        p { margin: .6rem 0; max-width: 44rem } small { color: var(--dim); font-weight: 400 }
        a { color: var(--link) } nav a { margin-right: 1rem } .lead { font-size: 1.15rem }
        ul { list-style: none; margin: 0; padding: 0 .9rem; background: var(--card);
          border: 1px solid var(--line); border-radius: .6rem }
        li { display: flex; gap: .9rem; padding: .6rem 0 } li + li { border-top: 1px solid var(--line) }
        li div { min-width: 0 } li b { font-weight: 600 } li p { margin: .1rem 0 0 }
        li small { display: block }
        code, pre { font: .85rem/1.6 ui-monospace, monospace }
        pre { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
          padding: .8rem .9rem; overflow-x: auto }
        @media (min-width: 50rem) { li div { display: grid; flex: 1; gap: 1.5rem;
          grid-template-columns: 21rem 1fr } }
        .good { color: var(--good) } .bad { color: var(--bad) }
        .mark { flex: none; align-self: flex-start; min-width: 4.2rem; margin-top: .2rem;
          padding: 0 .5rem; border: 1px solid; border-radius: 1rem; font-size: .8rem;
          text-align: center }
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
