// What is shown against whom: docs/INTEROP.md in values, made of the same lists as the tests'
// arguments. The tally of a run is held against it, and the document too, so neither goes stale.

import TLSTestKit

/// Which of the two a row of the library is.
enum Side: String, Sendable, CaseIterable {
    case client = "our client"
    case listener = "our listener"
}

/// What a row shows; the columns of the table.
enum InteropFeature: String, Sendable, CaseIterable, Comparable {
    case negotiation = "versions, keys, ALPN"
    case refusal = "bad certificates"
    case clientCertificate = "client certificates"
    case servername = "no servername"
    case transfer = "1 MiB there and back"
    case bulk = "100 MiB there and back"
    case pieces = "writes of 1 byte and around 16 KiB"
    case halfClose = "half-close"
    case end = "clean ends"
    case cut = "cuts"
    case other = "its own"

    static func < (a: InteropFeature, b: InteropFeature) -> Bool {
        guard let first = allCases.firstIndex(of: a), let second = allCases.firstIndex(of: b) else {
            return false
        }
        return first < second
    }
}

/// A cell of the table.
struct InteropCell: Hashable, Sendable, CustomStringConvertible {
    let peer: String
    let side: Side
    let feature: InteropFeature

    var description: String { "\(peer), \(side.rawValue), \(feature.rawValue)" }
}
