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
                answer = try await (decider ?? TLSDecider()).answer(question, circumstances)
            } catch {
                answer = .refuse(TLSRefusal(error))
            }
            self?.settle(open, answer)
        }
        await attend(task, open)
    }

    /// Waits until a question is settled, or the connection is over, which cancels the task.
    private func attend(_ task: Task<Void, Never>, _ open: OpenQuestion) async {
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

    /// Shows the application the early data that came, and sends its answer.
    ///
    /// Returns when the handshake can go on.
    func answerEarlyData() async {
        let open = OpenQuestion()
        typealias Asked = (EarlyAnswerCallback, [UInt8], SocketAddress)
        let asked = state.withLock { s -> Asked? in
            guard s.failure == nil, let answer = s.earlyAnswer, let bytes = s.engine?.earlyData
            else { return nil }
            s.openQuestion = open
            return (answer, bytes, s.remote ?? SocketAddress("", port: 0))
        }
        guard let (answer, bytes, remote) = asked else { return }
        let executor = state.withLock { $0.decider?.executor }
        let task = Task(executorPreference: executor) { [weak self] in
            let reply = await answer(bytes, remote)
            self?.settle(open, early: reply)
        }
        await attend(task, open)
    }

    /// Sends the answer to early data; nil leaves the data to be taken behind the handshake.
    private func settle(_ open: OpenQuestion, early reply: [UInt8]?) {
        let waiter = state.withLock { s -> Waiter? in
            guard s.openQuestion === open else { return nil }
            s.openQuestion = nil
            if let reply { s.sendEarly(reply) }
            defer { open.waiter = nil }
            return open.waiter
        }
        waiter?.resume()
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
    /// Sends before the client has finished its handshake.
    fileprivate mutating func sendEarly(_ bytes: [UInt8]) {
        bytesReceived &+= UInt64(engine?.takeEarlyData().count ?? 0)
        var sent = 0
        while sent < bytes.count, failure == nil {
            let rest = sent
            let progress = runEngine { engine, output throws(TLSError) in
                let piece = bytes.span.extracting(rest..<bytes.count)
                return try engine?.sendEarly(piece, producing: &output)
            }
            guard let progress, progress.consumed > 0 else { return }
            sent += progress.consumed
        }
        bytesSent &+= UInt64(sent)
    }

    /// Whether the application is asked something.
    var isDeciding: Bool { openQuestion != nil }
}
