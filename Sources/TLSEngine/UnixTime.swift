// Points in time without Foundation: whole seconds since 1970, as certificates and OpenSSL count.

/// A point in time in whole seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
public struct UnixTime: Hashable, Comparable, Sendable {
    /// Seconds since 1970; negative before.
    public var seconds: Int64

    /// Makes a point in time.
    public init(seconds: Int64) {
        self.seconds = seconds
    }

    /// Orders points in time.
    public static func < (left: UnixTime, right: UnixTime) -> Bool {
        left.seconds < right.seconds
    }
}

extension UnixTime {
    /// The time so many whole seconds later; the last one there is where that would be beyond it.
    ///
    /// Times and spans come from certificates, sessions and settings, of any size.
    package func adding(_ span: Duration) -> UnixTime {
        let (sum, isOver) = seconds.addingReportingOverflow(span.components.seconds)
        guard isOver else { return UnixTime(seconds: sum) }
        return UnixTime(seconds: span < .zero ? .min : .max)
    }
}

extension UnixTime: CustomStringConvertible {
    /// The time in UTC as RFC 3339 writes it, for example `2027-02-20T09:00:00Z`.
    ///
    /// Years beyond 0...9999 are written with as many digits as they need, and a minus sign.
    public var description: String {
        // Days to a civil date by the era method: years begin in March, so the leap day is last.
        let (quotient, remainder) = seconds.quotientAndRemainder(dividingBy: 86400)
        let days = remainder < 0 ? quotient - 1 : quotient
        let second = remainder < 0 ? remainder + 86400 : remainder
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return padded(year, 4) + "-" + padded(month, 2) + "-" + padded(day, 2) + "T"
            + padded(second / 3600, 2) + ":" + padded(second / 60 % 60, 2) + ":"
            + padded(second % 60, 2) + "Z"
    }

    private func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value.magnitude)
        let zeros = String(repeating: "0", count: max(0, width - digits.count))
        return (value < 0 ? "-" : "") + zeros + digits
    }
}
