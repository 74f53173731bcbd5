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
        // One that is over by now, and still counts for the clocks' difference, is no success: the
        // responder has nothing newer, and asking it every second would not help.
        if let nextUpdate = staple.nextUpdate, nextUpdate <= now { return pauseAfterFailure() }
        failures = 0
        guard let nextUpdate = staple.nextUpdate else { return source.interval }
        let left = Duration.seconds(nextUpdate.seconds - now.seconds)
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
    /// One identity of the listener or of a host, and what staples for it.
    private struct Ward: Sendable {
        let identity: TLSIdentity
        let shelf: OCSPStapleShelf?
        let source: OCSPStapleSource?
        let issuer: Certificate?
        var leaf: Certificate { identity.certificate }
    }

    private struct State {
        var failures: [Certificate: any Error] = [:]
        var attempts: [Certificate: UnixTime] = [:]
        var task: Task<Void, Never>?
        var isOver = false
    }

    private let wards: [Ward]
    private let state = Mutex(State())

    /// Makes a keeper, which does nothing before it is started.
    ///
    /// - Parameter context: A listener's; its identities and those of its hosts are stapled for.
    init(_ context: TLSContext) {
        wards = ([context] + (context.hosts?.all ?? [])).flatMap { context in
            let callbacks = context.companion as? ListenerCallbacks
            return context.identities.map { identity in
                Ward(
                    identity: identity,
                    shelf: context.staples,
                    source: callbacks?.ocspSource,
                    issuer: callbacks?.ocspIssuer
                )
            }
        }
    }

    /// Starts to fetch when there is a source.
    func start() {
        guard wards.contains(where: { $0.source != nil && $0.shelf != nil }) else { return }
        state.withLock { s in
            guard !s.isOver, s.task == nil else { return }
            s.task = Task { await self.run() }
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

    /// Takes over what another staples for certificates that both have, where there is nothing yet.
    func inherit(from other: StapleKeeper) {
        for ward in wards {
            guard let shelf = ward.shelf, shelf.staple(for: ward.leaf) == nil else { continue }
            let same = other.wards.first { $0.leaf == ward.leaf && $0.shelf != nil }
            if let staple = same?.shelf?.staple(for: ward.leaf) {
                shelf.put(staple, for: ward.leaf)
            }
        }
    }

    /// What is stapled, one value an identity.
    var states: [StapleState] { wards.map(state(of:)) }

    private func state(of ward: Ward) -> StapleState {
        let (failure, next) = state.withLock { ($0.failures[ward.leaf], $0.attempts[ward.leaf]) }
        return StapleState(
            certificate: ward.leaf,
            staple: ward.shelf?.staple(for: ward.leaf),
            failure: failure,
            nextAttempt: next
        )
    }

    private func run() async {
        await withDiscardingTaskGroup { group in
            for ward in wards {
                guard let source = ward.source, let shelf = ward.shelf else { continue }
                group.addTask { await self.keep(ward, source, shelf) }
            }
        }
    }

    /// Fetches for one identity until the task is cancelled.
    private func keep(
        _ ward: Ward,
        _ source: OCSPStapleSource,
        _ shelf: OCSPStapleShelf
    ) async {
        let leaf = ward.leaf
        var schedule = StapleSchedule(source)
        while !Task.isCancelled {
            let pause: Duration
            do {
                let response = try await fetch(ward.identity, source)
                let now = source.clock.now()
                let staple = try StapleKeeper.accept(
                    response,
                    ward.identity,
                    ward.issuer,
                    at: now
                )
                shelf.put(staple, for: leaf)
                pause = schedule.pause(after: staple, now: now)
                note(leaf, nil, source.clock.now(), pause)
            } catch {
                guard !Task.isCancelled else { return }
                let code = (error as? TLSError)?.verification?.code
                if code == .revoked { shelf.put(nil, for: leaf) }
                pause = schedule.pauseAfterFailure()
                note(leaf, error, source.clock.now(), pause)
            }
            source.closures.onChange?(state(of: ward))
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
            s.attempts[leaf] = now.adding(pause)
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
    func stapleShelf(for identities: [TLSIdentity]) throws(TLSError) -> OCSPStapleShelf? {
        guard ocspResponse != nil || ocspSource != nil else { return nil }
        let clock = ocspSource?.clock ?? .system
        let shelf = OCSPStapleShelf(clock: clock.now)
        guard let ocspResponse else { return shelf }
        // What is wrong with it for the first identity is told, unless it speaks of another.
        var problem: TLSError?
        for identity in identities {
            do throws(TLSError) {
                let now = clock.now()
                let staple = try StapleKeeper.accept(ocspResponse, identity, ocspIssuer, at: now)
                shelf.put(staple, for: identity.certificate)
                return shelf
            } catch {
                let isOfAnother = error.verification?.code == .stapleOfAnotherCertificate
                if problem == nil || !isOfAnother { problem = error }
            }
        }
        if let problem { throw problem }
        return shelf
    }
}

extension SocketListener {
    /// What the listener staples now, one value an identity; empty without TLS.
    ///
    /// A certificate that demands a staple while there is none shows as ``StapleState/isOwed``.
    public var staples: [StapleState] { core.currentTLS?.stapleKeeper.states ?? [] }
}
