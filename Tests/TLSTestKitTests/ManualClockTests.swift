import Synchronization
import TLSTestKit
import Testing

/// Who woke, in order, for tasks that run at once.
private final class WakeLog: Sendable {
    private let list = Mutex<[Int]>([])
    var entries: [Int] { list.withLock { $0 } }
    func append(_ entry: Int) { list.withLock { $0.append(entry) } }
}

@Suite(.timeLimit(.minutes(1)))
struct ManualClockTests {
    let clock = ManualClock(unixSeconds: 1000)

    @Test("a new clock stands still at its start")
    func start() {
        #expect(clock.now == .init())
        #expect(clock.unixSeconds == 1000)
        #expect(clock.sleeperCount == 0)
        #expect(clock.nextDeadline == nil)
        #expect(!clock.advanceToNextDeadline())
        #expect(ManualClock().unixSeconds == ManualClock.defaultUnixSeconds)
    }

    @Test("turning moves now and the seconds since 1970, in whole seconds downwards")
    func turning() {
        clock.advance(by: .milliseconds(1999))
        #expect(clock.now.offset == .milliseconds(1999))
        #expect(clock.unixSeconds == 1001)
        clock.advance(to: .init(offset: .seconds(1)))
        #expect(
            clock.now.offset == .milliseconds(1999),
            "an instant that has passed changes nothing"
        )
        clock.advance(to: .init(offset: .seconds(5)))
        #expect(clock.unixSeconds == 1005)
    }

    @Test("a deadline that is reached already does not sleep")
    func reached() async throws {
        try await clock.sleep(until: clock.now)
        try await clock.sleep(for: .seconds(-1))
        #expect(clock.sleeperCount == 0)
    }

    @Test("each turn wakes exactly those whose deadline it reaches")
    func partialTurns() async throws {
        let woken = WakeLog()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seconds in [3, 1, 2] {
                group.addTask {
                    try await clock.sleep(for: .seconds(seconds))
                    woken.append(seconds)
                }
            }
            try await clock.waitForSleepers(3)
            #expect(clock.nextDeadline?.offset == .seconds(1))
            clock.advance(by: .milliseconds(999))
            #expect(clock.sleeperCount == 3)
            clock.advance(by: .milliseconds(1))
            #expect(clock.sleeperCount == 2)
            try await group.next()
            #expect(woken.entries == [1])
            #expect(clock.advanceToNextDeadline())
            try await group.next()
            #expect(woken.entries == [1, 2])
            #expect(clock.advanceToNextDeadline())
            try await group.next()
            #expect(woken.entries == [1, 2, 3])
            #expect(clock.now.offset == .seconds(3))
        }
    }

    @Test("one turn wakes in order of deadline, then of arrival")
    @MainActor
    func order() async throws {
        // All sleepers live on one actor, so they run in the order they are woken. Nobody awaits
        // their tasks: that would raise a task's priority and so change its place in line.
        let (woken, wake) = AsyncStream<String>.makeStream()
        let sleepers = [("c", 2), ("a", 1), ("d", 2), ("b", 1), ("e", 9)]
        for (count, (name, seconds)) in sleepers.enumerated() {
            Task {
                // Not `sleep(for:)` of the standard library, which leaves the actor meanwhile.
                try await clock.sleep(until: .init(offset: .seconds(seconds)))
                wake.yield(name)
            }
            try await clock.waitForSleepers(count + 1)
        }
        clock.advance(by: .seconds(9))
        var names: [String] = []
        for await name in woken.prefix(sleepers.count) { names.append(name) }
        #expect(names == ["a", "b", "c", "d", "e"])
    }

    @Test("cancelling a sleeper wakes it with CancellationError and leaves the others asleep")
    func cancelling() async throws {
        let cancelled = Task { try await clock.sleep(for: .seconds(1)) }
        let other = Task { try await clock.sleep(for: .seconds(1)) }
        try await clock.waitForSleepers(2)
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        #expect(clock.sleeperCount == 1)
        clock.advance(by: .seconds(1))
        try await other.value
    }

    @Test("a task cancelled beforehand does not fall asleep")
    func cancelledBefore() async throws {
        let task = Task {
            // The closure uses the handle only while it runs.
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            try await clock.sleep(for: .seconds(1))
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(clock.sleeperCount == 0)
    }

    @Test("waiting for sleepers can be cancelled")
    func cancelledWatcher() async throws {
        let watcher = Task { try await clock.waitForSleepers(1) }
        watcher.cancel()
        await #expect(throws: CancellationError.self) { try await watcher.value }
    }

    @Test("cancellation and turning at the same moment wake a sleeper once")
    func race() async throws {
        for _ in 0..<200 {
            let task = Task { try await clock.sleep(for: .seconds(1)) }
            try await clock.waitForSleepers(1)
            async let turned: Void = clock.advance(by: .seconds(1))
            task.cancel()
            await turned
            _ = await task.result  // a second resumption would trap
            #expect(clock.sleeperCount == 0)
        }
    }

    @Test("generic code that takes a clock takes this one")
    func generic() async throws {
        func pause(_ clock: some Clock<Duration>) async throws {
            try await clock.sleep(for: .seconds(60))
        }
        let task = Task { try await pause(clock) }
        try await clock.waitForSleepers(1)
        clock.advance(by: .seconds(60))
        try await task.value
    }

    @Test("turning backwards is a programming error")
    func backwards() async {
        await #expect(processExitsWith: .failure) {
            ManualClock().advance(by: .seconds(-1))
        }
    }
}
