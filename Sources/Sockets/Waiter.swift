// The one place where tasks suspend.
//
// Unsafe continuations cost nothing beyond the suspension itself; checked ones allocate. A build
// with `-DSOCKETS_CHECKED_CONTINUATIONS` takes the checked ones, which trap when a task is resumed
// twice and complain when it never is.

/// A suspended task.
///
/// Whoever takes it out of its place resumes it, exactly once.
@safe
@usableFromInline
struct Waiter: Sendable {
    #if SOCKETS_CHECKED_CONTINUATIONS
    @usableFromInline let continuation: CheckedContinuation<Void, Never>

    @usableFromInline
    @inline(__always)
    init(continuation: CheckedContinuation<Void, Never>) {
        self.continuation = continuation
    }
    #else
    // Safe: it is resumed by whoever removed it from the state behind the lock, so once.
    @usableFromInline let continuation: UnsafeContinuation<Void, Never>

    @usableFromInline
    @inline(__always)
    init(continuation: UnsafeContinuation<Void, Never>) {
        unsafe self.continuation = unsafe continuation
    }
    #endif

    /// Lets the task run on.
    @usableFromInline
    @inline(__always)
    func resume() {
        unsafe continuation.resume()
    }

    /// Suspends the current task unless there is no reason to.
    ///
    /// - Parameter mustWait: Stores the waiter and says true, or says false when what it waits for
    ///   has come meanwhile. Called once, before the task suspends.
    @inlinable
    @inline(__always)
    static func suspend(_ mustWait: (Waiter) -> Bool) async {
        #if SOCKETS_CHECKED_CONTINUATIONS
        await withCheckedContinuation { continuation in
            let waiter = Waiter(continuation: continuation)
            if !mustWait(waiter) { waiter.resume() }
        }
        #else
        // Not `withUnsafeContinuation`: that asks the runtime for the task's executor once more before
        // it suspends, 250 instructions under a lock. This form, which it is made of, does not.
        unsafe await _unsafeInheritExecutor_withUnsafeContinuation { continuation in
            let waiter = unsafe Waiter(continuation: continuation)
            if !mustWait(waiter) { waiter.resume() }
        }
        #endif
    }
}
