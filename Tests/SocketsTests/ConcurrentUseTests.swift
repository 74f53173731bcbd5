// One connection used by many tasks at once, in both directions, while something ends it. Whatever
// the order of events, every call ends, a write that returned has arrived unless the connection was
// broken off, and nothing arrives that was not written.

import Synchronization
import Testing

@testable import Sockets

/// What ends a connection that is in full use.
private enum Ending: CaseIterable, Sendable {
    case shutdownWrite, close, abort, peerAbort, cancelReaders, cancelWriters, everything

    /// Whether what was written before it arrives.
    var isOrderly: Bool { self == .shutdownWrite || self == .close || self == .cancelReaders }
}

/// What each writer has sent, in bytes; a writer's bytes have its number as their value.
private final class Ledger: Sendable {
    private struct Sums {
        var attempted = [Int](repeating: 0, count: 256)
        var written = [Int](repeating: 0, count: 256)
        var read = [Int](repeating: 0, count: 256)
        var odd: [SocketError] = []
    }

    private let sums = Mutex(Sums())

    /// Writes blocks until told to stop, or something fails.
    func write(_ value: UInt8, blocks: Int, to socket: Socket) async {
        // Sizes on both sides of a record's.
        for number in 0..<blocks {
            let count = [1, 700, 16_384, 20_000][(number + Int(value)) % 4]
            sums.withLock { $0.attempted[Int(value)] += count }
            do throws(SocketError) {
                try await socket.write([UInt8](repeating: value, count: count))
                sums.withLock { $0.written[Int(value)] += count }
            } catch {
                return note(error)
            }
        }
    }

    /// Reads until the stream ends or fails.
    func read(_ limit: Int, from socket: Socket) async {
        var buffer = [UInt8](repeating: 0, count: limit)
        while true {
            do throws(SocketError) {
                let count = try await socket.read(into: &buffer)
                guard count > 0 else { return }
                sums.withLock { sums in
                    for byte in buffer[..<count] { sums.read[Int(byte)] += 1 }
                }
            } catch {
                return note(error)
            }
        }
    }

    /// Of what ends a call in these tests, this is expected.
    private func note(_ error: SocketError) {
        let expected: [SocketError.Code] = [
            .aborted, .closed, .peerReset, .truncated, .writeAfterEnd,
        ]
        guard !expected.contains(error.code) else { return }
        sums.withLock { $0.odd.append(error) }
    }

    var oddErrors: [SocketError] { sums.withLock { $0.odd } }
    var bytesRead: Int { sums.withLock { $0.read.reduce(0, +) } }
    var bytesWritten: Int { sums.withLock { $0.written.reduce(0, +) } }
    var invents: Bool {
        sums.withLock { sums in zip(sums.read, sums.attempted).contains { $0 > $1 } }
    }
    var isWhole: Bool { sums.withLock { $0.read == $0.attempted && $0.read == $0.written } }
    var losesNothing: Bool {
        sums.withLock { sums in zip(sums.read, sums.written).allSatisfy { $0 >= $1 } }
    }
}

extension Socket {
    /// Whether no task is known to the connection any more.
    fileprivate var hasNobody: Bool {
        !hasReader && !hasWriter && readersInLine == 0 && writersInLine == 0
    }
}

@Suite(.timeLimit(.minutes(1))) struct ConcurrentUseTests {
    @Test(
        "writers and readers of both sides at once: every byte arrives once",
        arguments: Wire.allCases
    )
    func bothDirections(wire: Wire) async throws {
        let pair = try await Pair.narrow(wire)
        let (there, back) = (Ledger(), Ledger())
        await withTaskGroup(of: Void.self) { group in
            for (from, to, ledger) in [
                (pair.client, pair.server, there), (pair.server, pair.client, back),
            ] {
                group.addTask {
                    await withTaskGroup(of: Void.self) { writers in
                        for value in UInt8(1)...4 {
                            writers.addTask { await ledger.write(value, blocks: 24, to: from) }
                        }
                    }
                    try? await from.shutdownWrite()
                }
                for limit in [1000, 16_384, 65_536] {
                    group.addTask { await ledger.read(limit, from: to) }
                }
            }
        }
        for ledger in [there, back] {
            #expect(ledger.isWhole)
            #expect(ledger.bytesRead == 4 * 6 * (1 + 700 + 16_384 + 20_000))
            #expect(ledger.oddErrors.isEmpty)
        }
        #expect(await pair.client.closed == .clean(nil))
        #expect(await pair.server.closed == .clean(nil))
    }

    @Test(
        "whatever ends a connection in full use, every call ends and the sums are right",
        arguments: Wire.allCases,
        Ending.allCases
    )
    private func ends(wire: Wire, ending: Ending) async throws {
        for round in 0..<6 {
            // `close` takes back what the peer has not read by its time limit, and says so; where two
            // cores have a hundred tests to run, a reader may come that late.
            let pair = try await Pair.narrow(wire) { $0.limits.shutdown = patience }
            let (there, back) = (Ledger(), Ledger())
            await use(pair, there, back, ending, after: round * 30_000)
            #expect(!there.invents && !back.invents)
            #expect(there.oddErrors == [] && back.oddErrors == [])
            if ending.isOrderly {
                #expect(there.losesNothing, "\(there.bytesRead) of \(there.bytesWritten)")
            }
            try? await pair.client.close()
            try? await pair.server.close()
            await until { pair.client.descriptor == -1 && pair.server.descriptor == -1 }
            #expect(pair.client.hasNobody && pair.server.hasNobody)
        }
    }

    /// Has both sides write and read with several tasks, and ends it once so many bytes arrived.
    private func use(
        _ pair: Pair,
        _ there: Ledger,
        _ back: Ledger,
        _ ending: Ending,
        after count: Int
    ) async {
        let writers = (UInt8(1)...3).map { value in
            Task {
                await there.write(value, blocks: 12, to: pair.client)
            }
        }
        let readers = [900, 30_000].map { limit in
            Task { await back.read(limit, from: pair.client) }
        }
        await withTaskGroup(of: Void.self) { group in
            for limit in [1000, 50_000] {
                group.addTask { await there.read(limit, from: pair.server) }
            }
            group.addTask {
                await withTaskGroup(of: Void.self) { peers in
                    for value in UInt8(1)...2 {
                        peers.addTask { await back.write(value, blocks: 12, to: pair.server) }
                    }
                }
                try? await pair.server.shutdownWrite()
            }
            group.addTask {
                await until { there.bytesRead >= count }
                await self.end(pair, ending, writers, readers)
                for task in writers + readers { await task.value }
                // What no ending has ended ends now.
                try? await pair.client.shutdownWrite()
            }
        }
    }

    private func end(
        _ pair: Pair,
        _ ending: Ending,
        _ writers: [Task<Void, Never>],
        _ readers: [Task<Void, Never>]
    ) async {
        switch ending {
        case .shutdownWrite: try? await pair.client.shutdownWrite()
        case .close: #expect(await thrown { try await pair.client.close() } == nil)
        case .abort: pair.client.abort()
        case .peerAbort: pair.server.abort()
        case .cancelReaders:
            for task in readers { task.cancel() }
            // Somebody has to read, or the peer's writers would wait for ever.
            _ = try? await readAll(from: pair.client)
        case .cancelWriters: for task in writers { task.cancel() }
        case .everything:
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await pair.client.shutdownWrite() }
                group.addTask { for task in writers + readers { task.cancel() } }
                group.addTask { try? await pair.client.close() }
                group.addTask { pair.client.abort() }
                group.addTask { pair.server.abort() }
            }
        }
    }

    @Test("a reader cancelled as its byte comes: somebody gets the byte", arguments: Wire.allCases)
    func cancelledRead(wire: Wire) async throws {
        let pair = try await Pair(wire)
        for round in 0..<300 {
            let value = UInt8(truncatingIfNeeded: round)
            let reading = Task { try await pair.client.read(upTo: 1) }
            if round % 3 != 0 { await until { pair.client.hasReader } }
            async let sent: Void = pair.server.write([value])
            reading.cancel()
            try await sent
            let got = try? await reading.value
            if got != [value] {
                #expect(got == nil)
                #expect(try await pair.client.read(upTo: 1) == [value])
            }
        }
        #expect(pair.client.hasNobody)
    }

    @Test("ready and closed asked by many while the connection fails", arguments: Wire.allCases)
    func questions(wire: Wire) async throws {
        for round in 0..<20 {
            let raw = try RawServer()
            let socket = try makeClient(wire, to: raw.address) {
                if wire != .tcp { $0.servername = "localhost" }
            }
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<6 {
                    group.addTask { _ = try? await socket.ready }
                    group.addTask { _ = await socket.closed }
                    group.addTask { _ = try? await socket.read() }
                    group.addTask { try? await socket.write("x") }
                }
                group.addTask {
                    // There is none when the client is gone before.
                    var arrivals = raw.listener.makeAsyncIterator()
                    try? await arrivals.next()?.socket.abort()
                }
                group.addTask { if round % 2 == 0 { socket.abort() } }
                group.addTask { if round % 3 == 0 { try? await socket.close() } }
                group.addTask {
                    _ = await socket.closed
                    await raw.listener.close()
                }
            }
            // A connection that was closed in good order may still read what the peer sends last.
            await until { socket.descriptor == -1 }
            #expect(socket.hasNobody)
        }
    }
}
