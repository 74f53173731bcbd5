// What a listener tells of itself while it lives.

import TLSEngine
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct ListenerEventTests {
    @Test("handshakes show with their reports, good ones and bad ones", arguments: Wire.secure)
    func handshakes(wire: Wire) async throws {
        let listener = try makeListener(wire) { $0.alpn = ["h2"] }
        var events = listener.events.makeAsyncIterator()
        let serving = Task { try await listener.serve { _ in } }
        let good = try makeClient(wire, to: listener.localAddress) { $0.alpn = ["h2"] }
        _ = try await good.ready
        guard case .handshakeDone(let report, let remote) = await events.next() else {
            Issue.record("no word of the good one")
            return
        }
        #expect(report.isComplete && report.alpn == "h2" && report.role == .server)
        #expect(remote == good.info?.local)
        let bad = try makeClient(wire, to: listener.localAddress) { $0.alpn = ["smtp"] }
        #expect(await thrown { _ = try await bad.ready } != nil)
        guard case .handshakeFailed(let error, _) = await events.next() else {
            Issue.record("no word of the bad one")
            return
        }
        #expect(error.code == .handshakeFailed)
        #expect(error.report?.alertSent == .noApplicationProtocol)
        await listener.close("done")
        _ = await serving.result
        var last: [String] = []
        while let event = await events.next() { last.append("\(event)") }
        #expect(last.count == 2 && last[0].hasPrefix("draining") && last[1].hasPrefix("closed"))
        // Behind the end there is nothing, also for those who ask only now.
        var late = listener.events.makeAsyncIterator()
        #expect(await late.next() == nil)
    }

    @Test("a consumer that falls behind loses the oldest, and is told how many")
    func dropped() async throws {
        let feed = EventFeed<Int>()
        #expect(!feed.isObserved)
        let subscription = feed.subscribe(limit: 4)
        for number in 1...11 { feed.publish(number) }
        feed.finish()
        var got: [String] = []
        while let delivery = await subscription.next() { got.append("\(delivery)") }
        #expect(got == ["dropped(7)", "event(8)", "event(9)", "event(10)", "event(11)"])
    }

    @Test("with nobody there an event is not even made")
    func unobserved() async {
        let feed = EventFeed<Int>()
        let made = Log<Int>()
        func make() -> Int {
            made.append(1)
            return 1
        }
        feed.publish(make())
        #expect(made.count == 0)
        do {
            let subscription = feed.subscribe(limit: 4)
            feed.publish(make())
            #expect(made.count == 1)
            _ = await subscription.next()
        }
        // Whoever has gone is not told any more.
        #expect(!feed.isObserved)
    }

    @Test("a consumer that is cancelled while it waits is let go")
    func cancelled() async {
        let feed = EventFeed<Int>()
        let subscription = feed.subscribe(limit: 4)
        let waiting = Task { await subscription.next() == nil }
        await pass(.milliseconds(5))
        waiting.cancel()
        #expect(await waiting.value)
    }
}
