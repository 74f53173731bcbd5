internal import CLinux
import Synchronization

/// What epoll said about a descriptor, in epoll's own bits.
package struct Readiness: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// There is something to receive or accept (EPOLLIN).
    package static let readable = Readiness(rawValue: EPOLLIN.rawValue)
    /// There is room to send, or a connection attempt has ended (EPOLLOUT).
    package static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
    /// The peer sends nothing more (EPOLLRDHUP).
    ///
    /// Bytes may still be unread: keep receiving until 0.
    package static let peerClosedWrite = Readiness(rawValue: EPOLLRDHUP.rawValue)
    /// Both directions are shut (EPOLLHUP).
    package static let hangUp = Readiness(rawValue: EPOLLHUP.rawValue)
    /// An error is pending (EPOLLERR).
    package static let error = Readiness(rawValue: EPOLLERR.rawValue)

    /// What every source is registered for, once: both directions and the peer's FIN, as edges.
    static let interest: UInt32 =
        EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
}

/// Something with a descriptor that a loop watches, and one timer.
///
/// Subclasses override the two methods, which the loop calls on its own thread, holding no lock. A source
/// belongs to the first loop it is registered or armed with, for all its life.
package class ReadinessSource: @unchecked Sendable {
    // What makes the sharing safe: `standing`, `wanted`, `scheduled` and `isTimerInboxed` are atomic; `token`
    // is written by `register` before the kernel knows it; `timerSlot` is the loop thread's alone.

    /// How the source stands with its loop, as a `Standing`.
    final let standing = Atomic<UInt8>(Standing.fresh.rawValue)
    /// The deadline last asked for, by any thread; `UInt64.max` for none.
    final let wanted = Atomic<UInt64>(.max)
    /// Where the loop's heap has the timer, at or before `wanted` once the loop is up to date; `UInt64.max`
    /// for nowhere.
    final let scheduled = Atomic<UInt64>(.max)
    /// Whether a message about the timer waits in the loop's inbox.
    final let isTimerInboxed = Atomic<Bool>(false)
    /// The place in the loop's table.
    final var token: UInt64 = 0
    /// The handle in the loop's heap; -1 for none.
    final var timerSlot: Int32 = -1

    enum Standing: UInt8 {
        case fresh, registered, retired
    }

    package init() {}

    /// Called when the descriptor's readiness had an edge.
    ///
    /// Edges may be joined, and one may come without a cause; only a system call tells how things stand.
    package func readinessChanged(_ readiness: Readiness) {}

    /// Called when the timer has fired; it is disarmed then and may be armed again.
    package func deadlineReached() {}
}
