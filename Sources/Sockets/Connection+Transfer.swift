// Moving bytes: every step here runs under the connection's lock, returns at once, and says in its
// result what the caller does next. Nothing here suspends.

import SocketCore
import Synchronization

/// The caller's memory on its way into the lock: valid until the call returns.
@safe
struct LentMemory<Memory>: @unchecked Sendable {
    // Sendable: it is used by the caller's thread, under the lock, and not kept.
    let memory: Memory

    init(_ memory: Memory) {
        self.memory = memory
    }
}

/// What one attempt to receive came to.
enum ReceiveStep {
    /// So many bytes, at least one, are in the caller's buffer.
    case bytes(Int)
    /// The peer sends no more.
    case end
    /// Nothing is there: wait for readability.
    case wait
    /// ``Connection/Storage/failure`` tells.
    case failed
}

/// What one attempt to send came to.
enum SendStep {
    /// Everything was handed to the kernel, or will be at the end of the loop's turn.
    case done
    /// The kernel's buffer is full: wait for writability.
    case wait
    /// Much was sent without a wait: let others on the loop have their turn.
    case pause
    /// ``Connection/Storage/failure`` tells.
    case failed
}

extension Connection.Storage {
    // MARK: Receiving

    /// Receives application data.
    mutating func receive(into buffer: UnsafeMutableBufferPointer<UInt8>) -> ReceiveStep {
        guard failure == nil else { return hasRunOut ? .end : .failed }
        guard lifecycle.canRead else { return .end }
        let step = unsafe isTLS ? receiveTLS(buffer) : receivePlain(buffer)
        switch step {
        case .bytes(let count):
            countBurst(count)
            bytesReceived &+= UInt64(count)
            if idleTimeout != nil { lastActivity = EventLoop.readClock() }
        case .end: advance(.peerEnded)
        case .wait, .failed: break
        }
        return step
    }

    private mutating func receivePlain(
        _ buffer: UnsafeMutableBufferPointer<UInt8>
    ) -> ReceiveStep {
        guard !transportEnded else { return .end }
        guard !isDrained else { return .wait }
        let count = unsafe Syscalls.receive(descriptor, into: UnsafeMutableRawBufferPointer(buffer))
        guard count < 0 else {
            if count == 0 { transportEnded = true }
            if count < buffer.count, !hasHungUp { isDrained = true }
            return count == 0 ? .end : .bytes(count)
        }
        return noteReceiveFailure(count)
    }

    private mutating func receiveTLS(
        _ buffer: UnsafeMutableBufferPointer<UInt8>
    ) -> ReceiveStep {
        while true {
            var window = unsafe inbound.bytes
            let isSpilled = !inbound.isEmpty
            if !isSpilled, !mayHavePlaintext {
                if expectsLarge, !transportEnded {
                    if let step = unsafe receiveDirectly(buffer) { return step }
                    continue
                }
                // What the caller can take, and the records around it; leftovers would be copied.
                let wanted = max(17 << 10, buffer.count + buffer.count / 64 + 512)
                switch fetch(atMost: wanted) {
                case .bytes(let count):
                    unsafe window = scratchWindow(count)
                case .end: break
                case .wait: return .wait
                case .failed: return .failed
                }
            }
            var received = 0
            let unsent = isBatched ? 0 : outbound.count
            let progress = unsafe decrypt(window, into: buffer, received: &received)
            if lateRequest != nil { lateRequest?.notice() }
            guard let progress, mayOweAnswers(since: unsent) else { return .failed }
            unsafe keep(window, consumed: progress.consumed, isSpilled: isSpilled)
            mayHavePlaintext = progress.wants == .nothing
            if window.count > TLSEngine.smallInputMax {
                expectsLarge = engine?.expectsLargeInput == true
            }
            if progress.wants == .closed { transportEnded = true }
            if received > 0 { return .bytes(received) }
            if progress.wants == .closed { return .end }
        }
    }

    /// Counts the answers that the kernel did not take; false when they are too many.
    @inline(__always)
    mutating func mayOweAnswers(since before: Int) -> Bool {
        guard !outbound.isEmpty, !isBatched else { return true }
        unsentAnswers += outbound.count - before
        guard unsentAnswers > pendingAnswers, failure == nil else { return true }
        noteUnreadAnswers()
        return false
    }

    @inline(never)
    private mutating func noteUnreadAnswers() {
        failure = SocketError(
            .limitExceeded,
            detail: "the peer does not read what it asked for",
            address: remote,
            phase: .open,
            report: engine?.report
        )
    }

    /// What `fetch` read, in the thread's scratch.
    func scratchWindow(_ count: Int) -> UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(
            rebasing: ThreadScratch.input().assumingMemoryBound(to: UInt8.self)[..<count]
        )
    }

    /// Reads ciphertext into the thread's scratch.
    mutating func fetch(atMost wanted: Int) -> ReceiveStep {
        guard !transportEnded else { return .end }
        guard !isDrained else { return .wait }
        let scratch = unsafe ThreadScratch.input()
        let limit = min(wanted, scratch.count)
        let count = unsafe Syscalls.receive(
            descriptor,
            into: UnsafeMutableRawBufferPointer(rebasing: scratch[..<limit])
        )
        guard count <= 0 else {
            if count < limit, !hasHungUp { isDrained = true }
            engine?.noteTime(.nanoseconds(Int64(clamping: EventLoop.readClock().nanoseconds)))
            return .bytes(count)
        }
        guard count < 0 else {
            transportEnded = true
            engine?.endOfInput()
            return .end
        }
        return noteReceiveFailure(count)
    }

    /// Keeps what the engine did not consume.
    mutating func keep(
        _ window: UnsafeBufferPointer<UInt8>,
        consumed: Int,
        isSpilled: Bool
    ) {
        if isSpilled {
            inbound.removeFirst(consumed)
        } else if consumed < window.count {
            unsafe inbound.append(UnsafeBufferPointer(rebasing: window[consumed...]))
        }
    }

    /// Takes in why `recv` failed.
    ///
    /// Linux says EPIPE for a reset behind a FIN: the stream had ended before, and that is what a
    /// reader is told. That this side's last bytes were lost shows where it sends.
    mutating func noteReceiveFailure(_ result: Int) -> ReceiveStep {
        switch Errno(result: result) {
        case .wouldBlock:
            isDrained = true
            return .wait
        case .brokenPipe:
            transportEnded = true
            engine?.endOfInput()
            return .end
        case let errno:
            fail(errno, "recv")
            return .failed
        }
    }

    // MARK: Sending

    /// Sends application data from an offset on, and moves the offset.
    ///
    /// Done means that every byte up to the end was handed to the kernel, or, small and on a loop with
    /// other work, leaves at the end of its turn.
    mutating func send(
        _ bytes: UnsafeBufferPointer<UInt8>,
        from offset: inout Int
    ) -> SendStep {
        guard failure == nil else { return .failed }
        if !outbound.isEmpty, !isBatched {
            let step = flush()
            guard case .done = step else { return step }
        }
        let start = offset
        let step = unsafe isTLS ? sendTLS(bytes, &offset) : sendPlain(bytes, &offset)
        if offset > start {
            bytesSent &+= UInt64(offset - start)
            if idleTimeout != nil { lastActivity = EventLoop.readClock() }
        }
        return step
    }

    private mutating func sendPlain(
        _ bytes: UnsafeBufferPointer<UInt8>,
        _ offset: inout Int
    ) -> SendStep {
        while offset < bytes.count {
            guard !isFull else { return .wait }
            guard burst < Connection.Storage.burstMax else { return .pause }
            let rest = unsafe UnsafeRawBufferPointer(
                rebasing: UnsafeRawBufferPointer(bytes)[offset...]
            )
            let count = unsafe Syscalls.send(descriptor, rest)
            if count >= 0 {
                offset += count
                countBurst(count)
            } else if !noteSendFailure(count) {
                return .failed
            }
        }
        return .done
    }

    private mutating func sendTLS(
        _ bytes: UnsafeBufferPointer<UInt8>,
        _ offset: inout Int
    ) -> SendStep {
        while offset < bytes.count {
            guard burst < Connection.Storage.burstMax else { return .pause }
            let end = min(bytes.count, offset + Connection.Storage.stepMax)
            let rest = unsafe UnsafeBufferPointer(rebasing: bytes[offset..<end])
            guard let progress = unsafe encrypt(rest) else { return .failed }
            offset += progress.consumed
            countBurst(progress.consumed)
            guard failure == nil else { return .failed }
            guard outbound.isEmpty || isBatched else { return .wait }
        }
        return .done
    }

    /// Takes in why `send` failed; true when it only would have blocked.
    mutating func noteSendFailure(_ result: Int) -> Bool {
        let errno = Errno(result: result)
        guard errno != .wouldBlock else {
            isFull = true
            return true
        }
        fail(errno, "send")
        return false
    }

    /// Sends what was left over.
    mutating func flush() -> SendStep {
        isBatched = false
        while !outbound.isEmpty {
            guard !isFull else { return .wait }
            let count = unsafe Syscalls.send(descriptor, UnsafeRawBufferPointer(outbound.bytes))
            if count >= 0 {
                outbound.removeFirst(count)
                if idleTimeout != nil { lastActivity = EventLoop.readClock() }
            } else if !noteSendFailure(count) {
                return .failed
            }
        }
        unsentAnswers = 0
        return .done
    }

    // MARK: The engine

    /// Runs one step of the engine and sends what it produced, also when it threw: that is the
    /// alert.
    ///
    /// - Returns: Nil when it threw; `failure` is set then.
    mutating func runEngine(
        _ step: (inout TLSEngine?, inout OutputSpan<UInt8>) throws(TLSError) -> TLSEngine.Progress?
    ) -> TLSEngine.Progress? {
        let scratch = unsafe ThreadScratch.output().assumingMemoryBound(to: UInt8.self)
        let (progress, count) = unsafe runEngine(scratch, step)
        unsafe transmit(scratch, count)
        return progress
    }

    /// Runs one step of the engine in the thread's scratch.
    ///
    /// - Returns: Nil when it threw, and the bytes it produced in any case.
    mutating func runEngine(
        _ scratch: UnsafeMutableBufferPointer<UInt8>,
        _ step: (inout TLSEngine?, inout OutputSpan<UInt8>) throws(TLSError) -> TLSEngine.Progress?
    ) -> (TLSEngine.Progress?, Int) {
        var output = unsafe OutputSpan(buffer: scratch, initializedCount: 0)
        var progress: TLSEngine.Progress?
        do throws(TLSError) {
            progress = try step(&engine, &output)
        } catch {
            noteFailure(error)
        }
        return (progress, unsafe output.finalize(for: scratch))
    }

    /// Decrypts; spelled out without a closure, since a span that a closure captures is boxed.
    ///
    /// - Returns: Nil when it failed; `failure` is set then.
    @inline(__always)
    private mutating func decrypt(
        _ window: UnsafeBufferPointer<UInt8>,
        into buffer: UnsafeMutableBufferPointer<UInt8>,
        received: inout Int
    ) -> TLSEngine.Progress? {
        let scratch = unsafe ThreadScratch.output().assumingMemoryBound(to: UInt8.self)
        var output = unsafe OutputSpan(buffer: scratch, initializedCount: 0)
        var plaintext = unsafe OutputSpan(buffer: buffer, initializedCount: 0)
        let input = unsafe Span(_unsafeElements: window)
        let progress = engine?.attemptReceive(input, into: &plaintext, producing: &output) ?? nil
        if progress == nil { noteEngineFailure() }
        received = unsafe plaintext.finalize(for: buffer)
        unsafe transmit(scratch, output.finalize(for: scratch))
        return progress
    }

    /// Encrypts, and sends what that gives.
    @inline(__always)
    private mutating func encrypt(_ bytes: UnsafeBufferPointer<UInt8>) -> TLSEngine.Progress? {
        // While others have work, small records of all leave together.
        if bytes.count <= LoopLimits.pieceBytes, outbound.count <= LoopLimits.pieceBytes, !isFull,
            let room = unsafe owner?.loop.batchRoom(outbound.count + bytes.count + 1024)
        {
            return unsafe encryptIntoBatch(bytes, room)
        }
        // A call for each record costs less than to copy and gather them.
        if bytes.count >= 512, outbound.isEmpty, !isFull {
            return unsafe encryptAndSend(bytes)
        }
        let scratch = unsafe ThreadScratch.output().assumingMemoryBound(to: UInt8.self)
        let before = unsafe isBatched ? takeBatched(scratch) : 0
        var output = unsafe OutputSpan(buffer: scratch, initializedCount: before)
        let input = unsafe Span(_unsafeElements: bytes)
        let progress = engine?.attemptSend(input, producing: &output) ?? nil
        if progress == nil { noteEngineFailure() }
        unsafe transmit(scratch, output.finalize(for: scratch))
        return progress
    }

    /// Encrypts into what leaves at the end of the loop's turn.
    private mutating func encryptIntoBatch(
        _ bytes: UnsafeBufferPointer<UInt8>,
        _ room: UnsafeMutableBufferPointer<UInt8>
    ) -> TLSEngine.Progress? {
        let before = unsafe isBatched ? takeBatched(room) : 0
        var output = unsafe OutputSpan(buffer: room, initializedCount: before)
        let input = unsafe Span(_unsafeElements: bytes)
        let progress = engine?.attemptSend(input, producing: &output) ?? nil
        let count = unsafe output.finalize(for: room)
        guard progress != nil else {
            noteEngineFailure()
            unsafe transmit(room, count)
            return nil
        }
        unsafe keepForBatch(room, count, isAwaited: true)
        return progress
    }

    /// Has a flight that the peer does not wait for leave at the end of the loop's turn.
    ///
    /// - Returns: False when it should leave at once.
    mutating func addToBatch(_ flight: UnsafeBufferPointer<UInt8>) -> Bool {
        guard outbound.isEmpty, !isFull, flight.count > 0, flight.count <= LoopLimits.pieceBytes,
            let room = unsafe owner?.loop.batchRoom(flight.count, evenIfAlone: true)
        else { return false }
        _ = unsafe room.update(fromContentsOf: flight)
        unsafe keepForBatch(room, flight.count, isAwaited: false)
        return true
    }

    private mutating func keepForBatch(
        _ room: UnsafeMutableBufferPointer<UInt8>,
        _ count: Int,
        isAwaited: Bool
    ) {
        guard count > 0, let owner = unsafe owner else { return }
        unsafe outbound.borrow(UnsafeMutableBufferPointer(rebasing: room[..<count]))
        isBatched = true
        owner.loop.addToBatch(owner, count, isAwaited: isAwaited)
    }

    /// Has records leave straight from the engine's buffer.
    private mutating func encryptAndSend(
        _ bytes: UnsafeBufferPointer<UInt8>
    ) -> TLSEngine.Progress? {
        let scratch = unsafe ThreadScratch.output().assumingMemoryBound(to: UInt8.self)
        var output = unsafe OutputSpan(buffer: scratch, initializedCount: 0)
        let input = unsafe Span(_unsafeElements: bytes)
        let sink = unsafe CiphertextSink(descriptor: descriptor, send: Syscalls.sendFunction)
        guard let (progress, result) = engine?.attemptSend(input, producing: &output, through: sink)
        else { return nil }
        if progress == nil { noteEngineFailure() }
        let rest = unsafe output.finalize(for: scratch)
        // A kernel that is full is found out again, behind what is left.
        guard result >= 0 || noteSendFailure(result) else { return progress }
        unsafe transmit(scratch, rest)
        return progress
    }

    /// Takes in why the engine failed, before its alert is sent: that it cannot be says less.
    private mutating func noteFailure(_ error: TLSError) {
        if failure == nil { failure = .tls(error, report: engine?.report) }
    }

    @inline(never)
    mutating func noteEngineFailure() {
        if let error = engine?.stepFailure { noteFailure(error) }
    }

    /// Sends what a step of the engine produced.
    @inline(__always)
    mutating func transmit(_ scratch: UnsafeMutableBufferPointer<UInt8>, _ count: Int) {
        guard count > 0 else { return }
        unsafe transmit(UnsafeBufferPointer(rebasing: scratch[..<count]))
    }

    /// Moves what was to leave later to the front of other output.
    ///
    /// - Returns: So many bytes.
    private mutating func takeBatched(_ output: UnsafeMutableBufferPointer<UInt8>) -> Int {
        isBatched = false
        let count = outbound.count
        _ = unsafe output.update(fromContentsOf: outbound.bytes)
        outbound.removeFirst(count)
        return count
    }

    /// Sends ciphertext behind what is left of before, and keeps what the kernel does not take.
    mutating func transmit(_ bytes: UnsafeBufferPointer<UInt8>) {
        defer { if isBatched { _ = flush() } }
        var sent = 0
        while outbound.isEmpty, !isFull, sent < bytes.count {
            let rest = unsafe UnsafeRawBufferPointer(
                rebasing: UnsafeRawBufferPointer(bytes)[sent...]
            )
            let count = unsafe Syscalls.send(descriptor, rest)
            if count >= 0 {
                sent += count
            } else if !noteSendFailure(count) {
                return
            }
        }
        unsafe outbound.append(UnsafeBufferPointer(rebasing: bytes[sent...]))
    }

    /// Takes in that a system call ended the connection.
    ///
    /// After a failed `send` the peer's last words are usually still there to be received: an alert
    /// says more than "broken pipe".
    mutating func fail(_ errno: Errno, _ call: String) {
        guard failure == nil else { return }
        if call == "send", let lastWords = receiveLastWords() {
            failure = lastWords
            return
        }
        let report = engine?.report
        failure = SocketError.system(errno, call, address: remote, phase: engine?.phase)
            .adding(report: report)
    }

    private mutating func receiveLastWords() -> SocketError? {
        guard isTLS else { return nil }
        let sink = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 16 << 10)
        defer { unsafe sink.deallocate() }
        let scratch = unsafe ThreadScratch.input()
        do throws(TLSError) {
            // What came before comes first, or the records would be out of order.
            let kept = unsafe inbound.bytes
            try unsafe feed(kept, sink)
            inbound.removeFirst(kept.count)
            // Bounded: the last words of a peer are few.
            for _ in 0..<8 {
                let count = unsafe Syscalls.receive(descriptor, into: scratch)
                guard count > 0 else { return nil }
                try unsafe feed(scratchWindow(count), sink)
            }
        } catch {
            return .tls(error, report: engine?.report)
        }
        return nil
    }

    /// Gives the engine ciphertext whose plaintext and answers nobody wants any more.
    mutating func feed(
        _ window: UnsafeBufferPointer<UInt8>,
        _ sink: UnsafeMutableBufferPointer<UInt8>
    ) throws(TLSError) {
        let answers = unsafe ThreadScratch.output().assumingMemoryBound(to: UInt8.self)
        var consumed = 0
        while consumed < window.count {
            let rest = unsafe Span(_unsafeElements: window).extracting(consumed..<window.count)
            var output = unsafe OutputSpan(buffer: answers, initializedCount: 0)
            var plaintext = unsafe OutputSpan(buffer: sink, initializedCount: 0)
            let progress =
                lifecycle.isPending
                ? try engine?.handshake(consuming: rest, producing: &output)
                : try engine?.receive(rest, into: &plaintext, producing: &output)
            guard let progress else { return }
            // A step that takes nothing may have been busy with a record of before.
            let hasGoneOn =
                progress.consumed > 0
                || (!lifecycle.isPending && progress.wants == .nothing)
            guard hasGoneOn else { return }
            consumed += progress.consumed
        }
    }
}

extension Errno {
    /// The error that a call of ``Syscalls`` returned as a negative number.
    init(result: Int) {
        self.init(rawValue: Int32(truncatingIfNeeded: -result))
    }
}

extension SocketError {
    /// The same error with a handshake's report.
    func adding(report: HandshakeReport?) -> SocketError {
        SocketError(
            code,
            detail: detail,
            hint: hint,
            address: address,
            errno: errno,
            systemCall: systemCall,
            tls: tls,
            phase: phase,
            report: report
        )
    }
}
