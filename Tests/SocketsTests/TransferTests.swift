// How bytes move: sizes around the records', several tasks at once, and the forms of the calls.

import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct TransferTests {
    @Test(
        "a write of any size arrives whole",
        arguments: Wire.allCases,
        [1, 2, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 300_000]
    )
    func sizes(wire: Wire, size: Int) async throws {
        let pair = try await Pair(wire)
        let bytes = pattern(size)
        async let sent: Void = pair.client.write(bytes)
        #expect(try await readExactly(size, from: pair.server) == bytes)
        try await sent
    }

    @Test(
        "records that the kernel takes in part arrive whole",
        arguments: Wire.allCases,
        [600, 5_000, 16_384]
    )
    func partOfARecord(wire: Wire, size: Int) async throws {
        let pair = try await Pair(wire)
        let piece = pattern(size)
        let count = (8 << 20) / size
        let writing = Task {
            for _ in 0..<count { try await pair.client.write(piece) }
            try await pair.client.shutdownWrite()
        }
        // Until the kernel's buffers are full, wherever in a record that is.
        await until { pair.client.hasWriter }
        for _ in 0..<count {
            let received = try await readExactly(size, from: pair.server)
            guard !Files.areEqual(received[...], piece[...]) else { continue }
            Issue.record("a piece is not as it was")
            break
        }
        try await writing.value
        #expect(try await pair.server.read() == nil)
    }

    @Test("a write of nothing does nothing", arguments: Wire.allCases)
    func nothing(wire: Wire) async throws {
        let pair = try await Pair(wire)
        try await pair.client.write([])
        try await pair.client.write("")
        #expect(pair.client.stats.bytesSent == 0)
        try await pair.client.write("x")
        #expect(try await pair.server.read() == Array("x".utf8))
    }

    @Test("single bytes written one by one arrive in order", arguments: Wire.allCases)
    func singleBytes(wire: Wire) async throws {
        let pair = try await Pair(wire)
        let bytes = pattern(500)
        for byte in bytes { try await pair.client.write([byte]) }
        #expect(try await readExactly(500, from: pair.server) == bytes)
    }

    @Test("ten megabytes each way at once arrive unharmed", arguments: Wire.allCases)
    func bulk(wire: Wire) async throws {
        let pair = try await Pair(wire)
        let piece = pattern(1 << 20)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for socket in [pair.client, pair.server] {
                group.addTask {
                    for _ in 0..<10 { try await socket.write(piece) }
                    try await socket.shutdownWrite()
                }
                group.addTask {
                    var total = 0
                    var buffer = [UInt8](repeating: 0, count: 100_000)
                    while true {
                        let count = try await socket.read(into: &buffer)
                        guard count > 0 else { break }
                        let place = total % piece.count
                        let head = min(count, piece.count - place)
                        let isWhole =
                            Files.areEqual(buffer[..<head], piece[place..<(place + head)])
                            && Files.areEqual(buffer[head..<count], piece[..<(count - head)])
                        #expect(isWhole)
                        total += count
                    }
                    #expect(total == 10 << 20)
                }
            }
            try await group.waitForAll()
        }
        #expect(await pair.client.closed == .clean(nil))
    }

    @Test(
        "each way of reading stays within its buffer and leaves the rest as it was",
        arguments: Wire.allCases
    )
    func readingForms(wire: Wire) async throws {
        let pair = try await Pair(wire)
        try await pair.server.write(pattern(100))
        #expect(try await pair.client.read(upTo: 10) == Array(pattern(100)[..<10]))
        #expect(try await pair.client.read(upTo: 0) == [])
        var array = [UInt8](repeating: 0xEE, count: 20)
        #expect(try await pair.client.read(into: &array) == 20)
        #expect(array == Array(pattern(100)[10..<30]))
        var empty: [UInt8] = []
        #expect(try await pair.client.read(into: &empty) == 0)
        var large = [UInt8](repeating: 0xEE, count: 200)
        let count = try await readSpan(&large, from: pair.client)
        #expect(count == 70)
        #expect(Array(large[..<70]) == Array(pattern(100)[30...]))
        #expect(large[70...].allSatisfy { $0 == 0xEE })
    }

    private func readSpan(_ bytes: inout [UInt8], from socket: Socket) async throws -> Int {
        var span = bytes.mutableSpan
        return try await socket.read(into: &span)
    }

    @Test("one byte at a time out of large records loses nothing", arguments: Wire.allCases)
    func smallReads(wire: Wire) async throws {
        let pair = try await Pair(wire)
        let bytes = pattern(40_000)
        try await pair.server.write(bytes)
        var received: [UInt8] = []
        for _ in 0..<2000 { received += try await pair.client.read(upTo: 1) ?? [] }
        received += try await readExactly(38_000, from: pair.client)
        #expect(received == bytes)
    }

    @Test("writes of many tasks arrive each whole, and none is lost", arguments: Wire.allCases)
    func manyWriters(wire: Wire) async throws {
        let pair = try await Pair.narrow(wire)
        let size = 40_000
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in UInt8(0)..<24 {
                group.addTask {
                    try await pair.client.write([UInt8](repeating: number, count: size))
                }
            }
            var seen: [UInt8] = []
            for _ in 0..<24 {
                let message = try await readExactly(size, from: pair.server)
                let first = try #require(message.first)
                #expect(message.allSatisfy { $0 == first })
                seen.append(first)
            }
            #expect(seen.sorted() == Array(0..<24))
            try await group.waitForAll()
        }
    }

    @Test("writes that stand in line are sent in the order they came", arguments: Wire.allCases)
    func writersInOrder(wire: Wire) async throws {
        let pair = try await Pair.narrow(wire)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in UInt8(0)..<10 {
                // The first fills the kernel's buffers; the others stand in line, one after the other.
                let size = number == 0 ? 1 << 20 : 10
                group.addTask {
                    try await pair.client.write([UInt8](repeating: number, count: size))
                }
                if number == 0 {
                    await until { pair.client.hasWriter }
                } else {
                    await until { pair.client.writersInLine == Int(number) }
                }
            }
            let all = try await readExactly((1 << 20) + 90, from: pair.server)
            #expect(
                Array(all.suffix(90))
                    == (UInt8(1)..<10).flatMap { [UInt8](repeating: $0, count: 10) }
            )
            try await group.waitForAll()
        }
    }

    @Test("several readers share what comes, and each of them ends", arguments: Wire.allCases)
    func manyReaders(wire: Wire) async throws {
        let pair = try await Pair(wire)
        let total = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<8 { group.addTask { try await readAll(from: pair.client).count } }
            await until { pair.client.readersInLine == 7 }
            for number in 0..<40 { try await pair.server.write(pattern(500, seed: number)) }
            try await pair.server.shutdownWrite()
            return try await group.reduce(0, +)
        }
        #expect(total == 40 * 500)
    }

    @Test(
        "one piece wakes one reader after the other until it is used up",
        arguments: Wire.allCases
    )
    func onePieceManyReaders(wire: Wire) async throws {
        let pair = try await Pair(wire)
        let bytes = try await withThrowingTaskGroup(of: [UInt8].self) { group in
            for _ in 0..<5 { group.addTask { try await pair.client.read(upTo: 1) ?? [] } }
            await until { pair.client.readersInLine == 4 }
            try await pair.server.write([1, 2, 3, 4, 5])
            return try await group.reduce(into: [UInt8]()) { $0 += $1 }
        }
        #expect(bytes.sorted() == [1, 2, 3, 4, 5])
    }

    @Test("as many calls wait as the limit says, and the next is told")
    func waitingCalls() async throws {
        let pair = try await Pair(.tcp) { $0.limits.waitingCalls = 2 }
        try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<3 {
                group.addTask { try await pair.client.read(upTo: 1)?.count ?? 0 }
                await until { pair.client.hasReader && pair.client.readersInLine == number }
            }
            let error = await thrown { _ = try await pair.client.read() }
            #expect(error?.code == .limitExceeded)
            #expect(error?.category == .resource)
            // Who waits goes on waiting.
            try await pair.server.write([1, 2, 3])
            #expect(try await group.reduce(0, +) == 3)
        }
    }
}
