// The task is cancelled at each place where it can wait: that wait ends with `.aborted`, and nothing
// else does.

import Synchronization
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct CancellationTests {
    @Test("a wait for ready ends alone: others go on waiting, and so does the connection")
    func ready() async throws {
        let listener = try makeListener(.tls13)
        let socket = try makeClient(.tls13, to: listener.localAddress)
        let waits = (0..<5).map { _ in Task { await thrown { _ = try await socket.ready } } }
        await until { socket.establishingCount == 5 }
        for index in [0, 2, 4] { waits[index].cancel() }
        for index in [0, 2, 4] { #expect(await waits[index].value?.code == .aborted) }
        #expect(socket.establishingCount == 2)
        try listener.onSocket { _ in }
        for index in [1, 3] { #expect(await waits[index].value == nil) }
    }

    @Test("a wait for the end goes on: there would be nothing to tell")
    func closed() async throws {
        let pair = try await Pair(.tcp)
        let waiting = Task { await pair.client.closed }
        let draining = Task { await pair.listener.closed }
        waiting.cancel()
        draining.cancel()
        try await pair.client.close("done")
        #expect(await waiting.value == .clean("done"))
        #expect(try await pair.server.read() == nil)
        try await pair.server.close()
        await pair.listener.close("too")
        #expect(await draining.value == .clean("too"))
    }

    @Test("a read ends alone, and takes nothing of what comes", arguments: Wire.allCases)
    func read(wire: Wire) async throws {
        let pair = try await Pair(wire)
        let reading = Task { await thrown { _ = try await pair.client.read() } }
        await until { pair.client.hasReader }
        reading.cancel()
        #expect(await reading.value?.code == .aborted)
        #expect(!pair.client.hasReader)
        try await pair.server.write("whole")
        #expect(try await pair.client.read() == Array("whole".utf8))
    }

    @Test(
        "of many readers any may be cancelled, and the others get their bytes",
        arguments: Wire.allCases
    )
    func readers(wire: Wire) async throws {
        let pair = try await Pair(wire)
        var readers: [Task<UInt8?, any Error>] = []
        for number in 0..<6 {
            readers.append(Task { try await pair.client.read(upTo: 1)?.first })
            await until { pair.client.hasReader && pair.client.readersInLine == number }
        }
        // The one that waits for the kernel, one in the middle, and the last.
        for index in [0, 3, 5] { readers[index].cancel() }
        for index in [0, 3, 5] {
            await #expect(throws: SocketError.self) { try await readers[index].value }
        }
        try await pair.server.write([1, 2, 3])
        #expect(try await readers[1].value == 1)
        #expect(try await readers[2].value == 2)
        #expect(try await readers[4].value == 3)
    }

    @Test("cancelled readers and bytes that arrive at once lose nobody", arguments: Wire.allCases)
    func storm(wire: Wire) async throws {
        let pair = try await Pair(wire)
        let received = Log<UInt8>()
        let sent = 300
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    while received.count < sent {
                        let one = Task { try await pair.client.read(upTo: 1)?.first }
                        if UInt8.random(in: 0..<3) == 0 { one.cancel() }
                        if let byte = try? await one.value { received.append(byte) }
                    }
                }
            }
            for number in 0..<sent { try await pair.server.write([UInt8(number % 251)]) }
            await until { received.count == sent }
            // Readers that still wait are let go.
            try await pair.server.shutdownWrite()
            try await group.waitForAll()
        }
        #expect(received.all.sorted() == (0..<sent).map { UInt8($0 % 251) }.sorted())
    }

    @Test(
        "a write that has begun cannot be taken back: the connection ends",
        arguments: Wire.allCases
    )
    func write(wire: Wire) async throws {
        let pair = try await Pair.narrow(wire)
        let writing = Task { await thrown { try await pair.client.write(pattern(1 << 20)) } }
        await until { pair.client.hasWriter }
        writing.cancel()
        #expect(await writing.value?.code == .aborted)
        #expect(await pair.client.closed.error?.code == .aborted)
        #expect(await thrown { _ = try await readAll(from: pair.server) }?.code == .peerReset)
    }

    @Test(
        "a write that stands in line ends alone, and the others keep their order",
        arguments: Wire.allCases
    )
    func writers(wire: Wire) async throws {
        let pair = try await Pair.narrow(wire)
        var writers: [Task<SocketError?, Never>] = []
        for number in UInt8(0)..<5 {
            let size = number == 0 ? 1 << 20 : 1
            writers.append(
                Task {
                    await thrown {
                        try await pair.client.write([UInt8](repeating: number, count: size))
                    }
                }
            )
            await until {
                pair.client.hasWriter && pair.client.writersInLine == Int(number)
            }
        }
        writers[2].cancel()
        #expect(await writers[2].value?.code == .aborted)
        let all = try await readExactly((1 << 20) + 3, from: pair.server)
        #expect(all.suffix(3) == [1, 3, 4])
        for index in [0, 1, 3, 4] { #expect(await writers[index].value == nil) }
    }

    @Test("an end of sending that stands in line ends alone", arguments: Wire.allCases)
    func shutdownWrite(wire: Wire) async throws {
        let pair = try await Pair.narrow(wire)
        async let sent: Void = pair.client.write(pattern(1 << 20))
        await until { pair.client.hasWriter }
        let ending = Task { await thrown { try await pair.client.shutdownWrite() } }
        await until { pair.client.writersInLine == 1 }
        ending.cancel()
        #expect(await ending.value?.code == .aborted)
        #expect(try await readExactly(1 << 20, from: pair.server).count == 1 << 20)
        try await sent
        try await pair.client.write("more")
        #expect(try await readExactly(4, from: pair.server) == Array("more".utf8))
    }

    @Test("a cancelled close does not wait: the connection is broken off", arguments: Wire.allCases)
    func close(wire: Wire) async throws {
        let pair = try await Pair.narrow(wire)
        let writing = Task { await thrown { try await pair.client.write(pattern(1 << 20)) } }
        await until { pair.client.hasWriter }
        let closing = Task { await thrown { try await pair.client.close("bye") } }
        await until { pair.client.writersInLine == 1 }
        closing.cancel()
        #expect(await closing.value?.code == .aborted)
        #expect(await writing.value?.code == .aborted)
        #expect(pair.client.descriptor == -1)
    }

    @Test(
        "a cancelled task can still close in good order when nothing is in the way",
        arguments: Wire.allCases
    )
    func closeFromCancelled(wire: Wire) async throws {
        let pair = try await Pair(wire)
        let task = Task {
            await until { Task.isCancelled }
            return await thrown { try await pair.client.close("bye") }
        }
        task.cancel()
        #expect(await task.value == nil)
        #expect(await pair.client.closed == .clean("bye"))
        #expect(try await pair.server.read() == nil)
    }

    @Test("an iterator's wait ends alone", arguments: Wire.allCases)
    func iteration(wire: Wire) async throws {
        let listener = try makeListener(wire)
        let waiting = Task {
            await thrown { for try await _ in listener { Issue.record("a connection") } }
        }
        await until { listener.core.waitingCount == 1 }
        waiting.cancel()
        #expect(await waiting.value?.code == .aborted)
        var iterator = listener.makeAsyncIterator()
        let client = try makeClient(wire, to: listener.localAddress)
        let server = try #require(try await iterator.next()).socket
        try await client.write("x")
        #expect(try await server.read() == [120])
    }

    @Test("a handler's cancellation is its connection's, and no other's", arguments: Wire.allCases)
    func handler(wire: Wire) async throws {
        // One loop, so that all connections share it.
        let group = EventLoopGroup(loopCount: 1)
        let listener = try makeListener(wire) { $0.group = group }
        let children = Log<Task<Void, any Error>>()
        let serving = Task {
            try await listener.serve { socket in
                let first = try await socket.read(upTo: 1)
                let child = Task {
                    for try await chunk in try socket.stream() { try await socket.write(chunk) }
                }
                if first == [1] { children.append(child) }
                try await child.value
            }
        }
        let victim = try makeClient(wire, to: listener.localAddress)
        let other = try makeClient(wire, to: listener.localAddress)
        try await victim.write([1])
        try await other.write([2])
        await until { children.count == 1 }
        children.all[0].cancel()
        #expect(await thrown { _ = try await readAll(from: victim) }?.code == .peerReset)
        try await other.write("still")
        #expect(try await readExactly(5, from: other) == Array("still".utf8))
        try await other.close()
        await listener.close()
        try await serving.value
    }

    @Test(
        "cancelling a serving task reaches handlers at every kind of wait",
        arguments: Wire.allCases
    )
    func serving(wire: Wire) async throws {
        let listener = try makeListener(wire) {
            $0.sendBufferSize = 50_000
            $0.receiveBufferSize = 50_000
        }
        let errors = Log<SocketError.Code?>()
        let inside = Atomic<Int>(0)
        let serving = Task {
            try await listener.serve(onError: { error, _ in
                errors.append((error as? SocketError)?.code)
            }) { socket in
                let kind = try await socket.read(upTo: 1)?.first
                inside.wrappingAdd(1, ordering: .relaxed)
                switch kind {
                case 0: _ = try await socket.read()
                case 1: try await socket.write(pattern(8 << 20))
                case 2: for try await _ in try socket.stream() {}
                default: _ = await socket.closed
                }
            }
        }
        var clients: [Socket] = []
        for kind in UInt8(0)..<4 {
            let client = try makeClient(wire, to: listener.localAddress) {
                $0.receiveBufferSize = 50_000
            }
            try await client.write([kind])
            clients.append(client)
        }
        // One more that does not get through its handshake.
        if wire != .tcp { clients.append(try makeClient(.tcp, to: listener.localAddress)) }
        let expected = clients.count
        await until {
            inside.load(ordering: .relaxed) == 4 && listener.core.aliveCount == expected
        }
        serving.cancel()
        try await serving.value
        #expect(listener.core.aliveCount == 0)
        #expect(Set(errors.all) == [.aborted])
        for client in clients {
            #expect(await thrown { _ = try await readAll(from: client) }?.code == .peerReset)
        }
    }

    @Test("a socket is given up while it connects, at every stage")
    func connecting() async throws {
        for type in [SocketType.tcp, .tls] {
            for early in [true, false] {
                let raw = try RawServer()
                var socket: Socket? = try makeClient(type == .tcp ? .tcp : .tls13, to: raw.address)
                {
                    if type == .tls { $0.servername = "localhost" }
                }
                weak let connection = socket?.connection
                let peer = early ? nil : try await raw.accept()
                if type == .tls { _ = try await peer?.read() }
                socket?.abort("never mind")
                #expect(await socket?.closed == .aborted("never mind"))
                socket = nil
                await until { connection == nil }
            }
        }
    }
}

extension Socket {
    /// Tasks that wait for the socket to be ready.
    fileprivate var establishingCount: Int {
        connection.state.withLock { $0.establishing.count }
    }
}
