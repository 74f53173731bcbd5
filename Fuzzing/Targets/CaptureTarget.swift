// Target `capture`. Input: a flag, then the bytes of a capture, or a script of segments of which a capture is
// made: what a client and a server said, cut, moved, sent again, altered.
// Passes when a capture says the same however it is cut into pieces, when no more flows are told than there
// are, texts are bounded, and when a flow whose segments all came, in whatever order and however often, is the
// flow that came in order.

import TLSInspection

func fuzzCapture(_ input: [UInt8]) {
    var script = ScriptReader(input)
    let flag = script.byte()
    switch flag & 3 {
    case 0, 1: readCapture(script.rest(), pieces: 1 + Int(flag >> 2))
    case 2: readCapture(SegmentScript(&script).capture, pieces: 1 + 16 * Int(flag >> 2))
    default: checkOrder(&script)
    }
}

@discardableResult
private func readCapture(_ bytes: [UInt8], pieces size: Int) -> [FlowRecord] {
    let whole = told(bytes, pieces: max(1, bytes.count))
    // Not more than two hundred pieces: it is their edges that matter.
    let cut = told(bytes, pieces: max(size, bytes.count / 200))
    require(whole.flows == cut.flows, "the flows do not depend on the pieces")
    require(whole.summary == cut.summary, "the summary does not depend on the pieces")
    guard let summary = whole.summary else {
        note(1)
        return []
    }
    let skipped = summary.skipped.values.reduce(0, +)
    require(skipped <= summary.packets, "no more packets are skipped than there are")
    require(
        whole.flows.count + summary.hidden + summary.middle <= summary.flows,
        "flows are told once"
    )
    require(summary.findings.count <= CaptureLimits.findings + 1, "findings have an end")
    note(2, min(summary.flows, 4), min(summary.answered, 2), min(summary.packets, 8))
    for flow in whole.flows {
        note(3, flow.findings.count, flow.answer == nil ? 0 : 1)
        require(flow.packets <= summary.packets, "a flow has no more packets than the capture")
        require(flow.findings.allSatisfy { $0.text.utf8.count < 300 }, "\(flow.findings) are short")
        require(flow.hello.beginning?.utf8.count ?? 0 <= 4 * 64, "a beginning is one")
        require(flow.hello.size <= CaptureLimits.helloBytes, "a hello has its limit")
    }
    return whole.flows
}

private func told(
    _ bytes: [UInt8],
    pieces size: Int
) -> (flows: [FlowRecord], summary: CaptureSummary?) {
    var filter = CaptureFilter()
    filter.includesOthers = true
    var inspection = CaptureInspection(file: "-", filter: filter)
    var flows: [FlowRecord] = []
    do throws(CaptureFault) {
        for start in stride(from: 0, to: bytes.count, by: size) {
            flows += try inspection.read(Array(bytes[start..<min(start + size, bytes.count)]))
        }
        flows += try inspection.finish()
        return (flows, inspection.summary)
    } catch {
        require(error.reason.utf8.count < 120, "\(error.reason) says no more than it has to")
        require(flows.isEmpty, "what is no capture has no flows")
        return ([], nil)
    }
}

// MARK: Segments

/// A segment of the conversation: who sent it, where it begins, and what it is.
private struct Piece {
    var isFromClient: Bool
    var start: Int
    var bytes: [UInt8]
}

/// The same pieces in order and in the script's order have the same meaning.
private func checkOrder(_ script: inout ScriptReader) {
    let base = UInt32(script.word()) << 16 | 0xfff0
    let size = 1 + Int(script.byte())
    var pieces: [Piece] = []
    for (isFromClient, bytes) in [(true, sampleHello), (false, sampleAnswer)] {
        for start in stride(from: 0, to: bytes.count, by: size) {
            let end = min(start + size, bytes.count)
            pieces.append(
                Piece(isFromClient: isFromClient, start: start, bytes: Array(bytes[start..<end]))
            )
        }
    }
    let inOrder = readCapture(CaptureText(pieces, base).bytes, pieces: 4096)
    var moved: [Piece] = []
    var rest = pieces
    while !rest.isEmpty {
        let place = Int(script.byte()) % rest.count
        moved.append(rest[place])
        if script.byte() & 3 != 0 { rest.remove(at: place) }
        guard moved.count < 600 else { break }
    }
    let again = readCapture(CaptureText(moved + rest, base).bytes, pieces: 4096)
    require(inOrder.count == 1 && again.count == 1, "it is one flow")
    guard let first = inOrder.first, let second = again.first else { return }
    require(first.hello.sni == "a.test", "the hello is read")
    require(first.answer?.suite?.id == "1301", "the answer is read")
    require(
        second.hello.ja3 == first.hello.ja3 && second.hello.sni == first.hello.sni,
        "the same hello"
    )
    require(second.answer == first.answer, "the same answer")
    require(!second.findings.contains { $0.id == "segments-disagree" }, "nothing disagrees")
}

/// A capture made of what a script says.
private struct SegmentScript {
    var capture: [UInt8] = []

    init(_ script: inout ScriptReader) {
        var pieces: [Piece] = []
        while !script.isAtEnd, pieces.count < 200 {
            let kind = script.byte()
            let isFromClient = kind & 1 == 0
            let source = kind & 2 == 0 ? sampleHello : sampleAnswer
            let (start, count) = (script.word(), Int(script.byte()))
            var bytes = Array(source.dropFirst(start % source.count).prefix(count))
            if kind & 4 != 0, !bytes.isEmpty { bytes[Int(script.byte()) % bytes.count] ^= kind | 1 }
            if kind & 8 != 0 { bytes = script.block() }
            pieces.append(
                Piece(
                    isFromClient: isFromClient,
                    start: kind & 16 == 0 ? start % source.count : start,
                    bytes: bytes
                )
            )
        }
        capture = CaptureText(pieces, 0x7fff_fff0).bytes
    }
}

/// A capture of one flow: raw IPv4, low byte first.
private struct CaptureText {
    private(set) var bytes: [UInt8] = []

    init(_ pieces: [Piece], _ base: UInt32) {
        bytes = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0] + [UInt8](repeating: 0, count: 8)
        bytes += [0xff, 0xff, 0, 0, 101, 0, 0, 0]
        add(true, base &- 1, flags: 2, [])
        add(false, base &- 1, flags: 0x12, [])
        for piece in pieces {
            add(
                piece.isFromClient,
                base &+ UInt32(truncatingIfNeeded: piece.start),
                flags: 0x18,
                piece.bytes
            )
        }
    }

    private mutating func add(
        _ isFromClient: Bool,
        _ number: UInt32,
        flags: UInt8,
        _ payload: [UInt8]
    ) {
        let total = 40 + payload.count
        let length = [UInt8(total & 255), UInt8(total >> 8), 0, 0]
        bytes += [0, 0, 0, 0, 0, 0, 0, 0] + length + length
        bytes += [0x45, 0, UInt8(total >> 8), UInt8(total & 255), 0, 0, 0, 0, 64, 6, 0, 0]
        bytes += isFromClient ? [10, 0, 0, 1, 10, 0, 0, 2] : [10, 0, 0, 2, 10, 0, 0, 1]
        bytes += isFromClient ? [200, 0, 1, 187] : [1, 187, 200, 0]
        // Nothing is acknowledged but the SYN: both directions begin at the same number.
        bytes += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
        let isAnswer = flags == 0x12
        let expected = isAnswer ? number &+ 1 : 0
        bytes += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: expected >> $0) }
        bytes += [0x50, flags == 0x18 ? 0x08 : flags, 255, 255, 0, 0, 0, 0] + payload
    }
}

private func message(_ kind: UInt8, _ body: [UInt8]) -> [UInt8] {
    let message = [kind, 0, UInt8(body.count >> 8), UInt8(body.count & 255)] + body
    return [22, 3, 1, UInt8(message.count >> 8), UInt8(message.count & 255)] + message
}

/// A ClientHello for a.test.
private let sampleHello: [UInt8] = {
    let name = Array("a.test".utf8)
    let extensions: [UInt8] =
        [0, 0, 0, 11, 0, 9, 0, 0, 6] + name + [0, 10, 0, 4, 0, 2, 0, 0x1d, 0, 43, 0, 3, 2, 3, 4]
        + [0, 13, 0, 4, 0, 2, 4, 3, 0, 16, 0, 5, 0, 3, 2, 0x68, 0x32]
    let head: [UInt8] = [3, 3] + [UInt8](repeating: 5, count: 32) + [0, 0, 4, 0x13, 1, 0xc0, 0x2b]
    return message(
        1,
        head + [1, 0, UInt8(extensions.count >> 8), UInt8(extensions.count & 255)] + extensions
    )
}()

/// A ServerHello of TLS 1.3, and what is encrypted behind it.
private let sampleAnswer: [UInt8] = {
    let body: [UInt8] =
        [3, 3] + [UInt8](repeating: 7, count: 32) + [0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4]
    return message(2, body) + [20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 3, 9, 9, 9]
}()

func captureSeeds() -> [String: [UInt8]] {
    let hello = Piece(isFromClient: true, start: 0, bytes: sampleHello)
    let answer = Piece(isFromClient: false, start: 0, bytes: sampleAnswer)
    let capture = CaptureText([hello, answer], 1000).bytes
    var seeds = ["seed-pcap": [0] + capture, "seed-order": [3, 0, 1, 40] + Array(0...60)]
    seeds["seed-script"] = [2, 0, 0, 0, 255, 3, 0, 0, 255, 2, 0, 9, 20]
    // The first packets again in blocks, with an interface that counts in milliseconds.
    var blocks: [UInt8] = [10, 13, 13, 10, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0]
    blocks += [UInt8](repeating: 255, count: 8) + [28, 0, 0, 0]
    blocks += [1, 0, 0, 0, 32, 0, 0, 0, 101, 0, 0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 3, 0, 0, 0]
    blocks += [0, 0, 0, 0, 32, 0, 0, 0]
    var rest = capture.dropFirst(24)
    while rest.count > 16 {
        let start = rest.startIndex
        let count = Int(rest[start + 8]) | Int(rest[start + 9]) << 8
        let packet = rest.dropFirst(16).prefix(count)
        rest = rest.dropFirst(16 + count)
        let filling = [UInt8](repeating: 0, count: (4 - count % 4) % 4)
        let total = 32 + count + filling.count
        let length = [UInt8(total & 255), UInt8(total >> 8), 0, 0]
        let size = [UInt8(count & 255), UInt8(count >> 8), 0, 0]
        blocks += [6, 0, 0, 0] + length + [UInt8](repeating: 0, count: 12) + size + size
        blocks += packet + filling + length
    }
    seeds["seed-pcapng"] = [0] + blocks
    return seeds
}
