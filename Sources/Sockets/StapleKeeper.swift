// Keeps a listener's staples fresh: one task, which fetches, sleeps and fetches again for as long as
// the listener listens. What it gets it puts on the context's shelf, where handshakes find it.
//
// Rule 1: a staple stays until it is out of date, whatever becomes of the attempts to replace it; but
// one that the responder has taken back (revoked) goes at once.
// Rule 2: nothing is stapled that a client would refuse.

import Synchronization

/// When to ask for the next response; a pure value.
struct StapleSchedule {
    private let source: OCSPStapleSource
    private var failures = 0

    init(_ source: OCSPStapleSource) {
        self.source = source
    }

    /// The pause after a response.
    mutating func pause(after staple: OCSPStaple, now: UnixTime) -> Duration {
        failures = 0
        guard let nextUpdate = staple.nextUpdate else { return source.interval }
        let left = Duration.seconds(max(0, nextUpdate.seconds - now.seconds))
        return max(left / 2, min(source.retryDelay, left), .seconds(1))
    }

    /// The pause after a failure.
    mutating func pauseAfterFailure() -> Duration {
        defer { failures += 1 }
        let doubled = source.retryDelay * (1 << min(failures, 16))
        return max(min(doubled, source.longestRetryDelay), .seconds(1))
    }
}

final class StapleKeeper: Sendable {
    private struct State {
        var failures: [Certificate: any Error] = [:]
        var attempts: [Certificate: UnixTime] = [:]
        var task: Task<Void, Never>?
        var isOver = false
    }

    private let identities: [TLSIdentity]
    private let shelf: OCSPStapleShelf?
    private let issuer: Certificate?
    private let source: OCSPStapleSource?
    private let state = Mutex(State())

    /// Makes a keeper, which does nothing before it is started.
    ///
    /// - Parameters:
    ///   - context: Whose identities are stapled for.
    ///   - options: The source, and what else there is.
    init(_ context: TLSContext, _ options: TLSSocketListenerInit) {
        identities = context.identities
        shelf = context.staples
        issuer = options.ocspIssuer
        source = options.ocspSource
    }

    /// Starts to fetch when there is a source.
    func start() {
        guard let source, shelf != nil else { return }
        state.withLock { s in
            guard !s.isOver, s.task == nil else { return }
            s.task = Task { await self.run(source) }
        }
    }

    /// Ends the task.
    func stop() {
        let task = state.withLock { s in
            s.isOver = true
            s.attempts = [:]
            return s.task.take()
        }
        task?.cancel()
    }

    /// What is stapled, one value an identity.
    var states: [StapleState] { identities.map(state(of:)) }

    private func state(of identity: TLSIdentity) -> StapleState {
        let leaf = identity.certificate
        let (failure, next) = state.withLock { ($0.failures[leaf], $0.attempts[leaf]) }
        return StapleState(
            certificate: leaf,
            staple: shelf?.staple(for: leaf),
            failure: failure,
            nextAttempt: next
        )
    }

    private func run(_ source: OCSPStapleSource) async {
        await withDiscardingTaskGroup { group in
            for identity in identities { group.addTask { await self.keep(identity, source) } }
        }
    }

    /// Fetches for one identity until the task is cancelled.
    private func keep(_ identity: TLSIdentity, _ source: OCSPStapleSource) async {
        let leaf = identity.certificate
        var schedule = StapleSchedule(source)
        while !Task.isCancelled {
            let pause: Duration
            do {
                let response = try await fetch(identity, source)
                let now = source.clock.now()
                let staple = try StapleKeeper.accept(response, identity, issuer, at: now)
                shelf?.put(staple, for: leaf)
                pause = schedule.pause(after: staple, now: now)
                note(leaf, nil, source.clock.now(), pause)
            } catch {
                guard !Task.isCancelled else { return }
                let code = (error as? TLSError)?.verification?.code
                if code == .revoked { shelf?.put(nil, for: leaf) }
                pause = schedule.pauseAfterFailure()
                note(leaf, error, source.clock.now(), pause)
            }
            source.closures.onChange?(state(of: identity))
            do { try await source.clock.sleep(pause) } catch { return }
        }
    }

    private func note(
        _ leaf: Certificate,
        _ failure: (any Error)?,
        _ now: UnixTime,
        _ pause: Duration
    ) {
        state.withLock { s in
            guard !s.isOver else { return }
            s.failures[leaf] = failure
            s.attempts[leaf] = UnixTime(seconds: now.seconds + pause.components.seconds)
        }
    }

    /// Asks the source, for as long as it may take.
    private func fetch(
        _ identity: TLSIdentity,
        _ source: OCSPStapleSource
    ) async throws -> [UInt8] {
        try await withThrowingTaskGroup(of: [UInt8].self) { group in
            group.addTask { try await source.closures.fetch(identity) }
            group.addTask {
                try await source.clock.sleep(source.timeout)
                throw SocketError(.responseTimedOut, detail: "no staple within \(source.timeout)")
            }
            defer { group.cancelAll() }
            guard let response = try await group.next() else { throw CancellationError() }
            return response
        }
    }

    /// Verifies a response before it is stapled: a good one.
    static func accept(
        _ response: [UInt8],
        _ identity: TLSIdentity,
        _ issuer: Certificate?,
        at time: UnixTime
    ) throws(TLSError) -> OCSPStaple {
        let staple = try OCSPStaple(reading: response, for: identity, issuer: issuer, at: time)
        let code: VerificationCode
        switch staple.status {
        case .good: return staple
        case .revoked: code = .revoked
        case .unknown: code = .stapleStatusUnknown
        }
        throw TLSError(
            .invalidOCSPResponse,
            verification: VerificationFailure(
                code: code,
                depth: 0,
                text: "the responder does not say good",
                certificate: identity.certificate
            ),
            hint: "Renew the certificate, or ask its issuer"
        )
    }
}

extension TLSSocketListenerInit {
    /// The shelf of a listener that staples, with what there is from the start.
    func stapleShelf(for identity: TLSIdentity?) throws(TLSError) -> OCSPStapleShelf? {
        guard ocspResponse != nil || ocspSource != nil, let identity else { return nil }
        let clock = ocspSource?.clock ?? .system
        let shelf = OCSPStapleShelf(clock: clock.now)
        if let ocspResponse {
            let now = clock.now()
            let staple = try StapleKeeper.accept(ocspResponse, identity, ocspIssuer, at: now)
            shelf.put(staple, for: identity.certificate)
        }
        return shelf
    }
}

extension SocketListener {
    /// What the listener staples now, one value an identity; empty without TLS.
    ///
    /// A certificate that demands a staple while there is none shows as ``StapleState/isOwed``.
    public var staples: [StapleState] { core.stapleKeeper?.states ?? [] }
}
