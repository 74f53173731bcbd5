// One `SSL` and its buffer BIO: the four calls of a connection's life, and their outcomes without
// interpretation. Windows into the caller's memory are set for the length of one call.
//
// `ERR_clear_error` before every call costs 3.5 % of a small echo. It is needed only where a stale
// entry could mislead `SSL_get_error`, which is never asked here: the BIO knows whether it ran dry
// or full, the shutdown flags tell a close_notify, and everything else is a failure.

import CExternalKey
import COpenSSL
import CTLSTransport

/// What one OpenSSL call came to.
enum StepOutcome {
    case done
    /// The in window ran dry.
    case wantsInput
    /// The out window is full.
    case wantsOutput
    /// The peer's close_notify was read.
    case ended
    /// The error queue tells.
    case failed
}

@safe
struct SSLConnection: ~Copyable {
    // Safe: both live until deinit; OpenSSL frees the transport with the SSL.
    let ssl: OpaquePointer
    let transport: UnsafeMutablePointer<ctls_transport>
    /// Small inputs since the last large one, or since the buffers were given back; up to
    /// `streakOfSmall`.
    private var smallInputs: UInt8 = 0
    private var readsAhead = false
    /// Whether buffers are kept within a step, see `setSeries`.
    private var isInSeries = false
    /// Whether the last input was of large records: the next had better come from a ``CiphertextSource``.
    private(set) var expectsLarge = false
    /// Where a handshake waits whose private key is elsewhere; nil in most, and behind it.
    private var external: OpaquePointer?

    /// Makes a connection from a context.
    ///
    /// - Parameters:
    ///   - context: The configuration; OpenSSL keeps a reference of its own to what it needs.
    ///   - record: Where the verdict on the peer goes; must outlive the connection.
    ///   - deliberation: Where the owner's decisions are; must outlive the connection.
    /// - Throws: ``TLSError`` `.internalError` when out of memory.
    init(
        context: TLSContext,
        record: VerificationRecord?,
        deliberation: Deliberation?
    ) throws(TLSError) {
        ErrorQueue.clear()
        guard let ssl = unsafe SSL_new(context.handle.pointer) else {
            throw ErrorQueue.error(.internalError)
        }
        guard let transport = unsafe ctls_transport_attach(ssl) else {
            unsafe SSL_free(ssl)
            throw ErrorQueue.error(.internalError)
        }
        unsafe self.ssl = ssl
        unsafe self.transport = transport
        switch context.role {
        case .client: unsafe SSL_set_connect_state(ssl)
        case .server:
            unsafe SSL_set_accept_state(ssl)
            unsafe transport.pointee.client_hello_due = 1
            let limit = UInt64(context.policy.limits.clientHelloBytes)
            unsafe transport.pointee.client_hello_limit = limit
        }
        if let record {
            let pointer = unsafe Unmanaged.passUnretained(record).toOpaque()
            unsafe SSL_set_ex_data(ssl, Callbacks.recordIndex, pointer)
        }
        if let deliberation { install(deliberation) }
    }

    deinit {
        unsafe cek_handshake_free(external)
        // Without it OpenSSL takes the session out of a server's cache (see `setEarlyData`): how a
        // connection ends says nothing about the session, which has failed by then if it was to.
        unsafe SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)
        unsafe SSL_free(ssl)
    }

    /// The counters and notes of the BIO.
    var notes: ctls_transport { unsafe transport.pointee }

    /// Handshake messages received so far, those after the handshake included.
    @inline(__always)
    var messagesReceived: UInt32 { unsafe transport.pointee.messages_in }

    /// Ends what is counted and limited during the handshake only.
    mutating func endHandshake() {
        unsafe transport.pointee.handshake_done = 1
        unsafe transport.pointee.client_hello_due = 0
    }

    /// Notes an alert that was said without OpenSSL.
    mutating func noteAlertSent(_ alert: Alert) {
        let note = CInt(alert.level.rawValue) << 8 | CInt(alert.code)
        unsafe transport.pointee.last_alert_sent = note
        unsafe transport.pointee.bytes_out += 7
        unsafe transport.pointee.passed?(transport.pointee.passed_owner, CTLS_ALERT_SENT, note)
    }

    /// Bytes of ciphertext received so far.
    @inline(__always)
    var bytesReceived: Int { Int(truncatingIfNeeded: unsafe transport.pointee.bytes_in) }

    /// Bytes of a record with 16 KiB of the peer's data, as far as one has come.
    @inline(__always)
    var fullRecord: Int { Int(unsafe transport.pointee.full_record_in) }

    /// Tells the BIO that no more ciphertext will come.
    mutating func setEndOfInput() {
        unsafe transport.pointee.end_of_input = 1
    }

    /// Points the windows at memory; `release` takes the results.
    @inline(__always)
    mutating func lend(
        _ input: UnsafeBufferPointer<UInt8>,
        _ output: UnsafeMutableBufferPointer<UInt8>,
        _ outputCount: Int
    ) {
        unsafe transport.pointee.in = input.baseAddress
        unsafe transport.pointee.in_offset = 0
        unsafe transport.pointee.in_length = input.count
        unsafe transport.pointee.out = output.baseAddress
        unsafe transport.pointee.out_length = outputCount
        unsafe transport.pointee.out_capacity = output.count
    }

    /// Has one step give its output to a sink before the window.
    mutating func setSink(_ sink: CiphertextSink) {
        unsafe transport.pointee.sink = sink.send
        unsafe transport.pointee.sink_descriptor = sink.descriptor
        unsafe transport.pointee.sink_result = 0
    }

    /// Takes the sink back.
    ///
    /// - Returns: 0 when it took everything, 1 when not, otherwise its negative errno.
    mutating func takeSinkResult() -> Int {
        unsafe transport.pointee.sink = nil
        return unsafe transport.pointee.sink_result
    }

    /// Takes the windows back.
    ///
    /// - Returns: Input bytes consumed, and the new number of output bytes.
    @inline(__always)
    mutating func release() -> (consumed: Int, outputCount: Int) {
        let result = unsafe (transport.pointee.in_offset, transport.pointee.out_length)
        unsafe transport.pointee.in_length = 0
        unsafe transport.pointee.out_length = 0
        unsafe transport.pointee.out_capacity = 0
        return result
    }

    /// Input bytes that were lent and not yet consumed.
    @inline(__always)
    var inputLeft: Int { unsafe transport.pointee.in_length }

    /// Whether OpenSSL holds received bytes that it has not delivered, decrypted or not.
    @inline(__always)
    var hasPendingInput: Bool { unsafe SSL_has_pending(ssl) == 1 }

    /// Whether OpenSSL keeps its record buffers from one record to the next.
    @inline(__always)
    var keepsBuffers: Bool { smallInputs == SSLConnection.streakOfSmall }

    /// Sets OpenSSL up for an input of a size.
    ///
    /// - A small input is taken at once (`SSL_set_read_ahead`) instead of header and body one by one,
    ///   which saves a call into the BIO; a large window would be copied once more at the seams. From
    ///   a source every input is taken so, or each record would be two calls.
    /// - Record buffers, 33 KiB, are given back after every record (`SSL_MODE_RELEASE_BUFFERS`) until
    ///   the connection is in lively conversation: that costs 1,300 instructions a small echo. Large
    ///   records do better with buffers that the last connection left in the cache.
    @inline(__always)
    mutating func adapt(to count: Int, fromSource: Bool = false) {
        let isSmall = count <= TLSEngine.smallInputMax
        guard count > 0, !(isSmall && keepsBuffers) else { return }
        adaptAnew(isSmall: isSmall, fromSource: fromSource)
    }

    private mutating func adaptAnew(isSmall: Bool, fromSource: Bool) {
        readAhead(isSmall || fromSource)
        let record = unsafe transport.pointee.last_record_in
        expectsLarge = !isSmall && record >= SSLConnection.largeRecord
        if isSmall {
            smallInputs += 1
            if keepsBuffers { unsafe cssl_clear_mode(ssl, Int(SSL_MODE_RELEASE_BUFFERS)) }
        } else {
            startReleasingBuffers()
        }
    }

    private mutating func readAhead(_ isOn: Bool) {
        guard isOn != readsAhead else { return }
        readsAhead = isOn
        unsafe SSL_set_read_ahead(ssl, isOn ? 1 : 0)
    }

    private mutating func startReleasingBuffers() {
        if keepsBuffers { unsafe cssl_set_mode(ssl, Int(SSL_MODE_RELEASE_BUFFERS)) }
        smallInputs = 0
    }

    /// Has OpenSSL keep a record's buffer for the next one of the same step.
    ///
    /// - Parameter hasNext: Whether another record comes behind the one that is due; false at the step's end.
    @inline(__always)
    mutating func setSeries(_ hasNext: Bool) {
        if hasNext != isInSeries { setSeriesAnew(hasNext) }
    }

    private mutating func setSeriesAnew(_ hasNext: Bool) {
        isInSeries = hasNext
        guard !keepsBuffers else { return }
        if hasNext {
            unsafe cssl_clear_mode(ssl, Int(SSL_MODE_RELEASE_BUFFERS))
        } else {
            unsafe cssl_set_mode(ssl, Int(SSL_MODE_RELEASE_BUFFERS))
        }
    }

    /// The least bytes of a large record: of smaller ones a window holds more than OpenSSL's buffer.
    private static let largeRecord: UInt32 = 8192
    /// Small inputs in a row that make a lively conversation.
    private static let streakOfSmall: UInt8 = 16

    /// Has one step take its input from a source, when the window has none.
    mutating func setSource(_ source: CiphertextSource) {
        readAhead(true)
        unsafe transport.pointee.source = source.receive
        unsafe transport.pointee.source_descriptor = source.descriptor
        unsafe transport.pointee.source_left = source.limit
        unsafe transport.pointee.source_result = 1
        unsafe transport.pointee.source_dry = 0
    }

    /// Takes the source back.
    mutating func takeSourceOutcome() -> CiphertextSource.Outcome {
        unsafe transport.pointee.source = nil
        return unsafe CiphertextSource.Outcome(
            result: transport.pointee.source_result,
            isDry: transport.pointee.source_dry == 1
        )
    }

    /// Free space in the window lent for output.
    @inline(__always)
    var outputRoom: Int { unsafe transport.pointee.out_capacity - transport.pointee.out_length }

    /// Decrypted bytes that OpenSSL holds.
    @inline(__always)
    var pendingPlaintext: Int { Int(unsafe SSL_pending(ssl)) }

    /// Takes the handshake as far as the input goes.
    mutating func handshake() -> StepOutcome {
        ErrorQueue.clear()
        prepare()
        let result = unsafe external == nil ? SSL_do_handshake(ssl) : stepElsewhere()
        guard result != 1 else { return .done }
        let outcome = outcome()
        if outcome == .failed { noteUnreadAlert() }
        return outcome
    }

    // MARK: A private key that is elsewhere

    /// Has handshakes wait where they need a signature.
    ///
    /// Out of memory they fail there.
    mutating func signElsewhere() {
        if unsafe external == nil { unsafe external = cek_handshake_new() }
    }

    /// The handshake is done: nothing waits any more.
    mutating func signElsewhereNoMore() {
        unsafe cek_handshake_free(external)
        unsafe external = nil
    }

    /// What the handshake waits for; nil when it does not.
    var wantedSignature: cek_request? {
        guard let external = unsafe external, let request = unsafe cek_handshake_request(external)
        else { return nil }
        return unsafe request.pointee
    }

    /// Gives the signature that the next step goes on with; none lets it fail.
    mutating func answer(signature: [UInt8]) {
        guard let external = unsafe external else { return }
        // Out of memory it is as if there were none.
        _ = unsafe cek_handshake_answer(external, signature, signature.count)
    }

    /// The step on a stack of its own.
    private mutating func stepElsewhere() -> CInt {
        let result = unsafe cek_handshake_step(external, ssl)
        guard result == CInt(CEK_WAITS) else {
            return result == CInt(CEK_NO_MEMORY) ? -1 : result
        }
        // The rest may come on another thread.
        ErrorQueue.clear()
        unsafe transport.pointee.wants_input = 1
        return -1
    }

    /// Whether the last record is an alert that OpenSSL did not read.
    ///
    /// A client that fails before it knows the version sends its alert under an older one than the
    /// server has chosen by then. OpenSSL sees that it is an alert, and gives up at its header.
    var hasUnreadAlert: Bool {
        unsafe Int32(transport.pointee.last_record_type) == SSL3_RT_ALERT
            && transport.pointee.last_alert_received < 0
    }

    private mutating func noteUnreadAlert() {
        guard hasUnreadAlert, inputLeft >= 2, let input = unsafe transport.pointee.in else {
            return
        }
        let body = unsafe input + transport.pointee.in_offset
        let note = unsafe CInt(body[0]) << 8 | CInt(body[1])
        unsafe transport.pointee.last_alert_received = note
        unsafe transport.pointee.passed?(transport.pointee.passed_owner, CTLS_ALERT_RECEIVED, note)
    }

    @inline(__always)
    mutating func read(
        into memory: UnsafeMutableRawPointer,
        count: Int,
        got: inout Int
    ) -> StepOutcome {
        prepare()
        return unsafe SSL_read_ex(ssl, memory, count, &got) == 1 ? .done : outcome()
    }

    /// Reads records up to the first application data, which stays where it is.
    mutating func peek() -> StepOutcome {
        ErrorQueue.clear()
        prepare()
        var byte: UInt8 = 0
        var got = 0
        return unsafe SSL_peek_ex(ssl, &byte, 1, &got) == 1 ? .done : outcome()
    }

    @inline(__always)
    mutating func write(
        _ memory: UnsafeRawPointer,
        count: Int,
        put: inout Int
    ) -> StepOutcome {
        prepare()
        return unsafe SSL_write_ex(ssl, memory, count, &put) == 1 ? .done : outcome()
    }

    /// Sends close_notify.
    mutating func shutdown() -> StepOutcome {
        ErrorQueue.clear()
        prepare()
        // 0: sent, the peer's has not come; 1: both.
        return unsafe SSL_shutdown(ssl) >= 0 ? .done : outcome()
    }

    /// Has OpenSSL say unexpected_message to a peer whose messages are no longer taken.
    ///
    /// There is no call for it: OpenSSL meets a record of a type that does not exist, and says so
    /// (RFC 8446 §5). Behind a TLS 1.2 handshake it would say something else, so nothing is said.
    mutating func refuseMessages() -> StepOutcome {
        guard unsafe SSL_version(ssl) == TLS1_3_VERSION || SSL_is_init_finished(ssl) == 0 else {
            return .failed
        }
        prepare()
        let record: [UInt8] = [99, 3, 3, 0, 1, 0]
        var rest = [UInt8](repeating: 0, count: TLSEngine.recordPlaintextMax)
        return unsafe record.withUnsafeBufferPointer { record in
            unsafe transport.pointee.in = record.baseAddress
            unsafe transport.pointee.in_offset = 0
            unsafe transport.pointee.in_length = record.count
            defer { unsafe transport.pointee.in_length = 0 }
            // The data of the record at hand comes first.
            for _ in 0..<2 {
                var got = 0
                let result = unsafe SSL_read_ex(ssl, &rest, rest.count, &got)
                if result != 1 { return outcome() }
            }
            return .done
        }
    }

    /// Gives OpenSSL's read and write buffers back, unless something is under way.
    ///
    /// Behind the header of a record OpenSSL before 3.0.14, 3.1.6, 3.2.2 and 3.3.1 frees the buffer that
    /// it goes on reading into (CVE-2024-4741), and a peer decides where a record stops. In a handshake
    /// that waits on a stack of its own it is in the middle of a call.
    ///
    /// - Returns: Whether nothing was under way.
    mutating func freeBuffers() -> Bool {
        startReleasingBuffers()
        let isInRecord = unsafe SSL_rstate_string(ssl)[1] == UInt8(ascii: "B")
        return unsafe external == nil && !isInRecord && SSL_free_buffers(ssl) == 1
    }

    @inline(__always)
    mutating func prepare() {
        unsafe transport.pointee.wants_input = 0
        unsafe transport.pointee.wants_output = 0
    }

    func outcome() -> StepOutcome {
        if unsafe transport.pointee.wants_input == 1 { return .wantsInput }
        if unsafe transport.pointee.wants_output == 1 { return .wantsOutput }
        let closeNotify = Int32(SSL3_AL_WARNING) << 8
        let hasEnded = unsafe SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN != 0
        let lastAlert = unsafe transport.pointee.last_alert_received
        return hasEnded && lastAlert == closeNotify ? .ended : .failed
    }
}
