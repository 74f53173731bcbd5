// What is worth telling about a handshake. One function a subject; each says only what was seen in
// this handshake. The ids are stable and documented in `docs/tlsinspect.md`.

import Sockets

/// The numbers that findings are decided by.
enum FindingLimits {
    /// Days left below which a certificate expires soon, unless its life is short.
    static let expiresSoonDays = 30
    /// The part of a short life below which a certificate expires soon: a third, as ACME renews.
    static let expiresSoonPart = 3
    /// Bits of an RSA or DSA key below which it is small.
    static let factoringKeyBits = 2048
    /// Bits of an elliptic curve key below which it is small.
    static let curveKeyBits = 224
}

extension Observation {
    /// The findings, heaviest first.
    func findings(
        of report: InspectionReport,
        _ handshake: HandshakeReport,
        at now: UnixTime
    ) -> [Finding] {
        let dates = handshake.peerChain.enumerated().compactMap { place, certificate in
            dateFinding(certificate, place, at: now)
        }
        var findings = dates
        findings += trustFindings(report, handshake, hasDateFault: dates.contains(where: isFault))
        findings += handshake.peerChain.enumerated().flatMap(strengthFindings)
        findings += chainFindings(handshake)
        if handshake.isComplete { findings += handshakeFindings(report, handshake) }
        // Swift's sort is stable: findings of one severity stay in the order of their subjects.
        return findings.sorted { $0.severity > $1.severity }
    }

    private func isFault(_ finding: Finding) -> Bool { finding.severity == .bad }

    private func dateFinding(
        _ certificate: Certificate,
        _ place: Int,
        at now: UnixTime
    ) -> Finding? {
        let (begin, end) = (certificate.notBefore, certificate.notAfter)
        let name = certificate.shortName
        if now < begin {
            return Finding(
                "not-yet-valid",
                .bad,
                certificate: place,
                "\(name) is valid from \(begin)"
            )
        }
        if end <= now {
            return Finding("expired", .bad, certificate: place, "\(name) expired on \(end)")
        }
        let life = end.seconds - begin.seconds
        let soon = min(
            Int64(FindingLimits.expiresSoonDays) * 86400,
            life / Int64(FindingLimits.expiresSoonPart)
        )
        // A root's date is not the server's affair.
        guard end.seconds - now.seconds < soon, place == 0 || !certificate.isSelfSigned else {
            return nil
        }
        let days = wholeDays(from: now, to: end)
        let left = days == 0 ? "today" : days == 1 ? "tomorrow" : "in \(days) days"
        return Finding("expires-soon", .warn, certificate: place, "\(name) expires \(left)")
    }

    private func trustFindings(
        _ report: InspectionReport,
        _ handshake: HandshakeReport,
        hasDateFault: Bool
    ) -> [Finding] {
        guard let leaf = handshake.peerChain.first, let verify = report.verify else { return [] }
        var findings: [Finding] = []
        if leaf.isSelfSigned {
            findings.append(
                verify.trusted
                    ? Finding("self-signed", .info, certificate: 0, "the leaf signed itself")
                    : Finding(
                        "self-signed",
                        .bad,
                        certificate: 0,
                        "the leaf signed itself and is no anchor"
                    )
            )
        } else if let failure = handshake.verification {
            let isDate = failure.code == .expired || failure.code == .notYetValid
            if !isDate || !hasDateFault {
                let place =
                    handshake.peerChain.indices.contains(failure.depth) ? failure.depth : nil
                findings.append(Finding("untrusted", .bad, certificate: place, "\(failure)"))
            }
        }
        if let expected = probe.expectedName, verify.nameMatch == nil {
            let names = leaf.subjectAlternativeNames.map(\.description)
            let isFor =
                names.isEmpty
                ? "has no alternative name; a common name is not matched"
                : "is for " + names.prefix(5).joined(separator: ", ")
                    + (names.count > 5 ? ", …" : "")
            findings.append(
                Finding(
                    "name-mismatch",
                    .bad,
                    certificate: 0,
                    "the certificate \(isFor), not for \(expected)"
                )
            )
        }
        return findings
    }

    private func strengthFindings(_ place: Int, _ certificate: Certificate) -> [Finding] {
        var findings: [Finding] = []
        let name = certificate.shortName
        let signature = signatureName(certificate.signatureAlgorithm)
        // Nobody relies on a root's own signature.
        if !certificate.isSelfSigned || place == 0,
            ["sha1", "md5"].contains(where: signature.hasSuffix)
        {
            findings.append(
                Finding(
                    signature.hasSuffix("md5") ? "md5-signature" : "sha1-signature",
                    .bad,
                    certificate: place,
                    "\(name) is signed with \(signature)"
                )
            )
        }
        let key = certificate.publicKey
        let least =
            switch key.type {
            case "RSA", "RSA-PSS", "DSA": FindingLimits.factoringKeyBits
            case "EC": FindingLimits.curveKeyBits
            default: 0
            }
        if key.bits < least {
            findings.append(
                Finding(
                    "small-key",
                    .bad,
                    certificate: place,
                    "\(name) has a key of \(key.bits) bits, less than \(least)"
                )
            )
        }
        return findings
    }

    private func chainFindings(_ handshake: HandshakeReport) -> [Finding] {
        let path = handshake.isPeerTrusted ? handshake.verifiedChain : []
        return handshake.peerChain.enumerated().dropFirst().compactMap { place, certificate in
            let name = certificate.shortName
            if certificate.isSelfSigned {
                return Finding("root-sent", .info, certificate: place, "\(name) need not be sent")
            }
            guard !path.isEmpty, !path.contains(certificate) else { return nil }
            return Finding(
                "unused-certificate",
                .note,
                certificate: place,
                "\(name) is not on the way to the anchor"
            )
        }
    }

    private func handshakeFindings(
        _ report: InspectionReport,
        _ handshake: HandshakeReport
    ) -> [Finding] {
        var findings: [Finding] = []
        if handshake.version == .tls12, probe.versions.contains(.tls13) {
            findings.append(Finding("tls12-only", .note, "TLS 1.3 was offered and not taken"))
        }
        let suite = handshake.cipherSuite?.standardName ?? ""
        if suite.hasPrefix("TLS_RSA_WITH_") {
            findings.append(
                Finding("no-forward-secrecy", .warn, "the key exchange is RSA: \(suite)")
            )
        }
        if !probe.alpn.isEmpty, handshake.alpn == nil {
            findings.append(
                Finding("no-alpn-answer", .note, "the server chose no application protocol")
            )
        }
        if handshake.peerChain.first?.requiresStaple == true, handshake.ocspResponse == nil {
            findings.append(
                Finding(
                    "must-staple",
                    .bad,
                    certificate: 0,
                    "the certificate demands a stapled OCSP response, and there is none"
                )
            )
        } else if handshake.ocspResponse == nil, !handshake.isResumed {
            findings.append(Finding("no-staple", .note, "no OCSP response stapled"))
        }
        if failure == nil, tickets.isEmpty, !handshake.isResumed {
            findings.append(Finding("no-tickets", .note, "no session ticket: no resumption"))
        }
        if report.negotiated?.servernameAccepted == false {
            findings.append(
                Finding(
                    "sni-not-acknowledged",
                    .info,
                    "the server did not acknowledge the servername"
                )
            )
        }
        if handshake.clientCertificateRequested {
            findings.append(
                Finding("client-certificate", .info, "the server asks for a client certificate")
            )
        }
        if case .failed(let error) = ending, error.code == .truncated {
            findings.append(
                Finding(
                    "no-close-notify",
                    .note,
                    "the server ended the stream without close_notify"
                )
            )
        }
        return findings
    }
}
