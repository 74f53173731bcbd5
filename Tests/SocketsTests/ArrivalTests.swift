// Connections between their acceptance and their handler: the loop runs their handshakes, and the
// listener hears of each exactly once, whatever ends it.

import SocketCore
import Synchronization
import TLSEngine
import Testing

@testable import Sockets

/// What happened, told to a test.
private struct Told: Sendable {
    let errors = Log<SocketError?>()
    let served = Log<Bool>()

    /// Serves echoes, and notes whether handlers run on their connections' loops.
    func serve(_ listener: SocketListener, maxConcurrent: Int = 100) -> Task<Void, any Error> {
        Task {
            try await listener.serve(maxConcurrent: maxConcurrent) { error, _ in
                errors.append(error as? SocketError)
            } _: { socket in
                served.append(socket.connection.loop.isCurrent)
                while let bytes = try await socket.read() { try await socket.write(bytes) }
            }
        }
    }
}

extension ListenerCore {
    fileprivate var arrivingCount: Int { state.withLock { $0.arriving } }
}

@Suite(.timeLimit(.minutes(1))) struct ArrivalTests {
    @Test("handlers run on the loops of their connections", arguments: Wire.allCases)
    func loops(wire: Wire) async throws {
        let group = EventLoopGroup(loopCount: 3)
        let listener = try makeListener(wire) { $0.group = group }
        let told = Told()
        let serving = told.serve(listener)
        for _ in 0..<6 {
            let client = try makeClient(wire, to: listener.localAddress)
            try await client.write("echo")
            #expect(try await readExactly(4, from: client) == Array("echo".utf8))
            try await client.close()
        }
        await listener.close()
        try await serving.value
        #expect(told.served.all == Array(repeating: true, count: 6))
        #expect(told.errors.all.isEmpty)
        await group.shutdown()
    }

    @Test("a plain connection has no handshake, and none that could be late")
    func plain() async throws {
        let group = EventLoopGroup(loopCount: 3)
        let listener = try makeListener(.tcp) {
            $0.group = group
            $0.limits.handshake = .nanoseconds(1)
        }
        let told = Told()
        let serving = told.serve(listener)
        let clients = try (0..<50).map { _ in try makeClient(.tcp, to: listener.localAddress) }
        for client in clients {
            try await client.write("echo")
            #expect(try await readExactly(4, from: client) == Array("echo".utf8))
            // TLS that starts later is measured from then on.
            for connection in listener.core.aliveConnections {
                #expect(connection.state.withLock { $0.handshakeBegan.nanoseconds } == 0)
            }
            try await client.close()
        }
        await listener.close()
        try await serving.value
        #expect(told.errors.all.isEmpty)
        await group.shutdown()
    }

    @Test(
        "a connection that fails in its handshake is told of once, and its place is the next one's",
        arguments: Wire.secure
    )
    func failure(wire: Wire) async throws {
        let listener = try makeListener(wire)
        let told = Told()
        // One at a time: a place that is not given back would stop everything.
        let serving = told.serve(listener, maxConcurrent: 1)
        for ending in 0..<3 {
            let raw = try await connectRaw(listener)
            switch ending {
            case 0: try await raw.write("no TLS at all, just text")
            case 1: raw.abort()
            default:
                try await raw.write(Array(try makeClientHello(wire).prefix(100)))
                try await raw.close()
            }
            await until { told.errors.count == ending + 1 }
            await until { listener.core.aliveCount == 0 && listener.core.arrivingCount == 0 }
        }
        let codes = told.errors.all.map { $0?.code }
        #expect(codes[0] == .handshakeFailed)
        #expect(codes[2] == .handshakeFailed || codes[2] == .truncated)
        let client = try makeClient(wire, to: listener.localAddress)
        try await client.write("echo")
        #expect(try await readExactly(4, from: client) == Array("echo".utf8))
        try await client.close()
        await listener.close()
        try await serving.value
        #expect(told.errors.count == 3 && told.served.count == 1)
    }

    @Test("who has come before the listener stops is served, and waited for")
    func stop() async throws {
        let listener = try makeListener(.tls13)
        let told = Told()
        let serving = told.serve(listener)
        let raw = try await connectRaw(listener)
        await until { listener.core.arrivingCount == 1 }
        let closing = Task { await listener.close() }
        await until { listener.core.closeReason != nil }
        var peer = try EnginePeer(.client, .tls13, over: raw)
        try await peer.handshake(andSend: Array("echo".utf8))
        #expect(try await raw.read() != nil)
        await until { told.served.count == 1 }
        try await raw.write(peer.goodbye())
        try await raw.close()
        await closing.value
        try await serving.value
        #expect(told.errors.all.isEmpty)
    }

    @Test("who serves no longer leaves nobody behind in the handshake", arguments: Wire.secure)
    func cancellation(wire: Wire) async throws {
        let listener = try makeListener(wire)
        let told = Told()
        let serving = told.serve(listener)
        let silent = try await connectRaw(listener)
        let begun = try await connectRaw(listener, saying: try makeClientHello(wire))
        await until { listener.core.arrivingCount == 2 }
        // The server's flight: it waits for the rest.
        _ = try await begun.read()
        serving.cancel()
        try await serving.value
        // Whoever serves returns behind the last report.
        #expect(told.errors.all.map { $0?.code } == [.aborted, .aborted])
        #expect(await thrown { _ = try await silent.read() }?.code == .peerReset)
        #expect(await thrown { _ = try await readAll(from: begun) }?.code == .peerReset)
        #expect(listener.core.aliveCount == 0 && listener.core.arrivingCount == 0)
    }

    @Test("a reset in line, or a deadline, gives up the place in line", arguments: [true, false])
    func line(isReset: Bool) async throws {
        let listener = try makeListener(.tls13) {
            $0.admission.handshakes = 1
            $0.admission.queueTime = patience
            if !isReset { $0.limits.handshake = .milliseconds(200) }
        }
        let told = Told()
        let serving = told.serve(listener)
        let admission = listener.core.admission
        let hello = try makeClientHello()
        let holder = try await connectRaw(listener, saying: hello)
        // A deadline may have passed before anybody looks.
        await until { admission.counts.runningCount == 1 || told.errors.count == 1 }
        let waiting = try await connectRaw(listener, saying: hello)
        await until { admission.lineCount == 1 || told.errors.count > 0 }
        if isReset {
            // Noticed when its turn comes; none of the handshake is done then.
            waiting.abort()
            holder.abort()
        }
        await until { told.errors.count == 2 }
        await until { listener.core.aliveCount == 0 }
        #expect(admission.lineCount == 0)
        #expect(admission.counts.runningCount == 0 && admission.counts.waitingCount == 0)
        if !isReset {
            #expect(told.errors.all.allSatisfy { $0?.code == .handshakeTimedOut })
        }
        holder.abort()
        waiting.abort()
        await listener.close()
        try await serving.value
        #expect(told.served.count == 0)
    }

    @Test("a handler that cancels its own task ends its connection alone", arguments: Wire.allCases)
    func ownCancellation(wire: Wire) async throws {
        let listener = try makeListener(wire)
        let errors = Log<SocketError.Code?>()
        let serving = Task {
            try await listener.serve { error, _ in
                errors.append((error as? SocketError)?.code)
            } _: { socket in
                var buffer = [UInt8](repeating: 0, count: 16)
                while true {
                    let count = try await socket.read(into: &buffer)
                    guard count > 0 else { return }
                    if buffer[0] == 1 { unsafe withUnsafeCurrentTask { unsafe $0?.cancel() } }
                    try await socket.write(Array(buffer[..<count]))
                }
            }
        }
        let other = try makeClient(wire, to: listener.localAddress)
        let victim = try makeClient(wire, to: listener.localAddress)
        // Twice, so that the handler expects to wait the third time.
        for _ in 0..<2 {
            try await victim.write([2])
            #expect(try await readExactly(1, from: victim) == [2])
        }
        try await victim.write([1])
        #expect(await thrown { _ = try await readAll(from: victim) }?.code == .peerReset)
        await until { errors.all == [.aborted] }
        try await other.write("still")
        #expect(try await readExactly(5, from: other) == Array("still".utf8))
        try await other.close()
        await listener.close()
        try await serving.value
    }
}
