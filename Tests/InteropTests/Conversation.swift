// What is said over a ready socket, the same against every peer that answers in kind and whichever
// side is ours.

import Glibc
import Sockets
import TLSEngine
import TLSTestKit
import Testing

/// Bytes there and back, in pieces of a size.
struct EchoRow: Sendable, CustomTestStringConvertible {
    var version = ProtocolVersion.tls13
    var key = TestKey.p256
    /// How many bytes, the same as in ``mebibyte`` over and over.
    var count = mebibyte.count
    /// The bytes of a single write of both sides.
    var piece = 1 << 16

    var testDescription: String { "\(version), \(key), \(count) bytes in pieces of \(piece)" }

    /// What it shows.
    var feature: InteropFeature {
        if count > mebibyte.count { return .bulk }
        return piece == 1 << 16 ? .transfer : .pieces
    }

    /// Every version with every key.
    static let transfers = HandshakeRow.versions.flatMap { version in
        HandshakeRow.keys.map { EchoRow(version: version, key: $0) }
    }

    /// Around the size of a record (RFC 8446 §5.1), and one byte at a time.
    static let pieces = HandshakeRow.versions.flatMap { version in
        [16_383, 16_384, 16_385].map { EchoRow(version: version, piece: $0) }
            + [EchoRow(version: version, count: 1000, piece: 1)]
    }

    static let bulk = [EchoRow(count: 100 * mebibyte.count)]

    static let all = transfers + pieces + bulk

    /// What goes over, in one piece.
    var body: [UInt8] {
        guard count > mebibyte.count else { return Array(mebibyte.prefix(count)) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        for _ in 0..<(count / mebibyte.count) { bytes += mebibyte }
        return bytes
    }

    /// The SHA-256 of what goes over, in hexadecimal.
    var digest: String {
        count > mebibyte.count ? Self.bulkDigest : hexadecimalDigest(Array(mebibyte.prefix(count)))
    }

    private static let bulkDigest =
        hexadecimalDigest(bulk[0].body)
}

/// The SHA-256 of bytes as peers write it.
func hexadecimalDigest(_ bytes: [UInt8]) -> String {
    OpenSSLLibrary.sha256(bytes).map { byte in
        let digits = String(byte, radix: 16)
        return byte < 16 ? "0" + digits : digits
    }.joined()
}

extension Socket {
    /// Sends bytes by writes of a size.
    func write(_ bytes: [UInt8], inPiecesOf size: Int) async throws {
        for start in stride(from: 0, to: bytes.count, by: size) {
            try await write(Array(bytes[start..<min(start + size, bytes.count)]))
        }
    }

    /// Sends what the row says, receives it back at the same time, and both ends.
    ///
    /// This side ends first: what comes then comes over a half-closed connection.
    func expectEcho(_ row: EchoRow) async throws {
        async let sent: Void = send(row)
        let received = try await receive(row)
        try await sent
        #expect(received == row.count)
        #expect(await closed == .clean(nil))
    }

    /// Sends what the row says, and an end.
    func send(_ row: EchoRow, andEnd: Bool = true) async throws {
        var left = row.count
        // The pattern twice, so that a piece never has to be put together.
        let pattern = mebibyte + mebibyte
        while left > 0 {
            let start = (row.count - left) % mebibyte.count
            let count = min(row.piece, left)
            try await write(Array(pattern[start..<(start + count)]))
            left -= count
        }
        if andEnd { try await shutdownWrite() }
    }

    /// Receives up to the end.
    ///
    /// - Returns: How many bytes came and were what was sent, up to the first that was not.
    func receive(_ row: EchoRow) async throws -> Int {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        var received = 0
        while true {
            let count = try await read(into: &buffer)
            guard count > 0 else { return received }
            var checked = 0
            while checked < count {
                let start = (received + checked) % mebibyte.count
                let length = min(count - checked, mebibyte.count - start)
                guard isSame(buffer, checked, mebibyte, start, length) else {
                    return received + checked
                }
                checked += length
            }
            received += count
        }
    }

    /// Sends 1 MiB and its end, and receives a digest of it behind that.
    func expectAnswerBehindOurEnd() async throws {
        try await write(mebibyte)
        try await shutdownWrite()
        let answer = try await readToEnd()
        #expect(String(decoding: answer, as: UTF8.self) == EchoRow().digest)
        #expect(await closed == .clean(nil))
    }

    /// Sends 1 MiB and its end, and receives nothing but an end.
    func expectEndBehindOurs() async throws {
        try await write(mebibyte)
        try await shutdownWrite()
        #expect(try await readToEnd().isEmpty)
        #expect(await closed == .clean(nil))
    }

    /// Receives a greeting and the end behind it, and sends 1 MiB then.
    func expectSendingBehindTheirEnd() async throws {
        #expect(try await readToEnd() == Array("greeting".utf8))
        try await write(mebibyte)
        try await close()
        #expect(await closed == .clean(nil))
    }

    /// Receives something, and an end that is none.
    func expectCut() async throws {
        try await write("now")
        #expect(try await read(exactly: 5) == Array("hello".utf8))
        let error = await #expect(throws: SocketError.self) { try await self.read() }
        #expect(error == SocketError(.truncated, tls: TLSError(.truncated)))
        #expect(error?.phase == .open)
        #expect(await closed == .truncated)
    }
}

/// Whether two parts of arrays are the same; far faster than slices in a build for debugging.
private func isSame(_ a: [UInt8], _ i: Int, _ b: [UInt8], _ j: Int, _ count: Int) -> Bool {
    precondition(i + count <= a.count && j + count <= b.count)
    return unsafe a.withUnsafeBytes { a in
        unsafe b.withUnsafeBytes { b in
            guard let a = a.baseAddress, let b = b.baseAddress else { return count == 0 }
            // Both parts lie within their arrays: see the precondition.
            return unsafe memcmp(a + i, b + j, count) == 0
        }
    }
}
