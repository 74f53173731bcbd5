// A server's connection before its handshake: it waits for the first bytes, then for its turn.

import SocketCore
import Synchronization

extension Connection {
    /// Stands in line with the first bytes of the client.
    ///
    /// - Throws: ``SocketError`` `.notAdmitted` when that took too long, or what ended the connection.
    func standInLine() async throws(SocketError) {
        guard let gate = state.withLock({ $0.gate }) else { return }
        let place = gate.stand()
        onClosed { gate.withdraw(place) }
        switch await gate.wait(place) {
        case .granted:
            state.withLock { s in
                s.slot = gate
                // Who has gone meanwhile cannot finish a handshake: none is begun.
                guard s.endWaiting() != nil, s.hasHungUp, s.failure == nil else {
                    gate.counts.noteBegun()
                    return
                }
                let error = TLSError(.closedDuringHandshake, phase: .clientHello)
                s.failure = .tls(error, report: s.engine?.report)
            }
        case .refused:
            let error = SocketError(
                .notAdmitted,
                detail: "no turn for the handshake in time",
                address: remote,
                phase: .clientHello
            )
            end(.failed(error), failure: error, departure: .quiet)
            throw error
        case .waiting, .gone: throw conclude()
        }
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
    /// On the loop's thread, while the loop is pressed.
    @inline(never)
    func noteSeniority(_ establishedAt: LoopInstant) {
        guard establishedAt.advanced(by: Connection.seniority) <= loop.now else { return }
        loop.seniorActivity = loop.now
    }

    /// From then on a connection is no newcomer.
    static let seniority = Duration.seconds(1)
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
