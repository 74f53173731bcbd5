// The chain as a table: what the server sent, and the anchor it leads to.

import TLSInspection
import Tooling

/// A report's chain in lines.
struct ChainTable {
    private static let nameWidth = 18...32

    let report: InspectionReport
    let paint: Painter

    init(_ report: InspectionReport, _ painter: Painter) {
        self.report = report
        paint = painter
    }

    /// The lines, none without a certificate.
    var lines: [String] {
        guard let leaf = report.chain.first else { return [] }
        var rows = report.chain.map { row($0, $0.hash) }
        if let verify = report.verify, let anchor = verify.anchor {
            rows.append(row(anchor, verify.anchors == .given ? "(in --ca)" : "(system)"))
        }
        let width = min(
            max(rows.map(\.name.count).max() ?? 0, Self.nameWidth.lowerBound),
            Self.nameWidth.upperBound
        )
        let title = "Chain".padded(to: width + 3) + "  " + "".padded(to: 21)
        var lines = [
            "  " + paint(title + "valid until".padded(to: 12) + "left".paddedLeft(to: 9), .dim)
        ]
        for (place, row) in rows.enumerated() {
            lines.append(row.line(place, nameWidth: width, paint))
            if place == 0, let match { lines.append(match) }
        }
        return lines + [fingerprints(of: leaf)]
    }

    private var match: String? {
        guard let verify = report.verify, let name = verify.name, let leaf = report.chain.first
        else {
            return nil
        }
        guard let matched = verify.nameMatch else {
            return "     " + paint("└ not for \(Printable.text(name))", .red)
        }
        let names = leaf.san.dns + leaf.san.ip
        let place = names.firstIndex(of: matched).map { " (SAN \($0 + 1) of \(names.count))" }
        let text = "└ name matches \(Printable.text(matched))" + (place ?? "")
        return "     " + paint(text, .green)
    }

    private func fingerprints(of leaf: CertificateReport) -> String {
        let digest = leaf.sha256.prefix(8) + " " + leaf.sha256.dropFirst(8).prefix(8) + "…"
        let verdict =
            switch report.verify {
            case let verify? where verify.trusted: paint("trusted", .green)
            case let verify?: paint(Printable.text(verify.error?.text ?? "not trusted"), .red)
            case nil: ""
            }
        return "  "
            + paint("sha256 \(digest)  spki \(leaf.spkiSHA256.prefix(12))…".padded(to: 52), .dim)
            + verdict
    }

    private struct Row {
        var name: String
        var key: String
        var hash: String
        var until: String
        var daysLeft: Int

        func line(_ place: Int, nameWidth: Int, _ paint: Painter) -> String {
            let style: Painter.Style? = daysLeft < 0 ? .red : daysLeft < 30 ? .yellow : nil
            return "  \(place)  \(name.shortened(to: nameWidth).padded(to: nameWidth))  "
                + key.padded(to: 10) + " " + hash.padded(to: 10) + until.padded(to: 12)
                + paint(Spans.days(daysLeft).paddedLeft(to: 9), style)
        }
    }

    private func row(_ certificate: CertificateReport, _ hash: String) -> Row {
        let names = certificate.san.dns + certificate.san.ip
        let shown =
            certificate.position == .leaf && !names.isEmpty
            ? names.joined(separator: " ") : certificate.name
        let key = certificate.key
        return Row(
            name: Printable.text(shown),
            key: [key.type, key.curve ?? (key.type.hasPrefix("ED") ? nil : "\(key.bits)")]
                .compactMap(\.self).joined(separator: " "),
            hash: hash,
            until: String(certificate.notAfter.prefix(10)),
            daysLeft: certificate.daysLeft
        )
    }
}

extension CertificateReport {
    /// The hash of the signature, or its whole name where none is in it.
    fileprivate var hash: String {
        signature.split(separator: "-").last.map(String.init) ?? signature
    }
}
