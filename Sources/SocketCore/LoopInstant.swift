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
        let (seconds, attoseconds) = duration.components
        let product = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let total = product.partialValue.addingReportingOverflow(attoseconds / 1_000_000_000)
        guard !product.overflow, !total.overflow else {
            return LoopInstant(nanoseconds: seconds < 0 ? 0 : .max)
        }
        guard total.partialValue < 0 else {
            return advanced(byNanoseconds: UInt64(total.partialValue))
        }
        let back = total.partialValue.magnitude
        return LoopInstant(nanoseconds: nanoseconds > back ? nanoseconds - back : 0)
    }

    package func duration(to other: LoopInstant) -> Duration {
        if other.nanoseconds >= nanoseconds {
            .nanoseconds(Int64(clamping: other.nanoseconds - nanoseconds))
        } else {
            .nanoseconds(-Int64(clamping: nanoseconds - other.nanoseconds))
        }
    }

    @inline(__always)
    package static func < (left: LoopInstant, right: LoopInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}
