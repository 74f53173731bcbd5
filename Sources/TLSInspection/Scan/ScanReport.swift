// The JSON contract of a scan: what a server takes, as `docs/tlsinspect.schema.json` describes it. Every
// key is always there, null where there is nothing to say.

/// What a server takes; there is one on success and on failure.
public struct ScanReport: Codable, Hashable, Sendable {
    /// The shape of this report.
    public var schema = InspectionReport.schema
    /// The command that made it.
    public var command = "scan"
    /// What was scanned.
    public var target: InspectionReport.Target
    /// The servername that was sent; nil for none.
    @EncodesNull public var sni: String?
    /// What the scan came to.
    public var result: InspectionReport.Outcome
    /// The exit code.
    public var exit: ExitStatus
    /// Each version, oldest first, and whether it is spoken; without what gave no answer.
    public var versions: [Version] = []
    /// The suites of each version that is spoken, oldest first.
    public var suites: [Suites] = []
    /// The groups of TLS 1.2 and 1.3.
    public var groups: [Groups] = []
    /// The signature schemes of TLS 1.2 and 1.3.
    public var schemes: [Schemes] = []
    /// The application protocols; nil when nobody could be asked.
    @EncodesNull public var alpn: Protocols?
    /// The least bits of a prime for Diffie-Hellman up to TLS 1.2; nil without one.
    @EncodesNull public var primeBits: Int?
    /// How it takes unusual hellos, and what it says of itself.
    public var behaviours: [Behaviour] = []
    /// How it stands to the policy that was asked for; nil without one.
    @EncodesNull public var policy: PolicyVerdict?
    /// What is worth telling, heaviest first.
    public var findings: [Finding] = []
    /// What was asked for and not answered, for example `versions.TLS1.0` or `suites.TLS1.2`.
    public var unknown: [String] = []
    /// What the scan cost.
    public var cost = Cost()
    /// Why there is nothing to tell; nil when there is.
    @EncodesNull public var error: InspectionReport.Failure?

    init(target: InspectionReport.Target, result: InspectionReport.Outcome, exit: ExitStatus) {
        self.target = target
        self.result = result
        self.exit = exit
    }

    enum CodingKeys: String, CodingKey {
        case schema, command, target, sni, result, exit, versions, suites, groups
        case schemes = "signature_schemes"
        case alpn
        case primeBits = "dh_prime_bits"
        case behaviours, policy, findings, unknown, cost, error
    }
}

extension ScanReport {
    /// One version.
    public struct Version: Codable, Hashable, Sendable {
        /// Its name, for example `TLS1.2`.
        public var version: String
        /// Whether it is spoken.
        public var supported: Bool
    }

    /// Who decides what is chosen.
    public enum Preference: String, CaseIterable, Codable, Hashable, Sendable {
        /// The server, by an order of its own.
        case server
        /// The client, by the order of its offer.
        case client
        /// Neither alone: the choice changed with the offer, and was not its first.
        case mixed
    }

    /// The suites of one version.
    public struct Suites: Codable, Hashable, Sendable {
        /// The version.
        public var version: String
        /// Who decides; nil when there is one suite, or it was not found out.
        @EncodesNull public var preference: Preference?
        /// What the server chose of all; nil unless it decides.
        @EncodesNull public var first: String?
        /// The suites, the most common first.
        public var suites: [SuiteEntry]
    }

    /// One suite.
    public struct SuiteEntry: Codable, Hashable, Sendable {
        /// The registered name.
        public var name: String
        /// The number on the wire, four hexadecimal digits.
        public var id: String
        /// `ok`, `odd`, `weak` or `bad`.
        public var grade: String
    }

    /// The groups of one version.
    public struct Groups: Codable, Hashable, Sendable {
        /// The version.
        public var version: String
        /// Who decides; nil when there is one group, or it was not found out.
        @EncodesNull public var preference: Preference?
        /// The groups, the most common first.
        public var groups: [GroupEntry]
    }

    /// One group.
    public struct GroupEntry: Codable, Hashable, Sendable {
        /// The registered name.
        public var name: String
        /// The number on the wire, four hexadecimal digits.
        public var id: String
        /// Whether it withstands a quantum computer.
        public var isPostQuantum: Bool

        enum CodingKeys: String, CodingKey {
            case name, id
            case isPostQuantum = "post_quantum"
        }
    }

    /// The signature schemes of one version.
    public struct Schemes: Codable, Hashable, Sendable {
        /// The version.
        public var version: String
        /// The schemes, the most common first.
        public var schemes: [InspectionReport.CodePoint]
    }

    /// What a server does when it speaks none of the protocols that are offered.
    public enum NoOverlap: String, CaseIterable, Codable, Hashable, Sendable {
        /// It refuses with an alert.
        case refuses
        /// It goes on without a protocol.
        case ignores
        /// It chooses one that was not offered.
        case imposes
        /// Something else, or no answer.
        case unclear
    }

    /// The application protocols.
    public struct Protocols: Codable, Hashable, Sendable {
        /// Those that were taken when they were offered alone.
        public var protocols: [String]
        /// What it does with one that nobody speaks.
        @EncodesNull public var noOverlap: NoOverlap?

        enum CodingKeys: String, CodingKey {
            case protocols
            case noOverlap = "no_overlap"
        }
    }

    /// How a server takes something unusual.
    public struct Behaviour: Codable, Hashable, Sendable {
        /// What was tried.
        public enum Kind: String, CaseIterable, Codable, Hashable, Sendable {
            /// A hello in two packets.
            case splitHello = "split_hello"
            /// A hello in records of one byte.
            case smallRecords = "one_byte_records"
            /// Values that nobody knows among those that are offered (RFC 8701).
            case grease
            /// A hello of 20 KB.
            case largeHello = "large_hello"
            /// A hello that says it tries an older version again (RFC 7507).
            case fallback = "fallback_scsv"
            /// Whether renegotiation is safe (RFC 5746).
            case renegotiation = "secure_renegotiation"
            /// Whether the master secret covers the handshake (RFC 7627).
            case masterSecret = "extended_master_secret"
            /// Whether nothing is compressed.
            case noCompression = "no_compression"
        }

        /// What was tried.
        public var id: Kind
        /// Whether it went as it should.
        public var ok: Bool
        /// What happened, for example `ok`, `alert 40 handshake_failure` or `closed`.
        public var outcome: String
    }

    /// How a server stands to a policy.
    public struct PolicyVerdict: Codable, Hashable, Sendable {
        /// The policy's name.
        public var name: String
        /// What is spoken and should not be, or the other way round; empty when all is as it should be.
        public var violations: [String]
    }

    /// What a scan cost.
    public struct Cost: Codable, Hashable, Sendable {
        /// Connections that were opened, also those that were opened ahead and not needed.
        public var connections = 0
        /// Round trips that had to wait for each other: one for each wave of hellos, and one to connect
        /// wherever that was not done while another wave was under way.
        public var rounds = 0
        /// Hellos that got no answer in time, when asked again neither.
        public var unanswered = 0
        /// The time, in milliseconds.
        public var elapsed = 0.0

        enum CodingKeys: String, CodingKey {
            case connections, rounds, unanswered
            case elapsed = "elapsed_ms"
        }
    }
}
