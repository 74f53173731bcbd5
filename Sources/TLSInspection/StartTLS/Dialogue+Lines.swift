// The protocols of lines.

extension Dialogue {
    /// The name that this client gives itself; it has none (RFC 6761 §6.4).
    static let clientName = "tlsinspect.invalid"

    // MARK: Replies with codes: SMTP, LMTP, FTP, NNTP

    mutating func coded(_ line: [UInt8]) throws(DialogueFailure) -> Step? {
        let code = String(decoding: line.prefix(3), as: UTF8.self)
        let isReply =
            line.prefix(3).count == 3 && line.prefix(3).allSatisfy { (48...57).contains($0) }
        let sign = line.dropFirst(3).first
        if let open = openCode {
            if stage == .abilities { noteAbility(line) }
            guard code == open, sign != 0x2d else { return nil }
            openCode = nil
        } else {
            guard isReply, sign == nil || sign == 0x20 || sign == 0x2d else {
                throw .notSpoken(Dialogue.words(line))
            }
            if stage == .abilities { noteAbility(line) }
            if sign == 0x2d, kind != .nntp {
                openCode = code
                return nil
            }
        }
        return try replied(code, line)
    }

    private mutating func noteAbility(_ line: [UInt8]) {
        let word = line.dropFirst(4).prefix { $0 != 0x20 }
        if isWord(Array(word), "STARTTLS") { isOffered = true }
    }

    private mutating func replied(_ code: String, _ line: [UInt8]) throws(DialogueFailure) -> Step?
    {
        switch (stage, kind, code) {
        case (.greeting, .ftp, "120"): return nil
        case (.greeting, .smtp, "220"): return ask(.abilities, "EHLO \(Dialogue.clientName)")
        case (.greeting, .lmtp, "220"): return ask(.abilities, "LHLO \(Dialogue.clientName)")
        case (.greeting, .ftp, "220"): return ask(.request, "AUTH TLS")
        case (.greeting, .nntp, "200"), (.greeting, .nntp, "201"):
            return ask(.request, "STARTTLS")
        case (.abilities, _, "250"):
            guard isOffered else { throw .refused("it does not offer STARTTLS") }
            return ask(.request, "STARTTLS")
        case (.request, .ftp, "234"), (.request, .ftp, "334"), (.request, .nntp, "382"),
            (.request, .smtp, "220"), (.request, .lmtp, "220"):
            return .done([])
        case (.greeting, _, _) where !code.hasPrefix("4") && !code.hasPrefix("5"):
            throw .notSpoken(Dialogue.words(line))
        default: throw .refused(Dialogue.words(line))
        }
    }

    // MARK: IMAP, POP3, ManageSieve

    mutating func imap(_ line: [UInt8]) throws(DialogueFailure) -> Step? {
        let words = line.split(separator: 0x20, maxSplits: 2).prefix(2).map { Array($0) }
        guard words.count == 2 else {
            if stage == .request, line.first == 0x2a { return nil }
            throw .notSpoken(Dialogue.words(line))
        }
        let isUntagged = words[0] == [0x2a]
        switch stage {
        case .greeting where isUntagged && isWord(words[1], "OK"):
            return ask(.request, "a1 STARTTLS")
        case .greeting where isUntagged && ["PREAUTH", "BYE"].contains { isWord(words[1], $0) },
            .request where isUntagged && isWord(words[1], "BYE"):
            throw .refused(Dialogue.words(line))
        case .request where isUntagged: return nil
        case .request where isWord(words[0], "a1"):
            guard isWord(words[1], "OK") else { throw .refused(Dialogue.words(line)) }
            return .done([])
        default: throw .notSpoken(Dialogue.words(line))
        }
    }

    mutating func pop3(_ line: [UInt8]) throws(DialogueFailure) -> Step? {
        let word = Array(line.prefix { $0 != 0x20 })
        if isWord(word, "-ERR") { throw .refused(Dialogue.words(line)) }
        guard isWord(word, "+OK") else { throw .notSpoken(Dialogue.words(line)) }
        return stage == .greeting ? ask(.request, "STLS") : .done([])
    }

    mutating func sieve(_ line: [UInt8]) throws(DialogueFailure) -> Step? {
        let word = Array(line.prefix { $0 != 0x20 && $0 != 0x28 })
        if isWord(word, "NO") || isWord(word, "BYE") { throw .refused(Dialogue.words(line)) }
        if isWord(word, "OK") {
            guard stage == .greeting else { return .done([]) }
            guard isOffered else { throw .refused("it does not offer STARTTLS") }
            return ask(.request, "STARTTLS")
        }
        guard stage == .greeting, line.first == 0x22 || line.first == 0x7b else {
            throw .notSpoken(Dialogue.words(line))
        }
        if isWord(word, "\"STARTTLS\"") || isWord(word, "{8}STARTTLS") { isOffered = true }
        return nil
    }

    // MARK: Words

    private mutating func ask(_ next: Stage, _ command: String) -> Step {
        stage = next
        return .send(Array((command + "\r\n").utf8))
    }

    /// Whether bytes are a word of ASCII, in whatever case.
    private func isWord(_ bytes: [UInt8], _ word: String) -> Bool {
        func upper(_ byte: UInt8) -> UInt8 { (97...122).contains(byte) ? byte - 32 : byte }
        return bytes.map(upper) == word.utf8.map(upper)
    }
}
