/// When a certificate is valid, usually counted from the clock of the authority that issues it.
///
/// ```swift
/// try ca.issue("a.test", validity: .days(-10 ... -1))  // expired yesterday
/// ```
public struct Validity: Sendable, Hashable {
    /// One end of a validity.
    public enum Bound: Sendable, Hashable {
        /// Seconds after the authority's clock; negative before it.
        case relative(seconds: Int64)
        /// Seconds since 1970-01-01T00:00:00Z.
        case absolute(unixSeconds: Int64)
    }

    /// The first second the certificate is valid.
    public var notBefore: Bound
    /// The last second the certificate is valid; may lie before ``notBefore``, to be refused.
    ///
    /// RFC 5280 §4.1.2.5 counts this second as valid, OpenSSL as expired already.
    public var notAfter: Bound

    /// Makes a validity of two ends.
    ///
    /// - Parameters:
    ///   - notBefore: The first valid second.
    ///   - notAfter: The last valid second.
    public init(notBefore: Bound, notAfter: Bound) {
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// The default of leaves: from one hour ago until 24 hours from now.
    public static let standard = Validity.hours(-1...24)

    /// The default of authorities: 30 days either way, so that it covers its leaves' whole lives.
    public static let authority = Validity.days(-30...30)

    /// Counts seconds from the authority's clock.
    ///
    /// - Parameter range: First and last valid second.
    /// - Returns: The validity.
    public static func seconds(_ range: ClosedRange<Int>) -> Validity {
        scaled(range, by: 1)
    }

    /// Counts hours from the authority's clock.
    ///
    /// - Parameter range: First and last valid instant.
    /// - Returns: The validity.
    public static func hours(_ range: ClosedRange<Int>) -> Validity {
        scaled(range, by: 3600)
    }

    /// Counts days of 24 hours from the authority's clock.
    ///
    /// - Parameter range: First and last valid instant.
    /// - Returns: The validity.
    public static func days(_ range: ClosedRange<Int>) -> Validity {
        scaled(range, by: 86_400)
    }

    /// Fixes both ends, whatever the clock says.
    ///
    /// - Parameter range: First and last valid second since 1970-01-01T00:00:00Z.
    /// - Returns: The validity.
    public static func absolute(unixSeconds range: ClosedRange<Int64>) -> Validity {
        Validity(
            notBefore: .absolute(unixSeconds: range.lowerBound),
            notAfter: .absolute(unixSeconds: range.upperBound)
        )
    }

    /// Saturates instead of trapping: encoding refuses such a time with an error anyway.
    private static func scaled(_ range: ClosedRange<Int>, by unit: Int64) -> Validity {
        func seconds(_ count: Int) -> Int64 {
            let (product, overflow) = Int64(count).multipliedReportingOverflow(by: unit)
            return overflow ? (count < 0 ? .min : .max) : product
        }
        return Validity(
            notBefore: .relative(seconds: seconds(range.lowerBound)),
            notAfter: .relative(seconds: seconds(range.upperBound))
        )
    }
}

extension Validity.Bound {
    /// The instant in seconds since 1970, saturated at the ends of the number range.
    func unixSeconds(now: Int64) -> Int64 {
        switch self {
        case .absolute(let unixSeconds): return unixSeconds
        case .relative(let seconds):
            let (sum, overflow) = now.addingReportingOverflow(seconds)
            return overflow ? (seconds < 0 ? .min : .max) : sum
        }
    }
}

extension DERWriter {
    /// Appends a time as RFC 5280 §4.1.2.5 wants it: UTCTime for 1950 to 2049, else
    /// GeneralizedTime, always to the second and in UTC.
    ///
    /// - Parameters:
    ///   - unixSeconds: The instant in seconds since 1970.
    ///   - isGeneralized: Whether it is a GeneralizedTime in any year, as in OCSP.
    /// - Throws: ``TestKitError`` `.invalidValidity`.
    mutating func time(
        unixSeconds: Int64,
        isGeneralized: Bool = false
    ) throws(TestKitError) {
        // 0000-01-01T00:00:00Z ... 9999-12-31T23:59:59Z: what four digits of a year can say.
        guard (-62_167_219_200...253_402_300_799).contains(unixSeconds) else {
            throw TestKitError(.invalidValidity, "\(unixSeconds) s is outside years 0 to 9999")
        }
        let secondOfDay = ((unixSeconds % 86_400) + 86_400) % 86_400
        let (year, month, day) = civilDate(daysSince1970: (unixSeconds - secondOfDay) / 86_400)
        let isShort = !isGeneralized && (1950...2049).contains(year)
        var digits: [UInt8] = []
        func append(_ value: Int64) {
            digits.append(UInt8(ascii: "0") + UInt8(value / 10))
            digits.append(UInt8(ascii: "0") + UInt8(value % 10))
        }
        if !isShort { append(year / 100) }
        append(year % 100)
        append(month)
        append(day)
        append(secondOfDay / 3600)
        append(secondOfDay / 60 % 60)
        append(secondOfDay % 60)
        digits.append(UInt8(ascii: "Z"))
        element(isShort ? Tag.utcTime : Tag.generalizedTime, digits)
    }
}

/// The proleptic Gregorian date of a day, in eras of 400 years that start on 1 March: leap days
/// then end a year, and no table of months is needed.
private func civilDate(daysSince1970: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let days = daysSince1970 + 719_468  // since 0000-03-01
    let era = (days >= 0 ? days : days - 146_096) / 146_097
    let dayOfEra = days - era * 146_097
    let yearOfEra =
        (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return (year, month, dayOfYear - (153 * marchMonth + 2) / 5 + 1)
}
