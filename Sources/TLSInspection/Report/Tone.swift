// How good or bad something is, in colour, by a sign, and in words: never by colour alone.

/// How good or bad something is.
enum Tone: String, Hashable, Sendable {
    case ok, note, warn, bad, plain

    /// What stands for the colour where there is none.
    var sign: String {
        switch self {
        case .ok: "✓"
        case .note: "i"
        case .warn: "!"
        case .bad: "✗"
        case .plain: "–"
        }
    }

    /// A word or two in the colour, behind the sign.
    func badge(_ words: String) -> HTML {
        """
        <span class="badge \(rawValue)"><span class="sign" aria-hidden="true">\(sign)</span>\
        \(words)</span>
        """
    }
}

extension Severity {
    var tone: Tone {
        switch self {
        case .info: .plain
        case .note: .note
        case .warn: .warn
        case .bad: .bad
        }
    }
}

extension ExitStatus {
    /// The tone of a run that ended so.
    func tone(_ findings: [Finding]) -> Tone {
        guard self == .clean || self == .findings else { return .bad }
        switch findings.map(\.severity).max() {
        case .bad: return .bad
        case .warn: return .warn
        case .note, .info, nil: return self == .clean ? .ok : .warn
        }
    }
}

extension CertificateReport {
    /// The tone of its end.
    var lifeTone: Tone {
        daysLeft < 0 ? .bad : daysLeft < FindingLimits.expiresSoonDays ? .warn : .ok
    }

    /// The names it is for, or what it is called where it has none.
    var names: [String] {
        let names = san.dns + san.ip
        return names.isEmpty ? [name] : names
    }

    /// The key in few characters, for example `EC P-256` or `RSA 2048`.
    var keyWords: String {
        key.type + (key.curve.map { " \($0)" } ?? (key.type.hasPrefix("ED") ? "" : " \(key.bits)"))
    }
}
