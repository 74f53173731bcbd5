// The flows of a capture, found by their two ends. The table is a ring: it knows the last flows that came, and
// a new one takes the place of the first. A flow that is settled holds no bytes any more, and stays known, so
// that what follows is not taken for another. When all together hold too much, the first that came have to say
// what they know.

import Sockets

/// The two ends of a flow, whichever way it goes.
struct FlowKey: Hashable {
    private let low: PacketEndpoint
    private let high: PacketEndpoint

    init(_ segment: TCPSegment) {
        let isRising = segment.source < segment.destination
        low = isRising ? segment.source : segment.destination
        high = isRising ? segment.destination : segment.source
    }
}

/// Puts segments to their flows.
struct FlowTable {
    private struct Slot {
        let key: FlowKey
        /// Nil once it is settled.
        var conversation: Conversation?
        /// What its bytes were counted as.
        var heldBytes = 0
        /// Who began it, and with which number; nil when that is not known.
        var opening: (client: PacketEndpoint, number: UInt32)?
    }

    private let capacity: Int
    private let heldMax: Int
    private var slots: [Slot?] = []
    private var places: [FlowKey: Int] = [:]
    /// How many flows there were.
    private(set) var begun = 0
    /// How many of them began before the capture, and say nothing of TLS.
    private(set) var strangers = 0
    /// How many of them were told before they were settled, as there were too many.
    private(set) var forgotten = 0
    /// Flows that nobody has taken, in the order in which they were settled.
    private var settled: [Conversation] = []
    private var heldBytes = 0
    /// Up to which flow none holds bytes.
    private var swept = 0

    /// Makes an empty one.
    init(capacity: Int = CaptureLimits.flows, heldMax: Int = CaptureLimits.heldBytes) {
        self.capacity = capacity
        self.heldMax = heldMax
    }

    /// The flows that were settled since somebody asked.
    mutating func takeSettled() -> [Conversation] {
        defer { settled = [] }
        return settled
    }

    /// Takes a segment.
    ///
    /// - Parameters:
    ///   - segment: A segment.
    ///   - time: When it came; asked for when a flow begins.
    mutating func take(_ segment: TCPSegment, time: @autoclosure () -> String?) {
        let key = FlowKey(segment)
        var place = places[key]
        if let known = place, segment.isSYN, segment.acknowledgment == nil, isNew(segment, known) {
            settle(known)
            place = nil
        }
        guard let place = place ?? begin(segment, key, time()),
            slots[place]?.conversation != nil
        else { return }
        slots[place]?.conversation?.take(segment)
        count(place)
        if slots[place]?.conversation?.isSettled == true { settle(place) }
        while heldBytes > heldMax { sweep() }
    }

    /// Settles all flows, in the order in which they began.
    mutating func finish() {
        for number in max(0, begun - capacity)..<begun { settle(number % capacity) }
        (slots, places) = ([], [:])
    }

    /// Whether a SYN begins another flow than the one that has its place.
    private func isNew(_ segment: TCPSegment, _ place: Int) -> Bool {
        guard let opening = slots[place]?.opening else { return true }
        return opening.client != segment.source || opening.number != segment.sequence
    }

    /// Makes a flow; nil for a segment that begins none.
    private mutating func begin(_ segment: TCPSegment, _ key: FlowKey, _ time: String?) -> Int? {
        var slot = Slot(key: key)
        if segment.isSYN {
            let isFromClient = segment.acknowledgment == nil
            let client = isFromClient ? segment.source : segment.destination
            let server = isFromClient ? segment.destination : segment.source
            slot.conversation = Conversation(client, server, time: time, nil)
            // The server's answer tells the number, too.
            let number = segment.acknowledgment.map { $0 &- 1 } ?? segment.sequence
            slot.opening = (client, number)
        } else {
            guard !segment.payload.isEmpty else { return nil }
            slot.conversation = Conversation(amid: segment, time: time)
            if slot.conversation == nil { strangers += 1 }
        }
        let place = begun % capacity
        if place == slots.count {
            slots.append(nil)
        } else if let first = slots[place] {
            if first.conversation != nil { forgotten += 1 }
            settle(place)
            // A later flow of the same ends has a place of its own.
            if places[first.key] == place { places[first.key] = nil }
        }
        slots[place] = slot
        places[key] = place
        begun += 1
        return place
    }

    /// Counts what a flow holds.
    private mutating func count(_ place: Int) {
        let held = slots[place]?.conversation?.heldBytes ?? 0
        heldBytes += held - (slots[place]?.heldBytes ?? 0)
        slots[place]?.heldBytes = held
    }

    private mutating func settle(_ place: Int) {
        guard var conversation = slots[place]?.conversation else { return }
        slots[place]?.conversation = nil
        count(place)
        conversation.close()
        settled.append(conversation)
    }

    /// Settles the first flow that holds bytes.
    private mutating func sweep() {
        swept = max(swept, begun - capacity)
        guard swept < begun else { return heldBytes = 0 }
        let place = swept % capacity
        if slots[place]?.conversation != nil { forgotten += 1 }
        settle(place)
        swept += 1
    }
}

extension Conversation {
    /// Makes one of a segment in the middle of it; nil when it is none of TLS's beginning.
    init?(amid segment: TCPSegment, time: String?) {
        let bytes = BoundedBytes(segment.payload)
        guard bytes.number8(0) == 22, bytes.number8(1) ?? 3 == 3 else { return nil }
        switch bytes.number8(5) {
        case nil, 1: self.init(segment.source, segment.destination, time: time, .beforeHello)
        case 2: self.init(segment.destination, segment.source, time: time, .behindHello)
        default: return nil
        }
    }
}
