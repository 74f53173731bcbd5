// The engine's one error. It says who must act (`category`), what happened (`code`), where
// (`phase`), on what evidence (`alert`, `verification`, `reasons`), and what would cure it (`hint`).
// Two errors are equal when the stable part of them is: code, alert and verification code. Texts
// may improve freely.

/// What went wrong in TLS.
public struct TLSError: Error, Sendable {
    /// Who must act.
    public enum Category: String, Hashable, Sendable {
        /// This side's settings or use of the engine.
        case local
        /// The peer did something it must not do, or ended the connection.
        case peer
        /// Both sides are well, and have nothing in common.
        case incompatible
        /// This side's policy refused what the peer presented.
        case policy
        /// OpenSSL or this package.
        case `internal`
    }

    /// What happened.
    @nonexhaustive
    public enum Code: String, CaseIterable, Hashable, Sendable {
        /// The peer ended the connection with a fatal alert, see ``TLSError/alert``; nil there when
        /// the alert came in a form that cannot be read.
        case alertReceived
        /// The peer's certificate was refused, see ``TLSError/verification``.
        case certificateRejected
        /// The transport ended before the handshake was done.
        case closedDuringHandshake
        /// The transport ended without the peer's close_notify: data may be missing.
        case truncated
        /// What came is not TLS.
        case notTLS
        /// A record could not be authenticated or has an impossible form.
        case badRecord
        /// A record is larger than the protocol allows (RFC 8446 §5.1).
        case recordOverflow
        /// The ClientHello is larger than ``TLSLimits/clientHelloBytes``.
        case clientHelloTooLarge
        /// Another handshake message is too large, for example a Certificate over
        /// ``TLSLimits/certificateChainBytes``.
        case handshakeMessageTooLarge
        /// No protocol version, cipher suite, group or signature algorithm in common.
        case noSharedParameters
        /// No application protocol in common, or none chosen where one is required.
        case noApplicationProtocol
        /// A parameter of the peer's key exchange is below the security level, for example a
        /// Diffie-Hellman group of 1,024 bits.
        ///
        /// A weak key or hash in a certificate is ``certificateRejected`` at the side that verifies
        /// it, and ``invalidCertificate`` at the side that would present it.
        case weakParameters
        /// The peer was asked for a certificate and gave none.
        case peerCertificateMissing
        /// The peer broke the protocol in another way.
        case protocolViolation
        /// The peer sends more post-handshake messages than ``TLSLimits`` allows.
        case tooManyPostHandshakeMessages
        /// A certificate given by this side cannot be read.
        case invalidCertificate
        /// A private key given by this side cannot be read.
        case invalidPrivateKey
        /// The private key is encrypted, and the passphrase is missing or wrong.
        case wrongPassphrase
        /// The private key does not belong to the certificate.
        case keyMismatch
        /// A server has no certificate.
        case identityMissing
        /// The trust store is empty, so nothing could be verified.
        case emptyTrustStore
        /// A cipher suite's name is unknown.
        case invalidCipherSuite
        /// A group's name is unknown.
        case invalidGroup
        /// A signature algorithm's name is unknown.
        case invalidSignatureAlgorithm
        /// The range of versions is empty, or no suite is left for it.
        case invalidVersionRange
        /// A servername is not a DNS host name, or there is nothing to verify a certificate against.
        case invalidServername
        /// An ALPN protocol is empty, too long, or the list is.
        case invalidApplicationProtocol
        /// A number in the policy is out of its range.
        case invalidPolicy
        /// A session is neither an export nor OpenSSL's form of one, was changed, or does not go with the
        /// ticket beside it.
        case invalidSession
        /// A fingerprint is not written as RFC 8122 has it, or a list of pins is empty.
        case invalidFingerprint
        /// A TLSA record cannot be read, or none of a trust policy can be used there.
        case invalidTLSARecord
        /// The OpenSSL library that runs is not of major version 3.
        case unsupportedLibrary
        /// Data was sent or received before the handshake was done.
        case handshakeIncomplete
        /// This side has closed the engine.
        case engineClosed
        /// The application refused what it was asked about, or failed to decide.
        case refusedByApplication
        /// A client named no host of the server, where it has to name one.
        case unknownServername
        /// An answer came without a question, or to another one.
        case unexpectedAnswer
        /// A preshared key is too short, its identity cannot be sent, or it is for another version.
        case invalidPresharedKey
        /// A preshared key was used for another version, hash or role before (RFC 9257 §4.1).
        case presharedKeyReused
        /// The handshake needs a preshared key of this side, and it has none.
        case presharedKeyMissing
        /// The peer did not use the preshared key that it must use.
        case presharedKeyUnused
        /// A client named a preshared key that this side does not know.
        case presharedKeyUnknown
        /// The peer does not have the preshared key that it named.
        case presharedKeyMismatch
        /// OpenSSL failed in a way this package does not know.
        case internalError
        /// A revocation list given by this side cannot be read.
        case invalidRevocationList
        /// An OCSP response that this side was to staple does not count, see
        /// ``TLSError/verification``.
        case invalidOCSPResponse
        /// A secret for ticket keys is too short, or cannot be read.
        case invalidTicketSecret
    }

    /// What happened.
    public var code: Code
    /// How far the connection had come; nil for errors of construction.
    public var phase: HandshakePhase?
    /// The fatal alert that the peer sent; only with ``Code/alertReceived``.
    public var alert: Alert?
    /// Why the peer's certificate was refused.
    public var verification: VerificationFailure?
    /// One sentence that tells more, without secrets or data of the connection.
    public var detail: String?
    /// What would cure it, where that is known.
    public var hint: String?
    /// What OpenSSL put into its error queue, oldest first.
    public var reasons: [OpenSSLReason]

    /// Makes an error.
    public init(
        _ code: Code,
        phase: HandshakePhase? = nil,
        alert: Alert? = nil,
        verification: VerificationFailure? = nil,
        detail: String? = nil,
        hint: String? = nil,
        reasons: [OpenSSLReason] = []
    ) {
        self.code = code
        self.phase = phase
        self.alert = alert
        self.verification = verification
        self.detail = detail
        self.hint = hint
        self.reasons = reasons
    }

    /// Who must act.
    public var category: Category {
        switch code {
        case .alertReceived, .closedDuringHandshake, .truncated, .notTLS, .badRecord,
            .recordOverflow, .clientHelloTooLarge, .handshakeMessageTooLarge,
            .protocolViolation, .tooManyPostHandshakeMessages:
            .peer
        case .certificateRejected, .weakParameters, .peerCertificateMissing, .refusedByApplication,
            .presharedKeyUnused, .presharedKeyUnknown, .presharedKeyMismatch:
            .policy
        case .noSharedParameters, .noApplicationProtocol, .unknownServername: .incompatible
        case .invalidCertificate, .invalidPrivateKey, .wrongPassphrase, .keyMismatch,
            .identityMissing, .emptyTrustStore, .invalidCipherSuite, .invalidGroup,
            .invalidSignatureAlgorithm, .invalidVersionRange, .invalidServername,
            .invalidApplicationProtocol, .invalidPolicy, .invalidFingerprint,
            .invalidTLSARecord,
            .invalidSession,
            .handshakeIncomplete, .engineClosed, .invalidRevocationList, .invalidOCSPResponse,
            .unexpectedAnswer, .invalidPresharedKey, .presharedKeyReused, .presharedKeyMissing,
            .invalidTicketSecret:
            .local
        case .unsupportedLibrary, .internalError: .internal
        }
    }
}

extension TLSError: Hashable {
    /// Compares code, alert and verification code; texts and phases may differ.
    public static func == (left: TLSError, right: TLSError) -> Bool {
        left.code == right.code && left.alert == right.alert
            && left.verification?.code == right.verification?.code
    }

    /// Hashes what `==` compares.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(code)
        hasher.combine(alert)
        hasher.combine(verification?.code)
    }
}

extension TLSError: CustomStringConvertible, CustomDebugStringConvertible {
    /// One line: what, where, why, and the cure where known.
    public var description: String {
        var text = code.text
        if let alert { text = "the peer sent the alert \(alert)" }
        if let verification { text += ": \(verification)" }
        if let detail { text += ": \(detail)" }
        if let phase { text += " (phase: \(phase))" }
        if let hint { text += ". \(hint)" }
        return text
    }

    /// The description and OpenSSL's reasons.
    public var debugDescription: String {
        reasons.isEmpty
            ? description
            : description + " [" + reasons.map(\.description).joined(separator: "; ") + "]"
    }
}

extension TLSError.Code {
    /// The code in words, lower case, without a stop.
    var text: String {
        switch self {
        case .alertReceived: "the peer sent an alert that cannot be read"
        case .certificateRejected: "certificate refused"
        case .closedDuringHandshake: "the peer closed the connection during the handshake"
        case .truncated: "the peer ended the stream without close_notify"
        case .notTLS: "the peer does not speak TLS"
        case .badRecord: "a record could not be authenticated"
        case .recordOverflow: "a record is larger than TLS allows"
        case .clientHelloTooLarge: "the ClientHello is larger than the limit"
        case .handshakeMessageTooLarge: "a handshake message is larger than the limit"
        case .noSharedParameters: "no protocol parameters in common"
        case .noApplicationProtocol: "no application protocol in common"
        case .weakParameters: "the peer's parameters are below the security level"
        case .peerCertificateMissing: "the peer gave no certificate"
        case .protocolViolation: "the peer broke the protocol"
        case .tooManyPostHandshakeMessages: "the peer sent too many post-handshake messages"
        case .invalidCertificate: "the certificate cannot be read"
        case .invalidPrivateKey: "the private key cannot be read"
        case .wrongPassphrase: "the private key's passphrase is missing or wrong"
        case .keyMismatch: "the private key does not belong to the certificate"
        case .identityMissing: "a TLS server needs a certificate and its key"
        case .emptyTrustStore: "the trust store holds no certificate"
        case .invalidCipherSuite: "unknown cipher suite"
        case .invalidGroup: "unknown group"
        case .invalidSignatureAlgorithm: "unknown signature algorithm"
        case .invalidVersionRange: "no protocol version is left"
        case .invalidServername: "invalid servername"
        case .invalidApplicationProtocol: "invalid ALPN protocol"
        case .invalidPolicy: "a number in the TLS policy is out of its range"
        case .invalidSession: "the session cannot be used"
        case .invalidFingerprint: "a fingerprint cannot be read"
        case .invalidTLSARecord: "a TLSA record cannot be used"
        case .unsupportedLibrary: "unsupported OpenSSL library"
        case .handshakeIncomplete: "the handshake is not done"
        case .engineClosed: "the TLS engine is closed"
        case .refusedByApplication: "refused by the application"
        case .unknownServername: "no host of this name"
        case .unexpectedAnswer: "an answer that does not belong here"
        case .invalidPresharedKey: "the preshared key cannot be used"
        case .presharedKeyReused: "one preshared key has two uses"
        case .presharedKeyMissing: "there is no preshared key"
        case .presharedKeyUnused: "the peer did not use the preshared key"
        case .presharedKeyUnknown: "the client named an unknown preshared key"
        case .presharedKeyMismatch: "the peer does not have the preshared key it named"
        case .internalError: "OpenSSL failed"
        case .invalidRevocationList: "the revocation list cannot be read"
        case .invalidOCSPResponse: "the OCSP response does not count"
        case .invalidTicketSecret: "the secret for ticket keys cannot be used"
        }
    }
}

/// One entry of OpenSSL's error queue.
public struct OpenSSLReason: Hashable, Sendable, CustomStringConvertible {
    /// OpenSSL's library number (`ERR_GET_LIB`), for example 20 for SSL.
    public var library: Int32
    /// The reason within that library (`ERR_GET_REASON`).
    public var reason: Int32
    /// OpenSSL's text for it, for example `wrong version number`.
    public var text: String

    /// Makes a reason from OpenSSL's numbers and text.
    public init(library: Int32, reason: Int32, text: String) {
        self.library = library
        self.reason = reason
        self.text = text
    }

    /// OpenSSL's text.
    public var description: String { text }
}
