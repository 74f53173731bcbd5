// Which certificate and which protocol does a server give for which servername: one handshake a cell, by
// the library itself, as certificates and protocols of TLS 1.3 are encrypted.
//
// Two rows more are asked than are shown, a name that nobody has and none at all: what stands for those
// is the default. Orders of protocols are asked for behind the cells, which tell which ones there are.

import Sockets

/// What a matrix is made of.
public struct MatrixOptions: Hashable, Sendable {
    /// The probe that all handshakes are like; its servername and protocols do not count.
    public var probe: Probe
    /// The servernames, nil for none.
    public var servernames: [String?]
    /// The offers by their titles: a protocol, `?` for one that nobody speaks, `-` for none.
    public var offers: [String]
    /// Handshakes at once; 6 by default.
    public var jobs = 6
    /// Handshakes in a second; 200 by default, nil is no limit.
    public var rate: Double? = 200

    /// Makes options with the defaults.
    ///
    /// - Parameters:
    ///   - probe: What all handshakes are like.
    ///   - servernames: The servernames, nil for none.
    ///   - offers: The offers by their titles.
    public init(probe: Probe, servernames: [String?], offers: [String]) {
        self.probe = probe
        self.servernames = servernames
        self.offers = offers
    }

    /// A name that nobody has (RFC 6761 §6.4).
    static let strangeName = "tlsinspect-no-such-name.invalid"

    var columns: [MatrixReport.Column] {
        offers.map { title in
            switch title {
            case "-": MatrixReport.Column(title: title, alpn: [])
            case "?": MatrixReport.Column(title: title, alpn: [ScanPlan.strangeProtocol])
            default: MatrixReport.Column(title: title, alpn: [title])
            }
        }
    }

    func probe(_ servername: String?, _ alpn: [String]) -> Probe {
        var probe = probe
        probe.servername = servername.map { .name($0) } ?? .none
        probe.alpn = alpn
        return probe
    }
}

extension Inspector {
    /// Makes a handshake for each servername with each offer.
    ///
    /// Never fails: what went wrong stands in the report.
    ///
    /// - Parameters:
    ///   - options: The servernames and offers.
    ///   - progress: Is told how many handshakes have been made.
    /// - Returns: The report.
    public func matrix(
        _ options: MatrixOptions,
        progress: (_ handshakes: Int) -> Void = { _ in }
    ) async -> MatrixReport {
        let clock = ContinuousClock()
        let start = clock.now
        var run = MatrixRun(options)
        let columns = options.columns
        let cells = options.servernames.flatMap { name in
            columns.map { options.probe(name, $0.alpn) }
        }
        // The most usual offer: what is asked for is the certificate.
        let usual = columns.filter { $0.title != "?" && $0.title != "-" }.flatMap(\.alpn)
        let extra = [MatrixOptions.strangeName, nil].map { options.probe($0, usual) }
        let reports = await glance(cells + extra, &run, progress)
        run.take(reports, columns: columns.count)
        await orders(&run, options, progress)
        var report = run.report(reports, columns, failOn: failOn)
        report.cost.elapsed = milliseconds(clock.now - start)
        return report
    }

    private func glance(
        _ probes: [Probe],
        _ run: inout MatrixRun,
        _ progress: (Int) -> Void
    ) async -> [InspectionReport] {
        let inspector = self
        var made = run.handshakes
        let reports = await run.pacer.each(probes) {
            await inspector.glance($0)
        } tell: { _, _ in
            made += 1
            progress(made)
        }
        run.handshakes = made
        return reports
    }

    /// Finds the order among the protocols of the first name that has two of them.
    ///
    /// All that are left are offered in one order and in the other. The same choice twice is the
    /// server's; it is struck, and the next one found.
    private func orders(
        _ run: inout MatrixRun,
        _ options: MatrixOptions,
        _ progress: (Int) -> Void
    ) async {
        guard let (name, spoken) = run.ordered else { return }
        var left = spoken
        var order: [String] = []
        while left.count > 1 {
            let probes = [left, left.reversed()].map { options.probe(name, $0) }
            let chosen = await glance(probes, &run, progress).map { $0.negotiated?.alpn }
            guard let one = chosen[0], let other = chosen[1], left.contains(one) else { return }
            guard one == other else {
                let isClient = one == left.first && other == left.last && order.isEmpty
                run.order = .init(preference: isClient ? .client : .mixed, protocols: order)
                return
            }
            order.append(one)
            left.removeAll { $0 == one }
        }
        run.order = .init(preference: .server, protocols: order + left)
    }
}

/// A matrix under way.
struct MatrixRun {
    let options: MatrixOptions
    var pacer: Pacer
    var handshakes = 0
    var order: MatrixReport.Order?
    private var letters: [String: String] = [:]
    private var certificates: [String: CertificateReport] = [:]
    private var rows: [MatrixReport.Row] = []
    private var defaults = MatrixReport.Defaults()

    init(_ options: MatrixOptions) {
        self.options = options
        pacer = Pacer(jobs: options.jobs, rate: options.rate)
    }

    /// The first servername for which two protocols were taken, and those protocols.
    var ordered: (name: String?, protocols: [String])? {
        for row in rows {
            let spoken = row.cells.enumerated().compactMap { place, cell in
                cell.result.isHandshake && !cell.imposed && cell.chosen == options.offers[place]
                    ? cell.chosen : nil
            }
            if spoken.count > 1 { return (row.sni, spoken) }
        }
        return nil
    }

    /// Takes the reports of the cells, row for row, and the two behind them.
    mutating func take(_ reports: [InspectionReport], columns: Int) {
        for (place, name) in options.servernames.enumerated() {
            let own = Array(reports[(place * columns)..<((place + 1) * columns)])
            let cells = own.map { cell($0) }
            let given = Set(cells.compactMap(\.certificate))
            let letter = given.count == 1 ? given.first : nil
            rows.append(
                MatrixReport.Row(
                    sni: name,
                    certificate: letter,
                    matches: name == nil || letter == nil
                        ? nil : own.contains { $0.verify?.nameMatch != nil },
                    cells: cells
                )
            )
        }
        let extra = reports.suffix(2).map { ($0, cell($0)) }
        (defaults.unknown, defaults.unknownRefusal) = (extra[0].1.certificate, extra[0].0.refusal)
        (defaults.absent, defaults.absentRefusal) = (extra[1].1.certificate, extra[1].0.refusal)
    }

    private mutating func cell(_ report: InspectionReport) -> MatrixReport.Cell {
        let imposed = report.imposesProtocol
        return MatrixReport.Cell(
            result: imposed ? .ok : report.result,
            chosen: report.error == nil || imposed ? report.negotiated?.alpn : nil,
            imposed: imposed,
            alert: report.error?.sent == false ? report.error?.alert : nil,
            certificate: report.error == nil || imposed ? letter(report.chain.first) : nil,
            version: report.negotiated?.version
        )
    }

    /// A certificate's letter: A for the first one, AA behind Z.
    private mutating func letter(_ certificate: CertificateReport?) -> String? {
        guard let certificate else { return nil }
        if let known = letters[certificate.sha256] { return known }
        let count = letters.count
        let letter = String(UnicodeScalar(UInt8(65 + count % 26)))
        let name = String(repeating: "A", count: count / 26) + letter
        letters[certificate.sha256] = name
        certificates[name] = certificate
        return name
    }

    /// Makes the report, without the time.
    func report(
        _ reports: [InspectionReport],
        _ columns: [MatrixReport.Column],
        failOn: Severity
    ) -> MatrixReport {
        let probe = options.probe
        let asked = probe.connect ?? probe.target
        let target = InspectionReport.Target(
            name: probe.target.address,
            address: reports.lazy.compactMap { $0.target?.address }.first,
            port: Int(asked.port),
            starttls: probe.starttls?.rawValue
        )
        var report = MatrixReport(target: target, result: .ok, exit: .clean)
        report.columns = columns
        report.cost.handshakes = handshakes
        // A server that refuses all of it by alert still answers the question.
        let answers = reports.contains { $0.result.isHandshake || $0.result == .alert }
        guard answers, let first = reports.first else {
            let worst = reports.first { $0.exit != .usage } ?? reports[0]
            (report.result, report.exit, report.error) = (worst.result, worst.exit, worst.error)
            return report
        }
        if !reports.contains(where: { $0.result.isHandshake || $0.imposesProtocol }) {
            (report.result, report.exit) = (first.result, .noHandshake)
            report.error = first.error
        }
        report.rows = rows
        report.certificates = certificates
        report.defaults = defaults
        report.order = order
        report.noOverlap = noOverlap(columns)
        report.findings = findings(report)
        if report.exit == .clean, report.findings.contains(where: { $0.severity >= failOn }) {
            report.exit = .findings
        }
        return report
    }

    /// What became of the offer that nobody speaks.
    private func noOverlap(_ columns: [MatrixReport.Column]) -> ScanReport.NoOverlap? {
        guard let place = columns.firstIndex(where: { $0.title == "?" }) else { return nil }
        let cells = rows.map { $0.cells[place] }
        if cells.contains(where: \.imposed) { return .imposes }
        if cells.contains(where: { $0.result.isHandshake && $0.chosen == nil }) { return .ignores }
        return cells.contains { $0.alert?.number == 120 } ? .refuses : .unclear
    }

    private func findings(_ report: MatrixReport) -> [Finding] {
        var findings: [Finding] = []
        for row in rows where row.matches == false {
            guard let name = row.sni, let letter = row.certificate,
                let certificate = certificates[letter]
            else { continue }
            let isDefault = letter == defaults.unknown
            findings.append(
                Finding(
                    isDefault ? "default-certificate" : "name-mismatch",
                    isDefault ? .note : .warn,
                    "\(name) gets the certificate of \(certificate.name)"
                        + (isDefault ? ", the default" : "")
                )
            )
        }
        for row in rows where row.certificate == nil {
            let given = Set(row.cells.compactMap(\.certificate)).sorted()
            guard given.count > 1 else { continue }
            findings.append(
                Finding(
                    "certificate-varies",
                    .warn,
                    "\(row.sni ?? "no name") gets now \(given.joined(separator: ", now "))"
                )
            )
        }
        if report.noOverlap == .imposes {
            findings.append(
                Finding("alpn-imposed", .bad, "the server chooses a protocol that was not offered")
            )
        }
        return findings.sorted { $0.severity > $1.severity }
    }
}

extension InspectionReport.Outcome {
    /// Whether there was a handshake, whatever its certificate is worth.
    package var isHandshake: Bool { [.ok, .untrusted, .nameMismatch].contains(self) }
}

extension InspectionReport {
    /// A failure in a few words; nil without one.
    var refusal: String? {
        guard let error else { return nil }
        return error.alert.map { "alert \($0.number) \($0.name)" } ?? error.code
    }
}
