// Who comes in at a listener, in the order of the checks: connections at once, those of an address, how
// often an address comes; then, once a ClientHello is there, the line of the loop (`HandshakeGate`) and
// the `admit` closure (`ListenerDecider`).

import SocketCore
import Synchronization

/// A listener's counts of those who are in and those who want to be.
final class ListenerAdmission: Sendable {
    let counts: HandshakeCounts
    private let policy: AdmissionPolicy
    private let gates: [HandshakeGate]
    private let table: Mutex<AddressTable>
    /// Whether addresses are told apart at all.
    private let countsAddresses: Bool

    init(_ policy: AdmissionPolicy, isTLS: Bool, group: EventLoopGroup) throws(SocketError) {
        try policy.check()
        self.policy = policy
        let counts = HandshakeCounts(policy)
        self.counts = counts
        gates =
            isTLS
            ? group.loops.map { HandshakeGate(loop: $0, counts: counts, policy: policy) } : []
        table = Mutex(AddressTable(policy))
        countsAddresses = policy.connectionsPerAddress != nil || policy.ratePerAddress != nil
    }

    /// What a connection is counted under.
    struct Ticket: Sendable {
        let key: AddressTable.Key?
    }

    /// Counts a connection, unless it is one too many.
    func enter(
        _ peer: NetworkAddress,
        connections: Int
    ) -> (ticket: Ticket, refusal: ListenerRefusal?) {
        guard connections < policy.connections else { return (Ticket(key: nil), .connections) }
        guard countsAddresses,
            let key = AddressTable.Key(peer, ipv6PrefixLength: policy.ipv6PrefixLength)
        else { return (Ticket(key: nil), nil) }
        let refusal = table.withLock { $0.enter(key, at: EventLoop.readClock()) }
        return (Ticket(key: refusal == nil ? key : nil), refusal)
    }

    /// Counts the end of a connection.
    func leave(_ ticket: Ticket) {
        guard let key = ticket.key else { return }
        table.withLock { $0.leave(key) }
    }

    /// Where connections of a loop stand in line; nil without TLS.
    func gate(of loop: EventLoop) -> HandshakeGate? { gates.isEmpty ? nil : gates[loop.number] }

    /// Connections that stand in line.
    var lineCount: Int { gates.reduce(0) { $0 + $1.lineCount } }

    /// Addresses that are remembered or connected.
    var addressCount: Int { table.withLock { $0.rememberedCount + $0.connectedCount } }
}
