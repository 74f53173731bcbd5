import Synchronization
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct TurnTests {
    /// A turn behind a lock, and the tasks that go through it.
    private final class Bench: Sendable {
        let turn = Mutex(Turn())
        let log = Log<Int>()

        /// Has a task stand in line under a ticket; it logs the ticket when it is given the turn.
        func standInLine(_ ticket: Turn.Ticket) -> Task<Bool, Never> {
            let task = Task {
                await Waiter.suspend { waiter in
                    turn.withLock { $0.queue(waiter, ticket: ticket) }
                    return true
                }
                let isGranted = turn.withLock { $0.takeGrant(ticket) }
                if isGranted { log.append(Int(ticket)) }
                return isGranted
            }
            return task
        }

        func line(_ tickets: [Turn.Ticket]) async -> [Task<Bool, Never>] {
            turn.withLock { $0.isHeld = true }
            var tasks: [Task<Bool, Never>] = []
            for ticket in tickets {
                tasks.append(standInLine(ticket))
                let count = tasks.count
                await until { self.turn.withLock { $0.lineCount } == count }
            }
            return tasks
        }

        func release() {
            turn.withLock { $0.release() }?.resume()
        }
    }

    @Test("the turn goes from one to the next, first come first served, and is never free between")
    func order() async {
        let bench = Bench()
        let tasks = await bench.line([1, 2, 3])
        for task in tasks {
            bench.release()
            #expect(bench.turn.withLock { $0.isHeld })
            #expect(await task.value)
        }
        bench.release()
        #expect(!bench.turn.withLock { $0.isHeld })
        #expect(bench.log.all == [1, 2, 3])
    }

    @Test("who withdraws is woken without the turn, and the others keep their places")
    func withdrawal() async {
        let bench = Bench()
        let tasks = await bench.line([1, 2, 3])
        bench.turn.withLock { $0.withdraw(2) }?.resume()
        #expect(await !tasks[1].value)
        bench.release()
        #expect(await tasks[0].value)
        bench.release()
        #expect(await tasks[2].value)
        #expect(bench.log.all == [1, 3])
    }

    @Test("nobody can withdraw twice, or after being given the turn")
    func withdrawnOnce() async {
        let bench = Bench()
        let tasks = await bench.line([1, 2])
        let first = bench.turn.withLock { $0.withdraw(1) }
        let second = bench.turn.withLock { $0.withdraw(1) }
        #expect(second == nil)
        first?.resume()
        let next = bench.turn.withLock { $0.release() }
        let late = bench.turn.withLock { $0.withdraw(2) }
        #expect(late == nil)
        next?.resume()
        #expect(await !tasks[0].value)
        #expect(await tasks[1].value)
    }

    @Test("the end wakes everybody, and gives the turn to nobody")
    func end() async {
        let bench = Bench()
        let tasks = await bench.line([1, 2])
        let all = bench.turn.withLock { turn in
            var all: [Waiter] = []
            turn.takeAll(into: &all)
            return all
        }
        #expect(all.count == 2)
        for waiter in all { waiter.resume() }
        for task in tasks { #expect(await !task.value) }
        #expect(bench.turn.withLock { $0.isHeld } == false)
    }
}
