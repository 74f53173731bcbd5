// Which task runs: asked on every wait of a connection, to tell a task whose cancellation is already
// looked after from one that needs a handler of its own.

internal import CLinux

/// The task that runs on the current thread.
package enum CurrentTask {
    /// A number for the current task; 0 outside of tasks.
    ///
    /// Only for comparisons while the task lives: numbers are used again.
    @inline(__always)
    package static var number: UInt {
        UInt(cl_current_task())
    }
}
