// Splits Swift and C source into tokens, so that rules look at code and never at comments or text.
//
// Theory of operation: one pass over the UTF-8 bytes. Comments nest (Swift), strings may be raw and
// may hold interpolations, which are skipped with the string. A single-line string ends at the end
// of its line at the latest, so a quote in a regex literal spoils no more than that line.
// Nothing here understands the grammar: a rule sees words, numbers and single symbols.

struct Token: Sendable, Equatable {
    enum Kind: Sendable { case word, number, symbol }

    let kind: Kind
    let text: String
    /// Counts from 1.
    let line: Int
    let startsLine: Bool
}

struct Lexer {
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var lineHasToken = false
    private var tokens: [Token] = []

    static func tokens(of source: String) -> [Token] {
        var lexer = Lexer(bytes: Array(source.utf8))
        lexer.run()
        return lexer.tokens
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    private mutating func run() {
        while let byte = peek() {
            switch byte {
            case UInt8(ascii: "\n"), UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
                advance()
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "/"):
                skipLineComment()
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "*"):
                skipBlockComment()
            case UInt8(ascii: "\""):
                skipString(pounds: 0)
            case UInt8(ascii: "#") where poundsBeforeQuote() > 0:
                let pounds = poundsBeforeQuote()
                advance(pounds)
                skipString(pounds: pounds)
            case UInt8(ascii: "'"):
                skipCharacterConstant()
            case UInt8(ascii: "`"):
                takeRawIdentifier()
            case let byte where isDigit(byte):
                take(.number) { isWord($0) || $0 == UInt8(ascii: ".") }
            case let byte where isWord(byte):
                take(.word, while: isWord)
            default:
                append(.symbol, from: position, to: position + 1)
                advance()
            }
        }
    }

    // MARK: Tokens

    private mutating func take(_ kind: Token.Kind, while belongs: (UInt8) -> Bool) {
        let start = position
        while let byte = peek(), belongs(byte) {
            // A range such as 1...5 is a number, symbols and a number.
            if byte == UInt8(ascii: "."), peek(1).map(isDigit) != true { break }
            advance()
        }
        append(kind, from: start, to: position)
    }

    private mutating func takeRawIdentifier() {
        let start = position
        advance()
        while let byte = peek(), byte != UInt8(ascii: "`"), byte != UInt8(ascii: "\n") { advance() }
        if peek() == UInt8(ascii: "`") { advance() }
        append(.word, from: start, to: position)
    }

    private mutating func append(_ kind: Token.Kind, from start: Int, to end: Int) {
        let text = String(decoding: bytes[start..<end], as: UTF8.self)
        tokens.append(Token(kind: kind, text: text, line: line, startsLine: !lineHasToken))
        lineHasToken = true
    }

    // MARK: What is no code

    private mutating func skipLineComment() {
        while let byte = peek(), byte != UInt8(ascii: "\n") { advance() }
    }

    private mutating func skipBlockComment() {
        var depth = 0
        repeat {
            if peek() == UInt8(ascii: "/"), peek(1) == UInt8(ascii: "*") {
                depth += 1
                advance(2)
            } else if peek() == UInt8(ascii: "*"), peek(1) == UInt8(ascii: "/") {
                depth -= 1
                advance(2)
            } else {
                advance()
            }
        } while depth > 0 && peek() != nil
    }

    /// Skips a C character constant; a lone quote is dropped.
    private mutating func skipCharacterConstant() {
        advance()
        var length = 0
        while let byte = peek(length), byte != UInt8(ascii: "'"), length < 6 {
            length += byte == UInt8(ascii: "\\") ? 2 : 1
        }
        if peek(length) == UInt8(ascii: "'") { advance(length + 1) }
    }

    /// Skips a string whose opening quote is next; `pounds` are behind it already.
    private mutating func skipString(pounds: Int) {
        let isMultiline = peek(1) == UInt8(ascii: "\"") && peek(2) == UInt8(ascii: "\"")
        let quotes = isMultiline ? 3 : 1
        lineHasToken = true
        advance(quotes)
        while let byte = peek() {
            if byte == UInt8(ascii: "\n"), !isMultiline { return }
            if isRun(of: "\"", quotes, at: 0), isRun(of: "#", pounds, at: quotes) {
                advance(quotes + pounds)
                return
            }
            guard byte == UInt8(ascii: "\\"), isRun(of: "#", pounds, at: 1) else {
                advance()
                continue
            }
            if peek(1 + pounds) == UInt8(ascii: "(") {
                advance(2 + pounds)
                skipInterpolation(isMultiline: isMultiline)
            } else {
                advance(2 + pounds)
            }
        }
    }

    /// Skips to behind the parenthesis that ends an interpolation; strings within may hold more.
    private mutating func skipInterpolation(isMultiline: Bool) {
        var depth = 1
        while depth > 0, let byte = peek() {
            switch byte {
            case UInt8(ascii: "("):
                depth += 1
                advance()
            case UInt8(ascii: ")"):
                depth -= 1
                advance()
            case UInt8(ascii: "\""):
                skipString(pounds: 0)
            case UInt8(ascii: "\n") where !isMultiline:
                return
            default:
                advance()
            }
        }
    }

    // MARK: Bytes

    private func peek(_ offset: Int = 0) -> UInt8? {
        position + offset < bytes.count ? bytes[position + offset] : nil
    }

    private mutating func advance(_ count: Int = 1) {
        for _ in 0..<count where position < bytes.count {
            if bytes[position] == UInt8(ascii: "\n") {
                line += 1
                lineHasToken = false
            }
            position += 1
        }
    }

    private func isRun(of character: Unicode.Scalar, _ count: Int, at offset: Int) -> Bool {
        (0..<count).allSatisfy { peek(offset + $0) == UInt8(ascii: character) }
    }

    /// The number of pound signs here, if a quote follows them; else 0.
    private func poundsBeforeQuote() -> Int {
        var count = 0
        while peek(count) == UInt8(ascii: "#") { count += 1 }
        return peek(count) == UInt8(ascii: "\"") ? count : 0
    }
}

private func isDigit(_ byte: UInt8) -> Bool {
    byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
}

/// Letters, digits, underscore, and every byte of a character outside ASCII.
private func isWord(_ byte: UInt8) -> Bool {
    isDigit(byte) || byte == UInt8(ascii: "_") || byte >= 0x80
        || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
}
