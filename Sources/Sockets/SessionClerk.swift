// Between handshakes and a store of sessions: looks up, and hands changes on. Nothing that fails here
// fails a connection.

import Synchronization

extension ServerSessionKeeping {
    /// Refuses numbers that nothing could work with.
    func check() throws(SocketError) {
        guard timeout > .zero, pendingChanges > 0 else {
            throw SocketError(
                .invalidOption,
                detail: "a session store has a timeout over 0, and 1 pending change or more"
            )
        }
    }

    /// Looks a session up for a handshake.
    ///
    /// - Returns: The session; nil when there is none, or none that could be had in time.
    func find(_ request: ServerSessionRequest, _ context: TLSContext) async -> ServerSession? {
        let store = closures.store
        do {
            let bytes = try await within(timeout, "session", sleep: closures.sleep) {
                request.isSingleUse
                    ? try await store.takeSession(request.id) : try await store.session(request.id)
            }
            return try bytes.map { try ServerSession($0, for: request, in: context) }
        } catch is CancellationError where Task.isCancelled {
            // Nobody waits any more.
            return nil
        } catch {
            report(request.isSingleUse ? .take : .session, error)
            return nil
        }
    }

    /// Hands changes on, in order, without a wait.
    func hand(on changes: [ServerSessionChange]) {
        guard !changes.isEmpty else { return }
        let isAdmitted = closures.pending.withLock { pending in
            guard pending + changes.count <= pendingChanges else { return false }
            pending += changes.count
            return true
        }
        guard isAdmitted else {
            return report(
                changes[0].operation,
                SocketError(.limitExceeded, detail: "\(pendingChanges) changes are on their way")
            )
        }
        Task { [self] in
            for change in changes {
                await make(change)
                closures.pending.withLock { $0 -= 1 }
            }
        }
    }

    private func make(_ change: ServerSessionChange) async {
        let store = closures.store
        do {
            try await within(timeout, "answer of the store", sleep: closures.sleep) {
                switch change {
                case .keep(let id, let session, let end):
                    try await store.keepSession(session, id, until: end)
                case .forget(let id): try await store.forgetSession(id)
                }
            }
        } catch {
            report(change.operation, error)
        }
    }

    private func report(_ operation: ServerSessionFailure.Operation, _ reason: any Error) {
        closures.onFailure?(ServerSessionFailure(operation: operation, reason: reason))
    }
}

extension ServerSessionChange {
    fileprivate var operation: ServerSessionFailure.Operation {
        switch self {
        case .keep: .keep
        case .forget: .forget
        }
    }
}

extension Connection.Storage {
    /// Hands on what became of sessions that somebody else keeps; costs a look at a nil where nobody
    /// does.
    mutating func handOnSessions() {
        guard let changes = engine?.takeSessionChanges(), !changes.isEmpty,
            let callbacks = engine?.context.companion as? ListenerCallbacks
        else { return }
        callbacks.sessionStore?.hand(on: changes)
    }
}
