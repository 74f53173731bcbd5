// How output looks: text or JSON, plain or coloured. Six codes of ECMA-48 are all that is needed; they
// are added last, so that columns are measured in visible characters.

package import ArgumentParser
import Foundation

/// The options of output, which all commands of all programs have.
package struct OutputOptions: ParsableArguments {
    /// The forms of output.
    package enum Format: String, CaseIterable, ExpressibleByArgument { case text, json, jsonl }
    /// When output is coloured.
    package enum Color: String, CaseIterable, ExpressibleByArgument { case auto, always, never }

    @Option(help: "Write text, one JSON object, or one a line.")
    package var format: Format = .text

    @Option(
        help: ArgumentHelp(
            "Colour the text.",
            discussion: "auto: on a terminal, unless NO_COLOR is set or TERM is dumb."
        )
    )
    package var color: Color = .auto

    package init() {}

    /// What paints text.
    package func painter(in surroundings: ToolSurroundings) -> Painter {
        Painter(color, in: surroundings)
    }
}

/// Paints words, or leaves them plain.
package struct Painter: Sendable {
    /// How a word looks.
    package enum Style: String, CaseIterable, Sendable {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case cyan = "36"
    }

    /// Whether it paints.
    package var isColored: Bool

    /// Makes a painter.
    package init(isColored: Bool) { self.isColored = isColored }

    /// Makes a painter that does as an option says.
    package init(_ color: OutputOptions.Color, in surroundings: ToolSurroundings) {
        switch color {
        case .always: isColored = true
        case .never: isColored = false
        case .auto:
            // By no-color.org any value but the empty one counts.
            let isUnwanted = surroundings.variables["NO_COLOR"].map { !$0.isEmpty } ?? false
            isColored =
                surroundings.isTerminal && !isUnwanted && surroundings.variables["TERM"] != "dumb"
        }
    }

    /// The word in a style; plain when there are no colours or no style.
    package func callAsFunction(_ text: String, _ style: Style?) -> String {
        guard isColored, let style, !text.isEmpty else { return text }
        return "\u{1b}[\(style.rawValue)m\(text)\u{1b}[0m"
    }
}

extension String {
    /// The text with spaces behind it up to a width.
    package func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}

/// Values as JSON.
package enum JSONLine {
    /// One JSON object with sorted keys in one line, and a line feed.
    ///
    /// - Parameter value: What holds strings, finite numbers, Booleans and nil alone, which cannot fail
    ///   to be encoded.
    /// - Returns: The line.
    package static func text(of value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let json = try? encoder.encode(value) else { return "{}\n" }
        return String(decoding: json, as: UTF8.self) + "\n"
    }
}
