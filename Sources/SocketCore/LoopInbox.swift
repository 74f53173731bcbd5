// How other threads reach a loop.
//
// Theory of operation
// - A message is appended under the lock, then `hasMail` is raised. The loop looks at `hasMail`
//   once a turn, without the lock, and takes the whole box when it is up.
// - Before it sleeps the loop publishes until when, then looks at `hasMail` again. A sender raises
//   `hasMail`, then looks whether the loop sleeps. All four steps are sequentially consistent, so
//   at least one side sees the other: either the loop does not sleep, or the sender wakes it. Of
//   several senders, the one that takes the mark away is the one that writes to the eventfd: one
//   wake a sleep.
// - A message with a deadline at or after the loop's own needs no wake: the loop is up by then.

import Synchronization

/// A message to a loop.
enum LoopMessage {
    case work(LoopWork)
    /// The source's wanted deadline changed.
    case timer(ReadinessSource)
    case retire(ReadinessSource)
    case stop
}

/// A loop's messages from other threads.
final class LoopInbox: Sendable {
    private struct Box {
        var messages: [LoopMessage] = []
        var isClosed = false
    }

    private let box = Mutex(Box())
    private let hasMail = Atomic<Bool>(false)
    /// Nanoseconds of the instant the loop sleeps until; 0 while it is awake.
    private let sleepsUntil = Atomic<UInt64>(0)

    /// How a message was taken.
    enum Posting {
        case taken
        /// The loop sleeps, and the sender has to wake it.
        case needsWake
        /// The loop has ended.
        case refused
    }

    /// Leaves a message.
    ///
    /// Any thread.
    ///
    /// - Parameters:
    ///   - message: What the loop is to do.
    ///   - deadline: When the loop has to have it; 0 for at once.
    /// - Returns: Whether it was taken, and whether the caller has to wake the loop.
    func post(_ message: LoopMessage, before deadline: UInt64 = 0) -> Posting {
        let isTaken = box.withLock { box in
            guard !box.isClosed else {
                return false
            }
            box.messages.append(message)
            return true
        }
        guard isTaken else {
            return .refused
        }
        hasMail.store(true, ordering: .sequentiallyConsistent)
        return needsWake(before: deadline) ? .needsWake : .taken
    }

    /// Says whether the caller has to wake the loop for it to be up before the deadline.
    ///
    /// Any thread.
    func needsWake(before deadline: UInt64) -> Bool {
        let until = sleepsUntil.load(ordering: .sequentiallyConsistent)
        guard deadline < until else {
            return false
        }
        return sleepsUntil.exchange(0, ordering: .sequentiallyConsistent) != 0
    }

    /// Swaps the messages for an empty array, whose capacity is used again.
    ///
    /// Loop thread.
    ///
    /// - Returns: False if there are none.
    @inline(__always)
    func take(into messages: inout [LoopMessage]) -> Bool {
        guard hasMail.load(ordering: .acquiring) else {
            return false
        }
        box.withLock { box in
            hasMail.store(false, ordering: .relaxed)
            swap(&box.messages, &messages)
        }
        return true
    }

    /// Publishes that the loop is about to sleep.
    ///
    /// Loop thread.
    ///
    /// - Returns: False if messages wait: the loop may not sleep.
    @inline(__always)
    func beginSleep(until deadline: UInt64) -> Bool {
        sleepsUntil.store(deadline, ordering: .sequentiallyConsistent)
        guard hasMail.load(ordering: .sequentiallyConsistent) else {
            return true
        }
        endSleep()
        return false
    }

    @inline(__always)
    func endSleep() {
        sleepsUntil.store(0, ordering: .relaxed)
    }

    /// Refuses all further messages, unless some are waiting.
    ///
    /// Loop thread.
    func closeIfEmpty() -> Bool {
        box.withLock { box in
            guard box.messages.isEmpty else {
                return false
            }
            box.isClosed = true
            return true
        }
    }
}
