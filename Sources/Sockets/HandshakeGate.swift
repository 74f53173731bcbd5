// Where ClientHellos stand in line, one gate an event loop: before a key is used, after nothing but a read.
//
// Theory of operation
//
// A handshake costs as much as ten to fifty round trips, all of it in one step of the server. So a turn of
// the loop takes few such steps: whatever else the loop has to do goes in between. Where nobody who has been
// there for a while was busy lately, it takes more, as turns have their price too. Who comes to an empty
// line, in a turn that has room, goes through at once and pays a look.
//
// When the first in line has waited long, there are more handshakes than the loop can do, and the rest of
// the loop would get what they leave: `EventLoop.pressedUntil` says so. While that holds, and connections
// that have been there for a while are busy (`EventLoop.seniorActivity`), the steps are paid for: what one
// has cost is a debt, of which time takes away `AdmissionPolicy.handshakeShare`, and there is no other step
// before it is paid off. Where nobody else is busy, handshakes have all the time there is.
//
// Rule 1: the order of the line is that of the first bytes.
// Rule 2: a slot that was given is given back by whoever ran the handshake, `Connection.handshake` or
// `Connection.arrive`, however that ends.

import SocketCore
import Synchronization

/// How many handshakes of one listener run and wait, on all its loops.
final class HandshakeCounts: Sendable {
    private let running = Atomic<Int>(0)
    private let waiting = Atomic<Int>(0)
    /// Handshakes that have begun since the listener was made.
    private let begun = Atomic<Int>(0)
    /// Accepting has stopped, for those who wait.
    private let isHeld = Atomic<Bool>(false)
    private let runningMax: Int
    private let waitingMax: Int
    /// Has connections accepted again.
    private let wake = Mutex<(@Sendable () -> Void)?>(nil)

    init(_ policy: AdmissionPolicy) {
        runningMax = policy.handshakes
        waitingMax = policy.waiting
    }

    var runningCount: Int { running.load(ordering: .relaxed) }
    var waitingCount: Int { waiting.load(ordering: .relaxed) }
    var begunCount: Int { begun.load(ordering: .relaxed) }

    func onRoom(_ wake: @escaping @Sendable () -> Void) {
        self.wake.withLock { $0 = wake }
    }

    /// Takes one of the listener's slots, if there is one.
    fileprivate func take() -> Bool {
        if running.wrappingAdd(1, ordering: .relaxed).newValue <= runningMax {
            return true
        }
        running.wrappingSubtract(1, ordering: .relaxed)
        return false
    }

    /// Counts a handshake that begins.
    func noteBegun() {
        begun.wrappingAdd(1, ordering: .relaxed)
    }

    fileprivate func giveBack() {
        running.wrappingSubtract(1, ordering: .relaxed)
    }

    /// Counts a connection that waits for its first bytes, and then in line.
    func beginWaiting() {
        waiting.wrappingAdd(1, ordering: .sequentiallyConsistent)
    }

    func endWaiting() {
        let left = waiting.wrappingSubtract(1, ordering: .sequentiallyConsistent).newValue
        guard isHeld.load(ordering: .sequentiallyConsistent), left <= waitingMax * 3 / 4 else {
            return
        }
        if isHeld.exchange(false, ordering: .sequentiallyConsistent) {
            wake.withLock { $0 }?()
        }
    }

    /// Whether another connection may be accepted; when not, who makes room has it tried again.
    var hasRoom: Bool {
        guard waiting.load(ordering: .sequentiallyConsistent) >= waitingMax else { return true }
        isHeld.store(true, ordering: .sequentiallyConsistent)
        // Who left meanwhile did not see the mark.
        guard waiting.load(ordering: .sequentiallyConsistent) <= waitingMax * 3 / 4 else {
            return false
        }
        isHeld.store(false, ordering: .sequentiallyConsistent)
        return true
    }
}

/// The line of one loop.
final class HandshakeGate: ReadinessSource, @unchecked Sendable {
    // Sendable: what changes is behind `state`.

    /// A place in the line.
    final class Place: @unchecked Sendable {
        // Sendable: only touched under the gate's lock.
        enum Standing {
            case waiting, granted, refused, gone
        }

        fileprivate(set) var standing = Standing.waiting
        /// The task that stands there, or the connection whose handshake the loop runs.
        fileprivate var waiter: Waiter?
        fileprivate var arrival: Connection?
        fileprivate let since: LoopInstant

        fileprivate init(since: LoopInstant, arrival: Connection?) {
            self.since = since
            self.arrival = arrival
        }
    }

    /// Who has to hear that the wait is over, once the lock is released.
    fileprivate struct Left {
        let waiter: Waiter?
        let arrival: Connection?
        let standing: Place.Standing
    }

    private struct State {
        var running = 0
        /// Those who wait, from `first` on, and some who have gone.
        var line: [Place] = []
        var first = 0
        var waitingCount = 0
        /// The turn of the loop, by its time, that has had its handshake.
        var lastTurn: UInt64 = 0
        /// How many that turn has had.
        var stepsOfTurn = 0
        /// What handshakes owe to the others, in nanoseconds, and when that was reckoned.
        var debt = 0.0
        var reckonedAt = LoopInstant(nanoseconds: 0)

        /// The first who still waits.
        var head: Place? {
            mutating get {
                while first < line.count, line[first].standing != .waiting { first += 1 }
                return first < line.count ? line[first] : nil
            }
        }

        mutating func append(_ place: Place) {
            if first > 64, first * 2 > line.count {
                line.removeFirst(first)
                first = 0
            }
            if line.count - first > 2 * waitingCount + 64 {
                line.removeAll { $0.standing != .waiting }
                first = 0
            }
            line.append(place)
            waitingCount += 1
        }

        /// Takes one out of the line.
        mutating func settle(_ place: Place, _ standing: Place.Standing) -> Left {
            place.standing = standing
            waitingCount -= 1
            return Left(
                waiter: place.waiter.take(),
                arrival: place.arrival.take(),
                standing: standing
            )
        }
    }

    /// A line whose first has waited so long is too long.
    static let pressure = Duration.milliseconds(25)
    /// How long the loop is taken for pressed after that.
    private static let pressureLasts = Duration.milliseconds(100)
    /// Others are busy when something came for them within that time.
    private static let quietTime = Duration.milliseconds(5)
    /// When slots of other loops are looked at again.
    private static let slotPause = Duration.milliseconds(5)

    /// Handshakes that begin in one turn of a loop that newcomers have for themselves.
    static let stepsPerTurn = 16
    /// The same where others were busy within ``absence``; where the loop is pressed, it is one.
    static let stepsPerSharedTurn = 4
    /// Nanoseconds for which nothing comes for others until newcomers have the loop for themselves.
    static let absence: UInt64 = 100_000_000

    let loop: EventLoop
    let counts: HandshakeCounts
    private let slots: Int
    private let queueTime: Duration
    private let share: Double
    /// The most that is owed: no rest is longer than a place in the line lasts.
    ///
    /// What a step has cost may be time in which the process stood still.
    private let debtMax: Double
    private let state = Mutex(State())

    init(loop: EventLoop, counts: HandshakeCounts, policy: AdmissionPolicy) {
        self.loop = loop
        self.counts = counts
        slots = policy.handshakesPerLoop
        queueTime = policy.queueTime
        share = policy.handshakeShare
        debtMax = HandshakeGate.nanoseconds(policy.queueTime) * policy.handshakeShare
        super.init()
    }

    /// Those in line.
    var lineCount: Int { state.withLock { $0.waitingCount } }

    /// Takes a slot if nobody is before.
    func tryEnter() -> Bool {
        // Where handlers have threads of their own, handshakes take none of the loop's time.
        let turn = loop.isCurrent ? loop.now.nanoseconds : 0
        return state.withLock { s in
            guard s.waitingCount == 0, s.running < slots,
                turn == 0 || (mayStep(&s, turn) && rest(&s, loop.now) == nil), counts.take()
            else { return false }
            s.running += 1
            s.stepsOfTurn += 1
            return true
        }
    }

    /// Gives a slot back.
    func leave() {
        counts.giveBack()
        state.withLock { s in
            s.running -= 1
            if s.waitingCount > 0, s.running == slots - 1 { armSoon() }
        }
    }

    /// Stands in line.
    ///
    /// - Parameter arrival: The connection that hears of the verdict on its loop; nil for a task, which
    ///   waits for it.
    /// - Returns: The place, to wait at or to withdraw.
    func stand(_ arrival: Connection? = nil) -> Place {
        let place = Place(since: EventLoop.readClock(), arrival: arrival)
        state.withLock { s in
            s.append(place)
            if s.waitingCount == 1 { armSoon() }
        }
        return place
    }

    /// Waits in line for a verdict.
    func wait(_ place: Place) async -> Place.Standing {
        await Waiter.suspend { waiter in
            state.withLock { _ in
                guard place.standing == .waiting else { return false }
                place.waiter = waiter
                return true
            }
        }
        return state.withLock { _ in place.standing }
    }

    /// Leaves the line: the connection is over, and an arrival need not be told.
    func withdraw(_ place: Place) {
        let left = state.withLock { s in
            place.standing == .waiting ? s.settle(place, .gone) : nil
        }
        left?.waiter?.resume()
    }

    /// Notes what a step of a handshake has cost, while that matters.
    func charge(_ cost: Duration) {
        let nanoseconds = HandshakeGate.nanoseconds(cost)
        state.withLock { $0.debt = min($0.debt + nanoseconds, debtMax) }
    }

    private static func nanoseconds(_ duration: Duration) -> Double {
        let (seconds, attoseconds) = duration.components
        return Double(seconds) * 1e9 + Double(attoseconds) / 1e9
    }

    /// How long newcomers have to rest for what they have cost; nil for not at all.
    ///
    /// On the loop's thread.
    func restOfNewcomers() -> Duration? {
        state.withLock { rest(&$0, EventLoop.readClock()) }
    }

    // MARK: The loop's turn

    override func deadlineReached() {
        let now = EventLoop.readClock()
        let left = state.withLock { s -> [Left] in
            var left: [Left] = []
            while let head = s.head, head.since.advanced(by: queueTime) <= now {
                left.append(s.settle(head, .refused))
            }
            guard let head = s.head else { return left }
            if head.since.advanced(by: HandshakeGate.pressure) <= now {
                loop.pressedUntil = now.advanced(by: HandshakeGate.pressureLasts)
            }
            let next: LoopInstant
            if s.running >= slots {
                // Who leaves looks sooner.
                next = head.since.advanced(by: queueTime)
            } else if let rest = rest(&s, now) {
                next = min(now.advanced(by: rest), head.since.advanced(by: queueTime))
            } else if grant(&s, &left) {
                next = now.advanced(byNanoseconds: 1)
            } else {
                next = now.advanced(by: HandshakeGate.slotPause)
            }
            // Under the lock: a later deadline must not undo an earlier one of another thread.
            if s.waitingCount > 0 { loop.arm(self, at: next) }
            return left
        }
        for one in left {
            one.waiter?.resume()
            one.arrival?.leaveLine(one.standing, self)
        }
    }

    /// Whether this turn of the loop has room for another step.
    private func mayStep(_ s: inout State, _ turn: UInt64) -> Bool {
        if s.lastTurn != turn {
            s.lastTurn = turn
            s.stepsOfTurn = 0
        }
        if loop.isPressed { return s.stepsOfTurn < 1 }
        if s.stepsOfTurn < HandshakeGate.stepsPerSharedTurn { return true }
        return s.stepsOfTurn < HandshakeGate.stepsPerTurn
            && loop.seniorActivity.advanced(byNanoseconds: HandshakeGate.absence) <= loop.now
    }

    /// Lets those in, in their order, for whom this turn has room.
    ///
    /// - Returns: False when the listener has no slot left.
    private func grant(_ s: inout State, _ left: inout [Left]) -> Bool {
        while s.running < slots, mayStep(&s, loop.now.nanoseconds), let head = s.head {
            guard counts.take() else { return false }
            s.running += 1
            s.stepsOfTurn += 1
            left.append(s.settle(head, .granted))
        }
        return true
    }

    /// How long handshakes have to rest; nil for not at all.
    ///
    /// On the loop's thread.
    private func rest(_ s: inout State, _ now: LoopInstant) -> Duration? {
        guard now < loop.pressedUntil else {
            s.debt = 0
            return nil
        }
        let elapsed = Double(now.nanoseconds &- min(now, s.reckonedAt).nanoseconds)
        s.reckonedAt = now
        s.debt = max(0, s.debt - elapsed * share)
        guard now < loop.seniorActivity.advanced(by: HandshakeGate.quietTime), s.debt > 0 else {
            return nil
        }
        let rest = Duration.nanoseconds(Int64(s.debt / share) + 1)
        // Or it would be forgotten meanwhile who else is busy.
        let end = now.advanced(by: rest + HandshakeGate.pressureLasts)
        loop.pressedUntil = max(loop.pressedUntil, end)
        return rest
    }

    /// Has the next turn of the loop look at the line.
    private func armSoon() {
        loop.arm(self, at: EventLoop.readClock().advanced(byNanoseconds: 1))
    }
}
