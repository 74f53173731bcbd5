// What values of reports are called, in terminals and on pages alike.

extension InspectionReport.Outcome {
    /// The outcome in a few words.
    package var words: String {
        switch self {
        case .ok: "ok"
        case .untrusted: "not trusted"
        case .nameMismatch: "wrong name"
        case .unresolved: "name not found"
        case .refused: "connection refused"
        case .unreachable: "unreachable"
        case .connectionFailed: "no connection"
        case .timeout: "no answer in time"
        case .alert: "alert"
        case .notTLS: "not TLS"
        case .closed: "closed during the handshake"
        case .starttlsRefused: "STARTTLS refused"
        case .handshakeFailed: "handshake failed"
        case .invalid: "invalid"
        case .internalError: "a bug"
        }
    }
}

extension InspectionReport {
    /// What the probe came to, in a few words.
    package var verdict: String {
        switch result {
        case .ok: ["ok", tally].compactMap(\.self).joined(separator: ", ")
        case .timeout where exit == .noConnection: "no connection in time"
        case .alert: error?.alert.map { "alert \($0.number) \($0.name)" } ?? result.words
        default: result.words
        }
    }

    private var tally: String? {
        let words: [(Severity, String)] = [(.bad, "bad"), (.warn, "warning"), (.note, "note")]
        let counts = words.compactMap { severity, word -> String? in
            let count = findings.filter { $0.severity == severity }.count
            guard count > 0 else { return nil }
            return "\(count) \(word)" + (count == 1 || severity == .bad ? "" : "s")
        }
        return counts.isEmpty ? nil : counts.joined(separator: ", ")
    }
}

extension InspectionReport.Target {
    /// Where the connection went: address and port, and the protocol that TLS was started from.
    package var place: String {
        let host = address ?? name
        return (host.contains(":") ? "[\(host)]" : host) + ":\(port)"
            + (starttls.map { "/\($0)" } ?? "")
    }
}

extension MatrixReport.Cell {
    /// The cell in few characters.
    package var words: String {
        if let alert { return "alert \(alert.number)" }
        if imposed { return "\(Printable.text(chosen ?? "own")) imposed" }
        if result.isHandshake { return chosen.map(Printable.text) ?? "-" }
        return result.words
    }
}

extension ScanReport.NoOverlap {
    /// What a server does without a protocol in common, in words.
    package var words: String {
        switch self {
        case .refuses: "refused with alert 120"
        case .ignores: "goes on without a protocol"
        case .imposes: "chooses one that was not offered"
        case .unclear: "neither refused nor taken as it should be"
        }
    }
}

extension ScanReport.Preference {
    /// Who decides, in words.
    package var words: String {
        switch self {
        case .server: "server's order"
        case .client: "client's order"
        case .mixed: "order depends"
        }
    }
}

/// Spans of time in few characters.
package enum Spans {
    /// Milliseconds with one decimal: `0.3 ms`.
    package static func milliseconds(_ value: Double) -> String {
        "\((value * 10).rounded() / 10) ms"
    }

    /// Seconds in the largest unit that leaves at least two: `300 s`, `2 h`, `7 days`.
    package static func seconds(_ value: Int) -> String {
        for (unit, size) in [("days", 86400), ("h", 3600), ("min", 60)] where value >= 2 * size {
            return "\(value / size) \(unit)"
        }
        return "\(value) s"
    }

    /// Days in days, or in years from two on.
    package static func days(_ value: Int) -> String {
        if value < 0 { return "expired" }
        if value >= 730 { return "\(value / 365) years" }
        return value == 1 ? "1 day" : "\(value) days"
    }
}
