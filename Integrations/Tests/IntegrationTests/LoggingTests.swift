import InMemoryLogging
import Logging
import Sockets
import SocketsLogging
import Testing

@Suite(.timeLimit(.minutes(1))) struct LoggingTests {
    /// What was written, without what differs from run to run.
    private func lines(_ handler: InMemoryLogHandler) -> [String] {
        handler.entries.map { "\($0.level): \($0.message)" }
    }

    private func text(_ metadata: Logger.Metadata, _ name: String) -> String? {
        metadata[name].map { "\($0)" }
    }

    private func makeLogger(_ level: Logger.Level) -> (Logger, InMemoryLogHandler) {
        let handler = InMemoryLogHandler()
        var logger = Logger(label: "test") { _ in handler }
        logger.logLevel = level
        return (logger, handler)
    }

    @Test("a listener's good and bad handshakes are written with what is known of them")
    func listener() async throws {
        let stage = try Stage.shared()
        let (logger, handler) = makeLogger(.trace)
        let listener = try stage.listener()
        let events = listener.events
        let logging = Task { await EventLogger(logger).follow(events) }
        let serving = Task { try await listener.serve(echo) }
        try await withSocket(stage.client(listener.localAddress)) { try await converse($0) }
        await #expect(throws: SocketError.self) {
            try await withSocket(
                stage.client(listener.localAddress) { $0.alpn = ["smtp"] }
            ) { _ in }
        }
        await listener.close()
        _ = await serving.result
        await logging.value
        #expect(
            lines(handler) == [
                "debug: handshake done", "warning: handshake failed", "info: listener draining",
                "info: listener closed",
            ]
        )
        let done = try #require(handler.entries.first).metadata
        #expect(text(done, "tls.client.server_name") == "localhost")
        #expect(text(done, "tls.next_protocol") == "echo")
        #expect(text(done, "tls.protocol.version") == "1.3")
        #expect(text(done, "tls.resumed") == "false")
        #expect(text(done, "network.peer.address") == "127.0.0.1")
        #expect(done["network.peer.port"] != nil)
        let failed = handler.entries[1].metadata
        #expect(text(failed, "error.type") == "noApplicationProtocol")
        #expect(text(failed, "tls.established") == "false")
    }

    @Test("refusals are notices, reloads that fail errors, and a level of one's own counts")
    func levels() {
        let (logger, handler) = makeLogger(.trace)
        var levels = EventLogger.Levels()
        levels.failure = .critical
        let log = EventLogger(logger, levels: levels)
        let remote = SocketAddress("192.0.2.1", port: 4711)
        log.log(ListenerEvent.refused(.connectionsOfAddress, remote: remote))
        let word = TLSRefusal("not on the list")
        log.log(ListenerEvent.refused(.hello(word, servername: "a\nb\u{7f}ü"), remote: remote))
        log.log(ListenerEvent.reloadFailed(SocketError(.invalidTLSConfiguration)))
        log.log(ListenerEvent.eventsDropped(7))
        log.log(ListenerEvent.acceptResumed(after: .seconds(1)))
        #expect(
            lines(handler) == [
                "notice: client refused", "notice: client refused",
                "error: TLS reload failed, what was there still counts",
                "critical: events dropped: the log fell behind", "notice: accept resumed",
            ]
        )
        let first = handler.entries[0].metadata
        #expect(text(first, "sockets.refusal.reason") == "connections_of_address")
        let second = handler.entries[1].metadata
        #expect(text(second, "sockets.refusal.reason") == "hello")
        // One line, whatever a peer writes.
        #expect(text(second, "tls.client.server_name") == "a\\nb\\u{7F}\\u{00FC}")
    }

    @Test("a connection's events are written; for a level that is off nothing is gathered")
    func connection() async throws {
        let stage = try Stage.shared()
        let listener = try stage.listener()
        let serving = Task { try await listener.serve(echo) }
        let (all, everything) = makeLogger(.trace)
        let (quiet, nothing) = makeLogger(.notice)
        let socket = try Socket(stage.client(listener.localAddress))
        let events = (socket.events, socket.events)
        let remote = listener.localAddress
        let writing = Task { await EventLogger(all).follow(events.0, remote: remote) }
        let beingQuiet = Task { await EventLogger(quiet).follow(events.1) }
        try await converse(socket)
        _ = await (writing.value, beingQuiet.value)
        let written = lines(everything)
        #expect(written.contains("debug: handshake done"))
        #expect(written.contains("trace: ticket received"))
        #expect(written.contains("trace: alert sent"))
        #expect(written.last == "debug: connection closed")
        let end = try #require(everything.entries.last).metadata
        #expect(text(end, "sockets.bytes.sent") == "3")
        #expect(text(end, "sockets.bytes.received") == "3")
        #expect(text(end, "sockets.close.reason") == "clean")
        #expect(nothing.entries.isEmpty)
        // Nothing of keys, tickets or data.
        #expect(!everything.entries.contains { "\($0.metadata)".contains("PRIVATE") })
        await listener.close()
        _ = await serving.result
    }
}
