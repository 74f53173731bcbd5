// What differs between two servers, or between a server and what it once was. Reports become facts, a
// name and a list of values each; what differs every time - addresses, times, sizes of tickets, days left
// - is no fact.

/// One thing that can be compared.
public struct Fact: Codable, Hashable, Sendable {
    /// Which one, for example `suites.TLS1.2`; stable.
    public var id: String
    /// Its values, in order where the order means something.
    public var values: [String]

    /// Makes a fact.
    public init(_ id: String, _ values: [String]) {
        self.id = id
        self.values = values
    }
}

/// One thing that differs.
public struct Change: Codable, Hashable, Sendable {
    /// The fact's id.
    public var id: String
    /// The values of the first side; nil when it has no such fact.
    @EncodesNull public var before: [String]?
    /// The values of the second side; nil when it has no such fact.
    @EncodesNull public var after: [String]?
    /// Values of the first side alone.
    public var removed: [String]
    /// Values of the second side alone.
    public var added: [String]
    /// Whether the values are the same in another order.
    public var isReordered: Bool

    enum CodingKeys: String, CodingKey {
        case id, before, after, removed, added
        case isReordered = "reordered"
    }
}

/// What two servers have in common and what not.
public struct DiffReport: Codable, Hashable, Sendable {
    /// One side.
    public struct Side: Codable, Hashable, Sendable {
        /// The text that named it: a host, or a file.
        public var name: String
        /// Where it was reached; nil for a file, and without a connection.
        @EncodesNull public var target: InspectionReport.Target?

        /// Makes a side.
        public init(name: String, target: InspectionReport.Target?) {
            self.name = name
            self.target = target
        }
    }

    /// The shape of this report.
    public var schema = InspectionReport.schema
    /// The command that made it.
    public var command = "diff"
    /// The first side, or what it was.
    public var before: Side
    /// The second side, or what it is.
    public var after: Side
    /// What it came to: `ok` when both could be inspected, alike or not.
    public var result: InspectionReport.Outcome
    /// The exit code: 1 when something differs.
    public var exit: ExitStatus
    /// What differs.
    public var changes: [Change] = []
    /// The ids of what is the same.
    public var same: [String] = []
    /// Why there is nothing to compare; nil when there is.
    @EncodesNull public var error: InspectionReport.Failure?

    /// Makes a report of two sides that could not be compared.
    public init(
        _ before: Side,
        _ after: Side,
        result: InspectionReport.Outcome,
        exit: ExitStatus,
        error: InspectionReport.Failure?
    ) {
        self.before = before
        self.after = after
        self.result = result
        self.exit = exit
        self.error = error
    }

    /// Compares two sides.
    ///
    /// - Parameters:
    ///   - before: The first side, and its facts.
    ///   - after: The second side, and its facts.
    ///   - ignored: Ids, or beginnings of ids up to a full stop, that do not count.
    public init(
        _ before: (side: Side, facts: [Fact]),
        _ after: (side: Side, facts: [Fact]),
        ignoring ignored: [String] = []
    ) {
        (self.before, self.after) = (before.side, after.side)
        (result, exit) = (.ok, .clean)
        func counts(_ fact: Fact) -> Bool {
            !ignored.contains { fact.id == $0 || fact.id.hasPrefix($0 + ".") }
        }
        let (old, new) = (before.facts.filter(counts), after.facts.filter(counts))
        for fact in old {
            let other = new.first { $0.id == fact.id }
            if other?.values == fact.values {
                same.append(fact.id)
            } else {
                changes.append(Change(fact.id, fact.values, other?.values))
            }
        }
        for fact in new where !old.contains(where: { $0.id == fact.id }) {
            changes.append(Change(fact.id, nil, fact.values))
        }
        if !changes.isEmpty { exit = .findings }
    }
}

extension Change {
    init(_ id: String, _ before: [String]?, _ after: [String]?) {
        let (old, new) = (before ?? [], after ?? [])
        self.id = id
        self.before = before
        self.after = after
        removed = old.filter { !new.contains($0) }
        added = new.filter { !old.contains($0) }
        isReordered = removed.isEmpty && added.isEmpty && !old.isEmpty && old != new
    }
}

extension InspectionReport {
    /// What of a probe can be compared.
    public var facts: [Fact] {
        var facts = [Fact("result", [result.rawValue])]
        if let error {
            facts.append(Fact("error", [error.alert.map { "alert \($0.number)" } ?? error.code]))
        }
        if let negotiated {
            facts += [
                Fact("negotiated.version", [negotiated.version]),
                Fact("negotiated.suite", [negotiated.suite.name]),
                Fact("negotiated.group", [negotiated.group?.name ?? "none"]),
                Fact("negotiated.signature", [negotiated.signature ?? "none"]),
                Fact("negotiated.alpn", [negotiated.alpn ?? "none"]),
                Fact("negotiated.sni_accepted", [word(negotiated.servernameAccepted)]),
            ]
        }
        if let leaf = chain.first {
            facts += [
                Fact("leaf.names", leaf.san.dns + leaf.san.ip),
                Fact("leaf.expires", [leaf.notAfter]),
                Fact("leaf.key", [words(leaf.key)]),
                Fact("leaf.signature", [leaf.signature]),
                Fact("leaf.sha256", [leaf.sha256]),
                Fact("leaf.spki_sha256", [leaf.spkiSHA256]),
                Fact("chain.issuers", chain.map(\.issuer)),
                Fact("chain.sha256", chain.dropFirst().map(\.sha256)),
            ]
        }
        if let verify {
            facts.append(Fact("verify.trusted", [word(verify.trusted)]))
            facts.append(Fact("verify.name_match", [verify.nameMatch ?? "none"]))
        }
        if let session {
            facts.append(Fact("session.tickets", [word(!session.tickets.isEmpty)]))
            let early = session.tickets.contains { $0.earlyData > 0 }
            facts.append(Fact("session.early_data", [word(early)]))
        }
        if negotiated != nil { facts.append(Fact("ocsp_staple", [word(ocspStaple != nil)])) }
        if let clientCertificate {
            facts.append(Fact("client_certificate", [word(clientCertificate.requested)]))
        }
        return facts
    }

    private func words(_ key: CertificateReport.Key) -> String {
        "\(key.type) \(key.curve ?? "\(key.bits)")"
    }
}

extension ScanReport {
    /// What of a scan can be compared.
    public var facts: [Fact] {
        var facts: [Fact] = []
        if let error {
            facts.append(
                Fact("scan.error", [error.alert.map { "alert \($0.number)" } ?? error.code])
            )
        }
        if !versions.isEmpty {
            facts.append(Fact("versions", versions.filter(\.supported).map(\.version)))
        }
        for entry in suites {
            facts.append(Fact("suites.\(entry.version)", entry.suites.map(\.name)))
            if let preference = entry.preference {
                facts.append(Fact("preference.\(entry.version)", [preference.rawValue]))
            }
        }
        facts += groups.map { Fact("groups.\($0.version)", $0.groups.map(\.name)) }
        facts += schemes.map { Fact("signature_schemes.\($0.version)", $0.schemes.map(\.name)) }
        if let alpn {
            facts.append(Fact("alpn", alpn.protocols))
            if let noOverlap = alpn.noOverlap {
                facts.append(Fact("alpn.no_overlap", [noOverlap.rawValue]))
            }
        }
        if let primeBits { facts.append(Fact("dh_prime_bits", ["\(primeBits)"])) }
        facts += behaviours.map { Fact("behaviour.\($0.id.rawValue)", [$0.outcome]) }
        return facts
    }
}

private func word(_ value: Bool?) -> String { value.map { $0 ? "yes" : "no" } ?? "unknown" }
