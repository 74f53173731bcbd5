// The decisions of one handshake: what is asked, what was answered, and what waits for the answer.
//
// Theory of operation
//
// OpenSSL's callbacks are synchronous, and there are four ways to have a handshake wait behind one.
//
//     retry       the callback says "again" and is called again at the next step:
//                 ClientHello (`SSL_CLIENT_HELLO_RETRY`), the server's certificate
//                 (`SSL_set_retry_verify`; on a server the same call silently accepts), the choice of
//                 a certificate (-1 of `cert_cb`)
//     withhold    the callback cannot wait, and all that this side has said is in the clear: the flight
//                 that follows is kept until the answer, and dropped for a plaintext alert on a "no".
//                 The client's certificate in TLS 1.2, and that of a session to be resumed
//     gate        the handshake is over for OpenSSL, and this side has keys: no byte of data goes in or
//                 out until the answer, and a "no" is said through a hook of the ticket that would
//                 follow. The client's certificate in TLS 1.3, whose tickets go out behind a "yes"
//     restart     the answer changes the configuration: the connection is made anew from the chosen
//                 context, and the ClientHello, which was kept, is fed to it. Nothing of the first one
//                 is left, whatever a connection takes over from its context in this or a later
//                 library (`SSL_set_SSL_CTX` takes over a part)
//
// A question is pending from `ask` to `take`; while it is, no step does anything.

/// The decisions of one handshake.
///
/// There is one only where something is to be decided. Written under the engine, by callbacks and by
/// answers.
final class Deliberation {
    /// What the owner decides.
    let decisions: TLSDecisions
    /// The question that waits for an answer.
    private(set) var pending: TLSQuestion?
    private var answers: [TLSDecisions: TLSAnswer] = [:]
    /// Why the handshake ends, and what the peer is told.
    private(set) var refusal: (error: TLSError, alert: Alert)?

    // Of the ClientHello.

    /// Who answers is known, or is not to be chosen.
    var isHelloSettled: Bool
    /// OpenSSL has read the ClientHello and waits.
    var isHelloIn = false
    /// Whether ``helloRecords`` is to be filled.
    var keepsHello: Bool {
        !isHelloSettled || !isClientSettled || presharedKeys?.isHelloSettled == false
            || sessions?.isSettled == false
    }
    /// The records of the ClientHello, as they are consumed.
    var helloRecords: [UInt8] = []
    /// What is to be fed to a connection that was made anew.
    var replay: [UInt8] = []
    /// Protocols chosen for this connection.
    var applicationProtocols: ApplicationProtocolPreferences?

    // Of a session that a client is about to offer.

    /// It was asked about, or there is none.
    var hasConsideredSession = false
    /// The owner does not want the server of that session: it is not offered.
    var dropsSession = false

    // Of a flight that is withheld.

    /// Asked once the flight that is being produced is complete, which the peer does not get before.
    var questionBehindFlight: TLSQuestion?
    /// The flight, as far as it was produced.
    var withheld: [UInt8] = []
    /// The flight is still being produced: nothing of it leaves.
    var isWithholding = false
    /// A "no" is said in the clear, since the peer has got nothing yet that was not.
    var saysNoInTheClear = false

    /// The owner was asked about the client, or there is nobody to ask about.
    var isClientSettled: Bool
    /// The tickets that waited for the owner's "yes" were sent.
    var hasSentTickets = false
    /// The key of this side's identity is elsewhere.
    let signsElsewhere: Bool
    /// The preshared keys; nil where none are used.
    let presharedKeys: PresharedKeyExchange?
    /// The sessions that the owner keeps; nil where it does not.
    let sessions: SessionLookup?

    init(_ context: TLSContext, isHelloSettled: Bool = false) {
        decisions = context.policy.decisions
        signsElsewhere = context.signsElsewhere
        self.isHelloSettled =
            isHelloSettled || context.role == .client
            || (context.hosts == nil && !decisions.contains(.clientHello))
        isClientSettled = context.role == .client || !decisions.contains(.clientCertificate)
        presharedKeys =
            decisions.contains(.presharedKey) ? PresharedKeyExchange(context) : nil
        sessions = decisions.contains(.session) ? SessionLookup() : nil
    }

    /// Whether there is anything to be decided under a context.
    static func isNeeded(for context: TLSContext) -> Bool {
        !context.policy.decisions.isEmpty || context.hosts != nil || context.signsElsewhere
    }

    /// Asks, unless it was answered; the question is made only then.
    ///
    /// - Parameters:
    ///   - kind: What is to be decided.
    ///   - question: How it is asked.
    /// - Returns: The answer; nil when the step has to end here and wait for it.
    func ask(_ kind: TLSDecisions, _ question: @autoclosure () -> TLSQuestion) -> TLSAnswer? {
        if let answer = answers[kind] { return answer }
        if pending == nil { pending = question() }
        return nil
    }

    /// Asks for a signature, of which each is another one.
    func askForSignature(_ request: SignatureRequest) {
        if pending == nil { pending = .signature(request) }
    }

    /// Takes the answer to the pending question.
    ///
    /// - Throws: ``TLSError`` `.unexpectedAnswer`; the question stays.
    func take(_ answer: TLSAnswer) throws(TLSError) {
        guard let question = pending else {
            throw TLSError(.unexpectedAnswer, detail: "there is no question")
        }
        guard answer.fits(question) else {
            throw TLSError(
                .unexpectedAnswer,
                phase: question.phase,
                detail: "the answer does not belong to the question"
            )
        }
        pending = nil
        if case .serverIdentity(let identity) = question, identity.isResumed {
            // Of the session, and not of this handshake: a server that does not resume it shows a
            // certificate, which is asked about by itself.
            if case .refuse = answer { dropsSession = true }
            return
        }
        if case .signature(let request) = question {
            guard case .refuse(let refusal) = answer else { return }
            refuse(request.failure(refusal), .internalError)
            return
        }
        // A key stays where it is wiped, and each question about keys, or sessions, is another one.
        if case .session(let session?) = answer { sessions?.found = session }
        if question.kind != .presharedKey, question.kind != .session {
            answers[question.kind] = answer
        }
        if case .refuse(let refusal) = answer {
            refuse(
                refusal.error(phase: question.phase),
                refusal.alert
                    ?? (refusal.verification == nil ? question.defaultAlert : .badCertificate)
            )
        }
    }

    /// Ends the handshake at the next opportunity.
    func refuse(_ error: TLSError, _ alert: Alert) {
        if refusal == nil { refusal = (error, alert) }
    }

    /// Whether nothing waits and nothing was refused.
    var isContent: Bool { pending == nil && refusal == nil }
}
