// One direction's right to suspend: a task holds the turn while it waits for readiness, others stand
// in line behind it.
//
// Rule 1: a turn that is given up goes straight to the first in line. It is never free while somebody
// waits for it, so nobody can push in, and nobody is forgotten.
// Rule 2: whoever was given the turn gives it up on every way out, cancellation included.
// Rule 3: a wait is withdrawn by its ticket: the cancellation of one task wakes no other.

/// The right to suspend in one direction; a pure value but for the tasks it holds.
struct Turn {
    /// Tells the waits of a connection apart; 0 for one that is never withdrawn.
    typealias Ticket = UInt64

    private struct Place {
        let ticket: Ticket
        let waiter: Waiter
    }

    /// Whether a task holds the turn: it waits for readiness, or is between two steps of one call.
    var isHeld = false
    /// Who was given the turn and has not run since.
    private var granted: Ticket?
    /// The holder, while it waits for readiness.
    private var holder: Place?
    /// Who waits for the turn, first come first served.
    private var line: [Place] = []

    var lineCount: Int { line.count }

    /// Has the holder wait for readiness.
    mutating func setWaiter(_ waiter: Waiter, ticket: Ticket = 0) {
        holder = Place(ticket: ticket, waiter: waiter)
    }

    /// Takes the holder's wait, for readiness has changed.
    mutating func takeWaiter() -> Waiter? {
        defer { holder = nil }
        return holder?.waiter
    }

    /// Has a task wait for the turn.
    mutating func queue(_ waiter: Waiter, ticket: Ticket) {
        line.append(Place(ticket: ticket, waiter: waiter))
    }

    /// Gives the turn up; it goes to the first in line, if any, who is to be resumed.
    mutating func release() -> Waiter? {
        guard !line.isEmpty else {
            isHeld = false
            return nil
        }
        let next = line.removeFirst()
        isHeld = true
        granted = next.ticket
        return next.waiter
    }

    /// Says whether a task that stood in line has been given the turn; asked once.
    mutating func takeGrant(_ ticket: Ticket) -> Bool {
        guard granted == ticket else { return false }
        granted = nil
        return true
    }

    /// Takes a wait back, wherever it stands; nil if it is over already.
    mutating func withdraw(_ ticket: Ticket) -> Waiter? {
        if let found = holder, found.ticket == ticket {
            holder = nil
            return found.waiter
        }
        guard let index = line.firstIndex(where: { $0.ticket == ticket }) else { return nil }
        return line.remove(at: index).waiter
    }

    /// Gives out everybody who waits, for the end of the connection; the turn is nobody's then.
    mutating func takeAll(into waiters: inout [Waiter]) {
        if let holder { waiters.append(holder.waiter) }
        for place in line { waiters.append(place.waiter) }
        self = Turn()
    }
}
