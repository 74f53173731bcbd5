// Taking connections from the kernel: a bounded number a turn, only while somebody wants them, never
// spinning when descriptors run out and never ceasing to listen.

import SocketCore
import Synchronization

/// Accepts connections of one listening descriptor.
final class Acceptor: ReadinessSource, @unchecked Sendable {
    // Sendable: what changes is behind `state`.
    /// Connections accepted in one turn of the loop before others have theirs.
    static let acceptsPerTurn = 64
    /// The pause after descriptors ran out, until the kernel is asked again.
    static let exhaustionPause = Duration.milliseconds(50)

    private struct State {
        var descriptor: Int32 = -1
        /// Connections that may still be accepted now.
        var credit = 0
        /// The kernel may have more.
        var hasMore = true
        var isTurnScheduled = false
    }

    private let state = Mutex(State())
    private let loop: EventLoop
    private let onAccept: @Sendable (consuming Descriptor, NetworkAddress) -> Void
    private let onFailure: @Sendable (Errno) -> Void

    init(
        loop: EventLoop,
        onAccept: @escaping @Sendable (consuming Descriptor, NetworkAddress) -> Void,
        onFailure: @escaping @Sendable (Errno) -> Void
    ) {
        self.loop = loop
        self.onAccept = onAccept
        self.onFailure = onFailure
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
        state.withLock { $0.credit += credit }
        scheduleTurn()
    }

    override func readinessChanged(_ readiness: Readiness) {
        state.withLock { $0.hasMore = true }
        takeTurn()
    }

    override func deadlineReached() {
        takeTurn()
    }

    private func scheduleTurn() {
        let mustSchedule = state.withLock { s -> Bool in
            guard s.hasMore, s.credit > 0, s.descriptor >= 0, !s.isTurnScheduled else {
                return false
            }
            s.isTurnScheduled = true
            return true
        }
        guard mustSchedule else { return }
        // It runs once and soon: holding the acceptor until then is cheaper than a weak reference.
        loop.execute { [self] in
            state.withLock { $0.isTurnScheduled = false }
            takeTurn()
        }
    }

    /// Accepts what the turn allows; on the loop's thread.
    private func takeTurn() {
        for _ in 0..<Acceptor.acceptsPerTurn {
            switch acceptOne() {
            case .accepted(let accepted, let peer):
                state.withLock { $0.credit -= 1 }
                onAccept(accepted, peer)
            case .retry: continue
            case .wouldBlock:
                state.withLock { $0.hasMore = false }
                return
            case .exhausted:
                // The connection stays in the queue, and readiness will not tell of it again.
                loop.arm(self, at: EventLoop.readClock().advanced(by: Acceptor.exhaustionPause))
                return
            case .failed(let errno):
                onFailure(errno)
                return
            case nil: return
            }
        }
        scheduleTurn()
    }

    /// Takes one connection from the kernel; nil when none may be taken.
    private func acceptOne() -> AcceptOutcome? {
        // Under the lock: `stop` may close the descriptor, and its number be used again.
        state.withLock { s in
            guard s.credit > 0, s.hasMore, s.descriptor >= 0 else { return nil }
            return StreamSocket.accept(s.descriptor)
        }
    }
}
