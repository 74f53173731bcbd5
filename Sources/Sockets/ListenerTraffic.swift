// The connections of a listener as they come and go: for metrics. A sequence of its own, since one of
// them must not push a reload or a refusal out of the buffer of ``SocketListener/events``.

/// A connection that came to a listener, or left it, see ``SocketListener/traffic``.
@nonexhaustive
public enum ListenerTraffic: Sendable {
    /// A connection came in; its handshake follows.
    case came(from: SocketAddress)
    /// A connection is ready for data; so long did its handshake take.
    case ready(HandshakeTimings, remote: SocketAddress)
    /// A connection has ended, whether or not its handshake was done.
    case went(ConnectionSummary, remote: SocketAddress)
    /// So many events were dropped here, since nobody took them in time.
    case eventsDropped(Int)
}

/// The connections of a listener as they come and go.
///
/// Begins to collect when it is made. A consumer that falls behind by more than its buffer loses the
/// oldest events, and finds ``ListenerTraffic/eventsDropped(_:)`` in their place:
/// ``SocketListener/connectionCount`` tells how many there are in any case. The sequence ends when the
/// listener has stopped and its last connection has ended, or when the task is cancelled.
public struct ListenerTrafficEvents: AsyncSequence, Sendable {
    /// One event.
    public typealias Element = ListenerTraffic
    /// It does not fail.
    public typealias Failure = Never

    /// The events that wait for a consumer, unless it says otherwise.
    public static let bufferMax = 4096

    let subscription: EventSubscription<ListenerTraffic>

    /// Goes on with the first event that was not taken.
    public func makeAsyncIterator() -> Iterator { Iterator(subscription: subscription) }

    /// Waits for events.
    public struct Iterator: AsyncIteratorProtocol {
        let subscription: EventSubscription<ListenerTraffic>

        /// Waits for the next event; nil behind the last, or when the task is cancelled.
        public mutating func next() async -> ListenerTraffic? {
            switch await subscription.next() {
            case .event(let event): event
            case .dropped(let count): .eventsDropped(count)
            case nil: nil
            }
        }

        /// Waits for the next event; nil behind the last, or when the task is cancelled.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async -> ListenerTraffic? {
            await next()
        }
    }
}

extension SocketListener {
    /// The connections as they come and go from now on.
    ///
    /// Costs nothing while nobody asks for it; each call begins a sequence of its own.
    public var traffic: ListenerTrafficEvents {
        traffic(bufferSize: ListenerTrafficEvents.bufferMax)
    }

    /// The connections as they come and go from now on, with a buffer of a given size.
    ///
    /// - Parameter bufferSize: The events that may wait for the consumer, at least one.
    /// - Returns: A sequence of its own.
    public func traffic(bufferSize: Int) -> ListenerTrafficEvents {
        ListenerTrafficEvents(subscription: core.traffic.subscribe(limit: bufferSize))
    }
}
