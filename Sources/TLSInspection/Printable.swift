// What a peer says never reaches a terminal or a page uncleaned.

/// Text of peers, made safe to print.
package enum Printable {
    /// Replaces what could steer a terminal or turn text around: control and format characters.
    package static func text(_ text: String) -> String {
        // Most of what peers say is plain.
        if text.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) { return text }
        return String(
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
