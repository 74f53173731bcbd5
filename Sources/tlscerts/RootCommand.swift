// The commands, what their help says, and the options they share.

import ArgumentParser
import TLSTestKit

/// The tool as a whole.
struct RootCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tlscerts",
        abstract: "Certificates and servers for TLS tests, good and bad.",
        discussion: """
            EXAMPLES
              tlscerts make localhost 127.0.0.1 -o certs    a certificate and its authority
              tlscerts make alice --client --p12 -o certs   another one of the same authority
              tlscerts make a.test --fault expired -o bad   one with something wrong
              tlscerts list                                 everything that can be wrong
              tlscerts zoo                                  all of it behind one port
              tlscerts ocsp certs --revoke certs/chain.pem  a responder for an authority
              tlscerts check certs                          expiry, keys, order of chains

            EXIT CODES
              0   done, nothing amiss
              1   done, with findings
              2   wrong usage, or a file that cannot be read or written
              3   it cannot listen there
              70  a bug
            """,
        version: "tlscerts \(Tool.version)",
        subcommands: [
            MakeCommand.self, ListCommand.self, ZooCommand.self, OCSPCommand.self,
            CheckCommand.self,
        ]
    )
}

/// How output looks.
struct OutputOptions: ParsableArguments {
    /// The forms of output.
    enum Format: String, CaseIterable, ExpressibleByArgument { case text, json }
    /// When output is coloured.
    enum Color: String, CaseIterable, ExpressibleByArgument { case auto, always, never }

    @Option(help: "Write text, or one JSON object (schema tlscerts/1).")
    var format: Format = .text

    @Option(
        help: ArgumentHelp(
            "Colour the text.",
            discussion: "auto: on a terminal, unless NO_COLOR is set or TERM is dumb."
        )
    )
    var color: Color = .auto

    /// What paints text.
    func painter(in surroundings: ToolSurroundings) -> Painter {
        switch color {
        case .always: return Painter(isColored: true)
        case .never: return Painter(isColored: false)
        case .auto:
            // By no-color.org any value but the empty one counts.
            let isUnwanted = surroundings.variables["NO_COLOR"].map { !$0.isEmpty } ?? false
            let isColored =
                surroundings.isTerminal && !isUnwanted && surroundings.variables["TERM"] != "dumb"
            return Painter(isColored: isColored)
        }
    }
}

/// Paints words, or leaves them plain.
struct Painter: Sendable {
    /// How a word looks (ECMA-48).
    enum Style: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
    }

    var isColored: Bool

    /// The word in a style; plain when there are no colours.
    func callAsFunction(_ text: String, _ style: Style) -> String {
        guard isColored, !text.isEmpty else { return text }
        return "\u{1b}[\(style.rawValue)m\(text)\u{1b}[0m"
    }
}

extension String {
    /// The text with spaces behind it up to a width.
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
