// A connection that always has something to do lets the others of its loop have their turn.

import Glibc
import SocketCore
import Synchronization
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct FairnessTests {
    /// Runs a step on a socket's loop until another piece of work of the loop has had its turn.
    ///
    /// - Returns: How many steps that took.
    private func steps(
        on socket: Socket,
        atMost limit: Int,
        _ step: @escaping @Sendable () async throws -> Void
    ) async throws -> Int {
        try await Task(executorPreference: socket.executor) {
            let hadItsTurn = Atomic<Bool>(false)
            let turn = Task(executorPreference: socket.executor) {
                hadItsTurn.store(true, ordering: .relaxed)
            }
            var count = 0
            while !hadItsTurn.load(ordering: .relaxed), count < limit {
                try await step()
                count += 1
            }
            await turn.value
            return count
        }
        .value
    }

    @Test(
        "a reader for whom there is always more lets others have their turn",
        arguments: Wire.allCases
    )
    func reader(wire: Wire) async throws {
        let pair = try await Pair(wire)
        try await pair.server.write(pattern(16_000))
        // The first byte brings the rest of a record with it.
        #expect(try await pair.client.read(upTo: 1) == [0])
        let client = pair.client
        let count = try await steps(on: client, atMost: 10_000) {
            _ = try await client.read(upTo: 1)
        }
        #expect(count <= 300)
        let direct = try await steps(on: client, atMost: 3000) {
            var one: [UInt8] = [0]
            _ = try await client.read(into: &one)
        }
        #expect(direct <= 300)
    }

    @Test("a writer whom the peer never slows down does too", arguments: Wire.allCases)
    func writer(wire: Wire) async throws {
        let pair = try await Pair(wire)
        let (client, server) = (pair.client, pair.server)
        let reading = Task { try await readAll(from: server).count }
        let count = try await steps(on: client, atMost: 10_000) { try await client.write("x") }
        #expect(count <= 300)
        try await client.shutdownWrite()
        #expect(try await reading.value == count)
    }

    @Test("a large write looks for its turn's end between its records", arguments: Wire.secure)
    func withinWrite(wire: Wire) async throws {
        let pair = try await Pair(wire)
        let bytes = pattern(256 << 10)
        var offset = 0
        let connection = pair.client.connection
        // Nearly at its turn's end; the kernel would take all.
        _ = unsafe bytes.withUnsafeBufferPointer { bytes in
            let lent = unsafe LentMemory(bytes)
            return connection.state.withLock { s in
                s.burst = Connection.Storage.burstMax - 1
                return unsafe s.send(lent.memory, from: &offset)
            }
        }
        #expect(offset == Connection.Storage.stepMax)
    }

    @Test("a write that has to pause many times arrives whole", arguments: Wire.allCases)
    func largeWrite(wire: Wire) async throws {
        let pair = try await Pair(wire)
        let server = pair.server
        let reading = Task { try await readAll(from: server).count }
        let size = 32 << 20
        try await pair.client.write(pattern(size))
        try await pair.client.shutdownWrite()
        #expect(try await reading.value == size)
    }

    @Test("a crowd that has come at once is accepted in turns, between which others have theirs")
    func crowd() async throws {
        let group = EventLoopGroup(loopCount: 1)
        let loop = group.next()
        let listener = try makeListener(.tcp) {
            $0.group = group
            $0.pendingConnections = 1000
        }
        let accepted = Log<Socket>()
        try listener.onSocket { accepted.append($0.socket) }
        let hasCome = Flag()
        let counts = Log<Int>()
        loop.execute { FairnessTests.look(at: listener, on: loop, hasCome, counts) }
        let clients = try (0..<400).map { _ in try makeClient(.tcp, to: listener.localAddress) }
        for client in clients { _ = try await client.ready }
        hasCome.set()
        await until { counts.all.last == 400 }
        // Readiness and the credit for more may each make for a turn.
        let steps = zip(counts.all, counts.all.dropFirst()).map { $1 - $0 }
        #expect(steps.allSatisfy { $0 <= 2 * 64 }, "\(steps)")
        for socket in clients + accepted.all { socket.abort() }
        await listener.close()
    }

    /// Notes at each turn of the loop how many connections a listener has, until it has 400; keeps the
    /// loop busy until all are there.
    private static func look(
        at listener: SocketListener,
        on loop: EventLoop,
        _ hasCome: Flag,
        _ counts: Log<Int>
    ) {
        while !hasCome.isSet { sched_yield() }
        let count = listener.core.aliveCount
        counts.append(count)
        if count < 400 { loop.execute { look(at: listener, on: loop, hasCome, counts) } }
    }
}
