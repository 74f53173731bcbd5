// Where relays live, one floor a loop, and the door through which connections come: a bounded number a
// turn, none beyond the limit, and a pause when descriptors run out.

import SocketCore
import Sockets
import Synchronization

/// The relays of one loop; touched on its thread alone.
final class RelayFloor: @unchecked Sendable {
    // Sendable: what changes is touched on the loop's thread alone.
    let loop: EventLoop
    private var relays: [ObjectIdentifier: Relay] = [:]
    private var isClosed = false

    init(_ loop: EventLoop) { self.loop = loop }

    /// Takes a connection in; on the loop's thread.
    func add(
        _ descriptor: consuming Descriptor,
        from remote: NetworkAddress,
        _ plan: RelayPlan
    ) {
        guard !isClosed else { return plan.over() }
        let relay = Relay(descriptor, from: remote, on: self, plan)
        relays[ObjectIdentifier(relay)] = relay
        relay.start()
    }

    func remove(_ relay: Relay) { relays[ObjectIdentifier(relay)] = nil }

    /// Breaks everything off; returns when that is done.
    func close() async {
        await withCheckedContinuation { continuation in
            loop.execute { [self] in
                isClosed = true
                for relay in Array(relays.values) { relay.abort() }
                continuation.resume()
            }
        }
    }
}

/// Accepts connections, and gives each to the next floor.
final class RelayDoor: ReadinessSource, @unchecked Sendable {
    // Sendable: what changes is touched on the thread of the first floor's loop alone, or behind `held`.

    /// Connections accepted in one turn of the loop.
    static let acceptsPerTurn = 64

    /// How many connections there are, and whether one more would be let in as soon as one goes.
    private struct Held {
        var count = 0
        var isWaiting = false
    }

    private let floors: [RelayFloor]
    private let limit: Int
    private let held = Mutex(Held())
    private var descriptor: Int32
    private var plan: RelayPlan?
    private var turn = 0
    private var mayAccept = true
    private var failed: (@Sendable (Errno) -> Void)?

    init(_ descriptor: consuming Descriptor, _ floors: [RelayFloor], limit: Int) {
        self.descriptor = descriptor.take()
        (self.floors, self.limit) = (floors, limit)
        super.init()
    }

    deinit { if descriptor >= 0 { Syscalls.close(descriptor) } }

    private var loop: EventLoop { floors[0].loop }

    /// Begins to accept.
    ///
    /// - Parameters:
    ///   - plan: What connections do.
    ///   - failed: Told once when the listening socket is of no use any more.
    func open(_ plan: RelayPlan, failed: @escaping @Sendable (Errno) -> Void) {
        loop.execute { [self] in
            self.plan = plan
            self.failed = failed
            do throws(SystemCallError) {
                try loop.register(self, descriptor: descriptor)
            } catch {
                failed(error.errno)
            }
        }
    }

    /// Accepts no more; returns when that is so.
    func close() async {
        await withCheckedContinuation { continuation in
            loop.execute { [self] in
                plan = nil
                if descriptor >= 0 { Syscalls.close(descriptor) }
                descriptor = -1
                loop.retire(self)
                continuation.resume()
            }
        }
    }

    /// A connection is over; any thread.
    func leave() {
        let mustLook = held.withLock { held in
            held.count -= 1
            defer { held.isWaiting = false }
            return held.isWaiting
        }
        if mustLook { loop.execute { [self] in takeTurn() } }
    }

    private func enter() -> Bool {
        held.withLock { held in
            held.isWaiting = held.count >= limit
            if !held.isWaiting { held.count += 1 }
            return !held.isWaiting
        }
    }

    override func readinessChanged(_ readiness: Readiness) {
        mayAccept = true
        takeTurn()
    }

    override func deadlineReached() {
        mayAccept = true
        takeTurn()
    }

    private func takeTurn() {
        guard let plan else { return }
        for _ in 0..<RelayDoor.acceptsPerTurn {
            guard mayAccept, descriptor >= 0, enter() else { return }
            switch StreamSocket.accept(descriptor) {
            case .accepted(let accepted, let remote):
                turn = (turn + 1) % floors.count
                admit(accepted, from: remote, to: floors[turn], plan)
            case .retry: leave()
            case .wouldBlock:
                mayAccept = false
                leave()
            case .exhausted:
                // The connection stays in the queue, and readiness will not tell of it again.
                mayAccept = false
                leave()
                loop.arm(self, at: loop.now.advanced(by: RelayPlan.exhaustionPause))
            case .failed(let errno):
                mayAccept = false
                leave()
                failed?(errno)
            }
        }
        if mayAccept { loop.execute { [self] in takeTurn() } }
    }

    private func admit(
        _ accepted: consuming Descriptor,
        from remote: NetworkAddress,
        to floor: RelayFloor,
        _ plan: RelayPlan
    ) {
        if floor === floors[0] { return floor.add(accepted, from: remote, plan) }
        let number = accepted.take()
        // The closure runs once, and owns the descriptor until then.
        floor.loop.execute { floor.add(Descriptor(owning: number), from: remote, plan) }
    }
}
