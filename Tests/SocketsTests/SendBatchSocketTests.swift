// Small pieces leave at the end of a turn in which others have work, whatever happens until then.

import Foundation
import SocketCore
import Synchronization
import TLSEngine
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct SendBatchSocketTests {
    /// What the connection was like behind a step.
    private struct Look: Equatable {
        var steps: [Int]
        var isBatched: Bool
        var isEmpty: Bool
    }

    /// Writes pieces from within one turn of the connection's loop that has other work.
    private func write(
        _ pieces: [[UInt8]],
        to socket: Socket,
        then finish: @escaping @Sendable (Connection) -> Void = { _ in }
    ) async -> Look {
        let connection = socket.connection
        return await withCheckedContinuation { continuation in
            connection.loop.execute {
                connection.loop.execute {}
                var look = Look(steps: [], isBatched: false, isEmpty: true)
                for piece in pieces {
                    var offset = 0
                    look.steps.append(connection.beginHotWrite(piece.span, &offset))
                }
                connection.state.withLock {
                    look.isBatched = $0.isBatched
                    look.isEmpty = $0.outbound.isEmpty
                }
                finish(connection)
                continuation.resume(returning: look)
            }
        }
    }

    @Test("small messages of one turn leave together, in order", arguments: Wire.secure)
    func together(_ wire: Wire) async throws {
        let pair = try await Pair(wire)
        let look = await write([[1], [2], [3, 4]], to: pair.server)
        let done = HotStep.done
        #expect(look == Look(steps: [done, done, done], isBatched: true, isEmpty: false))
        #expect(try await readExactly(4, from: pair.client) == [1, 2, 3, 4])
        let connection = pair.server.connection
        await until { connection.state.withLock { !$0.isBatched && $0.outbound.isEmpty } }
    }

    @Test("what is large sends at once, and what waits goes before it", arguments: Wire.secure)
    func large(_ wire: Wire) async throws {
        let pair = try await Pair(wire)
        let large = [UInt8](repeating: 9, count: 10_000)
        let look = await write([[1], large, [2]], to: pair.server)
        #expect(look.steps == [HotStep.done, HotStep.done, HotStep.done])
        let all = try await readExactly(large.count + 2, from: pair.client)
        #expect(all == [1] + large + [2])
    }

    @Test("a piece of the limit's size waits, one byte more does not", arguments: Wire.secure)
    func pieceLimit(_ wire: Wire) async throws {
        let pair = try await Pair(wire)
        for (count, waits) in [(LoopLimits.pieceBytes, true), (LoopLimits.pieceBytes + 1, false)] {
            let piece = [UInt8](repeating: 5, count: count)
            let look = await write([piece], to: pair.server)
            #expect(look == Look(steps: [HotStep.done], isBatched: waits, isEmpty: !waits))
            #expect(try await readExactly(count, from: pair.client) == piece)
        }
    }

    @Test("messages beyond the limits are sent within the turn", arguments: Wire.secure)
    func many(_ wire: Wire) async throws {
        let pair = try await Pair(wire)
        let pieces = (0..<200).map { [UInt8](repeating: UInt8($0), count: 50) }
        let look = await write(pieces, to: pair.server)
        #expect(look.steps.allSatisfy { $0 == HotStep.done })
        let all = try await readExactly(10_000, from: pair.client)
        #expect(all == pieces.flatMap { $0 })
    }

    @Test("an end within the turn comes behind what waits", arguments: Wire.secure)
    func end(_ wire: Wire) async throws {
        let pair = try await Pair(wire)
        _ = await write([[1, 2, 3]], to: pair.server) { connection in
            connection.state.withLock { s in _ = s.endSending() }
        }
        #expect(try await readExactly(3, from: pair.client) == [1, 2, 3])
        #expect(try await pair.client.read() == nil)
    }

    @Test("another thread that writes takes along what waits", arguments: Wire.secure)
    func otherThread(_ wire: Wire) async throws {
        let pair = try await Pair(wire)
        let look = await write([[1]], to: pair.server) { connection in
            // The loop stands still until the other thread has written.
            let hasWritten = DispatchSemaphore(value: 0)
            let steps = Log<Int>()
            Thread.detachNewThread {
                let piece: [UInt8] = [2]
                var offset = 0
                steps.append(connection.beginHotWrite(piece.span, &offset))
                hasWritten.signal()
            }
            hasWritten.wait()
            #expect(steps.all == [HotStep.done])
            #expect(connection.state.withLock { !$0.isBatched && $0.outbound.isEmpty })
        }
        #expect(look.isBatched)
        #expect(try await readExactly(2, from: pair.client) == [1, 2])
    }

    @Test("a connection that cannot send at the end of the turn fails then", arguments: Wire.secure)
    func failure(_ wire: Wire) async throws {
        let pair = try await Pair(wire)
        let look = await write([[1]], to: pair.server) { connection in
            connection.state.withLock { s in try? StreamSocket.shutdownWrite(s.descriptor) }
        }
        #expect(look.isBatched)
        // EPIPE means the same to an application as a reset.
        #expect(await pair.server.closed == .reset)
    }
}
