// A listener's TLS members for connections that begin without TLS: checked, read and made into one
// configuration before the first of them comes. What a TLS listener does beside its handshakes, this
// does for them: staples, watched files, reloads, events.

import Synchronization

/// A listener's side of TLS, ready for connections that start it later.
///
/// Made once, as making it reads keys and builds the trust store, and shared by all connections: they
/// resume each other's sessions, which those of another one cannot. What a TLS listener does beside
/// its handshakes, such as fetching staples from ``TLSSocketListenerInit/ocspSource`` and looking at
/// files, it does for as long as it lives.
///
/// ```swift
/// let tls = try PreparedTLS(TLSSocketListenerInit { $0.identity = identity })
/// try await listener.serve { socket in
///     …
///     try await socket.startTLS(tls, sending: "220 go ahead\r\n")
/// }
/// ```
public final class PreparedTLS: Sendable {
    private let tls: Mutex<ListenerTLS>
    private let executor: (any TaskExecutor)?
    let feed = EventFeed<ListenerEvent>()

    /// Checks the members and makes the configuration.
    ///
    /// - Parameters:
    ///   - members: The members of a listener that speaks TLS.
    ///   - executor: Where its callbacks run; nil leaves it to the system's threads.
    /// - Throws: ``SocketError`` of category misuse.
    public init(
        _ members: TLSSocketListenerInit,
        executor: (any TaskExecutor)? = nil
    ) throws(SocketError) {
        self.executor = executor
        let made = try ListenerTLS(members, executor: executor, events: feed)
        tls = Mutex(made)
        start(made)
    }

    deinit {
        current.stop()
        feed.finish()
    }

    /// What is stapled, one value an identity, see ``SocketListener/staples``.
    public var staples: [StapleState] { current.stapleKeeper.states }

    /// What its ticket keys are worth, see ``SocketListener/ticketKeys``.
    public var ticketKeys: [TicketKeyState] { current.ticketKeeper.states }

    /// What happens from now on, in the events of a listener: handshakes that were done and that failed,
    /// reloads, refusals of `admit`.
    public var events: ListenerEvents {
        ListenerEvents(subscription: feed.subscribe(limit: ListenerEvents.bufferMax))
    }

    /// Puts new members in place of the old, as ``SocketListener/reload(_:keepingSessions:)`` does.
    ///
    /// - Parameters:
    ///   - members: Everything that counts for connections that start TLS from now on.
    ///   - keepingSessions: Whether tickets that were given before can be used; false after a key was
    ///     lost.
    /// - Throws: ``SocketError`` of category misuse; the old members stay then.
    @concurrent
    public func reload(
        _ members: TLSSocketListenerInit,
        keepingSessions: Bool = true
    ) async throws(SocketError) {
        do throws(SocketError) {
            let next = try ListenerTLS(
                members,
                executor: executor,
                events: feed,
                after: current,
                keepsSessions: keepingSessions
            )
            put(next, inPlaceOf: nil, .call)
        } catch {
            feed.publish(.reloadFailed(error))
            throw error
        }
    }

    /// What connections get now.
    var current: ListenerTLS { tls.withLock { $0 } }

    /// Starts what runs beside the connections.
    private func start(_ tls: ListenerTLS) {
        tls.start { [weak self, weak tls] in
            guard let self, let tls else { return .over }
            return self.reloadFiles(of: tls)
        }
    }

    /// Reads changed files anew; what is wrong with them leaves all as it was.
    private func reloadFiles(of earlier: ListenerTLS) -> FileWatch.Outcome {
        do throws(SocketError) {
            let next = try ListenerTLS(
                earlier.members,
                executor: executor,
                events: feed,
                after: earlier
            )
            put(next, inPlaceOf: earlier, .files)
            return .over
        } catch {
            if earlier.watch?.isNews(error) == true { feed.publish(.reloadFailed(error)) }
            return .retry
        }
    }

    /// Puts something in the place of what must still count; nil replaces anything.
    private func put(
        _ next: ListenerTLS,
        inPlaceOf expected: ListenerTLS?,
        _ cause: ListenerReload.Cause
    ) {
        let before = tls.withLock { current -> ListenerTLS? in
            guard expected == nil || current === expected else { return nil }
            defer { current = next }
            return current
        }
        // Somebody else has put something else there: theirs counts.
        guard let before else { return }
        before.stop()
        start(next)
        let change = ListenerReload(cause: cause, before: before.leaves, after: next.leaves)
        feed.publish(.reloaded(change))
    }
}

extension TLSSocketInit {
    /// Makes the default dictionary, and lets a closure set members.
    ///
    /// - Parameter configure: Sets members.
    /// - Throws: What the closure throws.
    public init<Failure: Error>(
        _ configure: (inout TLSSocketInit) throws(Failure) -> Void
    ) throws(Failure) {
        self.init()
        try configure(&self)
    }
}

extension TLSSocketListenerInit {
    /// Makes the default dictionary, and lets a closure set members.
    ///
    /// - Parameter configure: Sets members.
    /// - Throws: What the closure throws.
    public init<Failure: Error>(
        _ configure: (inout TLSSocketListenerInit) throws(Failure) -> Void
    ) throws(Failure) {
        self.init()
        try configure(&self)
    }
}
