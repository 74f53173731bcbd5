// What a listener answers new connections with: configuration, decider, staples, watched files. One value,
// replaced as a whole; connections keep what they began with.
//
// Rule 1: what is to be put in place is complete before it is: whatever fails leaves the old one.
// Rule 2: clients' sessions outlive it. Ticket keys go from the old to the new, and OpenSSL's session id
// context, which is made of names and trust, lets them count where both are as before.

import SocketCore
import Synchronization

/// A listener's TLS at one time.
final class ListenerTLS: Sendable {
    /// The members as they were given, files not read.
    let members: TLSSocketListenerInit
    let context: TLSContext
    let decider: ListenerDecider?
    /// Answers early data; its sessions are the context's own, and end with it.
    let earlyAnswer: EarlyAnswerCallback?
    let stapleKeeper: StapleKeeper
    let ticketKeeper: TicketKeeper
    /// Looks at the files; nil without any.
    let watch: FileWatch?

    /// Reads the files, if any, and checks everything.
    ///
    /// - Parameters:
    ///   - members: What is to count.
    ///   - executor: Where decisions are made.
    ///   - events: Where refusals show.
    ///   - earlier: What counted before; nil at the start.
    ///   - keepsSessions: Whether the sessions of that can be resumed.
    /// - Throws: ``SocketError`` that says what is wrong.
    init(
        _ members: TLSSocketListenerInit,
        executor: (any TaskExecutor)?,
        events: EventFeed<ListenerEvent>,
        after earlier: ListenerTLS? = nil,
        keepsSessions: Bool = true
    ) throws(SocketError) {
        let (loaded, watch) = try members.loadingFiles()
        context = try loaded.context()
        earlyAnswer = loaded.answerEarlyData
        decider = ListenerDecider(
            loaded,
            executor: executor,
            events: events,
            after: keepsSessions ? earlier?.decider : nil
        )
        stapleKeeper = StapleKeeper(context)
        ticketKeeper = TicketKeeper(context)
        self.members = members
        self.watch = watch
        guard let earlier else { return }
        stapleKeeper.inherit(from: earlier.stapleKeeper)
        guard keepsSessions else {
            try context.requireOtherSessions(than: earlier.context)
            return
        }
        do throws(TLSError) {
            try context.shareTicketKeys(with: earlier.context)
        } catch {
            throw .configuration(error)
        }
    }

    /// The leaves of the identities, the hosts' behind the listener's own.
    var leaves: [Certificate] {
        ([context] + (context.hosts?.all ?? [])).flatMap { $0.identities.map(\.certificate) }
    }

    /// Starts what runs beside the connections.
    ///
    /// - Parameter reload: Called when files have changed; must not hold this value.
    func start(reloading reload: @escaping @Sendable () -> FileWatch.Outcome) {
        ticketKeeper.start()
        stapleKeeper.start()
        watch?.start(reload)
    }

    /// Starts what runs beside a listener's connections.
    func start(for core: ListenerCore) {
        // Who is referred to weakly is retained more slowly ever after.
        guard watch != nil else { return start { .over } }
        start { [weak core, weak self] in
            guard let core, let self else { return .over }
            return core.reloadFiles(of: self)
        }
    }

    /// Ends what runs beside the connections.
    func stop() {
        stapleKeeper.stop()
        ticketKeeper.stop()
        watch?.stop()
    }
}

extension ListenerCore {
    /// What new connections are answered with; nil without TLS.
    var currentTLS: ListenerTLS? { tls.withLock { $0 } }

    /// Puts new members in place of the old.
    func reload(_ members: TLSSocketListenerInit, keepsSessions: Bool) throws(SocketError) {
        guard let current = currentTLS else {
            throw SocketError(.tlsOptionWithoutTLS, hint: "Set type to tls")
        }
        do throws(SocketError) {
            let next = try ListenerTLS(
                members,
                executor: executor,
                events: events,
                after: current,
                keepsSessions: keepsSessions
            )
            try swap(to: next, ifStill: nil, .call)
        } catch {
            events.publish(.reloadFailed(error))
            throw error
        }
    }

    /// Reads changed files anew; what is wrong with them leaves all as it was.
    func reloadFiles(of current: ListenerTLS) -> FileWatch.Outcome {
        do throws(SocketError) {
            let next = try ListenerTLS(
                current.members,
                executor: executor,
                events: events,
                after: current
            )
            try swap(to: next, ifStill: current, .files)
            return .over
        } catch {
            guard closeReason == nil else { return .over }
            if current.watch?.isNews(error) == true { events.publish(.reloadFailed(error)) }
            return .retry
        }
    }

    /// Puts something complete in place.
    ///
    /// - Parameters:
    ///   - next: What counts from now on.
    ///   - expected: What must still count; nil replaces anything.
    ///   - cause: Shows in the event.
    /// - Throws: ``SocketError`` `.closed`.
    private func swap(
        to next: ListenerTLS,
        ifStill expected: ListenerTLS?,
        _ cause: ListenerReload.Cause
    ) throws(SocketError) {
        let before = tls.withLock { current -> ListenerTLS? in
            guard expected == nil || current === expected else { return nil }
            defer { current = next }
            return current
        }
        // Somebody else has put something else there: theirs counts.
        guard let before else { return }
        before.stop()
        next.start(for: self)
        // Closed meanwhile: whoever closed it may have seen the old one only.
        guard closeReason == nil else {
            next.stop()
            throw SocketError(.closed)
        }
        events.publish(
            .reloaded(ListenerReload(cause: cause, before: before.leaves, after: next.leaves))
        )
    }
}

extension SocketListener {
    /// Puts new TLS members in place of the old, at once and as a whole.
    ///
    /// Connections that were accepted before keep what they have; later ones get the new. Clients go on
    /// resuming their sessions, unless ``TLSSocketListenerInit/sessionIDContext``,
    /// ``TLSSocketListenerInit/clientAuthentication`` or, where clients show certificates, the trust
    /// changed. Where anything is wrong with the new members, the old ones stay.
    ///
    /// Keys and trust stores are read on the system's threads, not on the caller's event loop.
    ///
    /// - Parameters:
    ///   - members: Everything that counts from now on, in place of all that counted before.
    ///   - keepingSessions: Whether tickets that were given before can be used; false after a key was
    ///     lost.
    /// - Throws: ``SocketError`` of category misuse, or `.closed`.
    @concurrent
    public func reload(
        _ members: TLSSocketListenerInit,
        keepingSessions: Bool = true
    ) async throws(SocketError) {
        guard core.closeReason == nil else { throw SocketError(.closed) }
        try core.reload(members, keepsSessions: keepingSessions)
    }
}
