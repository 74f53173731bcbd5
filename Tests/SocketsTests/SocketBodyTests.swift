import TLSTestKit
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct SocketBodyTests {
    struct Broken: Error {}

    /// Chunks, then an error if there is one.
    struct Chunks: AsyncSequence, Sendable {
        var chunks: [[UInt8]]
        var error: Broken?

        struct AsyncIterator: AsyncIteratorProtocol {
            var rest: Chunks

            mutating func next() async throws -> [UInt8]? {
                guard rest.chunks.isEmpty else { return rest.chunks.removeFirst() }
                if let error = rest.error { throw error }
                return nil
            }
        }

        func makeAsyncIterator() -> AsyncIterator { AsyncIterator(rest: self) }
    }

    /// Sends a body from a client, and gives what the server received before the end.
    private func received(_ body: SocketBody, _ wire: Wire) async throws -> [UInt8] {
        let pair = try await Pair(wire) { $0.body = body }
        let bytes = try await readAll(from: pair.server)
        try await pair.server.close()
        #expect(try await pair.client.read() == nil)
        #expect(await pair.client.closed == .clean(nil))
        return bytes
    }

    @Test(
        "a text, bytes and chunks are sent, and the sending side ends behind them",
        arguments: Wire.allCases
    )
    func forms(wire: Wire) async throws {
        #expect(try await received("grüezi", wire) == Array("grüezi".utf8))
        #expect(try await received([1, 2, 3], wire) == [1, 2, 3])
        #expect(try await received(.bytes(pattern(500_000)), wire) == pattern(500_000))
        #expect(try await received(.bytes([]), wire) == [])
        let chunks = Chunks(chunks: [[1], [], [2, 3], pattern(70_000)])
        #expect(try await received(.sequence(chunks), wire) == [1, 2, 3] + pattern(70_000))
    }

    @Test("a file is sent whole")
    func file() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/body"
            let bytes = pattern(600_000)
            try Files.write(bytes, to: path)
            #expect(try await received(.file(path), .tls13) == bytes)
        }
    }

    @Test("a closure gives any other body, or another closure")
    func deferred() async throws {
        #expect(try await received(.deferred { "later" }, .tcp) == Array("later".utf8))
        #expect(try await received(.deferred { [7] }, .tcp) == [7])
        let chunks = Chunks(chunks: [[1], [2]])
        #expect(try await received(.deferred { .sequence(chunks) }, .tcp) == [1, 2])
        #expect(try await received(.deferred { .deferred { "deep" } }, .tcp) == Array("deep".utf8))
        try await withTemporaryDirectory { directory in
            let path = directory + "/body"
            try Files.write([9, 9], to: path)
            #expect(try await received(.deferred { .file(path) }, .tcp) == [9, 9])
        }
    }

    @Test(
        "a body that fails resets the connection: a part must not pass for the whole",
        arguments: Wire.allCases
    )
    func failing(wire: Wire) async throws {
        let bodies: [SocketBody] = [
            .sequence(Chunks(chunks: [[1]], error: Broken())), .deferred { throw Broken() },
            .file("/nonexistent/file"), .file("/"),
        ]
        for body in bodies {
            // Not before the listener has its end: the reset would be one of the handshake.
            let gate = Gate()
            let pair = try await Pair(wire) {
                $0.body = .deferred {
                    await gate.wait()
                    return body
                }
            }
            gate.open()
            let error = await pair.client.closed.error
            #expect(error?.code == .bodyFailed)
            #expect(error?.detail?.isEmpty == false)
            let seen = await thrown { _ = try await readAll(from: pair.server) }
            #expect(seen?.code == .peerReset)
        }
    }

    @Test("beside a body nothing else is sent")
    func besideBody() async throws {
        let gate = Gate()
        let pair = try await Pair(.tcp) {
            $0.body = .deferred {
                await gate.wait()
                return "x"
            }
        }
        #expect(await thrown { try await pair.client.write("y") }?.code == .writeAfterEnd)
        #expect(await thrown { try await pair.client.write([1]) }?.code == .writeAfterEnd)
        #expect(await thrown { try await pair.client.shutdownWrite() }?.code == .writeAfterEnd)
        gate.open()
        #expect(try await readAll(from: pair.server) == Array("x".utf8))
    }

    @Test(
        "close cuts a body off that waits for its source, in good order",
        arguments: Wire.allCases
    )
    func closeBesideBody(wire: Wire) async throws {
        let gate = Gate()
        let pair = try await Pair(wire) {
            $0.body = .deferred {
                await gate.wait()
                return "never"
            }
        }
        try await pair.client.close("enough")
        #expect(await pair.client.closed == .clean("enough"))
        #expect(try await readAll(from: pair.server) == [])
        gate.open()
    }

    @Test("close lets a body's present chunk out whole", arguments: Wire.allCases)
    func closeInChunk(wire: Wire) async throws {
        let chunk = pattern(1 << 20)
        let pair = try await Pair.narrow(wire) {
            $0.body = .sequence(Chunks(chunks: [chunk, [1], [2]]))
            $0.limits.shutdown = .seconds(50)
        }
        await until { pair.client.hasWriter }
        async let closed: Void = pair.client.close("enough")
        await until { pair.client.writersInLine == 1 }
        #expect(try await readAll(from: pair.server).count == chunk.count)
        try await closed
        #expect(await pair.client.closed == .clean("enough"))
    }

    @Test("a socket that cannot connect does not ask for its body")
    func noConnection() async throws {
        let address = try await makeRefusingAddress()
        let log = Log<Int>()
        let socket = try makeClient(.tcp, to: address) {
            $0.body = .deferred {
                log.append(1)
                return "x"
            }
        }
        #expect(await socket.closed.error?.code == .connectionRefused)
        #expect(log.count == 0)
    }
}
