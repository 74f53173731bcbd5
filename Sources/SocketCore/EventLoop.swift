// One thread, one epoll: readiness, timers and the parts of tasks, taken in turns.
//
// Theory of operation
// - A turn waits for events (not at all while work is left), then dispatches them, takes the
//   messages of other threads, fires due timers and runs work; each step is bounded by
//   `LoopLimits`, so none starves another. Work added on the loop's own thread goes straight to a
//   ring, without lock or allocation.
// - The loop is a task executor only. With a serial executor in addition, every continuation would
//   hop through the queue (measured: 245 ns instead of 79).
// - Timers are lazy. A source has one timer and says in `wanted` when it should fire; `scheduled`
//   is where the heap has it. Moving it later, or disarming it, only writes `wanted`: when the
//   heap's entry comes up, the loop looks at `wanted` and puts the entry back. Only moving it
//   earlier touches the heap. So the idle timeout of a busy connection costs one store a read, from
//   any thread.
// - A source is kept alive from `register` to `retire`. What was retired is released after the
//   batch of events at hand, so nothing dies inside its own callback.

import Synchronization

/// A thread that watches descriptors, keeps deadlines and runs tasks.
package final class EventLoop: TaskExecutor, @unchecked Sendable {
    // What makes the sharing safe: everything below `loop thread only` is touched by `run` and what
    // it calls, or by a caller that `isCurrent` has told to be on that thread. The rest is constant
    // or atomic.

    /// Its place in its group, from 0 on.
    package let number: Int
    /// The name of the loop's thread, "sockets-loop-N".
    package let name: String

    let poller: Poller
    let inbox = LoopInbox()
    let sources = SourceTable()
    let clock: Atomic<UInt64>
    let ending = Mutex(Ending())

    // Loop thread only.
    //
    // Exclusivity of what is used in every turn holds without the run-time check, which doubles the cost
    // of a queued closure: each access is one call, which calls nothing of ours back.
    @exclusivity(unchecked) var queue = RunQueue()
    /// What leaves at the end of the turn.
    @exclusivity(unchecked) var batch = SendBatch()
    @exclusivity(unchecked) var timers = TimerHeap<ReadinessSource>()
    @exclusivity(unchecked) var mail: [LoopMessage] = []
    @exclusivity(unchecked) var graveyard: [ReadinessSource] = []
    var isStopping = false
    /// Until when what is new on this loop leaves a part of its time to what has been there.
    @exclusivity(unchecked) package var pressedUntil = LoopInstant(nanoseconds: 0)
    /// When there was last something for those.
    @exclusivity(unchecked) package var seniorActivity = LoopInstant(nanoseconds: 0)
    /// When the next sweep is due; `.max` while nothing has happened since the last.
    var sweepDue = UInt64.max
    /// Where the sweep under way goes on.
    var sweepPlace = 0
    /// A source wants to be swept again.
    var mustSweepAgain = false
    var swept: [ReadinessSource] = []

    @safe
    struct Ending {
        var hasEnded = false
        var waiting: [UnsafeContinuation<Void, Never>] = unsafe []
    }

    /// Makes a loop and starts its thread.
    ///
    /// - Parameter number: Its place in its group, which the thread's name ends with.
    /// - Throws: The failure of epoll_create1, eventfd or pthread_create.
    package init(number: Int = 0) throws(SystemCallError) {
        self.number = number
        name = "sockets-loop-\(number)"
        poller = try Poller(eventLimit: LoopLimits.eventsPerTurn)
        clock = Atomic(Syscalls.monotonicNanoseconds())
        try Syscalls.startThread(named: name) { [self] in
            run()
        }
    }

    // MARK: Where and when

    /// Whether the caller is on this loop's thread.
    @inline(__always)
    package var isCurrent: Bool {
        unsafe Syscalls.loopHere == UnsafeMutableRawPointer(mark)
    }

    /// The loop on whose thread the caller is, if any.
    package static var current: EventLoop? {
        guard let mark = unsafe Syscalls.loopHere else {
            return nil
        }
        // The mark is a loop that is running on this very thread, hence alive.
        return unsafe Unmanaged<EventLoop>.fromOpaque(mark).takeUnretainedValue()
    }

    /// The monotonic time at which the present turn began; any thread may read it.
    ///
    /// A loop that sleeps has an old one. Off the loop's thread, reckon deadlines from
    /// ``readClock()``.
    @inline(__always)
    package var now: LoopInstant {
        LoopInstant(nanoseconds: clock.load(ordering: .relaxed))
    }

    /// Whether there is more to do than can be done; on the loop's thread.
    @inline(__always)
    package var isPressed: Bool { unsafe now < pressedUntil }

    /// Reads the monotonic clock, in about 20 ns.
    package static func readClock() -> LoopInstant {
        LoopInstant(nanoseconds: Syscalls.monotonicNanoseconds())
    }

    // MARK: Sources

    /// Watches a source's descriptor, and keeps the source alive until ``retire(_:)``.
    ///
    /// Any thread.
    ///
    /// What the descriptor is ready for already comes as a first edge.
    ///
    /// - Throws: epoll_ctl's failure; ENOSPC for a full table, ESHUTDOWN for a loop that has ended,
    ///   ECANCELED for a source that was retired before. Except after the last, the source can be
    ///   registered again.
    /// - Precondition: The source is not registered.
    package func register(
        _ source: ReadinessSource,
        descriptor: Int32
    ) throws(SystemCallError) {
        try source.expectFresh()
        guard !hasEnded else {
            throw SystemCallError(.socketShutdown, call: "epoll_ctl(ADD)")
        }
        guard let token = sources.insert(source) else {
            throw SystemCallError(.noSpace, call: "epoll_ctl(ADD)")
        }
        source.token.store(token, ordering: .releasing)
        do throws(SystemCallError) {
            try poller.add(descriptor, token: token)
        } catch {
            source.token.store(ReadinessSource.unlisted, ordering: .releasing)
            sources.undoInsert(token)
            throw error
        }
        let outcome = source.standing.compareExchange(
            expected: ReadinessSource.Standing.fresh.rawValue,
            desired: ReadinessSource.Standing.registered.rawValue,
            ordering: .acquiringAndReleasing
        )
        if !outcome.exchanged {
            // Retired meanwhile, by its own first callback or by another thread, maybe before it
            // had a token: registered and then retired. The loop looks again for what it may have
            // missed.
            send(.retire(source))
        }
    }

    /// Gives a source up: no callback begins after this on the loop's thread.
    ///
    /// Any thread; idempotent.
    ///
    /// Close the descriptor before, or ``deregister(_:)`` it. The timer is disarmed for good. The
    /// loop's hold ends after the batch of events at hand. Called on another thread, a callback
    /// that is about to begin may still come.
    package func retire(_ source: ReadinessSource) {
        let retired = ReadinessSource.Standing.retired.rawValue
        guard source.standing.exchange(retired, ordering: .acquiringAndReleasing) != retired else {
            return
        }
        source.wanted.store(.max, ordering: .relaxed)
        if isCurrent {
            bury(source)
        } else {
            send(.retire(source))
        }
    }

    /// Takes a descriptor that stays open out of epoll.
    ///
    /// Any thread.
    package func deregister(_ descriptor: Int32) throws(SystemCallError) {
        try poller.remove(descriptor)
    }

    // MARK: Timers

    /// Sets a source's one timer, earlier or later than before.
    ///
    /// Any thread.
    ///
    /// The timer fires once, not before the instant, and up to a millisecond after it on an idle
    /// loop. It keeps the source alive until then.
    @inline(__always)
    package func arm(_ source: ReadinessSource, at instant: LoopInstant) {
        let deadline = instant.nanoseconds
        if isCurrent {
            source.wanted.store(deadline, ordering: .relaxed)
            if deadline < source.scheduled.load(ordering: .relaxed) {
                schedule(source, at: deadline)
            }
        } else {
            armFromOutside(source, at: deadline)
        }
    }

    /// Stops a source's timer.
    ///
    /// Any thread.
    ///
    /// On the loop's thread it will not fire. From another thread, one that is firing may still
    /// come. The source may stay in the heap, and alive, until its old deadline; ``retire(_:)``
    /// ends that at once.
    @inline(__always)
    package func disarm(_ source: ReadinessSource) {
        source.wanted.store(.max, ordering: .releasing)
    }

    // MARK: Work

    /// Takes a part of a task; called by the Swift runtime.
    package func enqueue(_ job: consuming ExecutorJob) {
        add(.job(UnownedJob(job)))
    }

    /// Runs a closure on the loop's thread, after all that was added before by the same thread.
    ///
    /// Any thread.
    package func execute(_ work: @escaping @Sendable () -> Void) {
        add(.closure(work))
    }

    /// Gives a source its turn (``ReadinessSource/turnComes()``) after all work that was added before by
    /// the same thread; a closure without the allocation.
    ///
    /// Any thread.
    package func enqueue(_ source: ReadinessSource) {
        add(.source(source))
    }

    // MARK: End

    /// Asks the loop to end once its work is done, and waits for that.
    ///
    /// Idempotent.
    package func shutdown() async {
        // Resumed once: below, or by `end`, which takes the list.
        unsafe await withUnsafeContinuation { continuation in
            let hasEnded = ending.withLock { ending in
                if !ending.hasEnded {
                    unsafe ending.waiting.append(continuation)
                }
                return ending.hasEnded
            }
            if hasEnded {
                unsafe continuation.resume()
            } else {
                send(.stop)
            }
        }
    }

    private var hasEnded: Bool {
        ending.withLock { $0.hasEnded }
    }

    /// What `isCurrent` compares: the loop's own address, never followed.
    var mark: UnsafeMutableRawPointer {
        unsafe Unmanaged.passUnretained(self).toOpaque()
    }
}

// MARK: - From other threads

extension EventLoop {
    @inline(__always)
    private func add(_ work: consuming LoopWork) {
        if isCurrent {
            unsafe queue.append(work)
        } else {
            addFromOutside(work)
        }
    }

    private func addFromOutside(_ work: LoopWork) {
        switch inbox.post(.work(work)) {
        case .taken:
            break
        case .needsWake:
            poller.wake()
        case .refused:
            // A task that still prefers an ended loop must not hang: a shared loop runs its parts.
            EventLoopGroup.shared.next().add(work)
        }
    }

    /// Sends a message that an ended loop may ignore.
    private func send(_ message: LoopMessage, before deadline: UInt64 = 0) {
        if case .needsWake = inbox.post(message, before: deadline) {
            poller.wake()
        }
    }

    private func armFromOutside(_ source: ReadinessSource, at deadline: UInt64) {
        source.wanted.store(deadline, ordering: .sequentiallyConsistent)
        // The heap's entry comes up in time, and the loop looks at `wanted` then. The order of the
        // two accesses here and in `comeUp` makes sure that one side sees the other.
        guard deadline < source.scheduled.load(ordering: .sequentiallyConsistent) else {
            return
        }
        guard !source.isTimerInboxed.exchange(true, ordering: .sequentiallyConsistent) else {
            // The message under way may have been sent for a later deadline, and woken nobody.
            if inbox.needsWake(before: deadline) {
                poller.wake()
            }
            return
        }
        send(.timer(source), before: deadline)
    }
}
