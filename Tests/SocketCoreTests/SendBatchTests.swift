import Testing

@testable import SocketCore

/// A source that notes what it is told.
private final class Sender: ReadinessSource, @unchecked Sendable {
    // Used on the loop's thread alone; the log has its own lock.
    let name: Int
    let log: Log<Int>

    init(_ name: Int, _ log: Log<Int>) {
        self.name = name
        self.log = log
        super.init()
    }

    override func turnEnds() { log.append(name) }
}

@Suite(.timeLimit(.minutes(1))) struct SendBatchTests {
    /// Runs a step as one piece of a loop's work, with so many other pieces behind it.
    private func inTurn(
        _ loop: EventLoop,
        others: Int,
        _ log: Log<Int>,
        _ step: @escaping @Sendable () -> Void
    ) async {
        await withCheckedContinuation { continuation in
            loop.execute {
                for _ in 0..<others { loop.execute { log.append(-1) } }
                step()
                loop.execute { loop.execute { continuation.resume() } }
            }
        }
    }

    @Test("sources are told behind the turn's other work, in their order")
    func order() async throws {
        try await withLoop { loop in
            let log = Log<Int>()
            let senders = (0..<5).map { Sender($0, log) }
            await inTurn(loop, others: 3, log) {
                for sender in senders where loop.hasRoom(100) {
                    loop.addToBatch(sender, 100, isAwaited: true)
                }
            }
            // In a turn of its own.
            _ = await on(loop) { true }
            #expect(log.all == [-1, -1, -1, 0, 1, 2, 3, 4])
        }
    }

    @Test("there is no room for who is alone on the loop, nor for anybody off it")
    func alone() async throws {
        try await withLoop { loop in
            #expect(!loop.hasRoom(1))
            let rooms = await on(loop) { (loop.hasRoom(1), loop.hasRoom(1, evenIfAlone: true)) }
            #expect(rooms == (false, true))
        }
    }

    @Test("many pieces end the wait, and the batch begins anew")
    func pieces() async throws {
        try await withLoop { loop in
            let log = Log<Int>()
            let sender = Sender(7, log)
            let roomBehind = Log<Bool>()
            await inTurn(loop, others: 2, log) {
                for _ in 0..<LoopLimits.batchPieces { loop.addToBatch(sender, 1, isAwaited: true) }
                roomBehind.append(loop.hasRoom(1))
                loop.execute { roomBehind.append(loop.hasRoom(1, evenIfAlone: true)) }
            }
            _ = await on(loop) { true }
            #expect(log.all == [Int](repeating: 7, count: LoopLimits.batchPieces) + [-1, -1])
            #expect(roomBehind.all == [false, true])
        }
    }

    @Test("all can be sent before something that takes long")
    func before() async throws {
        try await withLoop { loop in
            let log = Log<Int>()
            let sender = Sender(7, log)
            await inTurn(loop, others: 1, log) {
                loop.addToBatch(sender, 1, isAwaited: true)
                loop.sendBatch()
                log.append(0)
            }
            _ = await on(loop) { true }
            #expect(log.all == [7, 0, -1])
        }
    }

    @Test("what nobody waits for does not leave before what takes long, alone or with others")
    func awaited() async throws {
        try await withLoop { loop in
            let log = Log<Int>()
            let (ticket, answer) = (Sender(1, log), Sender(2, log))
            await inTurn(loop, others: 1, log) {
                loop.addToBatch(ticket, 1, isAwaited: false)
                loop.sendAwaited()
                log.append(0)
                loop.addToBatch(answer, 1, isAwaited: true)
                loop.sendAwaited()
                log.append(0)
                // And the next batch begins anew.
                loop.addToBatch(ticket, 1, isAwaited: false)
                loop.sendAwaited()
            }
            _ = await on(loop) { true }
            #expect(log.all == [0, 1, 2, 0, -1, 1])
        }
    }

    @Test("no more bytes wait than the loop's memory has room for")
    func bytes() async throws {
        try await withLoop { loop in
            let log = Log<Int>()
            let sender = Sender(1, log)
            let rooms = Log<Bool>()
            await inTurn(loop, others: 1, log) {
                rooms.append(loop.hasRoom(LoopLimits.batchBytes))
                loop.addToBatch(sender, LoopLimits.batchBytes - 10, isAwaited: true)
                rooms.append(loop.hasRoom(10))
                rooms.append(loop.hasRoom(11))
            }
            #expect(rooms.all == [true, true, false])
        }
    }
}

extension EventLoop {
    /// Whether there is room for so many bytes.
    fileprivate func hasRoom(_ count: Int, evenIfAlone isAlone: Bool = false) -> Bool {
        unsafe batchRoom(count, evenIfAlone: isAlone) != nil
    }
}
