// How long certificates are still valid, of many servers: what they serve, and what the verified path is
// worth, which are two numbers. A server may serve an old cross-signed root and be trusted all the same;
// an anchor may end before what it signed.

import Sockets

/// What one server's certificates have left.
public struct ExpiryReport: Codable, Hashable, Sendable {
    /// One certificate.
    public struct Entry: Codable, Hashable, Sendable {
        /// Its part in the chain.
        public var position: CertificateReport.Position
        /// Its place in what was served, leaf 0.
        public var index: Int
        /// Its short name.
        public var name: String
        /// Its serial number in hexadecimal.
        public var serial: String
        /// The last second of its validity, in UTC as RFC 3339 writes it.
        public var notAfter: String
        /// That second, counted from 1970.
        public var notAfterSeconds: Int
        /// Whole days left; negative when it is over.
        public var daysLeft: Int
        /// The SHA-256 digest of the DER, in hexadecimal.
        public var sha256: String

        enum CodingKeys: String, CodingKey {
            case position, index, name, serial
            case notAfter = "not_after"
            case notAfterSeconds = "not_after_seconds"
            case daysLeft = "days_left"
            case sha256
        }
    }

    /// The shape of this report.
    public var schema = InspectionReport.schema
    /// The command that made it.
    public var command = "expiry"
    /// The text that named the server.
    public var asked: String
    /// What was asked.
    public var target: InspectionReport.Target
    /// The servername that was sent; nil for none.
    @EncodesNull public var sni: String?
    /// What it came to.
    public var result: InspectionReport.Outcome
    /// The exit code.
    public var exit: ExitStatus
    /// The certificates that were served, leaf first.
    public var certificates: [Entry] = []
    /// The earliest end among them, in seconds from 1970; nil without any.
    @EncodesNull public var earliestServed: Int?
    /// The earliest end on the verified path; nil when the chain is not trusted.
    @EncodesNull public var earliestVerified: Int?
    /// What is worth telling, heaviest first.
    public var findings: [Finding] = []
    /// Why there is nothing to tell; nil when there is.
    @EncodesNull public var error: InspectionReport.Failure?

    enum CodingKeys: String, CodingKey {
        case schema, command, asked, target, sni, result, exit, certificates
        case earliestServed = "served_not_after_seconds"
        case earliestVerified = "verified_not_after_seconds"
        case findings, error
    }

    /// The certificate that ends first.
    public var first: Entry? { certificates.min { $0.notAfterSeconds < $1.notAfterSeconds } }
}

/// The reports of many servers.
public struct ExpirySummary: Codable, Hashable, Sendable {
    /// The shape of this report.
    public var schema = InspectionReport.schema
    /// The command that made it.
    public var command = "expiry"
    /// The exit code: the worst of all.
    public var exit: ExitStatus
    /// A report each, in the order in which they were asked for.
    public var targets: [ExpiryReport]

    /// Makes a summary.
    ///
    /// - Parameter targets: The reports.
    public init(_ targets: [ExpiryReport]) {
        self.targets = targets
        exit = ExitStatus.worst(targets.map(\.exit))
    }
}

extension ExitStatus {
    /// The exit code of many: the worst, in the order of what keeps one from knowing.
    ///
    /// - Parameter all: The codes of each.
    /// - Returns: The worst; ``clean`` of none.
    public static func worst(_ all: [ExitStatus]) -> ExitStatus {
        let order: [ExitStatus] = [
            .internalError, .usage, .noConnection, .noHandshake, .untrusted, .findings,
        ]
        return order.first(where: all.contains) ?? .clean
    }
}

/// Days below which a certificate is reported.
public struct ExpiryLimits: Hashable, Sendable {
    /// Days left below which it is a warning; 21 by default.
    public var warn = 21
    /// Days left below which it is bad; 7 by default.
    public var critical = 7

    /// Makes limits with the defaults.
    public init() {}
}

/// A server whose certificates are looked at.
public struct ExpiryTarget: Hashable, Sendable {
    /// The text that named it.
    public var asked: String
    /// The handshake to make.
    public var probe: Probe

    /// Makes a target.
    ///
    /// - Parameters:
    ///   - asked: The text that named it.
    ///   - probe: The handshake to make.
    public init(asked: String, probe: Probe) {
        self.asked = asked
        self.probe = probe
    }
}

extension Inspector {
    /// Looks at the certificates of many servers, some at once.
    ///
    /// Never fails: what went wrong stands in the reports.
    ///
    /// - Parameters:
    ///   - targets: The servers.
    ///   - limits: Days below which something is reported.
    ///   - jobs: Connections at once.
    ///   - rate: Connections in a second; nil is no limit.
    ///   - tell: Is given each report as it comes.
    /// - Returns: The reports in the order of the targets.
    public func expiry(
        of targets: [ExpiryTarget],
        limits: ExpiryLimits = ExpiryLimits(),
        jobs: Int = 32,
        rate: Double? = nil,
        tell: (ExpiryReport) -> Void = { _ in }
    ) async -> [ExpiryReport] {
        var pacer = Pacer(jobs: jobs, rate: rate)
        let inspector = self
        return await pacer.each(targets) { target in
            let report = await inspector.glance(target.probe)
            return ExpiryReport(report, target, limits, inspector)
        } tell: { _, report in
            tell(report)
        }
    }
}

extension ExpiryReport {
    /// What a handshake tells of the ends of certificates.
    init(
        _ report: InspectionReport,
        _ asked: ExpiryTarget,
        _ limits: ExpiryLimits,
        _ inspector: Inspector
    ) {
        let address = asked.probe.connect ?? asked.probe.target
        self.asked = asked.asked
        target =
            report.target
            ?? .init(
                name: asked.probe.target.address,
                address: nil,
                port: Int(address.port),
                starttls: asked.probe.starttls?.rawValue
            )
        sni = report.sent?.sni
        result = report.result
        exit = report.exit == .findings ? .clean : report.exit
        error = report.error
        certificates = report.chain.enumerated().map { Entry($1, $0) }
        earliestServed = certificates.map(\.notAfterSeconds).min()
        if let verify = report.verify, verify.trusted {
            let path = verify.path.compactMap { step -> Int? in
                guard case .sent(let place) = step else { return nil }
                return certificates.indices.contains(place)
                    ? certificates[place].notAfterSeconds : nil
            }
            let anchor = verify.anchor.map { Entry($0, 0).notAfterSeconds }
            earliestVerified = (path + [anchor].compactMap(\.self)).min()
        }
        findings = expiryFindings(limits)
        // What is wrong with trust is told by the exit code; its words are the probe's.
        findings += report.findings.filter {
            ["untrusted", "self-signed", "name-mismatch", "not-yet-valid"].contains($0.id)
                && $0.severity == .bad
        }
        findings.sort { $0.severity > $1.severity }
        if exit == .clean, findings.contains(where: { $0.severity >= inspector.failOn }) {
            exit = .findings
        }
    }

    private func expiryFindings(_ limits: ExpiryLimits) -> [Finding] {
        certificates.compactMap { entry in
            // A root's end is not the server's affair.
            guard entry.position != .root, entry.daysLeft < limits.warn else { return nil }
            let days = entry.daysLeft
            if days < 0 {
                return Finding(
                    "expired",
                    .bad,
                    certificate: entry.index,
                    "\(entry.position.rawValue) \"\(entry.name)\" expired on \(entry.notAfter)"
                )
            }
            return Finding(
                "expires-soon",
                days < limits.critical ? .bad : .warn,
                certificate: entry.index,
                "\(entry.position.rawValue) \"\(entry.name)\" expires in "
                    + (days == 1 ? "1 day" : "\(days) days")
            )
        }
    }
}

extension ExpiryReport.Entry {
    fileprivate init(_ certificate: CertificateReport, _ place: Int) {
        self.init(
            position: certificate.position,
            index: place,
            name: certificate.name,
            serial: certificate.serial,
            notAfter: certificate.notAfter,
            notAfterSeconds: Int(certificate.notAfterTime.seconds),
            daysLeft: certificate.daysLeft,
            sha256: certificate.sha256
        )
    }
}
