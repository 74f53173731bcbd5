// CertificateStatus of TLS 1.2 (RFC 6066 §8), which travels in the clear and so can be bent in any way.

import TLSEngine
import TLSTestKit
import Testing

/// Gives a test the messages of a flight to change.
private func rewriting(
    _ change: @escaping (inout [[UInt8]]) -> Void
) -> ([UInt8]) -> [UInt8] {
    { bytes in
        guard bytes.first == 22 else { return bytes }
        var stream: [UInt8] = []
        var rest = bytes[...]
        while rest.count >= 5, rest.first == 22 {
            let header = Array(rest.prefix(5))
            let count = Int(header[3]) << 8 | Int(header[4])
            stream += rest.dropFirst(5).prefix(count)
            rest = rest.dropFirst(5 + count)
        }
        var messages: [[UInt8]] = []
        var unread = stream[...]
        while unread.count >= 4 {
            let size = Array(unread.prefix(4))
            let count = 4 + Int(size[1]) << 16 + Int(size[2]) << 8 + Int(size[3])
            messages.append(Array(unread.prefix(count)))
            unread = unread.dropFirst(count)
        }
        change(&messages)
        return messages.flatMap { message -> [UInt8] in
            stride(from: 0, to: message.count, by: 16000).flatMap { start -> [UInt8] in
                let part = message[start..<min(start + 16000, message.count)]
                return [22, 3, 3, UInt8(part.count >> 8), UInt8(part.count & 0xFF)] + part
            }
        } + rest
    }
}

/// A message of the type CertificateStatus.
private func status(_ body: [UInt8]) -> [UInt8] {
    [22, UInt8(body.count >> 16), UInt8(body.count >> 8 & 0xFF), UInt8(body.count & 0xFF)] + body
}

/// One way to bend the message.
struct StatusRow: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let code: TLSError.Code
    let change: @Sendable (inout [UInt8]) -> Void

    init(
        _ name: String,
        _ code: TLSError.Code,
        _ change: @escaping @Sendable (inout [UInt8]) -> Void
    ) {
        testDescription = name
        self.code = code
        self.change = change
    }

    static let all = [
        StatusRow("of another type than OCSP", .protocolViolation) { $0[4] = 2 },
        StatusRow("longer than its message", .protocolViolation) { $0[6] &+= 1 },
        StatusRow("shorter than its message", .protocolViolation) { $0 = status([1, 0, 0, 0, 9]) },
        StatusRow("of no bytes", .protocolViolation) { $0 = status([1, 0, 0, 0]) },
        StatusRow("an empty message", .protocolViolation) { $0 = status([]) },
        StatusRow("a megabyte", .handshakeMessageTooLarge) {
            $0 = status([1, 0x10, 0, 0] + [UInt8](repeating: 0x30, count: 1 << 20))
        },
        StatusRow("garbage", .certificateRejected) { $0 = status([1, 0, 0, 2, 0x30, 0x05]) },
    ]
}

@Suite(.timeLimit(.minutes(1)))
struct CertificateStatusTests {
    @Test("a bent message is refused for what it is", arguments: StatusRow.all)
    func bent(_ row: StatusRow) throws {
        var stage = try StapleStage()
        stage.version = .tls12
        try stage.answer()
        stage.tamper = rewriting { messages in
            guard let place = messages.firstIndex(where: { $0.first == 22 }) else { return }
            row.change(&messages[place])
        }
        let report = try stage.meet()
        #expect(report.error?.code == row.code, "\(String(describing: report.error))")
        #expect(!report.isComplete && report.ocspStaple == nil)
    }

    @Test("a message that was not asked for breaks the protocol")
    func unasked() throws {
        var stage = try StapleStage()
        stage.version = .tls12
        stage.trust.revocation = .off
        stage.asks = false
        stage.tamper = rewriting { messages in
            guard let place = messages.firstIndex(where: { $0.first == 11 }) else { return }
            messages.insert(status([1, 0, 0, 1, 0x30]), at: place + 1)
        }
        let report = try stage.meet()
        #expect(report.error?.code == .protocolViolation)
        #expect(report.alertSent?.code == 10)
    }

    @Test("a second message breaks the protocol, and one that was announced may stay away")
    func count() throws {
        var stage = try StapleStage()
        stage.version = .tls12
        try stage.answer()
        stage.tamper = rewriting { messages in
            guard let place = messages.firstIndex(where: { $0.first == 22 }) else { return }
            messages.insert(messages[place], at: place)
        }
        #expect(try stage.meet().error?.code == .protocolViolation)
        stage.trust.revocation = .require
        stage.tamper = rewriting { $0.removeAll { $0.first == 22 } }
        #expect(try stage.refusal() == .revocationUnknown)
    }
}
