// A connection that always has something to do lets the others of its loop have their turn.

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
}
