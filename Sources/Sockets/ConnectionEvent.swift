// What happens to a connection, as values in order: for logs, metrics, traces, and whoever wants to know
// why a peer hung up. Nothing of it is made while nobody listens, and no event holds a secret.

/// Something that happened to a connection, see ``Socket/events``.
@nonexhaustive
public enum ConnectionEvent: Sendable {
    /// It has come to another state.
    case stateChanged(ConnectionState)
    /// An address of the remote did not answer; the next one is tried, if there is one.
    case attemptFailed(SocketError)
    /// The TLS handshake is done; so long did the steps to here take.
    case handshakeDone(HandshakeReport, timings: HandshakeTimings)
    /// The TLS handshake came to nothing, whatever the cause; ``SocketError/report`` tells how far it came.
    case handshakeFailed(SocketError)
    /// This side sent an alert; the phase is where the handshake stood.
    case alertSent(Alert, phase: HandshakePhase)
    /// The peer sent an alert; the phase is where the handshake stood.
    case alertReceived(Alert, phase: HandshakePhase)
    /// This server gave a session ticket.
    case ticketSent
    /// The server gave this client a session ticket.
    case ticketReceived(TicketFacts)
    /// This side changed its sending keys (RFC 8446 §4.6.3).
    case keyUpdateSent
    /// The peer changed its sending keys (RFC 8446 §4.6.3).
    case keyUpdateReceived
    /// A deadline passed; its code tells which. ``closed(_:)`` follows.
    case timedOut(SocketError)
    /// It has ended. The last event.
    case closed(ConnectionSummary)
    /// So many events were dropped here, since nobody took them in time.
    case eventsDropped(Int)
}

/// Where a connection stands.
@nonexhaustive
public enum ConnectionState: String, CaseIterable, Hashable, Sendable {
    /// A client looks the remote's name up.
    case resolving
    /// A client opens the transport's connection.
    case connecting
    /// The TLS handshake is under way.
    case handshaking
    /// Data flows both ways.
    case open
    /// The peer has ended its side.
    case readEnded
    /// This side has ended its sending.
    case writeEnded
    /// Both sides have ended theirs.
    case ended
}

/// What became of a connection that has ended.
public struct ConnectionSummary: Sendable {
    /// Why it ended.
    public var reason: CloseReason
    /// Whether it was ready once.
    public var wasReady: Bool
    /// What went over it.
    public var stats: SocketStats
    /// How long the steps to it took, those of which one failed included.
    public var timings: HandshakeTimings
    /// The last alert this side sent.
    public var alertSent: Alert?
    /// The last alert the peer sent.
    public var alertReceived: Alert?

    /// Makes a summary of a connection over which nothing went.
    public init(reason: CloseReason, wasReady: Bool) {
        self.reason = reason
        self.wasReady = wasReady
        stats = SocketStats()
        timings = HandshakeTimings()
    }
}

/// What happens to a connection, in order.
///
/// Begins where the connection stands when it is made: with its state, behind the handshake's report if
/// that is done. A consumer that falls behind by more than its buffer loses the oldest events, and finds
/// ``ConnectionEvent/eventsDropped(_:)`` in their place; the connection never waits for it. The sequence
/// ends behind ``ConnectionEvent/closed(_:)``, or when the task is cancelled. It does not keep the socket:
/// a socket that is dropped ends. Several iterators of one sequence share the events.
///
/// ```swift
/// for await event in socket.events { print(event) }
/// ```
public struct ConnectionEvents: AsyncSequence, Sendable {
    /// One event.
    public typealias Element = ConnectionEvent
    /// It does not fail.
    public typealias Failure = Never

    /// The events that wait for a consumer, unless it says otherwise.
    public static let bufferMax = 256

    let subscription: EventSubscription<ConnectionEvent>

    /// Goes on with the first event that was not taken.
    public func makeAsyncIterator() -> Iterator { Iterator(subscription: subscription) }

    /// Waits for events.
    public struct Iterator: AsyncIteratorProtocol {
        let subscription: EventSubscription<ConnectionEvent>

        /// Waits for the next event; nil behind the last, or when the task is cancelled.
        public mutating func next() async -> ConnectionEvent? {
            switch await subscription.next() {
            case .event(let event): event
            case .dropped(let count): .eventsDropped(count)
            case nil: nil
            }
        }

        /// Waits for the next event; nil behind the last, or when the task is cancelled.
        public mutating func next(isolation actor: isolated (any Actor)?) async -> ConnectionEvent?
        {
            await next()
        }
    }
}

extension Socket {
    /// What happens to this connection, from where it stands now.
    ///
    /// Costs nothing while nobody asks for it; each call begins a sequence of its own.
    public var events: ConnectionEvents { events(bufferSize: ConnectionEvents.bufferMax) }

    /// What happens to this connection, with a buffer of a given size.
    ///
    /// - Parameter bufferSize: The events that may wait for the consumer, at least one.
    /// - Returns: A sequence of its own.
    public func events(bufferSize: Int) -> ConnectionEvents {
        ConnectionEvents(subscription: connection.subscribeToEvents(limit: bufferSize))
    }
}
