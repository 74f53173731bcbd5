// What happens to listeners and connections, counted by swift-metrics. The values of a dimension are of
// small sets, names of registries and of this package's cases: nothing that a peer writes.

#if Metrics
public import CoreMetrics
import ObservedFacts
public import Sockets
import Synchronization

/// Counts events.
///
/// | Metric | Kind | Dimensions |
/// |---|---|---|
/// | `sockets.handshakes` | counter | `role`, `result`: `done` or the error's code, `version`, `resumed` |
/// | `sockets.handshake.duration` | timer | `role` |
/// | `sockets.alerts` | counter | `direction`: `sent` or `received`, `alert` |
/// | `sockets.tickets` | counter | `direction` |
/// | `sockets.connections` | counter | `result`: `clean`, `reset`, … |
/// | `sockets.connections.open` | meter | |
/// | `sockets.bytes` | counter | `direction` |
/// | `sockets.refusals` | counter | `reason` |
/// | `sockets.reloads` | counter | `result`: `done` or `failed` |
/// | `sockets.events.dropped` | counter | |
///
/// The share of resumed handshakes is that of `resumed` = `true` among those whose result is `done`. A
/// listener's alerts are counted when a connection ends, the last one of each side.
///
/// ```swift
/// let (events, traffic) = (listener.events, listener.traffic)
/// async let counting: Void = SocketMetrics().follow(events, traffic, of: listener)
/// ```
public final class SocketMetrics: Sendable {
    private let prefix: String
    private let dimensions: [(String, String)]
    private let factory: any MetricsFactory
    private let counters = Mutex<[Series: Counter]>([:])
    private let openConnections: Meter

    private struct Series: Hashable {
        var label: String
        var values: [String]
    }

    /// Makes a counter of events.
    ///
    /// - Parameters:
    ///   - prefix: What the names of all metrics begin with.
    ///   - dimensions: Said with all of them, such as the listener's name.
    ///   - factory: Where metrics go; nil is the process's.
    public init(
        prefix: String = "sockets",
        dimensions: [(String, String)] = [],
        factory: (any MetricsFactory)? = nil
    ) {
        let factory = factory ?? MetricsSystem.factory
        self.prefix = prefix
        self.dimensions = dimensions
        self.factory = factory
        openConnections = Meter(
            label: prefix + ".connections.open",
            dimensions: dimensions,
            factory: factory
        )
    }

    /// Counts what happens at a listener until it is over, or the task is cancelled.
    ///
    /// - Parameters:
    ///   - events: ``/Sockets/SocketListener/events``, taken before anything happens.
    ///   - traffic: ``/Sockets/SocketListener/traffic``, taken before anything happens.
    ///   - listener: Asked how many connections there are.
    public func follow(
        _ events: ListenerEvents,
        _ traffic: ListenerTrafficEvents,
        of listener: SocketListener
    ) async {
        await withDiscardingTaskGroup { group in
            group.addTask { for await event in events { self.record(event) } }
            group.addTask {
                for await event in traffic {
                    self.record(event, open: listener.connectionCount)
                }
            }
        }
    }

    /// Counts what happens to a client's connection until it is over, or the task is cancelled.
    ///
    /// A listener's connections are counted by the listener.
    ///
    /// - Parameter events: ``/Sockets/Socket/events``.
    public func follow(_ events: ConnectionEvents) async {
        for await event in events { record(event) }
    }

    // MARK: One event

    /// Counts a listener's event.
    public func record(_ event: ListenerEvent) {
        switch event {
        case .handshakeDone(let report, _): count(report, error: nil)
        case .handshakeFailed(let error, _): count(error.report, error: error)
        case .refused(let refusal, _): count("refusals", ("reason", "\(refusal)".caseName))
        case .reloaded: count("reloads", ("result", "done"))
        case .reloadFailed: count("reloads", ("result", "failed"))
        case .eventsDropped(let number): count("events.dropped", by: UInt64(clamping: number))
        default: break
        }
    }

    /// Counts a connection of a listener that came or went.
    ///
    /// - Parameters:
    ///   - event: What happened.
    ///   - open: The connections that the listener has now.
    public func record(_ event: ListenerTraffic, open: Int) {
        openConnections.set(open)
        switch event {
        case .ready(let timings, _): time(timings, role: .server)
        case .went(let summary, _):
            count(summary)
            if let alert = summary.alertSent { count(alert, "sent") }
            if let alert = summary.alertReceived { count(alert, "received") }
        case .eventsDropped(let number): count("events.dropped", by: UInt64(clamping: number))
        default: break
        }
    }

    /// Counts a client's event.
    public func record(_ event: ConnectionEvent) {
        switch event {
        case .handshakeDone(let report, let timings):
            count(report, error: nil)
            time(timings, role: report.role)
        case .handshakeFailed(let error): count(error.report, error: error)
        case .alertSent(let alert, _): count(alert, "sent")
        case .alertReceived(let alert, _): count(alert, "received")
        case .ticketSent: count("tickets", ("direction", "sent"))
        case .ticketReceived: count("tickets", ("direction", "received"))
        case .closed(let summary): count(summary)
        case .eventsDropped(let number): count("events.dropped", by: UInt64(clamping: number))
        default: break
        }
    }

    private func count(_ report: HandshakeReport?, error: SocketError?) {
        let result = error.map { $0.tls.map { "\($0.code)" } ?? $0.code.rawValue }
        count(
            "handshakes",
            ("role", report.map { "\($0.role)" } ?? "unknown"),
            ("result", result?.caseName ?? "done"),
            ("version", report?.version?.description ?? "none"),
            ("resumed", report?.isResumed == true ? "true" : "false")
        )
    }

    private func count(_ alert: Alert, _ direction: String) {
        count("alerts", ("direction", direction), ("alert", alert.name))
    }

    private func count(_ summary: ConnectionSummary) {
        count("connections", ("result", summary.reason.kind))
        count("bytes", ("direction", "sent"), by: summary.stats.bytesSent)
        count("bytes", ("direction", "received"), by: summary.stats.bytesReceived)
    }

    private func time(_ timings: HandshakeTimings, role: TLSRole) {
        guard let took = timings.handshake else { return }
        let timer = Timer(
            label: "\(prefix).handshake.duration",
            dimensions: dimensions + [("role", "\(role)")],
            factory: factory
        )
        let (seconds, attoseconds) = took.components
        timer.recordNanoseconds(seconds &* 1_000_000_000 &+ attoseconds / 1_000_000_000)
    }

    private func count(
        _ name: String,
        _ own: (String, String)...,
        by number: UInt64 = 1
    ) {
        let series = Series(label: name, values: own.map(\.1))
        // The same handle each time: making one costs a look-up in the backend.
        let counter = counters.withLock { counters in
            if let counter = counters[series] { return counter }
            let counter = Counter(
                label: "\(prefix).\(name)",
                dimensions: dimensions + own,
                factory: factory
            )
            counters[series] = counter
            return counter
        }
        counter.increment(by: Int64(clamping: number))
    }
}
#endif
