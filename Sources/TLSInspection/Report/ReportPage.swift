// A report as a page: one file that needs nothing from elsewhere, runs no script, and reads on a phone, on a
// desk, on paper and aloud. What peers said is text in it, whatever it holds.
//
// Theory of operation
//
//     header      whom it is about, and what it came to
//     sections    of the command: pictures, tables, facts
//     findings    each with what it means and what is usually behind it
//     footer      what was run, by which version, when, and the exit code in words

public import Sockets

/// A report as a page of HTML.
public struct ReportPage: Hashable, Sendable {
    /// How a report came to be.
    public struct Origin: Hashable, Sendable {
        /// The command as a shell takes it.
        public var command: String
        /// The program and its version.
        public var tool: String
        /// When it was made.
        public var time: UnixTime

        /// Describes how a report came to be.
        ///
        /// - Parameters:
        ///   - command: The command as a shell takes it.
        ///   - tool: The program and its version.
        ///   - time: When it was made.
        public init(command: String, tool: String, time: UnixTime) {
            self.command = command
            self.tool = tool
            self.time = time
        }
    }

    /// The whole page in UTF-8, with a line feed at its end.
    public let text: String

    /// Puts a page together.
    init(_ contents: Contents, _ origin: Origin) {
        let place: HTML = contents.place.isEmpty ? "" : "<p>\(contents.place)</p>\n"
        let body: HTML = """
            <header>
            <p class="kind">\(contents.kind)</p>
            <h1>\(contents.title)</h1>
            \(place)<p class="verdict">\(contents.tone.badge(contents.verdict))</p>
            </header>
            <main>
            \(contents.sections)</main>
            \(ReportPage.footer(contents.exit, origin))
            """
        text = PageFrame.page("\(contents.kind): \(contents.title)", body)
    }

    /// What differs from one kind of report to the other.
    struct Contents {
        var kind: String
        var title: String
        var place = ""
        var tone: Tone
        var verdict: String
        var exit: ExitStatus
        var sections: [HTML]
    }

    private static func footer(_ exit: ExitStatus, _ origin: Origin) -> HTML {
        let meaning = Explanation.of("exit \(exit.rawValue)").first?.meaning ?? ""
        let time = origin.time.description.replacing("T", with: " ").replacing("Z", with: " UTC")
        return """
            <footer>
            <h2>How this was made</h2>
            \(PageParts.facts([
                ("Command", PageParts.code(origin.command)), ("Program", "\(origin.tool)"),
                ("Time", "\(time)"), ("Exit code", "\(exit.rawValue) <small>\(meaning)</small>"),
            ]))
            </footer>
            """
    }
}
