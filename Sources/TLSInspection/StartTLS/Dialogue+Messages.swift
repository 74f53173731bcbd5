// The protocols of one message that tells its length, and of XML.

extension Dialogue {
    // MARK: PostgreSQL

    /// One byte grants or refuses; an error is a message.
    mutating func postgres() throws(DialogueFailure) -> Step {
        guard let first = pending.first else { return .more }
        switch first {
        case 0x53:
            pending.removeFirst()
            return .done([])
        case 0x4e: throw .refused("it has no TLS")
        case 0x45:
            guard pending.count >= 5 else { return .more }
            let size = pending[1..<5].reduce(0) { $0 << 8 | Int($1) }
            guard (5...DialogueLimits.line).contains(size) else {
                throw .notSpoken(Dialogue.words(pending.prefix(5)))
            }
            guard pending.count > size else { return .more }
            let fields = pending[5..<(size + 1)].split(separator: 0)
            let message = fields.first { $0.first == 0x4d }?.dropFirst()
            throw .refused(Dialogue.words(message ?? fields.first ?? []))
        default: throw .notSpoken(Dialogue.words(pending.prefix(1)))
        }
    }

    // MARK: MySQL

    /// The server greets; the answer to that is the request, and TLS begins right behind it.
    mutating func mysql() throws(DialogueFailure) -> Step {
        guard pending.count >= 5 else { return .more }
        let size = Int(pending[0]) | Int(pending[1]) << 8 | Int(pending[2]) << 16
        guard (1...DialogueLimits.line).contains(size), [10, 0xff].contains(pending[4]) else {
            throw .notSpoken(Dialogue.words(pending.prefix(5)))
        }
        guard pending.count >= 4 + size else { return .more }
        let (number, body) = (pending[3], Array(pending[4..<(4 + size)]))
        pending.removeFirst(4 + size)
        guard body[0] == 10 else {
            // A number of two bytes, and perhaps a state behind a hash sign.
            let text = body.dropFirst(3)
            throw .refused(Dialogue.words(text.first == 0x23 ? text.dropFirst(6) : text))
        }
        // The version ends with a zero; behind it a number, a part of a challenge, and a zero.
        guard let end = body.firstIndex(of: 0), body.count >= end + 16 else {
            throw .notSpoken(Dialogue.words(body.dropFirst()))
        }
        let abilities = Int(body[end + 14]) | Int(body[end + 15]) << 8
        guard abilities & 0x0800 != 0 else { throw .refused("it does not offer TLS") }
        // PROTOCOL_41, SSL and SECURE_CONNECTION; packets of 16 MiB; UTF-8.
        let request: [UInt8] =
            [0x00, 0x8a, 0, 0, 0, 0, 0, 1, 33] + [UInt8](repeating: 0, count: 23)
        return .done([32, 0, 0, number &+ 1] + request)
    }

    // MARK: LDAP

    /// An extended request of the name 1.3.6.1.4.1.1466.20037, number 1.
    static let ldapRequest: [UInt8] =
        [0x30, 29, 2, 1, 1, 0x77, 24, 0x80, 22] + Array("1.3.6.1.4.1.1466.20037".utf8)

    mutating func ldap() throws(DialogueFailure) -> Step {
        guard let first = pending.first else { return .more }
        guard first == 0x30 else { throw .notSpoken(Dialogue.words(pending.prefix(1))) }
        let strange = DialogueFailure.notSpoken("a message of another form")
        guard let head = try BERHead(pending[...]) else { return .more }
        guard head.size <= DialogueLimits.line else { throw .endless }
        guard pending.count >= head.start + head.size else { return .more }
        var message = pending[head.start..<(head.start + head.size)]
        pending.removeFirst(head.start + head.size)
        guard try BERHead.take(2, &message) != nil,
            var response = try BERHead.take(0x78, &message),
            let code = try BERHead.take(0x0a, &response), code.count == 1,
            try BERHead.take(4, &response) != nil, let text = try BERHead.take(4, &response)
        else { throw strange }
        guard code.first == 0 else {
            throw .refused("result \(code.first ?? 0): " + Dialogue.words(text))
        }
        return .done([])
    }

    // MARK: XMPP

    static func streamHeader(to name: String) -> String {
        let escaped = name.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
            .replacing("'", with: "&apos;")
        return "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
            + "xmlns:stream='http://etherx.jabber.org/streams' to='\(escaped)' version='1.0'>"
    }

    mutating func xmpp() throws(DialogueFailure) -> Step {
        if let first = pending.first(where: { ![9, 10, 13, 32].contains($0) }), first != 0x3c {
            throw .notSpoken(Dialogue.words([first]))
        }
        let space = "urn:ietf:params:xml:ns:xmpp-tls"
        let ends =
            stage == .greeting
            ? ["</stream:features>", "<stream:features/>", "</stream:error>", "</stream:stream>"]
            : [">"]
        guard let (said, isFeatures) = upTo(ends) else {
            guard pending.count < DialogueLimits.stream else { throw .endless }
            return .more
        }
        if stage == .greeting {
            guard isFeatures else { throw .refused(Dialogue.words(said.suffix(120))) }
            guard said.holds(space) else { throw .refused("it does not offer STARTTLS") }
            stage = .request
            return .send(Array("<starttls xmlns='\(space)'/>".utf8))
        }
        let tag = said.drop { [9, 10, 13, 32].contains($0) }
        guard tag.starts(with: "<proceed".utf8) else { throw .refused(Dialogue.words(tag)) }
        // An element that is not empty has an end of its own.
        if !tag.hasEnd("/>"), !tag.hasEnd("</proceed>") {
            let close = Array("</proceed>".utf8)
            guard pending.count >= close.count else {
                pending = said + pending
                return .more
            }
            guard pending.starts(with: close) else { throw .ahead }
            pending.removeFirst(close.count)
        }
        return .done([])
    }

    /// Takes what stands up to the first of some ends, and tells whether that is one of features.
    private mutating func upTo(_ ends: [String]) -> (said: [UInt8], isFeatures: Bool)? {
        let window = pending.prefix(DialogueLimits.stream)
        for place in window.indices.dropFirst(searched) where window[place] == 0x3e {
            let said = window[...place]
            guard let end = ends.first(where: { said.hasEnd($0) }) else { continue }
            let taken = Array(said)
            pending.removeFirst(taken.count)
            searched = 0
            return (taken, end.contains("features"))
        }
        searched = window.count
        return nil
    }
}

extension Collection<UInt8> {
    /// Whether the bytes end with those of a text.
    fileprivate func hasEnd(_ text: String) -> Bool {
        suffix(text.utf8.count).elementsEqual(text.utf8)
    }

    /// Whether the bytes of a text stand somewhere.
    fileprivate func holds(_ text: String) -> Bool {
        let wanted = Array(text.utf8)
        let bytes = Array(self)
        guard bytes.count >= wanted.count else { return false }
        return (0...(bytes.count - wanted.count)).contains {
            bytes[$0..<($0 + wanted.count)].elementsEqual(wanted)
        }
    }
}

/// A tag and a length of BER (X.690 §8.1), definite and of at most four bytes.
private struct BERHead {
    /// Where the contents octets begin, counted from the tag.
    var start: Int
    /// How many there are.
    var size: Int

    /// Reads the head of an element; nil when it is not all there.
    init?(_ bytes: ArraySlice<UInt8>) throws(DialogueFailure) {
        guard bytes.count >= 2 else { return nil }
        let first = bytes[bytes.startIndex + 1]
        let more = first < 0x80 ? 0 : Int(first & 0x7f)
        guard first < 0x80 || (1...4).contains(more) else {
            throw .notSpoken("a length that nobody can send")
        }
        guard bytes.count >= 2 + more else { return nil }
        start = 2 + more
        size =
            more == 0
            ? Int(first) : bytes.dropFirst(2).prefix(more).reduce(0) { $0 << 8 | Int($1) }
    }

    /// Takes the contents octets of an element with this tag off the front.
    static func take(
        _ tag: UInt8,
        _ bytes: inout ArraySlice<UInt8>
    ) throws(DialogueFailure) -> ArraySlice<UInt8>? {
        guard bytes.first == tag, let head = try BERHead(bytes),
            bytes.count >= head.start + head.size
        else { return nil }
        defer { bytes = bytes.dropFirst(head.start + head.size) }
        return bytes.dropFirst(head.start).prefix(head.size)
    }
}
