import SocketCore
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct EventLoopTests {
    @Test("closures run in order on the loop's thread, which knows itself")
    func order() async throws {
        try await withLoop { loop in
            #expect(!loop.isCurrent)
            #expect(EventLoop.current == nil || EventLoop.current !== loop)
            let log = Log<Int>()
            for index in 0..<1000 {
                loop.execute {
                    log.append(loop.isCurrent && EventLoop.current === loop ? index : -1)
                }
            }
            _ = await on(loop) { true }
            #expect(log.all == Array(0..<1000))
            #expect(await on(loop) { Syscalls.threadName() } == "sockets-loop-0")
        }
    }

    @Test(
        "what a closure adds runs after what was added before, past one turn's limit too"
    )
    func nested() async throws {
        try await withLoop { loop in
            let log = Log<Int>()
            await withCheckedContinuation { continuation in
                loop.execute {
                    for index in 0..<5000 {
                        loop.execute { log.append(index) }
                    }
                    loop.execute { continuation.resume() }
                    log.append(-1)
                }
            }
            #expect(log.all == [-1] + Array(0..<5000))
        }
    }

    @Test("a task that prefers the loop runs there, and comes back there after each await")
    func taskPreference() async throws {
        try await withLoop { loop in
            let places = await Task(executorPreference: loop) {
                var places = [loop.isCurrent]
                await Task.yield()
                places.append(loop.isCurrent)
                let inner = await withTaskGroup(of: Bool.self) { group in
                    for _ in 0..<10 {
                        group.addTask {
                            await Task.yield()
                            return loop.isCurrent
                        }
                    }
                    return await group.reduce(true) { $0 && $1 }
                }
                places.append(inner)
                places.append(loop.isCurrent)
                return places
            }.value
            #expect(places == [true, true, true, true])
        }
    }

    @Test("a storm of jobs from many threads loses none and keeps each sender's order")
    func storm() async throws {
        try await withLoop { loop in
            let senders = 8
            let each = 5000
            let log = Log<(sender: Int, index: Int)>()
            await withTaskGroup(of: Void.self) { group in
                for sender in 0..<senders {
                    group.addTask {
                        for index in 0..<each {
                            loop.execute { log.append((sender, index)) }
                            if index % 512 == 0 {
                                await Task.yield()
                            }
                        }
                    }
                }
            }
            _ = await on(loop) { true }
            let all = log.all
            #expect(all.count == senders * each)
            for sender in 0..<senders {
                let indices = all.filter { $0.sender == sender }.map(\.index)
                #expect(indices == Array(0..<each))
            }
        }
    }

    @Test("two loops hand a task back and forth without losing a wake-up")
    func pingPong() async throws {
        let group = EventLoopGroup(loopCount: 2)
        let (first, second) = (group.loops[0], group.loops[1])
        let hops = await Task(executorPreference: first) {
            var hops = 0
            for _ in 0..<3000 {
                hops += await Task(executorPreference: second) { second.isCurrent ? 1 : 0 }.value
                hops += first.isCurrent ? 1 : 0
            }
            return hops
        }.value
        #expect(hops == 6000)
        await group.shutdown()
    }

    @Test("a job that keeps adding itself does not keep readiness and timers out")
    func fairness() async throws {
        try await withLoop { loop in
            let isDone = Atomic<Bool>(false)
            let pair = try ConnectedPair()
            let source = RecordingSource()
            try loop.register(source, descriptor: pair.server.rawValue)
            spin(on: loop) { isDone.load(ordering: .relaxed) }
            #expect(send(pair.client.rawValue, [1]) == 1)
            #expect(await source.waitFor(.readable).contains(.readable))
            loop.arm(source, at: EventLoop.readClock().advanced(by: .milliseconds(2)))
            #expect(await source.nextDeadline() != nil)
            isDone.store(true, ordering: .relaxed)
            loop.retire(source)
        }
    }

    private func spin(on loop: EventLoop, until isDone: @escaping @Sendable () -> Bool) {
        loop.execute { [self] in
            if !isDone() {
                spin(on: loop, until: isDone)
            }
        }
    }

    @Test("a loop with nothing to do sleeps: no turn begins", arguments: [false, true])
    func idle(hasDistantTimer: Bool) async throws {
        try await withLoop { witness in
            try await withLoop { loop in
                let source = RecordingSource()
                if hasDistantTimer {
                    let hour = EventLoop.readClock().advanced(by: .seconds(3600))
                    _ = await on(loop) { loop.arm(source, at: hour) }
                }
                // The turn that runs this closure is the last: the closure itself reads its
                // beginning.
                let last = await on(loop) { loop.now }
                let timer = RecordingSource()
                witness.arm(timer, at: EventLoop.readClock().advanced(by: .milliseconds(20)))
                #expect(await timer.nextDeadline() != nil)
                let turn = loop.now
                witness.arm(timer, at: EventLoop.readClock().advanced(by: .milliseconds(20)))
                #expect(await timer.nextDeadline() != nil)
                #expect(loop.now == turn)
                #expect(turn >= last)
            }
        }
    }

    @Test("the cached time follows the clock from turn to turn")
    func now() async throws {
        try await withLoop { loop in
            let before = EventLoop.readClock()
            let first = await on(loop) { loop.now }
            let second = await on(loop) { loop.now }
            #expect(first <= second)
            #expect(second <= EventLoop.readClock())
            #expect(second >= before)
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct ReadinessSourceTests {
    @Test(
        "readiness reaches the source on the loop's thread",
        arguments: [loopbackIPv4, loopbackIPv6]
    )
    func readiness(address: NetworkAddress) async throws {
        try await withLoop { loop in
            let pair = try ConnectedPair(over: address)
            let places = Log<Bool>()
            let source = RecordingSource(onReadiness: { _ in places.append(loop.isCurrent) })
            try loop.register(source, descriptor: pair.server.rawValue)
            #expect(await source.waitFor(.writable) == .writable)
            #expect(send(pair.client.rawValue, [1]) == 1)
            #expect(await source.waitFor(.readable).contains(.readable))
            try StreamSocket.shutdownWrite(pair.client.rawValue)
            #expect(await source.waitFor(.peerClosedWrite).contains(.peerClosedWrite))
            #expect(places.all.allSatisfy { $0 })
            loop.retire(source)
        }
    }

    @Test(
        "the loop keeps a source alive until it is retired, on the loop or off it, once or twice"
    )
    func lifetime() async throws {
        try await withLoop { loop in
            for isOnLoop in [false, true] {
                let (released, sink) = AsyncStream<Void>.makeStream()
                let pair = try ConnectedPair()
                weak let watched = try registerAndForget(loop, pair.server.rawValue) {
                    sink.yield()
                }
                _ = await on(loop) { true }
                #expect(watched != nil)
                if isOnLoop {
                    _ = await on(loop) {
                        for _ in 0..<2 {
                            if let watched { loop.retire(watched) }
                        }
                    }
                } else {
                    for _ in 0..<2 {
                        if let watched { loop.retire(watched) }
                    }
                }
                for await _ in released { break }
                #expect(watched == nil)
            }
        }
    }

    private func registerAndForget(
        _ loop: EventLoop,
        _ descriptor: Int32,
        onDeinit: @escaping @Sendable () -> Void
    ) throws -> RecordingSource {
        let source = RecordingSource(onDeinit: onDeinit)
        try loop.register(source, descriptor: descriptor)
        return source
    }

    @Test("a source retired by another one in the same batch gets no event of that batch")
    func retireInBatch() async throws {
        try await withLoop { loop in
            // Both have edges when the loop looks: whichever comes first retires the other.
            let first = try ConnectedPair()
            let second = try ConnectedPair()
            let sources = Mutex<[RecordingSource]>([])
            let calls = Log<ObjectIdentifier>()
            let (done, sink) = AsyncStream<Void>.makeStream()
            // The sources know each other: without this they would stay for ever, and the loop too.
            defer { sources.withLock { $0 = [] } }
            let retireOther: RecordingSource.Action = { me in
                calls.append(ObjectIdentifier(me))
                let others = sources.withLock { all in
                    defer { all = all.filter { $0 === me } }
                    return all.filter { $0 !== me }
                }
                for other in others {
                    loop.retire(other)
                }
                sink.yield()
            }
            let pair = [
                RecordingSource(onReadiness: retireOther),
                RecordingSource(onReadiness: retireOther),
            ]
            sources.withLock { $0 = pair }
            let numbers = [first.server.rawValue, second.server.rawValue]
            // Registered within one turn, so both edges are in the next batch.
            let isRegistered = await on(loop) {
                for (source, number) in zip(pair, numbers) {
                    guard (try? loop.register(source, descriptor: number)) != nil else {
                        return false
                    }
                }
                return true
            }
            #expect(isRegistered)
            for await _ in done { break }
            _ = await on(loop) { true }
            #expect(calls.all.count == 1)
            loop.retire(pair[0])
            loop.retire(pair[1])
        }
    }

    @Test("a source may retire itself and drop its last reference inside its callback")
    func retireSelf() async throws {
        try await withLoop { loop in
            let pair = try ConnectedPair()
            let (released, sink) = AsyncStream<Void>.makeStream()
            try registerSelfRetiring(loop, pair.server.rawValue) { sink.yield() }
            for await _ in released { break }
        }
    }

    private func registerSelfRetiring(
        _ loop: EventLoop,
        _ descriptor: Int32,
        onDeinit: @escaping @Sendable () -> Void
    ) throws {
        let source = RecordingSource(onReadiness: { loop.retire($0) }, onDeinit: onDeinit)
        try loop.register(source, descriptor: descriptor)
    }

    @Test("events of a descriptor that lives on after its source was retired are dropped")
    func staleEvents() async throws {
        try await withLoop { loop in
            let pair = try ConnectedPair()
            let calls = Log<Readiness>()
            let stale = RecordingSource(onReadiness: { _ in calls.append([]) })
            try loop.register(stale, descriptor: pair.server.rawValue)
            #expect(await stale.waitFor(.writable) == .writable)
            loop.retire(stale)  // neither closed nor taken out of epoll
            _ = await on(loop) { true }
            let before = calls.all.count
            #expect(send(pair.client.rawValue, [1]) == 1)
            let other = try ConnectedPair()
            let next = RecordingSource()
            try loop.register(next, descriptor: other.server.rawValue)
            #expect(await next.waitFor(.writable) == .writable)
            _ = await on(loop) { true }
            #expect(calls.all.count == before)
            loop.retire(next)
            try loop.deregister(pair.server.rawValue)
        }
    }

    @Test("registering fails for what cannot be watched, and for a retired source")
    func registerFails() async throws {
        try await withLoop { loop in
            let source = RecordingSource()
            #expect(throws: SystemCallError(.badFileDescriptor, call: "epoll_ctl(ADD)")) {
                try loop.register(source, descriptor: -1)
            }
            let pair = try ConnectedPair()
            try loop.register(source, descriptor: pair.server.rawValue)
            loop.retire(source)
            #expect(throws: SystemCallError(.canceled, call: "epoll_ctl(ADD)")) {
                try loop.register(source, descriptor: pair.server.rawValue)
            }
        }
    }

    @Test("retiring a source that never was registered hurts no other source")
    func retireFresh() async throws {
        try await withLoop { loop in
            let pair = try ConnectedPair()
            let source = RecordingSource()
            try loop.register(source, descriptor: pair.server.rawValue)
            loop.retire(RecordingSource())
            _ = await on(loop) { loop.retire(RecordingSource()) }
            #expect(await source.waitFor(.writable) == .writable)
            #expect(send(pair.client.rawValue, [1]) == 1)
            #expect(await source.waitFor(.readable).contains(.readable))
            loop.retire(source)
        }
    }

    @Test("after events every source is swept, again while one wants it, and then no more")
    func sweeps() async throws {
        try await withLoop { loop in
            // More than one turn looks at.
            let quiet = Log<Bool>()
            let busy = Log<Bool>()
            let (done, sink) = AsyncStream<Void>.makeStream()
            DescriptorLimit.raise()
            let onSweep: @Sendable (Int) -> Bool = { index in
                guard index == 0 else {
                    quiet.append(loop.isCurrent)
                    return false
                }
                busy.append(loop.isCurrent)
                if busy.all.count == 2 { sink.finish() }
                return busy.all.count < 2
            }
            let descriptors = try (0..<1100).map { _ in
                try StreamSocket.make(for: loopbackIPv4).take()
            }
            // In one turn of the loop, and so before the first sweep, however slow the machine is.
            let sources = await on(loop) {
                descriptors.enumerated().compactMap { index, descriptor in
                    let source = RecordingSource(onSweep: { onSweep(index) })
                    return (try? loop.register(source, descriptor: descriptor)).map { source }
                }
            }
            #expect(sources.count == 1100)
            for await _ in done {}
            // The last sweep takes two turns, and work comes before it in each.
            for _ in 0..<3 { _ = await on(loop) { true } }
            #expect(busy.all == [true, true])
            #expect(quiet.all.count == 2 * 1099)
            #expect(!quiet.all.contains(false))
            for source in sources { loop.retire(source) }
            for descriptor in descriptors { Syscalls.close(descriptor) }
        }
    }
}
