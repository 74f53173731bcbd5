// The way of most reads and writes: the connection is established, nobody else reads, and the task's
// cancellation is looked after by its scope. One look under the lock, one suspension without a
// handler, one more look. Whatever is not like that takes the general way in `Connection+Calls`.
//
// The async part is inlined into the caller's own code (`Socket+Inlined`); here are the steps
// between suspensions. What that saves, in instructions of a 64-byte echo: 100 for each frame of an
// async function, 230 for the runtime's way to ask for the current task, 80 for moving an enum with
// payloads: hence the plain numbers.

import SocketCore
import Synchronization

/// What a step on the hot path came to; positive numbers are bytes.
@usableFromInline
enum HotStep {
    /// Not a case for the hot path.
    @usableFromInline static var general: Int { @inline(__always) get { 0 } }
    /// Nothing is there; the turn is this task's, and its scope covers cancellation.
    @usableFromInline static var wait: Int { @inline(__always) get { -1 } }
    /// Nothing is there most likely; nothing was asked.
    @usableFromInline static var expectWait: Int { @inline(__always) get { -2 } }
    /// Everything was handed to the kernel, or will be at the end of the loop's turn.
    @usableFromInline static var done: Int { @inline(__always) get { -3 } }
}

extension Connection {
    // MARK: Reading

    /// Receives what is there; `wait` and `expectWait` ask for a suspension.
    @inline(__always)
    func beginHotRead(_ buffer: inout MutableSpan<UInt8>) -> Int {
        // In a conversation the kernel has nothing yet when one has just answered.
        // A buffer without room waits for nothing.
        guard !expectsWait.load(ordering: .relaxed) || buffer.isEmpty else {
            return HotStep.expectWait
        }
        return attemptHotRead(&buffer)
    }

    private func attemptHotRead(_ buffer: inout MutableSpan<UInt8>) -> Int {
        guard !buffer.isEmpty else { return HotStep.general }
        let task = CurrentTask.number
        let lent = unsafe buffer.withUnsafeMutableBufferPointer { unsafe LentMemory($0) }
        var mayBeOver = false
        defer { if mayBeOver { endIfOver() } }
        return state.withLock { s in
            guard !s.readTurn.isHeld, s.lifecycle.canRead, !s.hasFailed,
                s.burst < Storage.burstMax
            else { return HotStep.general }
            switch unsafe s.receive(into: lent.memory) {
            case .bytes(let count):
                // Data came, and what was to be answered could not be sent.
                mayBeOver = s.hasFailed || s.mayBeReset
                return count
            case .wait:
                guard s.scopeTask == task, task != 0 else { return HotStep.general }
                s.readTurn.isHeld = true
                return HotStep.wait
            case .end, .failed: return HotStep.general
            }
        }
    }

    /// Suspends the reader, unless there is something by now.
    ///
    /// - Parameters:
    ///   - waiter: The reader.
    ///   - step: What the beginning came to: `wait`, or `expectWait` when it did not try.
    /// - Returns: Whether the waiter was taken; the turn is its task's then.
    @inline(__always)
    func parkHotReader(_ waiter: Waiter, _ step: Int) -> Bool {
        let task = step == HotStep.expectWait ? CurrentTask.number : 0
        return state.withLock { s in
            // Whoever cancels a scope's task from outside ends the connection too, and wakes the reader.
            // A task that cancels itself is noticed here alone: it goes the general way, where `wait`
            // aborts the connection.
            guard !s.hasFailed, s.isDrained, !Task.isCancelled else { return false }
            if step == HotStep.expectWait {
                guard !s.mayHavePlaintext, s.inbound.isEmpty, !s.transportEnded,
                    !s.readTurn.isHeld, s.lifecycle.canRead, s.scopeTask == task, task != 0
                else { return false }
                s.readTurn.isHeld = true
            }
            s.burst = 0
            s.readTurn.setWaiter(waiter)
            return true
        }
    }

    /// Tries again behind the suspension; a held turn is given up if that brings data.
    ///
    /// - Returns: Bytes, or what the general way goes on with: `wait` with the turn, `general`
    ///   without.
    @inline(__always)
    func finishHotRead(_ buffer: inout MutableSpan<UInt8>, holdsTurn: Bool) -> Int {
        guard holdsTurn else {
            expectsWait.store(false, ordering: .relaxed)
            return attemptHotRead(&buffer)
        }
        let lent = unsafe buffer.withUnsafeMutableBufferPointer { unsafe LentMemory($0) }
        var next: Waiter?
        var mayBeOver = false
        let step = state.withLock { s in
            guard !s.hasFailed, case .bytes(let count) = unsafe s.receive(into: lent.memory)
            else { return HotStep.wait }
            mayBeOver = s.hasFailed || s.mayBeReset
            next = s.readTurn.release()
            expectsWait.store(s.isDrained && !s.mayHavePlaintext, ordering: .relaxed)
            return count
        }
        next?.resume()
        if mayBeOver { endIfOver() }
        return step
    }

    // MARK: Writing

    /// Sends what the kernel takes at once, and moves the offset by it.
    ///
    /// - Returns: `wait` when the rest, or ciphertext of it, waits for room; the turn is this task's
    ///   then.
    @inline(__always)
    func beginHotWrite(_ bytes: Span<UInt8>, _ offset: inout Int) -> Int {
        guard !hasBody.load(ordering: .relaxed) else { return HotStep.general }
        let lent = unsafe bytes.withUnsafeBufferPointer { unsafe LentMemory($0) }
        var place = 0
        defer { offset = place }
        return state.withLock { s in
            guard !s.writeTurn.isHeld, s.lifecycle.canWrite, !s.hasFailed else {
                return HotStep.general
            }
            switch unsafe s.send(lent.memory, from: &place) {
            case .done: return HotStep.done
            case .failed: return HotStep.general
            case .wait, .pause:
                s.writeTurn.isHeld = true
                return HotStep.wait
            }
        }
    }
}
