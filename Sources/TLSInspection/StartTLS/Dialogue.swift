// The words in the clear by which a client asks for TLS: bytes in, bytes out, until TLS may begin or it
// is clear that it will not. No socket and no clock; what a server says is bounded and has a meaning,
// however its bytes are cut, and every lie ends the dialogue.
//
// Theory of operation
//
//     text        lines, each a reply or a part of one      smtp lmtp ftp nntp imap pop3 sieve
//     message     one message that tells its length         postgres mysql ldap
//     stream      tags, looked for and not parsed           xmpp
//
// What stands behind the go-ahead came in the clear and may be anybody's (CVE-2011-0411): it is a
// failure, too.

/// How a dialogue failed.
package enum DialogueFailure: Error, Hashable, Sendable {
    /// The server does not want to, in its words or in ours.
    case refused(String)
    /// What was said is not of the protocol.
    case notSpoken(String)
    /// More was said than a server has to say.
    case endless
    /// Something was said behind the go-ahead.
    case ahead
    /// The server hung up.
    case closed
    /// Time was up.
    case silent
}

/// A dialogue under way.
package struct Dialogue: Sendable {
    /// What to do next.
    package enum Step: Hashable, Sendable {
        /// Read on.
        case more
        /// Send this, and hand in what is there.
        case send([UInt8])
        /// Send this, which may be nothing; the next byte is TLS's.
        case done([UInt8])
        /// Hang up.
        case failed(DialogueFailure)
    }

    /// The protocol.
    package let kind: StartTLSProtocol
    /// What the client says before it is spoken to; may be empty.
    package let opening: [UInt8]

    /// What was not understood yet.
    var pending: [UInt8] = []
    /// How many bytes of it were searched for an end in vain.
    var searched = 0
    var stage = Stage.greeting
    /// Whether the server said that it has TLS.
    var isOffered = false
    /// The code of a reply of several lines that has begun.
    var openCode: String?
    private var linesRead = 0
    private var outcome: Step?

    /// How far it has come.
    enum Stage: Sendable {
        case greeting
        case abilities
        case request
    }

    /// Begins a dialogue.
    ///
    /// - Parameters:
    ///   - kind: The protocol.
    ///   - name: Whom to ask for, where the protocol says so in the clear.
    package init(_ kind: StartTLSProtocol, name: String) {
        self.kind = kind
        opening =
            switch kind {
            case .postgres: [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]
            case .ldap: Dialogue.ldapRequest
            case .xmpp: Array(Dialogue.streamHeader(to: name).utf8)
            default: []
            }
    }

    /// Takes what came, which may be nothing behind something that was sent.
    ///
    /// - Parameter bytes: What came.
    /// - Returns: What to do next; the same for ever when it is over.
    package mutating func take(_ bytes: [UInt8]) -> Step {
        if let outcome { return outcome }
        pending += bytes
        let step: Step
        do throws(DialogueFailure) {
            step = try next()
        } catch {
            step = .failed(error)
        }
        switch step {
        case .more, .send: return step
        case .done: outcome = pending.isEmpty ? step : .failed(.ahead)
        case .failed: outcome = step
        }
        pending = []
        return outcome ?? step
    }

    private mutating func next() throws(DialogueFailure) -> Step {
        switch kind {
        case .postgres: return try postgres()
        case .mysql: return try mysql()
        case .ldap: return try ldap()
        case .xmpp: return try xmpp()
        default: break
        }
        while let line = try nextLine() {
            let step =
                switch kind {
                case .imap: try imap(line)
                case .pop3: try pop3(line)
                case .sieve: try sieve(line)
                default: try coded(line)
                }
            if let step { return step }
        }
        return .more
    }

    /// The next line without its end; for ManageSieve with the literals in it.
    private mutating func nextLine() throws(DialogueFailure) -> [UInt8]? {
        var line: [UInt8] = []
        var place = 0
        while true {
            let room = DialogueLimits.line - line.count
            guard room > 0 else { throw .endless }
            let window = pending[place...].prefix(room).dropFirst(place == 0 ? searched : 0)
            guard let end = window.firstIndex(of: 10) else {
                if place == 0 { searched = min(pending.count, room) }
                guard pending.count - place < room else { throw .endless }
                return nil
            }
            line += pending[place..<end]
            if line.last == 13 { line.removeLast() }
            place = end + 1
            guard kind == .sieve, let count = literal(line) else { break }
            guard count < DialogueLimits.line - line.count else { throw .endless }
            guard pending.count >= place + count else { return nil }
            line += pending[place..<(place + count)]
            place += count
        }
        pending.removeFirst(place)
        searched = 0
        linesRead += 1
        guard linesRead <= DialogueLimits.lines else { throw .endless }
        return line
    }

    /// The size of the literal that a line ends with (RFC 5804 §4).
    private func literal(_ line: [UInt8]) -> Int? {
        guard line.last == 0x7d, let start = line.lastIndex(of: 0x7b) else { return nil }
        var digits = line[(start + 1)...].dropLast()
        if digits.last == 0x2b { digits.removeLast() }
        guard (1...9).contains(digits.count), digits.allSatisfy({ (48...57).contains($0) })
        else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1) - 48 }
    }

    /// What a server said, short and without what could steer a terminal or turn text around.
    static func words(_ bytes: some Collection<UInt8>) -> String {
        let text = String(decoding: Array(bytes.prefix(DialogueLimits.words)), as: UTF8.self)
        let clean = text.unicodeScalars.map { scalar -> Unicode.Scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: "\u{fffd}"
            default: scalar
            }
        }
        return String(String.UnicodeScalarView(clean))
    }
}

/// What a server may say before TLS.
enum DialogueLimits {
    /// Bytes of a line, or of a message.
    static let line = 8192
    /// Bytes of an XMPP server's features.
    static let stream = 32768
    /// Lines.
    static let lines = 256
    /// Bytes that are shown of what was said.
    static let words = 160
}
