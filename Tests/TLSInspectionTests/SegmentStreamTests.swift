// Segments in any order become the stream that was sent.

import Testing

@testable import TLSInspection

@Suite struct SegmentStreamTests {
    /// 2,000 bytes that differ.
    private let sent = (0..<2000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }

    private func piece(_ range: Range<Int>) -> ArraySlice<UInt8> { sent[range] }

    @Test(
        "the order does not matter, nor where the numbers wrap around",
        arguments: [0, 5, UInt32.max - 700]
    )
    func order(_ start: UInt32) {
        var generator = SystemRandomNumberGenerator()
        for size in [1, 7, 100, 1999] where size > 1 || start == 5 {
            var stream = SegmentStream()
            stream.begin(at: start)
            let starts = Array(stride(from: 0, to: sent.count, by: size))
            // Within what is kept ahead, moved about.
            var order: [Int] = []
            for group in stride(from: 0, to: starts.count, by: 200) {
                order += starts[group..<min(group + 200, starts.count)].shuffled(using: &generator)
            }
            var came: [UInt8] = []
            for first in order + order {
                let range = first..<min(first + size, sent.count)
                came += stream.take(piece(range), at: start &+ UInt32(first))
            }
            #expect(came == sent && !stream.hasGap && !stream.disagrees && stream.count == 2000)
            #expect(stream.heldBytes == 2000)
        }
    }

    @Test("what overlaps counts once, and the first byte counts")
    func overlap() {
        var stream = SegmentStream()
        stream.begin(at: 0)
        #expect(stream.take([3, 4, 5], at: 2) == [])
        #expect(stream.take([9, 9, 9], at: 6) == [])
        // Over both, and the hole between them.
        #expect(stream.take([2, 7, 7, 7, 6, 7, 7], at: 1) == [])
        #expect(stream.disagrees)
        #expect(stream.take([1], at: 0) == [1, 2, 3, 4, 5, 6, 9, 9, 9])
        #expect(!stream.hasGap)
        var same = SegmentStream()
        same.begin(at: 0)
        #expect(same.take([1, 2, 3], at: 0) == [1, 2, 3])
        #expect(same.take([2, 3, 4], at: 1) == [4])
        #expect(same.take([1, 2], at: 0) == [] && !same.disagrees)
        #expect(same.take([8], at: 1) == [] && same.disagrees)
        // From before the beginning, as a keep-alive has it.
        #expect(same.take([0, 1], at: UInt32.max) == [])
    }

    @Test("a gap keeps what is behind it, up to the limits")
    func limits() {
        var stream = SegmentStream()
        stream.begin(at: 0)
        let last = UInt32(CaptureLimits.aheadBytes)
        #expect(stream.take([1], at: last - 1) == [] && stream.hasGap && !stream.isOverfull)
        #expect(stream.take([1], at: last) == [] && stream.isOverfull)
        var pieces = SegmentStream()
        pieces.begin(at: 0)
        for number in 1...CaptureLimits.aheadPieces { _ = pieces.take([1], at: UInt32(2 * number)) }
        #expect(!pieces.isOverfull && pieces.heldBytes == CaptureLimits.aheadPieces)
        _ = pieces.take([1], at: 2000)
        #expect(pieces.isOverfull && pieces.heldBytes == CaptureLimits.aheadPieces)
        var long = SegmentStream()
        long.begin(at: 0)
        for number in 0..<10 {
            _ = long.take([UInt8](repeating: 1, count: 65536)[...], at: UInt32(number << 16))
        }
        #expect(long.count == 10 << 16 && long.heldBytes == CaptureLimits.streamBytes)
    }
}
