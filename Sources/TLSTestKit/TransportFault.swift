// The catalogue of what a server can do wrong below the certificate: closings at bad moments, things
// that are no TLS, records that must not be, silence. Each fault says what a client of this package
// must make of it; `FaultConversation` does it byte for byte, over any transport or none.

public import TLSEngine

/// One way a server can misbehave below its certificate, and what a client must make of it.
///
/// Faults behind the handshake answer the first data that the client sends, or hit the greeting of a
/// server that speaks first (`greeting:` of `FaultServer` and ``FaultConversation``).
public enum TransportFault: String, Sendable, Hashable, CaseIterable {
    // Endings.

    /// A reset as soon as the connection is there.
    case resetBeforeHello
    /// The end of the stream as soon as the connection is there.
    case closedBeforeHello
    /// A reset as the answer to the ClientHello.
    case resetAfterHello
    /// The end of the stream as the answer to the ClientHello.
    case closedAfterHello
    /// Half a ServerHello, then the end of the stream.
    case halfServerHello
    /// close_notify in clear as the answer to the ClientHello.
    case closeNotifyInHandshake
    /// close_notify and the end of the stream instead of an answer.
    case earlyCloseNotify
    /// close_notify, and a connection that stays open.
    case halfCloseKeptOpen
    /// Data, then the end of the stream without close_notify.
    case missingCloseNotify
    /// The end of the stream within a record.
    case cutRecord
    /// A reset instead of an answer.
    case resetAfterHandshake

    // Not TLS.

    /// An HTTP answer in clear to the ClientHello.
    case plainHTTP
    /// Bytes without any form as the answer to the ClientHello.
    case randomBytes
    /// An HTTP answer in clear behind the handshake.
    case cleartextAfterHandshake

    // Records.

    /// A record of 32,767 bytes as the answer to the ClientHello.
    case oversizedRecordInHandshake
    /// A record of 32,767 bytes behind the handshake.
    case oversizedRecord
    /// 64 empty handshake records as the answer to the ClientHello.
    case emptyRecords
    /// A record with one bit changed.
    case flippedByte
    /// A record that is sent twice.
    case replayedRecord
    /// close_notify in clear behind the handshake.
    case plainCloseNotify

    // Alerts as the answer to the ClientHello.

    /// The alert handshake_failure, 40.
    case alertHandshakeFailure
    /// The alert internal_error, 80.
    case alertInternalError
    /// The alert unrecognized_name, 112.
    case alertUnrecognizedName
    /// The alert no_application_protocol, 120.
    case alertNoApplicationProtocol
    /// An alert that is in no registry, 200.
    case alertUnknown

    // Messages.

    /// An application protocol that was not offered; a client that offers none sees no fault.
    case unofferedALPN
    /// A demand for a client certificate of one of 1,000 authorities, which is legal.
    case manyAuthorities
    /// A session ticket of 60,000 bytes, which is legal.
    case hugeSessionTicket
    /// A HelloRequest, which asks for another handshake; a client may pass over it.
    case renegotiationRequest
    /// 200 KeyUpdates in a row.
    case keyUpdateFlood

    // Silence and slowness.

    /// No answer to the ClientHello.
    case stallAfterHello
    /// Half a ServerHello, then silence.
    case stallInServerHello
    /// The ServerHello, then silence.
    case stallInFlight
    /// Everything but Finished, then silence.
    case stallBeforeFinished
    /// No answer to data.
    case stallAfterHandshake
    /// One byte a second.
    case bytePerSecond
    /// A pause in front of everything that is sent, which is legal.
    case pausedFlights
    /// Every byte in a packet of its own, which is legal.
    case splitBytes
}

extension TransportFault {
    /// What a client must make of a fault.
    public enum Verdict: Sendable, Hashable {
        /// The connection works: what is sent comes back.
        case accepted
        /// The stream ends in good order, without data.
        case ended
        /// The handshake fails, with an alert of the server if one is named.
        case handshakeFails(TLSError.Code, HandshakePhase, alert: Alert? = nil)
        /// The stream fails behind the handshake, and data that came before is delivered.
        case streamFails(TLSError.Code)
        /// The transport is reset in the handshake, or in the stream behind it.
        case reset(inHandshake: Bool)
        /// Nothing happens, so that only a deadline ends it; where the client then stands.
        case stalls(HandshakePhase)
    }

    /// How fast the server sends.
    public enum Pacing: Sendable, Hashable {
        /// As fast as it can.
        case prompt
        /// Each byte by itself.
        case split
        /// After a pause.
        case paused
        /// Each byte after a pause.
        case trickling
    }

    /// How fast the server sends.
    public var pacing: Pacing {
        switch self {
        case .bytePerSecond: .trickling
        case .pausedFlights: .paused
        case .splitBytes: .split
        default: .prompt
        }
    }

    /// The versions in which a server can do it.
    public var versions: [ProtocolVersion] {
        switch self {
        case .hugeSessionTicket, .keyUpdateFlood: [.tls13]
        case .renegotiationRequest: [.tls12]
        default: [.tls12, .tls13]
        }
    }

    /// Whether it happens behind the handshake.
    public var isBehindHandshake: Bool {
        switch self {
        case .earlyCloseNotify, .halfCloseKeptOpen, .missingCloseNotify, .cutRecord,
            .resetAfterHandshake, .cleartextAfterHandshake, .oversizedRecord, .flippedByte,
            .replayedRecord, .plainCloseNotify, .hugeSessionTicket, .renegotiationRequest,
            .keyUpdateFlood, .stallAfterHandshake:
            true
        default: false
        }
    }

    /// What a client of this package must make of it by default.
    ///
    /// - Parameter version: The version that the server speaks; one of ``versions``.
    /// - Returns: The verdict.
    public func verdict(in version: ProtocolVersion) -> Verdict {
        switch self {
        case .resetBeforeHello, .resetAfterHello: .reset(inHandshake: true)
        case .resetAfterHandshake: .reset(inHandshake: false)
        case .closedBeforeHello, .closedAfterHello, .halfServerHello, .closeNotifyInHandshake:
            .handshakeFails(.closedDuringHandshake, .serverHello)
        case .plainHTTP, .randomBytes: .handshakeFails(.notTLS, .serverHello)
        case .oversizedRecordInHandshake: .handshakeFails(.recordOverflow, .serverHello)
        case .emptyRecords: .handshakeFails(.badRecord, .serverHello)
        case .alertHandshakeFailure: .alert(.handshakeFailure)
        case .alertInternalError: .alert(.internalError)
        case .alertUnrecognizedName: .alert(.unrecognizedName)
        case .alertNoApplicationProtocol: .alert(.noApplicationProtocol)
        case .alertUnknown: .alert(Alert(200))
        case .unofferedALPN: .handshakeFails(.protocolViolation, .certificate)
        case .earlyCloseNotify, .halfCloseKeptOpen: .ended
        case .missingCloseNotify, .cutRecord: .streamFails(.truncated)
        case .oversizedRecord: .streamFails(.recordOverflow)
        case .cleartextAfterHandshake, .flippedByte, .replayedRecord, .plainCloseNotify:
            .streamFails(.badRecord)
        case .keyUpdateFlood: .streamFails(.tooManyPostHandshakeMessages)
        case .stallAfterHello, .stallInServerHello, .bytePerSecond: .stalls(.serverHello)
        case .stallInFlight: .stalls(.certificate)
        case .stallBeforeFinished: .stalls(version == .tls13 ? .keyExchange : .finished)
        case .stallAfterHandshake: .stalls(.open)
        case .manyAuthorities, .hugeSessionTicket, .renegotiationRequest, .pausedFlights,
            .splitBytes:
            .accepted
        }
    }
}

extension TransportFault.Verdict {
    fileprivate static func alert(_ alert: Alert) -> Self {
        .handshakeFails(.alertReceived, .serverHello, alert: alert)
    }
}

extension TransportFault.Verdict: CustomStringConvertible {
    /// The verdict in words.
    public var description: String {
        switch self {
        case .accepted: "accepted"
        case .ended: "the stream ends in good order"
        case .handshakeFails(let code, _, let alert):
            "handshake fails: \(alert.map { "alert \($0.code)" } ?? code.rawValue)"
        case .streamFails(let code): "stream fails: \(code.rawValue)"
        case .reset: "reset by the peer"
        case .stalls: "only a deadline ends it"
        }
    }
}

extension TransportFault: CustomStringConvertible {
    /// The name.
    public var description: String { rawValue }

    /// What the server does, in a few words.
    public var summary: String {
        switch self {
        case .resetBeforeHello: "a reset as soon as the connection is there"
        case .closedBeforeHello: "the end as soon as the connection is there"
        case .resetAfterHello: "a reset after the ClientHello"
        case .closedAfterHello: "the end after the ClientHello"
        case .halfServerHello: "half a ServerHello, then the end"
        case .closeNotifyInHandshake: "close_notify after the ClientHello"
        case .earlyCloseNotify: "close_notify instead of an answer"
        case .halfCloseKeptOpen: "close_notify, and the connection stays open"
        case .missingCloseNotify: "data, then the end without close_notify"
        case .cutRecord: "the end within a record"
        case .resetAfterHandshake: "a reset instead of an answer"
        case .plainHTTP: "an HTTP answer in clear"
        case .randomBytes: "bytes without any form"
        case .cleartextAfterHandshake: "clear text behind the handshake"
        case .oversizedRecordInHandshake: "a record of 32,767 bytes in the handshake"
        case .oversizedRecord: "a record of 32,767 bytes behind the handshake"
        case .emptyRecords: "64 empty handshake records"
        case .flippedByte: "a record with one bit changed"
        case .replayedRecord: "a record that is sent twice"
        case .plainCloseNotify: "close_notify in clear behind the handshake"
        case .alertHandshakeFailure: "alert 40, handshake_failure"
        case .alertInternalError: "alert 80, internal_error"
        case .alertUnrecognizedName: "alert 112, unrecognized_name"
        case .alertNoApplicationProtocol: "alert 120, no_application_protocol"
        case .alertUnknown: "alert 200, which nobody registered"
        case .unofferedALPN: "an application protocol that was not offered"
        case .manyAuthorities: "wants a client certificate of one of 1,000 authorities"
        case .hugeSessionTicket: "a session ticket of 60,000 bytes"
        case .renegotiationRequest: "asks for renegotiation"
        case .keyUpdateFlood: "200 KeyUpdates in a row"
        case .stallAfterHello: "silence after the ClientHello"
        case .stallInServerHello: "half a ServerHello, then silence"
        case .stallInFlight: "the ServerHello, then silence"
        case .stallBeforeFinished: "everything but Finished, then silence"
        case .stallAfterHandshake: "no answer to data"
        case .bytePerSecond: "one byte a second"
        case .pausedFlights: "a pause in front of everything"
        case .splitBytes: "every byte by itself"
        }
    }
}
