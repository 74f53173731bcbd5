// The end of a listener that has a deadline: nobody new, and those who are there have until then.

import Synchronization

/// What became of the connections of a listener that was closed with a deadline.
public struct ListenerDrain: Hashable, Sendable {
    /// Connections that were open when it stopped to listen.
    public var open: Int
    /// Those of them that were still there at the deadline, and were aborted.
    public var aborted: Int
    /// Those that had ended by then.
    public var finished: Int { open - aborted }

    /// Makes a value that tells of a drain.
    public init(open: Int, aborted: Int) {
        self.open = open
        self.aborted = aborted
    }
}

extension SocketListener {
    /// Whether it has stopped to listen: handlers that would wait for another request had better end.
    public var isDraining: Bool { core.closeReason != nil }

    /// Stops listening, lets the connections that are open come to their end until a deadline, and aborts
    /// the others then.
    ///
    /// Handshakes that have begun may be finished; connections that wait for theirs are closed at once.
    /// Cancelling the task is the deadline. A handler that waits for this waits for itself.
    ///
    /// - Parameters:
    ///   - reason: Shows in ``closed``.
    ///   - deadline: How long connections have; 0 aborts them at once.
    /// - Returns: How many there were, and how many did not come to their end.
    @discardableResult
    public func close(_ reason: String? = nil, deadline: Duration) async -> ListenerDrain {
        core.stop(.clean(reason))
        core.dropWaiting()
        let open = core.aliveCount
        let aborted = Mutex(0)
        @Sendable func abortRest() {
            let count = core.abortConnections(reason: "the listener was closed, and its time is up")
            aborted.withLock { $0 += count }
        }
        let timer = Task {
            do { try await Task.sleep(for: deadline, clock: .continuous) } catch { return }
            abortRest()
        }
        await withTaskCancellationHandler {
            _ = await core.waitUntilClosed()
        } onCancel: {
            abortRest()
        }
        timer.cancel()
        await timer.value
        return ListenerDrain(open: open, aborted: Swift.min(open, aborted.withLock { $0 }))
    }
}
