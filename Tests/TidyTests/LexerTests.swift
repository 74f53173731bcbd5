// What the rules take for code, and what for text.

import Testing

@Suite struct LexerTests {
    struct Example: Sendable, CustomTestStringConvertible {
        let source: String
        let words: [String]
        var testDescription: String { source }
    }

    @Test(
        "comments, strings and interpolations are no code",
        arguments: [
            Example(source: "a // b", words: ["a"]),
            Example(source: "a /* b /* c */ d */ e", words: ["a", "e"]),
            Example(source: #"a "b \" c" d"#, words: ["a", "d"]),
            Example(source: #"a "b \(c("d")) e" f"#, words: ["a", "f"]),
            Example(source: ##"a #"b " \(c) \#(d) "# e"##, words: ["a", "e"]),
            Example(source: "a \"\"\"\n b \" c\n\"\"\" d", words: ["a", "d"]),
            Example(source: "a \"unterminated\nb", words: ["a", "b"]),
            Example(source: #"a '"' b '\'' c"#, words: ["a", "b", "c"]),
            Example(source: "`a b` c", words: ["`a b`", "c"]),
            Example(source: "1...5 0x1F 2.5", words: ["1", "5", "0x1F", "2.5"]),
            Example(source: "größe.a", words: ["größe", "a"]),
        ]
    )
    func words(_ example: Example) {
        let words = Lexer.tokens(of: example.source).filter { $0.kind != .symbol }.map(\.text)
        #expect(words == example.words)
    }

    @Test("tokens know their line and whether they start it")
    func lines() {
        let tokens = Lexer.tokens(of: "a\n\n  b c /*\n*/ d")
        #expect(tokens.map(\.line) == [1, 3, 3, 4])
        #expect(tokens.map(\.startsLine) == [true, true, false, true])
    }
}
