import SocketCore
import Testing

@Suite(.timeLimit(.minutes(1))) struct EventLoopGroupTests {
    @Test("loops are handed out round robin, evenly")
    func roundRobin() async {
        let group = EventLoopGroup(loopCount: 3)
        #expect(group.loopCount == 3)
        let handed = (0..<9).map { _ in ObjectIdentifier(group.next()) }
        #expect(Set(handed.prefix(3)).count == 3)
        #expect(Array(handed[3..<6]) == Array(handed[0..<3]))
        #expect(Array(handed[6..<9]) == Array(handed[0..<3]))
        await group.shutdown()
    }

    @Test("each loop has a thread of its own, named after its number")
    func threads() async {
        let group = EventLoopGroup(loopCount: 2)
        for (number, loop) in group.loops.enumerated() {
            #expect(await on(loop) { Syscalls.threadName() } == "sockets-loop-\(number)")
        }
        await group.shutdown()
    }

    @Test("the shared group has loops, and stays the same")
    func shared() async {
        #expect(EventLoopGroup.shared.loopCount >= 1)
        #expect(EventLoopGroup.shared === EventLoopGroup.shared)
        #expect(await on(EventLoopGroup.shared.next()) { EventLoop.current != nil })
    }

    @Test("shutdown runs what is waiting first, and returns again when called again")
    func shutdown() async {
        let group = EventLoopGroup(loopCount: 1)
        let loop = group.loops[0]
        let log = Log<Int>()
        for index in 0..<3000 {
            loop.execute {
                log.append(index)
                loop.execute { log.append(index) }
            }
        }
        await withTaskGroup(of: Void.self) { tasks in
            for _ in 0..<3 {
                tasks.addTask { await group.shutdown() }
            }
        }
        #expect(log.all.count == 6000)
        await group.shutdown()
    }

    @Test("a task on the group's own loop may shut the group down, and goes on elsewhere")
    func shutdownFromWithin() async {
        let group = EventLoopGroup(loopCount: 2)
        let loop = group.loops[0]
        let places = await Task(executorPreference: loop) {
            let before = loop.isCurrent
            await group.shutdown()
            await Task.yield()
            return [before, loop.isCurrent]
        }.value
        #expect(places == [true, false])
    }

    @Test(
        "an ended loop registers nothing, forgets timers, and runs work on a shared loop"
    )
    func afterShutdown() async throws {
        let group = EventLoopGroup(loopCount: 1)
        let loop = group.loops[0]
        await group.shutdown()
        let pair = try ConnectedPair()
        let source = RecordingSource()
        #expect(throws: SystemCallError(.socketShutdown, call: "epoll_ctl(ADD)")) {
            try loop.register(source, descriptor: pair.server.rawValue)
        }
        loop.arm(source, at: EventLoop.readClock())
        loop.retire(source)
        #expect(await on(loop) { !loop.isCurrent })
    }

    @Test("shutdown lets go of sources and timers that were left")
    func releases() async throws {
        let released = Log<Int>()
        let pair = try ConnectedPair()
        let group = EventLoopGroup(loopCount: 1)
        try leaveBehind(group.loops[0], pair.server.rawValue, released)
        await group.shutdown()
        #expect(released.all.sorted() == [1, 2])
    }

    private func leaveBehind(
        _ loop: EventLoop,
        _ descriptor: Int32,
        _ released: Log<Int>
    ) throws {
        try loop.register(RecordingSource(onDeinit: { released.append(1) }), descriptor: descriptor)
        let later = EventLoop.readClock().advanced(by: .seconds(3600))
        loop.arm(RecordingSource(onDeinit: { released.append(2) }), at: later)
    }

    @Test("a group of no loops traps, and so does ending the shared one")
    func traps() async {
        await #expect(processExitsWith: .failure) {
            _ = EventLoopGroup(loopCount: 0)
        }
        await #expect(processExitsWith: .failure) {
            await EventLoopGroup.shared.shutdown()
        }
    }
}
