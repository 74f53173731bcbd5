// The sans-I/O engine: ciphertext in, ciphertext out, plaintext in, plaintext out, decisions and
// errors as values. It does no I/O, reads no clock and makes no tasks; any transport can carry it.
//
// Theory of operation
//
// Four steps, each given memory for the length of one call:
//
//     handshake(consuming:producing:)           until it wants nothing
//     receive(_:into:producing:)                ciphertext to plaintext
//     send(_:producing:)                        plaintext to ciphertext, records cut inside
//     close(producing:)                         close_notify
//
// A step takes what it can, appends what it has to `producing`, and says what it wants next. What it
// did not consume stays the caller's and is given again. What was appended is sent even when the
// step throws: it holds the alert that tells the peer why.
//
// When the transport ends, `endOfInput()` is called and the step for the state once more: it throws
// `.closedDuringHandshake` or `.truncated`, unless the peer had said close_notify.
//
// A step of the handshake that wants a decision waits for `answer(_:)`: see `TLSQuestion`.
//
// Methods are of five kinds: steps (above), answers, readers (`state`, `report`), notices
// (`endOfInput`, `noteTime`), and economy (`releaseBuffers`).

/// A TLS client or server without I/O.
///
/// Noncopyable and not thread-safe: its owner calls it from one thread at a time, from any thread.
public struct TLSEngine: ~Copyable {
    /// What a step wants before it can go on.
    public enum Wants: Hashable, Sendable {
        /// Nothing: the step is done. Behind ``TLSEngine/receive(_:into:producing:)`` there may be
        /// more without input, so it is called again until it wants something else.
        case nothing
        /// More ciphertext from the peer.
        case read
        /// Room for ciphertext: send what was produced and call again.
        case write
        /// Nothing any more: the peer has said close_notify.
        case closed
        /// The owner's word: ``TLSEngine/question`` says on what, ``TLSEngine/answer(_:)`` gives it, and
        /// the step is called again. Only for what ``TLSPolicy/decisions`` names.
        case decision
    }

    /// What a step took, and what it wants.
    public struct Progress: Hashable, Sendable {
        /// Bytes taken from the front of the step's input.
        public var consumed: Int
        /// What the step wants before it can go on.
        public var wants: Wants

        /// Makes a step's result.
        public init(consumed: Int, wants: Wants) {
            self.consumed = consumed
            self.wants = wants
        }
    }

    var connection: SSLConnection
    private(set) var state = EngineState()
    private(set) var hasCompleted = false
    private var hasReceivedData = false
    private var budget: PostHandshakeBudget
    /// The configuration it was made from; behind a ClientHello, the one that was chosen for it.
    public private(set) var context: TLSContext
    /// The DNS name sent as servername by a client; nil when none is.
    public let servername: String?
    private(set) var record: VerificationRecord?
    private(set) var failure: TLSError?
    /// Nil where nothing is to be decided.
    private(set) var deliberation: Deliberation?
    /// What became of a server's sessions that its owner keeps; nil where it does not.
    private(set) var outbox: SessionOutbox?
    /// What was proved, where preshared keys are used, once the handshake is complete.
    var provenBy: HandshakeAuthentication?
    /// How often the client was asked for its certificate behind the handshake.
    var certificateRequests: UInt32 = 0
    /// The early data; nil where there is none to send, or to take.
    var early: EarlyExchange?
    /// Who is told what passes; nil while nobody asks.
    var watch: PassageWatch?

    /// Makes an engine.
    ///
    /// - Parameters:
    ///   - context: The configuration; it is kept.
    ///   - remoteName: For a client: the name or IP address it connects to. The certificate must be
    ///     for it unless the trust policy says otherwise.
    ///   - servername: For a client: the name to send. Nil sends `remoteName` when that is a DNS
    ///     name; the empty string sends none. An IP address is never sent (RFC 6066 §3).
    ///   - session: For a client: a session to resume. Where anything stands against it, it is not
    ///     offered, and ``HandshakeReport/withheldSession`` says why; the handshake is a full one then,
    ///     as it is when the server refuses.
    ///   - peer: For a client: whom it connects to, with the port; its sessions are bound to that. Nil
    ///     is the remote name, without a port.
    /// - Throws: ``TLSError`` `.invalidServername` when there is nothing to verify against.
    public init(
        _ context: TLSContext,
        remoteName: String? = nil,
        servername: String? = nil,
        resuming session: TLSSession? = nil,
        peer: SessionPeer? = nil
    ) throws(TLSError) {
        var sent: ServerName?
        var expected: ServerName?
        if context.role == .client {
            sent = try TLSEngine.sentName(remoteName: remoteName, servername: servername)
            expected = try TLSEngine.expectedName(context, sent: sent, remote: remoteName)
        }
        let deliberation = Deliberation.isNeeded(for: context) ? Deliberation(context) : nil
        let record = TLSEngine.record(context, expected, deliberation)
        let connection = try SSLConnection.make(
            context,
            record: record,
            servername: sent?.text,
            expected: expected,
            deliberation: deliberation
        )
        self.context = context
        self.servername = sent?.text
        self.record = record
        self.connection = connection
        self.deliberation = deliberation
        outbox = SessionOutbox(context)
        if let outbox { self.connection.deliverSessions(to: outbox) }
        budget = PostHandshakeBudget(context.policy.limits)
        guard context.role == .client else {
            if context.policy.acceptsEarlyData { early = EarlyExchange() }
            return
        }
        record?.sessionPeer = peer ?? remoteName.map { SessionPeer($0, port: 0) }
        if let session { prepareOffer(of: session, sent: sent?.text) }
    }

    /// Begins anew as a server of another context, of which nothing has been sent yet.
    mutating func remake(
        _ context: TLSContext,
        _ deliberation: Deliberation
    ) throws(TLSError) {
        let record = TLSEngine.record(context, nil, deliberation)
        connection = try SSLConnection.make(
            context,
            record: record,
            servername: nil,
            expected: nil,
            deliberation: deliberation
        )
        self.context = context
        self.record = record
        self.deliberation = deliberation
        outbox = SessionOutbox(context)
        if let outbox { connection.deliverSessions(to: outbox) }
        budget = PostHandshakeBudget(context.policy.limits)
        if let watch { self.connection.tell(watch) }
    }

    /// Makes the place for the verdict on the peer; nil when it is not judged.
    private static func record(
        _ context: TLSContext,
        _ expected: ServerName?,
        _ deliberation: Deliberation?
    ) -> VerificationRecord? {
        guard context.role == .client || context.policy.judgesClients else { return nil }
        let record = VerificationRecord(
            trust: context.trust,
            hasAnchors: context.hasAnchors,
            expectedName: expected,
            protocolRule: context.role == .client ? context.applicationProtocolRule : nil,
            deliberation: deliberation,
            stapleLimit: context.role == .client ? context.policy.limits.ocspResponseBytes : nil
        )
        record.sessionTimeout = context.policy.sessionTimeout
        return record
    }

    // MARK: Steps

    /// Takes the handshake as far as the input goes.
    ///
    /// Once the handshake is done the call does nothing.
    ///
    /// - Parameters:
    ///   - ciphertext: Bytes from the peer, 0...n; none to begin as a client.
    ///   - output: Receives flights and alerts; send it even if this throws.
    /// - Returns: `.nothing` when the handshake is done.
    /// - Throws: ``TLSError`` with the phase it failed in.
    /// - Note: OpenSSL `SSL_do_handshake`.
    public mutating func handshake(
        consuming ciphertext: Span<UInt8>,
        producing output: inout OutputSpan<UInt8>
    ) throws(TLSError) -> Progress {
        try requireUsable()
        guard !hasCompleted else { return Progress(consumed: 0, wants: .nothing) }
        try apply(.start)
        guard deliberation == nil else {
            return try deliberate(consuming: ciphertext, producing: &output)
        }
        if record?.offered != nil { spendOffer() }
        var consumed = 0
        if let early, let wants = try exchangeEarlyData(early, ciphertext, &output, &consumed) {
            return Progress(consumed: consumed, wants: wants)
        }
        let (outcome, taken) = try takeHandshake(
            ciphertext.extracting(consumed..<ciphertext.count),
            &output
        )
        consumed += taken
        switch outcome {
        case .done:
            try completeHandshake(&output)
            return Progress(consumed: consumed, wants: .nothing)
        case .wantsInput: return Progress(consumed: consumed, wants: .read)
        case .wantsOutput: return Progress(consumed: consumed, wants: .write)
        case .ended: throw fail(with: closedDuringHandshake)
        case .failed: throw fail()
        }
    }

    /// Has OpenSSL take the handshake as far as the input goes.
    mutating func takeHandshake(
        _ ciphertext: Span<UInt8>,
        _ output: inout OutputSpan<UInt8>
    ) throws(TLSError) -> (StepOutcome, consumed: Int) {
        let (outcome, consumed) = withWindows(ciphertext, &output) { $0.handshake() }
        if outcome == .wantsInput, connection.messagesReceived > TLSEngine.handshakeMessagesMax {
            _ = withWindows(Span(), &output) { $0.refuseMessages() }
            throw fail(with: tooManyMessages)
        }
        return (outcome, consumed)
    }

    /// Decrypts what the peer sent.
    ///
    /// Records may be split and joined anywhere. Plaintext is appended until there is no more
    /// ciphertext or no more room.
    ///
    /// - Parameters:
    ///   - ciphertext: Bytes from the peer, 0...n in arrival order.
    ///   - plaintext: Receives application data.
    ///   - output: Receives answers to post-handshake messages, and alerts; send it in any case.
    /// - Returns: Wants `.read` when all input is used up; `.nothing` when there may be more
    ///   without input, because `plaintext` is full or a failure is to be told by the next call;
    ///   `.closed` behind the peer's close_notify.
    /// - Throws: ``TLSError``, for example `.truncated` or `.badRecord`. What was decrypted before
    ///   is delivered first, by a call that does not throw.
    /// - Complexity: O(n), without allocation.
    /// - Note: OpenSSL `SSL_read_ex`.
    public mutating func receive(
        _ ciphertext: Span<UInt8>,
        into plaintext: inout OutputSpan<UInt8>,
        producing output: inout OutputSpan<UInt8>
    ) throws(TLSError) -> Progress {
        guard let progress = attemptReceive(ciphertext, into: &plaintext, producing: &output)
        else { throw stepFailure }
        return progress
    }

    /// The same without a thrown error, whose size costs a caller 60 instructions a call.
    ///
    /// - Returns: Nil when it failed; ``stepFailure`` tells why.
    package mutating func attemptReceive(
        _ ciphertext: Span<UInt8>,
        into plaintext: inout OutputSpan<UInt8>,
        producing output: inout OutputSpan<UInt8>
    ) -> Progress? {
        guard state.canReceive else {
            return peerHasClosed ? Progress(consumed: 0, wants: .closed) : nil
        }
        let before = plaintext.count
        var spent = budget
        connection.adapt(to: ciphertext.count)
        let (outcome, consumed) = withWindows(ciphertext, &output) {
            TLSEngine.decrypt(&$0, into: &plaintext, budget: &spent)
        }
        budget = spent
        if connection.isPeerKeySpent, outcome != .failed { askForNewKey(&output) }
        let hasReceived = plaintext.count > before
        if hasReceived { hasReceivedData = true }
        guard !budget.isExceeded else {
            if outcome != .failed { _ = withWindows(Span(), &output) { $0.refuseMessages() } }
            _ = fail(with: floodError)
            return hasReceived ? Progress(consumed: consumed, wants: .nothing) : nil
        }
        switch outcome {
        case .done: return Progress(consumed: consumed, wants: .nothing)
        case .wantsInput: return Progress(consumed: consumed, wants: .read)
        case .wantsOutput: return Progress(consumed: consumed, wants: .write)
        case .ended:
            guard (try? state.apply(.closeNotifyReceived)) != nil else { return nil }
            return Progress(consumed: consumed, wants: .closed)
        case .failed:
            _ = fail()
            return hasReceived ? Progress(consumed: consumed, wants: .nothing) : nil
        }
    }

    /// Takes in TLS's own messages, such as tickets, up to the first application data, which the next
    /// ``receive(_:into:producing:)`` delivers.
    ///
    /// - Parameters:
    ///   - ciphertext: Bytes from the peer.
    ///   - output: Receives answers.
    /// - Returns: Bytes taken, and whether application data, or a failure, waits for that call.
    package mutating func takeInMessages(
        _ ciphertext: Span<UInt8>,
        producing output: inout OutputSpan<UInt8>
    ) -> (consumed: Int, hasMore: Bool) {
        guard state.canReceive else { return (0, true) }
        let (outcome, consumed) = withWindows(ciphertext, &output) { $0.peek() }
        budget.note(connection.messagesReceived)
        if outcome == .failed {
            _ = fail()
        } else if budget.isExceeded {
            _ = withWindows(Span(), &output) { $0.refuseMessages() }
            _ = fail(with: floodError)
            return (consumed, true)
        }
        // A piece of a record, which OpenSSL has pending then, is not more: the rest has yet to come.
        return (consumed, outcome != .wantsInput)
    }

    /// Encrypts application data into records of at most 16 KiB.
    ///
    /// - Parameters:
    ///   - plaintext: Data to send, 0...n bytes.
    ///   - output: Receives records. At least 17 KiB of room are needed for a full one.
    /// - Returns: Wants `.nothing` when all was taken, `.write` when there is no room for more.
    /// - Throws: ``TLSError`` `.handshakeIncomplete` before the handshake is done, `.engineClosed`
    ///   after ``close(producing:)``.
    /// - Complexity: O(n), without allocation.
    /// - Note: OpenSSL `SSL_write_ex`.
    public mutating func send(
        _ plaintext: Span<UInt8>,
        producing output: inout OutputSpan<UInt8>
    ) throws(TLSError) -> Progress {
        guard let progress = attemptSend(plaintext, producing: &output) else { throw stepFailure }
        return progress
    }

    /// The same without a thrown error; see ``attemptReceive(_:into:producing:)``.
    package mutating func attemptSend(
        _ plaintext: Span<UInt8>,
        producing output: inout OutputSpan<UInt8>
    ) -> Progress? {
        guard state.canSend else { return nil }
        if connection.isKeySpent { renewKey() }
        var sent = 0
        let (outcome, _) = withWindows(Span(), &output) { connection in
            unsafe plaintext.withUnsafeBufferPointer { buffer in
                guard let base = buffer.baseAddress else { return .done }
                while sent < buffer.count {
                    // A record that does not fit would stay half in OpenSSL.
                    let record = min(buffer.count - sent, TLSEngine.recordPlaintextMax)
                    guard connection.outputRoom >= record + TLSEngine.recordOverheadMax else {
                        return .wantsOutput
                    }
                    connection.setSeries(buffer.count - sent > record)
                    var put = 0
                    let outcome = unsafe connection.write(base + sent, count: record, put: &put)
                    guard outcome == .done else { return outcome }
                    sent += put
                }
                return .done
            }
        }
        connection.setSeries(false)
        switch outcome {
        case .done: return Progress(consumed: sent, wants: .nothing)
        case .wantsInput: return Progress(consumed: sent, wants: .read)
        case .wantsOutput: return Progress(consumed: sent, wants: .write)
        case .ended, .failed:
            _ = fail()
            return nil
        }
    }

    /// Encrypts into one record, which leaves straight from OpenSSL's buffer as far as a sink takes it.
    ///
    /// - Parameters:
    ///   - plaintext: Data to send, 1...16,384 bytes.
    ///   - output: Receives what the sink does not take.
    ///   - sink: Where records go.
    /// - Returns: The step's result, nil when it failed (``stepFailure``); and what the sink came to: 0
    ///   when it took everything, 1 when it did not, otherwise its negative errno.
    package mutating func attemptSend(
        _ plaintext: Span<UInt8>,
        producing output: inout OutputSpan<UInt8>,
        through sink: CiphertextSink
    ) -> (Progress?, sinkResult: Int) {
        connection.setSink(sink)
        let progress = attemptSend(plaintext, producing: &output)
        return (progress, connection.takeSinkResult())
    }

    /// Says close_notify: this side sends no more, and may still receive (RFC 8446 §6.1).
    ///
    /// Before the handshake is done nothing can be said, and the engine just ends.
    ///
    /// - Parameter output: Receives the alert; 64 bytes of room are enough.
    /// - Returns: `.write` when there was no room for it.
    /// - Throws: Nothing today; the signature is that of the other steps.
    /// - Note: OpenSSL `SSL_shutdown`.
    public mutating func close(producing output: inout OutputSpan<UInt8>) throws(TLSError)
        -> Progress
    {
        guard state.canSend else {
            if state.phase != .failed { try apply(.closeNotifySent) }
            return Progress(consumed: 0, wants: .nothing)
        }
        let (outcome, _) = withWindows(Span(), &output) { $0.shutdown() }
        if outcome == .wantsOutput { return Progress(consumed: 0, wants: .write) }
        if outcome != .done { ErrorQueue.clear() }
        try apply(.closeNotifySent)
        return Progress(consumed: 0, wants: .nothing)
    }

    // MARK: Notices and economy

    /// Says that the transport has ended: no more ciphertext will come.
    public mutating func endOfInput() {
        connection.setEndOfInput()
    }

    /// Whether record buffers, 33 KiB, are kept from one record to the next: after a while of small
    /// records, which they make cheaper.
    public var keepsBuffers: Bool { connection.keepsBuffers }

    /// Says what time it is, which lets the peer send further post-handshake messages
    /// (``TLSLimits/postHandshakeMessages``); an owner that never does lets it pay with data only.
    ///
    /// - Parameter now: The time on any clock that does not go back; asked for only when it matters.
    public mutating func noteTime(_ now: @autoclosure () -> Duration) {
        guard budget.debt > 0 else { return }
        let (seconds, attoseconds) = now().components
        budget.credit(
            now: UInt64(clamping: seconds) &* 1_000_000_000 &+ UInt64(attoseconds / 1_000_000_000)
        )
    }

    /// Gives record buffers back while the connection is idle; they come back by themselves.
    ///
    /// - Returns: Whether they are given back now; in the midst of a record they are when it is complete, and
    ///   while a handshake waits for a signature they are behind it.
    /// - Note: OpenSSL `SSL_free_buffers`.
    @discardableResult
    public mutating func releaseBuffers() -> Bool {
        connection.freeBuffers()
    }

    // MARK: Readers

    /// Whether data can flow in one direction at least: the handshake is done, and neither both
    /// sides have closed nor anything has failed.
    public var isOpen: Bool { state.canReceive || state.canSend }

    /// Whether the peer has said close_notify.
    public var peerHasClosed: Bool { state.phase == .peerClosed || state.phase == .closed }

    /// Whether the peer's handshake waits for what the last step of this side's produced; a TLS 1.3
    /// server's is done, and gets tickets (RFC 8446 §4.6.1).
    package var peerAwaitsLastFlight: Bool {
        context.role == .client || connection.version != .tls13
    }

    /// Bytes that were decrypted and not yet received, 0...16,384.
    public var pendingPlaintext: Int { state.canReceive ? connection.pendingPlaintext : 0 }

    /// The most messages a peer's side of a handshake has, several times over: TLS 1.2 lets a server
    /// send HelloRequests in between, which count for nothing (RFC 5246 §7.4.1.1).
    static let handshakeMessagesMax = 64

    // MARK: Inside

    /// Lends the windows to OpenSSL for one step.
    @inline(__always)
    mutating func withWindows(
        _ input: Span<UInt8>,
        _ output: inout OutputSpan<UInt8>,
        _ step: (inout SSLConnection) -> StepOutcome
    ) -> (StepOutcome, consumed: Int) {
        unsafe input.withUnsafeBufferPointer { input in
            unsafe output.withUnsafeMutableBufferPointer { buffer, count in
                unsafe connection.lend(input, buffer, count)
                let outcome = step(&connection)
                let (consumed, outputCount) = connection.release()
                count = outputCount
                return (outcome, consumed)
            }
        }
    }

    /// Reads records until there is no more ciphertext or no more room.
    @inline(__always)
    private static func decrypt(
        _ connection: inout SSLConnection,
        into plaintext: inout OutputSpan<UInt8>,
        budget: inout PostHandshakeBudget
    ) -> StepOutcome {
        unsafe plaintext.withUnsafeMutableBufferPointer { buffer, count in
            guard let base = buffer.baseAddress else { return .done }
            let capacity = buffer.count
            while count < capacity {
                var got = 0
                let outcome = unsafe connection.read(
                    into: base + count,
                    count: capacity - count,
                    got: &got
                )
                guard outcome == .done else {
                    budget.note(connection.messagesReceived)
                    return outcome
                }
                budget.note(connection.messagesReceived)
                budget.credit(bytes: got)
                count += got
                // Saves a call that would only say that it wants input.
                if connection.inputLeft == 0, !connection.hasPendingInput {
                    return .wantsInput
                }
            }
            return .done
        }
    }

    mutating func completeHandshake(
        _ output: inout OutputSpan<UInt8>
    ) throws(TLSError) {
        try apply(.handshakeCompleted)
        hasCompleted = true
        connection.endHandshake()
        connection.beginCounting(limit: context.policy.limits.recordsPerKey)
        if early != nil { settleEarlyData() }
        var keyProblem: TLSError?
        if deliberation != nil {
            keyProblem = settlePresharedKeys()
            connection.uninstallDeliberation()
            record?.deliberation = nil
            deliberation = nil
        }
        if let outbox, let id = connection.resumedSessionID { outbox.noteResumed(id) }
        budget.begin(connection.messagesReceived)
        if let problem = keyProblem {
            _ = withWindows(Span(), &output) { $0.shutdown() }
            throw fail(with: problem)
        }
        if record?.kept != nil { adoptResumedVerdict() }
        guard context.role == .client,
            let problem = context.applicationProtocolRule.problem(
                with: connection.applicationProtocol
            )
        else { return }
        // A resumed session, whose server shows no certificate: it cannot be refused in the
        // handshake, and OpenSSL has no call for an alert behind it. This way the peer's stream ends
        // in good order at least.
        _ = withWindows(Span(), &output) { $0.shutdown() }
        throw fail(with: problem)
    }

    private mutating func apply(_ event: EngineState.Event) throws(TLSError) {
        do throws(EngineState.IllegalTransition) {
            try state.apply(event)
        } catch {
            throw TLSError(.engineClosed, phase: phase)
        }
    }

    /// Throws the failure of before, so that it is told as often as it is asked for.
    func requireUsable() throws(TLSError) {
        if let failure { throw failure }
    }

    /// Why the last step failed, and every later one will: no data can flow.
    package var stepFailure: TLSError {
        if let failure { return failure }
        let isEarly = state.phase == .idle || state.phase == .handshaking
        return TLSError(isEarly ? .handshakeIncomplete : .engineClosed, phase: phase)
    }

    /// The peer was asked for a KeyUpdate, which will not count against it.
    mutating func expectKeyUpdate() { budget.expect() }

    mutating func fail(with known: TLSError? = nil) -> TLSError {
        let error = known ?? classify(ErrorQueue.drain(), hasReceivedData: hasReceivedData)
        ErrorQueue.clear()
        try? state.apply(.fail)
        failure = error
        // Behind the handshake, in which anybody may name a session; a cut alone spoils none.
        if let outbox, hasCompleted, error.code != .truncated { outbox.forgetAll() }
        return error
    }
}

// Sendable: it is noncopyable, so whoever holds it is its only user.
extension TLSEngine: @unchecked Sendable {}
