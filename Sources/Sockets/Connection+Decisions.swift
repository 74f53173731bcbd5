// A handshake that waits for the application. The closure runs as a task of its own; the handshake's
// task suspends, the loop serves others. What ends the wait first holds: the answer, or the end of the
// connection by its deadline, a reset, `close`, `abort`; that cancels the closure and waits for it no
// longer.

import Synchronization

/// A question that was handed to the application.
///
/// Only touched under the lock of its connection.
final class OpenQuestion: @unchecked Sendable {
    // Sendable: it belongs to the connection's state.
    var task: Task<Void, Never>?
    var waiter: Waiter?
}

extension Connection {
    /// Has the engine's question answered.
    ///
    /// Returns when the handshake can go on, which the next step then tells.
    func decide() async {
        let open = OpenQuestion()
        typealias Asked = (TLSQuestion, TLSDecider?, TLSDecider.Circumstances)
        let asked = state.withLock { s -> Asked? in
            guard s.failure == nil, let question = s.engine?.question,
                let context = s.engine?.context
            else { return nil }
            s.openQuestion = open
            let remote = s.remote ?? SocketAddress("", port: 0)
            return (question, s.decider, TLSDecider.Circumstances(remote: remote, context: context))
        }
        guard let (question, decider, circumstances) = asked else { return }
        if let answer = decider?.answerAtOnce(question, circumstances) {
            return settle(open, answer)
        }
        // The closure may never return: it must not keep the connection.
        let task = Task(executorPreference: decider?.executor) { [weak self] in
            var answer = TLSAnswer.refuse(TLSRefusal("nobody decides", alert: .internalError))
            do {
                if let decider { answer = try await decider.answer(question, circumstances) }
            } catch {
                answer = .refuse(TLSRefusal(error))
            }
            self?.settle(open, answer)
        }
        let (isOver, mayBeReset) = state.withLock { s in
            guard s.openQuestion === open else { return (s.failure != nil, false) }
            open.task = task
            return (false, s.hasHungUp)
        }
        if isOver { task.cancel() }
        // The edge of readiness that told of it has passed.
        if mayBeReset { noticeReset() }
        await Waiter.suspend { waiter in
            state.withLock { s in
                guard s.openQuestion === open, s.failure == nil else { return false }
                open.waiter = waiter
                return true
            }
        }
    }

    /// Gives the engine its answer.
    private func settle(_ open: OpenQuestion, _ answer: TLSAnswer) {
        let waiter = state.withLock { s -> Waiter? in
            // Over meanwhile: nobody is interested any more.
            guard s.openQuestion === open else { return nil }
            s.openQuestion = nil
            do throws(TLSError) {
                try s.engine?.answer(answer)
            } catch {
                // The engine refuses what makes no sense, and the peer is told that it is not to blame.
                let refusal = TLSRefusal(error.description, alert: .internalError)
                try? s.engine?.answer(.refuse(refusal))
            }
            defer { open.waiter = nil }
            return open.waiter
        }
        waiter?.resume()
    }
}

extension Connection.Storage {
    /// Whether the application is asked something.
    var isDeciding: Bool { openQuestion != nil }
}
