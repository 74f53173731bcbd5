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

    @Test("borrowed bytes come out as others do, and are copied when asked or appended to")
    func borrowed() {
        let lent = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 4)
        defer { unsafe lent.deallocate() }
        for appends in [false, true] {
            _ = unsafe lent.update(fromContentsOf: [1, 2, 3, 4])
            var spill = ByteSpill()
            unsafe spill.borrow(lent)
            spill.removeFirst(1)
            if appends { append([5], to: &spill) } else { spill.own() }
            unsafe lent.update(repeating: 0)
            let rest = contents(spill)
            #expect(rest == (appends ? [2, 3, 4, 5] : [2, 3, 4]))
            spill.removeFirst(rest.count)
            // What was borrowed and is used up is let go.
            unsafe spill.borrow(lent)
            spill.removeFirst(4)
            spill.own()
            append([6], to: &spill)
            let last = contents(spill)
            #expect(last == [6])
        }
    }
}
