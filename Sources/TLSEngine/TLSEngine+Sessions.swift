// Resuming sessions, and giving those that can be resumed.

extension TLSEngine {
    /// The session that this client could be resumed by, as of now.
    ///
    /// In TLS 1.2 there is one when the handshake is done. In TLS 1.3 the server gives tickets behind it,
    /// none or several: this is the latest, see ``keepSessions()`` for all. Nil for a server, for a
    /// connection that failed, and where the server gave nothing to resume by.
    ///
    /// - Note: OpenSSL `SSL_get_session`, `SSL_SESSION_is_resumable`.
    public var session: TLSSession? { session(of: report) }

    /// The same, with the chains of a report that was made anyway.
    package func session(of report: HandshakeReport) -> TLSSession? {
        guard context.role == .client, hasCompleted, let handle = connection.resumableSession else {
            return nil
        }
        return session(handle, report)
    }

    private func session(_ handle: SSLSessionHandle, _ report: HandshakeReport) -> TLSSession {
        let leaf = report.peerChain.first
        let kept = leaf.map { _ in
            KeptChain(
                authenticatedAt: resumedChain?.authenticatedAt ?? handle.created,
                sent: report.peerChain,
                verified: report.verifiedChain,
                failure: report.verification
            )
        }
        let staple = report.ocspStaple.map { $0.end(context.trust.revocation) }
        return TLSSession(
            SessionStorage(
                handle,
                context,
                record?.sessionPeer ?? SessionPeer("", port: 0),
                servername: servername,
                staple: [staple, record?.stapleExpires].compactMap(\.self).min(),
                kept: kept
            )
        )
    }

    /// Keeps every session that the server gives from here on, 16 at most, until they are taken.
    ///
    /// Does nothing on a server.
    public mutating func keepSessions() {
        keepSessions(notice: nil)
    }

    /// The same, and tells of each while it is being received.
    package mutating func keepSessions(notice: (@Sendable () -> Void)?) {
        guard context.role == .client, let record else { return }
        let inbox = SessionInbox(notice: notice)
        record.inbox = inbox
        connection.deliverSessions(to: inbox)
    }

    /// Takes the sessions that came since the last call, oldest first.
    public mutating func takeSessions() -> [TLSSession] {
        guard let handles = record?.inbox?.takeAll(), !handles.isEmpty else { return [] }
        let report = report
        return handles.map { session($0, report) }
    }

    /// The chain of the session that was resumed.
    var resumedChain: KeptChain? { connection.isResumed ? record?.kept : nil }

    // MARK: Inside

    /// Has the handshake offer a session, if nothing stands against it.
    mutating func prepareOffer(of session: TLSSession, sent: String?) {
        guard let record else { return }
        let obstacle = obstacle(to: session, sent: sent, record)
        guard obstacle == nil, let copy = session.storage.handle?.copy(), connection.offer(copy)
        else {
            record.withheld = obstacle ?? .untrusted
            return
        }
        let isVouchedFor = session.storage.facts != nil || context.trust.acceptsAnything != nil
        guard isVouchedFor || connection.offersTrustedPeer else {
            _ = connection.offer(nil)
            record.withheld = .untrusted
            return
        }
        record.offered = session
        record.kept = session.storage.kept
        record.stapleExpires = session.storage.facts?.stapleExpires
    }

    /// Takes the offer back where it was made before; just before the handshake begins.
    mutating func spendOffer() {
        guard let record, let session = record.offered else { return }
        record.offered = nil
        guard session.isSingleUse, let ticket = session.ticket, !SpentSessions.spend(ticket) else {
            return
        }
        withholdOffer(because: .used)
    }

    /// Offers no session after all.
    mutating func withholdOffer(because obstacle: SessionObstacle) {
        _ = connection.offer(nil)
        record?.offered = nil
        record?.kept = nil
        record?.stapleExpires = nil
        record?.withheld = obstacle
    }

    /// Takes the resumed session's verdict over.
    mutating func adoptResumedVerdict() {
        guard let record, let kept = resumedChain else { return }
        record.pinVerdict = kept.pinVerdict(context.trust)
        record.failure = kept.failure
    }

    private func obstacle(
        to session: TLSSession,
        sent: String?,
        _ record: VerificationRecord
    ) -> SessionObstacle? {
        guard let handle = session.storage.handle else { return .foreignKey }
        // Nobody asks for preshared keys by way of a certificate's session, or the other way round.
        guard session.authentication == .certificate, let kept = session.storage.kept else {
            return .otherAuthentication
        }
        let now = UnixTime.now
        if let facts = session.storage.facts {
            guard let peer = record.sessionPeer, facts.peer.isSame(as: peer),
                facts.servername == sent ?? ""
            else { return .otherPeer }
            guard facts.context == context.policy.sessionIDContext else { return .otherContext }
            guard facts.scope == context.sessionScope else { return .otherPolicy }
            if let end = facts.stapleExpires, end < context.trust.time { return .expired }
            if facts.expires <= now { return .expired }
        } else {
            guard handle.context == Array(context.policy.sessionIDContext.utf8) else {
                return .otherContext
            }
            guard let version = handle.version, context.versions.contains(version),
                version == .tls13 || connection.offersSuite(of: handle)
            else { return .otherPolicy }
            if handle.expires <= now { return .expired }
            // Whether its maker looked for revocations is not known.
            let revocation = context.trust.revocation
            let wantsStaple = revocation.demand != .off && kept.leaf?.requiresStaple == true
            guard revocation.demand != .require, !revocation.usesLists, !wantsStaple else {
                return .untrusted
            }
        }
        if let timeout = context.policy.sessionTimeout,
            kept.authenticatedAt.adding(timeout) <= now
        {
            return .expired
        }
        // Who decides about the server's identity is asked about the session's, too.
        let decides = context.policy.decisions.contains(.serverIdentity)
        return kept.obstacle(context.trust, name: decides ? nil : record.expectedName)
    }
}

extension OCSPStaple {
    /// When it says nothing any more, by what it says of itself or a policy of it.
    fileprivate func end(_ policy: RevocationPolicy) -> UnixTime {
        let span = nextUpdate == nil ? policy.maximumAge : policy.clockSkew
        return (nextUpdate ?? thisUpdate).adding(span)
    }
}
