// From what was seen of a connection to the report.

import Sockets

extension Observation {
    /// Makes the report.
    ///
    /// - Parameters:
    ///   - now: From when days are counted.
    ///   - failOn: The lightest finding that shows in the exit code.
    /// - Returns: The report of the probe.
    func report(at now: UnixTime, failOn: Severity) -> InspectionReport {
        var report = InspectionReport(command: "probe", result: .ok, exit: .clean)
        report.target = target
        report.sent = InspectionReport.Offer(
            sni: probe.sentServername,
            alpn: probe.alpn,
            versions: [ProtocolVersion.tls12, .tls13].filter(probe.versions.contains)
                .map(shortName)
        )
        report.timing = timing
        if let failure {
            (report.result, report.exit) = outcome(of: failure)
            report.error = describe(failure)
        }
        if let refusal, let kind = probe.starttls {
            (report.result, report.exit, report.error) = refusal.failure(kind)
            return report
        }
        if let handshake {
            add(handshake, to: &report, at: now)
            report.findings = findings(of: report, handshake, at: now)
        }
        if failure == nil { judge(&report, failOn: failOn) }
        return report
    }

    private func judge(_ report: inout InspectionReport, failOn: Severity) {
        if report.verify?.trusted != true {
            (report.result, report.exit) = (.untrusted, .untrusted)
        } else if probe.expectedName != nil, report.verify?.nameMatch == nil {
            (report.result, report.exit) = (.nameMismatch, .untrusted)
        } else if report.findings.contains(where: { $0.severity >= failOn }) {
            report.exit = .findings
        }
    }

    private var target: InspectionReport.Target {
        let asked = probe.connect ?? probe.target
        let isLiteral = (try? ServerName(asked.address))?.kind != .dns
        return InspectionReport.Target(
            name: probe.target.address,
            address: address?.address ?? (isLiteral ? asked.address : nil),
            port: Int(asked.port),
            starttls: probe.starttls?.rawValue
        )
    }

    private var timing: InspectionReport.Timing {
        var timing = InspectionReport.Timing()
        timing.dns = timings.resolution.map(milliseconds)
        timing.connect = timings.connect.map(milliseconds)
        timing.serverHello = timings.firstFlight.map(milliseconds)
        timing.handshake = timings.handshake.map(milliseconds)
        return timing
    }

    private func add(
        _ handshake: HandshakeReport,
        to report: inout InspectionReport,
        at now: UnixTime
    ) {
        report.negotiated = negotiated(handshake)
        report.chain = CertificateReport.chain(handshake.peerChain, at: now)
        if !handshake.peerChain.isEmpty { report.verify = verdict(handshake, at: now) }
        if handshake.isComplete {
            report.session = InspectionReport.Session(
                tickets: tickets.map {
                    InspectionReport.Ticket(
                        bytes: $0.size,
                        lifetime: $0.lifetime,
                        earlyData: $0.earlyData
                    )
                }
            )
        }
        if let staple = handshake.ocspResponse {
            report.ocspStaple = InspectionReport.Staple(bytes: staple.count)
        }
        if handshake.isComplete || handshake.clientCertificateRequested {
            report.clientCertificate = InspectionReport.ClientCertificate(
                requested: handshake.clientCertificateRequested,
                sent: handshake.clientCertificateRequested && probe.identity != nil
            )
        }
        report.traffic = InspectionReport.Traffic(
            flights: handshake.flights,
            bytesSent: handshake.bytesSent,
            bytesReceived: handshake.bytesReceived
        )
    }

    private func negotiated(_ handshake: HandshakeReport) -> InspectionReport.Negotiated? {
        guard let version = handshake.version, let suite = handshake.cipherSuite else { return nil }
        return InspectionReport.Negotiated(
            version: shortName(version),
            suite: InspectionReport.CodePoint(name: suite.standardName, id: wireForm(suite.id)),
            group: handshake.group.map {
                InspectionReport.CodePoint(name: $0.description, id: wireForm($0.rawValue))
            },
            signature: handshake.peerSignatureAlgorithm,
            alpn: handshake.alpn,
            servernameAccepted: probe.sentServername == nil
                ? nil : handshake.isServernameAcknowledged,
            resumed: handshake.isResumed
        )
    }

    private func verdict(
        _ handshake: HandshakeReport,
        at now: UnixTime
    ) -> InspectionReport.Verdict {
        let isTrusted = handshake.isPeerTrusted
        let path = isTrusted ? handshake.verifiedChain : []
        let sent = handshake.peerChain
        let unsentAnchor = path.last.flatMap { sent.contains($0) ? nil : $0 }
        return InspectionReport.Verdict(
            trusted: isTrusted,
            name: probe.expectedName?.text,
            nameMatch: sent.first.flatMap(matchingName),
            error: handshake.verification.map {
                InspectionReport.VerificationError(
                    code: Int($0.code.rawValue),
                    depth: $0.depth,
                    text: $0.text,
                    hint: cure(for: $0)
                )
            },
            anchors: probe.anchors == .system ? .system : .given,
            path: path.map { certificate in
                if let place = sent.firstIndex(of: certificate) { return .sent(place) }
                return certificate == unsentAnchor ? .root : .store
            },
            anchor: unsentAnchor.map { CertificateReport($0, position: .root, at: now) }
        )
    }

    /// The name of the leaf that matches, as the certificate writes it.
    ///
    /// OpenSSL decides whether; it does not tell which.
    private func matchingName(_ leaf: Certificate) -> String? {
        guard let expected = probe.expectedName, leaf.matches(expected) else { return nil }
        let wanted = expected.text.lowercased()
        let parent = wanted.drop { $0 != "." }
        let match = leaf.subjectAlternativeNames.first { name in
            switch name {
            case .dns(let name): [wanted, "*" + parent].contains(name.lowercased())
            case .ipAddress(let address): address.lowercased() == wanted
            case .email, .uri, .other: false
            }
        }
        return match?.description ?? expected.text
    }

    private func cure(for failure: VerificationFailure) -> String? {
        switch failure.code {
        case .unableToGetIssuer, .unableToGetIssuerLocally, .unableToVerifyLeaf:
            "The issuing root is not among the anchors, or the server does not send an intermediate"
        case .selfSignedLeaf, .selfSignedInChain:
            "Give the root as anchor if it is meant to be trusted"
        case .expired: "Renew the certificate, or check the clock"
        case .notYetValid: "Check the clock of this machine and of the issuer"
        case .invalidPurpose: "Issue it with the extended key usage of a server"
        case .leafKeyTooSmall, .hashTooWeak: "Issue it anew with a current key and hash"
        default: nil
        }
    }
}

/// The version as the report writes it, for example `TLS1.3`.
func shortName(_ version: ProtocolVersion) -> String {
    version.description.filter { $0 != " " }
}

/// Four hexadecimal digits.
func wireForm(_ number: UInt16) -> String {
    hexadecimal([UInt8(number >> 8), UInt8(number & 0xff)])
}

/// Milliseconds with three decimals.
func milliseconds(_ duration: Duration) -> Double {
    ((duration / .milliseconds(1)) * 1000).rounded() / 1000
}
