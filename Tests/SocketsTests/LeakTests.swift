// What is left behind: counted in a process of its own, since others open descriptors at the same time.

import Synchronization
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct LeakTests {
    @Test("hundreds of connections of every ending leave no descriptor and no connection behind")
    func everyEnding() async {
        await #expect(processExitsWith: .success) {
            let watch = Watch()
            try await endings(rounds: 2, watch)
            let before = Files.openDescriptors()
            try await endings(rounds: 12, watch)
            await until { Files.openDescriptors() <= before }
            await until { watch.alive == 0 }
            try #require(watch.count > 400)
        }
    }
}

/// Connections, held weakly.
private final class Watch: Sendable {
    private struct Weak: Sendable {
        weak let connection: Connection?
    }

    private let connections = Mutex<[Weak]>([])

    var count: Int { connections.withLock { $0.count } }
    var alive: Int { connections.withLock { $0.count { $0.connection != nil } } }

    func add(_ socket: Socket) {
        connections.withLock { $0.append(Weak(connection: socket.connection)) }
    }
}

/// Connects and ends connections in every way there is, on every wire.
private func endings(rounds: Int, _ watch: Watch) async throws {
    for _ in 0..<rounds {
        for wire in Wire.allCases {
            try await eventEndings(wire, watch)
            try await servedEndings(wire, watch)
            try await failures(wire, watch)
        }
    }
}

private func eventEndings(_ wire: Wire, _ watch: Watch) async throws {
    for number in 0..<6 {
        let pair = try await Pair(wire)
        watch.add(pair.client)
        watch.add(pair.server)
        switch number {
        case 0: try await pair.client.close()
        case 1: pair.client.abort()
        case 2: break
        case 3:
            try await pair.client.shutdownWrite()
            _ = try await pair.server.read()
            try await pair.server.shutdownWrite()
            _ = try await pair.client.read()
        case 4:
            let reading = Task { try? await pair.client.read() }
            await until { pair.client.hasReader }
            reading.cancel()
            _ = await reading.value
        default:
            try pair.client.onData { _ in }
            try await pair.server.write("data")
            pair.server.abort()
        }
    }
}

private func servedEndings(_ wire: Wire, _ watch: Watch) async throws {
    struct Refusal: Error {}
    let listener = try makeListener(wire)
    let serving = Task {
        try await listener.serve(maxConcurrent: 3) { socket in
            watch.add(socket)
            guard try await socket.read(upTo: 1) == [1] else { throw Refusal() }
        }
    }
    for number in UInt8(0)..<4 {
        let client = try makeClient(wire, to: listener.localAddress) {
            $0.body = .bytes([number])
        }
        watch.add(client)
        _ = try? await readAll(from: client)
    }
    serving.cancel()
    try await serving.value
}

private func failures(_ wire: Wire, _ watch: Watch) async throws {
    // Nobody listens.
    let refused = try makeClient(wire, to: try await makeRefusingAddress())
    watch.add(refused)
    _ = try? await refused.ready
    // Nobody speaks TLS.
    let raw = try RawServer()
    let client = try makeClient(wire, to: raw.address) {
        if wire != .tcp { $0.servername = "localhost" }
        $0.limits.shutdown = .milliseconds(20)
    }
    watch.add(client)
    let peer = try await raw.accept()
    watch.add(peer)
    try await peer.write("HTTP/1.1 400 Bad Request\r\n\r\n")
    _ = try? await client.read()
    // A body that fails, and a signal.
    let gate = Gate()
    let pair = try await Pair(wire) {
        $0.body = .deferred {
            await gate.wait()
            throw SocketError(.aborted)
        }
    }
    gate.open()
    watch.add(pair.client)
    _ = await pair.client.closed
    let signalled = try makeClient(wire, to: pair.listener.localAddress) {
        $0.signal = .abort("before")
    }
    watch.add(signalled)
    _ = await signalled.closed
}
