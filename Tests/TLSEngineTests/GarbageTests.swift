// What is no TLS at all, and what is too much of it.

import COpenSSL
import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct GarbageTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// One row: the first bytes of a peer, and what each side makes of them.
    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let server: TLSError.Code
        let client: TLSError.Code
    }

    static let rows: [Row] = [
        Row(
            testDescription: "an HTTP request",
            bytes: Array("GET / HTTP/1.1\r\n\r\n".utf8),
            server: .notTLS,
            client: .notTLS
        ),
        Row(
            testDescription: "an HTTP proxy request",
            bytes: Array("CONNECT localhost:443 HTTP/1.1\r\n\r\n".utf8),
            server: .notTLS,
            client: .notTLS
        ),
        Row(
            testDescription: "an HTTP answer",
            bytes: Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8),
            server: .notTLS,
            client: .notTLS
        ),
        Row(
            testDescription: "an SSH greeting",
            bytes: Array("SSH-2.0-OpenSSH_9.2\r\n".utf8),
            server: .notTLS,
            client: .notTLS
        ),
        Row(
            testDescription: "zeros",
            bytes: [UInt8](repeating: 0, count: 100),
            server: .notTLS,
            client: .notTLS
        ),
        Row(
            testDescription: "a handshake record of 32,767 bytes",
            bytes: [22, 3, 3, 0x7f, 0xff] + pattern(100),
            server: .recordOverflow,
            client: .recordOverflow
        ),
        Row(
            testDescription: "application data",
            bytes: [23, 3, 3, 0, 5, 1, 2, 3, 4, 5],
            server: .protocolViolation,
            client: .protocolViolation
        ),
        Row(
            testDescription: "a message of an unknown type",
            bytes: [22, 3, 3, 0, 4, 99, 0, 0, 0],
            server: .protocolViolation,
            client: .protocolViolation
        ),
        Row(
            testDescription: "a hello of 16 MiB",
            bytes: [22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff],
            server: .clientHelloTooLarge,
            client: .protocolViolation
        ),
        Row(
            testDescription: "a fatal alert",
            bytes: [21, 3, 3, 0, 2, 2, 80],
            server: .protocolViolation,
            client: .alertReceived
        ),
        Row(
            testDescription: "close_notify",
            bytes: [21, 3, 3, 0, 2, 1, 0],
            server: .protocolViolation,
            client: .closedDuringHandshake
        ),
        Row(
            testDescription: "an alert of three bytes",
            bytes: [21, 3, 3, 0, 3, 2, 80, 0],
            server: .protocolViolation,
            client: .protocolViolation
        ),
    ]

    @Test("a peer that begins with something else is told by name", arguments: rows)
    func firstBytes(_ row: Row) throws {
        for chunk in [1, Int.max] {
            for role in [TLSRole.server, .client] {
                // The other engine's bytes are held back: this peer only says what the row has.
                let pair = try EnginePair(client: fixtures.client(), server: fixtures.server()) {
                    _,
                    _ in []
                }
                pair.chunk = chunk
                pair.settle()
                pair.inject(row.bytes, towards: role)
                let error = pair.errors[role]
                let expected = role == .server ? row.server : row.client
                #expect(error?.code == expected, "\(role), \(String(reflecting: error))")
                #expect(error?.phase == (role == .server ? .clientHello : .serverHello))
                #expect(error?.category == .peer)
                if expected == .notTLS { #expect(error?.hint != nil) }
            }
        }
    }

    @Test("random bytes never succeed, never hang and never trap")
    func randomBytes() throws {
        var random = SystemRandomNumberGenerator()
        let (client, server) = try (fixtures.client(), fixtures.server())
        for _ in 0..<200 {
            let count = Int.random(in: 1...300, using: &random)
            var bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            // Half of them look like a handshake record.
            if Bool.random(using: &random) { bytes = [22, 3, 1, 0, UInt8(count & 0xff)] + bytes }
            let pair = try EnginePair(client: client, server: server) { _, _ in [] }
            pair.settle()
            for role in [TLSRole.server, .client] {
                pair.inject(bytes, towards: role)
                pair.endWire(towards: role)
                #expect(pair.errors[role]?.category == .peer, "\(bytes)")
            }
        }
    }

    @Test("clear text behind the handshake is no record", arguments: versions)
    func clearText(_ version: ProtocolVersion) throws {
        for role in [TLSRole.client, .server] {
            let pair = try fixtures.pair(version)
            try pair.handshake()
            pair.inject(Array("250 2.0.0 OK: queued\r\n".utf8), towards: role)
            #expect(pair.errors[role] == TLSError(.badRecord))
            #expect(pair.errors[role]?.phase == .open)
        }
    }

    @Test(
        "a record that is too large, altered, replayed or unencrypted is refused",
        arguments: versions
    )
    func badRecords(_ version: ProtocolVersion) throws {
        func opened() throws -> EnginePair {
            let pair = try fixtures.pair(version)
            try pair.handshake()
            return pair
        }
        let large = try opened()
        large.inject([23, 3, 3, 0x7f, 0xff] + pattern(100), towards: .client)
        #expect(large.errors[.client] == TLSError(.recordOverflow))

        let replayed = try opened()
        let (record, _) = produced { (output) throws(TLSError) in
            try replayed.server.engine.send([1, 2, 3].span, producing: &output)
        }
        replayed.inject(record, towards: .client)
        #expect(replayed.facts(.client).received == [1, 2, 3])
        replayed.inject(record, towards: .client)
        #expect(replayed.errors[.client] == TLSError(.badRecord))
        #expect(replayed.errors[.server] == TLSError(.alertReceived, alert: .badRecordMAC))

        let altered = try opened()
        let (sound, _) = produced { (output) throws(TLSError) in
            try altered.server.engine.send([1, 2, 3].span, producing: &output)
        }
        var broken = sound
        broken[broken.count - 1] ^= 1
        altered.inject(broken, towards: .client)
        #expect(altered.errors[.client] == TLSError(.badRecord))

        let plain = try opened()
        plain.inject([21, 3, 3, 0, 2, 1, 0], towards: .client)
        let codes: [TLSError.Code] = [.badRecord, .protocolViolation]
        #expect(codes.contains { $0 == plain.errors[.client]?.code })
        #expect(!plain.facts(.client).peerHasClosed)
    }

    @Test(
        "a record too short for its cipher is the peer's fault",
        arguments: [
            "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305",
            "ECDHE-ECDSA-AES128-CCM", "ECDHE-ECDSA-AES128-SHA256", "TLS_AES_128_GCM_SHA256",
            "TLS_CHACHA20_POLY1305_SHA256",
        ]
    )
    func shortRecords(cipher: String) throws {
        let version: ProtocolVersion = cipher.hasPrefix("TLS_") ? .tls13 : .tls12
        let client = try fixtures.client {
            $0.allowOnly(version)
            $0.cipherAlgorithms = [cipher]
        }
        let server = try fixtures.server {
            $0.allowOnly(version)
            $0.cipherAlgorithms = [cipher]
        }
        // Encrypt-then-MAC (RFC 7366) looks at the length alone first: OpenSSL's alert is decode_error.
        let isBlockCipher = cipher == "ECDHE-ECDSA-AES128-SHA256"
        let code: TLSError.Code = isBlockCipher ? .protocolViolation : .badRecord
        for role in [TLSRole.client, .server] {
            // Around the bytes in front of the ciphertext and behind it: 8, 16, 24 in all.
            for count in [0, 1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 25] {
                let pair = try EnginePair(client: client, server: server)
                try pair.handshake()
                let type: UInt8 = count % 2 == 0 ? 22 : 23
                pair.inject([type, 3, 3, 0, UInt8(count)] + pattern(count), towards: role)
                let error = pair.errors[role]
                #expect(error?.category == .peer, "\(count): \(String(reflecting: error))")
                #expect(error?.code == code, "\(count): \(String(reflecting: error))")
            }
        }
    }

    @Test("data in front of a bad record is delivered, and the failure behind it told at once")
    func dataBeforeFailure() throws {
        let pair = try fixtures.pair()
        try pair.handshake()
        let (record, _) = produced { (output) throws(TLSError) in
            try pair.server.engine.send([1, 2, 3].span, producing: &output)
        }
        let bytes = record + [23, 3, 3, 0, 20] + pattern(20)
        var plaintext: [UInt8] = []
        func receive(_ bytes: [UInt8]) -> Result<TLSEngine.Progress, TLSError> {
            produced { (output) throws(TLSError) in
                var progress = TLSEngine.Progress(consumed: 0, wants: .nothing)
                plaintext += try [UInt8](capacity: 100) { plaintext throws(TLSError) in
                    progress = try pair.client.engine.receive(
                        bytes.span,
                        into: &plaintext,
                        producing: &output
                    )
                }
                return progress
            }
            .result
        }
        let first = try receive(bytes).get()
        #expect(plaintext == [1, 2, 3])
        // Not `.read`: whoever waited for more would wait for ever.
        #expect(first == TLSEngine.Progress(consumed: bytes.count, wants: .nothing))
        #expect(receive([]) == .failure(TLSError(.badRecord)))
        #expect(receive([]) == .failure(TLSError(.badRecord)))
    }

    @Test("an error that other code left on the thread is not taken for the connection's")
    func foreignErrors() throws {
        let pair = try fixtures.pair()
        try pair.handshake()
        ERR_new()
        unsafe ERR_set_debug("", 0, "")
        // The last argument would be a format; there is none.
        unsafe withVaList([]) { unsafe ERR_vset_error(ERR_LIB_SSL, 294, nil, $0) }
        pair.inject([23, 3, 3, 0, 20] + pattern(20), towards: .client)
        #expect(pair.errors[.client] == TLSError(.badRecord))
    }

    @Test("a ClientHello may be as large as the limit, and no larger")
    func clientHelloLimit() throws {
        let client = try fixtures.client { $0.alpn = (0..<80).map { "protocol-\($0)" } }
        var hello = 0
        let counting = try EnginePair(client: client, server: fixtures.server()) { sender, chunk in
            if sender == .client, hello == 0 { hello = chunk.count }
            return chunk
        }
        try counting.handshake()
        try #require(hello > 1000)
        for (limit, isEnough) in [(hello, true), (hello - 1, false), (6, false), (1, false)] {
            for chunk in [1, 7, Int.max] {
                let server = try fixtures.server { $0.limits.clientHelloBytes = limit }
                let pair = try EnginePair(client: client, server: server)
                pair.chunk = chunk
                pair.settle()
                #expect(pair.isReady == isEnough)
                guard !isEnough else { continue }
                #expect(pair.errors[.server] == TLSError(.clientHelloTooLarge))
                #expect(pair.errors[.server]?.phase == .clientHello)
                #expect(pair.errors[.client] == TLSError(.alertReceived, alert: .decodeError))
                #expect(pair.facts(.server).report.bytesReceived == UInt64(limit))
            }
        }
    }

    @Test("the hello behind a HelloRetryRequest has the limit to itself, and the data has none")
    func secondHello() throws {
        let client = try fixtures.client { $0.groups = ["x25519", "P-384"] }
        var largest = 0
        var hellos = 0
        let counting = try EnginePair(
            client: client,
            server: fixtures.server { $0.groups = ["P-384"] }
        ) { sender, chunk in
            if sender == .client, hellos < 2 {
                largest = max(largest, chunk.count)
                hellos += 1
            }
            return chunk
        }
        try counting.handshake()
        for (limit, isEnough) in [(largest, true), (largest - 1, false)] {
            let server = try fixtures.server {
                $0.groups = ["P-384"]
                $0.limits.clientHelloBytes = limit
            }
            let pair = try EnginePair(client: client, server: server)
            pair.settle()
            #expect(pair.isReady == isEnough)
            guard isEnough else {
                #expect(pair.errors[.server] == TLSError(.clientHelloTooLarge))
                continue
            }
            try pair.send(pattern(100_000), from: .client)
            #expect(pair.facts(.server).received.count == 100_000)
        }
    }

    @Test("a hello in many small fragments pays for their headers")
    func fragments() throws {
        let server = try fixtures.server { $0.limits.clientHelloBytes = 100 }
        let pair = try EnginePair(client: fixtures.client(), server: server) { _, _ in [] }
        pair.settle()
        var bytes: [UInt8] = []
        for byte in [1, 0, 1, 0] + pattern(50) { bytes += [22, 3, 1, 0, 1, byte] }
        pair.inject(bytes, towards: .server)
        #expect(pair.errors[.server] == TLSError(.clientHelloTooLarge))
    }

    @Test("empty records are taken a few at a time, and a flood of them ends the connection")
    func emptyRecords() throws {
        let pair = try EnginePair(client: fixtures.client(), server: fixtures.server()) { _, _ in []
        }
        pair.settle()
        for _ in 0..<64 { pair.inject([22, 3, 1, 0, 0], towards: .server) }
        let codes: [TLSError.Code] = [.badRecord, .protocolViolation]
        #expect(codes.contains { $0 == pair.errors[.server]?.code })
    }
}
