// Early data, 0-RTT (RFC 8446 §2.3): what a client that resumes a session sends with its ClientHello,
// before the server has answered. It saves a round trip and gives two things up: whoever records it can
// send it again, and it is read by who has the session's secret later. So it is off on both sides, for
// bytes only that may arrive twice, and what a server receives of it never looks like other data.
//
// A server takes each session's early data once: its tickets are numbers of sessions that it keeps, and
// the first ClientHello that names one takes it out (RFC 8446 §8.1, OpenSSL's anti-replay). A second one
// finds nothing, and gets a full handshake; so does one that reaches another process, or comes late (ten
// seconds of difference in the ticket's age). What a decision of the application's or a client's
// certificate has to let in first is never early: such policies are refused.
//
//     client: offerEarlyData(_:)  ─▶ handshake steps ─▶ report.earlyData: accepted, or send it again
//     server: handshake steps ─▶ earlyData, before the handshake is complete ─▶ sendEarly(…) answers it,
//             or takeEarlyData() behind it

/// What became of a handshake's early data (RFC 8446 §4.2.10).
public struct EarlyTransfer: Hashable, Sendable {
    /// Bytes that were sent by a client, or taken by a server.
    public var bytes: Int
    /// Whether the server took them; nil until the handshake is complete.
    ///
    /// What it did not take has to be sent again.
    public var isAccepted: Bool?

    /// Makes a description.
    public init(bytes: Int, isAccepted: Bool? = nil) {
        self.bytes = bytes
        self.isAccepted = isAccepted
    }
}

/// The early data of one handshake, on either side.
final class EarlyExchange {
    /// To be sent, or received.
    var bytes: [UInt8]
    /// Bytes that a server's owner was told of.
    var seen = 0
    /// Sent, or received, whole.
    var isOver = false
    /// Bytes in all; the server's owner may have taken them.
    var count: Int
    var isAccepted: Bool?

    init(_ bytes: [UInt8] = []) {
        self.bytes = bytes
        count = bytes.count
    }
}

extension TLSEngine {
    // MARK: Clients

    /// Has the handshake send bytes with the ClientHello, if the session that is offered allows it.
    ///
    /// They may reach the server more than once, and whoever records them can send them again: only what
    /// may be done twice may be sent so. Called before the first step.
    ///
    /// - Parameter bytes: What to send; no more is taken than the session and
    ///   ``TLSLimits/earlyDataBytes`` allow.
    /// - Returns: How many bytes will be sent: 0 without a session of this package's that allows it, and
    ///   where ``TLSPolicy/decisions`` may keep the server out. ``HandshakeReport/earlyData`` tells
    ///   behind the handshake whether they were taken; if not, they are sent as other data.
    /// - Note: OpenSSL `SSL_write_early_data`.
    public mutating func offerEarlyData(_ bytes: [UInt8]) -> Int {
        guard context.role == .client, state.phase == .idle, !context.decides, early == nil,
            let session = record?.offered, session.storage.facts != nil,
            let handle = session.storage.handle
        else { return 0 }
        let most = min(handle.earlyDataMax, context.policy.limits.earlyDataBytes)
        guard most > 0, !bytes.isEmpty else { return 0 }
        // OpenSSL ends the handshake over a protocol that is not offered again.
        if let chosen = handle.applicationProtocol, !context.policy.alpn.contains(chosen) {
            return 0
        }
        let early = EarlyExchange(Array(bytes.prefix(most)))
        self.early = early
        return early.count
    }

    /// Bytes of the early data that the server took; 0 where it took none.
    package var earlyBytesAccepted: Int { early?.isAccepted == true ? early?.count ?? 0 : 0 }

    // MARK: Servers

    /// What the client sent as early data and nobody has taken, also before the handshake is complete;
    /// empty for none.
    ///
    /// It is the beginning of what the client says, and the rest comes by `receive`. **It may be a
    /// recorded one that somebody sends again** to another server.
    public var earlyData: [UInt8] { context.role == .server ? early?.bytes ?? [] : [] }

    /// Takes ``earlyData``.
    public mutating func takeEarlyData() -> [UInt8] {
        defer { if context.role == .server { early?.bytes = [] } }
        return earlyData
    }

    /// Whether early data came that its owner has not seen; asked once.
    package mutating func hasFreshEarlyData() -> Bool {
        guard let early, early.count > early.seen, !hasCompleted else { return false }
        early.seen = early.count
        return true
    }

    /// Answers early data before the handshake is complete: to a client that may be somebody who has
    /// recorded another's.
    ///
    /// - Parameters:
    ///   - plaintext: Data to send, 0...n bytes.
    ///   - output: Receives records. At least 17 KiB of room are needed for a full one.
    /// - Returns: Wants `.nothing` when all was taken, `.write` when there is no room for more.
    /// - Throws: ``TLSError`` `.featureUnavailable` where no early data was taken, or the handshake is
    ///   complete; the engine stays as it is. Another error ends it.
    /// - Note: OpenSSL `SSL_write_early_data` of a server.
    public mutating func sendEarly(
        _ plaintext: Span<UInt8>,
        producing output: inout OutputSpan<UInt8>
    ) throws(TLSError) -> Progress {
        try requireUsable()
        guard context.role == .server, !hasCompleted, let early, early.count > 0 else {
            throw TLSError(
                .featureUnavailable,
                phase: phase,
                detail: "there is no early data to answer"
            )
        }
        var sent = 0
        while sent < plaintext.count {
            let record = min(plaintext.count - sent, TLSEngine.recordPlaintextMax)
            guard output.freeCapacity >= record + TLSEngine.recordOverheadMax else {
                return Progress(consumed: sent, wants: .write)
            }
            let piece = plaintext.extracting(sent..<(sent + record))
            let (outcome, _) = withWindows(Span(), &output) { $0.answerEarlyData(piece) }
            guard outcome == .done else { throw fail() }
            sent += record
        }
        return Progress(consumed: sent, wants: .nothing)
    }

    // MARK: Inside

    /// What became of it, for the report.
    var earlyDataFacts: EarlyTransfer? {
        guard let early, context.role == .client || early.count > 0 else { return nil }
        return EarlyTransfer(bytes: early.count, isAccepted: early.isAccepted)
    }

    /// Sends or receives early data as far as the input and the room go.
    ///
    /// - Returns: What the step wants first; nil when the handshake goes on.
    mutating func exchangeEarlyData(
        _ early: EarlyExchange,
        _ ciphertext: Span<UInt8>,
        _ output: inout OutputSpan<UInt8>,
        _ consumed: inout Int
    ) throws(TLSError) -> Wants? {
        guard !early.isOver else { return nil }
        if context.role == .client, record?.withheld != nil {
            // The session was used meanwhile: there is nothing to send it under.
            self.early = nil
            return nil
        }
        let isClient = context.role == .client
        let (outcome, taken) = withWindows(ciphertext, &output) {
            isClient ? $0.writeEarlyData(early) : $0.readEarlyData(early)
        }
        consumed += taken
        switch outcome {
        case .done:
            early.isOver = true
            return nil
        case .wantsInput: return .read
        case .wantsOutput: return .write
        case .ended: throw fail(with: closedDuringHandshake)
        case .failed: throw fail()
        }
    }

    /// The handshake is complete: what became of it is known.
    mutating func settleEarlyData() {
        guard let early else { return }
        early.isAccepted = connection.isEarlyDataAccepted
        guard context.role == .client else { return }
        early.bytes = []
    }
}

extension TLSContext {
    /// Whether somebody else than this package has a say in its handshakes.
    var decides: Bool { Deliberation.isNeeded(for: self) }
}
