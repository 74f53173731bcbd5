import SocketCore
import Synchronization
import TLSTestKit
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct SocketListenerTests {
    struct Refusal: Error {}

    @Test("a listener knows its address at once, until it is closed")
    func ready() async throws {
        let local = addressOfItsOwn()
        let listener = try makeListener(.tcp) { $0.local = local }
        #expect(listener.localAddress.address == local.address)
        #expect(listener.localAddress.port != 0)
        #expect(try await listener.ready == listener.localAddress)
        await listener.close("over")
        #expect(await listener.closed == .clean("over"))
        #expect(await thrown { _ = try await listener.ready }?.code == .closed)
        let socket = try makeClient(.tcp, to: listener.localAddress)
        #expect(await thrown { _ = try await socket.ready }?.code == .connectionRefused)
    }

    @Test("close waits for the connections that are open, and closed with it")
    func closeDrains() async throws {
        let pair = try await Pair(.tls13)
        let log = Log<String>()
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await pair.listener.close("drained")
                log.append("closed")
            }
            await until { pair.listener.core.closeReason != nil }
            try? await pair.client.write("still here")
            let heard = try? await pair.server.read()
            #expect(heard == Array("still here".utf8))
            log.append("talked")
            try? await pair.server.close()
        }
        #expect(log.all == ["talked", "closed"])
        #expect(await pair.listener.closed == .clean("drained"))
    }

    @Test("cancelling close aborts the connections it waits for")
    func closeCancelled() async throws {
        let pair = try await Pair(.tcp)
        let closing = Task { await pair.listener.close() }
        await until { pair.listener.core.closeReason != nil }
        closing.cancel()
        await closing.value
        #expect(await pair.server.closed.error?.code == .aborted)
    }

    @Test(
        "iterators share the connections, and end when the listener does",
        arguments: Wire.allCases
    )
    func iteration(wire: Wire) async throws {
        let listener = try makeListener(wire)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    var count = 0
                    for try await event in listener {
                        count += 1
                        try event.respondWith(SocketResponse(body: event.socket.stream()))
                    }
                    return count
                }
            }
            for number in 0..<12 {
                let socket = try makeClient(wire, to: listener.localAddress) {
                    $0.body = .bytes(pattern(100 + number))
                }
                #expect(try await readAll(from: socket) == pattern(100 + number))
            }
            await listener.close()
            #expect(try await group.reduce(0, +) == 12)
        }
    }

    @Test("a closure gets every connection", arguments: Wire.allCases)
    func onSocket(wire: Wire) async throws {
        let listener = try makeListener(wire)
        try listener.onSocket { event in
            try? event.respondWith(SocketResponse(body: "hello"))
        }
        for _ in 0..<5 {
            let socket = try makeClient(wire, to: listener.localAddress)
            #expect(try await readAll(from: socket) == Array("hello".utf8))
        }
    }

    @Test("a listener has one kind of consumer")
    func oneConsumer() async throws {
        let iterated = try makeListener(.tcp)
        _ = iterated.makeAsyncIterator()
        #expect(throws: SocketError(.locked)) { try iterated.onSocket { _ in } }
        #expect(await thrown { try await iterated.serve { _ in } }?.code == .locked)

        let handled = try makeListener(.tcp)
        try handled.onSocket { _ in }
        var iterator = handled.makeAsyncIterator()
        #expect(await thrown { _ = try await iterator.next() }?.code == .locked)
        #expect(throws: SocketError(.locked)) { try handled.onSocket { _ in } }

        let closed = try makeListener(.tcp)
        await closed.close()
        #expect(await thrown { try await closed.serve { _ in } }?.code == .closed)
        var late = closed.makeAsyncIterator()
        #expect(try await late.next() == nil)
        let none = try makeListener(.tcp)
        #expect(
            await thrown { try await none.serve(maxConcurrent: 0) { _ in } }?.code == .invalidOption
        )
    }

    @Test(
        "the connection past the limit is served when one before it ends",
        arguments: Wire.allCases
    )
    func maxConcurrent(wire: Wire) async throws {
        let listener = try makeListener(wire)
        let now = Atomic<Int>(0)
        let most = Atomic<Int>(0)
        let serving = Task {
            try await listener.serve(maxConcurrent: 2) { socket in
                let count = now.wrappingAdd(1, ordering: .relaxed).newValue
                most.max(count, ordering: .relaxed)
                try await socket.write("x")
                _ = try await socket.read()
                now.wrappingSubtract(1, ordering: .relaxed)
            }
        }
        let clients = try (0..<3).map { _ in try makeClient(wire, to: listener.localAddress) }
        // All three are connected by the kernel; two of them are greeted, whichever.
        let greeted = Log<Int>()
        let readers = clients.enumerated().map { index, client in
            Task {
                _ = try await client.read(upTo: 1)
                greeted.append(index)
            }
        }
        await until { greeted.count == 2 }
        let third = try #require((0..<3).first { !greeted.all.contains($0) })
        #expect(clients[third].stats.bytesReceived == 0)
        try await clients[try #require(greeted.all.first)].close()
        try await readers[third].value
        #expect(most.load(ordering: .relaxed) == 2)
        for client in clients { try await client.close() }
        await listener.close()
        try await serving.value
    }

    @Test("hundreds of connections go through a small limit", arguments: [1, 7])
    func throughput(limit: Int) async throws {
        let listener = try makeListener(.tcp)
        let serving = Task {
            try await listener.serve(maxConcurrent: limit) { socket in
                for try await chunk in try socket.stream() { try await socket.write(chunk) }
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<300 {
                group.addTask {
                    let socket = try makeClient(.tcp, to: listener.localAddress) {
                        $0.body = .bytes(pattern(20 + number))
                    }
                    #expect(try await readAll(from: socket) == pattern(20 + number))
                }
            }
            try await group.waitForAll()
        }
        await listener.close()
        try await serving.value
    }

    @Test(
        "a handler's socket is closed when it returns, and aborted when it throws",
        arguments: Wire.allCases
    )
    func handlerEnds(wire: Wire) async throws {
        let listener = try makeListener(wire)
        let errors = Log<String>()
        let serving = Task {
            try await listener.serve(onError: { error, address in
                errors.append("\(type(of: error)) \(address.address)")
            }) { socket in
                guard try await socket.read(upTo: 1) == [1] else { throw Refusal() }
                try await socket.write("bye")
            }
        }
        let good = try makeClient(wire, to: listener.localAddress)
        try await good.write([1])
        #expect(try await readAll(from: good) == Array("bye".utf8))
        let bad = try makeClient(wire, to: listener.localAddress)
        try await bad.write([2])
        #expect(await thrown { _ = try await readAll(from: bad) }?.code == .peerReset)
        await until { errors.count == 1 }
        #expect(errors.all == ["Refusal 127.0.0.1"])
        try await good.close()
        await listener.close()
        try await serving.value
    }

    @Test("failed handshakes go to the hook of either form")
    func failedHandshakes() async throws {
        for isServed in [true, false] {
            let listener = try makeListener(.tls13)
            let errors = Log<SocketError>()
            let hook: @Sendable (any Error, SocketAddress) -> Void = { error, _ in
                if let error = error as? SocketError { errors.append(error) }
            }
            let serving = Task {
                if isServed {
                    try await listener.serve(onError: hook) { _ in }
                } else {
                    try listener.onSocket(onError: hook) { _ in }
                }
            }
            let client = try makeClient(.tcp, to: listener.localAddress)
            try await client.write("GET / HTTP/1.1\r\n\r\n")
            await until { errors.count == 1 }
            let error = try #require(errors.all.first)
            #expect(error.code == .handshakeFailed)
            #expect(error.tls?.code == .notTLS)
            #expect(error.phase == .clientHello)
            #expect(error.report?.role == .server)
            await listener.close()
            try await serving.value
        }
    }

    /// An executor that counts the jobs it is given.
    private final class CountingExecutor: TaskExecutor {
        let loop = EventLoopGroup(loopCount: 1)
        let jobs = Atomic<Int>(0)

        func enqueue(_ job: consuming ExecutorJob) {
            jobs.wrappingAdd(1, ordering: .relaxed)
            loop.loops[0].enqueue(job)
        }
    }

    @Test("handlers run on the executor that is given")
    func executor() async throws {
        let executor = CountingExecutor()
        let listener = try makeListener(.tcp) { $0.executor = executor }
        let serving = Task {
            try await listener.serve { socket in
                #expect(executor.loop.loops[0].isCurrent)
                try await socket.write("x")
            }
        }
        let socket = try makeClient(.tcp, to: listener.localAddress)
        #expect(try await readAll(from: socket) == Array("x".utf8))
        #expect(executor.jobs.load(ordering: .relaxed) > 0)
        try await socket.close()
        await listener.close()
        try await serving.value
    }

    @Test(
        "cancelling the serving task closes the listener and aborts its connections",
        arguments: Wire.allCases
    )
    func serveCancelled(wire: Wire) async throws {
        let listener = try makeListener(wire)
        let serving = Task {
            try await listener.serve { socket in _ = try await socket.read() }
        }
        let socket = try makeClient(wire, to: listener.localAddress)
        _ = try await socket.ready
        await until { listener.core.aliveCount == 1 }
        serving.cancel()
        try await serving.value
        #expect(await listener.closed.error?.code == .aborted)
        let error = await thrown { _ = try await readAll(from: socket) }
        #expect(error?.code == .peerReset)
    }

    @Test("an address is taken by one listener, unless both share it")
    func addressInUse() throws {
        let first = try makeListener(.tcp)
        do {
            _ = try SocketListener(SocketListenerInit(local: first.localAddress))
            Issue.record("two listeners on one address")
        } catch {
            #expect(error.code == .addressInUse)
            #expect(error.address == first.localAddress)
            #expect(error.systemCall == "bind")
            #expect(error.hint != nil)
        }
        let sharing = try makeListener(.tcp) { $0.reusePort = true }
        let other = try SocketListener(
            SocketListenerInit(local: sharing.localAddress) { $0.reusePort = true }
        )
        #expect(other.localAddress == sharing.localAddress)
    }

    @Test("a dropped listener stops listening")
    func dropped() async throws {
        var listener: SocketListener? = try makeListener(.tcp) { $0.local = addressOfItsOwn() }
        let address = try #require(listener?.localAddress)
        weak let core = listener?.core
        listener = nil
        let socket = try makeClient(.tcp, to: address)
        #expect(await thrown { _ = try await socket.ready }?.code == .connectionRefused)
        await until { core == nil }
    }

    @Test("a path is free again when its listener is closed")
    func unixPath() async throws {
        try await withTemporaryDirectory { directory in
            let address = SocketAddress("unix:\(directory)/s", port: 0)
            for _ in 0..<2 {
                let listener = try SocketListener(SocketListenerInit(local: address))
                #expect(Files.exists("\(directory)/s"))
                #expect(throws: SocketError(.addressInUse, errno: 98)) {
                    _ = try SocketListener(SocketListenerInit(local: address))
                }
                await listener.close()
                #expect(!Files.exists("\(directory)/s"))
            }
        }
    }

    @Test("accepted connections have the listener's options")
    func options() async throws {
        let pair = try await Pair(
            .tcp,
            server: { options in
                options.noDelay = false
                options.ttl = 21
                options.sendBufferSize = 20_000
                options.receiveBufferSize = 30_000
            }
        )
        let number = pair.server.descriptor
        #expect(try !SocketOptions.noDelay(of: number))
        #expect(try SocketOptions.timeToLive(of: number, family: .ipv4) == 21)
        #expect(try SocketOptions.sendBufferSize(of: number) == 40_000)
        #expect(try SocketOptions.receiveBufferSize(of: number) == 60_000)
        let usual = try await Pair(.tcp)
        #expect(try SocketOptions.noDelay(of: usual.server.descriptor))
    }

    @Test("connections past the pending limit wait in the kernel until events are taken")
    func pendingConnections() async throws {
        let listener = try makeListener(.tcp) { $0.pendingConnections = 2 }
        var iterator = listener.makeAsyncIterator()
        var clients: [Socket] = []
        for _ in 0..<5 {
            let socket = try makeClient(.tcp, to: listener.localAddress)
            _ = try await socket.ready
            clients.append(socket)
        }
        await until { listener.core.aliveCount == 2 }
        var taken: [OnSocketEvent] = []
        for _ in 0..<5 { taken.append(try #require(try await iterator.next())) }
        #expect(taken.count == 5)
        #expect(listener.core.aliveCount == 5)
    }

    @Test("out of descriptors a listener rests, keeps what waits, and goes on when there are some")
    func exhaustion() async {
        await #expect(processExitsWith: .success) {
            try await expectRecoveryFromExhaustion()
        }
    }
}

/// Runs in a process of its own, whose limit of open files is low.
private func expectRecoveryFromExhaustion() async throws {
    let limit = 48
    try #require(Files.limitDescriptors(to: limit))
    let listener = try makeListener(.tcp)
    var events = listener.events.makeAsyncIterator()
    let served = Atomic<Int>(0)
    try listener.onSocket { event in
        served.wrappingAdd(1, ordering: .relaxed)
        try? event.respondWith(SocketResponse(body: event.socket.stream()))
    }
    /// Takes the last descriptor, so that a connection's other end has none.
    func connectUntilExhausted(_ clients: inout [Socket]) async throws {
        while Files.openDescriptors(below: limit) < limit {
            let socket = try makeClient(.tcp, to: listener.localAddress)
            _ = try await socket.ready
            clients.append(socket)
            let count = clients.count
            await until {
                served.load(ordering: .relaxed) == count
                    || Files.openDescriptors(below: limit) >= limit
            }
        }
        await pass(.milliseconds(300))
    }
    var clients: [Socket] = []
    try await connectUntilExhausted(&clients)
    var spare: [Int32] = []
    if listener.core.aliveCount == clients.count {
        // The last connection got the last descriptor: make the number that is left odd.
        try await clients.removeLast().close()
        await until { Files.openDescriptors(below: limit) <= limit - 2 }
        served.wrappingSubtract(1, ordering: .relaxed)
        spare.append(try StreamSocket.make(for: .ip(.v4(.loopback), port: 0)).take())
        try await connectUntilExhausted(&clients)
    }
    let last = try #require(clients.last)
    let count = clients.count
    // It is connected and not accepted. Resting costs nothing.
    let began = Files.processorTime()
    await pass(.milliseconds(400))
    try #require(served.load(ordering: .relaxed) == count - 1)
    try #require(Files.processorTime() - began < .milliseconds(200))
    guard case .acceptPaused(let error)? = await events.next() else {
        Issue.record("no word of the pause")
        return
    }
    try #require(
        error.code == .resourcesExhausted && error.errno == Errno.tooManyOpenFiles.rawValue
    )
    try await clients.removeFirst().close()
    try await last.write("at last")
    try #require(await last.read() == Array("at last".utf8))
    // Told once, however often it was tried.
    guard case .acceptResumed(let pause)? = await events.next() else {
        Issue.record("no word of the end of the pause")
        return
    }
    try #require(pause > .milliseconds(300))
    spare.forEach { Syscalls.close($0) }
    for client in clients { try? await client.close() }
    await listener.close()
}
