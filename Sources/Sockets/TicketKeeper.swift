// Keeps a listener's ticket keys: one task for each source, which asks it, and rotates the ring at the
// beginning of each epoch, for as long as the listener listens. Handshakes take what is in the ring.
//
// Rule 1: what the source fails to give takes nothing away: the keys stay until they expire.
// Rule 2: a ring without a key that may seal gives no tickets; there is no other key.

import Synchronization

final class TicketKeeper: Sendable {
    private struct State {
        var failures: [ObjectIdentifier: any Error] = [:]
        var attempts: [ObjectIdentifier: UnixTime] = [:]
        var task: Task<Void, Never>?
        var isOver = false
    }

    private let sources: [TicketKeySource]
    private let state = Mutex(State())

    /// Makes a keeper, which does nothing before it is started.
    ///
    /// - Parameter context: A listener's; its source and those of its hosts are asked, each once.
    init(_ context: TLSContext) {
        var sources: [TicketKeySource] = []
        for context in [context] + (context.hosts?.all ?? []) {
            guard let source = (context.companion as? ListenerCallbacks)?.ticketKeys,
                !sources.contains(where: { $0.closures === source.closures })
            else { continue }
            sources.append(source)
        }
        self.sources = sources
    }

    /// Starts to ask; sources that need no wait are asked at once, so that the first client gets a
    /// ticket.
    func start() {
        guard !sources.isEmpty else { return }
        var pauses: [Duration?] = []
        for source in sources {
            pauses.append(source.closures.fetchAtOnce.map { takeIn(source, failures: 0, $0) })
        }
        state.withLock { [pauses] s in
            guard !s.isOver, s.task == nil else { return }
            s.task = Task { await self.run(pauses) }
        }
    }

    /// Ends the task; the keys stay, for connections and listeners that share them.
    func stop() {
        let task = state.withLock { s in
            s.isOver = true
            s.attempts = [:]
            return s.task.take()
        }
        task?.cancel()
    }

    /// What the keys are worth, one value a source.
    var states: [TicketKeyState] { sources.map(state(of:)) }

    private func state(of source: TicketKeySource) -> TicketKeyState {
        let key = ObjectIdentifier(source.closures)
        let (failure, next) = state.withLock { ($0.failures[key], $0.attempts[key]) }
        return TicketKeyState(
            canSeal: source.ring.canSeal,
            keyCount: source.ring.keyCount,
            failure: failure,
            nextAttempt: next
        )
    }

    private func run(_ pauses: [Duration?]) async {
        await withDiscardingTaskGroup { group in
            for (source, pause) in zip(sources, pauses) {
                group.addTask { await self.keep(source, asksAfter: pause) }
            }
        }
    }

    /// Asks one source, and rotates its ring, until the task is cancelled.
    private func keep(_ source: TicketKeySource, asksAfter pause: Duration?) async {
        let clock = source.closures.clock
        var failures = failures(of: source)
        var due = clock.now().adding(pause ?? .zero)
        while !Task.isCancelled {
            if clock.now() >= due {
                let answer = await answer(of: source)
                guard !Task.isCancelled else { return }
                due = clock.now().adding(takeIn(source, failures: failures) { try answer.get() })
                failures = self.failures(of: source) == 0 ? 0 : failures + 1
            } else {
                // What fails here is tried again by the next handshake, which then has no key.
                try? source.ring.rotate()
            }
            let wake = min(due, source.ring.nextRotation)
            let rest = Duration.seconds(max(1, wake.seconds - clock.now().seconds))
            do { try await clock.sleep(rest) } catch { return }
        }
    }

    private func failures(of source: TicketKeySource) -> Int {
        state.withLock { $0.failures[ObjectIdentifier(source.closures)] == nil ? 0 : 1 }
    }

    /// Gives what a source says to its ring, and tells of it.
    ///
    /// - Returns: The pause until it is asked next.
    private func takeIn(
        _ source: TicketKeySource,
        failures: Int,
        _ fetch: () throws -> TicketSecrets
    ) -> Duration {
        var failure: (any Error)?
        do {
            try source.ring.adopt(try fetch())
        } catch {
            failure = error
            try? source.ring.rotate()
        }
        let pause = failure == nil ? source.interval : source.pause(afterFailures: failures)
        let key = ObjectIdentifier(source.closures)
        let next = source.closures.clock.now().adding(max(pause, .seconds(1)))
        state.withLock { [failure] s in
            guard !s.isOver else { return }
            s.failures[key] = failure
            s.attempts[key] = next
        }
        source.closures.onChange?(state(of: source))
        return max(pause, .seconds(1))
    }

    /// Asks a source, for as long as it may take.
    private func answer(of source: TicketKeySource) async -> Result<TicketSecrets, any Error> {
        let closures = source.closures
        do {
            let secrets = try await within(
                source.timeout,
                "ticket secrets",
                sleep: closures.clock.sleep
            ) { try await closures.fetch() }
            return .success(secrets)
        } catch {
            return .failure(error)
        }
    }
}

extension TLSContext {
    /// Refuses what would let the sessions of another configuration count: keys, or a store, that outlive
    /// it.
    func requireOtherSessions(than other: TLSContext) throws(SocketError) {
        let theirs = [other] + (other.hosts?.all ?? [])
        for context in [self] + (hosts?.all ?? []) {
            let store = (context.companion as? ListenerCallbacks)?.sessionStore
            for earlier in theirs {
                let before = (earlier.companion as? ListenerCallbacks)?.sessionStore
                let hasSameKeys =
                    context.ticketKeys != nil && context.ticketKeys === earlier.ticketKeys
                guard hasSameKeys || store != nil && store?.closures === before?.closures else {
                    continue
                }
                throw SocketError(
                    .invalidOption,
                    detail: "sessions are not to count any more, and their keys or store stay",
                    hint: "Replace the secret of ticketKeys, with drop-others, for the whole fleet"
                )
            }
        }
    }
}

extension TicketKeySource {
    /// The pause after another failure.
    func pause(afterFailures failures: Int) -> Duration {
        let doubled = retryDelay * (1 << min(failures, 16))
        return min(doubled, longestRetryDelay)
    }
}

extension SocketListener {
    /// What the listener's ticket keys are worth, one value a ``TicketKeySource``; empty without any.
    public var ticketKeys: [TicketKeyState] { core.currentTLS?.ticketKeeper.states ?? [] }
}
