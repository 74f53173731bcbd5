// What SwiftPM resolves of this package's dependencies: without traits nothing of the integrations, with
// one just what it needs.

import Foundation
import Testing

/// A package of somebody else's that depends on this one, with caches of its own.
private struct Dependent: ~Copyable {
    let directory: URL

    /// - Parameter traits: The traits that it switches on; nil says nothing of traits.
    /// - Throws: `CocoaError` when a file cannot be written.
    init(traits: [String]?) throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let files = FileManager.default
        directory = files.temporaryDirectory.appending(path: "dependent-\(UUID().uuidString)")
        let sources = directory.appending(path: "Sources/app")
        try files.createDirectory(at: sources, withIntermediateDirectories: true)
        let products = [
            "Sockets", "SocketsLogging", "SocketsMetrics", "SocketsTracing", "SocketsLifecycle",
        ]
        let manifest = """
            // swift-tools-version: 6.3
            import PackageDescription
            let package = Package(
                name: "dependent",
                dependencies: [
                    .package(
                        name: "swift-sockets",
                        path: "\(root.path)"\(traits.map { ", traits: \($0)" } ?? "")
                    )
                ],
                targets: [
                    .executableTarget(
                        name: "app",
                        dependencies: \(products).map {
                            .product(name: $0, package: "swift-sockets")
                        }
                    )
                ]
            )
            """
        try manifest.write(
            to: directory.appending(path: "Package.swift"),
            atomically: true,
            encoding: .utf8
        )
        try "import Sockets\n".write(
            to: sources.appending(path: "main.swift"),
            atomically: true,
            encoding: .utf8
        )
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    /// Resolves, and gives what was fetched, by name.
    func resolved() async throws -> [String] {
        let result = try await runSwift(
            [
                "package", "--package-path", directory.path,
                "--scratch-path", directory.appending(path: ".build").path,
                "--cache-path", directory.appending(path: ".cache").path, "resolve",
            ],
            log: directory.appending(path: "resolve.log").path
        )
        try #require(result.exitCode == 0, "\(result.complaints)")
        let checkouts = directory.appending(path: ".build/checkouts").path
        return try FileManager.default.contentsOfDirectory(atPath: checkouts).sorted()
    }

    /// The file in which SwiftPM writes what it has resolved, if there is any.
    var pins: String? {
        try? String(contentsOf: directory.appending(path: "Package.resolved"), encoding: .utf8)
    }
}

/// What the tools of this package need, which SwiftPM fetches for libraries too.
private let ofTheTools = ["swift-argument-parser"]

@Suite("Traits", .timeLimit(.minutes(5)))
struct TraitTests {
    @Test(
        "without traits no package of an integration is resolved",
        arguments: [nil, []] as [[String]?]
    )
    func none(traits: [String]?) async throws {
        let dependent = try Dependent(traits: traits)
        #expect(try await dependent.resolved() == ofTheTools)
        let written = dependent.pins
        let pins = try #require(written)
        let names = pins.matches(of: /"identity" : "([^"]*)"/).map { String($0.1) }
        #expect(names == ofTheTools)
    }

    @Test(
        "a trait resolves its own package, and what that needs",
        arguments: [
            ("Logging", ["swift-log"]), ("Metrics", ["swift-metrics"]),
            ("Tracing", ["swift-distributed-tracing"]),
            (
                "Lifecycle",
                [
                    "swift-async-algorithms", "swift-collections", "swift-log",
                    "swift-service-lifecycle",
                ]
            ),
        ]
    )
    func one(trait: String, packages: [String]) async throws {
        let dependent = try Dependent(traits: [trait])
        #expect(try await dependent.resolved() == (ofTheTools + packages).sorted())
        let written = dependent.pins
        let pins = try #require(written)
        for package in packages { #expect(pins.contains("\"\(package)\"")) }
    }
}
