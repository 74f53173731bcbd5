// A certificate in full, folded away until somebody wants to know.

/// Certificates on pages.
enum CertificateParts {
    /// A certificate that unfolds.
    ///
    /// - Parameters:
    ///   - certificate: The certificate.
    ///   - mark: What stands in front of its name, markup.
    /// - Returns: The folded certificate.
    static func details(_ certificate: CertificateReport, _ mark: HTML = "") -> HTML {
        let key = certificate.key
        let days =
            certificate.daysLeft < 0
            ? "expired \(Spans.days(-certificate.daysLeft)) ago"
            : Spans.days(certificate.daysLeft) + " left"
        let san = certificate.san.dns + certificate.san.ip
        let rows: [(String, HTML)] = [
            ("Names", san.isEmpty ? "none" : PageParts.chips(san)),
            ("Subject", "\(certificate.subject)"), ("Issuer", "\(certificate.issuer)"),
            ("Serial", PageParts.code(certificate.serial)),
            ("Valid from", "\(certificate.notBefore)"), ("Valid until", "\(certificate.notAfter)"),
            ("Key", "\(certificate.keyWords), \(key.bits) bits"),
            ("Signature", "\(certificate.signature)"),
            ("SHA-256", PageParts.code(certificate.sha256)),
            ("Key's pin", PageParts.code(certificate.spkiSHA256)),
        ]
        let lines = certificate.pem.split(whereSeparator: \.isNewline).map { line -> HTML in
            "\(line)"
        }
        return """
            <details class="card"><summary>\(mark)\(certificate.names[0]) \
            <small>\(certificate.position.rawValue), \(days)</small></summary>
            \(PageParts.facts(rows))
            <pre>\(lines.joined(by: "\n"))</pre></details>

            """
    }
}
