// A package that depends on this one, built from nothing, as a user's is.

import Foundation
import Testing

/// A copy of the fixture in a directory of its own, with the README's programs added.
private struct Downstream: ~Copyable {
    let directory: URL

    /// The package these tests belong to.
    static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// - Parameters:
    ///   - snippets: Programs.
    ///   - tests: Files of tests, which belong to one target.
    /// - Throws: `CocoaError` when a file cannot be read or written.
    init(_ snippets: [Snippet], tests: [Snippet]) throws {
        let files = FileManager.default
        directory = files.temporaryDirectory.appending(path: "downstream-\(UUID().uuidString)")
        let fixture = Self.root.appending(path: "Tests/PackageTests/Fixtures/Downstream")
        try files.copyItem(at: fixture, to: directory)
        let manifest = directory.appending(path: "Package.swift")
        try String(contentsOf: manifest, encoding: .utf8)
            .replacing("PATH-OF-SWIFT-SOCKETS", with: Self.root.path)
            .write(to: manifest, atomically: true, encoding: .utf8)
        for snippet in snippets {
            let folder = directory.appending(path: "Sources/\(snippet.name)")
            try files.createDirectory(at: folder, withIntermediateDirectories: true)
            try snippet.code
                .write(
                    to: folder.appending(path: "main.swift"),
                    atomically: true,
                    encoding: .utf8
                )
        }
        for test in tests {
            let file = directory.appending(path: "Tests/KitTests/\(test.name).swift")
            try test.code.write(to: file, atomically: true, encoding: .utf8)
        }
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    func build() async throws -> CommandResult {
        try await runSwift(arguments("build", "--build-tests"), log: log("build"))
    }

    /// With the time of the tests that run this.
    func test() async throws -> CommandResult {
        try await runCommand("swift", arguments("test", "--skip-build"), log: log("test"))
    }

    private func arguments(_ command: String, _ option: String) -> [String] {
        [
            command, option, "--package-path", directory.path,
            "--scratch-path", directory.appending(path: ".build").path,
        ]
    }

    private func log(_ command: String) -> String {
        directory.appending(path: "\(command).log").path
    }

    func run(_ program: String) async throws -> CommandResult {
        try await runCommand(
            directory.appending(path: ".build/debug/\(program)").path,
            [],
            log: directory.appending(path: "\(program).log").path
        )
    }
}

// A build from nothing takes about a minute, more under a sanitizer's load.
@Suite("A package that depends on this one", .timeLimit(.minutes(10)))
struct DownstreamTests {
    /// The programs of the kit's articles.
    private static func articles() throws -> [Snippet] {
        try ["TestingAClient", "TestingAServer"].flatMap { name in
            let path = "Sources/TLSTestKit/TLSTestKit.docc/\(name).md"
            let url = Downstream.root.appending(path: path)
            let text = try String(contentsOf: url, encoding: .utf8)
            return try Snippet.all(in: text, allowsFragments: true)
        }
    }

    /// The programs of articles that have one, not a test.
    private static func programs() throws -> [Snippet] {
        try ["MutualTLS", "STARTTLS"].flatMap { name in
            let path = "Sources/Sockets/Sockets.docc/\(name).md"
            let url = Downstream.root.appending(path: path)
            let text = try String(contentsOf: url, encoding: .utf8)
            return try Snippet.all(in: text, allowsFragments: true)
        }
    }

    @Test(
        """
        `import Sockets` reaches all that users need; the README's programs build, and run; so do \
        the test kit's articles, under Swift Testing and beside XCTest
        """
    )
    func buildsAndRuns() async throws {
        let readme = Downstream.root.appending(path: "README.md")
        let text = try #require(
            try? String(contentsOf: readme, encoding: .utf8),
            "there is no README.md, whose snippets this builds"
        )
        let snippets = try Snippet.all(in: text) + Self.programs()
        let names = Set(snippets.map(\.name))
        #expect(names.isSuperset(of: ["echo", "client", "listener", "mutual", "starttls"]))
        #expect(names.count == snippets.count, "two snippets have one name")
        let offline = snippets.filter(\.runsOffline)
        #expect(!offline.isEmpty)
        let articles = try Self.articles()
        #expect(articles.map(\.name) == ["ClientVerdicts", "ServerVerdicts"])
        let downstream = try Downstream(snippets, tests: articles)
        let build = try await downstream.build()
        try #require(build.exitCode == 0, "\(build.complaints)")
        let reach = try await downstream.run("reach")
        #expect(reach.exitCode == 0)
        #expect(reach.output == "reached\n")
        for snippet in offline {
            let result = try await downstream.run(snippet.name)
            #expect(result.exitCode == 0, "\(snippet.name): \(result.output)")
            #expect(!result.output.isEmpty, "\(snippet.name) says nothing")
        }
        let tests = try await downstream.test()
        #expect(tests.exitCode == 0, "\(tests.output.suffix(4000))")
        #expect(tests.output.contains("Executed 2 tests, with 0 failures"))
        #expect(tests.output.contains("Test run with 2 tests in 0 suites passed"))
    }
}

@Suite("The README's programs")
struct SnippetTests {
    @Test("a named block of Swift is a snippet, others are left alone")
    func reading() throws {
        let markdown = """
            Text
            ```swift
            // Package.swift
            .package(url: "…", branch: "main"),
            ```
            <!-- snippet: one -->

            ```swift
            // runs offline
            print(1)
            ```
            ```sh
            swift build
            ```
            <!-- snippet: two -->
            ```swift

            ```
            """
        let snippets = try Snippet.all(in: markdown)
        #expect(
            snippets == [
                Snippet(name: "one", code: "// runs offline\nprint(1)\n"),
                Snippet(name: "two", code: "\n"),
            ]
        )
        #expect(snippets.map(\.runsOffline) == [true, false])
    }

    @Test(
        "a block without a name, a name without a block, and a block without an end are refused",
        arguments: [
            "```swift\nprint(1)\n```", "<!-- snippet: one -->\nText", "<!-- snippet: one -->",
            "<!-- snippet: one -->\n```swift\nprint(1)",
        ]
    )
    func refusing(_ markdown: String) {
        #expect(throws: UnreadableSnippet.self) { try Snippet.all(in: markdown) }
    }
}
