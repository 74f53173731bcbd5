import Testing

@testable import Sockets

@Suite struct ByteSpillTests {
    /// The bytes of a spill, copied.
    private func contents(_ spill: borrowing ByteSpill) -> [UInt8] {
        unsafe Array(spill.bytes)
    }

    private func append(_ bytes: [UInt8], to spill: inout ByteSpill) {
        unsafe bytes.withUnsafeBufferPointer { unsafe spill.append($0) }
    }

    @Test("bytes come out in the order they went in, whatever the sizes")
    func order() {
        var spill = ByteSpill()
        var expected: [UInt8] = []
        var next: UInt8 = 0
        for size in [1, 5, 0, 64, 3, 1000, 17] {
            let bytes = (0..<size).map { _ -> UInt8 in
                next &+= 1
                return next
            }
            append(bytes, to: &spill)
            expected += bytes
            let taken = min(size / 2, spill.count)
            spill.removeFirst(taken)
            expected.removeFirst(taken)
            let now = contents(spill)
            #expect(now == expected)
        }
    }

    @Test("an emptied spill starts anew")
    func emptied() {
        var spill = ByteSpill()
        let atFirst = spill.isEmpty
        append([1, 2, 3], to: &spill)
        spill.removeFirst(3)
        let (isEmpty, count, bytes) = (spill.isEmpty, spill.count, contents(spill))
        #expect(atFirst && isEmpty)
        #expect(count == 0)
        #expect(bytes.isEmpty)
        append([4], to: &spill)
        let last = contents(spill)
        #expect(last == [4])
    }

    @Test("dropping nothing of an empty spill does nothing")
    func nothing() {
        var spill = ByteSpill()
        spill.removeFirst(0)
        append([], to: &spill)
        let isEmpty = spill.isEmpty
        #expect(isEmpty)
    }
}
