// What is said to programs that answer line by line.

import Sockets
import Testing

/// 1 MiB in lines: s_server reverses lines, without their ends, and reads less than 16 KiB as one.
struct Lines: Sendable {
    let sent: [UInt8]
    let reversed: [UInt8]

    private init(_ words: [ArraySlice<UInt8>]) {
        sent = Array(words.joined(separator: [10])) + [10]
        reversed = Array(words.map { Array($0.reversed()) }.joined(separator: [10])) + [10]
    }

    private static let words = mebibyte.split { $0 % 61 == 0 || $0 == 10 || $0 == 13 }
    private static let many = Lines(words)
    private static let few = Lines(Array(words.prefix(20)))

    /// What a row takes, and how often.
    static func of(_ row: EchoRow) -> (lines: Lines, times: Int) {
        row.count < mebibyte.count ? (few, 1) : (many, row.count / mebibyte.count)
    }
}

extension Socket {
    /// Sends lines and receives the answers at the same time, all of the row's size.
    func expectLines(_ row: EchoRow, areReversed: Bool) async throws {
        let (lines, times) = Lines.of(row)
        async let sent: Void = send(lines.sent, times, inPiecesOf: row.piece)
        let expected = areReversed ? lines.reversed : lines.sent
        for _ in 0..<times {
            let isSame = try await read(exactly: expected.count) == expected
            #expect(isSame)
            guard isSame else { break }
        }
        try await sent
    }

    private func send(_ bytes: [UInt8], _ times: Int, inPiecesOf piece: Int) async throws {
        for _ in 0..<times { try await write(bytes, inPiecesOf: piece) }
    }
}
