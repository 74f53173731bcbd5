// Reads the API draft: which interfaces, dictionaries, enumerations, typedefs and callbacks there are,
// and the members and defaults of each.
//
// The draft is not quite WebIDL: semicolons are missing, types are spelled freely. So this reads what
// the draft consists of, words and symbols, and fails on everything else. What a definition inherits
// or includes is a member too, under the name of what is inherited: it has an effect to be tested.

import Foundation

/// One definition of the draft.
struct SeedDefinition: Hashable, Sendable {
    enum Kind: String, Sendable { case interface, dictionary, `enum`, typedef, callback }

    var kind: Kind
    var name: String
    var members: [SeedMember]
}

/// One member of a definition.
struct SeedMember: Hashable, Sendable {
    var name: String
    /// The default as the draft writes it, without quotes; nil where it gives none.
    var defaultValue: String?

    init(_ name: String, defaultValue: String? = nil) {
        self.name = name
        self.defaultValue = defaultValue
    }
}

/// Something the draft must not hold.
struct SeedUnreadable: Error, Hashable {
    var near: String
}

/// The draft this package implements, `sockets-api.webidl` beside this file.
enum Seed {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent()

    private static let read = Result {
        try SeedParser.parse(
            String(contentsOf: folder.appending(path: "sockets-api.webidl"), encoding: .utf8)
        )
    }

    static func definitions() throws -> [SeedDefinition] { try read.get() }

    /// The draft's default of a member; nil where it gives none.
    ///
    /// - Throws: ``SeedUnreadable`` when there is no such member.
    static func defaultValue(_ definition: String, _ member: String) throws -> String? {
        let members = try definitions().first { $0.name == definition }?.members
        guard let found = members?.first(where: { $0.name == member }) else {
            throw SeedUnreadable(near: "\(definition).\(member)")
        }
        return found.defaultValue
    }
}

struct SeedParser {
    private var tokens: ArraySlice<String>

    static func parse(_ text: String) throws -> [SeedDefinition] {
        var parser = SeedParser(tokens: tokens(of: text)[...])
        var definitions: [SeedDefinition] = []
        while let word = parser.tokens.popFirst() {
            switch word {
            case ";": continue
            case "[": try parser.skip(to: "]")
            case "interface": definitions.append(try parser.block(.interface))
            case "dictionary": definitions.append(try parser.block(.dictionary))
            case "enum": definitions.append(try parser.enumeration())
            case "typedef": definitions.append(try parser.typedef())
            case "callback": definitions.append(try parser.callback())
            default:
                let member = SeedMember(try parser.included())
                guard let index = definitions.firstIndex(where: { $0.name == word }) else {
                    throw SeedUnreadable(near: word)
                }
                definitions[index].members.append(member)
            }
        }
        return definitions
    }

    /// Words (with what makes up a quoted text) and single symbols; comments are left out.
    private static func tokens(of text: String) -> [String] {
        text.split(separator: "\n").flatMap { line -> [String] in
            let code = line.split(separator: "/", omittingEmptySubsequences: false).first ?? ""
            var words: [String] = []
            var isInWord = false
            for character in code {
                let isOfWord = character.isLetter || character.isNumber || "_\"".contains(character)
                if isOfWord, isInWord {
                    words[words.count - 1].append(character)
                } else if !character.isWhitespace {
                    words.append(String(character))
                }
                isInWord = isOfWord
            }
            return words
        }
    }

    private mutating func word() throws -> String {
        guard let word = tokens.popFirst(), word.first?.isLetter == true else {
            throw SeedUnreadable(near: tokens.prefix(5).joined(separator: " "))
        }
        return word
    }

    /// Takes everything up to a symbol, which is taken too and not part of the result.
    @discardableResult
    private mutating func skip(to symbol: String) throws -> [String] {
        guard let end = tokens.firstIndex(of: symbol) else { throw SeedUnreadable(near: symbol) }
        defer { tokens = tokens[(end + 1)...] }
        return Array(tokens[..<end])
    }

    private mutating func block(_ kind: SeedDefinition.Kind) throws -> SeedDefinition {
        let name = try word()
        let head = try skip(to: "{")
        let inherited = head.isEmpty ? [] : [SeedMember(head[head.endIndex - 1])]
        let body = try skip(to: "}")
        let members = try body.split(separator: ";").map { try SeedParser.member(Array($0)) }
        return SeedDefinition(kind: kind, name: name, members: inherited + members)
    }

    private static func member(_ tokens: [String]) throws -> SeedMember {
        guard let first = tokens.first, let last = tokens.last else {
            throw SeedUnreadable(near: "an empty member")
        }
        if tokens.starts(with: ["async", "iterable"]) { return SeedMember("async iterable") }
        if first == "readonly" { return SeedMember(last) }
        if let open = tokens.firstIndex(of: "("), open > 0 { return SeedMember(tokens[open - 1]) }
        guard let equals = tokens.firstIndex(of: "=") else { return SeedMember(last) }
        guard equals > 0, equals == tokens.count - 2 else { throw SeedUnreadable(near: first) }
        return SeedMember(
            tokens[equals - 1],
            defaultValue: last.trimmingCharacters(in: ["\""])
        )
    }

    private mutating func enumeration() throws -> SeedDefinition {
        let name = try word()
        try skip(to: "{")
        let values = try skip(to: "}").filter { $0 != "," }
        let members = values.map { SeedMember($0.trimmingCharacters(in: ["\""])) }
        return SeedDefinition(kind: .enum, name: name, members: members)
    }

    private mutating func typedef() throws -> SeedDefinition {
        try skip(to: "(")
        let members = try skip(to: ")").filter { $0 != "|" }.map { SeedMember($0) }
        return SeedDefinition(kind: .typedef, name: try word(), members: members)
    }

    private mutating func callback() throws -> SeedDefinition {
        let name = try word()
        try skip(to: ";")
        return SeedDefinition(kind: .callback, name: name, members: [SeedMember("callback")])
    }

    /// `A includes B;`, which the draft also spells `include`.
    private mutating func included() throws -> String {
        guard ["includes", "include"].contains(tokens.popFirst()) else {
            throw SeedUnreadable(near: tokens.prefix(3).joined(separator: " "))
        }
        return try word()
    }
}
