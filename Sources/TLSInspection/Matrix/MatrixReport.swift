// The JSON contract of a matrix: which certificate and which protocol for which servername.

/// What a server gives for each servername with each offer of protocols.
public struct MatrixReport: Codable, Hashable, Sendable {
    /// The shape of this report.
    public var schema = InspectionReport.schema
    /// The command that made it.
    public var command = "matrix"
    /// What was asked.
    public var target: InspectionReport.Target
    /// What it came to.
    public var result: InspectionReport.Outcome
    /// The exit code.
    public var exit: ExitStatus
    /// The offers, the columns of the table; null offers nothing.
    public var columns: [Column] = []
    /// The servernames, the rows of the table.
    public var rows: [Row] = []
    /// The certificates that were given, by a letter.
    public var certificates: [String: CertificateReport] = [:]
    /// What stands for names that are not known, and for none.
    public var defaults = Defaults()
    /// Who decides between two protocols, and by which order.
    @EncodesNull public var order: Order?
    /// What the server does when it speaks nothing of an offer; nil when that was not tried.
    @EncodesNull public var noOverlap: ScanReport.NoOverlap?
    /// What is worth telling, heaviest first.
    public var findings: [Finding] = []
    /// What it cost.
    public var cost = Cost()
    /// Why there is nothing to tell; nil when there is.
    @EncodesNull public var error: InspectionReport.Failure?

    init(target: InspectionReport.Target, result: InspectionReport.Outcome, exit: ExitStatus) {
        self.target = target
        self.result = result
        self.exit = exit
    }

    enum CodingKeys: String, CodingKey {
        case schema, command, target, result, exit, columns, rows, certificates, defaults, order
        case noOverlap = "no_overlap"
        case findings, cost, error
    }
}

extension MatrixReport {
    /// One offer.
    public struct Column: Codable, Hashable, Sendable {
        /// The words for it: a protocol, `?` for one that nobody speaks, or `-` for none.
        public var title: String
        /// What is offered.
        public var alpn: [String]
    }

    /// One servername.
    public struct Row: Codable, Hashable, Sendable {
        /// The servername; nil when none is sent.
        @EncodesNull public var sni: String?
        /// The letter of its certificate; nil when there is none, or not always the same.
        @EncodesNull public var certificate: String?
        /// Whether that certificate is for the name; nil without a name or a certificate.
        @EncodesNull public var matches: Bool?
        /// What came of each column.
        public var cells: [Cell]
    }

    /// What came of one servername and one offer.
    public struct Cell: Codable, Hashable, Sendable {
        /// What it came to; trust is not judged.
        public var result: InspectionReport.Outcome
        /// The protocol that was chosen; nil without one.
        @EncodesNull public var chosen: String?
        /// Whether the protocol was not offered.
        public var imposed: Bool
        /// The alert of the server; nil without one.
        @EncodesNull public var alert: InspectionReport.AlertReport?
        /// The letter of the certificate; nil without one.
        @EncodesNull public var certificate: String?
        /// The version that was agreed on.
        @EncodesNull public var version: String?
    }

    /// What stands for names that are not known, and for none.
    public struct Defaults: Codable, Hashable, Sendable {
        /// The letter of the certificate for a name that nobody has; nil when it is refused.
        @EncodesNull public var unknown: String?
        /// What the refusal of such a name is, for example `alert 112 unrecognized_name`.
        @EncodesNull public var unknownRefusal: String?
        /// The letter of the certificate without a servername; nil when that is refused.
        @EncodesNull public var absent: String?
        /// What the refusal of no name is.
        @EncodesNull public var absentRefusal: String?

        enum CodingKeys: String, CodingKey {
            case unknown
            case unknownRefusal = "unknown_refusal"
            case absent
            case absentRefusal = "absent_refusal"
        }
    }

    /// The order of protocols.
    public struct Order: Codable, Hashable, Sendable {
        /// Who decides.
        public var preference: ScanReport.Preference
        /// The server's order, most preferred first; empty when the client decides.
        public var protocols: [String]
    }

    /// What it cost.
    public struct Cost: Codable, Hashable, Sendable {
        /// Handshakes that were begun.
        public var handshakes = 0
        /// The time, in milliseconds.
        public var elapsed = 0.0

        enum CodingKeys: String, CodingKey {
            case handshakes
            case elapsed = "elapsed_ms"
        }
    }
}
