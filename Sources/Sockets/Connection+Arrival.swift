// A server's handshake as the loop runs it: no task, no continuation, one look under the lock for
// each flight of the client. The connection's task begins when there is something to talk about.
//
// Theory of operation
//
//     accepted ──▶ arriving ──edge of readiness──▶ a turn of the loop ──▶ one step of the handshake
//                     ▲                                                     │ more is to come
//                     └─────────────────────────────────────────────────────┤
//                     in line, at `HandshakeGate` ◀─────────────────────────┤
//                                          the listener has it, ready ◀─────┤
//                          a task goes on, as the application is asked ◀────┘
//
// Rule 1: whoever takes `isArriving` away, under the lock, tells the listener what became of it; the end
// of the connection does so too. So the listener hears of every arrival exactly once, and counts it until
// the application has been told.
// Rule 2: a step runs as work of the loop, in line with the tasks, not in the midst of the events: the
// handshakes of one batch of events do not hold up the readers of the same.

import SocketCore
import Synchronization

extension Connection {
    /// Takes the handshake as far as what has arrived goes; on the loop's thread.
    @inline(never)
    func arrive() {
        // A step takes longer than all that waits for the end of this turn.
        loop.sendAwaited()
        let stepBegan = loop.isPressed ? EventLoop.readClock() : nil
        let (step, listener) = state.withLock { s -> (Storage.HandshakeStep, ListenerCore?) in
            // Over meanwhile, or in line: whoever ends that wait comes back.
            guard s.isArriving, s.place == nil else { return (.wait, nil) }
            let step = s.stepHandshake()
            return (step, s.finishArrival(step) ? s.listener : nil)
        }
        if let stepBegan { chargeHandshake(since: stepBegan) }
        switch step {
        case .wait: return
        case .queue: standInLineArriving()
        case .failed: _ = conclude()
        case .done:
            leaveGate()
            establish()
            listener?.welcome(self)
        case .decide, .early: listener?.handOver(self, .arrived(isReady: false))
        }
    }

    /// Stands in line with the first bytes of the client, without a task.
    private func standInLineArriving() {
        guard let gate = state.withLock({ $0.gate }) else { return }
        let place = gate.stand(self)
        if !keep(place, of: gate) { gate.withdraw(place) }
    }

    /// Hears how the wait in line has ended; on the loop's thread.
    func leaveLine(_ standing: HandshakeGate.Place.Standing, _ gate: HandshakeGate) {
        switch standing {
        case .granted:
            state.withLock { $0.place = nil }
            beginInTurn(gate)
            arrive()
        case .refused: _ = refuseInLine()
        case .waiting, .gone: break
        }
    }
}

extension Connection.Storage {
    /// Notes that the loop has no more to do with the handshake, if the step says so.
    ///
    /// - Returns: Whether the listener is to be told by the caller; the end of a connection tells it by
    ///   itself.
    fileprivate mutating func finishArrival(_ step: HandshakeStep) -> Bool {
        switch step {
        case .wait, .queue, .failed: return false
        case .done: break
        case .decide, .early:
            stepToTake = step
            isHandedOver = true
        }
        isArriving = false
        return true
    }
}
