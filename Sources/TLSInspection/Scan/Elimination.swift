// Which of many values a server takes, by its choices: offer all that are left, strike the one that was
// chosen, ask again, until there is no choice. Values are spread over lanes that are asked at the same
// time; what is learned in another way is struck everywhere.

/// What is known of a server's choices among values.
struct Elimination: Sendable {
    /// Values that are asked for together.
    struct Lane: Sendable {
        var values: [UInt16]
        var isOpen = true
    }

    /// What was chosen, in the order in which it was learned.
    private(set) var found: [UInt16] = []
    private var known: Set<UInt16> = []
    /// The lanes, open or not.
    private(set) var lanes: [Lane] = []

    /// The places of the lanes that have to be asked.
    var openLanes: [Int] { lanes.indices.filter { lanes[$0].isOpen && !lanes[$0].values.isEmpty } }

    /// All that may still be chosen.
    var unknown: [UInt16] { openLanes.flatMap { lanes[$0].values } }

    /// Begins, once: values that were found before are not asked for.
    ///
    /// - Parameters:
    ///   - values: What to ask for, most common first.
    ///   - count: The lanes to spread them over.
    mutating func begin(_ values: [UInt16], lanes count: Int) {
        guard lanes.isEmpty else { return }
        var parts = [[UInt16]](repeating: [], count: max(1, count))
        for (place, value) in values.filter({ !known.contains($0) }).enumerated() {
            parts[place % parts.count].append(value)
        }
        lanes = parts.map { Lane(values: $0) }
    }

    /// Begins, once, with neighbours in lanes of a size: values that are common then share few lanes.
    mutating func begin(_ values: [UInt16], size: Int) {
        guard lanes.isEmpty else { return }
        lanes = stride(from: 0, to: values.count, by: size).map {
            Lane(values: values[$0..<min($0 + size, values.count)].filter { !known.contains($0) })
        }
    }

    /// Adds a lane of what is not known.
    mutating func add(_ values: [UInt16]) {
        let values = values.filter { !known.contains($0) }
        if !values.isEmpty { lanes.append(Lane(values: values)) }
    }

    /// Notes a value that was chosen.
    mutating func credit(_ value: UInt16) {
        guard known.insert(value).inserted else { return }
        found.append(value)
        for place in lanes.indices { lanes[place].values.removeAll { $0 == value } }
    }

    /// Goes on with a lane that has chosen, and closes one that has not.
    ///
    /// - Parameters:
    ///   - lane: The lane's place.
    ///   - hasChosen: Whether something of it was chosen.
    ///   - count: Into how many it is divided then.
    mutating func settle(_ lane: Int, _ hasChosen: Bool, _ count: Int) {
        guard hasChosen else { return lanes[lane].isOpen = false }
        let values = lanes[lane].values
        let parts = min(count, values.count)
        guard parts > 1 else { return }
        for part in 0..<parts {
            let own = values.enumerated().filter { $0.offset % parts == part }.map(\.element)
            if part == 0 { lanes[lane].values = own } else { lanes.append(Lane(values: own)) }
        }
    }
}
