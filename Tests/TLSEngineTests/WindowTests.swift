// Memory that is smaller than a step would like: nothing is lost, the step says what it wants.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct WindowTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    func opened(_ version: ProtocolVersion = .tls13) throws -> EnginePair {
        let pair = try fixtures.pair(version)
        try pair.handshake()
        return pair
    }

    @Test(
        "a handshake succeeds with any room for output, and wants to write when it has none",
        arguments: [1, 2, 3, 7, 64, 4095, 4097],
        versions
    )
    func tinyOutput(_ capacity: Int, _ version: ProtocolVersion) throws {
        let pair = try fixtures.pair(version, key: .rsa2048)
        pair.outputCapacity = capacity
        try pair.handshake()
        #expect(pair.isReady)
        try pair.expectDataFlows()
    }

    @Test("the first step of a client without room produces nothing and wants to write")
    func noOutput() throws {
        var engine = try TLSEngine(fixtures.client(), remoteName: "localhost")
        for capacity in [0, 1] {
            let (bytes, result) = produced(capacity: capacity) { (output) throws(TLSError) in
                try engine.handshake(consuming: Span(), producing: &output)
            }
            #expect(bytes.count == capacity)
            #expect(result == .success(TLSEngine.Progress(consumed: 0, wants: .write)))
        }
        let (_, result) = produced { (output) throws(TLSError) in
            try engine.handshake(consuming: Span(), producing: &output)
        }
        #expect(result == .success(TLSEngine.Progress(consumed: 0, wants: .read)))
    }

    @Test(
        "plaintext arrives whole through any window",
        arguments: [1, 2, 3, 100, 16383, 16384, 16385],
        versions
    )
    func tinyPlaintext(_ capacity: Int, _ version: ProtocolVersion) throws {
        let pair = try opened(version)
        pair.plaintextCapacity = capacity
        let bytes = pattern(capacity < 10 ? 5000 : 50000)
        try pair.send(bytes, from: .server)
        #expect(pair.facts(.client).received == bytes)
        try pair.close(.server)
        #expect(pair.facts(.client).isAtEnd)
    }

    @Test("a full plaintext window shows in what is pending, and needs no more input")
    func pending() throws {
        let pair = try opened()
        let (record, _) = produced { (output) throws(TLSError) in
            try pair.server.engine.send(pattern(100).span, producing: &output)
        }
        var progress: [TLSEngine.Progress] = []
        var plaintext: [UInt8] = []
        var pending: [Int] = []
        for input in [record, [], []] {
            _ = produced { (output) throws(TLSError) in
                plaintext += try [UInt8](capacity: 40) { plaintext throws(TLSError) in
                    progress.append(
                        try pair.client.engine.receive(
                            input.span,
                            into: &plaintext,
                            producing: &output
                        )
                    )
                }
                return progress[0]
            }
            pending.append(pair.client.engine.pendingPlaintext)
        }
        #expect(plaintext == pattern(100))
        #expect(pending == [60, 20, 0])
        #expect(progress.map(\.consumed) == [record.count, 0, 0])
        #expect(progress.map(\.wants) == [.nothing, .nothing, .read])
    }

    @Test("without any room for plaintext nothing is consumed or lost")
    func noPlaintext() throws {
        let pair = try opened()
        let (record, _) = produced { (output) throws(TLSError) in
            try pair.server.engine.send([1].span, producing: &output)
        }
        let (_, result) = produced { (output) throws(TLSError) in
            var progress = TLSEngine.Progress(consumed: 0, wants: .read)
            _ = try [UInt8](capacity: 0) { plaintext throws(TLSError) in
                progress = try pair.client.engine.receive(
                    record.span,
                    into: &plaintext,
                    producing: &output
                )
            }
            return progress
        }
        #expect(result == .success(TLSEngine.Progress(consumed: 0, wants: .nothing)))
        pair.inject(record, towards: .client)
        #expect(pair.facts(.client).received == [1])
    }

    @Test("a record is made whole or not at all", arguments: versions)
    func tooLittleRoom(_ version: ProtocolVersion) throws {
        let pair = try opened(version)
        for room in [0, 1, 22, 100 + TLSEngine.recordOverheadMax - 1] {
            let (bytes, result) = produced(capacity: room) { (output) throws(TLSError) in
                try pair.client.engine.send(pattern(100).span, producing: &output)
            }
            #expect(bytes.isEmpty)
            #expect(result == .success(TLSEngine.Progress(consumed: 0, wants: .write)))
        }
        let room = 100 + TLSEngine.recordOverheadMax
        let (bytes, result) = produced(capacity: room) { (output) throws(TLSError) in
            try pair.client.engine.send(pattern(100).span, producing: &output)
        }
        #expect(result == .success(TLSEngine.Progress(consumed: 100, wants: .nothing)))
        pair.inject(bytes, towards: .server)
        #expect(pair.facts(.server).received == pattern(100))
    }

    @Test("as many records are made as there is room for, and the rest is asked for again")
    func partialSend() throws {
        let pair = try opened()
        let data = pattern(40000)
        let room = 2 * (TLSEngine.recordPlaintextMax + TLSEngine.recordOverheadMax)
        let (bytes, result) = produced(capacity: room) { (output) throws(TLSError) in
            try pair.client.engine.send(data.span, producing: &output)
        }
        #expect(result == .success(TLSEngine.Progress(consumed: 32768, wants: .write)))
        pair.inject(bytes, towards: .server)
        try pair.send(Array(data.dropFirst(32768)), from: .client)
        #expect(pair.facts(.server).received == data)
    }

    @Test("sending nothing makes nothing")
    func sendNothing() throws {
        let pair = try opened()
        let (bytes, result) = produced { (output) throws(TLSError) in
            try pair.client.engine.send(Span(), producing: &output)
        }
        #expect(bytes.isEmpty)
        #expect(result == .success(TLSEngine.Progress(consumed: 0, wants: .nothing)))
    }

    @Test(
        "a mebibyte goes through whole, each way, with every kind of suite",
        arguments: [
            "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-AES256-SHA384",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
        ]
    )
    func mebibyte(_ suite: String) throws {
        let pair = try EnginePair(
            client: fixtures.client { $0.cipherAlgorithms = [suite] },
            server: fixtures.server { $0.cipherAlgorithms = [suite] }
        )
        try pair.handshake()
        let bytes = pattern(1 << 20)
        for role in [TLSRole.client, .server] { try pair.send(bytes, from: role) }
        #expect(pair.facts(.server).received == bytes)
        #expect(pair.facts(.client).received == bytes)
        // No suite adds more to a record than is promised.
        let records = (1 << 20) / TLSEngine.recordPlaintextMax
        let overhead = pair.facts(.client).report.bytesSent - UInt64(1 << 20)
        #expect(overhead < UInt64((records + 10) * TLSEngine.recordOverheadMax))
    }

    @Test("output is appended behind what stands in the memory already")
    func appending() throws {
        var engine = try TLSEngine(fixtures.client(), remoteName: "localhost")
        let (bytes, _) = produced { (output) throws(TLSError) in
            output.append(0xaa)
            return try engine.handshake(consuming: Span(), producing: &output)
        }
        #expect(bytes.prefix(2) == [0xaa, 22])
    }
}
