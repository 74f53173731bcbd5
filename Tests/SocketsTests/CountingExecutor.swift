// Where a task suspends is where it leaves its executor: an executor that counts the parts of a task
// can do something at exactly the k-th suspension, without a clock and without luck.

import SocketCore
import Synchronization

/// Runs the parts of a task, and of its children, on an event loop; at one of them it acts.
final class CountingExecutor: TaskExecutor {
    /// When it acts.
    enum Moment: Hashable, Sendable {
        /// Before the task has begun.
        case start
        /// Right behind the k-th part, counted from 1: the task waits for something, or has ended.
        case suspension(Int)
        /// Right before the part behind the k-th, once what the task waited for has come.
        case resumption(Int)
    }

    fileprivate struct State {
        var enqueued = 0
        var finished = 0
        /// The parts that came before ``begin(_:_:)``.
        var held: [UnownedJob]? = []
        var moment = Moment.start
        var action: (@Sendable () -> Void)?
    }

    private let loop: EventLoop
    private let state = Mutex(State())

    init(on loop: EventLoop) {
        self.loop = loop
    }

    /// Forgets what it was to do: the action knows the task, and the task its executor.
    ///
    /// - Returns: Whether the moment has come.
    func end() -> Bool {
        state.withLock { s in
            defer { s.action = nil }
            return s.action == nil
        }
    }

    /// Lets the task begin.
    ///
    /// - Parameters:
    ///   - moment: When to act.
    ///   - action: What to do then, once.
    func begin(_ moment: Moment, _ action: @escaping @Sendable () -> Void) {
        if moment == .start { action() }
        let held = state.withLock { s in
            s.moment = moment
            s.action = moment == .start ? nil : action
            defer { s.held = nil }
            return s.held ?? []
        }
        for job in held { run(job) }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let (isHeld, action) = state.withLock { s -> (Bool, (@Sendable () -> Void)?) in
            s.enqueued += 1
            s.held?.append(job)
            return (s.held != nil, s.take(.resumption(s.enqueued - 1)))
        }
        action?()
        if !isHeld { run(job) }
    }

    private func run(_ job: UnownedJob) {
        loop.execute { [self] in
            unsafe job.runSynchronously(on: asUnownedTaskExecutor())
            let action = state.withLock { s in
                s.finished += 1
                return s.take(.suspension(s.finished))
            }
            action?()
        }
    }
}

extension CountingExecutor.State {
    /// The action, if this is its moment.
    fileprivate mutating func take(_ now: CountingExecutor.Moment) -> (@Sendable () -> Void)? {
        guard now == moment else { return nil }
        defer { action = nil }
        return action
    }
}
