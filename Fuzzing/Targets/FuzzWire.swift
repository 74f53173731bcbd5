// The wire from the peer to the engine, record by record, and the operations on it.

import TLSEngine

struct FuzzWire: ~Copyable {
    var engine: EngineUnderTest
    private let peer: FuzzPeer
    private let pieces: Int
    /// Records of the peer that the engine has not got.
    private var records: [[UInt8]] = []
    private var isTouched = false
    /// Whether the peer has changed to encrypted records, as far as that shows.
    private var isEncrypted = false

    init(_ engine: consuming EngineUnderTest, _ peer: FuzzPeer, pieces: Int) {
        self.engine = engine
        self.peer = peer
        self.pieces = pieces
    }

    /// Lets the side that speaks first speak.
    mutating func begin() {
        engine.advance([])
        exchange(engine.takeOutput())
    }

    mutating func operate(_ script: inout ScriptReader) {
        let kind = script.byte() % 16
        switch kind {
        case 13:
            isTouched = true
            engine.end()
        case 14:
            let (action, count) = (script.byte(), script.word())
            take(peer.act(action, count % 20000))
        case 15: actAsOwner(&script)
        case 7:
            isTouched = true
            deliver(script.block())
        default:
            guard !records.isEmpty else { return }
            if kind != 0, kind != 9 { isTouched = true }
            alter(kind, &script)
        }
    }

    private mutating func alter(_ kind: UInt8, _ script: inout ScriptReader) {
        var record = records.removeFirst()
        if record[0] == 20 { isEncrypted = true }
        switch kind {
        case 1: record[script.word() % record.count] ^= max(script.byte(), 1)
        case 2: record = Self.record(like: record, record.dropFirst(5).prefix(script.word()))
        case 3: record = Array(record.prefix(script.word() % record.count))
        case 4: return
        case 5: deliver(record)
        case 6 where !records.isEmpty: records.insert(record, at: 1)
        case 8: record = Self.record(like: [script.byte(), 3, 3], script.block()[...])
        case 9:
            let size = Int(script.byte()) + 1
            var rest = record.dropFirst(5)
            // Encrypted records cannot be split, only cut.
            guard record[0] == 22, !isEncrypted else { break }
            while rest.count > size {
                deliver(Self.record(like: record, rest.prefix(size)))
                rest = rest.dropFirst(size)
            }
            record = Self.record(like: record, rest)
        case 10: record[Int(script.byte()) % min(5, record.count)] = script.byte()
        case 11, 12: record = Self.spliced(record, &script, fixing: kind == 12)
        default: break
        }
        if kind == 6, !records.isEmpty { record = records.removeFirst() }
        deliver(record)
    }

    private mutating func actAsOwner(_ script: inout ScriptReader) {
        let action = script.byte() % 4
        let count = script.word()
        switch action {
        case 0: engine.send(count % 20000)
        case 1: engine.close()
        case 2: engine.engine.releaseBuffers()
        default: engine.plaintextRoom = count % 1000 + 1
        }
        exchange(engine.takeOutput())
    }

    /// Passes on what is left, ends the transport, and judges.
    mutating func finish(isTouched isChainTouched: Bool = false) {
        var rounds = 0
        while !engine.isDone, !records.isEmpty {
            deliver(records.removeFirst())
            rounds += 1
            require(rounds < 100_000, "the two come to an end")
        }
        let hadClosed = engine.hasClosed
        if !engine.isDone { engine.end() }
        exchange(engine.takeOutput())
        require(peer.sent.starts(with: engine.received), "what is received was sent")
        if engine.isAtEnd {
            require(peer.hasClosed, "a stream ends well only when the peer says so")
            require(peer.sent == engine.received, "and then it is whole")
        }
        if !isTouched, !isChainTouched, !hadClosed {
            require(engine.isReady, "an untouched handshake is done")
        }
        note(15, engine.readReport() % 2, engine.isReady ? 1 : 0, engine.isAtEnd ? 1 : 0)
    }

    // MARK: Bytes

    private mutating func deliver(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty, !engine.isDone {
            let piece = Array(rest.prefix(pieces))
            rest = rest.dropFirst(piece.count)
            engine.advance(piece)
            exchange(engine.takeOutput())
        }
    }

    /// Gives the peer what the engine said, and takes its answer.
    private mutating func exchange(_ bytes: [UInt8]) {
        take(peer.step(bytes))
    }

    private mutating func take(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while rest.count >= 5 {
            let start = rest.startIndex
            let count = 5 + (Int(rest[start + 3]) << 8 | Int(rest[start + 4]))
            records.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
    }

    private static func record(like record: [UInt8], _ payload: ArraySlice<UInt8>) -> [UInt8] {
        let count = min(payload.count, 65535)
        return record.prefix(3) + [UInt8(count >> 8), UInt8(count & 0xff)] + payload.prefix(count)
    }

    /// A record with bytes of the script put in, and the lengths around them made right if asked:
    /// the record's and that of the handshake message at its front.
    private static func spliced(
        _ record: [UInt8],
        _ script: inout ScriptReader,
        fixing: Bool
    ) -> [UInt8] {
        var payload = Array(record.dropFirst(5))
        let place = script.word() % (payload.count + 1)
        let block = script.block()
        payload.insert(contentsOf: block, at: place)
        if fixing, payload.count >= 4, place >= 4 {
            let length = Int(payload[1]) << 16 | Int(payload[2]) << 8 | Int(payload[3])
            let fixed = length + block.count
            payload[1] = UInt8(fixed >> 16 & 0xff)
            payload[2] = UInt8(fixed >> 8 & 0xff)
            payload[3] = UInt8(fixed & 0xff)
        }
        return Self.record(like: record, payload[...])
    }
}
