// What a connection tells of itself while it lives.

import Dispatch
import SocketCore
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

/// An event as a short text, without what differs from run to run.
private func name(_ event: ConnectionEvent) -> String {
    switch event {
    case .stateChanged(let state): state.rawValue
    case .attemptFailed(let error): "attempt: \(error.code)"
    case .handshakeDone(let report, _): "done: \(report.version, default: "none")"
    case .handshakeFailed(let error): "failed: \(error.code)"
    case .alertSent(let alert, let phase): "sent: \(alert.name), \(phase)"
    case .alertReceived(let alert, let phase): "received: \(alert.name), \(phase)"
    case .ticketSent: "ticket sent"
    case .ticketReceived: "ticket received"
    case .keyUpdateSent: "key update sent"
    case .keyUpdateReceived: "key update received"
    case .timedOut(let error): "timed out: \(error.code)"
    case .closed(let summary): "closed: \(summary.reason)"
    case .eventsDropped(let count): "dropped: \(count)"
    }
}

/// Everything up to the end.
private func names(_ events: ConnectionEvents) async -> [String] {
    var names: [String] = []
    for await event in events { names.append(name(event)) }
    return names
}

/// The last event, if it is the one that ends a connection.
private func summary(_ events: ConnectionEvents) async -> ConnectionSummary? {
    var last: ConnectionEvent?
    for await event in events { last = event }
    guard case .closed(let summary) = last else { return nil }
    return summary
}

/// Connects, with the events from the first on: the client's loop stands still until they are asked for.
private func withObserved(
    _ options: SocketInit,
    _ body: (Socket, ConnectionEvents) async throws -> Void
) async throws {
    let group = EventLoopGroup(loopCount: 1)
    let isHeard = DispatchSemaphore(value: 0)
    group.next().execute { isHeard.wait() }
    defer { isHeard.signal() }
    var options = options
    options.group = group
    let client = try Socket(options)
    let events = client.events
    isHeard.signal()
    try await body(client, events)
    client.abort()
    _ = await client.closed
    await group.shutdown()
}

@Suite(.timeLimit(.minutes(1))) struct ConnectionEventTests {
    @Test(
        "a life in good order is told on both sides, for every listener",
        arguments: Wire.allCases
    )
    func life(wire: Wire) async throws {
        let listener = try makeListener(wire)
        let client = try makeClient(wire, to: listener.localAddress)
        let (events, others) = (client.events, client.events)
        var iterator = listener.makeAsyncIterator()
        let server = try #require(try await iterator.next()).socket
        let accepted = server.events
        _ = try await client.ready
        try await client.write("12345")
        #expect(try await readExactly(5, from: server).count == 5)
        try await server.write("123")
        try await server.shutdownWrite()
        #expect(try await readAll(from: client).count == 3)
        try await client.close("enough")
        _ = try await server.read()
        _ = await (client.closed, server.closed)
        let seen = await names(events)
        // Connecting, and the handshake, may be over before anybody asks.
        let beginning = ["connecting", "handshaking", "done: \(wire.version, default: "none")"]
        let secure = wire != .tcp
        let core = seen.filter { !beginning.contains($0) && !$0.hasPrefix("ticket") }
        let goodbyes = ["received: close_notify, closing", "readEnded"]
        #expect(
            core == ["open"] + (secure ? goodbyes : ["readEnded"])
                + (secure ? ["ended", "sent: close_notify, closing"] : ["ended"])
                + ["closed: closed: enough"]
        )
        #expect(seen.contains("done: \(wire.version, default: "none")") == secure)
        #expect(seen.count { $0 == "ticket received" } == (secure ? 1 : 0))
        #expect(await names(others).suffix(core.count) == seen.suffix(core.count))
        let told = await names(accepted)
        #expect(told.prefix(secure ? 2 : 1) == (secure ? beginning.suffix(1) : []) + ["open"])
        #expect(told.last == "closed: closed")
        // Whoever asks behind the end learns of the end.
        let end = try #require(await summary(client.events))
        #expect(end.reason == .clean("enough") && end.wasReady)
        #expect(end.stats.bytesSent == 5 && end.stats.bytesReceived == 3)
        #expect(end.alertSent == (secure ? .closeNotify : nil))
        #expect(end.alertReceived == (secure ? .closeNotify : nil))
        #expect((end.timings.handshake != nil) == secure)
        #expect(await names(client.events).count == 1)
    }

    @Test(
        "a handshake that fails shows with its alert, its phase and its report",
        arguments: Wire.secure
    )
    func refusal(wire: Wire) async throws {
        let listener = try makeListener(wire) { $0.alpn = ["smtp"] }
        let failures = Log<ListenerTraffic>()
        let heard = listener.traffic
        let hearing = Task { for await event in heard { failures.append(event) } }
        let client = try makeClient(wire, to: listener.localAddress) { $0.alpn = ["h2"] }
        let events = client.events
        // Nobody answers the client before.
        try listener.onSocket { _ in }
        #expect(await thrown { _ = try await client.ready } != nil)
        var seen: [String] = []
        for await event in events {
            seen.append(name(event))
            guard case .handshakeFailed(let error) = event else { continue }
            #expect(error.report?.alertReceived == .noApplicationProtocol)
        }
        #expect(
            seen.suffix(3) == [
                "received: no_application_protocol, waiting for the ServerHello",
                "failed: handshakeFailed",
                "closed: \(try #require(await summary(client.events)).reason)",
            ]
        )
        await listener.close()
        await hearing.value
        let closed = failures.all.compactMap { event -> ConnectionSummary? in
            guard case .went(let summary, _) = event else { return nil }
            return summary
        }
        #expect(closed.map(\.alertSent) == [.noApplicationProtocol])
        #expect(closed.allSatisfy { !$0.wasReady })
    }

    @Test("addresses that do not answer are told of, and the deadline that passed")
    func attempts() async throws {
        let address = try await makeRefusingAddress()
        try await withObserved(SocketInit(remote: address)) { refused, events in
            #expect(await thrown { _ = try await refused.ready }?.code == .connectionRefused)
            #expect(await names(events).suffix(2).first == "attempt: connectionRefused")
        }
        let silent = try RawServer()
        // It counts from the connection on, however long that took.
        var late = try clientOptions(.tls13, to: silent.address)
        late.limits.handshake = .milliseconds(50)
        try await withObserved(late) { _, events in
            let told = await names(events)
            #expect(
                told.suffix(3).prefix(2) == [
                    "timed out: handshakeTimedOut", "failed: handshakeTimedOut",
                ]
            )
        }
    }

    @Test("an idle timeout shows before the end", arguments: Wire.allCases)
    func idle(wire: Wire) async throws {
        let listener = try makeListener(wire)
        let accepted = Log<Socket>()
        try listener.onSocket { accepted.append($0.socket) }
        var options = try clientOptions(wire, to: listener.localAddress)
        options.idleTimeout = .milliseconds(30)
        try await withObserved(options) { _, events in
            let told = await names(events)
            #expect(told.suffix(2).first == "timed out: idleTimedOut")
            #expect(told.last?.hasPrefix("closed: ") == true)
        }
    }

    @Test("key updates of the peer, and their answers, are told")
    func keyUpdates() async throws {
        let raw = try RawServer()
        let peer = try FaultPeer(.server, .tls13, certificate: try Credentials.shared().leaf)
        let client = try makeClient(.tls13, to: raw.address) { $0.servername = "localhost" }
        let events = client.events
        let attacker = try await raw.accept()
        while !peer.isReady {
            try await attacker.write(try peer.step(try #require(try await attacker.read())))
        }
        _ = try await client.ready
        try await attacker.write(
            try peer.keyUpdate(isAsking: true) + peer.record(.applicationData, [7])
        )
        #expect(try await client.read() == [7])
        // The answer goes ahead of the next data.
        try await client.write("8")
        client.abort()
        let told = await names(events)
        #expect(told.suffix(3).prefix(2) == ["key update received", "key update sent"])
    }

    @Test(
        "however a connection dies, its events end",
        arguments: ["abort", "reset", "cut", "close"],
        Wire.allCases
    )
    func death(_ way: String, _ wire: Wire) async throws {
        let pair = try await Pair(wire)
        let events = pair.client.events
        let ends = Task { await summary(events)?.reason }
        switch way {
        case "abort": pair.client.abort("enough")
        case "reset": pair.server.abort()
        case "cut":
            pair.server.connection.state.withLock { s in s.closeDescriptor() }
            _ = try? await pair.client.read()
            // The end of a plain stream is no cut, and the other side stays open.
            try await pair.client.close()
        default: try await pair.client.close()
        }
        let reason = try #require(await ends.value)
        switch way {
        case "abort": #expect(reason == .aborted("enough"))
        case "reset": #expect(reason == .reset)
        case "cut": #expect(reason == (wire == .tcp ? .clean(nil) : .truncated))
        default: #expect(reason == .clean(nil))
        }
        pair.server.abort()
    }

    @Test("listening does not keep a socket that is dropped", arguments: Wire.allCases)
    func drop(wire: Wire) async throws {
        func events() async throws -> (client: ConnectionEvents, pair: (Socket, SocketListener)) {
            let pair = try await Pair(wire)
            return (pair.client.events, (pair.server, pair.listener))
        }
        let (client, rest) = try await events()
        #expect(await summary(client)?.reason == .aborted("the socket was dropped"))
        withExtendedLifetime(rest) {}
    }

    @Test("a connection whose loop was shut down under it ends its events when it goes")
    func shutdown() async throws {
        let listener = try makeListener(.tcp)
        func events() async throws -> ConnectionEvents {
            let group = EventLoopGroup(loopCount: 1)
            let client = try makeClient(.tcp, to: listener.localAddress) { $0.group = group }
            _ = try await client.ready
            await group.shutdown()
            return client.events
        }
        #expect(await names(try await events()).last?.hasPrefix("closed: ") == true)
    }

    @Test("a consumer that never reads holds as many events as its buffer, and stalls nobody")
    func lazy() async throws {
        let raw = try RawServer()
        let peer = try FaultPeer(.server, .tls13, certificate: try Credentials.shared().leaf)
        let client = try makeClient(.tls13, to: raw.address) {
            $0.servername = "localhost"
            $0.tls.limits.postHandshakeMessages = 10_000
        }
        let events = client.events(bufferSize: 8)
        let attacker = try await raw.accept()
        while !peer.isReady {
            try await attacker.write(try peer.step(try #require(try await attacker.read())))
        }
        _ = try await client.ready
        for _ in 0..<500 {
            try await attacker.write(try peer.keyUpdate() + peer.record(.applicationData, [7]))
            #expect(try await client.read() == [7])
        }
        client.abort()
        let told = await names(events)
        #expect(told.count == 9)
        #expect(told.first?.hasPrefix("dropped: ") == true)
        #expect(told[1...7].allSatisfy { $0 == "key update received" })
        #expect(told.last?.hasPrefix("closed: aborted") == true)
    }

    @Test("a wait for an event ends with its task, and the others go on")
    func cancelled() async throws {
        let pair = try await Pair(.tcp)
        let (events, others) = (pair.client.events, pair.client.events)
        let waiting = Task { await names(events) }
        await pass(.milliseconds(5))
        waiting.cancel()
        #expect(await waiting.value.last == "open")
        try await pair.client.close()
        #expect(await names(others).last == "closed: closed")
    }

    @Test(
        "nobody who listens, no watch: neither while it lives nor when it ends",
        arguments: Wire.allCases
    )
    func unobserved(wire: Wire) async throws {
        let pair = try await Pair(wire)
        try await pair.client.write("1")
        #expect(try await readExactly(1, from: pair.server).count == 1)
        try await pair.client.close()
        for socket in [pair.client, pair.server] {
            #expect(socket.connection.state.withLock { $0.watch == nil })
        }
        // One that has gone costs a look, too.
        do { _ = pair.server.events }
        #expect(pair.server.connection.state.withLock { $0.watch?.feed.isObserved } == false)
    }

    @Test("a listener tells of connections that come and go", arguments: Wire.allCases)
    func comingAndGoing(wire: Wire) async throws {
        let listener = try makeListener(wire)
        let (traffic, lazy) = (listener.traffic, listener.traffic(bufferSize: 1))
        try listener.onSocket { event in try? event.respondWith(SocketResponse(body: "hello")) }
        for _ in 0..<20 {
            let client = try makeClient(wire, to: listener.localAddress)
            #expect(try await readAll(from: client) == Array("hello".utf8))
        }
        await listener.close()
        #expect(listener.connectionCount == 0)
        var came = 0
        var ready = 0
        var went = 0
        for await event in traffic {
            switch event {
            case .came(let remote):
                came += 1
                #expect(remote.address == "127.0.0.1")
            case .ready(let timings, _):
                ready += 1
                #expect((timings.handshake != nil) == (wire != .tcp))
            case .went(let summary, let remote):
                went += 1
                #expect(summary.wasReady && summary.stats.bytesSent == 5)
                #expect(remote.address == "127.0.0.1")
            case .eventsDropped: Issue.record("there was room for them")
            }
        }
        #expect(came == 20 && ready == 20 && went == 20)
        var rest = lazy.makeAsyncIterator()
        guard case .eventsDropped(59) = await rest.next() else {
            Issue.record("nothing of what was dropped")
            return
        }
        guard case .went = await rest.next() else {
            Issue.record("the last is not kept")
            return
        }
        #expect(await rest.next() == nil)
    }
}
