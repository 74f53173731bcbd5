// What logs and spans say of connections: names and values, by OpenTelemetry's semantic conventions where
// those have a name for it. No secrets, no data of the connection, no certificates; what a peer wrote
// (a servername) is shortened and freed of characters that would make lines of their own.

package import Sockets

/// A fact's value.
package enum ObservedValue: Hashable, Sendable {
    case text(String)
    case number(Int)
    case truth(Bool)
}

/// Facts by name.
package struct ObservedFacts: Hashable, Sendable {
    /// The facts.
    package private(set) var values: [String: ObservedValue] = [:]

    package init() {}

    package subscript(_ name: String) -> ObservedValue? { values[name] }

    package mutating func add(_ name: String, _ text: String?) {
        if let text { values[name] = .text(text) }
    }

    package mutating func add(_ name: String, _ number: Int) { values[name] = .number(number) }

    package mutating func add(_ name: String, _ truth: Bool) { values[name] = .truth(truth) }

    package mutating func add(_ name: String, _ count: UInt64) {
        values[name] = .number(Int(clamping: count))
    }

    // MARK: What is known of things

    /// The other side.
    package mutating func add(peer: SocketAddress?) {
        guard let peer else { return }
        add("network.peer.address", peer.address)
        if peer.port > 0 { add("network.peer.port", Int(peer.port)) }
        let isLocal = peer.address.hasPrefix("unix:") || peer.address.isEmpty
        add("network.transport", isLocal ? "unix" : "tcp")
    }

    /// What a handshake came to.
    package mutating func add(_ report: HandshakeReport) {
        add("tls.established", report.isComplete)
        if let version = report.version {
            add("tls.protocol.name", "tls")
            add("tls.protocol.version", version.number)
        }
        add("tls.cipher", report.cipherSuite?.standardName)
        add("tls.curve", report.group?.description)
        add("tls.client.server_name", report.servername.map(ObservedFacts.printable))
        add("tls.next_protocol", report.alpn.map(ObservedFacts.printable))
        if report.isComplete { add("tls.resumed", report.isResumed) }
    }

    /// What went wrong.
    package mutating func add(_ error: SocketError) {
        add("error.type", error.tls.map { "\($0.code)" } ?? error.code.rawValue)
        add("sockets.error.category", error.category.rawValue)
        add("sockets.error.phase", error.phase?.rawValue)
        add("sockets.error.hint", error.hint)
        if let verification = error.tls?.verification {
            add("tls.verification.code", "\(verification.code)")
            add("tls.verification.depth", verification.depth)
        }
        if let alert = error.tls?.alert { add("tls.alert.received", alert.name) }
        if let report = error.report { add(report) }
    }

    /// What became of a connection.
    package mutating func add(_ summary: ConnectionSummary) {
        add("sockets.bytes.sent", summary.stats.bytesSent)
        add("sockets.bytes.received", summary.stats.bytesReceived)
        add("sockets.close.reason", summary.reason.kind)
        add("tls.alert.sent", summary.alertSent?.name)
        add("tls.alert.received", summary.alertReceived?.name)
        if let error = summary.reason.error { add(error) }
    }

    /// The most characters of a text that a peer wrote.
    static let textMax = 255

    /// A peer's text as one line: ASCII that prints, and escapes for everything else.
    package static func printable(_ text: String) -> String {
        var printable = ""
        for scalar in text.unicodeScalars.prefix(textMax) {
            let isPlain = scalar.isASCII && scalar.value >= 0x20 && scalar.value != 0x7f
            printable += isPlain ? String(scalar) : scalar.escaped(asASCII: true)
        }
        return printable
    }
}

extension ProtocolVersion {
    /// As the conventions have it: `1.3`.
    fileprivate var number: String {
        switch self {
        case .tls12: "1.2"
        case .tls13: "1.3"
        default: description
        }
    }
}

extension CloseReason {
    /// The reason in one word, of a small set.
    package var kind: String {
        switch self {
        case .clean: "clean"
        case .truncated: "truncated"
        case .reset: "reset"
        case .aborted: "aborted"
        case .timedOut: "timed_out"
        case .failed: "failed"
        }
    }
}

extension String {
    /// The name of a case, in lower case with underscores, of what its value prints: `ticketSent` and
    /// `ticketSent(1)` give `ticket_sent`.
    package var caseName: String {
        var name = ""
        for character in prefix(while: { $0 != "(" }) {
            if character.isUppercase, !name.isEmpty { name += "_" }
            name += character.lowercased()
        }
        return name
    }
}
