// What happens to listeners and connections as messages of swift-log. The text of a message is the same
// for all events of its kind; what differs is metadata, under the names of OpenTelemetry's conventions.

#if Logging
public import Logging
public import Sockets
import ObservedFacts

/// Writes events to a logger.
///
/// ```swift
/// let events = listener.events
/// async let logging: Void = EventLogger(logger).follow(events)
/// ```
public struct EventLogger: Sendable {
    /// How loud each kind of event is.
    public struct Levels: Sendable {
        /// What goes on all the time: states, tickets, goodbyes.
        public var detail = Logger.Level.trace
        /// Handshakes that are done, and connections that end in good order.
        public var success = Logger.Level.debug
        /// What an operator did: reloads, a listener that drains and stops.
        public var operation = Logger.Level.info
        /// Clients that were turned away, and deadlines.
        public var refusal = Logger.Level.notice
        /// Handshakes and connections that failed, fatal alerts, and events that were dropped.
        public var failure = Logger.Level.warning
        /// What needs somebody: a reload that cannot be used, no descriptor left, a listener that failed.
        public var trouble = Logger.Level.error

        /// Makes the levels that are said with each of them.
        public init() {}
    }

    private let logger: Logger
    private let levels: Levels

    /// Makes a writer.
    ///
    /// - Parameters:
    ///   - logger: Where events go; its metadata goes with each of them.
    ///   - levels: How loud each kind of event is.
    public init(_ logger: Logger, levels: Levels = Levels()) {
        self.logger = logger
        self.levels = levels
    }

    /// Writes a listener's events until it is over, or the task is cancelled.
    ///
    /// - Parameter events: ``/Sockets/SocketListener/events``, taken before anything happens.
    public func follow(_ events: ListenerEvents) async {
        for await event in events { log(event) }
    }

    /// Writes a connection's events until it is over, or the task is cancelled.
    ///
    /// - Parameters:
    ///   - events: ``/Sockets/Socket/events``.
    ///   - remote: The other side, to be said with each event.
    public func follow(_ events: ConnectionEvents, remote: SocketAddress? = nil) async {
        for await event in events { log(event, remote: remote) }
    }

    /// Writes a listener's event.
    public func log(_ event: ListenerEvent) {
        switch event {
        case .handshakeDone(let report, let remote):
            write(levels.success, "handshake done", remote) { $0.add(report) }
        case .handshakeFailed(let error, let remote):
            write(levels.failure, "handshake failed", remote) { $0.add(error) }
        case .refused(let refusal, let remote):
            write(levels.refusal, "client refused", remote) { facts in
                facts.add("sockets.refusal.reason", "\(refusal)".caseName)
                guard case .hello(let word, let servername) = refusal else { return }
                facts.add("tls.client.server_name", servername.map(ObservedFacts.printable))
                facts.add("sockets.refusal.detail", ObservedFacts.printable(word.reason))
            }
        case .reloaded(let reload):
            write(levels.operation, "TLS reloaded") { facts in
                facts.add("sockets.reload.cause", "\(reload.cause)")
                facts.add("sockets.reload.identities", reload.after.count)
                facts.add("sockets.reload.changed", reload.before != reload.after)
            }
        case .reloadFailed(let error):
            write(levels.trouble, "TLS reload failed, what was there still counts") { facts in
                facts.add(error)
            }
        case .acceptPaused(let error):
            write(levels.trouble, "no more connections can be accepted") { $0.add(error) }
        case .draining(let open):
            write(levels.operation, "listener draining") { facts in
                facts.add("sockets.connections.open", open)
            }
        case .closed(let reason):
            let isFailure = reason.error.map { $0.category != .aborted } ?? false
            write(isFailure ? levels.trouble : levels.operation, "listener closed") { facts in
                facts.add("sockets.close.reason", reason.kind)
                if let error = reason.error { facts.add(error) }
            }
        case .eventsDropped(let count): logDropped(count)
        default: write(levels.refusal, words(of: event))
        }
    }

    /// Writes a connection's event.
    ///
    /// - Parameters:
    ///   - event: What happened.
    ///   - remote: The other side.
    public func log(_ event: ConnectionEvent, remote: SocketAddress? = nil) {
        switch event {
        case .stateChanged(let state):
            write(levels.detail, "state changed", remote) { facts in
                facts.add("sockets.state", state.rawValue)
            }
        case .attemptFailed(let error):
            write(levels.refusal, "connection attempt failed", error.address) { $0.add(error) }
        case .handshakeDone(let report, _):
            write(levels.success, "handshake done", remote) { $0.add(report) }
        case .handshakeFailed(let error):
            write(levels.failure, "handshake failed", remote) { $0.add(error) }
        case .alertSent(let alert, let phase): logAlert(alert, phase, "sent", remote)
        case .alertReceived(let alert, let phase): logAlert(alert, phase, "received", remote)
        case .ticketReceived(let ticket):
            write(levels.detail, "ticket received", remote) { facts in
                facts.add("tls.ticket.size", ticket.size)
                facts.add("tls.ticket.lifetime", ticket.lifetime)
            }
        case .timedOut(let error): write(levels.refusal, "timed out", remote) { $0.add(error) }
        case .closed(let summary):
            let isFailure = summary.reason.error.map { $0.category != .aborted } ?? false
            write(isFailure ? levels.failure : levels.success, "connection closed", remote) {
                $0.add(summary)
            }
        case .eventsDropped(let count): logDropped(count)
        default: write(levels.detail, words(of: event), remote)
        }
    }

    private func logAlert(
        _ alert: Alert,
        _ phase: HandshakePhase,
        _ way: String,
        _ remote: SocketAddress?
    ) {
        let level = alert.level == .fatal ? levels.failure : levels.detail
        write(level, "alert \(way)", remote) { facts in
            facts.add("tls.alert.\(way)", alert.name)
            facts.add("tls.alert.code", Int(alert.code))
            facts.add("tls.alert.phase", phase.rawValue)
        }
    }

    private func logDropped(_ count: Int) {
        write(levels.failure, "events dropped: the log fell behind") { facts in
            facts.add("sockets.events.dropped", count)
        }
    }

    /// Writes a message; the facts are gathered only for a level that is on.
    private func write(
        _ level: Logger.Level,
        _ message: String,
        _ remote: SocketAddress? = nil,
        _ gather: (inout ObservedFacts) -> Void = { _ in }
    ) {
        guard logger.logLevel <= level else { return }
        var facts = ObservedFacts()
        facts.add(peer: remote)
        gather(&facts)
        logger.log(level: level, "\(message)", metadata: facts.values.mapValues(\.metadata))
    }
}

extension ObservedValue {
    fileprivate var metadata: Logger.MetadataValue {
        switch self {
        case .text(let text): .string(text)
        case .number(let number): .stringConvertible(number)
        case .truth(let truth): .stringConvertible(truth)
        }
    }
}

/// What an event without facts is called, in words.
private func words(of event: some Sendable) -> String {
    "\(event)".caseName.replacing("_", with: " ")
}
#endif
