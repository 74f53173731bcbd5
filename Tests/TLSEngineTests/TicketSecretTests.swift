// Secrets of a fleet: their form in a file, and what is none.

import TLSEngine
import Testing

@Suite struct TicketSecretTests {
    private let hex = String(repeating: "0aF1", count: 16)
    private var secret: SecretBytes {
        SecretBytes(Array(repeatElement([0x0A, 0xF1] as [UInt8], count: 16).joined()))
    }

    private func read(_ text: String) throws(TLSError) -> TicketSecrets {
        try TicketSecrets(reading: SecretBytes(text))
    }

    @Test("a file has a secret a line, since when it seals, comments, and a word that drops others")
    func form() throws {
        let one = try TicketSecret(secret)
        let later = try TicketSecret(secret, from: UnixTime(seconds: 1_800_000_000))
        let rows: [(String, TicketSecrets)] = [
            (hex, try TicketSecrets([one])),
            (hex + "\n", try TicketSecrets([one])),
            ("# made today\r\n\r\n \t" + hex + " # one\r\n", try TicketSecrets([one])),
            (hex + " 1800000000\n" + hex, try TicketSecrets([later, one])),
            ("drop-others\n" + hex, try TicketSecrets([one], dropsOthers: true)),
            (hex + "\n drop-others # leaked", try TicketSecrets([one], dropsOthers: true)),
        ]
        for (text, expected) in rows { #expect(try read(text) == expected) }
    }

    @Test(
        "what is no secret is refused, and nothing of it is told",
        arguments: [
            "", "\n\n# nothing\n", "drop-others", "0a", "zz",
            String(repeating: "a", count: 63), String(repeating: "a", count: 62),
            String(repeating: "ag", count: 32), String(repeating: "aa", count: 1025),
            String(repeating: "aa", count: 32) + " yesterday",
            String(repeating: "aa", count: 32) + " -5",
            String(repeating: "aa", count: 32) + " 99999999999999999999",
            String(repeating: "aa", count: 32) + " 1 2", "drop-others now",
            String(repeating: "\u{E9}", count: 64), String(repeating: "\0", count: 64),
        ]
    )
    func malformed(_ text: String) {
        let error = #expect(throws: TLSError.self) { try read(text) }
        #expect(error?.code == .invalidTicketSecret && error?.category == .local)
        #expect(error?.description.contains("aaaa") == false)
    }

    @Test("a secret has 32 to 1,024 bytes, a source gives 1 to 16, a text has up to 64 KiB")
    func limits() throws {
        for count in [32, 1024] { _ = try TicketSecret([UInt8](repeating: 7, count: count)) }
        for count in [0, 31, 1025] {
            #expect(throws: TLSError(.invalidTicketSecret)) {
                try TicketSecret([UInt8](repeating: 7, count: count))
            }
        }
        let one = try TicketSecret(secret)
        for count in [1, 16] {
            _ = try TicketSecrets(Array(repeating: one, count: count))
        }
        for count in [0, 17] {
            #expect(throws: TLSError(.invalidTicketSecret)) {
                try TicketSecrets(Array(repeating: one, count: count))
            }
        }
        let comment = "\n#" + String(repeating: "x", count: (64 << 10) - hex.utf8.count - 2)
        _ = try read(hex + comment)
        #expect(throws: TLSError(.invalidTicketSecret)) { try read(hex + comment + "x") }
    }

    @Test("a secret prints nothing of itself")
    func redacted() throws {
        let secrets = try TicketSecrets([TicketSecret(secret)])
        var text = ""
        dump(secrets, to: &text)
        text += "\(secrets)"
        #expect(text.contains("<redacted>") && !text.contains("241") && !text.contains("f1"))
    }
}
