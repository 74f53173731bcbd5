// Deadlines in order: a heap of four children a node, with handles that stay valid while entries
// move.
//
// A pure value: it reads no clock, and time comes in as an argument. An entry is known by its
// `Slot`, so moving or removing it needs no search. Freed slots are used again; nothing is
// allocated in steady state.

/// A priority queue of deadlines whose entries can be moved and removed.
///
/// Entries with equal deadlines come out in no particular order.
package struct TimerHeap<Payload> {
    /// The handle of an entry, valid until the entry is removed or popped.
    package typealias Slot = Int32

    private struct Node {
        var deadline: LoopInstant
        var slot: Slot
    }

    private struct Seat {
        /// Index into `nodes`; in a free seat the next free slot, or -1.
        var position: Int32
        var payload: Payload?
    }

    private static var arity: Int { 4 }

    private var nodes: [Node] = []
    private var seats: [Seat] = []
    private var firstFree: Slot = -1

    package init() {}

    package var count: Int {
        nodes.count
    }

    package var isEmpty: Bool {
        nodes.isEmpty
    }

    /// The earliest deadline; nil if there is no entry.
    package var earliest: LoopInstant? {
        nodes.first?.deadline
    }

    /// Adds an entry.
    ///
    /// - Complexity: O(log n).
    package mutating func insert(_ payload: Payload, at deadline: LoopInstant) -> Slot {
        let slot: Slot
        if firstFree >= 0 {
            slot = firstFree
            firstFree = seats[Int(slot)].position
            seats[Int(slot)].payload = payload
        } else {
            slot = Slot(seats.count)
            seats.append(Seat(position: 0, payload: payload))
        }
        nodes.append(Node(deadline: deadline, slot: slot))
        moveUp(from: nodes.count - 1)
        return slot
    }

    /// Gives an entry another deadline, earlier or later.
    ///
    /// - Complexity: O(log n).
    package mutating func move(_ slot: Slot, to deadline: LoopInstant) {
        let index = Int(seats[Int(slot)].position)
        let isEarlier = deadline < nodes[index].deadline
        nodes[index].deadline = deadline
        if isEarlier {
            moveUp(from: index)
        } else {
            moveDown(from: index)
        }
    }

    /// Removes an entry before its time.
    ///
    /// - Complexity: O(log n).
    @discardableResult
    package mutating func remove(_ slot: Slot) -> Payload {
        let index = Int(seats[Int(slot)].position)
        let last = nodes.removeLast()
        if index < nodes.count {
            let isEarlier = last.deadline < nodes[index].deadline
            nodes[index] = last
            if isEarlier {
                moveUp(from: index)
            } else {
                moveDown(from: index)
            }
        }
        guard let payload = seats[Int(slot)].payload else {
            preconditionFailure("the slot is free")
        }
        seats[Int(slot)] = Seat(position: firstFree, payload: nil)
        firstFree = slot
        return payload
    }

    /// Removes and returns the earliest entry if its deadline is not after `now`.
    package mutating func popDue(_ now: LoopInstant) -> Payload? {
        guard let first = nodes.first, first.deadline <= now else {
            return nil
        }
        return remove(first.slot)
    }

    /// Removes and returns the earliest entry, whatever its deadline.
    package mutating func popFirst() -> Payload? {
        popDue(.distantFuture)
    }

    private mutating func moveUp(from start: Int) {
        let node = nodes[start]
        var index = start
        while index > 0 {
            let parent = (index - 1) / Self.arity
            guard node.deadline < nodes[parent].deadline else {
                break
            }
            place(nodes[parent], at: index)
            index = parent
        }
        place(node, at: index)
    }

    private mutating func moveDown(from start: Int) {
        let node = nodes[start]
        var index = start
        while true {
            let firstChild = index * Self.arity + 1
            guard firstChild < nodes.count else {
                break
            }
            var least = firstChild
            for child
                in (firstChild + 1)..<max(
                    firstChild + 1,
                    min(firstChild + Self.arity, nodes.count)
                )
            where nodes[child].deadline < nodes[least].deadline {
                least = child
            }
            guard nodes[least].deadline < node.deadline else {
                break
            }
            place(nodes[least], at: index)
            index = least
        }
        place(node, at: index)
    }

    private mutating func place(_ node: Node, at index: Int) {
        nodes[index] = node
        seats[Int(node.slot)].position = Int32(truncatingIfNeeded: index)
    }
}
