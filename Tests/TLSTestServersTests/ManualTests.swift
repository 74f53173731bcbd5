// The manual pages of `tlscerts`, made by Scripts/man.sh.

import Foundation
import Testing
import ToolFixtures

@Suite(.timeLimit(.minutes(1)))
struct ManualTests {
    @Test("the pages are those that the tool's own knowledge makes; if not, run Scripts/man.sh")
    func current() async throws {
        let run = try await ManualPages.check("tlscerts")
        #expect(run.exitCode == 0, "\(run.errors)")
    }

    @Test("no program that shows manual pages complains of one")
    func complaints() async throws {
        #expect(try await ManualPages.complaints("tlscerts").text == "")
    }

    @Test("every command has a page with its sections, and none tells of a machine")
    func sections() throws {
        let files = try ManualPages.files(of: "tlscerts")
        #expect(files.count > 5)
        for file in files {
            let text = try String(contentsOfFile: file, encoding: .utf8)
            for section in [
                "NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS",
                "ENVIRONMENT", "FILES", "SEE ALSO",
            ] where section != "EXAMPLES" || !file.hasSuffix("-demo.1") {
                #expect(text.contains("\n.SH \(section)\n"), "\(file) lacks \(section)")
            }
            #expect(text.contains("\n.B NO_COLOR\n"))
        }
    }
}
