// What happens at a listener, as values in order: for logs, metrics and alarms. Nothing of it is made
// while nobody listens.
//
// To add an event: a case here, and `events.publish(.…)` where it happens; the listener's core and
// whatever it owns have the feed.

/// Something that happened at a listener.
@nonexhaustive
public enum ListenerEvent: Sendable {
    /// A client has come in over TLS; the report tells how.
    case handshakeDone(HandshakeReport, remote: SocketAddress)
    /// A handshake came to nothing; the error's ``SocketError/report`` tells how far it came and which
    /// alerts went to and fro.
    case handshakeFailed(SocketError, remote: SocketAddress)
    /// A client was turned away; one whose ClientHello was read gets an alert, and
    /// ``handshakeFailed(_:remote:)`` follows.
    case refused(ListenerRefusal, remote: SocketAddress)
    /// New TLS members count from now on.
    case reloaded(ListenerReload)
    /// What should have been loaded cannot be used: what was there before still counts.
    case reloadFailed(SocketError)
    /// No descriptor, or no memory, is left for another connection: they wait in the kernel.
    case acceptPaused(SocketError)
    /// Connections are accepted again.
    case acceptResumed(after: Duration)
    /// It listens no more, and so many connections are still open.
    case draining(open: Int)
    /// It has stopped, and its last connection has ended. The last event.
    case closed(CloseReason)
    /// So many events were dropped here, since nobody took them in time.
    case eventsDropped(Int)
}

/// Why a listener turned a client away.
@nonexhaustive
public enum ListenerRefusal: Hashable, Sendable {
    /// The listener has as many connections as it may have.
    case connections
    /// The client's address has as many connections as one may have.
    case connectionsOfAddress
    /// The client's address came too often.
    case rateOfAddress
    /// It waited too long for its handshake's turn.
    case queueTime
    /// The listener is about to close.
    case draining
    /// The listener's `admit` closure refused what the client said in its ClientHello.
    case hello(TLSRefusal, servername: String?)
}

/// What a reload changed.
public struct ListenerReload: Sendable {
    /// What had a listener reload.
    public enum Cause: Hashable, Sendable {
        /// ``SocketListener/reload(_:keepingSessions:)``.
        case call
        /// A file that is watched changed.
        case files
    }

    /// What had the listener reload.
    public var cause: Cause
    /// The leaves of the listener's identities before.
    public var before: [Certificate]
    /// The leaves of the listener's identities from now on.
    public var after: [Certificate]

    /// Makes a value that tells of a reload.
    public init(cause: Cause, before: [Certificate], after: [Certificate]) {
        self.cause = cause
        self.before = before
        self.after = after
    }
}

/// What happens at a listener, in order.
///
/// Begins to collect when it is made. A consumer that falls behind by more than its buffer loses the
/// oldest events, and finds ``ListenerEvent/eventsDropped(_:)`` in their place. The sequence ends behind
/// ``ListenerEvent/closed(_:)``, or when the task is cancelled. Several iterators share the events.
///
/// ```swift
/// for await event in listener.events { log(event) }
/// ```
public struct ListenerEvents: AsyncSequence, Sendable {
    /// One event.
    public typealias Element = ListenerEvent
    /// It does not fail.
    public typealias Failure = Never

    /// The events that wait for a consumer, unless it says otherwise.
    public static let bufferMax = 1024

    let subscription: EventSubscription<ListenerEvent>

    /// Goes on with the first event that was not taken.
    public func makeAsyncIterator() -> Iterator { Iterator(subscription: subscription) }

    /// Waits for events.
    public struct Iterator: AsyncIteratorProtocol {
        let subscription: EventSubscription<ListenerEvent>

        /// Waits for the next event; nil behind the last, or when the task is cancelled.
        public mutating func next() async -> ListenerEvent? {
            switch await subscription.next() {
            case .event(let event): event
            case .dropped(let count): .eventsDropped(count)
            case nil: nil
            }
        }

        /// Waits for the next event; nil behind the last, or when the task is cancelled.
        public mutating func next(isolation actor: isolated (any Actor)?) async -> ListenerEvent? {
            await next()
        }
    }
}

extension SocketListener {
    /// What happens at this listener from now on.
    ///
    /// Costs nothing while nobody asks for it; each call begins a sequence of its own.
    public var events: ListenerEvents { events(bufferSize: ListenerEvents.bufferMax) }

    /// What happens at this listener from now on, with a buffer of a given size.
    ///
    /// - Parameter bufferSize: The events that may wait for the consumer, at least one.
    /// - Returns: A sequence of its own.
    public func events(bufferSize: Int) -> ListenerEvents {
        ListenerEvents(subscription: core.events.subscribe(limit: bufferSize))
    }
}
