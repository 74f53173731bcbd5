import Synchronization
import TLSEngine
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct HalfCloseTests {
    @Test(
        "after this side's end the other goes on, in TCP and both versions of TLS",
        arguments: Wire.allCases
    )
    func goesOn(wire: Wire) async throws {
        let pair = try await Pair(wire)
        try await pair.client.write("question")
        try await pair.client.shutdownWrite()
        let question = try await readAll(from: pair.server)
        #expect(String(decoding: question, as: UTF8.self) == "question")
        try await pair.server.write(pattern(500_000))
        try await pair.server.shutdownWrite()
        #expect(try await readAll(from: pair.client) == pattern(500_000))
        #expect(await pair.client.closed == .clean(nil))
        #expect(await pair.server.closed == .clean(nil))
    }

    @Test("ending the sending side twice is the same as once", arguments: Wire.allCases)
    func twice(wire: Wire) async throws {
        let pair = try await Pair(wire)
        try await pair.client.shutdownWrite()
        try await pair.client.shutdownWrite()
        let error = await thrown { try await pair.client.write("x") }
        #expect(error?.code == .writeAfterEnd)
        // Which says nothing about the connection.
        #expect(try await pair.server.read() == nil)
        try await pair.server.write("y")
        #expect(try await pair.client.read() == Array("y".utf8))
    }

    @Test("a refused write is nobody's failure but its own")
    func refusedWrite() async throws {
        let pair = try await Pair(.tcp)
        try await pair.client.shutdownWrite()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for _ in 0..<2000 {
                    let error = await thrown { try await pair.client.write("x") }
                    #expect(error?.code == .writeAfterEnd)
                }
            }
            group.addTask {
                for _ in 0..<2000 {
                    try await pair.server.write("a")
                    let answer = try await pair.client.read(upTo: 1)
                    #expect(answer == [97])
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("ends stand behind the writes before them", arguments: Wire.allCases)
    func behindWrites(wire: Wire) async throws {
        let pair = try await Pair.narrow(wire)
        async let sent: Void = pair.client.write(pattern(1 << 20))
        await until { pair.client.hasWriter }
        async let ended: Void = pair.client.shutdownWrite()
        await until { pair.client.writersInLine == 1 }
        #expect(try await readAll(from: pair.server).count == 1 << 20)
        try await sent
        try await ended
    }

    @Test(
        "a reset behind both goodbyes, while one is being closed, is no reset",
        arguments: Wire.secure
    )
    func resetBehindGoodbyes(wire: Wire) async throws {
        let pair = try await Pair(wire)
        try await pair.server.shutdownWrite()
        #expect(try await pair.client.read() == nil)
        // What `close` does, stopped between its goodbye and the end.
        pair.client.connection.state.withLock { $0.isClosing = true }
        try await pair.client.shutdownWrite()
        // It has not read the goodbye, so its kernel answers that with a reset, at once on loopback.
        pair.server.abort()
        pair.client.connection.noticeReset()
        pair.client.connection.state.withLock { $0.isClosing = false }
        pair.client.connection.endIfBothSidesHave()
        #expect(await pair.client.closed == .clean(nil))
    }

    @Test(
        "without half-open connections the peer's end is the end of both",
        arguments: Wire.allCases
    )
    func notAllowed(wire: Wire) async throws {
        let pair = try await Pair(wire) {
            $0.allowHalfOpen = false
        } server: {
            $0.allowHalfOpen = false
        }
        try await pair.client.shutdownWrite()
        #expect(try await pair.server.read() == nil)
        #expect(await pair.server.closed == .clean(nil))
        #expect(await thrown { try await pair.server.write("x") }?.code == .closed)
        #expect(try await pair.client.read() == nil)
        #expect(await pair.client.closed == .clean(nil))
    }
}
