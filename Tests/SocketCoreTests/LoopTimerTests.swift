import SocketCore
import Testing

@Suite(.timeLimit(.minutes(1))) struct LoopTimerTests {
    private func soon(_ milliseconds: Int) -> LoopInstant {
        EventLoop.readClock().advanced(by: .milliseconds(milliseconds))
    }

    @Test(
        "timers fire in the order of their deadlines, on the loop, never early",
        arguments: [true, false]
    )
    func order(isArmedOnLoop: Bool) async throws {
        try await withLoop { loop in
            let (fired, sink) = AsyncStream<Int>.makeStream()
            let base = EventLoop.readClock()
            let delays = [9, 3, 12, 1, 6]
            let sources = delays.map { delay in
                let due = base.advanced(by: .milliseconds(delay))
                return RecordingSource(onDeadline: { _ in
                    sink.yield(loop.isCurrent && EventLoop.readClock() >= due ? delay : -delay)
                })
            }
            let armAll: @Sendable () -> Void = {
                for (source, delay) in zip(sources, delays) {
                    loop.arm(source, at: base.advanced(by: .milliseconds(delay)))
                }
            }
            if isArmedOnLoop {
                _ = await on(loop, armAll)
            } else {
                armAll()
            }
            var order: [Int] = []
            for await delay in fired {
                order.append(delay)
                if order.count == delays.count { break }
            }
            // Armed late by a busy machine they may all be due at once, and then in any order of
            // arming; within one batch the heap still gives them by deadline.
            #expect(order.sorted() == delays.sorted())
            #expect(!isArmedOnLoop || order == delays.sorted())
        }
    }

    @Test("a timer fires once, and again after it is armed again")
    func once() async throws {
        try await withLoop { loop in
            let fired = Log<Int>()
            let source = RecordingSource(onDeadline: { _ in fired.append(1) })
            for round in 1...3 {
                loop.arm(source, at: soon(1))
                #expect(await source.nextDeadline() != nil)
                #expect(fired.all.count == round)
            }
            let other = RecordingSource()
            loop.arm(other, at: soon(2))
            #expect(await other.nextDeadline() != nil)
            #expect(fired.all.count == 3)
        }
    }

    @Test("arming earlier brings the timer forward", arguments: [true, false])
    func earlier(isOnLoop: Bool) async throws {
        try await withLoop { loop in
            let source = RecordingSource()
            loop.arm(source, at: soon(3_600_000))
            let target = soon(2)
            if isOnLoop {
                _ = await on(loop) { loop.arm(source, at: target) }
            } else {
                loop.arm(source, at: target)
            }
            let fired = try #require(await source.nextDeadline())
            #expect(fired >= target)
        }
    }

    @Test("arming later puts the timer off", arguments: [true, false])
    func later(isOnLoop: Bool) async throws {
        try await withLoop { loop in
            let source = RecordingSource()
            let target = soon(30)
            let armTwice: @Sendable () -> Void = {
                loop.arm(source, at: target.advanced(by: .milliseconds(-10)))
                loop.arm(source, at: target)
            }
            // Armed in one go before the first deadline, unless the machine stood still for 20 ms.
            if isOnLoop {
                _ = await on(loop, armTwice)
            } else {
                armTwice()
            }
            var fired = try #require(await source.nextDeadline())
            if fired < target {
                fired = try #require(await source.nextDeadline())
            }
            #expect(fired >= target)
        }
    }

    @Test("a disarmed timer stays silent, though the heap still has it", arguments: [true, false])
    func disarm(isOnLoop: Bool) async throws {
        try await withLoop { loop in
            let fired = Log<Int>()
            let silent = RecordingSource(onDeadline: { _ in fired.append(1) })
            let target = soon(20)
            let armAndDisarm: @Sendable () -> Void = {
                loop.arm(silent, at: target)
                loop.disarm(silent)
            }
            if isOnLoop {
                _ = await on(loop, armAndDisarm)
            } else {
                armAndDisarm()
            }
            let witness = RecordingSource()
            loop.arm(witness, at: target.advanced(by: .milliseconds(2)))
            #expect(await witness.nextDeadline() != nil)
            #expect(fired.all.isEmpty)
            // It is not lost: armed again, it fires.
            loop.arm(silent, at: soon(1))
            #expect(await silent.nextDeadline() != nil)
        }
    }

    @Test("a deadline of the past fires at once; the distant future never does")
    func extremes() async throws {
        try await withLoop { loop in
            let fired = Log<Int>()
            let never = RecordingSource(onDeadline: { _ in fired.append(1) })
            loop.arm(never, at: .distantFuture)
            let past = RecordingSource()
            loop.arm(past, at: LoopInstant(nanoseconds: 0))
            #expect(await past.nextDeadline() != nil)
            #expect(fired.all.isEmpty)
        }
    }

    @Test("a timer that arms itself in its callback goes on, and starves nobody")
    func rearm() async throws {
        try await withLoop { loop in
            let count = Log<Int>()
            let source = RecordingSource(onDeadline: { source in
                count.append(1)
                if count.all.count < 1000 {
                    loop.arm(source, at: loop.now)
                }
            })
            loop.arm(source, at: soon(0))
            var firings = 0
            while firings < 1000, await source.nextDeadline() != nil {
                firings += 1
                #expect(await on(loop) { true })
            }
            #expect(count.all.count == 1000)
        }
    }

    @Test("a retired source's timer never fires, and lets go of the source")
    func retire() async throws {
        try await withLoop { loop in
            let fired = Log<Int>()
            let (released, sink) = AsyncStream<Void>.makeStream()
            let target = soon(10)
            armAndRetire(loop, at: target, fired: fired) { sink.yield() }
            for await _ in released { break }
            let witness = RecordingSource()
            loop.arm(witness, at: target.advanced(by: .milliseconds(1)))
            #expect(await witness.nextDeadline() != nil)
            #expect(fired.all.isEmpty)
        }
    }

    private func armAndRetire(
        _ loop: EventLoop,
        at instant: LoopInstant,
        fired: Log<Int>,
        onDeinit: @escaping @Sendable () -> Void
    ) {
        let source = RecordingSource(onDeadline: { _ in fired.append(1) }, onDeinit: onDeinit)
        loop.arm(source, at: instant)
        loop.retire(source)
        loop.arm(source, at: instant)
    }

    @Test("timers moved to and fro by many threads all fire in the end")
    func contention() async throws {
        try await withLoop { loop in
            let sources = (0..<16).map { _ in RecordingSource() }
            await withTaskGroup(of: Void.self) { group in
                for worker in 0..<4 {
                    group.addTask { [self] in
                        var random = SeededRandom(seed: UInt64(worker))
                        for _ in 0..<2000 {
                            let source = sources[Int.random(in: 0..<16, using: &random)]
                            switch Int.random(in: 0..<3, using: &random) {
                            case 0: loop.disarm(source)
                            default:
                                let delay = Int.random(in: 50..<1000, using: &random)
                                loop.arm(source, at: soon(delay))
                            }
                        }
                    }
                }
            }
            for source in sources {
                loop.arm(source, at: soon(1))
            }
            for source in sources {
                #expect(await source.nextDeadline() != nil)
            }
        }
    }
}
