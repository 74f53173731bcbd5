// Target `dialogue`. Input: a byte that chooses the protocol, one for the size of pieces, and what a
// server says before TLS.
// Passes when the dialogue comes to the same end however the bytes are cut - unless that end is about
// bytes that stand behind it -, stays there, says little, and shows nothing that steers a terminal.

import TLSInspection

func fuzzDialogue(_ input: [UInt8]) {
    var script = ScriptReader(input)
    let kinds = StartTLSProtocol.allCases
    let kind = kinds[Int(script.byte()) % kinds.count]
    let step = 1 + Int(script.byte() & 15)
    let bytes = script.rest()
    let (sentWhole, whole) = converse(kind, [bytes])
    let pieces = stride(from: 0, to: bytes.count, by: step)
        .map { Array(bytes[$0..<min($0 + step, bytes.count)]) }
    let (sent, end) = converse(kind, pieces)
    if whole == .failed(.ahead) {
        if case .more = end { require(false, "what is done in one piece is not over in many") }
    } else {
        require(end == whole && sent == sentWhole, "\(step) bytes at a time of \(kind): \(end)")
    }
    require(sent.count <= 2 && sent.allSatisfy { $0.count < 100 }, "\(sent.count) commands")
    note(UInt32(sent.count), Int(kinds.firstIndex(of: kind) ?? 0), end == .more ? 1 : 0)
    if case .failed(let failure) = end { check(failure) }
}

private func check(_ failure: DialogueFailure) {
    switch failure {
    case .refused(let words), .notSpoken(let words):
        require(words.utf8.count <= 640, "\(words.utf8.count) bytes are shown")
        let isPlain = words.unicodeScalars.allSatisfy {
            $0.properties.generalCategory != .control && $0.properties.generalCategory != .format
        }
        require(isPlain, "a control character is shown")
    default: break
    }
}

/// Plays both sides: what the client said, and its last step.
private func converse(
    _ kind: StartTLSProtocol,
    _ pieces: [[UInt8]]
) -> (sent: [[UInt8]], end: Dialogue.Step) {
    var dialogue = Dialogue(kind, name: "a.test")
    var sent: [[UInt8]] = []
    var end = Dialogue.Step.more
    for piece in pieces {
        end = dialogue.take(piece)
        while case .send(let command) = end {
            sent.append(command)
            end = dialogue.take([])
        }
        guard case .more = end else { break }
    }
    if end != .more { require(dialogue.take([1, 2, 3]) == end, "an end is an end") }
    return (sent, end)
}

func dialogueSeeds() -> [String: [UInt8]] {
    let said: [StartTLSProtocol: String] = [
        .smtp: "220 a\r\n250-a\r\n250 STARTTLS\r\n220 go\r\n",
        .lmtp: "220-a\r\n220 b\r\n250 HELP\r\n",
        .imap: "* OK a\r\n* 1 EXISTS\r\na1 OK go\r\n",
        .pop3: "+OK a\r\n-ERR no\r\n",
        .ftp: "120 w\r\n220-a\r\nb\r\n220 c\r\n234 go\r\n",
        .nntp: "200 a\r\n382 go\r\n",
        .sieve: "\"N\" {4}\r\nO\r\nK\r\n\"STARTTLS\"\r\nOK\r\nOK\r\n",
        .postgres: "E\0\0\0\u{d}SX\0Mbusy\0\0",
        .mysql: "\u{26}\0\0\0\u{a}8.0\0\u{1}\0\0\0aaaaaaaa\0\u{7f}\u{7f}!\0\0",
        .ldap: "0\u{c}\u{2}\u{1}\u{1}x\u{7}\u{a}\u{1}\0\u{4}\0\u{4}\0",
        .xmpp: "<stream:features>urn:ietf:params:xml:ns:xmpp-tls</stream:features><proceed/>",
    ]
    var seeds: [String: [UInt8]] = [:]
    for (number, kind) in StartTLSProtocol.allCases.enumerated() {
        seeds["seed-\(kind.rawValue)"] = [UInt8(number), 0] + Array((said[kind] ?? "").utf8)
    }
    return seeds
}
