import CoreMetrics
import MetricsTestKit
import Sockets
import SocketsMetrics
import Testing

@Suite(.timeLimit(.minutes(1))) struct MetricsTests {
    /// The sum of a counter over the series whose dimensions include these.
    private func total(_ metrics: TestMetrics, _ label: String, _ own: [String: String]) -> Int64 {
        metrics.counters(label: label).filter { counter in
            own.allSatisfy { name, value in
                counter.dimensions.contains { $0.0 == name && $0.1 == value }
            }
        }
        .reduce(0) { $0 + $1.totalValue }
    }

    @Test("a listener's handshakes, bytes, alerts, endings and open connections are counted")
    func listener() async throws {
        let stage = try Stage.shared()
        let metrics = TestMetrics()
        let listener = try stage.listener()
        let counting = SocketMetrics(dimensions: [("listener", "echo")], factory: metrics)
        let (events, traffic) = (listener.events, listener.traffic)
        let following = Task { await counting.follow(events, traffic, of: listener) }
        let serving = Task { try await listener.serve(echo) }
        var session: [UInt8]?
        for _ in 0..<3 {
            let socket = try Socket(stage.client(listener.localAddress) { $0.session = session })
            try await converse(socket)
            session = socket.info?.session
        }
        await #expect(throws: SocketError.self) {
            try await withSocket(
                stage.client(listener.localAddress) { $0.alpn = ["smtp"] }
            ) { _ in }
        }
        await listener.close()
        _ = await serving.result
        await following.value
        let done = ["role": "server", "result": "done", "version": "TLS 1.3", "listener": "echo"]
        let all = total(metrics, "sockets.handshakes", done)
        let resumed = total(metrics, "sockets.handshakes", ["result": "done", "resumed": "true"])
        #expect(all == 3 && resumed == 2)
        let failed = ["result": "no_application_protocol", "role": "server"]
        #expect(total(metrics, "sockets.handshakes", failed) == 1)
        #expect(total(metrics, "sockets.bytes", ["direction": "sent"]) == 9)
        #expect(total(metrics, "sockets.bytes", ["direction": "received"]) == 9)
        #expect(total(metrics, "sockets.connections", [:]) == 4)
        let alert = ["direction": "sent", "alert": "no_application_protocol"]
        #expect(total(metrics, "sockets.alerts", alert) == 1)
        let timers = metrics.timers(label: "sockets.handshake.duration")
        #expect(timers.flatMap(\.values).count == 3)
        #expect(timers.flatMap(\.values).allSatisfy { $0 > 0 })
        let open = try metrics.expectMeter("sockets.connections.open", [("listener", "echo")])
        #expect(open.lastValue == 0)
    }

    @Test("a client's own connection is counted by its events")
    func client() async throws {
        let stage = try Stage.shared()
        let metrics = TestMetrics()
        let listener = try stage.listener()
        let serving = Task { try await listener.serve(echo) }
        let socket = try Socket(stage.client(listener.localAddress))
        let events = socket.events
        let counting = SocketMetrics(prefix: "outgoing", factory: metrics)
        let following = Task { await counting.follow(events) }
        try await converse(socket)
        await following.value
        #expect(total(metrics, "outgoing.handshakes", ["role": "client", "result": "done"]) == 1)
        #expect(total(metrics, "outgoing.tickets", ["direction": "received"]) == 1)
        #expect(total(metrics, "outgoing.connections", ["result": "clean"]) == 1)
        #expect(total(metrics, "outgoing.alerts", ["direction": "sent"]) == 1)
        #expect(metrics.timers(label: "outgoing.handshake.duration").count == 1)
        await listener.close()
        _ = await serving.result
    }

    @Test("refusals, reloads and what was dropped are counted, by a dimension of a small set")
    func events() {
        let metrics = TestMetrics()
        let counting = SocketMetrics(factory: metrics)
        let remote = SocketAddress("192.0.2.1", port: 4711)
        for name in ["one", "two"] {
            let refusal = ListenerRefusal.hello(TLSRefusal(name), servername: name)
            counting.record(ListenerEvent.refused(refusal, remote: remote))
        }
        counting.record(ListenerEvent.refused(.rateOfAddress, remote: remote))
        counting.record(ListenerEvent.reloadFailed(SocketError(.invalidTLSConfiguration)))
        counting.record(ListenerEvent.eventsDropped(5))
        counting.record(ListenerTraffic.eventsDropped(6), open: 3)
        #expect(total(metrics, "sockets.refusals", ["reason": "hello"]) == 2)
        #expect(total(metrics, "sockets.refusals", ["reason": "rate_of_address"]) == 1)
        #expect(metrics.counters(label: "sockets.refusals").count == 2)
        #expect(total(metrics, "sockets.reloads", ["result": "failed"]) == 1)
        #expect(total(metrics, "sockets.events.dropped", [:]) == 11)
    }
}
