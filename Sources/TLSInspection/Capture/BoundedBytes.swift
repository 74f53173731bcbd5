// Numbers out of bytes of strangers: a place that is not there is nil, never a trap.

/// Bytes that are read by place.
struct BoundedBytes {
    /// The bytes.
    let slice: ArraySlice<UInt8>
    /// Whether the low byte of a number comes first.
    var isLittleEndian = false

    init(_ slice: ArraySlice<UInt8>, isLittleEndian: Bool = false) {
        self.slice = slice
        self.isLittleEndian = isLittleEndian
    }

    var count: Int { slice.count }

    func number8(_ place: Int) -> Int? {
        place < slice.count ? Int(slice[slice.startIndex + place]) : nil
    }

    func number16(_ place: Int) -> Int? { number(place, 2).map(Int.init(truncatingIfNeeded:)) }

    func number32(_ place: Int) -> UInt32? {
        number(place, 4).map(UInt32.init(truncatingIfNeeded:))
    }

    func number64(_ place: Int) -> UInt64? { number(place, 8) }

    private func number(_ place: Int, _ width: Int) -> UInt64? {
        guard place + width <= slice.count else { return nil }
        let start = slice.startIndex + place
        var sum: UInt64 = 0
        for step in 0..<width {
            sum = sum << 8 | UInt64(slice[isLittleEndian ? start + width - 1 - step : start + step])
        }
        return sum
    }

    /// What is behind so many bytes; nil when there are fewer.
    func behind(_ count: Int) -> BoundedBytes? {
        guard count <= slice.count else { return nil }
        return BoundedBytes(slice.dropFirst(count), isLittleEndian: isLittleEndian)
    }

    /// At most so many bytes from the front.
    func front(_ count: Int) -> BoundedBytes {
        BoundedBytes(slice.prefix(max(0, count)), isLittleEndian: isLittleEndian)
    }
}
