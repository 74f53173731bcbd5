internal import CLinux

/// One epoll instance with a waker; edges of both directions, registered once a descriptor.
///
/// One thread waits; any thread may add, remove and wake.
@safe
package final class Poller: @unchecked Sendable {
    // What makes the sharing safe: `events` is the waiting thread's alone, the rest is constant.

    /// One event of a batch.
    package struct Event: Hashable, Sendable {
        /// What the descriptor was added with.
        package let token: UInt64
        package let readiness: Readiness
    }

    /// The waker's token; no source gets it.
    static let wakerToken = UInt64.max

    private let epoll: Descriptor
    private let waker: Descriptor
    private let events: UnsafeMutableBufferPointer<epoll_event>

    /// Makes a poller.
    ///
    /// - Parameter eventLimit: Most events of one wait, at least 1.
    /// - Throws: The failure of epoll_create1 or eventfd.
    package init(eventLimit: Int) throws(SystemCallError) {
        epoll = try Syscalls.makeEpoll()
        waker = try Syscalls.makeEvent()
        // As an edge: each write is an event of its own, so the counter need never be read back.
        try Syscalls.epollAdd(
            epoll.rawValue,
            waker.rawValue,
            events: EPOLLIN.rawValue | EPOLLET.rawValue,
            token: Self.wakerToken
        )
        unsafe events = .allocate(capacity: max(1, eventLimit))
        unsafe events.initialize(repeating: epoll_event())
    }

    deinit {
        unsafe events.deallocate()
    }

    /// Watches a descriptor for edges.
    ///
    /// What it is ready for already is reported as a first edge.
    package func add(_ descriptor: Int32, token: UInt64) throws(SystemCallError) {
        try Syscalls.epollAdd(
            epoll.rawValue,
            descriptor,
            events: Readiness.interest,
            token: token
        )
    }

    /// Stops watching a descriptor that is still open.
    ///
    /// Closing it does the same, unless another process has a copy.
    package func remove(_ descriptor: Int32) throws(SystemCallError) {
        try Syscalls.epollRemove(epoll.rawValue, descriptor)
    }

    /// Waits for events.
    ///
    /// - Parameter milliseconds: At most so long; -1 for as long as it takes.
    /// - Returns: The batch's size, 0...the limit; 0 after the time, or earlier without a cause.
    package func wait(milliseconds: Int32) -> Int {
        unsafe Syscalls.epollWait(epoll.rawValue, events, milliseconds: milliseconds)
    }

    /// An event of the last batch; nil for the waker's.
    ///
    /// - Precondition: The index is below what ``wait(milliseconds:)`` returned.
    @inline(__always)
    package func event(_ index: Int) -> Event? {
        precondition(unsafe events.indices.contains(index))
        // Inside the buffer, by the line above.
        let event = unsafe events[index]
        let token = unsafe event.data.u64
        guard token != Self.wakerToken else {
            return nil
        }
        return Event(token: token, readiness: Readiness(rawValue: unsafe event.events))
    }

    /// Ends the present wait, or the next one if none is going on.
    ///
    /// Any thread.
    package func wake() {
        Syscalls.signal(waker.rawValue)
    }
}
