// The protocols in which TLS starts in the middle, as far as programs of others need them: our
// listener speaks them, in the clear and then under TLS.

import Sockets
import Testing

/// A protocol that goes over to TLS on request.
enum UpgradeDialogue: String, CaseIterable, Sendable {
    case smtp, lmtp, pop3, imap, ftp, nntp, sieve
    /// Binary: one message asks for TLS, one byte grants it.
    case postgres
    /// Binary: the client asks, and waits for no reply.
    case mysql

    /// What the server says first.
    var greeting: [UInt8] {
        switch self {
        case .smtp, .lmtp: Array("220 \(Authorities.host) ESMTP\r\n".utf8)
        case .pop3: Array("+OK ready\r\n".utf8)
        case .imap: Array("* OK ready\r\n".utf8)
        case .ftp: Array("220 ready\r\n".utf8)
        case .nntp: Array("200 ready\r\n".utf8)
        case .sieve: Array("\"IMPLEMENTATION\" \"it\"\r\n\"STARTTLS\"\r\nOK \"ready\"\r\n".utf8)
        case .postgres: []
        case .mysql: Self.mysqlGreeting
        }
    }

    /// A line that has no meaning of its own, and is answered with the version of TLS.
    var probe: String { self == .imap ? "a NOOP" : "NOOP" }

    /// The line that ends the conversation.
    var farewell: String { self == .imap ? "a LOGOUT" : "QUIT" }

    /// What becomes of a line.
    enum Answer {
        case say(String)
        case startTLS(String)
        /// What follows up to a lone dot is a message.
        case takeMessage(String)
        case end(String)
    }

    /// Answers a line of the client's.
    ///
    /// - Parameters:
    ///   - line: The line without its end.
    ///   - facts: What was negotiated; nil in the clear.
    /// - Returns: What becomes of it.
    func answer(to line: String, _ facts: String?) -> Answer {
        let words = line.split(separator: " ").map(String.init)
        let tag = self == .imap ? (words.first ?? "*") + " " : ""
        let verb = (self == .imap ? words.dropFirst().first : words.first)?.uppercased() ?? ""
        switch (self, verb) {
        case (_, "STARTTLS"), (.pop3, "STLS"), (.ftp, "AUTH"):
            return .startTLS(tag + agreement + "begin\r\n")
        case (.smtp, "EHLO"), (.lmtp, "LHLO"):
            return .say("250-it\r\n\(facts == nil ? "250-STARTTLS\r\n" : "")250 HELP\r\n")
        case (.smtp, "DATA"): return .takeMessage("354 go on\r\n")
        case (.pop3, "CAPA"): return .say("+OK\r\nSTLS\r\nUSER\r\n.\r\n")
        case (.pop3, "LIST"): return .say("+OK\r\n1 \(facts ?? "clear")\r\n.\r\n")
        case (.pop3, "STAT"): return .say("+OK 1 100\r\n")
        case (.imap, "CAPABILITY"):
            return .say("* CAPABILITY IMAP4rev1 STARTTLS\r\n\(tag)OK done\r\n")
        case (.imap, "LOGOUT"): return .end("* BYE bye\r\n\(tag)OK done\r\n")
        case (.ftp, "FEAT"): return .say("211-Features\r\n AUTH TLS\r\n211 End\r\n")
        case (.nntp, "CAPABILITIES"): return .say("101 list\r\nVERSION 2\r\nSTARTTLS\r\n.\r\n")
        case (_, "QUIT"): return .end((self == .pop3 ? "+OK" : "221") + " bye\r\n")
        default: return .say(tag + consent + (facts ?? "clear") + "\r\n")
        }
    }

    /// How a reply that grants TLS begins.
    private var agreement: String {
        switch self {
        case .ftp: "234 "
        case .nntp: "382 "
        case .smtp, .lmtp: "220 "
        case .pop3, .imap, .sieve, .postgres, .mysql: consent
        }
    }

    /// How any other good reply begins.
    private var consent: String {
        switch self {
        case .smtp, .lmtp: "250 "
        case .pop3: "+OK "
        case .imap, .sieve: "OK "
        case .ftp, .nntp, .postgres, .mysql: "200 "
        }
    }

    /// Version 10 of the protocol, with the ability of TLS (0x0800).
    private static let mysqlGreeting: [UInt8] = {
        var body: [UInt8] = [10] + Array("8.0.0".utf8) + [0, 1, 0, 0, 0]
        body += [UInt8](repeating: 65, count: 8) + [0, 0xFF, 0xFF, 33, 2, 0, 0xFF, 0xFF, 21]
        body += [UInt8](repeating: 0, count: 10) + [UInt8](repeating: 66, count: 13)
        return [UInt8(body.count), 0, 0, 0] + body
    }()
}

/// Reads a socket in lines and in messages, and knows what it has read too much.
struct DialogueReader {
    let socket: Socket
    private(set) var rest: [UInt8] = []

    init(_ socket: Socket) { self.socket = socket }

    /// The next line, without its end; nil at the end of the stream.
    mutating func line() async throws -> String? {
        while true {
            if let end = rest.firstIndex(of: 10) {
                defer { rest.removeFirst(end + 1) }
                return String(decoding: rest[..<end].filter { $0 != 13 }, as: UTF8.self)
            }
            guard try await more() else { return nil }
        }
    }

    /// So many bytes.
    mutating func bytes(_ count: Int) async throws -> [UInt8] {
        while rest.count < count {
            guard try await more() else { throw ForeignFailure(description: "the stream ended") }
        }
        defer { rest.removeFirst(count) }
        return Array(rest[..<count])
    }

    /// The byte that comes next, which stays; nil at the end of the stream.
    mutating func next() async throws -> UInt8? {
        while rest.isEmpty { guard try await more() else { return nil } }
        return rest[0]
    }

    /// Reads lines until one is as wanted; all of them.
    mutating func lines(until isLast: (String) -> Bool) async throws -> [String] {
        var lines: [String] = []
        while true {
            guard let line = try await line() else {
                throw ForeignFailure(description: "the stream ended behind \(lines)")
            }
            lines.append(line)
            if isLast(line) { return lines }
        }
    }

    private mutating func more() async throws -> Bool {
        guard let bytes = try await socket.read() else { return false }
        rest += bytes
        return true
    }
}

extension UpgradeDialogue {
    /// Speaks the protocol with one client, to its end.
    ///
    /// - Returns: The message that was left, if any.
    func serve(_ socket: Socket, _ tls: PreparedTLS) async throws -> [String] {
        var reader = DialogueReader(socket)
        try await socket.write(greeting)
        switch self {
        case .postgres:
            // libpq may ask for GSSAPI first (80877104); TLS is 80877103.
            while try await reader.bytes(8)[7] != 0x2F { try await socket.write("N") }
            try await socket.startTLS(tls, sending: "S", unread: reader.rest)
            if try await reader.next() == 0 {
                try await PostgresSession.serve(&reader)
                return []
            }
        case .mysql:
            let head = try await reader.bytes(4)
            _ = try await reader.bytes(Int(head[0]))
            // The hello may be behind it already: it is the handshake's.
            try await socket.startTLS(tls, beginningWith: reader.rest)
            reader = DialogueReader(socket)
        case .smtp, .lmtp, .pop3, .imap, .ftp, .nntp, .sieve: break
        }
        var message: [String] = []
        while let line = try await reader.line() {
            switch answer(to: line, socket.info?.version?.description) {
            case .say(let text): try await socket.write(text)
            case .startTLS(let reply):
                try await socket.startTLS(tls, sending: reply, unread: reader.rest)
            case .takeMessage(let text):
                try await socket.write(text)
                message += try await reader.lines { $0 == "." }
                try await socket.write("250 taken\r\n")
            case .end(let text):
                try await socket.write(text)
                return message
            }
        }
        return message
    }
}

/// A PostgreSQL server that has one row to every query: the version of TLS.
enum PostgresSession {
    static func serve(_ reader: inout DialogueReader) async throws {
        let socket = reader.socket
        let size = try await reader.bytes(4).reduce(0) { $0 << 8 | Int($1) }
        _ = try await reader.bytes(size - 4)
        let ready = message("Z", Array("I".utf8))
        try await socket.write(
            message("R", [0, 0, 0, 0])
                + message("S", Array("client_encoding\0UTF8\0".utf8))
                + message("S", Array("server_version\0\("15.0")\0".utf8)) + ready
        )
        while let type = try await reader.next() {
            let head = try await reader.bytes(5)
            _ = try await reader.bytes(head[1...].reduce(0) { $0 << 8 | Int($1) } - 4)
            guard type == UInt8(ascii: "Q") else { break }
            let text = Array((socket.info?.version?.description ?? "clear").utf8)
            // One column of type text (25).
            let column = Array("version\0".utf8) + [0, 0, 0, 0, 0, 0, 0, 0, 0, 25]
            try await socket.write(
                message("T", [0, 1] + column + [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0])
                    + message("D", [0, 1, 0, 0, 0, UInt8(text.count)] + text)
                    + message("C", Array("SELECT 1\0".utf8)) + ready
            )
        }
    }

    /// A message of version 3 of the protocol.
    static func message(_ type: String, _ body: [UInt8]) -> [UInt8] {
        let size = UInt32(body.count + 4)
        return Array(type.utf8) + (0..<4).map { UInt8(truncatingIfNeeded: size >> (24 - 8 * $0)) }
            + body
    }
}
