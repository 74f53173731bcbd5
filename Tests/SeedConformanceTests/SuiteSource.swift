// Which tests exist, read from the sources of this folder: no list a person keeps can lie about it.
//
// A suite is `struct <Name>Tests`, a test a function of it behind `@Test`. Comments and the contents of
// texts are blanked before anything is looked for. What could make a test exist in the source and not
// run, or run and prove nothing, is a finding of its own, see `weaknesses`.

import Foundation

/// The tests of one suite as its source has them.
struct SuiteSource: Sendable {
    struct Test: Sendable {
        var name: String
        /// The words and symbols between its braces.
        var body: [Substring]
    }

    /// The suite's name without `Tests`.
    var subject: String
    var tests: [Test]
    /// Words that could keep a test from running, for example `#if`.
    var switches: [String]

    /// The suites of every file of this folder.
    static func all() throws -> [SuiteSource] {
        let names = try FileManager.default.contentsOfDirectory(atPath: Seed.folder.path)
        return try names.sorted().filter { $0.hasSuffix("Tests.swift") }.flatMap { name in
            let text = try String(contentsOf: Seed.folder.appending(path: name), encoding: .utf8)
            return read(text)
        }
    }

    static func read(_ source: String) -> [SuiteSource] {
        let code = blanked(source)
        let tokens = code.matches(of: /`[^`]+`|\w+|[^\s\w]/).map { code[$0.range] }
        let switches = zip(tokens, tokens.dropFirst()).compactMap { mark, word -> String? in
            let isSwitch =
                (mark == "#" && word == "if")
                || (mark == "." && ["disabled", "enabled"].contains(word))
                || word == "withKnownIssue"
            return isSwitch ? "\(mark)\(word)" : nil
        }
        return tokens.indices.compactMap { index -> SuiteSource? in
            guard tokens[index] == "struct", index + 2 < tokens.count,
                tokens[index + 1].hasSuffix("Tests"),
                let open = tokens[index...].firstIndex(of: "{")
            else { return nil }
            return SuiteSource(
                subject: String(tokens[index + 1].dropLast("Tests".count)),
                tests: tests(in: tokens[(open + 1)..<end(of: open, in: tokens)]),
                switches: switches
            )
        }
    }

    /// What is wrong with the suite's tests as such.
    var weaknesses: [String] {
        var found = switches.map { "\(subject): '\($0)' may keep a test from running" }
        for test in tests {
            let proves = zip(test.body, test.body.dropFirst()).contains { mark, word in
                mark == "#" && ["expect", "require"].contains(word)
            }
            if !proves { found.append("\(subject).\(test.name) expects nothing") }
            if tests.filter({ $0.name == test.name }).count > 1 {
                found.append("\(subject).\(test.name) exists twice")
            }
        }
        return found
    }

    private static func tests(in body: ArraySlice<Substring>) -> [Test] {
        var tests: [Test] = []
        var index = body.startIndex
        while index < body.endIndex {
            if body[index] == "{" {
                // Something else with braces: no test is inside.
                index = end(of: index, in: Array(body), offset: body.startIndex)
            } else if body[index...].starts(with: ["@", "Test"]),
                let name = body[index...].firstIndex(of: "func"),
                let open = body[name...].firstIndex(of: "{")
            {
                let close = end(of: open, in: Array(body), offset: body.startIndex)
                let text = body[name + 1].trimmingCharacters(in: ["`"])
                tests.append(Test(name: text, body: Array(body[open..<close])))
                index = close
            } else {
                index += 1
            }
        }
        return tests
    }

    /// The index of the brace that closes the one at `open`.
    private static func end(of open: Int, in tokens: [Substring], offset: Int = 0) -> Int {
        var depth = 0
        for index in (open - offset)..<tokens.count {
            if tokens[index] == "{" { depth += 1 }
            if tokens[index] == "}" { depth -= 1 }
            if depth == 0 { return index + offset }
        }
        return tokens.count + offset
    }

    /// The source without comments and without what stands in texts; values set into texts go too.
    private static func blanked(_ source: String) -> String {
        var code = ""
        var rest = source[...]
        while let character = rest.first {
            if rest.hasPrefix("//") {
                rest = rest.drop { $0 != "\n" }
            } else if rest.hasPrefix("/*") {
                rest = rest.range(of: "*/").map { rest[$0.upperBound...] } ?? ""
            } else if character == "\"" {
                rest = behindText(rest)
                code += "\"\""
            } else {
                code.append(character)
                rest.removeFirst()
            }
        }
        return code
    }

    /// What follows a text that begins here.
    private static func behindText(_ source: Substring) -> Substring {
        let quote = source.hasPrefix("\"\"\"") ? "\"\"\"" : "\""
        var rest = source.dropFirst(quote.count)
        while !rest.isEmpty, !rest.hasPrefix(quote) {
            if rest.hasPrefix("\\(") {
                rest = behindParenthesis(rest.dropFirst(2))
            } else {
                rest = rest.dropFirst(rest.first == "\\" ? 2 : 1)
            }
        }
        return rest.dropFirst(quote.count)
    }

    /// What follows the parenthesis that is open here.
    private static func behindParenthesis(_ source: Substring) -> Substring {
        var rest = source
        var depth = 1
        while depth > 0, let character = rest.first {
            if character == "\"" {
                rest = behindText(rest)
                continue
            }
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            rest.removeFirst()
        }
        return rest
    }
}
