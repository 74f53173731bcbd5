// The scanner of TLS 1.2's plaintext, alone: whatever the records look like, it finds the same, holds
// back the one byte, and never reads where it has no business.

import Testing

@testable import TLSEngine

/// A handshake message.
private func message(_ type: UInt8, _ body: [UInt8]) -> [UInt8] {
    [type, UInt8(body.count >> 16), UInt8(body.count >> 8 & 255), UInt8(body.count & 255)] + body
}

/// Messages in records of a size.
private func records(_ bytes: [UInt8], size: Int = 16384, type: UInt8 = 22) -> [UInt8] {
    stride(from: 0, to: bytes.count, by: size).flatMap { start -> [UInt8] in
        let part = bytes[start..<min(start + size, bytes.count)]
        return [type, 3, 3, UInt8(part.count >> 8), UInt8(part.count & 255)] + part
    }
}

private func vector(_ bytes: [UInt8]) -> [UInt8] {
    [UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes
}

private func serverHello(suite: UInt16, sessionID: Int = 32) -> [UInt8] {
    let random = [UInt8](repeating: 7, count: 32)
    let id = [UInt8](repeating: 9, count: sessionID)
    let end: [UInt8] = [UInt8(suite >> 8), UInt8(suite & 255), 0, 0, 0]
    return message(2, [3, 3] + random + [UInt8(sessionID)] + id + end)
}

private let suites: Set<UInt16> = [0xccac, 0x00aa]
private let certificate = message(11, [UInt8](repeating: 14, count: 700))
private let done = message(14, [])

@Suite struct KeyExchangeScannerTests {
    private func scanner(_ role: TLSRole, limit: Int = 256) -> KeyExchangeScanner {
        KeyExchangeScanner(role: role, suites: suites, limit: limit)
    }

    /// Scans a stream in pieces, as an engine does; stops where a byte is held back.
    private func scan(
        _ scanner: inout KeyExchangeScanner,
        _ bytes: [UInt8],
        _ piece: Int
    ) -> Int {
        var place = 0
        while place < bytes.count {
            let end = min(place + piece, bytes.count)
            let taken = scanner.scan(bytes.span.extracting(place..<end))
            place += taken
            if place < end { return place }
        }
        return place
    }

    @Test(
        "a server's hint is found, and one byte held back, however it is cut",
        arguments: [1, 3, 50, 16384]
    )
    func hint(size: Int) {
        let flight =
            serverHello(suite: 0xccac) + certificate
            + message(12, vector(Array("who?".utf8)) + [1, 2, 3]) + done
        let bytes = records(flight, size: size)
        for piece in [1, 2, 7, 1000, bytes.count] {
            var scanner = scanner(.client)
            #expect(scan(&scanner, bytes, piece) == bytes.count - 1)
            #expect(scanner.finding == .hint(Array("who?".utf8)))
            // Asked again, it holds back still.
            #expect(scanner.scan([0].span) == 0)
            scanner.release()
            #expect(scanner.scan([0].span) == 1)
            #expect(scanner.isOver)
        }
    }

    @Test("a flight without hint, and one without ServerKeyExchange, has none")
    func noHint() {
        for middle in [message(12, vector([]) + [4, 5]), []] {
            let bytes = records(serverHello(suite: 0x00aa, sessionID: 0) + middle + done)
            var scanner = scanner(.client)
            #expect(scan(&scanner, bytes, 5) == bytes.count - 1)
            #expect(scanner.finding == .hint(nil))
        }
    }

    @Test("a client's name is found wherever the two ends of a piece fall")
    func identity() {
        let name = Array("meter 4711".utf8)
        let flight = message(16, vector(name) + [UInt8](repeating: 3, count: 40))
        for size in [1, 2, 9, 16384] {
            let bytes = records(flight, size: size) + [20, 3, 3, 0, 1, 1]
            let held = bytes.count - 7
            for cut in 0...bytes.count {
                var scanner = scanner(.server)
                let first = scanner.scan(bytes.span.extracting(..<cut))
                #expect(first == min(cut, held))
                let rest = scanner.scan(bytes.span.extracting(first...))
                #expect(first + rest == held)
                #expect(scanner.finding == .identity(name))
            }
        }
    }

    @Test("a plain key exchange, which is a name and nothing else, is found")
    func plain() {
        var scanner = scanner(.server)
        let bytes = records(message(16, vector([1, 2, 3])))
        #expect(scan(&scanner, bytes, 1) == bytes.count - 1)
        #expect(scanner.finding == .identity([1, 2, 3]))
    }

    @Test("a name at the limit is found, one byte more ends the scan", arguments: [0, 1])
    func limit(over: Int) {
        var scanner = scanner(.server, limit: 16)
        let name = [UInt8](repeating: 65, count: 16 + over)
        let bytes = records(message(16, vector(name)))
        #expect(scan(&scanner, bytes, 4) == bytes.count - 1 + over)
        #expect(scanner.finding == (over == 0 ? .identity(name) : .none))
        #expect(scanner.isOver == (over == 1))
    }

    @Test(
        "what does not look as it should ends the scan, and nothing is held back",
        arguments: [
            // Another suite, and TLS 1.3.
            records(serverHello(suite: 0xc02b) + done),
            records(serverHello(suite: 0x1301) + done),
            // A session is resumed.
            records(serverHello(suite: 0xccac)) + records([1], type: 20) + records(done),
            // No suite at all, a session id past the end, an id of impossible size.
            records(message(2, []) + done),
            records(message(2, [3, 3] + [UInt8](repeating: 1, count: 32) + [32, 1]) + done),
            records(
                message(
                    2,
                    [3, 3] + [UInt8](repeating: 1, count: 32) + [255]
                        + [UInt8](repeating: 1, count: 300)
                ) + done
            ),
            // A hint past its message.
            records(serverHello(suite: 0xccac) + message(12, [0, 9, 1]) + done),
            records(serverHello(suite: 0xccac) + message(12, [0]) + done),
            // Application data, a type that does not exist, a record too large.
            records([1, 2, 3], type: 23) + records(done),
            records([1, 2, 3], type: 99) + records(done),
            [22, 3, 3, 0xff, 0xff] + [UInt8](repeating: 14, count: 100),
        ]
    )
    func unexpected(bytes: [UInt8]) {
        for piece in [1, 11, bytes.count] {
            var scanner = scanner(.client)
            #expect(scan(&scanner, bytes, piece) == bytes.count)
            #expect(scanner.isOver)
            #expect(scanner.finding == .none)
        }
    }

    @Test("warnings between the messages are passed over")
    func warning() {
        let alert = records([1, 112], type: 21)
        let bytes = alert + records(serverHello(suite: 0xccac)) + alert + records(done)
        var scanner = scanner(.client)
        #expect(scan(&scanner, bytes, 3) == bytes.count - 1)
        #expect(scanner.finding == .hint(nil))
    }

    @Test("a ServerHelloDone that carries something is OpenSSL's to judge")
    func loudDone() {
        var scanner = scanner(.client)
        let bytes = records(serverHello(suite: 0xccac) + message(14, [1]) + message(0, []))
        #expect(scan(&scanner, bytes, 8) == bytes.count)
        #expect(scanner.finding == .none)
    }

    @Test("no bytes of anybody's make it hold back more than one place, or forget where it is")
    func garbage() {
        var random = SystemRandomNumberGenerator()
        let flight = records(
            serverHello(suite: 0xccac) + certificate + message(12, vector([1])) + done
        )
        for _ in 0..<3000 {
            var bytes = flight
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] = .random(
                    in: .min ... .max,
                    using: &random
                )
            }
            var whole = scanner(.client)
            let taken = scan(&whole, bytes, bytes.count)
            var pieces = scanner(.client)
            #expect(scan(&pieces, bytes, 3) == taken)
            #expect(pieces.finding == whole.finding)
            #expect(taken == bytes.count || whole.finding != .none)
        }
    }
}
