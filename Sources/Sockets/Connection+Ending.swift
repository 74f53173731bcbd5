// How connections end: in good order, by a failure, by force, by a deadline.
//
// Whatever ends a connection first decides `closeReason`; everything later is told the same. What was
// sent last must reach the peer, so a connection that ends in good order, or with an alert, lingers:
// the sending side is shut, the rest is read and thrown away until the peer ends too, within
// `SocketLimits.shutdown` and `SocketLimits.lingerBytes`. Closing a descriptor with unread data makes
// the kernel send a reset, which can destroy what the peer has not read yet.

import SocketCore
import Synchronization

extension Connection {
    /// How the descriptor goes.
    enum Departure {
        /// After the peer has ended, or a bounded wait.
        case lingering
        /// At once, with a FIN (or a reset when data is unread).
        case quiet
        /// At once, with a reset.
        case abrupt
    }

    // MARK: Establishing

    /// Notes that the connection is ready for data.
    func establish() {
        let (waiting, mayBeReset) = state.withLock { s -> ([Waiter], Bool) in
            // Over already: those who wait have been told.
            guard s.advance(.established) else { return ([], false) }
            s.wasEstablished = true
            s.establishedAt = loop.now
            s.isStartingTLS = false
            s.handOnSessions()
            s.establishDeadline = nil
            if s.idleTimeout != nil { s.lastActivity = EventLoop.readClock() }
            if let next = s.nextDeadline { loop.arm(self, at: next) }
            defer { s.establishing = [] }
            return (s.establishing, s.mayBeReset)
        }
        for waiter in waiting { waiter.resume() }
        if mayBeReset { noticeReset() }
    }

    /// Waits until the connection is established.
    func waitUntilEstablished() async throws(SocketError) {
        while true {
            await withTaskCancellationHandler {
                await Waiter.suspend { waiter in
                    state.withLock { s -> Bool in
                        guard s.lifecycle.isPending, s.failure == nil, !Task.isCancelled else {
                            return false
                        }
                        s.establishing.append(waiter)
                        return true
                    }
                }
            } onCancel: {
                // All of them: the others look and wait again.
                let waiting = state.withLock { s in
                    defer { s.establishing = [] }
                    return s.establishing
                }
                for waiter in waiting { waiter.resume() }
            }
            let (failure, isPending) = state.withLock { s in
                (s.failure, s.lifecycle.isPending)
            }
            if let failure { throw failure }
            guard isPending else { return }
            guard !Task.isCancelled else {
                throw SocketError(.aborted, detail: "the task was cancelled")
            }
        }
    }

    // MARK: Closing

    /// Ends this side's sending: close_notify for TLS, a FIN for plain connections.
    ///
    /// - Parameter limit: The most tasks that may stand in line before it.
    /// - Throws: ``SocketError`` when what was written cannot be sent, or the task was cancelled.
    func shutdownWrite(limit: Int? = nil) async throws(SocketError) {
        var holdsTurn = false
        while true {
            let attempt = attemptShutdown(holdsTurn: holdsTurn)
            attempt.next?.resume()
            switch attempt.outcome {
            case .end, .bytes, .refused, .pause:
                endIfBothSidesHave()
                return
            case .failed: throw conclude()
            case .unready: try await waitUntilEstablished()
            case .wait, .inLine:
                limitGoodbye()
                holdsTurn = try await wait(.write, attempt.outcome, limit: limit)
            }
        }
    }

    /// Bounds the time for `close` to say what is left to say.
    private func limitGoodbye() {
        state.withLock { s in
            guard s.isClosing, s.lingerDeadline == nil else { return }
            s.lingerDeadline = EventLoop.readClock().advanced(by: limits.shutdown)
        }
        armTimer()
    }

    private func attemptShutdown(holdsTurn: Bool) -> Attempt {
        state.withLock { s in
            if s.writeTurn.isHeld, !holdsTurn, s.failure == nil {
                return Attempt(outcome: .inLine)
            }
            guard !s.lifecycle.isPending || s.failure != nil else {
                return Attempt(outcome: .unready)
            }
            let outcome: Attempt.Outcome =
                switch s.endSending() {
                case .done: .end
                case .failed: .failed
                case .wait, .pause: .wait
                }
            if case .wait = outcome {
                s.writeTurn.isHeld = true
                return Attempt(outcome: .wait)
            }
            return Attempt(outcome: outcome, next: holdsTurn ? s.writeTurn.release() : nil)
        }
    }

    /// Ends the connection in good order; what was written before is sent first.
    ///
    /// - Throws: ``SocketError`` when what was written, or the goodbye, could not be sent. The
    ///   connection is over then too.
    func close(reason: String?) async throws(SocketError) {
        let (isOver, isEstablished) = state.withLock { s in
            guard s.closeReason == nil else { return (true, false) }
            // From here on the end is decided here, and not by a body or a reader.
            s.isClosing = true
            return (false, s.lifecycle.isEstablished)
        }
        guard !isOver else { return }
        guard isEstablished else {
            end(.clean(reason), failure: .closed(reason), departure: .quiet)
            return
        }
        do throws(SocketError) {
            try await shutdownWrite(limit: .max)
        } catch {
            // Another call of `close` was first.
            guard error.code != .closed else { return }
            end(CloseReason(error), failure: error, departure: .abrupt)
            throw error
        }
        end(.clean(reason), failure: .closed(reason), departure: .lingering)
    }

    /// Ends a connection both of whose sides have ended in good order.
    func endIfBothSidesHave() {
        let isOver = state.withLock { s in
            guard s.hasSaidAll else { return false }
            s.hasRunOut = true
            return true
        }
        guard isOver else { return }
        end(.clean(nil), failure: .closed(nil), departure: .lingering)
    }

    /// Breaks the connection off.
    func abort(reason: String?) {
        end(
            .aborted(reason),
            failure: SocketError(.aborted, detail: reason),
            departure: .abrupt
        )
    }

    /// Gives the connection up without a word: its handle was dropped.
    func abandon() {
        end(
            .aborted("the socket was dropped"),
            failure: SocketError(.aborted, detail: "the socket was dropped"),
            departure: .quiet
        )
    }

    /// Ends the connection for the failure that was noted, and gives it to be thrown.
    func conclude() -> SocketError {
        let (failure, isOver) = state.withLock { s in
            (s.failure ?? SocketError(.closed), s.closeReason != nil)
        }
        guard !isOver else { return failure }
        // After a TLS failure an alert may be under way.
        end(
            CloseReason(failure),
            failure: failure,
            departure: failure.tls == nil ? .quiet : .lingering
        )
        return failure
    }

    /// Ends the connection, once; wakes everybody who waits for anything.
    func end(_ reason: CloseReason, failure: SocketError, departure: Departure = .quiet) {
        var aftermath = Aftermath()
        let isFirst = state.withLock { s -> Bool in
            guard s.closeReason == nil else { return false }
            s.closeReason = reason
            s.handOnSessions()
            if s.failure == nil { s.failure = failure }
            let phase = s.lifecycle.phase
            s.takeWaiters(into: &aftermath.waiters)
            s.takeTasks(into: &aftermath.tasks)
            aftermath.notices = s.onClosed
            s.onClosed = []
            aftermath.listener = s.listener.take()
            aftermath.admission = s.admission
            aftermath.rosterPlace = s.rosterPlace
            aftermath.wasArriving = s.isArriving
            s.isArriving = false
            aftermath.place = s.place
            s.place = nil
            aftermath.isGone = s.depart(departure, limits)
            s.tellEnd(reason, during: phase)
            aftermath.watch = s.watch
            return true
        }
        guard isFirst else { return }
        for task in aftermath.tasks { task.cancel() }
        for notice in aftermath.notices { notice() }
        if let (place, gate) = aftermath.place { gate.withdraw(place) }
        if let listener = aftermath.listener {
            if aftermath.wasArriving {
                leaveGate()
                listener.giveUp(self)
            }
            listener.forget(self, at: aftermath.rosterPlace, aftermath.admission)
        }
        for waiter in aftermath.waiters { waiter.resume() }
        aftermath.watch?.feed.finish()
        if aftermath.isGone {
            loop.retire(self)
        } else {
            armTimer()
            linger()
        }
    }

    /// What is left to do once the lock is released.
    private struct Aftermath: ~Copyable {
        var waiters: [Waiter] = []
        var tasks: [Task<Void, Never>] = []
        var notices: [@Sendable () -> Void] = []
        var watch: ConnectionWatch?
        var isGone = false
        var place: (HandshakeGate.Place, HandshakeGate)?
        var listener: ListenerCore?
        var admission = ListenerAdmission.Ticket(key: nil)
        var rosterPlace = 0
        var wasArriving = false
    }

    /// Waits for the end.
    func waitUntilClosed() async -> CloseReason {
        while true {
            if let reason = state.withLock({ $0.closeReason }) { return reason }
            await Waiter.suspend { waiter in
                let mustWait = state.withLock { s -> Bool in
                    guard s.closeReason == nil else { return false }
                    s.closing.append(waiter)
                    return true
                }
                return mustWait
            }
        }
    }

    /// Reads and throws away until the peer has ended or a bound is reached.
    func linger() {
        let isDone = state.withLock { s -> Bool in
            guard s.lifecycle.phase == .lingering else { return false }
            s.sendLastBytes()
            let scratch = unsafe ThreadScratch.input()
            while s.lingerBytesLeft > 0 {
                let count = unsafe Syscalls.receive(s.descriptor, into: scratch)
                if count > 0 {
                    s.lingerBytesLeft -= count
                    continue
                }
                if count == 0, !s.hasSentEnd { return false }
                if Errno(result: count) == .wouldBlock { return false }
                break
            }
            s.closeDescriptor()
            return true
        }
        if isDone { loop.retire(self) }
    }

    /// Ends the connection behind data that was read, if it has failed or a reset is all that is left.
    @inline(never)
    func endIfOver() {
        if state.withLock({ $0.failure != nil }) {
            _ = conclude()
        } else {
            noticeReset()
        }
    }

    /// A reset or hang-up that came while nobody reads or writes must still end the connection.
    func noticeReset() {
        let isReset = state.withLock { s -> Bool in
            guard s.failure == nil else { return false }
            if s.isDeciding {
                // What came before it would be read once the application has decided; for nobody.
                guard let errno = StreamSocket.pendingError(s.descriptor) else { return false }
                s.fail(errno, "recv")
                return true
            }
            guard s.lifecycle.isEstablished else { return false }
            // Who has said goodbye and gone waits for no answer (RFC 8446 §6.1): ours met nobody, and
            // whoever sent it is about to end the connection.
            guard !s.hasSaidGoodbyes else { return false }
            // The peer's goodbye came with the last data, and is for whoever reads next.
            guard !s.lifecycle.canRead || s.engine?.peerHasClosed != true else { return false }
            // Data that came before the reset can still be read; without it there is nothing left.
            let unread = try? Syscalls.unreadBytes(s.descriptor)
            let isEmpty = s.inbound.isEmpty && !s.mayHavePlaintext && (unread ?? 0) == 0
            guard isEmpty || s.takeInMessages() else { return s.failure != nil }
            guard let errno = StreamSocket.pendingError(s.descriptor) else { return false }
            // EPIPE is a reset behind a FIN: without close_notify, the FIN was a cut.
            let isCut = errno == .brokenPipe && s.isTLS && s.engine?.peerHasClosed == false
            if isCut {
                s.failure = SocketError(.truncated, address: s.remote, phase: .open)
            } else {
                s.fail(errno, "recv")
            }
            return true
        }
        if isReset { _ = conclude() }
    }

    // MARK: Deadlines

    /// Sets the loop's timer to the next deadline.
    func armTimer() {
        state.withLock { s in
            guard let next = s.nextDeadline else { return }
            // Under the lock: of two tasks that set deadlines, the later one must not undo the other.
            loop.arm(self, at: next)
        }
    }

    func checkDeadlines() {
        let now = EventLoop.readClock()
        let (timeout, isLingerOver) = state.withLock { s -> (SocketError?, Bool) in
            if let deadline = s.lingerDeadline, deadline <= now { return (nil, true) }
            if let deadline = s.establishDeadline, deadline <= now {
                let code: SocketError.Code =
                    switch s.lifecycle.phase {
                    case .connecting: .connectTimedOut
                    case .handshaking, .upgrading: .handshakeTimedOut
                    case .open, .readEnded, .writeEnded, .ended, .lingering, .closed:
                        .responseTimedOut
                    }
                let error = SocketError(
                    code,
                    address: s.remote,
                    phase: s.engine?.phase ?? (s.wasEstablished ? .open : s.connectPhase)
                )
                return (error.adding(report: s.engine?.report), false)
            }
            if let deadline = s.idleDeadline, deadline <= now {
                return (SocketError(.idleTimedOut, address: s.remote, phase: .open), false)
            }
            return (nil, false)
        }
        if let timeout {
            end(.timedOut(timeout), failure: timeout, departure: .quiet)
        } else if isLingerOver {
            finishLingering()
        } else {
            armTimer()
        }
    }

    /// The time for a goodbye is over.
    private func finishLingering() {
        // Only if `close` still waits to say it: what was written has not left then.
        abort(reason: "the peer did not take the last bytes in time")
        let isGone = state.withLock { s -> Bool in
            guard s.lifecycle.phase == .lingering else { return false }
            s.closeDescriptor()
            return true
        }
        if isGone { loop.retire(self) }
    }
}

extension Connection.Storage {
    /// Takes in what is unread as far as it is TLS's own, such as a ticket that nobody waits for.
    ///
    /// - Returns: Whether that was all; otherwise there is something for a reader.
    mutating func takeInMessages() -> Bool {
        guard isTLS else { return false }
        isDrained = false
        // Bounded: so many messages without data would be over the engine's budget.
        for _ in 0..<16 {
            var window = unsafe inbound.bytes
            let isSpilled = !inbound.isEmpty
            let unread = (try? Syscalls.unreadBytes(descriptor)) ?? 0
            guard isSpilled || mayHavePlaintext || unread > 0 else { return true }
            if !isSpilled, !mayHavePlaintext {
                guard case .bytes(let count) = fetch(atMost: min(unread, 16 << 10)) else {
                    return false
                }
                unsafe window = scratchWindow(count)
            }
            let answers = unsafe ThreadScratch.output().assumingMemoryBound(to: UInt8.self)
            // Who has reset the connection hears no answers.
            var output = unsafe OutputSpan(buffer: answers, initializedCount: 0)
            let input = unsafe Span(_unsafeElements: window)
            let taken = engine?.takeInMessages(input, producing: &output)
            _ = unsafe output.finalize(for: answers)
            unsafe keep(window, consumed: taken?.consumed ?? 0, isSpilled: isSpilled)
            mayHavePlaintext = taken?.hasMore ?? false
            guard inbound.isEmpty, !mayHavePlaintext else { return false }
        }
        return false
    }

    /// The first of the deadlines that are set.
    var nextDeadline: LoopInstant? {
        var next = establishDeadline
        if let other = lingerDeadline { next = min(next ?? other, other) }
        if let other = idleDeadline { next = min(next ?? other, other) }
        return next
    }

    var idleDeadline: LoopInstant? {
        guard let idleTimeout, lifecycle.isEstablished else { return nil }
        return lastActivity.advanced(by: idleTimeout)
    }

    /// Gives out everybody who waits for anything.
    fileprivate mutating func takeWaiters(into waiters: inout [Waiter]) {
        readTurn.takeAll(into: &waiters)
        writeTurn.takeAll(into: &waiters)
        if !establishing.isEmpty { waiters += establishing }
        if !closing.isEmpty { waiters += closing }
        establishing = []
        closing = []
        if let waiter = openQuestion?.waiter.take() { waiters.append(waiter) }
        if let waiter = lateRequest?.waiter.take() { waiters.append(waiter) }
    }

    /// Gives out the tasks that work for the connection alone.
    fileprivate mutating func takeTasks(into tasks: inout [Task<Void, Never>]) {
        if let task = openQuestion.take()?.task { tasks.append(task) }
        if let task = connectTask.take() { tasks.append(task) }
        if let task = bodyTask.take() { tasks.append(task) }
    }

    /// Whether both sides have ended in good order, all was sent, and nobody is busy closing.
    var hasSaidAll: Bool {
        lifecycle.phase == .ended && outbound.isEmpty && !writeTurn.isHeld && !isClosing
            && failure == nil
    }

    /// Whether both sides have said goodbye in TLS, and all of ours was sent.
    var hasSaidGoodbyes: Bool {
        // Mutating, as an engine cannot be copied out of an optional to ask it.
        mutating get {
            isTLS && lifecycle.phase == .ended && outbound.isEmpty
                ? engine?.peerHasClosed == true : false
        }
    }

    /// Says that this side sends no more; again, to send what is left of that.
    mutating func endSending() -> SendStep {
        if isBatched { _ = flush() }
        guard failure == nil else { return .failed }
        guard lifecycle.canWrite else { return flush() }
        advance(.localEnded)
        guard isTLS else {
            // A connection that the peer has reset meanwhile has nothing to shut.
            try? StreamSocket.shutdownWrite(descriptor)
            return .done
        }
        let hasSentAll = outbound.isEmpty
        let progress = runEngine { engine, output throws(TLSError) in
            try engine?.close(producing: &output)
        }
        if hasSentAll, failure?.category == .network, engine?.peerHasClosed == true {
            // Who has said goodbye and gone waits for no answer (RFC 8446 §6.1).
            failure = nil
            return .done
        }
        guard progress != nil, failure == nil else { return .failed }
        return outbound.isEmpty ? .done : .wait
    }

    /// Sends what is left, and a FIN behind it.
    mutating func sendLastBytes() {
        guard !hasSentEnd else { return }
        // Whether that fails does not matter any more.
        guard case .wait = flush() else {
            // Behind the peer's end there is nothing to wait for: closing sends the FIN.
            if !transportEnded { try? StreamSocket.shutdownWrite(descriptor) }
            hasSentEnd = true
            return
        }
    }

    /// Lets the descriptor go, or has it linger.
    ///
    /// - Returns: Whether it is gone.
    mutating func depart(_ departure: Connection.Departure, _ limits: SocketLimits) -> Bool {
        guard descriptor >= 0 else {
            try? lifecycle.apply(.finish)
            return true
        }
        switch departure {
        case .quiet: if isBatched { _ = flush() }
        case .abrupt: try? StreamSocket.setResetOnClose(descriptor)
        case .lingering:
            sendLastBytes()
            guard !transportEnded || !hasSentEnd else { break }
            try? lifecycle.apply(.linger)
            lingerBytesLeft = limits.lingerBytes
            if lingerDeadline == nil {
                lingerDeadline = EventLoop.readClock().advanced(by: limits.shutdown)
            }
            establishDeadline = nil
            return false
        }
        closeDescriptor()
        return true
    }

    /// Closes the descriptor; what TCP counted is kept.
    mutating func closeDescriptor() {
        finalStatistics = TCPStatistics.read(descriptor)
        Syscalls.close(descriptor)
        descriptor = -1
        inbound = ByteSpill()
        outbound = ByteSpill()
        engine?.releaseBuffers()
        try? lifecycle.apply(.finish)
    }
}
