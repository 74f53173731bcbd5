// What a code means, in plain words, and what is usually behind it. A text may be several codes - 10 is
// an alert and a verdict of X.509 - and all of them are told.

import Sockets

/// What a code means.
public struct Explanation: Codable, Hashable, Sendable {
    /// What kind of code it is.
    public enum Kind: String, CaseIterable, Codable, Hashable, Sendable {
        /// An alert of TLS (RFC 8446 §6).
        case alert
        /// A verdict on a certificate, OpenSSL's number or one of this package from 1000 on.
        case certificate
        /// A reason of OpenSSL.
        case openssl
        /// A finding of this tool.
        case finding
        /// An exit code of this tool.
        case exit
        /// What a report of this tool comes to.
        case result
    }

    /// What kind of code it is.
    public var kind: Kind
    /// The number; nil for what has none.
    @EncodesNull public var number: Int?
    /// The name.
    public var name: String
    /// What it means.
    public var meaning: String
    /// What is usually behind it, the most frequent first.
    public var causes: [String]

    /// Makes an explanation.
    init(_ kind: Kind, _ number: Int?, _ name: String, _ meaning: String, _ causes: [String] = []) {
        self.kind = kind
        self.number = number
        self.name = name
        self.meaning = meaning
        self.causes = causes
    }

    /// All that can be explained.
    public static let all: [Explanation] =
        alerts + certificates + openssl + findings + exits + results

    /// What a text may mean.
    ///
    /// - Parameter code: A number; a name; either behind a kind, as in `alert 112` or `exit 5`; an error
    ///   line of OpenSSL, such as `error:0A000086:SSL routines::certificate verify failed`.
    /// - Returns: All that it may mean; nothing when nobody knows.
    public static func of(_ code: String) -> [Explanation] {
        var text = normal(code)
        var kinds = Set(Kind.allCases)
        for (word, kind) in prefixes where text.hasPrefix(word + " ") {
            kinds = [kind]
            text = String(text.dropFirst(word.count + 1))
            break
        }
        let candidates = all.filter { kinds.contains($0.kind) }
        if let number = Int(text) { return candidates.filter { $0.number == number } }
        let exact = candidates.filter { normal($0.name) == text }
        if !exact.isEmpty { return exact }
        // An error line holds the reason somewhere, behind a number of eight digits.
        if let reason = opensslReason(in: text) { return candidates.filter { $0 == reason } }
        return candidates.filter {
            text.count > 5 && text.contains(normal($0.name)) && $0.name.count > 5
        }
    }

    private static let prefixes: [(String, Kind)] = [
        ("tls alert", .alert), ("alert number", .alert), ("alert", .alert),
        ("x509 v err", .certificate), ("x509 v", .certificate), ("x509", .certificate),
        ("verify error", .certificate),
        ("verify", .certificate), ("openssl", .openssl), ("finding", .finding),
        ("exit code", .exit), ("exit", .exit), ("result", .result),
    ]

    /// Lower case, with a space for each run of what is neither letter nor digit.
    private static func normal(_ text: String) -> String {
        text.lowercased().split { !$0.isLetter && !$0.isNumber }.joined(separator: " ")
    }

    /// The reason of an error line, by the number in it or by its words.
    private static func opensslReason(in text: String) -> Explanation? {
        for word in text.split(separator: " ") where word.count == 8 {
            // OpenSSL 3 packs library and reason: 20 << 23 | reason.
            guard let code = UInt32(word, radix: 16), code >> 23 == 20 else { continue }
            let number = Int(code & 0x7fffff)
            // From 1000 on the reasons are alerts that the peer sent.
            if number >= 1000 { return alerts.first { $0.number == number - 1000 } }
            return openssl.first { $0.number == number }
        }
        guard text.hasPrefix("error ") || text.contains("ssl routines") else { return nil }
        return openssl.filter { text.contains(normal($0.name)) }.max {
            $0.name.count < $1.name.count
        }
    }
}
