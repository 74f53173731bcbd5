internal import Synchronization

/// A clock that stands still until a test turns it.
///
/// ```swift
/// let clock = ManualClock()
/// async let result = operation(timeout: .seconds(5), clock: clock)
/// try await clock.waitForSleepers(1)
/// clock.advance(by: .seconds(5))
/// ```
///
/// A sleeper wakes when the clock reaches its deadline. One turn wakes the sleepers it passes in
/// the order of their deadlines, and equal deadlines in the order they fell asleep; the tasks then
/// run as their executors please, so a test that needs them one by one turns the clock step by
/// step (``advanceToNextDeadline()``). All members may be used from any task or thread.
public final class ManualClock: Clock, Sendable {
    /// A point in time of a ``ManualClock``: how far it has been turned.
    public struct Instant: InstantProtocol {
        /// The time since the clock was made.
        public var offset: Duration

        /// Makes an instant.
        ///
        /// - Parameter offset: The time since the clock was made.
        public init(offset: Duration = .zero) { self.offset = offset }

        /// Returns the instant that lies `duration` later.
        ///
        /// - Parameter duration: May be negative.
        /// - Returns: The later instant.
        public func advanced(by duration: Duration) -> Instant {
            Instant(offset: offset + duration)
        }

        /// Returns the time from this instant to another.
        ///
        /// - Parameter other: The end of the span.
        /// - Returns: The span, negative if `other` is earlier.
        public func duration(to other: Instant) -> Duration { other.offset - offset }

        /// Compares positions in time.
        public static func < (left: Instant, right: Instant) -> Bool { left.offset < right.offset }
    }

    /// What ``unixSeconds`` says when the clock is new, unless told otherwise: 2033-05-18.
    public static let defaultUnixSeconds: Int64 = 2_000_000_000

    private struct Sleeper {
        let id: UInt64
        let deadline: Instant
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct Watcher {
        let id: UInt64
        let count: Int
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now = Instant()
        var nextID: UInt64 = 0
        /// Ordered by deadline, then by arrival.
        var sleepers: [Sleeper] = []
        var watchers: [Watcher] = []

        mutating func makeID() -> UInt64 {
            defer { nextID += 1 }
            return nextID
        }

        mutating func insert(_ sleeper: Sleeper) {
            let index = sleepers.firstIndex { sleeper.deadline < $0.deadline }
            sleepers.insert(sleeper, at: index ?? sleepers.count)
        }

        mutating func takeDue() -> [Sleeper] {
            let due = sleepers.prefix { $0.deadline <= now }
            sleepers.removeFirst(due.count)
            return Array(due)
        }

        mutating func takeSatisfiedWatchers() -> [Watcher] {
            let count = sleepers.count
            let satisfied = watchers.filter { $0.count <= count }
            watchers.removeAll { $0.count <= count }
            return satisfied
        }
    }

    private let state = Mutex(State())
    private let startUnixSeconds: Int64

    /// Makes a clock that stands at its start.
    ///
    /// - Parameter unixSeconds: What ``unixSeconds`` says now, in seconds since 1970.
    public init(unixSeconds: Int64 = ManualClock.defaultUnixSeconds) {
        startUnixSeconds = unixSeconds
    }

    /// The point the clock has been turned to.
    public var now: Instant { state.withLock { $0.now } }

    /// The smallest step that makes a difference.
    public var minimumResolution: Duration { .nanoseconds(1) }

    /// The clock's time in whole seconds since 1970, for validities and verification.
    public var unixSeconds: Int64 { startUnixSeconds + now.offset.components.seconds }

    /// How many tasks sleep on this clock.
    public var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    /// The earliest deadline anybody sleeps until.
    public var nextDeadline: Instant? { state.withLock { $0.sleepers.first?.deadline } }

    /// Turns the clock and wakes every sleeper whose deadline is reached.
    ///
    /// - Parameter duration: How far.
    /// - Precondition: `duration` is not negative.
    public func advance(by duration: Duration) {
        precondition(duration >= .zero, "a ManualClock does not run backwards")
        let due = state.withLock { state in
            state.now = state.now.advanced(by: duration)
            return state.takeDue()
        }
        for sleeper in due { sleeper.continuation.resume() }
    }

    /// Turns the clock to a point and wakes every sleeper whose deadline is reached.
    ///
    /// - Parameter instant: The point; one that has passed leaves the clock where it is.
    public func advance(to instant: Instant) {
        let due = state.withLock { state in
            state.now = max(state.now, instant)
            return state.takeDue()
        }
        for sleeper in due { sleeper.continuation.resume() }
    }

    /// Turns the clock to the earliest deadline and wakes those who sleep until exactly then.
    ///
    /// - Returns: Whether anybody slept.
    @discardableResult
    public func advanceToNextDeadline() -> Bool {
        let due = state.withLock { state -> [Sleeper] in
            guard let deadline = state.sleepers.first?.deadline else { return [] }
            state.now = max(state.now, deadline)
            return state.takeDue()
        }
        for sleeper in due { sleeper.continuation.resume() }
        return !due.isEmpty
    }

    /// Sleeps until the clock has been turned to the deadline.
    ///
    /// - Parameters:
    ///   - deadline: Returns at once if it is reached already.
    ///   - tolerance: Ignored: the clock is exact.
    /// - Throws: `CancellationError` as soon as the task is cancelled.
    public func sleep(until deadline: Instant, tolerance: Duration? = nil) async throws {
        try await suspend { state, id, continuation in
            guard deadline > state.now else { return false }
            state.insert(Sleeper(id: id, deadline: deadline, continuation: continuation))
            return true
        }
    }

    /// Waits until at least `count` tasks sleep on this clock, so that turning it reaches them.
    ///
    /// - Parameter count: How many.
    /// - Throws: `CancellationError` as soon as the task is cancelled.
    public func waitForSleepers(_ count: Int) async throws {
        try await suspend { state, id, continuation in
            guard state.sleepers.count < count else { return false }
            state.watchers.append(Watcher(id: id, count: count, continuation: continuation))
            return true
        }
    }

    /// Parks the task where `register` puts it, or returns at once if `register` says false.
    ///
    /// A cancelled task is either seen before it registers, or found by the cancellation handler
    /// after: both look under the lock, and the task's flag is set before its handler runs.
    private func suspend(
        _ register: (inout State, UInt64, CheckedContinuation<Void, any Error>) -> Bool
    ) async throws {
        let id = state.withLock { $0.makeID() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (outcome, satisfied) = state.withLock {
                    state -> (Result<Void, any Error>?, [Watcher]) in
                    if Task.isCancelled { return (.failure(CancellationError()), []) }
                    guard register(&state, id, continuation) else { return (.success(()), []) }
                    return (nil, state.takeSatisfiedWatchers())
                }
                if let outcome { continuation.resume(with: outcome) }
                for watcher in satisfied { watcher.continuation.resume() }
            }
        } onCancel: {
            cancel(id)
        }
    }

    private func cancel(_ id: UInt64) {
        let continuation = state.withLock { state -> CheckedContinuation<Void, any Error>? in
            if let index = state.sleepers.firstIndex(where: { $0.id == id }) {
                return state.sleepers.remove(at: index).continuation
            }
            if let index = state.watchers.firstIndex(where: { $0.id == id }) {
                return state.watchers.remove(at: index).continuation
            }
            return nil
        }
        continuation?.resume(throwing: CancellationError())
    }
}
