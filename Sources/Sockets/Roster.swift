// The connections of a listener that are alive: added, taken out by their place, gone through.

/// A list whose members have places of their own, which are used again; a pure value.
struct Roster<Member> {
    private var members: [Member?] = []
    private var free: [Int] = []

    /// How many there are.
    var count: Int { members.count - free.count }

    var isEmpty: Bool { count == 0 }

    /// Those who are in it, in no order.
    var all: [Member] { members.compactMap(\.self) }

    /// Adds one.
    ///
    /// - Returns: The place, for `remove`.
    mutating func insert(_ member: Member) -> Int {
        guard let place = free.popLast() else {
            members.append(member)
            return members.count - 1
        }
        members[place] = member
        return place
    }

    /// Takes one out; once for each `insert`.
    mutating func remove(_ place: Int) {
        members[place] = nil
        free.append(place)
    }
}
