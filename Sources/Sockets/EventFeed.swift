// From where something happens to whoever wants to know: any number of listeners with a bounded buffer
// each, and nothing but a look at one flag while there are none.
//
// Rule: whoever publishes never waits. A consumer that falls behind loses the oldest events, and is told
// how many.

import Synchronization

/// Hands events to those who subscribed.
final class EventFeed<Event: Sendable>: Sendable {
    private struct Weak: Sendable {
        weak let subscription: EventSubscription<Event>?
    }

    private struct State {
        var subscriptions: [Weak] = []
        var isOver = false
    }

    private let state = Mutex(State())
    private let isWatched = Atomic<Bool>(false)

    /// Whether anybody wants to know: the one look that an event costs otherwise.
    @inline(__always)
    var isObserved: Bool { isWatched.load(ordering: .relaxed) }

    /// Tells everybody; the event is made only when there is somebody.
    @inline(__always)
    func publish(_ event: @autoclosure () -> Event) {
        if isObserved { deliver(event()) }
    }

    /// Tells everybody, and leaves it to the caller to let those run on who waited for it: for whoever
    /// holds a lock.
    func post(_ event: Event) -> [Waiter] {
        let all = state.withLock { $0.subscriptions.compactMap(\.subscription) }
        return all.compactMap { $0.append(event) }
    }

    /// Begins to collect events for one consumer.
    ///
    /// - Parameters:
    ///   - limit: The most that wait for it; the oldest go.
    ///   - beginning: What this consumer gets first.
    /// - Returns: Its subscription, which lasts as long as it is held.
    func subscribe(limit: Int, beginning: [Event] = []) -> EventSubscription<Event> {
        let subscription = EventSubscription(feed: self, limit: limit)
        for event in beginning { _ = subscription.append(event) }
        let isOver = state.withLock { s in
            guard !s.isOver else { return true }
            s.subscriptions.append(Weak(subscription: subscription))
            isWatched.store(true, ordering: .relaxed)
            return false
        }
        if isOver { subscription.finish() }
        return subscription
    }

    /// Ends the events; what was collected is still delivered.
    func finish() {
        let all = state.withLock { s in
            s.isOver = true
            isWatched.store(false, ordering: .relaxed)
            defer { s.subscriptions = [] }
            return s.subscriptions.compactMap(\.subscription)
        }
        for subscription in all { subscription.finish() }
    }

    private func deliver(_ event: Event) {
        for waiter in post(event) { waiter.resume() }
    }

    /// Forgets subscriptions that are gone.
    fileprivate func prune() {
        // Let go only behind the lock: one whose last holder this is comes here again.
        let rest = state.withLock { s in
            let rest = s.subscriptions.compactMap(\.subscription)
            s.subscriptions = rest.map { Weak(subscription: $0) }
            isWatched.store(!rest.isEmpty, ordering: .relaxed)
            return rest
        }
        withExtendedLifetime(rest) {}
    }
}

/// What one consumer has not taken yet.
final class EventSubscription<Event: Sendable>: Sendable {
    /// What a consumer gets.
    enum Delivery {
        case event(Event)
        /// So many events were dropped, since it fell behind; those that follow are later ones.
        case dropped(Int)
    }

    private struct State {
        /// The events in the order they came, from `first` on.
        var events: [Event] = []
        var first = 0
        var dropped = 0
        var waiter: Waiter?
        var isOver = false

        var count: Int { events.count - first }
    }

    private let state = Mutex(State())
    private let feed: EventFeed<Event>
    private let limit: Int

    fileprivate init(feed: EventFeed<Event>, limit: Int) {
        self.feed = feed
        self.limit = max(1, limit)
    }

    deinit { feed.prune() }

    /// - Returns: Who waited for it, to be resumed.
    fileprivate func append(_ event: Event) -> Waiter? {
        state.withLock { s -> Waiter? in
            guard !s.isOver else { return nil }
            if s.count == limit {
                s.first += 1
                s.dropped += 1
            }
            // What was taken, or dropped, is cut off once it is as much as may wait.
            if s.first >= limit {
                s.events.removeFirst(s.first)
                s.first = 0
            }
            s.events.append(event)
            defer { s.waiter = nil }
            return s.waiter
        }
    }

    fileprivate func finish() {
        let waiter = state.withLock { s -> Waiter? in
            s.isOver = true
            defer { s.waiter = nil }
            return s.waiter
        }
        waiter?.resume()
    }

    /// Waits for an event; nil once they are over, or the task is cancelled.
    func next() async -> Delivery? {
        while !Task.isCancelled {
            let (delivery, isOver) = state.withLock { s -> (Delivery?, Bool) in
                if s.dropped > 0 {
                    defer { s.dropped = 0 }
                    return (.dropped(s.dropped), s.isOver)
                }
                guard s.count > 0 else { return (nil, s.isOver) }
                let event = s.events[s.first]
                s.first += 1
                if s.count == 0 {
                    s.events.removeAll(keepingCapacity: true)
                    s.first = 0
                }
                return (.event(event), s.isOver)
            }
            if let delivery { return delivery }
            guard !isOver else { return nil }
            await wait()
        }
        return nil
    }

    private func wait() async {
        await withTaskCancellationHandler {
            await Waiter.suspend { waiter in
                let (mustWait, other) = state.withLock { s -> (Bool, Waiter?) in
                    guard s.count == 0, s.dropped == 0, !s.isOver, !Task.isCancelled else {
                        return (false, nil)
                    }
                    // Another iterator over the same: both look again in turn.
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
}
