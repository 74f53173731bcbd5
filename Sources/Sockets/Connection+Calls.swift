// The calls that may wait: read, write and handshake. Each tries under the lock first; only when the
// kernel has nothing does the task suspend, and the lock is asked once more before it does, so that
// no wake-up is lost.
//
// Cancellation: a scope (a listener's handler, `withSocket`) covers its whole task with one handler
// that aborts the connection, so waits of that task need none of their own; setting one up costs
// more than the rest of the wait. Other tasks pay for a handler when they really wait.

import SocketCore
import Synchronization

extension Connection {
    // MARK: Reading

    /// Receives application data.
    ///
    /// - Returns: Bytes received, at least one; 0 at the end of the stream.
    func read(
        into buffer: inout MutableSpan<UInt8>,
        holdsTurn: Bool = false
    ) async throws(SocketError) -> Int {
        guard !buffer.isEmpty else { return 0 }
        var holdsTurn = holdsTurn
        while true {
            let attempt = unsafe buffer.withUnsafeMutableBufferPointer {
                unsafe self.attemptRead($0, holdsTurn: holdsTurn)
            }
            attempt.next?.resume()
            switch attempt.outcome {
            case .bytes(let count):
                if attempt.mayBeOver { endIfOver() }
                return count
            case .end:
                await endOfStream()
                return 0
            case .failed, .refused: throw conclude()
            case .wait, .inLine: holdsTurn = try await wait(.read, attempt.outcome)
            case .pause: await pause()
            case .unready: try await waitUntilEstablished()
            }
        }
    }

    /// Receives application data into memory of the right size.
    func read(upTo limit: Int) async throws(SocketError) -> [UInt8]? {
        guard limit > 0 else { return [] }
        var holdsTurn = false
        while true {
            var bytes: [UInt8] = []
            // The thread's scratch, so that a small message makes a small array.
            let scratch = unsafe ThreadScratch.plaintext().assumingMemoryBound(to: UInt8.self)
            let window = unsafe UnsafeMutableBufferPointer(
                rebasing: scratch[..<min(limit, scratch.count)]
            )
            let attempt = unsafe attemptRead(window, holdsTurn: holdsTurn)
            if case .bytes(let count) = attempt.outcome {
                bytes = unsafe Array(UnsafeBufferPointer(rebasing: window[..<count]))
            }
            attempt.next?.resume()
            switch attempt.outcome {
            case .bytes:
                if attempt.mayBeOver { endIfOver() }
                return bytes
            case .end:
                await endOfStream()
                return nil
            case .failed, .refused: throw conclude()
            case .wait, .inLine: holdsTurn = try await wait(.read, attempt.outcome)
            case .pause: await pause()
            case .unready: try await waitUntilEstablished()
            }
        }
    }

    /// What an attempt came to, and who is next in line.
    struct Attempt {
        enum Outcome {
            case bytes(Int), end, failed, wait, inLine, unready
            /// Nothing was tried: others on the loop have their turn first.
            case pause
            /// The sending side has ended.
            case refused
        }

        var outcome: Outcome
        var next: Waiter?
        /// The connection failed in the attempt, though the attempt itself did not, or was reset before.
        var mayBeOver = false
    }

    @inline(never)
    private func attemptRead(
        _ buffer: UnsafeMutableBufferPointer<UInt8>,
        holdsTurn: Bool
    ) -> Attempt {
        let lent = unsafe LentMemory(buffer)
        return state.withLock { s in
            if s.readTurn.isHeld, !holdsTurn, s.failure == nil { return Attempt(outcome: .inLine) }
            guard !s.lifecycle.isPending || s.failure != nil else {
                return Attempt(outcome: .unready)
            }
            guard s.burst < Storage.burstMax else { return Attempt(outcome: .pause) }
            let outcome: Attempt.Outcome =
                switch unsafe s.receive(into: lent.memory) {
                case .bytes(let count): .bytes(count)
                case .end: .end
                case .failed: .failed
                case .wait: .wait
                }
            if case .wait = outcome {
                s.readTurn.isHeld = true
                return Attempt(outcome: .wait)
            }
            return Attempt(
                outcome: outcome,
                next: holdsTurn ? s.readTurn.release() : nil,
                mayBeOver: s.failure != nil || s.mayBeReset
            )
        }
    }

    /// The peer has ended its side; without half-open connections this side ends too.
    private func endOfStream() async {
        if allowHalfOpen {
            endIfBothSidesHave()
        } else {
            // What was received is whole; that the goodbye failed shows in `closed`.
            try? await close(reason: nil)
        }
    }

    // MARK: Writing

    /// Sends application data; returns when the kernel has taken all of it, or takes a small rest at the
    /// end of the loop's turn.
    func write(
        _ bytes: Span<UInt8>,
        from start: Int = 0,
        holdsTurn: Bool = false
    ) async throws(SocketError) {
        guard !bytes.isEmpty else { return }
        var offset = start
        var holdsTurn = holdsTurn
        while true {
            let attempt = unsafe bytes.withUnsafeBufferPointer {
                unsafe self.attemptWrite($0, &offset, holdsTurn: holdsTurn)
            }
            attempt.next?.resume()
            switch attempt.outcome {
            case .end, .bytes: return
            case .failed: throw conclude()
            case .refused: throw SocketError(.writeAfterEnd)
            case .unready: try await waitUntilEstablished()
            case .pause:
                holdsTurn = true
                await pause()
            case .wait, .inLine:
                do throws(SocketError) {
                    holdsTurn = try await wait(.write, attempt.outcome)
                } catch {
                    // Half a message cannot be taken back: the stream is of no use any more.
                    if offset > 0 { abort(reason: "a write was cancelled in its middle") }
                    throw error
                }
            }
        }
    }

    @inline(__always)
    private func attemptWrite(
        _ bytes: UnsafeBufferPointer<UInt8>,
        _ offset: inout Int,
        holdsTurn: Bool
    ) -> Attempt {
        let lent = unsafe LentMemory(bytes)
        var place = offset
        defer { offset = place }
        return state.withLock { s in
            if s.writeTurn.isHeld, !holdsTurn, s.failure == nil {
                return Attempt(outcome: .inLine)
            }
            guard !s.lifecycle.isPending || s.failure != nil else {
                return Attempt(outcome: .unready)
            }
            guard s.lifecycle.canWrite else {
                return Attempt(
                    outcome: s.failure == nil ? .refused : .failed,
                    next: holdsTurn ? s.writeTurn.release() : nil
                )
            }
            let outcome: Attempt.Outcome =
                switch unsafe s.send(lent.memory, from: &place) {
                case .done: .end
                case .failed: .failed
                case .wait: .wait
                case .pause: .pause
                }
            switch outcome {
            case .wait, .pause:
                s.writeTurn.isHeld = true
                return Attempt(outcome: outcome)
            case .bytes, .end, .failed, .inLine, .unready, .refused: break
            }
            return Attempt(outcome: outcome, next: holdsTurn ? s.writeTurn.release() : nil)
        }
    }

    // MARK: The handshake

    /// Runs the TLS handshake; for plain connections there is none.
    func handshake() async throws(SocketError) {
        defer { if role == .server { leaveGate() } }
        while true {
            let isCharged = role == .server && loop.isCurrent && loop.isPressed
            let stepBegan = isCharged ? EventLoop.readClock() : nil
            // A step takes longer than all that waits for the end of this turn.
            if loop.isCurrent { loop.sendAwaited() }
            let step = state.withLock { s in s.stepToTake.take() ?? s.stepHandshake() }
            if let stepBegan { chargeHandshake(since: stepBegan) }
            switch step {
            case .done:
                establish()
                return
            case .failed: throw conclude()
            case .wait: _ = try await wait(.read, .wait)
            case .decide: await decide()
            case .early: await answerEarlyData()
            case .queue: try await standInLine()
            }
        }
    }

    // MARK: Waiting

    /// Lets whatever else the loop has to do go first, if this runs on the loop's thread.
    private func pause() async {
        state.withLock { $0.burst = 0 }
        guard loop.isCurrent else { return }
        await Waiter.suspend { waiter in
            loop.execute { waiter.resume() }
            return true
        }
    }

    enum Direction {
        case read, write
    }

    /// Suspends until the kernel tells of a change, or until the task is given the turn.
    ///
    /// - Parameters:
    ///   - direction: What the task waits for.
    ///   - outcome: What its attempt came to: `.wait` as the holder of the turn, or `.inLine`.
    ///   - limit: The most tasks that may stand in line.
    /// - Returns: Whether the task holds the turn of the direction when it is resumed.
    /// - Throws: ``SocketError`` `.aborted` for a cancelled task, which has no turn then, and
    ///   `.limitExceeded` when the line is full.
    func wait(
        _ direction: Direction,
        _ outcome: Attempt.Outcome,
        limit: Int? = nil
    ) async throws(SocketError) -> Bool {
        var isInLine = false
        if case .inLine = outcome { isInLine = true }
        let task = CurrentTask.number
        let (scope, ticket) = state.withLock { s -> (UInt, Turn.Ticket) in
            s.lastTicket += 1
            return (s.scopeTask, s.lastTicket)
        }
        let place = Place(
            direction: direction,
            isInLine: isInLine,
            ticket: ticket,
            limit: limit ?? limits.waitingCalls,
            // The scope aborts the whole connection when its task is cancelled.
            obeysTask: scope == 0 || scope != task
        )
        guard place.obeysTask || !Task.isCancelled else {
            // A listener's handler that has cancelled its own task: nobody else can cancel that alone.
            abort(reason: "the task was cancelled")
            throw SocketError(.aborted, detail: "the task was cancelled")
        }
        var isCrowded = false
        if place.obeysTask {
            await withTaskCancellationHandler {
                isCrowded = await suspend(place)
            } onCancel: {
                withdraw(direction, ticket)
            }
        } else {
            isCrowded = await suspend(place)
        }
        guard !isCrowded else {
            throw SocketError(.limitExceeded, detail: "\(place.limit) calls are waiting")
        }
        guard isInLine || place.obeysTask else { return true }
        let isCancelled = place.obeysTask && Task.isCancelled
        let (holdsTurn, next) = state.withLock { s -> (Bool, Waiter?) in
            let holdsTurn = isInLine ? s.takeGrant(direction, ticket) : true
            return (holdsTurn, isCancelled && holdsTurn ? s.releaseTurn(direction) : nil)
        }
        next?.resume()
        guard !isCancelled else {
            throw SocketError(.aborted, detail: "the task was cancelled")
        }
        return holdsTurn
    }

    /// A wait: for what, and under which conditions.
    struct Place {
        let direction: Direction
        let isInLine: Bool
        let ticket: Turn.Ticket
        let limit: Int
        let obeysTask: Bool
    }

    /// Suspends; true when there was no room to.
    private func suspend(_ place: Place) async -> Bool {
        var isCrowded = false
        await Waiter.suspend { waiter in
            let parking = state.withLock { s -> Connection.Storage.Parking in
                if s.failure != nil || (place.obeysTask && Task.isCancelled) { return .needless }
                return s.park(waiter, place)
            }
            isCrowded = parking == .refused
            return parking == .parked
        }
        return isCrowded
    }

    /// Ends a cancelled task's wait.
    private func withdraw(_ direction: Direction, _ ticket: Turn.Ticket) {
        let waiter = state.withLock { s in
            switch direction {
            case .read: s.readTurn.withdraw(ticket)
            case .write: s.writeTurn.withdraw(ticket)
            }
        }
        waiter?.resume()
    }
}

extension Connection.Storage {
    mutating func releaseTurn(
        _ direction: Connection.Direction
    ) -> Waiter? {
        switch direction {
        case .read: readTurn.release()
        case .write: writeTurn.release()
        }
    }

    mutating func takeGrant(_ direction: Connection.Direction, _ ticket: Turn.Ticket) -> Bool {
        switch direction {
        case .read: readTurn.takeGrant(ticket)
        case .write: writeTurn.takeGrant(ticket)
        }
    }

    /// What became of a wait.
    enum Parking {
        case parked
        /// What it waits for has come.
        case needless
        /// The line is full.
        case refused
    }

    /// Takes a continuation in, unless what it waits for has come since.
    mutating func park(_ waiter: Waiter, _ place: Connection.Place) -> Parking {
        guard failure == nil else { return .needless }
        switch (place.direction, place.isInLine) {
        case (.read, true):
            guard readTurn.isHeld else { return .needless }
            guard readTurn.lineCount < place.limit else { return .refused }
            readTurn.queue(waiter, ticket: place.ticket)
        case (.write, true):
            guard writeTurn.isHeld else { return .needless }
            guard writeTurn.lineCount < place.limit else { return .refused }
            writeTurn.queue(waiter, ticket: place.ticket)
        case (.read, false):
            guard isDrained else { return .needless }
            burst = 0
            readTurn.setWaiter(waiter, ticket: place.ticket)
        case (.write, false):
            guard isFull else { return .needless }
            burst = 0
            writeTurn.setWaiter(waiter, ticket: place.ticket)
        }
        return .parked
    }

    /// What an attempt to go on with the handshake came to.
    enum HandshakeStep {
        case done
        /// Nothing is there: wait for readability.
        case wait
        /// The engine asks something.
        case decide
        /// Early data came, and there is somebody to answer it.
        case early
        /// The client has begun, and others were first.
        case queue
        /// ``Connection/Storage/failure`` tells.
        case failed
    }

    /// Takes the handshake as far as what has arrived goes.
    @inline(never)
    mutating func stepHandshake() -> HandshakeStep {
        guard failure == nil else { return .failed }
        guard isTLS else { return .done }
        if handshakeBegan.nanoseconds == 0 { handshakeBegan = EventLoop.readClock() }
        while true {
            var window = unsafe inbound.bytes
            let isSpilled = !inbound.isEmpty
            if !isSpilled, mustFetch {
                switch fetch(atMost: 17 << 10) {
                case .bytes(let count):
                    unsafe window = scratchWindow(count)
                    if firstFlightAt.nanoseconds == 0 { firstFlightAt = EventLoop.readClock() }
                    guard mayBeginHandshake() else {
                        unsafe keep(window, consumed: 0, isSpilled: false)
                        return .queue
                    }
                case .end: break
                case .wait: return .wait
                case .failed: return .failed
                }
            }
            let scratch = unsafe ThreadScratch.output().assumingMemoryBound(to: UInt8.self)
            let (progress, count) = unsafe runEngine(scratch) { engine, output throws(TLSError) in
                let input = unsafe Span(_unsafeElements: window)
                return try engine?.handshake(consuming: input, producing: &output)
            }
            let flight = unsafe UnsafeBufferPointer(rebasing: scratch[..<count])
            // A server's last flight in TLS 1.3 is a ticket. It leaves with the first answer if there
            // is one in this turn of the loop: one packet and one system call less.
            let isTicket = progress?.wants == .nothing && engine?.peerAwaitsLastFlight == false
            let isBatched = unsafe isTicket && addToBatch(flight)
            if !isBatched { unsafe transmit(flight) }
            guard let progress else { return .failed }
            unsafe keep(window, consumed: progress.consumed, isSpilled: isSpilled)
            mustFetch = progress.wants == .read
            // Also when the engine is done: its last flight could not be sent.
            if failure != nil { return .failed }
            if progress.wants == .nothing {
                handshakeDoneAt = EventLoop.readClock()
                return .done
            }
            if progress.wants == .decision { return .decide }
            if earlyAnswer != nil, engine?.hasFreshEarlyData() == true { return .early }
        }
    }
}
