// Deadlines are short, real, and awaited as what they cause; none is waited for by the clock.

import SocketCore
import Synchronization
import TLSEngine
import Testing

@testable import Sockets

/// A listening socket whose queue is full: the kernel answers nobody any more.
struct BlackHole: ~Copyable {
    let listener: Descriptor
    let first: Descriptor
    let second: Descriptor
    let third: Descriptor
    let address: SocketAddress

    init() throws {
        let listening = try StreamSocket.listen(on: .ip(.v4(.loopback), port: 0), backlog: 1)
        let target = try #require(StreamSocket.localAddress(listening.rawValue))
        let one = try StreamSocket.make(for: target)
        let two = try StreamSocket.make(for: target)
        let three = try StreamSocket.make(for: target)
        _ = try StreamSocket.connect(one, to: target)
        _ = try StreamSocket.connect(two, to: target)
        _ = try StreamSocket.connect(three, to: target)
        address = SocketAddress(target)
        listener = listening
        first = one
        second = two
        third = three
    }
}

@Suite(.timeLimit(.minutes(1))) struct DeadlineTests {
    let short = Duration.milliseconds(40)

    @Test(
        "no connection in time: by the whole deadline, and by the one for an address",
        arguments: [true, false]
    )
    func connecting(isWhole: Bool) async throws {
        let hole = try BlackHole()
        let socket = try makeClient(.tcp, to: hole.address) { options in
            if isWhole {
                options.connectionTimeout = short
            } else {
                options.limits.connectAttempt = short
            }
        }
        let began = ContinuousClock.now
        let error = await thrown { _ = try await socket.ready }
        #expect(error?.code == .connectTimedOut)
        #expect(error?.category == .timeout)
        #expect(error?.phase == .connecting)
        #expect(error?.address == hole.address)
        #expect(ContinuousClock.now - began >= short)
        #expect(await socket.closed == .timedOut(SocketError(.connectTimedOut)))
    }

    @Test("no answer to the handshake in time", arguments: Wire.secure, [true, false])
    func handshake(wire: Wire, isWhole: Bool) async throws {
        let raw = try RawServer()
        let socket = try makeClient(wire, to: raw.address) { options in
            options.servername = "localhost"
            if isWhole {
                options.connectionTimeout = .milliseconds(500)
            } else {
                options.limits.handshake = short
            }
        }
        let peer = try await raw.accept()
        let error = await thrown { _ = try await socket.ready }
        #expect(error?.code == .handshakeTimedOut)
        #expect(error?.phase == .serverHello)
        #expect(error?.report?.role == .client)
        #expect(socket.report?.isComplete == false)
        #expect(await thrown { _ = try await readAll(from: peer) }?.code == nil)
    }

    @Test(
        "a client that says nothing, or too little, is let go by the listener",
        arguments: [0, 3]
    )
    func silentClient(count: Int) async throws {
        let errors = Log<SocketError>()
        let listener = try makeListener(.tls13) { $0.limits.handshake = short }
        try listener.onSocket { error, _ in
            if let error = error as? SocketError { errors.append(error) }
        } _: { _ in
        }
        let client = try makeClient(.tcp, to: listener.localAddress)
        if count > 0 { try? await client.write([22, 3, 1]) }
        _ = try? await readAll(from: client)
        await until { errors.count == 1 }
        #expect(errors.all[0].code == .handshakeTimedOut)
        #expect(errors.all[0].phase == .clientHello)
    }

    @Test("a connection that is silent for too long ends, and says why", arguments: Wire.allCases)
    func idle(wire: Wire) async throws {
        let pair = try await Pair(wire) { $0.idleTimeout = short }
        let error = await thrown { _ = try await readAll(from: pair.client) }
        #expect(error?.code == .idleTimedOut)
        #expect(error?.phase == .open)
        #expect(await pair.client.closed == .timedOut(SocketError(.idleTimedOut)))
    }

    @Test("a listener's connections have its idle timeout", arguments: Wire.allCases)
    func idleServer(wire: Wire) async throws {
        let pair = try await Pair(wire, server: { $0.idleTimeout = short })
        #expect(await pair.server.closed == .timedOut(SocketError(.idleTimedOut)))
    }

    @Test("every byte puts the idle timeout off, in either direction", arguments: Wire.allCases)
    func idleIsPutOff(wire: Wire) async throws {
        let pair = try await Pair(wire) { $0.idleTimeout = .seconds(50) }
        var deadlines: [LoopInstant] = []
        for number in 0..<8 {
            if number % 2 == 0 {
                try await pair.client.write("x")
                _ = try await pair.server.read(upTo: 1)
            } else {
                try await pair.server.write("y")
                _ = try await pair.client.read(upTo: 1)
            }
            deadlines.append(
                try #require(pair.client.connection.state.withLock { $0.idleDeadline })
            )
        }
        #expect(zip(deadlines, deadlines.dropFirst()).allSatisfy { $0 < $1 })
    }

    @Test("a timer that comes up too early for a deadline that was put off is armed again")
    func idleIsArmedAgain() async throws {
        let pair = try await Pair(.tcp)
        let connection = pair.client.connection
        // As a busy connection does: the timer stands at the first deadline, the deadline moves on.
        let expected = try #require(
            connection.state.withLock { s in
                s.idleTimeout = short
                s.lastActivity = EventLoop.readClock().advanced(by: short)
                return s.idleDeadline
            }
        )
        connection.loop.arm(connection, at: EventLoop.readClock())
        #expect(await pair.client.closed.error?.code == .idleTimedOut)
        #expect(EventLoop.readClock() >= expected)
    }

    @Test("a write to a peer that never reads ends with the idle timeout", arguments: Wire.allCases)
    func idleWriter(wire: Wire) async throws {
        let pair = try await Pair.narrow(wire) { $0.idleTimeout = .milliseconds(100) }
        let error = await thrown { try await pair.client.write(pattern(1 << 20)) }
        #expect(error?.code == .idleTimedOut)
    }

    @Test("close gives up on a peer that never reads, within the limit", arguments: Wire.allCases)
    func closeIsBounded(wire: Wire) async throws {
        let pair = try await Pair.narrow(wire) { $0.limits.shutdown = short }
        async let writing = thrown { try await pair.client.write(pattern(1 << 20)) }
        await until { pair.client.hasWriter }
        let error = await thrown { try await pair.client.close("done") }
        #expect(error?.code == .aborted)
        #expect(await writing?.code == .aborted)
        #expect(await pair.client.closed.error?.code == .aborted)
        #expect(pair.client.descriptor == -1)
    }

    @Test(
        "a closed connection waits for its peer no longer than the limit",
        arguments: Wire.allCases
    )
    func lingerTime(wire: Wire) async throws {
        let pair = try await Pair(wire) { $0.limits.shutdown = short }
        try await pair.client.close("done")
        #expect(await pair.client.closed == .clean("done"))
        #expect(pair.client.descriptor != -1)
        await until { pair.client.descriptor == -1 }
    }

    @Test("a closed connection reads no more than the limit", arguments: Wire.allCases)
    func lingerBytes(wire: Wire) async throws {
        let pair = try await Pair.narrow(wire) { $0.limits.lingerBytes = 1000 }
        async let flood = thrown { try await pair.server.write(pattern(1 << 20)) }
        await until { pair.server.hasWriter }
        try await pair.client.close()
        #expect(await flood?.code == .peerReset)
        #expect(pair.client.descriptor == -1)
    }

    @Test(
        "what was written before close arrives, though the peer has sent what nobody reads",
        arguments: Wire.allCases
    )
    func lingering(wire: Wire) async throws {
        let pair = try await Pair(wire)
        try await pair.server.write(pattern(100_000))
        try await pair.client.write(pattern(100_000))
        try await pair.client.close()
        #expect(try await readAll(from: pair.server) == pattern(100_000))
        try await pair.server.close()
        await until { pair.client.descriptor == -1 }
    }
}
