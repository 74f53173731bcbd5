// What connections spare: buffers while they are idle, copies of records, packets behind the handshake.

import Dispatch
import SocketCore
import Synchronization
import TLSEngine
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct EconomyTests {
    @Test("a conversation that falls silent gives OpenSSL's buffers back", arguments: Wire.secure)
    func idleBuffers(_ wire: Wire) async throws {
        let pair = try await Pair(wire)
        let keeps = { @Sendable in
            pair.server.connection.state.withLock { $0.engine?.keepsBuffers }
        }
        #expect(keeps() == false)
        // A conversation, which a busy machine may make so slow that it has fallen silent already.
        repeat {
            try await pair.client.write("ping")
            _ = try await readExactly(4, from: pair.server)
        } while keeps() == false
        await until { keeps() == false }
        // And it goes on as before.
        try await pair.client.write("again")
        #expect(try await readExactly(5, from: pair.server) == Array("again".utf8))
    }

    @Test("large records come without a way round, until small ones do", arguments: Wire.secure)
    func directReceipt(_ wire: Wire) async throws {
        let pair = try await Pair(wire)
        let isDirect = { @Sendable in
            pair.server.connection.state.withLock { $0.engine?.expectsLargeInput }
        }
        #expect(isDirect() == false)
        let bytes = [UInt8](repeating: 7, count: 3 * TLSEngine.recordPlaintextMax)
        for _ in 0..<3 {
            try await pair.client.write(bytes)
            #expect(try await readExactly(bytes.count, from: pair.server) == bytes)
        }
        #expect(isDirect() == true)
        try await pair.client.write("small")
        #expect(try await readExactly(5, from: pair.server) == Array("small".utf8))
        #expect(isDirect() == false)
    }

    @Test("what came before a reset is read, and the reset told behind it", arguments: Wire.secure)
    func resetBehindRecords(_ wire: Wire) async throws {
        let pair = try await Pair(wire)
        let bytes = [UInt8](repeating: 7, count: 3 * TLSEngine.recordPlaintextMax)
        for _ in 0..<3 {
            try await pair.client.write(bytes)
            #expect(try await readExactly(bytes.count, from: pair.server) == bytes)
        }
        try await pair.client.write(bytes)
        // What has not left is lost at a reset.
        let descriptor = pair.server.connection.state.withLock { $0.descriptor }
        await until { ((try? Syscalls.unreadBytes(descriptor)) ?? 0) > bytes.count }
        pair.client.abort()
        #expect(try await readExactly(bytes.count, from: pair.server) == bytes)
        await #expect(throws: SocketError.self) { _ = try await pair.server.read() }
    }

    @Test("in a conversation, a read into no room returns at once", arguments: Wire.allCases)
    func emptyBuffer(_ wire: Wire) async throws {
        let counts = Log<Int>()
        let listener = try makeListener(wire)
        let serving = Task {
            try await listener.serve { socket in
                var buffer = [UInt8](repeating: 0, count: 16)
                for _ in 0..<3 {
                    let count = try await socket.read(into: &buffer)
                    try await socket.write(Array(buffer[..<count]))
                }
                // The connection expects to wait by now.
                var none: [UInt8] = []
                counts.append(try await socket.read(into: &none))
                try await socket.write("done")
            }
        }
        let client = try makeClient(wire, to: listener.localAddress)
        for _ in 0..<3 {
            try await client.write("ping")
            #expect(try await readExactly(4, from: client) == Array("ping".utf8))
        }
        #expect(try await readExactly(4, from: client) == Array("done".utf8))
        #expect(counts.all == [0])
        try await client.close()
        serving.cancel()
        _ = await serving.result
    }

    /// Answers one request a connection, and notes whether the ticket still waits then.
    private func serveOnce(
        _ listener: SocketListener,
        _ held: Log<Bool>
    ) -> Task<Void, any Error> {
        Task {
            try await listener.serve { socket in
                let request = try await socket.read()
                held.append(socket.connection.state.withLock { $0.isBatched })
                try await socket.write(request ?? [])
                _ = try await socket.read()
            }
        }
    }

    @Test("a ticket leaves with the first answer when data is there already")
    func ticketWithAnswer() async throws {
        let held = Log<Bool>()
        // On a loop of its own: what others do in between would have the ticket leave before.
        let group = EventLoopGroup(loopCount: 1)
        let listener = try makeListener(.tls13) { $0.group = group }
        let serving = serveOnce(listener, held)
        let raw = try makeClient(.tcp, to: listener.localAddress)
        var peer = try EnginePeer(.client, .tls13, over: raw)
        try await peer.handshake(andSend: [1, 2, 3])
        // The ticket and the echo, a record each.
        let answer = try #require(try await raw.read())
        #expect(records(in: answer) == 2)
        await until { held.count == 1 }
        #expect(held.all == [true])
        raw.abort()
        serving.cancel()
        _ = await serving.result
        await group.shutdown()
    }

    @Test("so it does where others finish their handshakes in the same turn")
    func ticketsWithAnswers() async throws {
        let count = 8
        let held = Log<Bool>()
        let group = EventLoopGroup(loopCount: 1)
        let listener = try makeListener(.tls13) { $0.group = group }
        let serving = serveOnce(listener, held)
        let finished = Log<Int>()
        let peers = (0..<count).map { number in
            Task {
                let raw = try makeClient(.tcp, to: listener.localAddress)
                var peer = try EnginePeer(.client, .tls13, over: raw)
                try await peer.handshake(andSend: [1, 2, 3])
                finished.append(number)
                _ = try await raw.read()
                raw.abort()
            }
        }
        // The loop stands still until all have sent the end of their handshakes.
        let counts = listener.core.admission.counts
        await until { counts.begunCount == count }
        let release = DispatchSemaphore(value: 0)
        group.loops[0].execute { release.wait() }
        await until { finished.count == count }
        release.signal()
        for peer in peers { try await peer.value }
        await until { held.count == count }
        #expect(held.all.allSatisfy { $0 })
        serving.cancel()
        _ = await serving.result
        await group.shutdown()
    }

    @Test("a server that neither reads nor writes sends its ticket all the same")
    func ticketAlone() async throws {
        let listener = try makeListener(.tls13)
        let accepted = Log<Socket>()
        try listener.onSocket { accepted.append($0.socket) }
        let raw = try makeClient(.tcp, to: listener.localAddress)
        var peer = try EnginePeer(.client, .tls13, over: raw)
        try await peer.handshake()
        #expect(records(in: try #require(try await raw.read())) == 1)
        await until { accepted.count == 1 }
        raw.abort()
        await listener.close()
    }

    private func records(in bytes: [UInt8]) -> Int {
        var count = 0
        var place = 0
        while place + 5 <= bytes.count {
            place += 5 + Int(bytes[place + 3]) << 8 + Int(bytes[place + 4])
            count += 1
        }
        return count
    }
}
