// A client's certificate behind the handshake (RFC 8446 §4.6.2): a server that finds only later that it
// has to know whom it speaks to asks then, on the connection that is open. Only TLS 1.3 has it, and only
// clients that said in their ClientHello that they would answer may be asked.
//
// The answer comes in the stream of what the client sends, so it is met by `receive`, which verifies it
// by the trust policy as in a handshake: a refusal is an alert and ends the connection.

extension TLSEngine {
    /// Asks the client for its certificate; `receive` meets the answer.
    ///
    /// - Parameters:
    ///   - required: Whether a client that shows none is refused with certificate_required.
    ///   - output: Receives the request; 16 KiB of room are enough, see ``recordPlaintextMax``.
    /// - Returns: `.write` when there was no room for it.
    /// - Throws: ``TLSError`` `.featureUnavailable` when the client cannot be asked: the version is not
    ///   TLS 1.3, the client did not offer it, the policy has no
    ///   ``TLSPolicy/postHandshakeAuthentication``, or it is being asked. The engine stays as it is.
    /// - Note: OpenSSL `SSL_verify_client_post_handshake`.
    public mutating func requestClientCertificate(
        required: Bool = true,
        producing output: inout OutputSpan<UInt8>
    ) throws(TLSError) -> Progress {
        if let problem = certificateRequestProblem { throw problem }
        guard output.freeCapacity >= TLSEngine.recordPlaintextMax else {
            return Progress(consumed: 0, wants: .write)
        }
        guard connection.scheduleCertificateRequest(required: required) else {
            ErrorQueue.clear()
            throw TLSError(
                .featureUnavailable,
                phase: phase,
                detail: "the client did not offer authentication behind the handshake",
                hint: "Have the client offer it, or ask for its certificate in the handshake"
            )
        }
        record?.prepareForAnother()
        let (outcome, _) = withWindows(Span(), &output) { $0.handshake() }
        guard outcome == .done else { throw fail() }
        certificateRequests += 1
        return Progress(consumed: 0, wants: .nothing)
    }

    /// Whether a client was asked and its answer, which `receive` meets, is still to come.
    public var awaitsClientCertificate: Bool {
        certificateRequests > connection.lateFinishedMessages
    }

    /// Why the client cannot be asked now; nil when nothing on this side stands against it.
    package var certificateRequestProblem: TLSError? {
        guard state.canSend, state.canReceive else { return stepFailure }
        let reason: String? =
            if context.role == .client {
                "a client asks for no certificate"
            } else if !context.policy.postHandshakeAuthentication {
                "the policy does not allow it"
            } else if connection.version != .tls13 {
                "TLS 1.2 has no authentication behind the handshake"
            } else if awaitsClientCertificate {
                "the client is being asked already"
            } else {
                nil
            }
        return reason.map { TLSError(.featureUnavailable, phase: phase, detail: $0) }
    }

    /// Refuses policies in which nobody would decide about a certificate that comes late.
    static func checkLateAuthentication(_ policy: TLSPolicy) throws(TLSError) {
        guard policy.postHandshakeAuthentication else { return }
        guard policy.decisions.isDisjoint(with: [.clientCertificate, .certificateChoice]) else {
            throw TLSError(
                .invalidPolicy,
                detail: "postHandshakeAuthentication is set together with a decision about the"
                    + " client's certificate, which is made in the handshake only",
                hint: "Decide by what the request gives, or ask in the handshake"
            )
        }
    }
}

extension VerificationRecord {
    /// Forgets the verdict of the handshake: the client is about to be judged anew.
    func prepareForAnother() {
        wasJudged = false
        failure = nil
        refusal = nil
        refusedChain = []
        pinVerdict = nil
        kept = nil
    }
}
