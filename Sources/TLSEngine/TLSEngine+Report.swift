// The report: everything an engine knows, gathered when it is asked for. Nothing is kept for it
// during the handshake.

extension TLSEngine {
    /// What was offered, chosen and proved so far.
    ///
    /// - Complexity: Copies certificates; not for the hot path.
    public var report: HandshakeReport {
        let policy = context.policy
        let facts = connection.transportFacts
        let resumed = resumedChain
        let peerChain = resumed?.sent ?? connection.peerChain
        let isContent = deliberation?.isContent ?? true
        let isTrusted = isContent && record.map { $0.wasJudged && $0.failure == nil } ?? false
        let isTrustedSession =
            isContent && context.trust.acceptsAnything == nil && record != nil
            && connection.isResumed
            && connection.isSessionOfTrustedPeer
        return HandshakeReport(
            role: context.role,
            phase: phase,
            isComplete: hasCompleted,
            error: failure,
            servername: context.role == .client ? servername : connection.servername,
            alpnOffered: policy.alpn,
            versionsOffered: context.versions,
            version: hasNegotiated ? connection.version : nil,
            cipherSuite: connection.cipherSuite,
            group: connection.group,
            ephemeralKey: connection.ephemeralKey,
            peerSignatureAlgorithm: connection.peerSignatureAlgorithm,
            sharedSignatureAlgorithms: connection.sharedSignatureAlgorithms,
            alpn: connection.applicationProtocol,
            isResumed: isResumed,
            isHelloRetried: connection.isHelloRetried,
            clientCertificateRequested: connection.isClientCertificateRequested,
            isServernameAcknowledged: connection.isServernameAcknowledged,
            localCertificate: connection.localCertificate,
            peerChain: peerChain.isEmpty ? record?.refusedChain ?? [] : peerChain,
            verifiedChain: isTrusted ? connection.verifiedChain : resumed?.verified ?? [],
            verification: record?.failure ?? deliberation?.refusal?.error.verification,
            isPeerTrusted: isTrusted || isTrustedSession,
            concessions: concessions,
            ocspResponse: connection.ocspResponse,
            ocspStaple: record?.staple?.value,
            revocationEvidence: record?.failure == nil ? record?.evidence : nil,
            certificateTimestamps: certificateTimestamps,
            pins: record?.pinVerdict,
            tlsa: record?.tlsaVerdict,
            withheldSession: record?.withheld,
            alertSent: facts.alertSent,
            alertReceived: facts.alertReceived,
            bytesReceived: facts.bytesReceived,
            bytesSent: facts.bytesSent,
            flights: facts.flights,
            tickets: connection.tickets,
            authentication: authentication
        )
    }

    private var certificateTimestamps: CertificateTimestamps {
        guard context.role == .client, !connection.isResumed else { return CertificateTimestamps() }
        return CertificateTimestamps(
            leaf: connection.peerChain.first,
            response: connection.ocspResponse,
            list: record?.timestampList
        )
    }

    private var hasNegotiated: Bool { connection.cipherSuite != nil }

    /// What the trust policy gave up, in its own words.
    private var concessions: [String] {
        var words: [String] = []
        if let reason = context.trust.acceptsAnything {
            words.append("any certificate is accepted: \(reason)")
        }
        if case .unchecked(let reason) = context.trust.name {
            words.append("the name is not checked: \(reason)")
        }
        if case .lenient(let reason) = context.trust.strictness {
            words.append("RFC 5280 is read leniently: \(reason)")
        }
        if record != nil, context.trust.revocation.demand == .off {
            words.append("revocation is not looked at")
        }
        if context.trust.isPinned {
            words.append("the certificate is pinned: chain and name are not checked")
        }
        if let tlsa = context.trust.tlsaRecords {
            if context.trust.activeTLSARecords.isEmpty {
                words.append("no TLSA record can be used")
            } else if record?.tlsaVerdict?.match?.usage == .daneEE {
                words.append("a TLSA record names the certificate: chain and dates are not checked")
                if !tlsa.checksNameOfEndEntity {
                    words.append("a TLSA record names the certificate: the name is not checked")
                }
            }
        }
        return words
    }
}
