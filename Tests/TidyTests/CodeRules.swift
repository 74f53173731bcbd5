// What holds for every source file: sizes, names, and things that must not be left lying about.

let lineLimit = 600
let functionLimit = 70

/// Words no type may carry: they say nothing about what it is.
private let emptyWords: Set = [
    "Manager", "Helper", "Helpers", "Util", "Utils", "Utility", "Utilities", "Impl", "Base",
    "Data", "Info", "Handler",
]

/// Names fixed by the API draft this package implements.
private let fixedNames: Set = [
    "SocketInfo", "TLSSocketInfo", "CipherInfo", "EphemeralKeyInfo", "PresharedKeyInfo",
    "SocketDataEvent",
]

let codeRules: [TidyRule] = [
    TidyRule(
        "a source file begins with a comment that says what it is, or with its imports",
        broken: [
            SourceFile("Sources/Sockets/Socket.swift", "struct Socket {}"),
            SourceFile("Sources/Sockets/Socket.swift", "\n\n@main struct Socket {}"),
            SourceFile("Sources/Sockets/Socket.swift", ""),
        ],
        kept: [
            SourceFile("Sources/Sockets/A.swift", "// What it is.\nstruct A {}"),
            SourceFile("Sources/Sockets/B.swift", "public import TLSEngine"),
            SourceFile("Sources/Sockets/C.swift", "@preconcurrency import TLSEngine"),
        ],
        inspect: { file in
            guard file.isSwift, file.module != nil else { return [] }
            let first = file.lines.first { !$0.allSatisfy(\.isWhitespace) } ?? ""
            let begins =
                first.hasPrefix("//") || first.hasPrefix("/*")
                || first.split(separator: " ").contains("import")
            return begins ? [] : [(1, "begins with neither a comment nor an import")]
        }
    ),
    TidyRule(
        "no file is longer than \(lineLimit) lines",
        broken: [
            SourceFile("Sources/Sockets/A.swift", String(repeating: "//\n", count: lineLimit + 1)),
            SourceFile("Tests/SocketsTests/A.swift", String(repeating: "\n", count: 1000)),
            SourceFile("Sources/CLinux/a.c", String(repeating: "\n", count: 1000)),
        ],
        kept: [
            SourceFile("Sources/Sockets/A.swift", String(repeating: "//\n", count: lineLimit)),
            SourceFile("docs/LONG.md", String(repeating: "\n", count: 1000)),
        ],
        inspect: { file in
            guard file.isSwift || file.isC, file.lineCount > lineLimit else { return [] }
            return [(lineLimit + 1, "\(file.lineCount) lines; the limit is \(lineLimit)")]
        }
    ),
    TidyRule(
        "no function is longer than \(functionLimit) lines",
        broken: [
            swiftFunction("func f(a: () -> Void = {})", lines: functionLimit + 1),
            swiftFunction("init?()", lines: functionLimit + 1),
            swiftFunction("deinit", lines: functionLimit + 1),
            swiftFunction("static func == (a: A, b: A)\n    -> Bool", lines: functionLimit + 1),
            SourceFile("Sources/CLinux/a.c", "int f(void) {" + newlines(functionLimit) + "}"),
        ],
        kept: [
            swiftFunction("func f(a: () -> Void = {})", lines: functionLimit),
            SourceFile(
                "Sources/Sockets/A.swift",
                "protocol P {\n func f()\n init()\n}\nstruct S {" + newlines(100) + "}"
            ),
            SourceFile("Sources/Sockets/B.swift", "let a = B.init { _ in" + newlines(100) + "}"),
            SourceFile("Sources/CLinux/a.h", "struct s {" + newlines(100) + "};"),
        ],
        inspect: { file in
            functions(in: file).filter { $0.count > functionLimit }
                .map { ($0.lowerBound, "\($0.count) lines; the limit is \(functionLimit)") }
        }
    ),
    TidyRule(
        "type and file names carry no empty words",
        broken: [
            SourceFile("Sources/Sockets/A.swift", "final class SocketManager {}"),
            SourceFile("Sources/Sockets/A.swift", "enum HelperTLS {}"),
            SourceFile("Sources/Sockets/A.swift", "struct PeerInfo {}"),
            SourceFile("Sources/Sockets/A.swift", "protocol EventHandler {}"),
            SourceFile("Sources/Sockets/SocketUtils.swift", ""),
            SourceFile("Tests/SocketsTests/A.swift", "actor BaseServer {}"),
        ],
        kept: [
            SourceFile("Sources/Sockets/SocketInfo.swift", "public struct SocketInfo {}"),
            SourceFile("Sources/Sockets/A.swift", "struct Database {}\nlet manager = Manager()"),
            SourceFile("Sources/Sockets/B.swift", "typealias DataHandler = (Int) -> Void"),
            SourceFile("Sources/Sockets/C.swift", "class func makeManager() {}"),
            SourceFile("Tests/SocketsTests/SocketInfoTests.swift", "struct SocketInfoTests {}"),
        ],
        inspect: emptyNames
    ),
    TidyRule(
        "nothing is left unfinished",
        broken: [
            SourceFile("Sources/Sockets/A.swift", "// TO" + "DO: later"),
            SourceFile("Tests/SocketsTests/A.swift", "/* FIX" + "ME */"),
            SourceFile("Scripts/a.sh", "# XX" + "X"),
            SourceFile("Sources/CLinux/a.c", "/* HA" + "CK */"),
            SourceFile("Sources/Sockets/A.swift", "throw E(\"Not imple" + "mented\")"),
        ],
        kept: [
            SourceFile("Sources/Sockets/A.swift", "// mktemp -t aXX" + "XXXX, TO" + "DOS"),
            SourceFile("docs/STYLE.md", "No TO" + "DO."),
        ],
        inspect: { file in
            guard file.isIn("Sources", "Tests", "Scripts", ".ci") || file.path == "Package.swift"
            else { return [] }
            let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]
            return file.lines.enumerated().compactMap { index, line in
                let words = line.split { !$0.isLetter }
                let mark = marks.first { mark in words.contains { $0 == mark } }
                if let mark { return (index + 1, "says \(mark)") }
                let phrase = "not imple" + "mented"
                return line.lowercased().contains(phrase) ? (index + 1, "says \(phrase)") : nil
            }
        }
    ),
    TidyRule(
        "library and tool code neither forces a throw nor stops the process for a peer's doing",
        broken: [
            SourceFile("Sources/Sockets/A.swift", "let a = try! f()"),
            SourceFile("Sources/Sockets/A.swift", "default: fatalError(\"never\")"),
            SourceFile("Sources/Sockets/A.swift", "Swift.fatalError()"),
        ],
        kept: [
            SourceFile("Sources/Sockets/A.swift", "// fatalError, try!\nlet a = try f() ? !b : c"),
            SourceFile("Tests/SocketsTests/A.swift", "fatalError()"),
        ],
        inspect: { file in
            guard file.isSwift, file.isIn("Sources") else { return [] }
            let forced = file.tokens.occurrences(of: "try", "!")
                .map { (file.tokens[$0].line, "forces a throwing expression") }
            let fatal = file.tokens.filter { $0.isWord("fatalError") }
                .map { ($0.line, "calls fatalError") }
            return forced + fatal
        }
    ),
    TidyRule(
        "an RFC is cited as `RFC nnnn §x.y`, which Scripts/compliance.sh collects",
        broken: [
            SourceFile("Sources/Sockets/A.swift", "// RF" + "C8446 §5.1"),
            SourceFile("Sources/Sockets/A.swift", "/// See RFC 8446, " + "Section 5.1."),
            SourceFile("Sources/Sockets/A.swift", "// RFC 8446 " + "§ 5.1"),
            SourceFile("Tests/SocketsTests/A.swift", "// RFC 8446 " + "section 5.1"),
        ],
        kept: [
            SourceFile("Sources/Sockets/A.swift", "// RFC 8446 §5.1, RFC 9525.\n// see section 5"),
            SourceFile("Sources/Sockets/B.swift", "// https://www.rfc-editor.org/rfc/rfc8446"),
            SourceFile("Sources/COpenSSL/COpenSSL.h", "return XN_FLAG_RF" + "C2253;"),
        ],
        inspect: oddCitations
    ),
]

// MARK: Functions

private func newlines(_ count: Int) -> String { String(repeating: "\n", count: count) }

/// A type with one function of so many lines, between two short ones.
private func swiftFunction(_ signature: String, lines: Int) -> SourceFile {
    let above = signature.split(separator: "\n").count
    return SourceFile(
        "Sources/Sockets/A.swift",
        "struct A {\n  func a() {}\n  \(signature) {" + newlines(lines - above)
            + "}\n  func b() {}\n}"
    )
}

/// The lines of every function that has a body, from its first word to its closing brace.
private func functions(in file: SourceFile) -> [ClosedRange<Int>] {
    if file.isC { return functionsInC(file.tokens) }
    return file.tokens.indices.compactMap { index in
        let token = file.tokens[index]
        let next = file.tokens.token(after: index)
        let begins =
            token.isWord("func", "deinit", "subscript")
            || (token.isWord("init") && ["(", "<", "?", "!"].contains(next?.text))
        guard begins, file.tokens.token(before: index)?.isSymbol(".") != true,
            let open = bodyStart(of: index, in: file.tokens)
        else { return nil }
        return token.line...lineOfClosingBrace(for: open, in: file.tokens)
    }
}

/// Finds the brace that opens the body of the declaration at `start`; nil for a requirement.
private func bodyStart(of start: Int, in tokens: [Token]) -> Int? {
    let declarations: Set = [
        "func", "init", "var", "let", "static", "mutating", "subscript", "associatedtype", "deinit",
        "public", "package", "internal", "private", "consuming", "borrowing", "nonisolated", "case",
    ]
    var depth = 0
    for index in tokens.indices.dropFirst(start + 1) {
        let token = tokens[index]
        switch token.text {
        case "(", "[": depth += 1
        case ")", "]": depth -= 1
        case "{" where depth == 0: return index
        case "}" where depth == 0: return nil
        case "@" where depth == 0 && token.startsLine: return nil
        default:
            if depth == 0, token.startsLine, declarations.contains(token.text) { return nil }
        }
    }
    return nil
}

private func lineOfClosingBrace(for open: Int, in tokens: [Token]) -> Int {
    var depth = 0
    for token in tokens[open...] where token.kind == .symbol {
        if token.text == "{" { depth += 1 }
        if token.text == "}" { depth -= 1 }
        if depth == 0 { return token.line }
    }
    return tokens[open].line
}

/// In C a function's body is a brace at the outermost level behind a parenthesis.
private func functionsInC(_ tokens: [Token]) -> [ClosedRange<Int>] {
    var depth = 0
    return tokens.indices.compactMap { index in
        let token = tokens[index]
        defer {
            if token.isSymbol("{") { depth += 1 }
            if token.isSymbol("}") { depth -= 1 }
        }
        guard depth == 0, token.isSymbol("{"), tokens.token(before: index)?.isSymbol(")") == true
        else { return nil }
        return token.line...lineOfClosingBrace(for: index, in: tokens)
    }
}

// MARK: Names

private func emptyNames(_ file: SourceFile) -> [(line: Int, message: String)] {
    guard file.isSwift, file.isIn("Sources", "Tests") else { return [] }
    let declarations: Set = ["struct", "class", "enum", "actor", "protocol", "typealias"]
    let notNames: Set = ["func", "var", "let", "subscript"]  // behind `class`: a member
    let stem = file.name.dropLast(".swift".count)
    var names = stem.split(separator: "+").map { (line: 1, name: String($0), isAlias: false) }
    for (index, token) in file.tokens.enumerated() {
        guard token.kind == .word, declarations.contains(token.text),
            let name = file.tokens.token(after: index), name.kind == .word,
            !notNames.contains(name.text)
        else { continue }
        names.append((name.line, name.text, token.text == "typealias"))
    }
    return names.flatMap { line, name, isAlias in
        let subject = name.hasSuffix("Tests") ? String(name.dropLast("Tests".count)) : name
        guard !fixedNames.contains(subject) else { return [(line: Int, message: String)]() }
        return humps(of: subject).filter {
            emptyWords.contains($0) && !(isAlias && name.hasSuffix("Handler"))
        }
        .map { (line, "'\(name)' carries the empty word '\($0)'") }
    }
}

/// The words of a name in camel case: `TLSSocketInfo` gives TLS, Socket, Info.
private func humps(of name: String) -> [String] {
    var words: [String] = []
    let characters = Array(name)
    for (index, character) in characters.enumerated() {
        let nextIsLower = index + 1 < characters.count && characters[index + 1].isLowercase
        let previousIsUpper = index > 0 && characters[index - 1].isUppercase
        if character.isUppercase, !previousIsUpper || nextIsLower || words.isEmpty {
            words.append("")
        } else if words.isEmpty {
            words.append("")
        }
        words[words.count - 1].append(character)
    }
    return words
}

// MARK: Citations

private func oddCitations(_ file: SourceFile) -> [(line: Int, message: String)] {
    guard file.isSwift || file.isC else { return [] }
    return file.lines.enumerated().compactMap { index, line in
        for start in line.indices where line[start...].hasPrefix("RFC") {
            // Not the end of a name, such as a C library's constant.
            if line[..<start].last.map({ $0.isLetter || $0 == "_" }) == true { continue }
            let rest = line[start...].dropFirst(3)
            if rest.first?.isNumber == true { return (index + 1, "write a space behind RFC") }
            let number = rest.drop { $0 == " " }
            let behind = number.drop(while: \.isNumber)
            guard number.startIndex < behind.startIndex else { continue }
            let tail = behind.drop { $0 == "," || $0 == " " }.lowercased()
            if tail.hasPrefix("section") || tail.hasPrefix("sec.") || tail.hasPrefix("§ ") {
                return (index + 1, "cite a section as 'RFC nnnn §x.y'")
            }
        }
        return nil
    }
}
