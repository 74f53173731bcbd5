// The programs in the README: a comment names one, and the block behind it is the whole of it.

import Foundation

/// A program in a Markdown file.
struct Snippet: Hashable, Sendable {
    let name: String
    let code: String

    /// Whether it needs no network: it says so in its first line.
    var runsOffline: Bool { code.hasPrefix("// runs offline\n") }

    /// Finds the programs of a text, in order.
    ///
    /// One is written as `<!-- snippet: name -->`, then a block of Swift. Blocks that begin with
    /// `// Package.swift` are parts of a manifest, and no programs.
    ///
    /// - Parameters:
    ///   - markdown: The text.
    ///   - allowsFragments: Whether blocks without a name are left alone.
    /// - Returns: The programs.
    /// - Throws: ``UnreadableSnippet`` when there is no block behind a name, or one behind no name.
    static func all(
        in markdown: String,
        allowsFragments: Bool = false
    ) throws -> [Snippet] {
        var found: [Snippet] = []
        var name: String?
        var code: [Substring]?
        for line in markdown.split(separator: "\n", omittingEmptySubsequences: false) {
            if let lines = code {
                guard line == "```" else {
                    code = lines + [line]
                    continue
                }
                let text = lines.joined(separator: "\n") + "\n"
                if let name {
                    found.append(Snippet(name: name, code: text))
                } else if !allowsFragments, !text.hasPrefix("// Package.swift\n") {
                    throw UnreadableSnippet(description: "a block of Swift has no name before it")
                }
                (name, code) = (nil, nil)
            } else if line.hasPrefix("<!-- snippet: "), line.hasSuffix(" -->") {
                name = String(line.dropFirst("<!-- snippet: ".count).dropLast(" -->".count))
            } else if line == "```swift" {
                code = []
            } else if !line.isEmpty, let name {
                throw UnreadableSnippet(description: "behind \(name) comes no block of Swift")
            }
        }
        guard name == nil, code == nil else {
            throw UnreadableSnippet(description: "the last block does not end")
        }
        return found
    }
}

/// What is wrong with the programs of a text.
struct UnreadableSnippet: Error, CustomStringConvertible {
    let description: String
}
