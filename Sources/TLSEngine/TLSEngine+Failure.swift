// From OpenSSL's reasons to a typed error. OpenSSL has one text for five faults and five numbers
// for one; the phase and what the peer said decide.

extension TLSEngine {
    /// Where the connection stands.
    public var phase: HandshakePhase {
        switch state.phase {
        case .idle, .handshaking:
            deliberation?.pending?.phase ?? connection.handshakePhase(role: context.role)
        case .open: .open
        case .peerClosed, .localClosed, .closed, .abandoned: .closing
        case .failed: failure?.phase ?? .closing
        }
    }

    /// Makes the error for a step that just failed.
    ///
    /// - Parameters:
    ///   - reasons: What was in the error queue.
    ///   - hasReceivedData: Whether the peer has sent application data.
    /// - Returns: The error, with the cure where that is known.
    func classify(_ reasons: [OpenSSLReason], hasReceivedData: Bool) -> TLSError {
        var error = TLSError(.protocolViolation, phase: phase, reasons: reasons)
        if let alert = connection.fatalAlert(reasons) {
            error.code = .alertReceived
            error.alert = alert
            error.phase = phaseOfAlert(alert, hasReceivedData: hasReceivedData)
            error.hint = hint(for: alert)
            return error
        }
        if var refusal = deliberation?.refusal?.error {
            refusal.reasons = reasons
            return refusal
        }
        if var refusal = record?.refusal {
            refusal.reasons = reasons
            refusal.phase = phase
            return refusal
        }
        if let verification = record?.failure, context.trust.acceptsAnything == nil {
            error.code = .certificateRejected
            error.verification = verification
            error.hint = verification.hint
            error.phase = context.role == .server ? .clientAuthentication : .certificate
            return error
        }
        let isHandshake = state.phase == .idle || state.phase == .handshaking
        error.code = connection.code(
            for: reasons,
            isHandshake: isHandshake,
            phase: error.phase ?? phase
        )
        if error.code == .noSharedParameters {
            error.phase = context.role == .client ? .serverHello : .clientHello
        }
        if error.code == .peerCertificateMissing, awaitsClientCertificate {
            error.phase = .clientAuthentication
        }
        error.detail = detail(for: error.code, reasons)
        error.hint = hint(for: error.code)
        context.diffieHellmanFloor.explain(&error)
        return deliberation?.presharedKeys?.sharpened(error, role: context.role) ?? error
    }

    /// A TLS 1.3 client is done before the server has judged its certificate: such an alert belongs
    /// to client authentication, not to the data that was about to flow.
    private func phaseOfAlert(_ alert: Alert, hasReceivedData: Bool) -> HandshakePhase {
        guard context.role == .client, phase == .open, alert.judgesCertificate,
            !hasReceivedData || connection.wasAskedLate
        else { return phase }
        return .clientAuthentication
    }

    private func detail(for code: TLSError.Code, _ reasons: [OpenSSLReason]) -> String? {
        switch code {
        case .closedDuringHandshake, .truncated, .certificateRejected: nil
        case .clientHelloTooLarge: "the limit is \(context.policy.limits.clientHelloBytes) bytes"
        case .notTLS: reasons.last.map { "OpenSSL says \($0.text)" }
        default: reasons.last?.text
        }
    }

    private func hint(for code: TLSError.Code) -> String? {
        switch code {
        case .notTLS:
            context.role == .client
                ? "Check the port: plain text may be spoken there, or TLS after a command (STARTTLS)"
                : "A client without TLS connected to a TLS port"
        case .noSharedParameters:
            "Compare versions, cipher suites, groups and signature algorithms of both sides"
        case .noApplicationProtocol: "Compare the ALPN lists of both sides"
        case .weakParameters:
            "The peer needs larger keys or a newer hash; this system's security level refuses these"
        case .peerCertificateMissing: "Give the client a certificate and its key"
        case .presharedKeyMissing: "Give a key for the hint the server sent"
        case .closedDuringHandshake where phase == .serverHello:
            "Nothing came back: the port may not speak TLS, or a middlebox ended the connection"
        default: nil
        }
    }

    private func hint(for alert: Alert) -> String? {
        // Behind the handshake these say something else, and nothing that could be cured.
        if hasCompleted, !alert.judgesCertificate, alert != .certificateRequired { return nil }
        if let hint = presharedKeyHint(for: alert) { return hint }
        return switch alert {
        case .unrecognizedName: "The server knows no host of this name: check the servername"
        case .noApplicationProtocol: "The server speaks none of the offered ALPN protocols"
        case .protocolVersion: "The peer accepts none of the offered TLS versions"
        // TLS 1.2 has no alert of its own for it.
        case .handshakeFailure
        where connection.isClientCertificateRequested && connection.localCertificate == nil:
            "The server demands a client certificate"
        case .handshakeFailure:
            "The peer found nothing in common: compare suites, groups and signature algorithms"
        case .certificateRequired: "The server demands a client certificate"
        case .unknownCA: "The peer does not trust the issuer of this side's certificate"
        case .certificateExpired: "This side's certificate is outside its validity for the peer"
        case .badCertificate, .certificateUnknown: "The peer refused this side's certificate"
        default: nil
        }
    }
}

extension TLSEngine {
    // MARK: Failures of the engine's own

    var closedDuringHandshake: TLSError {
        let detail = "the peer said close_notify"
        return TLSError(.closedDuringHandshake, phase: phase, detail: detail)
    }

    var tooManyMessages: TLSError {
        TLSError(
            .protocolViolation,
            phase: phase,
            detail: "more than \(TLSEngine.handshakeMessagesMax) messages in one handshake"
        )
    }

    var floodError: TLSError {
        TLSError(
            .tooManyPostHandshakeMessages,
            phase: .open,
            detail:
                "the limit is \(context.policy.limits.postHandshakeMessages) a minute, and more with much application data"
        )
    }
}
