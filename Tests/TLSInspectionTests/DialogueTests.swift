import Testing

@testable import TLSInspection

/// The state machine alone: no socket, no clock.
@Suite
struct DialogueTests {
    /// Plays a server's words against a client, and gives what the client said and how it ended.
    private func play(
        _ kind: StartTLSProtocol,
        _ said: [[UInt8]],
        step: Int = .max
    ) -> (heard: [[UInt8]], end: Dialogue.Step) {
        var dialogue = Dialogue(kind, name: "a.test")
        var heard = dialogue.opening.isEmpty ? [] : [dialogue.opening]
        var end = Dialogue.Step.more
        for bytes in said {
            var pieces: [[UInt8]] = [bytes]
            if step < bytes.count {
                pieces = stride(from: 0, to: bytes.count, by: step)
                    .map { Array(bytes[$0..<min($0 + step, bytes.count)]) }
            }
            for piece in pieces {
                end = dialogue.take(piece)
                while case .send(let command) = end {
                    heard.append(command)
                    end = dialogue.take([])
                }
            }
        }
        if case .done(let request) = end, !request.isEmpty { heard.append(request) }
        return (heard, end)
    }

    @Test(
        "each protocol comes to TLS, however the bytes are cut",
        arguments: StartTLSProtocol.allCases,
        [1, 2, 7, Int.max]
    )
    func works(_ kind: StartTLSProtocol, _ step: Int) {
        let script = DialogueScript(kind)
        let wanted = script.turns.compactMap { turn -> [UInt8]? in
            if case .hears(let bytes) = turn { bytes } else { nil }
        }
        let (heard, end) = play(kind, script.said, step: step)
        #expect(heard == wanted)
        guard case .done = end else {
            Issue.record("\(kind) ended with \(end)")
            return
        }
    }

    @Test(
        "what is said in the clear behind the go-ahead is a failure",
        arguments: StartTLSProtocol.allCases
    )
    func ahead(_ kind: StartTLSProtocol) {
        var said = DialogueScript(kind).said
        said[said.count - 1] += Array("250 more\r\n".utf8)
        #expect(play(kind, said).end == .failed(.ahead))
    }

    @Test(
        "an end stays an end, whatever comes behind it",
        arguments: StartTLSProtocol.allCases
    )
    func final(_ kind: StartTLSProtocol) {
        var dialogue = Dialogue(kind, name: "a.test")
        // No protocol begins with this, not even as a length.
        let end = dialogue.take([0xee, 0xee, 0xee, 0xee, 0xee, 10])
        guard case .failed(.notSpoken) = end else {
            Issue.record("\(kind) ended with \(end)")
            return
        }
        #expect(dialogue.take(DialogueScript(kind).said[0]) == end)
    }

    @Test(
        "a server that does not want to is told in its words",
        arguments: [
            (StartTLSProtocol.smtp, ["554 go away\r\n"], "554 go away"),
            (.smtp, ["220 a\r\n", "250 a\r\n"], "it does not offer STARTTLS"),
            (.smtp, ["220 a\r\n", "250 STARTTLSX\r\n"], "it does not offer STARTTLS"),
            (.smtp, ["220 a\r\n", "250 STARTTLS\r\n", "454 no key\r\n"], "454 no key"),
            (.smtp, ["220-a\r\n220-b\r\n220 c\r\n", "502-x\r\n502 y\r\n"], "502 y"),
            (.lmtp, ["421 busy\r\n"], "421 busy"),
            (.ftp, ["220 a\r\n", "534 no\r\n"], "534 no"),
            (.nntp, ["200 a\r\n", "580 no\r\n"], "580 no"),
            (.imap, ["* PREAUTH hello\r\n"], "* PREAUTH hello"),
            (.imap, ["* BYE busy\r\n"], "* BYE busy"),
            (.imap, ["* OK a\r\n", "* 1 EXISTS\r\na1 BAD what\r\n"], "a1 BAD what"),
            (.pop3, ["-ERR busy\r\n"], "-ERR busy"),
            (.pop3, ["+OK\r\n", "-ERR what\r\n"], "-ERR what"),
            (.sieve, ["\"SASL\" \"\"\r\nOK\r\n"], "it does not offer STARTTLS"),
            (.sieve, ["BYE \"busy\"\r\n"], "BYE \"busy\""),
            (.sieve, ["\"STARTTLS\"\r\nOK\r\n", "NO {2}\r\nno\r\n"], "NO {2}no"),
            (.postgres, ["N"], "it has no TLS"),
            (.postgres, ["E\0\0\0\u{d}SX\0Mbusy\0\0"], "busy"),
            (.mysql, ["\u{9}\0\0\0\u{7f}"], nil),
            (.xmpp, ["<stream:stream><stream:features/>"], "it does not offer STARTTLS"),
            (.xmpp, ["<stream:error><x/></stream:error>"], "<stream:error><x/></stream:error>"),
        ] as [(StartTLSProtocol, [String], String?)]
    )
    func refused(_ kind: StartTLSProtocol, _ said: [String], _ words: String?) {
        let bytes = said.map { Array($0.utf8) }
        for step in [1, 3, Int.max] {
            let end = play(kind, bytes, step: step).end
            if let words {
                #expect(end == .failed(.refused(words)))
            } else {
                guard case .failed(.notSpoken) = end else {
                    Issue.record("\(end)")
                    return
                }
            }
        }
    }

    @Test("MySQL's error, a MySQL without TLS, and LDAP's result are refusals")
    func refusedInBytes() {
        let error: [UInt8] = [16, 0, 0, 0, 0xff, 0x10, 4] + Array("#08004Too many".utf8.prefix(13))
        #expect(play(.mysql, [error]).end == .failed(.refused("Too man")))
        let plain = DialogueScript.mysqlGreeting(abilities: 0xf7ff)
        #expect(play(.mysql, [plain]).end == .failed(.refused("it does not offer TLS")))
        let busy = DialogueScript.ldapResponse(52, "busy")
        #expect(play(.ldap, [busy]).end == .failed(.refused("result 52: busy")))
    }

    @Test(
        "banners without end, lines without end and lengths that lie end it",
        arguments: [
            (StartTLSProtocol.smtp, Array("220-x\r\n".utf8), 300, DialogueFailure.endless),
            (.smtp, [UInt8](repeating: 0x32, count: 1000), 20, .endless),
            (.ftp, Array("120 wait\r\n".utf8), 300, .endless),
            (.pop3, [UInt8](repeating: 0, count: 1000), 20, .endless),
            (
                .sieve, Array("\"X\" {8000}\r\n\"".utf8) + [UInt8](repeating: 0, count: 99), 100,
                .endless
            ),
            (.sieve, Array("\"X\" {999999999}\r\n".utf8), 1, .endless),
            (.xmpp, Array("<x ".utf8), 11000, .endless),
            (.xmpp, [0x20], 33000, .endless),
            (.ldap, [0x30, 0x84, 0x7f, 0xff, 0xff, 0xff], 1, .endless),
            (.ldap, [0x30, 0x88], 1, .notSpoken("a length that nobody can send")),
            (.ldap, [0x30, 0x80], 1, .notSpoken("a length that nobody can send")),
            (.ldap, [0x30, 3, 2, 4, 1], 1, .notSpoken("a message of another form")),
            (
                .mysql, [255, 255, 255, 0, 10], 1,
                .notSpoken("\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}")
            ),
            (.mysql, [3, 0, 0, 0, 10, 65, 0], 1, .notSpoken("A\u{fffd}")),
            (
                .postgres, [0x45, 0xff, 0xff, 0xff, 0xff], 1,
                .notSpoken("E\u{fffd}\u{fffd}\u{fffd}\u{fffd}")
            ),
        ]
    )
    func lies(
        _ kind: StartTLSProtocol,
        _ bytes: [UInt8],
        _ times: Int,
        _ failure: DialogueFailure
    ) {
        let said = [UInt8](repeating: 0, count: times).flatMap { _ in bytes }
        for step in [97, Int.max] {
            #expect(play(kind, [said], step: step).end == .failed(failure))
        }
    }

    @Test("what a server says is shown short, and steers nothing")
    func words() {
        let said = "554 \u{1b}[31mred\u{202e}txet\u{7}" + String(repeating: "x", count: 500)
        let end = play(.smtp, [Array((said + "\r\n").utf8)]).end
        guard case .failed(.refused(let words)) = end else {
            Issue.record("\(end)")
            return
        }
        #expect(words.hasPrefix("554 \u{fffd}[31mred\u{fffd}txet\u{fffd}xxx"))
        #expect(words.utf8.count < 200)
    }

    @Test("XMPP's name of the server is escaped")
    func name() {
        let opening = Dialogue(.xmpp, name: "a'><b&").opening
        #expect(String(decoding: opening, as: UTF8.self).contains("to='a&apos;>&lt;b&amp;'"))
    }
}
