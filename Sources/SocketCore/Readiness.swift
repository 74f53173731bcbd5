internal import CLinux
import Synchronization

/// What epoll said about a descriptor, in epoll's own bits.
public struct Readiness: OptionSet, Hashable, Sendable {
    /// epoll's flags.
    public let rawValue: UInt32

    /// Takes epoll's flags as they are.
    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// There is something to receive or accept (EPOLLIN).
    public static let readable = Readiness(rawValue: EPOLLIN.rawValue)
    /// There is room to send, or a connection attempt has ended (EPOLLOUT).
    public static let writable = Readiness(rawValue: EPOLLOUT.rawValue)
    /// The peer sends nothing more (EPOLLRDHUP).
    ///
    /// Bytes may still be unread: keep receiving until 0.
    public static let peerClosedWrite = Readiness(rawValue: EPOLLRDHUP.rawValue)
    /// Both directions are shut (EPOLLHUP).
    public static let hangUp = Readiness(rawValue: EPOLLHUP.rawValue)
    /// An error is pending (EPOLLERR).
    public static let error = Readiness(rawValue: EPOLLERR.rawValue)

    /// What every source is registered for, once: both directions and the peer's FIN, as edges.
    static let interest: UInt32 =
        EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
}

/// Something with a descriptor that a loop watches, and one timer.
///
/// Subclasses override the methods, which the loop calls on its own thread, holding no lock. A
/// source belongs to the first loop it is registered or armed with, for all its life.
///
/// `open`, since a `package` class has no subclasses in other modules; no product of the package
/// vends this module.
open class ReadinessSource: @unchecked Sendable {
    // What makes the sharing safe: all is atomic but `timerSlot`, which is the loop thread's alone.

    /// How the source stands with its loop, as a `Standing`.
    final let standing = Atomic<UInt8>(Standing.fresh.rawValue)
    /// The deadline last asked for, by any thread; `UInt64.max` for none.
    final let wanted = Atomic<UInt64>(.max)
    /// Where the loop's heap has the timer, at or before `wanted` once the loop is up to date;
    /// `UInt64.max` for nowhere.
    final let scheduled = Atomic<UInt64>(.max)
    /// Whether a message about the timer waits in the loop's inbox.
    final let isTimerInboxed = Atomic<Bool>(false)
    /// The place in the loop's table; `unlisted` for none.
    final let token = Atomic<UInt64>(ReadinessSource.unlisted)
    /// The handle in the loop's heap; -1 for none.
    final var timerSlot: Int32 = -1

    static let unlisted = UInt64.max

    enum Standing: UInt8 {
        case fresh, registered, retired
    }

    /// Makes a source that no loop knows yet.
    public init() {}

    /// Called when the descriptor's readiness had an edge.
    ///
    /// Edges may be joined, and one may come without a cause; only a system call tells how things
    /// stand.
    open func readinessChanged(_ readiness: Readiness) {}

    /// Called when the timer has fired; it is disarmed then and may be armed again.
    open func deadlineReached() {}

    /// Called once for each ``EventLoop/enqueue(_:)-(ReadinessSource)``.
    open func turnComes() {}

    /// Called at the end of a turn in which the source added to what its loop sends together.
    open func turnEnds() {}

    /// Called now and then while there are events, to give back what an idle source need not hold.
    ///
    /// - Returns: Whether to come by once more, events or not.
    open func sweep() -> Bool { false }
}

extension ReadinessSource {
    /// Checks that the source may be registered.
    func expectFresh() throws(SystemCallError) {
        let standing = standing.load(ordering: .acquiring)
        precondition(standing != Standing.registered.rawValue, "the source is registered already")
        guard standing == Standing.fresh.rawValue else {
            throw SystemCallError(.canceled, call: "epoll_ctl(ADD)")
        }
    }
}
