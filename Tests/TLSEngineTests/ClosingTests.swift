// How a connection ends: close_notify each way, half open, cut off.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct ClosingTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    static let sides: [TLSRole] = [.client, .server]

    func opened(_ version: ProtocolVersion) throws -> EnginePair {
        let pair = try fixtures.pair(version)
        try pair.handshake()
        return pair
    }

    func other(_ role: TLSRole) -> TLSRole { role == .client ? .server : .client }

    @Test(
        "behind one side's close_notify data still flows the other way, until that closes too",
        arguments: sides,
        versions
    )
    func halfClose(_ role: TLSRole, _ version: ProtocolVersion) throws {
        let pair = try opened(version)
        try pair.send([1, 2, 3], from: role)
        try pair.close(role)
        let peer = other(role)
        #expect(pair.facts(peer).isAtEnd && pair.facts(peer).peerHasClosed)
        #expect(!pair.facts(role).isAtEnd && !pair.facts(role).peerHasClosed)
        #expect(pair.facts(peer).received == [1, 2, 3])
        #expect(pair.facts(role).isOpen && pair.facts(peer).isOpen)
        #expect(pair.facts(role).phase == .closing)

        let long = pattern(40000)
        try pair.send(long, from: peer)
        #expect(pair.facts(role).received == long)
        #expect(throws: TLSError(.engineClosed)) { try pair.send([4], from: role) }

        try pair.close(peer)
        #expect(pair.facts(role).isAtEnd && pair.facts(role).peerHasClosed)
        #expect(!pair.facts(role).isOpen && !pair.facts(peer).isOpen)
        #expect(throws: TLSError(.engineClosed)) { try pair.send([4], from: peer) }
        #expect(pair.errors.isEmpty)
        #expect(pair.facts(role).report.alertSent == .closeNotify)
        #expect(pair.facts(role).report.alertReceived == .closeNotify)
    }

    @Test("closing again says nothing again")
    func closingTwice() throws {
        var engine = try TLSEngine(fixtures.client(), remoteName: "localhost")
        let (bytes, result) = produced { (output) throws(TLSError) in
            try engine.close(producing: &output)
        }
        #expect(bytes.isEmpty)
        #expect(result == .success(TLSEngine.Progress(consumed: 0, wants: .nothing)))

        let pair = try opened(.tls13)
        for expected in [true, false] {
            let (bytes, result) = produced { (output) throws(TLSError) in
                try pair.client.engine.close(producing: &output)
            }
            #expect(bytes.isEmpty == !expected)
            #expect(result == .success(TLSEngine.Progress(consumed: 0, wants: .nothing)))
        }
    }

    @Test("closing without room is asked for again, and works then", arguments: [0, 1, 10])
    func closingWithoutRoom(_ room: Int) throws {
        let pair = try opened(.tls13)
        var bytes: [UInt8] = []
        var wants = TLSEngine.Wants.write
        var capacity = room
        while wants == .write {
            let (some, result) = produced(capacity: capacity) { (output) throws(TLSError) in
                try pair.client.engine.close(producing: &output)
            }
            bytes += some
            wants = try result.get().wants
            capacity = 64
        }
        pair.inject(bytes, towards: .server)
        #expect(pair.facts(.server).isAtEnd)
        #expect(pair.errors.isEmpty)
    }

    @Test(
        "a side that closes before it has read its tickets reads them, and the data behind them"
    )
    func ticketsBehindClose() throws {
        // Nothing of the server arrives after its first flight until the client has closed.
        var held: [UInt8] = []
        var flights = 0
        let pair = try fixtures.pair { sender, chunk in
            guard sender == .server else { return chunk }
            flights += 1
            guard flights > 1 else { return chunk }
            held += chunk
            return []
        }
        try pair.handshake()
        try pair.send(Array("late".utf8), from: .server)
        try pair.close(.client)
        let late = held
        #expect(late.count > 200)
        pair.inject(late, towards: .client)
        #expect(pair.facts(.client).received == Array("late".utf8))
        #expect(pair.facts(.client).report.tickets.count == 1)
        #expect(pair.errors.isEmpty)
    }

    @Test(
        "the end of the wire without close_notify is a truncation, with it a clean end",
        arguments: sides,
        versions
    )
    func truncation(_ role: TLSRole, _ version: ProtocolVersion) throws {
        let pair = try opened(version)
        try pair.send(pattern(100), from: other(role))
        pair.endWire(towards: role)
        // OpenSSL tells the other side, should it still listen.
        let told = TLSError(.alertReceived, alert: .decodeError)
        #expect(pair.errors == [role: TLSError(.truncated), other(role): told])
        #expect(pair.errors[role]?.phase == .open)
        #expect(pair.facts(role).received == pattern(100))
        #expect(!pair.facts(role).peerHasClosed)

        let clean = try opened(version)
        try clean.close(other(role))
        clean.endWire(towards: role)
        #expect(clean.errors.isEmpty)
        #expect(clean.facts(role).isAtEnd)
    }

    @Test("a wire that ends in the middle of a record is a truncation", arguments: versions)
    func truncationInRecord(_ version: ProtocolVersion) throws {
        let pair = try opened(version)
        let (record, _) = produced { (output) throws(TLSError) in
            try pair.server.engine.send(pattern(10).span, producing: &output)
        }
        pair.inject(Array(record.dropLast()), towards: .client)
        #expect(pair.errors.isEmpty)
        pair.endWire(towards: .client)
        #expect(pair.errors[.client] == TLSError(.truncated))
        #expect(pair.facts(.client).received.isEmpty)
    }

    @Test("behind a half-close a truncation is still one", arguments: versions)
    func truncationBehindClose(_ version: ProtocolVersion) throws {
        let pair = try opened(version)
        try pair.close(.client)
        pair.endWire(towards: .client)
        #expect(pair.errors == [.client: TLSError(.truncated)])
    }

    @Test("data before and after the handshake's time is refused with the right code")
    func order() throws {
        var engine = try TLSEngine(fixtures.client(), remoteName: "localhost")
        func send(_ engine: inout TLSEngine) -> Result<TLSEngine.Progress, TLSError> {
            produced { (output) throws(TLSError) in
                try engine.send([1].span, producing: &output)
            }
            .result
        }
        func receive(_ engine: inout TLSEngine) -> Result<TLSEngine.Progress, TLSError> {
            produced { (output) throws(TLSError) in
                var progress = TLSEngine.Progress(consumed: 0, wants: .nothing)
                _ = try [UInt8](capacity: 16) { plaintext throws(TLSError) in
                    progress = try engine.receive([1].span, into: &plaintext, producing: &output)
                }
                return progress
            }
            .result
        }
        let early: Result<TLSEngine.Progress, TLSError> = .failure(TLSError(.handshakeIncomplete))
        #expect(send(&engine) == early)
        #expect(receive(&engine) == early)
        _ = produced { (output) throws(TLSError) in try engine.close(producing: &output) }
        let late: Result<TLSEngine.Progress, TLSError> = .failure(TLSError(.engineClosed))
        #expect(send(&engine) == late)
        #expect(receive(&engine) == late)
        let peerHasClosed = engine.peerHasClosed
        #expect(!peerHasClosed)
        let handshake = produced { (output) throws(TLSError) in
            try engine.handshake(consuming: Span(), producing: &output)
        }
        #expect(handshake.result == late)
    }

    @Test("the handshake step does nothing once the handshake is done")
    func handshakeAgain() throws {
        let pair = try opened(.tls13)
        let (bytes, result) = produced { (output) throws(TLSError) in
            try pair.client.engine.handshake(consuming: [1, 2].span, producing: &output)
        }
        #expect(bytes.isEmpty)
        #expect(result == .success(TLSEngine.Progress(consumed: 0, wants: .nothing)))
        try pair.expectDataFlows()
    }

    @Test("a failed engine tells the same failure at every step, and closes quietly")
    func afterFailure() throws {
        let pair = try fixtures.pair()
        pair.inject(Array("GET / HTTP/1.1\r\n\r\n".utf8), towards: .server)
        #expect(pair.errors[.server] == TLSError(.notTLS))
        for _ in 0..<2 {
            let handshake = produced { (output) throws(TLSError) in
                try pair.server.engine.handshake(consuming: [1].span, producing: &output)
            }
            #expect(handshake.bytes.isEmpty)
            #expect(handshake.result == .failure(TLSError(.notTLS)))
            let send = produced { (output) throws(TLSError) in
                try pair.server.engine.send([1].span, producing: &output)
            }
            #expect(send.result == .failure(TLSError(.notTLS)))
            let close = produced { (output) throws(TLSError) in
                try pair.server.engine.close(producing: &output)
            }
            #expect(close.bytes.isEmpty)
            #expect(close.result == .success(TLSEngine.Progress(consumed: 0, wants: .nothing)))
        }
        #expect(pair.facts(.server).phase == .clientHello)
        #expect(pair.facts(.server).report.error == TLSError(.notTLS))
    }

    @Test("idle engines give their buffers back and go on", arguments: versions)
    func releasedBuffers(_ version: ProtocolVersion) throws {
        let pair = try opened(version)
        for _ in 0..<2 {
            pair.client.engine.releaseBuffers()
            pair.server.engine.releaseBuffers()
            try pair.expectDataFlows()
        }
    }
}
