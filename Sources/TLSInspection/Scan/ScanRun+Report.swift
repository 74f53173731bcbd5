// From what a scan learned to its report and findings.

import Sockets

extension ScanRun {
    /// Makes the report.
    ///
    /// - Parameter failOn: The lightest finding that shows in the exit code.
    /// - Returns: The report, without the time.
    func report(failOn: Severity) -> ScanReport {
        var report = ScanReport(target: target, result: .ok, exit: .clean)
        report.sni = plan.servername
        report.cost.connections = connections
        report.cost.rounds = roundTrips
        report.cost.unanswered = plan.unanswered
        report.unknown = plan.unheard.sorted()
        guard !plan.spoken.isEmpty else {
            fail(&report)
            return report
        }
        report.versions = CodePoints.versions.compactMap { version in
            plan.versions[version].map {
                ScanReport.Version(version: shortName(version), supported: $0)
            }
        }
        report.suites = plan.spoken.map(suites)
        report.groups = plan.spoken.filter { $0 >= .tls12 }.map(groups).filter {
            !$0.groups.isEmpty
        }
        report.schemes = schemes
        report.alpn = protocols
        report.primeBits = plan.primeBits.min()
        report.behaviours = behaviours
        report.findings = findings(report)
        if let policy = options.policy {
            let violations = policy.violations(of: report)
            report.policy = ScanReport.PolicyVerdict(name: policy.name, violations: violations)
            let breaches = violations.map { Finding("policy", .bad, "\(policy.name): \($0)") }
            report.findings = (report.findings + breaches).sorted { $0.severity > $1.severity }
        }
        if report.findings.contains(where: { $0.severity >= failOn }) { report.exit = .findings }
        return report
    }

    private var target: InspectionReport.Target {
        let asked = options.connect ?? options.target
        return InspectionReport.Target(
            name: options.target.address,
            address: address?.address,
            port: Int(asked.port),
            starttls: options.starttls?.rawValue
        )
    }

    // MARK: Failure

    /// What a scan comes to that nobody answered.
    private func fail(_ report: inout ScanReport) {
        // The newest version's answer, unless another says more than that.
        let answer =
            firstAnswers.last { if case .alert = $0 { true } else { false } }
            ?? firstAnswers.last ?? .silence
        (report.result, report.exit, report.error) = answer.failure(options.probe)
    }

    // MARK: Facts

    private func suites(_ version: ProtocolVersion) -> ScanReport.Suites {
        let found = plan.suites[version]?.found ?? []
        var firsts: [Bool: UInt16] = [:]
        (firsts[false], firsts[true]) = (plan.chosenSuite[version], plan.firstSuite[version])
        let ordered = inOrder(found, CodePoints.suites(of: version))
        let preference = preference(ordered, firsts)
        return ScanReport.Suites(
            version: shortName(version),
            preference: preference,
            first: preference == .server ? firsts[false].map { Suite($0).name } : nil,
            suites: ordered.map {
                let suite = Suite($0)
                return ScanReport.SuiteEntry(
                    name: suite.name,
                    id: wireForm($0),
                    grade: suite.grade.rawValue
                )
            }
        )
    }

    private func groups(_ version: ProtocolVersion) -> ScanReport.Groups {
        let ordered = inOrder(plan.groups[version]?.found ?? [], CodePoints.groups(of: version))
        return ScanReport.Groups(
            version: shortName(version),
            preference: version == .tls13 ? preference(ordered, plan.firstGroup) : nil,
            groups: ordered.map {
                ScanReport.GroupEntry(
                    name: CodePoints.groupName($0),
                    id: wireForm($0),
                    isPostQuantum: CodePoints.isPostQuantum($0)
                )
            }
        )
    }

    private var schemes: [ScanReport.Schemes] {
        let lists: [(ProtocolVersion, [UInt16])] = [
            (.tls12, plan.schemes.found), (.tls13, plan.schemesOfTLS13),
        ]
        return lists.compactMap { version, found in
            guard plan.versions[version] == true, !found.isEmpty else { return nil }
            return ScanReport.Schemes(
                version: shortName(version),
                schemes: inOrder(found, CodePoints.schemes).map {
                    InspectionReport.CodePoint(name: CodePoints.schemeName($0), id: wireForm($0))
                }
            )
        }
    }

    private func inOrder(_ found: [UInt16], _ all: [UInt16]) -> [UInt16] {
        all.filter(found.contains)
    }

    /// Who decides, by the choices among all of them in one order and in the other.
    private func preference(_ found: [UInt16], _ firsts: [Bool: UInt16]?) -> ScanReport.Preference?
    {
        guard found.count > 1, let one = firsts?[false], let other = firsts?[true] else {
            return nil
        }
        if one == other { return .server }
        return one == found.first && other == found.last ? .client : .mixed
    }

    private var protocols: ScanReport.Protocols? {
        guard plan.protocolAnswer(ScanPlan.strangeProtocol) != nil else { return nil }
        let taken = options.alpn.filter {
            if case .flight(let flight)? = plan.protocolAnswer($0) {
                flight.alpn == $0
            } else {
                false
            }
        }
        let strange: ScanReport.NoOverlap? = plan.protocolAnswer(ScanPlan.strangeProtocol).map {
            switch $0 {
            case .flight(let flight): flight.alpn == nil ? .ignores : .imposes
            case .alert(let alert): alert == .noApplicationProtocol ? .refuses : .unclear
            default: .unclear
            }
        }
        return ScanReport.Protocols(protocols: taken, noOverlap: strange)
    }

    private var behaviours: [ScanReport.Behaviour] {
        var found: [ScanReport.Behaviour] = ScanReport.Behaviour.Kind.allCases.compactMap { kind in
            guard let answer = plan.behaviours[kind] else { return nil }
            guard kind == .fallback else {
                return ScanReport.Behaviour(id: kind, ok: answer.isFlight, outcome: answer.words)
            }
            // An older version is taken again, or refused as it should be (RFC 7507 §3).
            let isRefused = answer == .alert(Alert(86))
            return ScanReport.Behaviour(id: kind, ok: isRefused, outcome: answer.words)
        }
        guard let flight = plan.oldFlight else { return found }
        let told: [(ScanReport.Behaviour.Kind, Bool)] = [
            (.renegotiation, flight.extensions.contains(0xff01)),
            (.masterSecret, flight.extensions.contains(23)),
            (.noCompression, flight.compression == 0),
        ]
        found += told.map { ScanReport.Behaviour(id: $0, ok: $1, outcome: $1 ? "ok" : "no") }
        return found
    }

    // MARK: Findings

    private func findings(_ report: ScanReport) -> [Finding] {
        var findings = versionFindings(report)
        for entry in report.suites {
            for grade in ["bad", "weak"] {
                let names = entry.suites.filter { $0.grade == grade }.map(\.name)
                guard let first = names.first else { continue }
                let more = names.count > 1 ? " and \(names.count - 1) more" : ""
                findings.append(
                    grade == "bad"
                        ? Finding("broken-suite", .bad, "\(entry.version) takes \(first)\(more)")
                        : Finding("weak-suite", .warn, "\(entry.version) takes \(first)\(more)")
                )
            }
        }
        if let bits = report.primeBits, bits < 2048 {
            let severity: Severity = bits < 1024 ? .bad : .warn
            findings.append(
                Finding("small-prime", severity, "a prime for Diffie-Hellman has \(bits) bits")
            )
        }
        let hasPostQuantum = report.groups.contains { $0.groups.contains(where: \.isPostQuantum) }
        if plan.versions[.tls13] == true, !hasPostQuantum {
            findings.append(
                Finding("no-pq-group", .note, "no group that withstands a quantum computer")
            )
        }
        for behaviour in report.behaviours where !behaviour.ok {
            findings.append(finding(behaviour))
        }
        findings += Set(plan.oddities).sorted().map { Finding("odd-answer", .warn, "it \($0)") }
        if plan.unanswered > 0 {
            findings.append(
                Finding(
                    "unanswered",
                    .note,
                    "\(plan.unanswered) hellos got no answer: what they asked for is not told"
                )
            )
        }
        return findings.sorted { $0.severity > $1.severity }
    }

    private func versionFindings(_ report: ScanReport) -> [Finding] {
        var findings: [Finding] = []
        for version in plan.spoken where version < .tls12 {
            findings.append(
                Finding("old-version", version == .ssl3 ? .bad : .warn, "\(version) is spoken")
            )
        }
        if plan.versions[.tls13] != true {
            findings.append(Finding("no-tls13", .note, "TLS 1.3 is not spoken"))
        }
        return findings
    }

    private func finding(_ behaviour: ScanReport.Behaviour) -> Finding {
        switch behaviour.id {
        case .fallback:
            Finding("no-fallback-scsv", .info, "a downgrade to an older version is not noticed")
        case .renegotiation:
            Finding("unsafe-renegotiation", .warn, "no safe renegotiation (RFC 5746)")
        case .masterSecret:
            Finding("no-extended-master-secret", .info, "no extended master secret (RFC 7627)")
        case .noCompression: Finding("compression", .bad, "TLS compression is used")
        case .splitHello, .smallRecords, .grease, .largeHello:
            Finding(
                "intolerant",
                behaviour.id == .smallRecords || behaviour.id == .largeHello ? .note : .warn,
                "\(behaviour.id.words) is not taken: \(behaviour.outcome)"
            )
        }
    }
}

extension ScanReport.Behaviour.Kind {
    /// What was tried, in words.
    public var words: String {
        switch self {
        case .splitHello: "a hello in two packets"
        case .smallRecords: "a hello in records of one byte"
        case .grease: "a hello with values that nobody knows"
        case .largeHello: "a hello of 20 KB"
        case .fallback: "fallback SCSV"
        case .renegotiation: "safe renegotiation"
        case .masterSecret: "extended master secret"
        case .noCompression: "no compression"
        }
    }
}

extension RawAnswer {
    /// Whether the server chose.
    var isFlight: Bool { if case .flight = self { true } else { false } }

    /// The answer in words, `ok` for a choice.
    var words: String {
        switch self {
        case .flight: "ok"
        case .alert(let alert): "alert \(alert.code) \(alert.name)"
        case .notTLS: "not TLS"
        case .malformed(let reason): "malformed: \(reason)"
        case .closed: "closed"
        case .silence: "no answer"
        case .unconnected: "no connection"
        case .clear: "no TLS"
        }
    }

    /// The answer as the failure of a command that needed a choice.
    func failure(
        _ probe: Probe
    ) -> (InspectionReport.Outcome, ExitStatus, InspectionReport.Failure) {
        func failed(_ code: String, _ message: String, _ hint: String? = nil)
            -> InspectionReport.Failure
        {
            InspectionReport.Failure(
                code: code,
                phase: "server_hello",
                message: message,
                hint: hint
            )
        }
        switch self {
        case .unconnected(let error):
            let observation = Observation(probe: probe)
            let (result, exit) = observation.outcome(of: error)
            var failure = observation.describe(error)
            failure.phase = failure.phase ?? "connecting"
            return (result, exit, failure)
        case .alert(let alert):
            var failure = failed("alert_received", "the peer sent alert \(alert)")
            failure.alert = InspectionReport.AlertReport(number: Int(alert.code), name: alert.name)
            return (.alert, .noHandshake, failure)
        case .notTLS, .malformed:
            let failure = failed("not_tls", "the peer does not speak TLS", "Check the port")
            return (.notTLS, .noHandshake, failure)
        case .closed, .flight:
            return (.closed, .noHandshake, failed("closed_during_handshake", "the peer hung up"))
        case .clear(let refusal): return refusal.failure(probe.starttls ?? .smtp)
        case .silence:
            return (.timeout, .noHandshake, failed("handshake_timed_out", "no answer in time"))
        }
    }
}
