// Colours. Six codes of ECMA-48 are all this tool needs; they are added last, so that columns are
// measured in visible characters. What a peer says never reaches the terminal uncleaned.

/// Paints words, or leaves them plain.
struct Painter: Sendable {
    /// How a word looks.
    enum Style: String, CaseIterable {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case cyan = "36"
    }

    var isColored: Bool

    /// The word in a style; plain when there are no colours or no style.
    func callAsFunction(_ text: String, _ style: Style?) -> String {
        guard isColored, let style, !text.isEmpty else { return text }
        return "\u{1b}[\(style.rawValue)m\(text)\u{1b}[0m"
    }
}

/// Text of peers, made safe to print.
enum Printable {
    /// Replaces what could steer a terminal or turn text around: control and format characters.
    static func text(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    switch scalar.properties.generalCategory {
                    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate:
                        "\u{fffd}"
                    default: scalar
                    }
                }
            )
        )
    }
}
