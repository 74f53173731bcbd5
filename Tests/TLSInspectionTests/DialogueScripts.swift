// What servers of the eleven protocols say before TLS, byte for byte, and a server that says it.

import Sockets
import TLSTestKit
import Testing

@testable import TLSInspection

/// What a server says, and what it must hear, in turn.
struct DialogueScript: Sendable {
    enum Turn: Hashable, Sendable {
        case says([UInt8])
        case hears([UInt8])
    }

    let kind: StartTLSProtocol
    var turns: [Turn]

    /// What a server says that has TLS.
    static let all = StartTLSProtocol.allCases.map { DialogueScript($0) }

    init(_ kind: StartTLSProtocol) {
        self.kind = kind
        turns = DialogueScript.turns(of: kind)
    }

    /// All that the server says.
    var said: [[UInt8]] {
        turns.compactMap { if case .says(let bytes) = $0 { bytes } else { nil } }
    }

    private static func turns(of kind: StartTLSProtocol) -> [Turn] {
        func says(_ text: String) -> Turn { .says(Array(text.utf8)) }
        func hears(_ text: String) -> Turn { .hears(Array(text.utf8)) }
        let features =
            "<?xml version='1.0'?><stream:stream from='a.test' version='1.0'>"
            + "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/>"
            + "</starttls></stream:features>"
        switch kind {
        case .smtp, .lmtp:
            return [
                says("220-a.test\r\n220 ready\r\n"),
                hears((kind == .smtp ? "EHLO" : "LHLO") + " tlsinspect.invalid\r\n"),
                says("250-a.test\r\n250-PIPELINING\r\n250-starttls\r\n250 HELP\r\n"),
                hears("STARTTLS\r\n"), says("220 2.0.0 go ahead\r\n"),
            ]
        case .imap:
            return [
                says("* OK [CAPABILITY IMAP4rev1] ready\r\n"), hears("a1 STARTTLS\r\n"),
                says("* CAPABILITY IMAP4rev1\r\na1 OK begin\r\n"),
            ]
        case .pop3: return [says("+OK ready\r\n"), hears("STLS\r\n"), says("+OK begin\r\n")]
        case .ftp:
            return [
                says("120 wait\r\n220-a.test\r\n no code here\r\n220 ready\r\n"),
                hears("AUTH TLS\r\n"), says("234 begin\r\n"),
            ]
        case .nntp: return [says("201 ready\r\n"), hears("STARTTLS\r\n"), says("382 begin\r\n")]
        case .sieve:
            return [
                says(
                    "\"IMPLEMENTATION\" \"x\"\r\n\"NOTE\" {4}\r\nO\r\nK\r\n\"StartTLS\"\r\nOK\r\n"
                ),
                hears("STARTTLS\r\n"), says("OK (X) {3}\r\ngo!\r\n"),
            ]
        case .postgres: return [.hears([0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]), says("S")]
        case .mysql:
            let request: [UInt8] = [32, 0, 0, 1, 0, 0x8a, 0, 0, 0, 0, 0, 1, 33]
            return [
                .says(mysqlGreeting(abilities: 0xffff)),
                .hears(request + [UInt8](repeating: 0, count: 23)),
            ]
        case .ldap:
            let name = Array("1.3.6.1.4.1.1466.20037".utf8)
            return [
                .hears([0x30, 29, 2, 1, 1, 0x77, 24, 0x80, 22] + name), .says(ldapResponse(0, "")),
            ]
        case .xmpp:
            return [
                hears(Dialogue.streamHeader(to: "a.test")), says(features),
                hears("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
                says("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>"),
            ]
        }
    }

    /// The first packet of a MySQL server.
    static func mysqlGreeting(abilities: UInt16) -> [UInt8] {
        let body =
            [10] + Array("8.0.1\0".utf8) + [UInt8](repeating: 7, count: 12) + [0]
            + [UInt8(abilities & 255), UInt8(abilities >> 8)] + [UInt8](repeating: 0, count: 20)
        return [UInt8(body.count), 0, 0, 0] + body
    }

    /// An extended response with a length of two bytes.
    static func ldapResponse(_ code: UInt8, _ text: String) -> [UInt8] {
        let words = Array(text.utf8)
        let body = [0x0a, 1, code, 4, 0, 4, UInt8(words.count)] + words
        let message = [2, 1, 1, 0x78, UInt8(body.count)] + body
        return [0x30, 0x82, 0, UInt8(message.count)] + message
    }

    /// Plays the server up to TLS, and reads to the end.
    func play(_ socket: Socket, _ tls: PreparedTLS) async throws {
        for (place, turn) in turns.enumerated() {
            switch turn {
            case .hears(let wanted):
                var heard: [UInt8] = []
                while heard.count < wanted.count {
                    guard let bytes = try await socket.read(upTo: wanted.count - heard.count)
                    else { return }
                    heard += bytes
                }
                #expect(heard == wanted, "\(kind)")
            case .says(let bytes) where place == turns.count - 1:
                try await socket.startTLS(tls, sending: bytes)
            case .says(let bytes): try await socket.write(bytes)
            }
        }
        if case .hears = turns.last { try await socket.startTLS(tls) }
        try await readToEnd(socket)
    }
}

extension TestBench {
    /// Runs a server that plays a script on each connection, while a closure runs.
    func withUpgrading<Result: Sendable>(
        _ script: DialogueScript,
        _ body: (SocketAddress) async throws -> Result
    ) async throws -> Result {
        let options = try listener()
        let tls = try PreparedTLS(options.tls)
        return try await withServer(
            SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0)),
            serving: { try await script.play($0, tls) },
            body
        )
    }
}
