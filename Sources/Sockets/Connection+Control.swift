// What an open TLS connection does beside carrying data: new keys, and a request for the client's
// certificate behind the handshake. Both are messages of TLS between two writes, so they take the turn
// of the writers. The client's answer comes in the stream of what it sends: whoever reads meets it. While
// nobody does, the request reads itself, up to the first data, which is left for a reader.

import SocketCore
import Synchronization

/// A request for the client's certificate that waits for its answer.
///
/// Only touched under the lock of its connection.
final class LateRequest: @unchecked Sendable {
    // Sendable: it belongs to the connection's state.
    /// Who asked, while it waits for somebody to read.
    var waiter: Waiter?
    /// Something was read since it looked.
    var hasNews = false
    /// Called when somebody has read; under the lock.
    let notice: @Sendable () -> Void

    init(notice: @escaping @Sendable () -> Void) { self.notice = notice }
}

extension Connection {
    typealias Problem = @Sendable (inout TLSEngine) -> TLSError?
    typealias Saying =
        @Sendable (inout TLSEngine, inout OutputSpan<UInt8>) throws(TLSError) -> TLSEngine.Progress

    // MARK: New keys

    /// Takes a new key for what this side sends; returns when the kernel has taken the message.
    func updateKeys(requestPeer: Bool) async throws(SocketError) {
        try await say({ $0.keyUpdateProblem }) { engine, output throws(TLSError) in
            try engine.updateKeys(requestPeer: requestPeer, producing: &output)
        }
    }

    // MARK: The client's certificate

    /// Asks the client for its certificate, and waits until it has answered.
    func requestClientCertificate(required: Bool) async throws(SocketError) {
        let request = LateRequest { [weak self] in
            guard let self else { return }
            self.loop.execute { [weak self] in self?.wakeLateRequest() }
        }
        try await say({ $0.certificateRequestProblem }) { engine, output throws(TLSError) in
            try engine.requestClientCertificate(required: required, producing: &output)
        }
        state.withLock { $0.lateRequest = request }
        defer {
            state.withLock { s in
                if s.lateRequest === request { s.lateRequest = nil }
            }
        }
        var holdsTurn = false
        while true {
            let (step, next) = state.withLock { s in s.seekAnswer(request, holdsTurn: &holdsTurn) }
            next?.resume()
            switch step {
            case .answered: return
            case .failed: throw conclude()
            case .ended:
                let error = TLSError(
                    .peerCertificateMissing,
                    phase: .clientAuthentication,
                    detail: "the client ended its side instead"
                )
                throw SocketError(.certificateRejected, tls: error)
            case .wait: holdsTurn = try await wait(.read, .wait)
            case .others: try await waitForNews(request)
            }
        }
    }

    /// Waits until somebody has read something.
    private func waitForNews(_ request: LateRequest) async throws(SocketError) {
        await withTaskCancellationHandler {
            await Waiter.suspend { waiter in
                state.withLock { s in
                    guard !request.hasNews, s.failure == nil, s.lateRequest === request,
                        !Task.isCancelled
                    else { return false }
                    request.waiter = waiter
                    return true
                }
            }
        } onCancel: {
            wakeLateRequest()
        }
        guard !Task.isCancelled else {
            throw SocketError(.aborted, detail: "the task was cancelled")
        }
    }

    private func wakeLateRequest() {
        let waiter = state.withLock { s in
            s.lateRequest?.hasNews = true
            defer { s.lateRequest?.waiter = nil }
            return s.lateRequest?.waiter
        }
        waiter?.resume()
    }

    // MARK: Saying something

    /// Has the engine say something between two writes; returns when the kernel has taken it.
    ///
    /// - Parameters:
    ///   - problem: Why it cannot now, which is no failure of the connection; nil when it can.
    ///   - step: The engine's step.
    /// - Throws: ``SocketError`` for the problem, `.aborted` for a cancelled task, or the connection's
    ///   failure.
    private func say(_ problem: Problem, _ step: Saying) async throws(SocketError) {
        var holdsTurn = false
        var isSaid = false
        while true {
            var refusal: SocketError?
            let attempt = state.withLock { s in
                s.attemptToSay(problem, step, &isSaid, &refusal, holdsTurn: holdsTurn)
            }
            attempt.next?.resume()
            if let refusal { throw refusal }
            switch attempt.outcome {
            case .end, .bytes, .pause: return
            case .failed, .refused: throw conclude()
            case .unready: try await waitUntilEstablished()
            case .wait, .inLine: holdsTurn = try await wait(.write, attempt.outcome)
            }
        }
    }
}

extension Connection.Storage {
    fileprivate mutating func attemptToSay(
        _ problem: Connection.Problem,
        _ step: Connection.Saying,
        _ isSaid: inout Bool,
        _ refusal: inout SocketError?,
        holdsTurn: Bool
    ) -> Connection.Attempt {
        guard isTLS else {
            refusal = SocketError(.tlsUnavailable, detail: "the socket does not speak TLS")
            return Connection.Attempt(outcome: .end)
        }
        if writeTurn.isHeld, !holdsTurn, failure == nil {
            return Connection.Attempt(outcome: .inLine)
        }
        guard !lifecycle.isPending || failure != nil else {
            return Connection.Attempt(outcome: .unready)
        }
        var outcome = Connection.Attempt.Outcome.end
        if failure != nil {
            outcome = .failed
        } else if let error = isSaid ? nil : engine?.refusal(problem) {
            refusal = .call(error)
        } else {
            if !isSaid {
                var problem: TLSError?
                _ = runEngine { engine, output throws(TLSError) in
                    do throws(TLSError) {
                        return try engine?.perform(step, &output)
                    } catch {
                        // What the peer does not offer is no failure of the connection either.
                        guard error.code == .featureUnavailable else { throw error }
                        problem = error
                        return nil
                    }
                }
                refusal = problem.map { .call($0) }
            } else if !outbound.isEmpty {
                _ = flush()
            }
            isSaid = true
            outcome = failure != nil ? .failed : outbound.isEmpty ? .end : .wait
        }
        if case .wait = outcome {
            writeTurn.isHeld = true
            return Connection.Attempt(outcome: .wait)
        }
        return Connection.Attempt(outcome: outcome, next: holdsTurn ? writeTurn.release() : nil)
    }

    /// What a look for the client's answer came to.
    fileprivate enum AnswerStep {
        case answered
        /// The client has ended its side.
        case ended
        case failed
        /// Nothing is there: wait for readability, with the turn.
        case wait
        /// There is data before it, or somebody reads: wait for who reads.
        case others
    }

    /// Looks whether the client has answered, and reads on where nobody else does.
    fileprivate mutating func seekAnswer(
        _ request: LateRequest,
        holdsTurn: inout Bool
    ) -> (AnswerStep, Waiter?) {
        request.hasNews = false
        let step: AnswerStep
        if failure != nil {
            step = .failed
        } else if engine?.awaitsClientCertificate != true {
            step = .answered
        } else if !lifecycle.canRead {
            step = .ended
        } else if readTurn.isHeld, !holdsTurn {
            step = .others
        } else {
            step = readAnswer()
        }
        if case .wait = step {
            readTurn.isHeld = true
            holdsTurn = true
            return (step, nil)
        }
        defer { holdsTurn = false }
        return (step, holdsTurn ? readTurn.release() : nil)
    }

    private mutating func readAnswer() -> AnswerStep {
        while true {
            var window = unsafe inbound.bytes
            let isSpilled = !inbound.isEmpty
            if !isSpilled, !mayHavePlaintext {
                switch fetch(atMost: 17 << 10) {
                case .bytes(let count): unsafe window = scratchWindow(count)
                case .end: break
                case .wait: return .wait
                case .failed: return .failed
                }
            }
            var consumed = 0
            var hasMore = false
            _ = runEngine { engine, output in
                let input = unsafe Span(_unsafeElements: window)
                guard let taken = engine?.takeInMessages(input, producing: &output) else {
                    return nil
                }
                (consumed, hasMore) = taken
                return TLSEngine.Progress(consumed: taken.consumed, wants: .nothing)
            }
            unsafe keep(window, consumed: consumed, isSpilled: isSpilled)
            mayHavePlaintext = hasMore
            if failure == nil, engine?.isOpen != true { noteEngineFailure() }
            guard failure == nil else { return .failed }
            guard engine?.awaitsClientCertificate == true else { return .answered }
            guard !hasMore else { return engine?.pendingPlaintext == 0 ? .ended : .others }
            if consumed == 0, transportEnded { return .ended }
        }
    }
}

extension TLSEngine {
    /// Asks for a problem by way of a closure: an engine cannot be copied out of an optional.
    fileprivate mutating func refusal(_ problem: Connection.Problem) -> TLSError? {
        problem(&self)
    }

    /// Runs a step by way of a closure.
    fileprivate mutating func perform(
        _ step: Connection.Saying,
        _ output: inout OutputSpan<UInt8>
    ) throws(TLSError) -> Progress {
        try step(&self, &output)
    }
}

extension SocketError {
    /// The error of a call that TLS refused, and that leaves the connection as it is.
    static func call(_ error: TLSError) -> SocketError {
        SocketError(error.code == .invalidExport ? .invalidOption : .tlsUnavailable, tls: error)
    }
}
