// `--report`: the report as a page, beside what goes to standard output.

import ArgumentParser
import TLSInspection
import Tooling

/// Whether a report is also written as a page.
struct PageOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Also write the report as a page of HTML.", valueName: "file"),
        completion: .file(extensions: ["html"])
    )
    var report: String?

    func validate() throws {
        guard report != "-", report != "" else {
            throw ValidationError("--report needs a file: standard output has the result.")
        }
    }

    /// Makes sure that the page can be written, before anything else is done.
    ///
    /// - Parameter surroundings: What is known of the process.
    /// - Returns: What writes the page.
    /// - Throws: `ToolFailure` that names the file.
    func desk(in surroundings: ToolSurroundings) throws -> PageDesk {
        do {
            return PageDesk(file: try report.map(AtomicFile.init(at:)), surroundings: surroundings)
        } catch {
            throw ToolFailure(code: "unusable_file", message: Printable.text("\(error)"))
        }
    }
}

/// Writes the page of a run, if there is to be one.
struct PageDesk {
    fileprivate let file: AtomicFile?
    fileprivate let surroundings: ToolSurroundings

    /// Writes the page of a run that has an output.
    ///
    /// - Parameters:
    ///   - output: The output.
    ///   - failure: The exit code when the page cannot be written any more.
    ///   - page: Makes the page.
    /// - Returns: The output, also when the page cannot be written.
    func publish(
        _ output: ToolOutput,
        failure: ExitStatus = .usage,
        _ page: (ReportPage.Origin) -> ReportPage
    ) -> ToolOutput {
        guard let file else { return output }
        let words = ["tlsinspect"] + surroundings.arguments
        let origin = ReportPage.Origin(
            command: words.map(PageDesk.quoted).joined(separator: " "),
            tool: "tlsinspect \(Tool.version)",
            time: surroundings.now
        )
        do throws(AtomicFile.Failure) {
            try file.write(page(origin).text)
            return output
        } catch {
            // The result is known and told all the same.
            var output = output
            output.errors += "tlsinspect: \(Printable.text("\(error)"))\n"
            output.status = failure
            return output
        }
    }

    /// A word as a shell takes it.
    static func quoted(_ word: String) -> String {
        let isPlain = word.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "_@%+=:,./-".utf8.contains(byte)
            }
        }
        guard !isPlain || word.isEmpty else { return word }
        return "'" + word.replacing("'", with: "'\\''") + "'"
    }
}
