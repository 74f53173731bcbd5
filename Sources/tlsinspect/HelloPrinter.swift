// What `listen` writes: a hello in three lines, or a JSON object in one; and the sum of all.

import Sockets
import Synchronization
import TLSInspection
import Tooling

/// Writes what is known of connections, as it comes.
///
/// Who moves bytes adds the lines of a connection to a text, or for JSON the connection to a list; a task
/// writes those of a hundredth of a second at once. Lines are made where the hello is: a hello is many small
/// pieces of memory, which are dear to give back on another thread.
final class HelloPrinter: Sendable {
    /// How many connections may wait to be written, and the memory that they may take.
    static let backlog = 4096
    static let backlogBytes = 8 << 20
    /// How many connections one JSON object holds.
    static let keptMax = 1000
    /// Room for the text of a busy hundredth of a second.
    private static let textSize = 64 << 10
    /// How long the first of what is written at once has to wait.
    private static let pause = Duration.milliseconds(10)
    /// The first line of `jsonl`.
    private struct Listening: Codable {
        var schema = "tlsinspect/1"
        var command = "listen"
        var event = "listening"
        var local: String
    }

    /// What is not written yet.
    private struct Backlog {
        /// The connections of JSON, and the lines of text.
        var arrivals: [Arrival] = []
        var text = ""
        var lines: HelloLines
        /// How many connections wait, and their memory.
        var count = 0
        var cost = 0
        /// Connections that are not shown.
        var missed = 0
        /// The connections of `json`.
        var kept: [HelloRecord] = []
    }

    private let format: OutputOptions.Format
    /// Whether single connections are told.
    private let isQuiet: Bool
    private let surroundings: ToolSurroundings
    private let waiting: Mutex<Backlog>
    private let wakes: AsyncStream<Void>
    private let bell: AsyncStream<Void>.Continuation

    init(
        _ format: OutputOptions.Format,
        isQuiet: Bool = false,
        _ paint: Painter,
        _ surroundings: ToolSurroundings
    ) {
        self.format = format
        self.isQuiet = isQuiet
        waiting = Mutex(Backlog(lines: HelloLines(paint)))
        self.surroundings = surroundings
        (wakes, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Tells that it listens.
    func begin(at address: SocketAddress) {
        switch format {
        case .text: surroundings.announce("  listening on \(address), Ctrl-C ends it\n")
        case .json: surroundings.note("tlsinspect: listening on \(address)\n")
        case .jsonl:
            surroundings.announce(JSONLine.text(of: Listening(local: "\(address)")))
        }
    }

    /// Takes a connection, or counts it where there are too many already; never waits.
    func add(_ arrival: Arrival) {
        guard !isQuiet else { return }
        let isFirst = waiting.withLock { waiting in
            guard waiting.count < Self.backlog, waiting.cost < Self.backlogBytes else {
                waiting.missed += 1
                return false
            }
            waiting.count += 1
            if format == .text {
                waiting.lines.add(arrival, to: &waiting.text)
                waiting.cost = waiting.text.utf8.count
            } else {
                waiting.arrivals.append(arrival)
                waiting.cost += arrival.cost
            }
            return waiting.count == 1
        }
        if isFirst { bell.yield() }
    }

    /// Nothing comes any more.
    func finish() { bell.finish() }

    /// Writes until nothing comes any more.
    func run() async {
        for await _ in wakes {
            // Cut short by nothing: it is too short to matter.
            try? await Task.sleep(for: Self.pause)
            write()
        }
        write()
    }

    private func write() {
        let (arrivals, text) = waiting.withLock { waiting in
            defer {
                (waiting.arrivals, waiting.text) = ([], "")
                (waiting.count, waiting.cost) = (0, 0)
                waiting.text.reserveCapacity(Self.textSize)
            }
            return (waiting.arrivals, waiting.text)
        }
        if !text.isEmpty { surroundings.announce(text) }
        guard !arrivals.isEmpty else { return }
        guard format != .json else {
            return waiting.withLock { waiting in
                let room = max(0, Self.keptMax - waiting.kept.count)
                waiting.kept += arrivals.prefix(room).map(\.record)
                waiting.missed += max(0, arrivals.count - room)
            }
        }
        surroundings.announce(arrivals.map { JSONLine.text(of: $0.record) }.joined())
    }

    /// The output of the whole run, for what was not written while it went on.
    func end(_ summary: ListenSummary) -> ToolOutput {
        var summary = summary
        waiting.withLock {
            summary.shown = $0.kept
            summary.unshown = $0.missed
        }
        return ToolOutput(
            text: format == .text ? text(of: summary) : JSONLine.text(of: summary),
            status: summary.exit
        )
    }

    // MARK: Text

    private func text(of summary: ListenSummary) -> String {
        var parts = [
            "\(summary.connections) connection" + (summary.connections == 1 ? "" : "s"),
            "\(summary.tls) TLS", "\(summary.unnamed) without servername",
        ]
        if summary.notTLS > 0 { parts.append("\(summary.notTLS) not TLS") }
        if summary.forwarded > 0 { parts.append("\(summary.forwarded) forwarded") }
        if summary.answered > 0 { parts.append("\(summary.answered) answered") }
        if summary.undelivered > 0 { parts.append("\(summary.undelivered) not delivered") }
        if let median = summary.medianBytes { parts.append("\(median) B median hello") }
        if summary.unshown > 0 { parts.append("\(summary.unshown) not shown") }
        return "  " + parts.joined(separator: " · ") + "\n"
    }
}
