// What is told of one connection, and of all of them: the values that become text or JSON.

import Sockets

/// What came of one connection.
public struct HelloRecord: Codable, Hashable, Sendable {
    /// What its beginning was.
    public enum Outcome: String, CaseIterable, Codable, Hashable, Sendable {
        /// A ClientHello.
        case tls
        /// Something else.
        case notTLS = "not_tls"
        /// What begins like a ClientHello and is none.
        case malformed
        /// A ClientHello that does not fit into the limit.
        case tooLarge = "too_large"
        /// Less than a ClientHello, and then the end.
        case closed
        /// Less than a ClientHello until the time was over.
        case timeout
    }

    /// The most values of a list that are kept: a hello has room for thousands.
    static let valuesMax = 64

    /// The shape of this object.
    public var schema = "tlsinspect/1"
    /// The command.
    public var command = "listen"
    /// Which of the command's objects this is.
    public var event = "connection"
    /// When it began, in UTC with milliseconds; nil when that is not known.
    @EncodesNull public var time: String?
    /// Who connected.
    public var remote: String
    /// What its beginning was.
    public var result: Outcome
    /// The servername.
    @EncodesNull public var sni: String? = nil
    /// The protocols that are offered, in order; the first 64.
    public var alpn: [String] = []
    /// The versions that are offered, in order; the first 64.
    public var versions: [String] = []
    /// The groups that are offered, in order; the first 64.
    public var groups: [String] = []
    /// How many suites are offered, without GREASE.
    public var suites = 0
    /// How many extensions there are, without GREASE.
    public var extensions = 0
    /// Whether there is GREASE.
    public var grease = false
    /// The fingerprint JA3.
    @EncodesNull public var ja3: String? = nil
    /// The fingerprint JA4.
    @EncodesNull public var ja4: String? = nil
    /// The bytes of the message, with its header.
    public var size = 0
    /// The bytes that came until then.
    public var received = 0
    /// How it began when it is no hello, escaped.
    @EncodesNull public var beginning: String? = nil
    /// The key of the map that decided.
    @EncodesNull public var route: String? = nil
    /// Where it was sent; `page` is the tool's own.
    @EncodesNull public var backend: String? = nil
    /// What went wrong, in words.
    @EncodesNull public var error: String? = nil

    private enum CodingKeys: String, CodingKey {
        case schema, command, event, time, remote, result, sni, alpn, versions, groups, suites
        case extensions, grease, ja3, ja4, size, received, beginning, route, backend, error
    }

    /// Makes a record of a connection of which nothing is known yet.
    init(time: String?, remote: String) {
        self.time = time
        self.remote = remote
        result = .closed
    }

    /// Notes what a hello has.
    mutating func note(_ hello: ClientHello) {
        result = .tls
        sni = hello.servername
        alpn = Array(hello.alpn.prefix(Self.valuesMax))
        versions = hello.versions.filter { !GREASE.contains($0) }.prefix(Self.valuesMax)
            .map { shortName(ProtocolVersion(rawValue: $0)) }
        groups = hello.groups.filter { !GREASE.contains($0.rawValue) }.prefix(Self.valuesMax)
            .map(\.description)
        suites = hello.cipherSuites.filter { !GREASE.contains($0) }.count
        extensions = hello.extensions.filter { !GREASE.contains($0.number) }.count
        grease = hello.hasGREASE
        ja3 = hello.ja3
        ja4 = hello.ja4
        size = hello.message.count
    }
}

/// What came of all connections.
public struct ListenSummary: Codable, Hashable, Sendable {
    /// The shape of this object.
    public var schema = "tlsinspect/1"
    /// The command.
    public var command = "listen"
    /// Which of the command's objects this is.
    public var event = "summary"
    /// Where it listened.
    public var local: String
    /// How many connections came.
    public var connections = 0
    /// How many of them began with a ClientHello.
    public var tls = 0
    /// How many of those had no servername.
    public var unnamed = 0
    /// How many began with something else.
    public var notTLS = 0
    /// How many were sent to a backend that took them.
    public var forwarded = 0
    /// How many got the page.
    public var answered = 0
    /// How many should have been sent somewhere and were not.
    public var undelivered = 0
    /// Half of the hellos are not larger; to 16 bytes.
    @EncodesNull public var medianBytes: Int? = nil
    /// How many connections were not shown, because nobody read fast enough.
    public var unshown = 0
    /// The connections, as many as are kept; those of `jsonl` stand in lines of their own.
    public var shown: [HelloRecord] = []
    /// The exit code.
    public var exit = ExitStatus.clean

    private enum CodingKeys: String, CodingKey {
        case schema, command, event, local, connections, tls, unnamed
        case notTLS = "not_tls"
        case forwarded, answered, undelivered
        case medianBytes = "median_bytes"
        case unshown, shown, exit
    }

    /// Makes a summary of nothing.
    public init(local: String) { self.local = local }
}

/// Counts connections in bounded memory.
struct HelloTally {
    var summary: ListenSummary
    /// How many hellos there were of each size, 16 bytes apart.
    private var sizes: [Int] = []

    init(local: String) { summary = ListenSummary(local: local) }

    mutating func note(_ arrival: Arrival) {
        note(arrival.result, size: arrival.size, isNamed: arrival.servername != nil)
        if arrival.result == .tls { note(arrival.way, isDelivered: arrival.error == nil) }
    }

    /// Counts a connection that somebody else had.
    mutating func note(_ record: HelloRecord) {
        note(record.result, size: record.size, isNamed: record.sni != nil)
    }

    private mutating func note(_ result: HelloRecord.Outcome, size: Int, isNamed: Bool) {
        summary.connections += 1
        switch result {
        case .tls:
            summary.tls += 1
            if !isNamed { summary.unnamed += 1 }
            let place = size / 16
            if place >= sizes.count {
                sizes += [Int](repeating: 0, count: place + 1 - sizes.count)
            }
            sizes[place] += 1
        case .notTLS: summary.notTLS += 1
        default: break
        }
    }

    private mutating func note(_ way: RelayWay?, isDelivered: Bool) {
        if !isDelivered {
            summary.undelivered += 1
        } else if let way {
            if way.isPage { summary.answered += 1 } else { summary.forwarded += 1 }
        }
    }

    /// The summary of what came so far.
    var finished: ListenSummary {
        var result = summary
        var left = (summary.tls + 1) / 2
        for (place, count) in sizes.enumerated() where left > 0 {
            left -= count
            if left <= 0 { result.medianBytes = place * 16 }
        }
        return result
    }
}

/// Bytes as text in ASCII, with escapes for what cannot be printed.
func escaped(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { byte in
        switch byte {
        case 9: "\\t"
        case 10: "\\n"
        case 13: "\\r"
        case 0x22, 0x5c: "\\" + String(UnicodeScalar(byte))
        case 0x20...0x7e: String(UnicodeScalar(byte))
        default: "\\x" + hexadecimal([byte])
        }
    }
    .joined()
}
