// Headless Chromium, as tests have it: pages in, what it made of them out. `browser.py` starts it, talks to it
// over a pipe and ends it; no port is open, and nothing but this machine has a name for it.

import Foundation
import TLSTestKit
import Testing
import ToolFixtures

/// Headless Chromium.
enum Browser {
    /// A page to show, and how.
    struct Page: Encodable {
        var url: String
        var width = 390
        var height = 844
        var dark = false
        /// What is shown on: a screen, unless it says `print`.
        var media = ""
        /// An expression of JavaScript, which the page's policy does not concern.
        var ask = "null"
        var screenshot: String?
    }

    /// What the browser made of a page.
    struct Shown: Decodable {
        /// What can be read on it.
        var text: String
        /// How wide its contents are.
        var width: Int
        /// How wide the window is.
        var room: Int
        /// Elements that stick out, but for those in boxes that scroll.
        var wider: [String]
        /// The addresses it asked for.
        var requests: [String]
        /// What the console says.
        var complaints: [String]
        /// How many elements there are of each name.
        var elements: [String: Int]
        /// The pictures, as a screen reader has them.
        var roles: [String]
        /// What was asked.
        var result: JSONValue?
    }

    /// Whether these tests can run; where peers are required they run and fail.
    static var isThere: Bool {
        let environment = ProcessInfo.processInfo.environment
        let folders = (environment["PATH"] ?? "").split(separator: ":")
        return environment["SOCKETS_REQUIRE_PEERS"] == "1"
            || folders.contains { folder in
                ["chromium", "chromium-browser"].contains {
                    FileManager.default.isExecutableFile(atPath: "\(folder)/\($0)")
                }
            }
    }

    /// Shows pages, one after the other, in one browser.
    ///
    /// - Parameter pages: The pages.
    /// - Returns: What it made of each.
    /// - Throws: What starting it throws, and a failed requirement with its words when it fails.
    static func show(_ pages: [Page]) async throws -> [Shown] {
        let directory = try TemporaryDirectory()
        let file = directory.path + "/pages.json"
        try JSONEncoder().encode(["pages": pages]).write(to: URL(fileURLWithPath: file))
        let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("browser.py").path
        let run = try await ProcessRun(
            URL(fileURLWithPath: "/usr/bin/env"),
            ["python3", script, file],
            environment: ["TMPDIR": directory.path]
        )
        try #require(run.exitCode == 0, "\(run.errors)")
        return try JSONDecoder().decode([Shown].self, from: Data(run.output.utf8))
    }

    /// Shows one page on a phone and on a desk, in light and in dark, and on paper.
    ///
    /// - Parameters:
    ///   - url: Its address.
    ///   - ask: An expression of JavaScript.
    /// - Returns: What the browser made of each.
    /// - Throws: As ``show(_:)``.
    static func showEverywhere(_ url: String, asking ask: String = "null") async throws -> [Shown] {
        try await show([
            Page(url: url, ask: ask), Page(url: url, dark: true, ask: ask),
            Page(url: url, width: 320, ask: ask),
            Page(url: url, width: 1200, height: 900, ask: ask),
            Page(url: url, width: 1200, height: 900, dark: true, ask: ask),
            Page(url: url, width: 718, height: 1000, media: "print", ask: ask),
        ])
    }
}

/// What holds for every page everywhere: it asks for itself alone, fits its window, breaks no policy, runs
/// nothing and is styled.
func expectWhole(
    _ shown: [Browser.Shown],
    _ url: String,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    for page in shown {
        #expect(page.requests == [url], sourceLocation: sourceLocation)
        #expect(page.complaints == [], sourceLocation: sourceLocation)
        #expect(page.width <= page.room, sourceLocation: sourceLocation)
        #expect(page.wider == [], sourceLocation: sourceLocation)
        for name in ["script", "img", "iframe", "object", "link", "form", "base"] {
            #expect(page.elements[name] == nil, "\(name)", sourceLocation: sourceLocation)
        }
    }
}
