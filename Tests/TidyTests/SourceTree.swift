// The files the rules look at: the package's own, or a few made up in memory to prove a rule.
//
// In a git checkout these are the tracked files and those git would offer to track, so a rule holds
// before the first commit of a file. In an unpacked archive they are all files but build folders.

import Foundation

struct SourceFile: Sendable {
    /// Relative to the root, with forward slashes.
    let path: String
    let text: String
    let isExecutable: Bool
    let isTracked: Bool
    /// Empty unless the file is Swift or C.
    let tokens: [Token]

    init(_ path: String, _ text: String = "", isExecutable: Bool = false, isTracked: Bool = true) {
        self.path = path
        self.text = text
        self.isExecutable = isExecutable
        self.isTracked = isTracked
        let isSource = [".swift", ".c", ".h"].contains { path.hasSuffix($0) }
        tokens = isSource ? Lexer.tokens(of: text) : []
    }

    var name: String { String(path.split(separator: "/").last ?? "") }
    var isSwift: Bool { path.hasSuffix(".swift") }
    var isC: Bool { path.hasSuffix(".c") || path.hasSuffix(".h") }
    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// The number of lines, where a final line feed begins no new one.
    var lineCount: Int {
        let count = lines.count
        return text.hasSuffix("\n") ? count - 1 : count
    }

    /// The folder under `Sources`, or nil for files elsewhere.
    var module: String? {
        let parts = path.split(separator: "/")
        return parts.count > 2 && parts[0] == "Sources" ? String(parts[1]) : nil
    }

    func isIn(_ folders: String...) -> Bool {
        folders.contains { path.hasPrefix($0 + "/") }
    }
}

struct SourceTree: Sendable {
    let files: [SourceFile]

    init(_ files: SourceFile...) {
        self.files = files
    }

    init(files: [SourceFile]) {
        self.files = files
    }

    func file(_ path: String) -> SourceFile? {
        files.first { $0.path == path }
    }

    /// The package this file belongs to, read once.
    static let package = Result { try SourceTree.read(root: root) }

    private static let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static func read(root: URL) throws -> SourceTree {
        let isCheckout = FileManager.default.fileExists(atPath: root.path + "/.git")
        let tracked = isCheckout ? Set(try gitFiles(in: root, "--cached")) : []
        let paths =
            isCheckout
            ? tracked.union(try gitFiles(in: root, "--others", "--exclude-standard"))
            : Set(walk(root))
        let files = paths.sorted().compactMap { path -> SourceFile? in
            let absolute = root.path + "/" + path
            guard let contents = FileManager.default.contents(atPath: absolute),
                let text = String(validating: contents, as: UTF8.self)
            else { return nil }  // deleted but not yet staged, a submodule, or no text
            return SourceFile(
                path,
                text,
                isExecutable: FileManager.default.isExecutableFile(atPath: absolute),
                isTracked: tracked.contains(path)
            )
        }
        return SourceTree(files: files)
    }

    private static func gitFiles(in root: URL, _ arguments: String...) throws -> [String] {
        let git = Process()
        git.executableURL = URL(filePath: "/usr/bin/env")
        git.arguments =
            ["git", "-C", root.path, "-c", "safe.directory=*", "ls-files", "-z"] + arguments
        let output = Pipe()
        git.standardOutput = output
        try git.run()
        let listing = try output.fileHandleForReading.readToEnd() ?? Data()
        git.waitUntilExit()
        guard git.terminationStatus == 0 else {
            throw TreeUnreadable(command: "git ls-files", status: git.terminationStatus)
        }
        return listing.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func walk(_ root: URL) -> [String] {
        let skipped = [".build", ".git", ".swiftpm", "generated"]
        guard let paths = FileManager.default.enumerator(atPath: root.path) else { return [] }
        return paths.compactMap { $0 as? String }.filter { path in
            !path.split(separator: "/").contains { part in
                skipped.contains(String(part)) || part.hasPrefix(".build-")
            }
        }
    }
}

struct TreeUnreadable: Error {
    let command: String
    let status: Int32
}
