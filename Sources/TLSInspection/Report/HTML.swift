// Markup that cannot be made from what a peer says: text that is interpolated is escaped, markup that is
// interpolated stays what it is. The types tell them apart, so no place has to remember to.

/// A piece of HTML.
///
/// A literal is markup. In `"<b>\(name)</b>" as HTML` a string is escaped: it can neither begin an element
/// nor end an attribute in double quotes, and what steers terminals or turns text around is replaced as
/// ``Printable`` does.
package struct HTML: Hashable, Sendable, ExpressibleByStringInterpolation {
    /// The markup as text.
    package private(set) var text: String

    /// Takes a literal, which is markup.
    package init(stringLiteral value: String) { text = value }

    /// Takes a literal with values in it.
    package init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

    /// Escapes a text.
    package init(escaping value: some StringProtocol) {
        // Most of what is told is plain.
        guard value.utf8.contains(where: HTML.isSpecial) else {
            text = String(value)
            return
        }
        text = ""
        for character in Printable.text(String(value)).unicodeScalars {
            switch character {
            case "&": text += "&amp;"
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "\"": text += "&quot;"
            case "'": text += "&#39;"
            default: text.unicodeScalars.append(character)
            }
        }
    }

    /// Whether a byte has to be looked at: markup, a control character, or part of a longer one.
    private static func isSpecial(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x22, 0x26, 0x27, 0x3c, 0x3e: true
        default: byte < 0x20 || byte >= 0x7f
        }
    }

    /// No markup.
    package static let nothing: HTML = ""

    /// Whether there is none.
    package var isEmpty: Bool { text.isEmpty }

    /// One piece behind the other.
    package static func + (left: HTML, right: HTML) -> HTML { "\(left)\(right)" }

    /// Puts a piece behind this one.
    package static func += (left: inout HTML, right: HTML) { left.text += right.text }

    /// What is interpolated.
    package struct StringInterpolation: StringInterpolationProtocol, Sendable {
        fileprivate var text = ""

        /// Begins a piece.
        package init(literalCapacity: Int, interpolationCount: Int) {
            text.reserveCapacity(literalCapacity)
        }

        /// Adds markup.
        package mutating func appendLiteral(_ literal: String) { text += literal }

        /// Adds markup.
        package mutating func appendInterpolation(_ markup: HTML) { text += markup.text }

        /// Adds markup, if there is any.
        package mutating func appendInterpolation(_ markup: HTML?) { text += markup?.text ?? "" }

        /// Adds pieces, one behind the other.
        package mutating func appendInterpolation(_ pieces: [HTML]) {
            for piece in pieces { text += piece.text }
        }

        /// Adds text, escaped.
        package mutating func appendInterpolation(_ value: some StringProtocol) {
            text += HTML(escaping: value).text
        }

        /// Adds a number.
        package mutating func appendInterpolation(_ number: Int) { text += "\(number)" }

        /// Adds a coordinate of a picture, to a tenth; 0 for what no picture has.
        package mutating func appendInterpolation(_ number: Double) {
            let tenths = abs(number) < 1e9 ? Int((number * 10).rounded()) : 0
            text += tenths % 10 == 0 ? "\(tenths / 10)" : "\(Double(tenths) / 10)"
        }
    }
}

extension Sequence<HTML> {
    /// The pieces with another one between them.
    package func joined(by separator: HTML) -> HTML {
        var result = HTML.nothing
        for (place, piece) in enumerated() { result += place == 0 ? piece : separator + piece }
        return result
    }
}
