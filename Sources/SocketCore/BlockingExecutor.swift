// Threads for calls that block, so that neither a loop nor the system's threads wait for them: reading
// from a hardware module, signing in one.

import Synchronization

/// A bounded set of threads that run the parts of tasks which block.
///
/// Threads start when they are needed, and stay.
package final class BlockingExecutor: TaskExecutor {
    /// The process's.
    package static let shared = BlockingExecutor(threadLimit: 8)

    private struct State {
        var jobs: [UnownedJob] = []
        var threads = 0
        var idleThreads = 0
    }

    private let threadLimit: Int
    private let state = Mutex(State())
    private let signal: Descriptor

    /// Makes an executor; no thread runs before the first job.
    ///
    /// - Parameter threadLimit: Threads at once, at least 1; further jobs wait their turn.
    /// - Precondition: A descriptor is left for its eventfd.
    package init(threadLimit: Int) {
        self.threadLimit = max(1, threadLimit)
        do {
            signal = try Syscalls.makeSemaphore()
        } catch {
            preconditionFailure("threads for blocking calls cannot start: \(error)")
        }
    }

    /// Takes a part of a task.
    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let mustStart = state.withLock { state in
            state.jobs.append(job)
            guard state.jobs.count > state.idleThreads, state.threads < threadLimit else {
                return false
            }
            state.threads += 1
            state.idleThreads += 1
            return true
        }
        Syscalls.signal(signal.rawValue)
        if mustStart { startThread() }
    }

    private func startThread() {
        do throws(SystemCallError) {
            try Syscalls.startThread(named: "sockets-blocking") { [self] in work() }
        } catch {
            let isLast = state.withLock { state in
                state.threads -= 1
                state.idleThreads -= 1
                return state.threads == 0
            }
            // Nobody else will run what waits; a task may not be forgotten.
            if isLast { runWaiting() }
        }
    }

    private func work() {
        while true {
            Syscalls.waitForSignal(signal.rawValue)
            runOne()
        }
    }

    private func runWaiting() {
        while runOne() {}
    }

    @discardableResult
    private func runOne() -> Bool {
        let job = state.withLock { state -> UnownedJob? in
            guard !state.jobs.isEmpty else { return nil }
            state.idleThreads -= 1
            return state.jobs.removeFirst()
        }
        guard let job else { return false }
        unsafe job.runSynchronously(on: asUnownedTaskExecutor())
        state.withLock { $0.idleThreads += 1 }
        return true
    }
}
