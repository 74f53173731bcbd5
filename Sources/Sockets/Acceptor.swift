// Taking connections from the kernel: a bounded number a turn, only while somebody wants them, never
// spinning when descriptors run out and never ceasing to listen.

import SocketCore
import Synchronization

/// Accepts connections of one listening descriptor.
final class Acceptor: ReadinessSource, @unchecked Sendable {
    // Sendable: what changes is behind `state`.
    /// Connections accepted in one turn of the loop before others have theirs.
    static let acceptsPerTurn = 64
    /// The same while the loop has more to do than it can.
    static let acceptsPerPressedTurn = 8
    /// The pause after descriptors ran out, until the kernel is asked again.
    static let exhaustionPause = Duration.milliseconds(50)
    /// What an accepted connection costs in all until it is gone, its handshake's steps apart, as a
    /// multiple of its acceptance.
    private static let costOfConnection = 4
    /// Connections turned away in one turn, after which comes a pause: turning away costs time too.
    static let refusalsPerTurn = 16
    /// That pause.
    static let refusalPause = Duration.milliseconds(1)

    /// What its owner should know.
    enum News {
        /// No descriptor or memory is left.
        case paused(Errno)
        /// There is again.
        case resumed(after: Duration)
        /// The listening descriptor is of no use any more.
        case failed(Errno)
    }

    private struct State {
        var descriptor: Int32 = -1
        /// Connections that may still be accepted now.
        var credit = 0
        /// The kernel may have more.
        var hasMore = true
        var isTurnScheduled = false
        /// Until when the kernel is not asked.
        var restUntil = LoopInstant(nanoseconds: 0)
        /// Since when there has been no descriptor left.
        var exhaustedSince: LoopInstant?

        /// Whether a turn is to be asked for, which is noted.
        mutating func mustSchedule() -> Bool {
            guard hasMore, credit > 0, descriptor >= 0, !isTurnScheduled else { return false }
            isTurnScheduled = true
            return true
        }
    }

    private let state = Mutex(State())
    private let loop: EventLoop
    private let counts: HandshakeCounts
    private let gate: HandshakeGate?
    private let onAccept: @Sendable (consuming Descriptor, NetworkAddress) -> Bool
    private let onNews: @Sendable (News) -> Void

    /// - Parameters:
    ///   - loop: Where it accepts.
    ///   - counts: Those that wait for their handshakes: while they are too many, none is accepted.
    ///   - gate: Where handshakes of this loop stand in line, which accepting shares its time with.
    ///   - onAccept: Gets a connection, and says false if it has turned it away.
    ///   - onNews: Told of what else happens.
    init(
        loop: EventLoop,
        counts: HandshakeCounts,
        gate: HandshakeGate?,
        onAccept: @escaping @Sendable (consuming Descriptor, NetworkAddress) -> Bool,
        onNews: @escaping @Sendable (News) -> Void
    ) {
        self.loop = loop
        self.counts = counts
        self.gate = gate
        self.onAccept = onAccept
        self.onNews = onNews
        super.init()
    }

    func start(_ descriptor: consuming Descriptor) throws(SystemCallError) {
        let number = descriptor.take()
        state.withLock { $0.descriptor = number }
        do throws(SystemCallError) {
            try loop.register(self, descriptor: number)
        } catch {
            stop()
            throw error
        }
    }

    /// Closes the listening descriptor.
    func stop() {
        let wasOpen = state.withLock { s -> Bool in
            guard s.descriptor >= 0 else { return false }
            Syscalls.close(s.descriptor)
            s.descriptor = -1
            return true
        }
        if wasOpen { loop.retire(self) }
    }

    /// Allows more connections to be accepted.
    func add(credit: Int) {
        let mustSchedule = state.withLock { s in
            s.credit += credit
            return s.mustSchedule()
        }
        if mustSchedule { loop.enqueue(self) }
    }

    override func readinessChanged(_ readiness: Readiness) {
        state.withLock { $0.hasMore = true }
        takeTurn()
    }

    override func deadlineReached() {
        takeTurn()
    }

    /// Has the loop look whether there is something to accept.
    func scheduleTurn() {
        if state.withLock({ $0.mustSchedule() }) { loop.enqueue(self) }
    }

    override func turnComes() {
        state.withLock { $0.isTurnScheduled = false }
        takeTurn()
    }

    /// Accepts what the turn allows; on the loop's thread.
    private func takeTurn() {
        guard let gate, loop.isPressed else { return accept(atMost: Acceptor.acceptsPerTurn) }
        // Newcomers that nobody has time for can wait in the kernel.
        if let pause = gate.restOfNewcomers() { return rest(pause) }
        let began = EventLoop.readClock()
        accept(atMost: Acceptor.acceptsPerPressedTurn)
        gate.charge(began.duration(to: EventLoop.readClock()) * Acceptor.costOfConnection)
    }

    private func accept(atMost limit: Int) {
        var refusals = 0
        for _ in 0..<limit {
            switch acceptOne() {
            case .accepted(let accepted, let peer):
                noteAccepted()
                guard !onAccept(accepted, peer) else { continue }
                state.withLock { $0.credit += 1 }
                refusals += 1
                if refusals == Acceptor.refusalsPerTurn { return rest(Acceptor.refusalPause) }
            case .retry: continue
            case .wouldBlock:
                state.withLock { $0.hasMore = false }
                return
            case .exhausted(let errno):
                // The connection stays in the queue, and readiness will not tell of it again.
                let isNew = state.withLock { s in
                    defer { s.exhaustedSince = s.exhaustedSince ?? EventLoop.readClock() }
                    return s.exhaustedSince == nil
                }
                if isNew { onNews(.paused(errno)) }
                return rest(Acceptor.exhaustionPause)
            case .failed(let errno):
                onNews(.failed(errno))
                return
            case nil: return
            }
        }
        if limit < Acceptor.acceptsPerTurn { rest(.nanoseconds(1)) } else { scheduleTurn() }
    }

    private func rest(_ pause: Duration) {
        let end = EventLoop.readClock().advanced(by: pause)
        state.withLock { $0.restUntil = end }
        loop.arm(self, at: end)
    }

    private func noteAccepted() {
        let since = state.withLock { s in
            s.credit -= 1
            return s.exhaustedSince.take()
        }
        if let since { onNews(.resumed(after: since.duration(to: EventLoop.readClock()))) }
    }

    /// Takes one connection from the kernel; nil when none may be taken.
    private func acceptOne() -> AcceptOutcome? {
        // Under the lock: `stop` may close the descriptor, and its number be used again.
        state.withLock { s in
            guard s.credit > 0, s.hasMore, s.descriptor >= 0, counts.hasRoom else { return nil }
            if s.restUntil.nanoseconds > 0 {
                guard s.restUntil <= EventLoop.readClock() else { return nil }
                s.restUntil = LoopInstant(nanoseconds: 0)
            }
            return StreamSocket.accept(s.descriptor)
        }
    }
}
