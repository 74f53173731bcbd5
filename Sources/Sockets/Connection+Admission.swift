// A server's connection before its handshake: it waits for the first bytes, then for its turn.

import SocketCore
import Synchronization

extension Connection {
    /// Stands in line with the first bytes of the client.
    ///
    /// - Throws: ``SocketError`` `.notAdmitted` when that took too long, or what ended the connection.
    @inline(never)
    func standInLine() async throws(SocketError) {
        guard let gate = state.withLock({ $0.gate }) else { return }
        let place = gate.stand()
        guard keep(place, of: gate) else {
            gate.withdraw(place)
            throw conclude()
        }
        let standing = await gate.wait(place)
        state.withLock { $0.place = nil }
        switch standing {
        case .granted: beginInTurn(gate)
        case .refused: throw refuseInLine()
        case .waiting, .gone: throw conclude()
        }
    }

    /// Notes where it stands in line, for the end of the connection to withdraw it; false when that has
    /// come already.
    func keep(_ place: HandshakeGate.Place, of gate: HandshakeGate) -> Bool {
        state.withLock { s in
            guard s.closeReason == nil else { return false }
            s.place = (place, gate)
            return true
        }
    }

    /// Takes in that its turn has come, and that it has a slot.
    func beginInTurn(_ gate: HandshakeGate) {
        let isOver = state.withLock { s in
            guard s.closeReason == nil else { return true }
            s.slot = gate
            // Who has gone meanwhile cannot finish a handshake: none is begun.
            guard s.endWaiting() != nil, s.hasHungUp, s.failure == nil else {
                gate.counts.noteBegun()
                return false
            }
            let error = TLSError(.closedDuringHandshake, phase: .clientHello)
            s.failure = .tls(error, report: s.engine?.report)
            return false
        }
        if isOver { gate.leave() }
    }

    /// Ends the connection, as it has waited for too long.
    func refuseInLine() -> SocketError {
        let error = SocketError(
            .notAdmitted,
            detail: "no turn for the handshake in time",
            address: remote,
            phase: .clientHello
        )
        end(.failed(error), failure: error, departure: .quiet)
        return error
    }

    /// Whether it waits for its handshake, for the first bytes or in line.
    var isWaiting: Bool { state.withLock { $0.gate != nil } }

    /// Gives back what the handshake had of the listener's.
    func leaveGate() {
        state.withLock { $0.slot.take() }?.leave()
    }

    /// Counts the connection no longer as one that waits.
    func endWaiting() {
        _ = state.withLock { $0.endWaiting() }
    }

    /// Notes what a step of the handshake has cost.
    func chargeHandshake(since began: LoopInstant) {
        let cost = began.duration(to: EventLoop.readClock())
        state.withLock { $0.slot ?? $0.gate }?.charge(cost)
    }

    /// Notes that there was something for a connection that has been there for a while.
    ///
    /// On the loop's thread, for every read that has waited: two numbers are compared.
    @inline(__always)
    func noteSeniority(_ establishedAt: LoopInstant) {
        let now = loop.now
        let seniority = Connection.seniorNanoseconds
        guard establishedAt.advanced(byNanoseconds: seniority) <= now else { return }
        loop.seniorActivity = now
    }

    /// From then on a connection is no newcomer.
    static let seniority = Duration.nanoseconds(seniorNanoseconds)
    private static let seniorNanoseconds: UInt64 = 1_000_000_000
}

extension Connection.Storage {
    /// Counts the connection no longer as one that waits.
    ///
    /// - Returns: Where it waited; nil when it did not.
    mutating func endWaiting() -> HandshakeGate? {
        guard let gate = gate.take() else { return nil }
        gate.counts.endWaiting()
        return gate
    }

    /// Whether the handshake may begin with what has just come; if not, it has to stand in line.
    mutating func mayBeginHandshake() -> Bool {
        guard let gate else { return true }
        guard gate.tryEnter() else { return false }
        _ = endWaiting()
        slot = gate
        gate.counts.noteBegun()
        return true
    }
}
