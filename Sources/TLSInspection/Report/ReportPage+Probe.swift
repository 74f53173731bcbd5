// The page of one handshake.

extension ReportPage {
    /// Makes the page of a probe.
    ///
    /// - Parameters:
    ///   - report: What the probe found out.
    ///   - origin: How it came to be.
    public init(_ report: InspectionReport, _ origin: Origin) {
        let facts = ProbeFacts(report)
        let timeline = TimelinePicture(report).markup
        let left = PageParts.facts(facts.rows)
        let chain: HTML = """
            \(ChainPicture(report, at: origin.time).markup)
            \(report.verify?.error.map(FindingParts.verdict))
            """
        let certificates =
            report.chain.map { CertificateParts.details($0) }
            + [report.verify?.anchor.map { CertificateParts.details($0) } ?? ""]
        self.init(
            Contents(
                kind: "tlsinspect \(report.command)",
                title: report.target?.name ?? "nothing",
                place: report.target?.place ?? "",
                tone: report.result == .ok ? report.exit.tone(report.findings) : .bad,
                verdict: report.verdict,
                exit: report.exit,
                sections: [
                    FindingParts.section(report.error, report.result),
                    report.chain.isEmpty ? "" : PageParts.section("Certificate chain", chain),
                    PageParts.section(
                        "Handshake",
                        left.isEmpty && timeline.isEmpty
                            ? "" : "<div class=\"two\">\(left)\n\(timeline)</div>"
                    ),
                    FindingParts.section(report.findings),
                    PageParts.section("Certificates in full", "\(certificates)"),
                ]
            ),
            origin
        )
    }
}

/// The facts of a probe.
struct ProbeFacts {
    private let report: InspectionReport

    /// Takes them out of a report.
    init(_ report: InspectionReport) { self.report = report }

    /// A label and a value each.
    var rows: [(String, HTML)] { negotiated + offered + rest }

    private var negotiated: [(String, HTML)] {
        guard let agreed = report.negotiated else { return [] }
        let name = agreed.servernameAccepted.map {
            $0 ? "acknowledged" : "not acknowledged"
        }
        return [
            ("Version", "\(agreed.version.replacing("TLS", with: "TLS "))"),
            ("Suite", "\(agreed.suite.name) <small>\(agreed.suite.id)</small>"),
            ("Group", "\(agreed.group?.name ?? "none") <small>\(agreed.group?.id ?? "")</small>"),
            ("Signature", "\(agreed.signature ?? "none")"),
            ("ALPN", "\(agreed.alpn ?? "none") <small>\(alpnOffer)</small>"),
            ("Servername", "\(report.sent?.sni ?? "none sent") <small>\(name ?? "")</small>"),
        ]
    }

    private var alpnOffer: String {
        guard let alpn = report.sent?.alpn, !alpn.isEmpty else { return "none offered" }
        return "offered " + alpn.joined(separator: ", ")
    }

    private var offered: [(String, HTML)] {
        guard report.negotiated == nil, let sent = report.sent else { return [] }
        return [
            ("Offered", "\(sent.versions.joined(separator: ", "))"),
            ("ALPN", "\(sent.alpn.isEmpty ? "none" : sent.alpn.joined(separator: ", "))"),
            ("Servername", "\(sent.sni ?? "none")"),
        ]
    }

    private var rest: [(String, HTML)] {
        var rows: [(String, HTML)] = []
        if let session = report.session {
            rows.append(("Resumption", "\(words(session))"))
            rows.append(("OCSP staple", "\(report.ocspStaple.map { "\($0.bytes) B" } ?? "none")"))
        }
        if let asked = report.clientCertificate, asked.requested {
            rows.append(("Client cert", "asked for, \(asked.sent ? "sent" : "none sent")"))
        }
        if let traffic = report.traffic, traffic.flights > 0 {
            let bytes = "\(traffic.bytesSent) B sent, \(traffic.bytesReceived) B received"
            rows.append(("Traffic", "\(traffic.flights) flights, \(bytes)"))
        }
        return rows
    }

    private func words(_ session: InspectionReport.Session) -> String {
        guard let first = session.tickets.first else { return "no tickets" }
        let count = session.tickets.count
        let early = session.tickets.contains { $0.earlyData > 0 }
        return "\(count) ticket" + (count == 1 ? "" : "s")
            + ", lifetime \(Spans.seconds(first.lifetime))"
            + (early ? ", 0-RTT offered" : ", 0-RTT not offered")
    }
}
