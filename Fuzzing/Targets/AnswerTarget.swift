// Target `answer`. Input: a flag and bytes, which are what a server says to a raw ClientHello as they are,
// a body of one handshake message behind a ServerHello, or the same in small records.
// Passes when there is one answer or none, however the bytes are cut, and nothing is kept without bound.

import TLSEngine
import TLSInspection

func fuzzAnswer(_ input: [UInt8]) {
    var script = ScriptReader(input)
    let flag = script.byte()
    let rest = script.rest()
    let bytes: [UInt8]
    switch flag & 3 {
    case 0, 1: bytes = rest
    case 2: bytes = answerRecord(22, serverHello) + answerRecord(22, [flag >> 2] + framed(rest))
    default: bytes = answerRecord(22, [2] + framed(rest)) + answerRecord(21, [2, 40])
    }
    var reader = ServerReader()
    let answer = reader.read(bytes)
    let step = 1 + Int(flag >> 4)
    var slow = ServerReader()
    var found: RawAnswer?
    for start in stride(from: 0, to: bytes.count, by: step) where found == nil {
        found = slow.read(Array(bytes[start..<min(start + step, bytes.count)]))
    }
    require(found == answer, "\(step) bytes at a time are \(String(describing: answer))")
    guard case .flight(let flight) = reader.ending(or: answer ?? .closed) else {
        return note(1, bytes.count % 8)
    }
    note(2, flight.extensions.count % 8, flight.certificates.count, Int(flight.suite % 16))
    require(flight.certificates.count <= 16, "\(flight.certificates.count) certificates are kept")
    require(Set(flight.extensions).count == flight.extensions.count, "an extension stands once")
}

/// A ServerHello of TLS 1.2 with ECDHE.
private let serverHello: [UInt8] =
    [2, 0, 0, 38, 3, 3] + [UInt8](repeating: 7, count: 32) + [0, 0xc0, 0x2b, 0]

private func framed(_ body: [UInt8]) -> [UInt8] {
    let count = body.count
    return [UInt8(count >> 16 & 255), UInt8(count >> 8 & 255), UInt8(count & 255)] + body
}

private func answerRecord(_ kind: UInt8, _ contents: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    for start in stride(from: 0, to: contents.count, by: 16384) {
        let piece = contents[start..<min(start + 16384, contents.count)]
        bytes += [kind, 3, 3, UInt8(piece.count >> 8), UInt8(piece.count & 255)] + piece
    }
    return bytes
}

func answerSeeds() -> [String: [UInt8]] {
    let random = [UInt8](repeating: 7, count: 32)
    let hello = [3, 3] + random + [0, 0x13, 0x01, 0, 0, 14]
    let extensions: [UInt8] = [0, 43, 0, 2, 3, 4, 0, 51, 0, 4, 0, 0x1d, 0, 0]
    let exchange: [UInt8] = [3, 0, 0x1d, 1, 9, 4, 3, 0, 1, 5]
    return [
        "seed-alert": [0] + answerRecord(21, [2, 40]),
        "seed-13": [3] + hello + extensions,
        "seed-hello": [0] + answerRecord(22, serverHello),
        "seed-exchange": [2 | 12 << 2] + exchange,
        "seed-certificates": [2 | 11 << 2, 0, 0, 5, 0, 0, 2, 48, 0],
        "seed-done": [2 | 14 << 2],
        "seed-http": [0] + Array("HTTP/1.1 400 Bad Request\r\n".utf8),
    ]
}
