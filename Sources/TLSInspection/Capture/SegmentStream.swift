// One direction of a flow, put back in order. The byte that comes first wins: what is sent again changes
// nothing, and where it is not the same, that is told. Numbers are counted from the next byte that is
// expected, so that it does not matter where they wrap around.

/// Puts the segments of one direction in order.
struct SegmentStream {
    private struct Piece {
        var start: Int
        var bytes: [UInt8]
        var end: Int { start + bytes.count }
    }

    /// The number of the byte that is expected next; nil before anything is known.
    private(set) var next: UInt32?
    /// How many bytes came in order.
    private(set) var count = 0
    /// Whether bytes came twice and were not the same.
    private(set) var disagrees = false
    /// Whether something was left out, as it did not fit into the limits.
    private(set) var isOverfull = false
    /// What came in order, to compare what is sent again.
    private var history: [UInt8] = []
    /// What is ahead of that: in order, without overlap.
    private var ahead: [Piece] = []
    private var aheadCount = 0

    /// Whether something is missing in front of what came.
    var hasGap: Bool { !ahead.isEmpty || isOverfull }

    /// The bytes that are held.
    var heldBytes: Int { history.count + aheadCount }

    /// Notes the number of the first byte, unless it is known.
    mutating func begin(at number: UInt32) { if next == nil { next = number } }

    /// Forgets all that is held, but the place, and whether something was missing.
    mutating func forget() {
        isOverfull = hasGap
        (history, ahead, aheadCount) = ([], [], 0)
    }

    /// Takes a segment.
    ///
    /// - Parameters:
    ///   - bytes: Its contents.
    ///   - number: The number of the first of them.
    /// - Returns: What is in order now, and was not before.
    mutating func take(_ bytes: ArraySlice<UInt8>, at number: UInt32) -> [UInt8] {
        let expected = next ?? number
        next = expected
        var rest = bytes
        var start = count + Int(Int32(bitPattern: number &- expected))
        if start < count {
            let overlap = min(count - start, rest.count)
            compare(rest.prefix(overlap), at: start)
            rest = rest.dropFirst(overlap)
            start += overlap
        }
        guard !rest.isEmpty else { return [] }
        guard start == count, ahead.isEmpty else {
            insert(rest, at: start)
            return drained()
        }
        return advanced(by: Array(rest))
    }

    private mutating func advanced(by bytes: [UInt8]) -> [UInt8] {
        history += bytes.prefix(max(0, CaptureLimits.streamBytes - history.count))
        count += bytes.count
        next? &+= UInt32(truncatingIfNeeded: bytes.count)
        return bytes
    }

    private mutating func compare(_ bytes: ArraySlice<UInt8>, at start: Int) {
        let (first, end) = (max(0, start), min(start + bytes.count, history.count))
        guard first < end else { return }
        let again = bytes.dropFirst(first - start).prefix(end - first)
        if !again.elementsEqual(history[first..<end]) { disagrees = true }
    }

    /// Puts in what nobody has sent yet.
    private mutating func insert(_ bytes: ArraySlice<UInt8>, at start: Int) {
        guard start + bytes.count - count <= CaptureLimits.aheadBytes else {
            isOverfull = true
            return
        }
        var (rest, place, index) = (bytes, start, 0)
        while !rest.isEmpty {
            var room = rest.count
            if index < ahead.count {
                let piece = ahead[index]
                if piece.end <= place {
                    index += 1
                    continue
                }
                if piece.start <= place {
                    let overlap = min(piece.end - place, rest.count)
                    let first = place - piece.start
                    if !rest.prefix(overlap).elementsEqual(piece.bytes[first..<(first + overlap)]) {
                        disagrees = true
                    }
                    rest = rest.dropFirst(overlap)
                    place += overlap
                    continue
                }
                room = min(room, piece.start - place)
            }
            guard ahead.count < CaptureLimits.aheadPieces else {
                isOverfull = true
                return
            }
            ahead.insert(Piece(start: place, bytes: Array(rest.prefix(room))), at: index)
            aheadCount += room
            rest = rest.dropFirst(room)
            place += room
        }
    }

    private mutating func drained() -> [UInt8] {
        var bytes: [UInt8] = []
        while let first = ahead.first, first.start == count {
            ahead.removeFirst()
            aheadCount -= first.bytes.count
            bytes += advanced(by: first.bytes)
        }
        return bytes
    }
}
