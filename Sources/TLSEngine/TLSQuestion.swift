// Decisions that may take time, as values. A step that cannot go on without its owner's word wants
// `.decision`; the engine then holds a question, the owner answers it whenever it can, and calls the
// step again. What is not asked for in `TLSPolicy.decisions` is decided here, at once.
//
// To add a question: a member of `TLSDecisions`, a case of `TLSQuestion` (and of `TLSAnswer` when the
// answer carries something), a row in `TLSQuestion.kind` and `.phase`; then, in the OpenSSL callback,
// `deliberation.ask(…)`, which gives the answer, or nil and has the step want `.decision`. How each
// callback waits is told in `Deliberation`.

/// Which decisions of a handshake the owner of an engine makes.
///
/// Those that are not named cost nothing.
public struct TLSDecisions: OptionSet, Hashable, Sendable {
    /// One bit a decision.
    public let rawValue: UInt32

    /// Makes a set from its bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// A server's: who answers a ClientHello, and how; ``TLSQuestion/clientHello(_:)``.
    public static let clientHello = TLSDecisions(rawValue: 1 << 0)
    /// A client's: whether a server is who it should be; ``TLSQuestion/serverIdentity(_:)``.
    ///
    /// Takes the place of the check of the name, not of the chain's verification.
    public static let serverIdentity = TLSDecisions(rawValue: 1 << 1)
    /// A server's: whether a client whose certificate is trusted comes in;
    /// ``TLSQuestion/clientCertificate(_:)``.
    public static let clientCertificate = TLSDecisions(rawValue: 1 << 2)
    /// A client's: which certificate it shows; ``TLSQuestion/certificateChoice(_:)``.
    public static let certificateChoice = TLSDecisions(rawValue: 1 << 3)
    /// Both sides': which preshared key is used; ``TLSQuestion/presharedKey(_:)``.
    ///
    /// A server with it needs no identity.
    public static let presharedKey = TLSDecisions(rawValue: 1 << 4)
    /// A client's: whether a stapled OCSP response will do; ``TLSQuestion/ocspResponse(_:_:)``.
    ///
    /// Asks the server for one, and comes on top of what ``TrustPolicy/revocation`` makes of it.
    public static let ocspResponse = TLSDecisions(rawValue: 1 << 5)
    /// A server's: which session a client resumes; ``TLSQuestion/session(_:)``.
    ///
    /// Its owner keeps the sessions then, see ``TLSEngine/takeSessionChanges()``: clients get numbers
    /// instead of tickets.
    public static let session = TLSDecisions(rawValue: 1 << 9)
}

/// A question of the handshake that only the engine's owner can answer.
public enum TLSQuestion: Sendable {
    /// Who answers this ClientHello: ``TLSAnswer/accept`` for what is configured,
    /// ``TLSAnswer/use(_:applicationProtocols:)`` for something else, or a refusal.
    case clientHello(ClientHello)
    /// Whether the server, whose chain is verified, is who it should be: ``TLSAnswer/accept`` or a
    /// refusal.
    case serverIdentity(ServerIdentity)
    /// Whether the client, whose chain is verified, comes in: ``TLSAnswer/accept`` or a refusal.
    case clientCertificate(ClientIdentity)
    /// Which certificate the server gets: ``TLSAnswer/present(_:)``, ``TLSAnswer/accept`` for the one
    /// of the context, or a refusal.
    case certificateChoice(CertificateRequest)
    /// Which preshared key is used: ``TLSAnswer/presharedKey(_:)``, ``TLSAnswer/accept`` for none, or a
    /// refusal.
    case presharedKey(PresharedKeyRequest)
    /// Whether the staple will do, as it came and as it was verified: ``TLSAnswer/accept`` or a
    /// refusal.
    ///
    /// A staple that does not count is refused without a question, unless the trust policy does not
    /// look at revocation or accepts anything: the second part is nil then. A server that staples
    /// nothing raises no question either; see ``RevocationPolicy/Demand/require``.
    case ocspResponse([UInt8], OCSPStaple?)
    /// The session of this number: ``TLSAnswer/session(_:)``, ``TLSAnswer/accept`` for none, or a
    /// refusal.
    case session(ServerSessionRequest)

    /// The one decision it asks for.
    public var kind: TLSDecisions {
        switch self {
        case .clientHello: .clientHello
        case .serverIdentity: .serverIdentity
        case .clientCertificate: .clientCertificate
        case .certificateChoice: .certificateChoice
        case .presharedKey: .presharedKey
        case .ocspResponse: .ocspResponse
        case .session: .session
        }
    }

    /// Where the handshake stands until it is answered.
    public var phase: HandshakePhase {
        switch self {
        case .clientHello, .session: .clientHello
        case .serverIdentity, .ocspResponse: .certificate
        case .clientCertificate: .clientAuthentication
        case .certificateChoice: .keyExchange
        case .presharedKey(let request): request.phase
        }
    }

    /// The alert of a refusal that names none (RFC 8446 §6.2).
    var defaultAlert: Alert {
        switch self {
        case .clientHello: .handshakeFailure
        case .serverIdentity: .certificateUnknown
        case .clientCertificate: .accessDenied
        // OpenSSL has no other word for it.
        case .certificateChoice: .internalError
        case .presharedKey: .handshakeFailure
        case .ocspResponse: .badCertificateStatusResponse
        case .session: .internalError
        }
    }
}

/// An owner's word on a ``TLSQuestion``.
public enum TLSAnswer: Sendable {
    /// Yes: the handshake goes on as it is configured.
    case accept
    /// No: the handshake ends with an alert.
    case refuse(TLSRefusal)
    /// Another context answers the ClientHello, with everything that belongs to it, or other
    /// application protocols do; nil leaves what is configured.
    case use(TLSContext?, applicationProtocols: [String]? = nil)
    /// This certificate is shown; nil shows none.
    case present(TLSIdentity?)
    /// This preshared key is used; nil knows none.
    case presharedKey(PresharedKeyInfo?)
    /// This session is resumed; nil has none.
    case session(ServerSession?)

    /// Whether it says something about a kind of question.
    func fits(_ question: TLSQuestion) -> Bool {
        switch (self, question) {
        case (.accept, _), (.refuse, _): true
        case (.use(let context, _), .clientHello): context?.role != .client
        case (.present, .certificateChoice): true
        case (.presharedKey, .presharedKey): true
        case (.session(let session), .session(let request)):
            session.map { $0.id == request.id } ?? true
        case (.use, _), (.present, _), (.presharedKey, _), (.session, _): false
        }
    }
}

/// Why an owner refuses, and what the peer is told: thrown by the application's callbacks, or given as
/// an answer.
public struct TLSRefusal: Error, Hashable, Sendable {
    /// The alert for the peer; nil for the usual one of the question.
    ///
    /// Some questions can be answered with some alerts only: of a refused server's certificate those
    /// that judge one, of a refused choice of certificate none but internal_error, of a refused staple
    /// in TLS 1.3 none but bad_certificate_status_response.
    public var alert: Alert?
    /// Why, in one sentence for this side's error; the peer does not see it.
    public var reason: String
    /// The rule a certificate broke, when it was one.
    public var verification: VerificationFailure?

    /// Makes a refusal.
    public init(
        _ reason: String,
        alert: Alert? = nil,
        verification: VerificationFailure? = nil
    ) {
        self.reason = reason
        self.alert = alert
        self.verification = verification
    }

    /// Takes what a callback threw for a refusal: one of these as it is, a verdict on a certificate as
    /// that verdict, and anything else for its text.
    public init(_ error: any Error) {
        switch error {
        case let refusal as TLSRefusal: self = refusal
        case let error as TLSError where error.verification != nil:
            self.init(error.detail ?? error.code.text, verification: error.verification)
        default: self.init(String("\(error)".prefix(TLSRefusal.reasonMax)))
        }
    }

    /// The most characters of a thrown error's text that are kept.
    static let reasonMax = 300

    /// The error of the handshake it ends.
    func error(phase: HandshakePhase) -> TLSError {
        guard let verification else {
            return TLSError(
                .refusedByApplication,
                phase: phase,
                detail: reason,
                hint: "The application refused: see what its callback demands of the peer"
            )
        }
        return TLSError(
            .certificateRejected,
            phase: phase,
            verification: verification,
            hint: verification.hint
        )
    }
}

extension TLSRefusal: CustomStringConvertible {
    /// The reason.
    public var description: String { reason }
}
