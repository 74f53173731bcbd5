// What a rule is: a law, a function from a tree to findings, and samples that break and keep it.
//
// The rules themselves stand in LayerRules, CodeRules, TestRules and RepositoryRules.

import Testing

struct Finding: Sendable, CustomStringConvertible {
    let path: String
    let line: Int
    let message: String

    var description: String { "\(path):\(line): \(message)" }
}

struct TidyRule: Sendable, CustomTestStringConvertible {
    let law: String
    /// Each of these breaks the law.
    let broken: [SourceTree]
    /// This does not.
    let kept: SourceTree
    let findings: @Sendable (SourceTree) -> [Finding]

    static let all = layerRules + codeRules + testRules + repositoryRules

    var testDescription: String { law }

    /// A rule about a whole tree.
    init(
        _ law: String,
        broken: [SourceTree],
        kept: SourceTree,
        findings: @escaping @Sendable (SourceTree) -> [Finding]
    ) {
        self.law = law
        self.broken = broken
        self.kept = kept
        self.findings = findings
    }

    /// A rule about each file for itself: `inspect` gives the line and message of each finding.
    init(
        _ law: String,
        broken: [SourceFile],
        kept: [SourceFile],
        inspect: @escaping @Sendable (SourceFile) -> [(line: Int, message: String)]
    ) {
        self.init(law, broken: broken.map { SourceTree($0) }, kept: SourceTree(files: kept)) {
            $0.files.flatMap { file in
                inspect(file).map { Finding(path: file.path, line: $0.line, message: $0.message) }
            }
        }
    }
}

// MARK: Searching tokens

extension Token {
    func isWord(_ words: String...) -> Bool { kind == .word && words.contains(text) }
    func isSymbol(_ symbol: String) -> Bool { kind == .symbol && text == symbol }
}

extension Array where Element == Token {
    /// The places where these texts follow one another, as indices of the first.
    func occurrences(of texts: String...) -> [Int] {
        guard count >= texts.count else { return [] }
        return (0...(count - texts.count)).filter { start in
            texts.indices.allSatisfy { self[start + $0].text == texts[$0] }
        }
    }

    func token(before index: Int) -> Token? { index > 0 ? self[index - 1] : nil }
    func token(after index: Int) -> Token? { index + 1 < count ? self[index + 1] : nil }
}
