import Synchronization

/// A fixed set of event loops, each a thread of its own.
///
/// Sockets and listeners live on a group's loops. Most programs use ``shared``; a group of one's
/// own serves to choose the number of threads, or to end them.
///
/// A group that goes out of use without ``shutdown()`` leaves its threads asleep until the process
/// ends.
public final class EventLoopGroup: Sendable {
    /// The group used where none is named: one loop for each processor the process may use
    /// (sched_getaffinity), made on first use and never shut down.
    ///
    /// - Precondition: As for ``init(loopCount:)``.
    public static let shared = EventLoopGroup(loopCount: Syscalls.usableCores())

    /// The loops, in the order they are handed out.
    package let loops: [EventLoop]

    private let handedOut = Atomic<Int>(0)

    /// Makes a group and starts its threads, named "sockets-loop-0" onwards.
    ///
    /// - Parameter loopCount: Threads to start, at least 1.
    /// - Precondition: `loopCount` is at least 1, and the system grants two descriptors (epoll,
    ///   eventfd) and a thread for each loop.
    public init(loopCount: Int) {
        precondition(loopCount >= 1, "a group needs at least one loop")
        loops = (0..<loopCount).map { number in
            do throws(SystemCallError) {
                return try EventLoop(number: number)
            } catch {
                preconditionFailure("cannot start event loop \(number): \(error)")
            }
        }
    }

    /// The number of loops, at least 1.
    public var loopCount: Int {
        loops.count
    }

    /// The loop for the next connection, round robin.
    ///
    /// Any thread.
    package func next() -> EventLoop {
        let turn = handedOut.wrappingAdd(1, ordering: .relaxed).oldValue
        return loops[Int(UInt(bitPattern: turn) % UInt(loops.count))]
    }

    /// Ends the group's threads once the work they have is done, and waits for that.
    ///
    /// Close the group's sockets and listeners first and wait for them: a loop that has ended
    /// reports no readiness and fires no timer, so an operation still waiting would wait for ever.
    /// Tasks that prefer a loop that has ended go on, on the loops of ``shared``. Calling it again,
    /// or from several tasks, is allowed; each call returns when all threads are through.
    ///
    /// Isolation: any task, one on the group's own loops included.
    ///
    /// - Precondition: The group is not ``shared``.
    public func shutdown() async {
        precondition(self !== Self.shared, "the shared group is never shut down")
        for loop in loops {
            await loop.shutdown()
        }
    }
}
