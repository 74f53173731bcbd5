// What a loop does on its own thread: one turn after the other, in the order that `EventLoop.swift`
// explains.

import Synchronization

extension EventLoop {
    /// The thread's life.
    func run() {
        unsafe Syscalls.setLoopHere(mark)
        repeat {
            let count = waitForEvents()
            clock.store(Syscalls.monotonicNanoseconds(), ordering: .relaxed)
            dispatch(count)
            emptyGraveyard()
            takeMail()
            fireTimers()
            runWork()
            sendBatch()
            if sweepDue <= now.nanoseconds { sweep() }
            emptyGraveyard()
        } while !(isStopping && hasNoWork && inbox.closeIfEmpty())
        end()
    }

    @inline(__always)
    var hasNoWork: Bool {
        unsafe queue.isEmpty
    }

    private func waitForEvents() -> Int {
        guard hasNoWork else {
            return poller.wait(milliseconds: 0)
        }
        let deadline = unsafe min(timers.earliest?.nanoseconds ?? .max, sweepDue)
        let milliseconds = sleepTime(until: deadline)
        // The mark is never 0, which would mean awake.
        guard !isStopping, milliseconds != 0, inbox.beginSleep(until: max(1, deadline)) else {
            return poller.wait(milliseconds: 0)
        }
        let count = poller.wait(milliseconds: milliseconds)
        inbox.endSleep()
        return count
    }

    /// Milliseconds until a deadline, rounded up so that a timer never fires early; -1 for ever.
    private func sleepTime(until deadline: UInt64) -> Int32 {
        guard deadline != .max else {
            return -1
        }
        let now = Syscalls.monotonicNanoseconds()
        guard deadline > now else {
            return 0
        }
        let milliseconds = (deadline - now - 1) / 1_000_000 + 1
        return Int32(min(milliseconds, LoopLimits.sleepMilliseconds))
    }

    private func dispatch(_ count: Int) {
        for index in 0..<count {
            guard let event = poller.event(index), let source = unsafe sources.source(event.token)
            else {
                continue
            }
            if sweepDue == .max { planSweep() }
            // The table or the graveyard holds the source until the batch is through.
            unsafe source._withUnsafeGuaranteedRef { $0.readinessChanged(event.readiness) }
        }
    }

    private func takeMail() {
        guard unsafe inbox.take(into: &mail) else {
            return
        }
        for message in unsafe mail {
            switch message {
            case .work(let work):
                unsafe queue.append(work)
            case .timer(let source):
                source.isTimerInboxed.store(false, ordering: .sequentiallyConsistent)
                let wanted = source.wanted.load(ordering: .sequentiallyConsistent)
                if wanted < source.scheduled.load(ordering: .relaxed) {
                    schedule(source, at: wanted)
                }
            case .retire(let source):
                bury(source)
            case .stop:
                isStopping = true
            }
        }
        unsafe mail.removeAll(keepingCapacity: true)
    }

    private func fireTimers() {
        let now = now
        for _ in 0..<LoopLimits.timersPerTurn {
            guard let source = unsafe timers.popDue(now) else {
                return
            }
            comeUp(source, now: now.nanoseconds)
        }
    }

    /// Handles a source whose entry the heap has just given up.
    private func comeUp(_ source: ReadinessSource, now: UInt64) {
        source.timerSlot = -1
        source.scheduled.store(.max, ordering: .sequentiallyConsistent)
        while true {
            let wanted = source.wanted.load(ordering: .sequentiallyConsistent)
            guard wanted <= now else {
                schedule(source, at: wanted)
                return
            }
            // Whoever changes the deadline meanwhile wins, and is looked at again.
            let claim = source.wanted.compareExchange(
                expected: wanted,
                desired: .max,
                ordering: .sequentiallyConsistent
            )
            if claim.exchanged {
                source.deadlineReached()
                return
            }
        }
    }

    /// Puts a source's timer into the heap, or moves it there; `.max` leaves all as it is.
    func schedule(_ source: ReadinessSource, at deadline: UInt64) {
        let retired = ReadinessSource.Standing.retired.rawValue
        guard deadline != .max, source.standing.load(ordering: .relaxed) != retired else {
            return
        }
        let instant = LoopInstant(nanoseconds: deadline)
        if source.timerSlot < 0 {
            source.timerSlot = unsafe timers.insert(source, at: instant)
        } else {
            unsafe timers.move(source.timerSlot, to: instant)
        }
        source.scheduled.store(deadline, ordering: .relaxed)
    }

    /// Ends a retired source's token and timer; it is released by `emptyGraveyard`.
    func bury(_ source: ReadinessSource) {
        if source.timerSlot >= 0 {
            unsafe graveyard.append(timers.remove(source.timerSlot))
            source.timerSlot = -1
        }
        let token = source.token.exchange(
            ReadinessSource.unlisted,
            ordering: .acquiringAndReleasing
        )
        if token != ReadinessSource.unlisted, let held = sources.remove(token) {
            unsafe graveyard.append(held)
        }
    }

    private func planSweep() {
        sweepDue = now.nanoseconds + LoopLimits.sweepMilliseconds * 1_000_000
    }

    /// Comes by a part of the sources; the next turn goes on with the rest.
    private func sweep() {
        let places = sweepPlace..<sweepPlace + LoopLimits.sweptPerTurn
        let hasMore = sources.collect(places, into: &swept)
        for source in swept {
            if source.sweep() { mustSweepAgain = true }
        }
        swept.removeAll(keepingCapacity: true)
        sweepPlace = hasMore ? places.upperBound : 0
        guard !hasMore else { return }
        sweepDue = .max
        if mustSweepAgain { planSweep() }
        mustSweepAgain = false
    }

    private func emptyGraveyard() {
        while let source = unsafe graveyard.popLast() {
            // Released here, one at a time: a deinitialiser may retire another source.
            _ = consume source
        }
    }

    private func runWork() {
        let executor = unsafe asUnownedTaskExecutor()
        for _ in 0..<LoopLimits.workPerTurn {
            guard let work = unsafe queue.popFirst() else {
                return
            }
            switch work {
            case .job(let job):
                unsafe job.runSynchronously(on: executor)
            case .closure(let closure):
                closure()
            case .source(let source):
                source.turnComes()
            }
            if unsafe batch.isDue { sendBatch() }
        }
    }

    private func end() {
        // From here on this thread is nobody's: what deinitialisers below add goes to a shared
        // loop.
        unsafe Syscalls.setLoopHere(nil)
        while let source = unsafe timers.popFirst() {
            source.timerSlot = -1
        }
        sources.removeAll()
        emptyGraveyard()
        let waiting = unsafe ending.withLock { ending in
            ending.hasEnded = true
            defer { unsafe ending.waiting = [] }
            return unsafe ending.waiting
        }
        // Each was handed in by one `shutdown` call, and the list is empty now.
        unsafe waiting.forEach { unsafe $0.resume() }
    }
}
