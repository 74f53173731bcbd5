/// A point of the monotonic clock (CLOCK_MONOTONIC), the time of all deadlines.
package struct LoopInstant: Hashable, Sendable {
    /// Nanoseconds since the clock's own beginning.
    package let nanoseconds: UInt64

    package init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    /// Later than every deadline; a timer armed at it never fires.
    package static let distantFuture = LoopInstant(nanoseconds: .max)

    /// The instant so many nanoseconds later, at most ``distantFuture``.
    @inline(__always)
    package func advanced(byNanoseconds nanoseconds: UInt64) -> LoopInstant {
        let (sum, overflow) = self.nanoseconds.addingReportingOverflow(nanoseconds)
        return LoopInstant(nanoseconds: overflow ? .max : sum)
    }
}

extension LoopInstant: InstantProtocol {
    /// The instant a duration later or, if negative, earlier; clamped to what can be expressed.
    package func advanced(by duration: Duration) -> LoopInstant {
        // One division; `components` takes several, and 1,500 instructions.
        let total = Int128(nanoseconds) + duration.attoseconds / 1_000_000_000
        return LoopInstant(nanoseconds: UInt64(clamping: total))
    }

    package func duration(to other: LoopInstant) -> Duration {
        Duration(
            attoseconds: (Int128(other.nanoseconds) - Int128(nanoseconds)) * 1_000_000_000
        )
    }

    @inline(__always)
    package static func < (left: LoopInstant, right: LoopInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}
