// An operation against time. Whoever waits goes on when the time is over, also where the operation does
// not obey its cancellation: an application's closure may never return.

import Synchronization

/// Runs an operation for so long at most.
///
/// - Parameters:
///   - limit: How long.
///   - what: What the error says has not come.
///   - sleep: How to wait.
///   - operation: Runs as a task of its own, and is cancelled when the time is over or the caller is.
/// - Returns: What the operation returns.
/// - Throws: What it throws; ``SocketError`` `.responseTimedOut`; `CancellationError`.
func within<Value: Sendable>(
    _ limit: Duration,
    _ what: String,
    sleep: @escaping @Sendable (Duration) async throws -> Void,
    _ operation: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    let race = Race<Value>()
    let runner = Task {
        do {
            race.settle(.success(try await operation()))
        } catch {
            race.settle(.failure(error))
        }
    }
    let timer = Task {
        guard (try? await sleep(limit)) != nil else { return }
        race.settle(.failure(SocketError(.responseTimedOut, detail: "no \(what) within \(limit)")))
    }
    defer {
        runner.cancel()
        timer.cancel()
    }
    return try await withTaskCancellationHandler {
        try await race.outcome()
    } onCancel: {
        race.settle(.failure(CancellationError()))
    }
}

/// The first of several outcomes, and who waits for it.
private final class Race<Value: Sendable>: Sendable {
    private struct State {
        var outcome: Result<Value, any Error>?
        var waiter: Waiter?
    }

    private let state = Mutex(State())

    func settle(_ outcome: Result<Value, any Error>) {
        let waiter = state.withLock { s -> Waiter? in
            guard s.outcome == nil else { return nil }
            s.outcome = outcome
            return s.waiter.take()
        }
        waiter?.resume()
    }

    func outcome() async throws -> Value {
        while true {
            if let outcome = state.withLock({ $0.outcome }) { return try outcome.get() }
            await Waiter.suspend { waiter in
                state.withLock { s in
                    guard s.outcome == nil else { return false }
                    s.waiter = waiter
                    return true
                }
            }
        }
    }
}
