// The sessions of a client's connection, as they come. TLS 1.3 gives them behind the handshake, among the
// data: whoever reads the socket brings them in, and here they are handed on.
//
// The engine tells of a session while it decrypts, under the connection's lock. Nobody is resumed there:
// the feed fetches and delivers on the event loop.

import Synchronization

/// The sessions that a client's connection can be resumed by, in the order in which they come.
///
/// First comes the one that is there already, if any; then each that the server gives. TLS 1.3 has them
/// behind the handshake, with the data: they come while somebody reads the socket. The sequence ends with
/// the connection.
///
/// ```swift
/// for await session in socket.sessions { cache.store(session.sealed) }
/// ```
public struct SocketSessions: AsyncSequence, Sendable {
    /// One session.
    public typealias Element = TLSSession
    /// It does not fail.
    public typealias Failure = Never

    let connection: Connection

    /// Begins with the session that is there now.
    ///
    /// Several iterators get each session, each with up to 16 waiting; older ones are dropped.
    public func makeAsyncIterator() -> Iterator {
        Iterator(subscription: connection.subscribeToSessions())
    }

    /// Waits for sessions.
    public struct Iterator: AsyncIteratorProtocol {
        let subscription: SessionSubscription

        /// Waits for the next session; nil when the connection has ended or the task is cancelled.
        public mutating func next() async -> TLSSession? { await subscription.next() }

        /// Waits for the next session; nil when the connection has ended or the task is cancelled.
        public mutating func next(isolation actor: isolated (any Actor)?) async -> TLSSession? {
            await subscription.next()
        }
    }
}

extension Socket {
    /// The sessions that this client's connection can be resumed by, as the server gives them.
    ///
    /// May be asked for before the socket is ready, and by several tasks. A listener's socket, and one
    /// without TLS, have none.
    public var sessions: SocketSessions { SocketSessions(connection: connection) }
}

/// One consumer's sessions.
final class SessionSubscription: Sendable {
    private struct State {
        var sessions: [TLSSession] = []
        var waiter: Waiter?
        var isOver = false
    }

    /// The most that wait for the consumer; the oldest go.
    static let limit = 16

    private let state = Mutex(State())

    func append(_ sessions: [TLSSession]) {
        guard !sessions.isEmpty else { return }
        let waiter = state.withLock { s -> Waiter? in
            guard !s.isOver else { return nil }
            s.sessions += sessions
            s.sessions.removeFirst(max(0, s.sessions.count - SessionSubscription.limit))
            defer { s.waiter = nil }
            return s.waiter
        }
        waiter?.resume()
    }

    func finish() {
        let waiter = state.withLock { s -> Waiter? in
            s.isOver = true
            defer { s.waiter = nil }
            return s.waiter
        }
        waiter?.resume()
    }

    func next() async -> TLSSession? {
        while !Task.isCancelled {
            let (session, isOver) = state.withLock { s in
                (s.sessions.isEmpty ? nil : s.sessions.removeFirst(), s.isOver)
            }
            if let session { return session }
            guard !isOver else { return nil }
            await withTaskCancellationHandler {
                await Waiter.suspend { waiter in
                    let (mustWait, other) = state.withLock { s -> (Bool, Waiter?) in
                        guard s.sessions.isEmpty, !s.isOver, !Task.isCancelled else {
                            return (false, nil)
                        }
                        // A copy of the iterator in another task: both look again in turn.
                        let other = s.waiter
                        s.waiter = waiter
                        return (true, other)
                    }
                    other?.resume()
                    return mustWait
                }
            } onCancel: {
                state.withLock { s in
                    defer { s.waiter = nil }
                    return s.waiter
                }?.resume()
            }
        }
        return nil
    }
}

/// Who is told of a connection's sessions.
final class SessionFeed: Sendable {
    private let subscriptions = Mutex<[WeakSubscription]>([])

    private struct WeakSubscription: Sendable {
        weak let subscription: SessionSubscription?
    }

    /// Adds a subscription.
    ///
    /// - Returns: Those that were there before.
    func add(_ subscription: SessionSubscription) -> [SessionSubscription] {
        subscriptions.withLock { all in
            let earlier = all.compactMap(\.subscription)
            all = (earlier + [subscription]).map { WeakSubscription(subscription: $0) }
            return earlier
        }
    }

    func deliver(_ sessions: [TLSSession]) {
        for subscription in all { subscription.append(sessions) }
    }

    func finish() {
        for subscription in all { subscription.finish() }
    }

    /// Consumers that are still there.
    var subscriptionCount: Int { all.count }

    private var all: [SessionSubscription] {
        subscriptions.withLock { $0.compactMap(\.subscription) }
    }
}

extension Connection {
    /// Begins to hand on sessions.
    fileprivate func subscribeToSessions() -> SessionSubscription {
        let subscription = SessionSubscription()
        guard role == .client else {
            subscription.finish()
            return subscription
        }
        typealias Beginning = (
            feed: SessionFeed, isNew: Bool, earlier: [SessionSubscription], pending: [TLSSession]
        )
        let begun = state.withLock { s -> Beginning in
            let isNew = s.sessionFeed == nil
            let feed = s.sessionFeed ?? SessionFeed()
            s.sessionFeed = feed
            if isNew { watchSessions(&s) }
            // Under the lock, so that none comes twice, or is missed: what is on its way to the others is
            // theirs alone, as the last of it is the present one.
            let pending = s.takeSessions()
            if let session = s.currentSession { subscription.append([session]) }
            return (feed, isNew, feed.add(subscription), pending)
        }
        for other in begun.earlier { other.append(begun.pending) }
        if begun.isNew {
            onClosed { [weak self] in
                // What came with the last of the data is not lost.
                self?.deliverSessions()
                begun.feed.finish()
            }
        }
        if state.withLock({ $0.closeReason != nil || !$0.isTLS }) { subscription.finish() }
        return subscription
    }

    /// Has a fresh engine tell of sessions, if somebody asked for them before.
    func watchSessions() {
        state.withLock { watchSessions(&$0) }
    }

    private func watchSessions(_ s: inout Storage) {
        guard s.sessionFeed != nil else { return }
        s.engine?.keepSessions(notice: { [weak self] in
            guard let self else { return }
            self.loop.execute { [weak self] in self?.deliverSessions() }
        })
    }

    private func deliverSessions() {
        let (feed, sessions) = state.withLock { s in (s.sessionFeed, s.takeSessions()) }
        feed?.deliver(sessions)
    }
}

extension Connection.Storage {
    /// The session that the connection can be resumed by, as of now.
    var currentSession: TLSSession? {
        // Mutating, as an engine cannot be copied out of an optional to ask it.
        mutating get {
            guard wasEstablished, !isStartingTLS, var session = engine?.session ?? nil else {
                return nil
            }
            session.key = sessionKey
            return session
        }
    }

    /// The same, with the chains of a report that was made anyway.
    mutating func session(of report: HandshakeReport) -> TLSSession? {
        guard var session = engine?.session(of: report) ?? nil else { return nil }
        session.key = sessionKey
        return session
    }

    fileprivate mutating func takeSessions() -> [TLSSession] {
        let sessions = engine?.takeSessions() ?? []
        return sessions.map { session in
            var session = session
            session.key = sessionKey
            return session
        }
    }
}
