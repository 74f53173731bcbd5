// Telling what happens to a connection. Events are put into the consumers' buffers under the
// connection's lock, where things happen, so their order is that of what happened; consumers that wait
// are resumed by the event loop, since nobody is under a lock.
//
// The engine tells of alerts, tickets and key updates by a callback within its steps: the data path does
// not look at anything.

import SocketCore
import Synchronization

/// Who is told of one connection's events; made when somebody first asks.
final class ConnectionWatch: Sendable {
    let feed = EventFeed<ConnectionEvent>()
    private let loop: EventLoop

    init(loop: EventLoop) {
        self.loop = loop
    }

    /// Tells everybody; the event is made only when there is somebody.
    ///
    /// Called under the connection's lock.
    func tell(_ event: @autoclosure () -> ConnectionEvent) {
        guard feed.isObserved else { return }
        let waiters = feed.post(event())
        guard !waiters.isEmpty else { return }
        loop.execute { for waiter in waiters { waiter.resume() } }
    }
}

extension Connection {
    /// Begins to collect events for one consumer, from where the connection stands.
    func subscribeToEvents(limit: Int) -> EventSubscription<ConnectionEvent> {
        state.withLock { s in
            if let watch = s.watch {
                return watch.feed.subscribe(limit: limit, beginning: s.standing)
            }
            let watch = ConnectionWatch(loop: loop)
            if s.closeReason != nil { watch.feed.finish() }
            s.watch = watch
            s.watchEngine()
            return watch.feed.subscribe(limit: limit, beginning: s.standing)
        }
    }

    /// Notes how far the way to the descriptor has come.
    func note(_ phase: HandshakePhase) {
        state.withLock { s in
            guard s.connectPhase != phase else { return }
            s.connectPhase = phase
            if let watch = s.watch, let state = s.publicState { watch.tell(.stateChanged(state)) }
        }
    }

    /// What became of the connection; once it has ended.
    var summary: ConnectionSummary { state.withLock { $0.summary } }
}

extension Connection.Storage {
    /// Has the engine tell what passes, if somebody wants to know; for every engine that comes.
    mutating func watchEngine() {
        guard let watch else { return }
        engine?.watch { passage in watch.tell(ConnectionEvent(passage)) }
    }

    /// Goes on in life, and tells of it.
    ///
    /// - Returns: Whether the event has a meaning in the present state.
    @discardableResult
    mutating func advance(_ event: SocketState.Event) -> Bool {
        let before = lifecycle.phase
        guard (try? lifecycle.apply(event)) != nil else { return false }
        if let watch, lifecycle.phase != before { tell(watch) }
        return true
    }

    private mutating func tell(_ watch: ConnectionWatch) {
        guard let state = publicState, watch.feed.isObserved else { return }
        if state == .open, let report = engine?.report {
            watch.tell(.handshakeDone(report, timings: timings))
        }
        watch.tell(.stateChanged(state))
    }

    /// Tells that the connection has ended.
    mutating func tellEnd(_ reason: CloseReason, during phase: SocketState.Phase) {
        guard let watch, watch.feed.isObserved else { return }
        if case .timedOut(let error) = reason { watch.tell(.timedOut(error)) }
        if (isTLS && phase == .handshaking) || phase == .upgrading, let failure {
            let report = failure.report ?? engine?.report
            watch.tell(.handshakeFailed(failure.adding(report: report)))
        }
        watch.tell(.closed(summary))
    }

    /// The events of which a consumer learns first.
    fileprivate var standing: [ConnectionEvent] {
        // Mutating, as an engine cannot be copied out of an optional to ask it.
        mutating get {
            guard closeReason == nil else { return [.closed(summary)] }
            var events: [ConnectionEvent] = []
            if wasEstablished, let report = engine?.report, report.isComplete {
                events.append(.handshakeDone(report, timings: timings))
            }
            if let state = publicState { events.append(.stateChanged(state)) }
            return events
        }
    }

    /// The state as it is told; nil for states that have no name outside.
    fileprivate var publicState: ConnectionState? {
        switch lifecycle.phase {
        case .connecting: connectPhase == .resolving ? .resolving : .connecting
        case .handshaking: isTLS ? .handshaking : nil
        case .upgrading: .handshaking
        case .open: .open
        case .readEnded: .readEnded
        case .writeEnded: .writeEnded
        case .ended: .ended
        // The connection has ended for everybody but the kernel.
        case .lingering, .closed: nil
        }
    }

    fileprivate var summary: ConnectionSummary {
        mutating get {
            var summary = ConnectionSummary(
                reason: closeReason ?? .clean(nil),
                wasReady: wasEstablished
            )
            summary.stats = stats
            summary.timings = timings
            if let alerts = engine?.lastAlerts {
                summary.alertSent = alerts.sent
                summary.alertReceived = alerts.received
            }
            return summary
        }
    }
}

extension ConnectionEvent {
    fileprivate init(_ passage: TLSPassage) {
        self =
            switch passage {
            case .alertSent(let alert, let phase): .alertSent(alert, phase: phase)
            case .alertReceived(let alert, let phase): .alertReceived(alert, phase: phase)
            case .ticketSent: .ticketSent
            case .ticketReceived(let facts): .ticketReceived(facts)
            case .keyUpdateSent: .keyUpdateSent
            case .keyUpdateReceived: .keyUpdateReceived
            }
    }
}
