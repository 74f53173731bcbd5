// What a server makes of offers that no client of ours makes: many names, none, malformed ones; and what
// becomes of a handshake with keys that is cut or altered anywhere.

import TLSTestKit
import Testing

@testable import TLSEngine

@Suite(.timeLimit(.minutes(1)))
struct PresharedKeyOfferTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// The ClientHello of a client with a key, with other contents of `pre_shared_key`.
    private func hello(offering contents: [UInt8]) throws -> [UInt8] {
        let key = try PresharedKeyInfo.made(20, for: .tls13(.sha256))
        var engine = try TLSEngine(
            fixtures.client { $0.decisions = .presharedKey },
            remoteName: "localhost"
        )
        _ = produced { output throws(TLSError) in
            try engine.handshake(consuming: Span(), producing: &output)
        }
        try engine.answer(.presharedKey(key))
        let records = produced { output throws(TLSError) in
            try engine.handshake(consuming: Span(), producing: &output)
        }.bytes
        let hello = try #require(try ClientHello(reading: records))
        let last = try #require(hello.extensions.last)
        try #require(last.number == OfferedKeys.number)
        // The extension comes last (RFC 8446 §4.2.11).
        let body = hello.message.dropFirst(4)
        let total = hello.extensions.map { $0.contents.count + 4 }.reduce(0, +)
        let front = body.prefix(body.count - total - 2)
        let kept = hello.extensions.dropLast().flatMap { entry -> [UInt8] in
            number(entry.number) + number(entry.contents.count) + entry.contents
        }
        let all = kept + number(OfferedKeys.number) + number(contents.count) + contents
        let message = Array(front) + number(all.count) + all
        let framed = [1, UInt8(message.count >> 16)] + number(message.count & 0xffff) + message
        return stride(from: 0, to: framed.count, by: 16384).flatMap { start -> [UInt8] in
            let part = framed[start..<min(start + 16384, framed.count)]
            return [22, 3, 1] + number(part.count) + part
        }
    }

    private func number<Value: BinaryInteger>(_ value: Value) -> [UInt8] {
        [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)]
    }

    /// Gives a hello to a server, and answers nil to whatever it asks.
    private func asked(
        _ hello: [UInt8],
        identities: [TLSIdentity] = [],
        _ configure: (inout TLSPolicy) -> Void = { _ in }
    ) throws -> (names: [PresharedKeyIdentity], error: TLSError?) {
        var engine = try TLSEngine(
            fixtures.server(identities: identities) {
                $0.decisions = .presharedKey
                configure(&$0)
            }
        )
        var names: [PresharedKeyIdentity] = []
        var consumed = 0
        while true {
            let start = consumed
            let step = produced { output throws(TLSError) in
                try engine.handshake(consuming: hello.span.extracting(start...), producing: &output)
            }
            switch step.result {
            case .failure(let error): return (names, error)
            case .success(let progress):
                consumed += progress.consumed
                guard progress.wants == .decision else { return (names, nil) }
                guard case .presharedKey(.identity(let name, .tls13))? = engine.question else {
                    Issue.record("another question")
                    return (names, nil)
                }
                names.append(name)
                try engine.answer(.presharedKey(nil))
            }
        }
    }

    @Test("names are asked about in order, as many as the limit says", arguments: [1, 3, 4, 5])
    func count(_ count: Int) throws {
        let names = (0..<count).map { [UInt8(65 + $0), 1] }
        let hello = try hello(offering: PresharedKeyInfoTests.offer(names))
        let (asked, error) = try asked(hello)
        #expect(asked.map(\.bytes) == Array(names.prefix(4)))
        #expect(error == TLSError(.presharedKeyUnknown))
        let all = try self.asked(hello) { $0.limits.presharedKeyIdentities = 5 }
        #expect(all.names.count == count)
    }

    @Test("as many sessions are looked up as the limit says", arguments: [1, 4, 5])
    func sessions(_ count: Int) throws {
        // As long as the number of a session; others are tickets, or names of keys.
        let names = (0..<count).map { [UInt8](repeating: UInt8(65 + $0), count: 32) } + [[1, 2]]
        let hello = try hello(offering: PresharedKeyInfoTests.offer(names))
        var engine = try TLSEngine(fixtures.server { $0.decisions = .session })
        var asked: [[UInt8]] = []
        var consumed = 0
        var wants = TLSEngine.Wants.decision
        while wants == .decision {
            let start = consumed
            let progress = try produced { output throws(TLSError) in
                try engine.handshake(consuming: hello.span.extracting(start...), producing: &output)
            }.result.get()
            consumed += progress.consumed
            wants = progress.wants
            guard wants == .decision, case .session(let request)? = engine.question else { break }
            asked.append(request.id)
            try engine.answer(.session(nil))
        }
        #expect(asked == Array(names.dropLast().prefix(4)))
    }

    @Test("names over the limit of size are passed over, and count as unknown")
    func size() throws {
        let names = [[UInt8](repeating: 1, count: 257), [UInt8](repeating: 2, count: 256)]
        let (asked, error) = try asked(hello(offering: PresharedKeyInfoTests.offer(names)))
        #expect(asked.map(\.bytes) == [names[1]])
        #expect(error == TLSError(.presharedKeyUnknown))
    }

    @Test("a ticket of this server, whole or not, is nobody's name")
    func ticket() throws {
        let pair = try EnginePair(client: fixtures.client(), server: fixtures.server())
        try pair.handshake()
        try pair.expectDataFlows()
        let ticket = try #require(pair.session(of: .client)?.ticket)
        #expect(pair.server.engine.context.isOwnTicket(PresharedKeyIdentity(bytes: ticket)))
        let start = PresharedKeyIdentity(bytes: Array(ticket.prefix(16)))
        #expect(pair.server.engine.context.isOwnTicket(start))
        let less = PresharedKeyIdentity(bytes: Array(ticket.prefix(15)))
        #expect(try !fixtures.server().isOwnTicket(PresharedKeyIdentity(bytes: ticket)))
        #expect(!pair.server.engine.context.isOwnTicket(less))
    }

    @Test("with a certificate unknown names are passed over, and the handshake goes on")
    func passedOver() throws {
        let hello = try hello(offering: PresharedKeyInfoTests.offer([[1], [2]]))
        let (asked, error) = try asked(hello, identities: [fixtures.serverIdentity()])
        #expect(asked.count == 2)
        #expect(error == nil)
    }

    @Test("what cannot be read is OpenSSL's to refuse", arguments: [[], [0], [0, 9, 0], [0, 0]])
    func malformed(contents: [UInt8]) throws {
        let (asked, error) = try asked(hello(offering: contents))
        #expect(asked == [])
        #expect(error != nil)
    }

    @Test(
        "a handshake that is cut anywhere ends on both sides, and nobody is proved",
        arguments: keyUses
    )
    func cut(_ use: PresharedKeyInfo.Use) throws {
        let key = try PresharedKeyInfo.made(for: use)
        func stage(_ tamper: EnginePair.Tamper? = nil) throws -> KeyStage {
            try KeyStage(
                fixtures,
                client: KeyTable(begin: key),
                server: KeyTable(known: [key]),
                clientPolicy: {
                    $0.cipherAlgorithms = use == .tls12 ? ["ECDHE-PSK-CHACHA20-POLY1305"] : nil
                },
                // Tickets behind the handshake are no part of it.
                serverPolicy: { $0.ticketCount = 0 },
                tamper: tamper
            )
        }
        let whole = try stage()
        whole.run()
        for sender in [TLSRole.client, .server] {
            let count = whole.pair.delivered[sender] ?? 0
            for place in stride(from: 0, to: count, by: 3) {
                var seen = 0
                let cut = try stage { role, chunk in
                    guard role == sender else { return chunk }
                    defer { seen += chunk.count }
                    return Array(chunk.prefix(max(0, place - seen)))
                }
                cut.run()
                cut.pair.endWire(towards: sender == .client ? .server : .client)
                let receiver: TLSRole = sender == .client ? .server : .client
                #expect(cut.pair.errors[receiver]?.code == .closedDuringHandshake, "byte \(place)")
                #expect(!cut.pair.facts(receiver).isReady)
                #expect(cut.authentication(receiver) == nil)
            }
        }
    }

    @Test("a session of a certificate is not offered with a key that is insisted on")
    func session() throws {
        let client = try fixtures.client { $0.decisions = .presharedKey }
        let server = try fixtures.server { $0.decisions = .presharedKey }
        let first = try EnginePair(client: client, server: server)
        first.decide = { _, _ in .presharedKey(nil) }
        try first.handshake()
        try first.expectDataFlows()
        let session = try #require(first.session(of: .client))
        let key = try PresharedKeyInfo.made(for: .tls13(.sha256))
        // A session that is not offered is not used up.
        for hasKey in [true, false] {
            let pair = try EnginePair(client: client, server: server, resuming: session)
            pair.decide = { _, _ in .presharedKey(hasKey ? key : nil) }
            try pair.handshake()
            let expected: HandshakeAuthentication =
                hasKey ? .presharedKey("meter 4711") : .resumption(presharedKey: nil)
            #expect(pair.facts(.client).report.authentication == expected)
            #expect(pair.facts(.server).report.authentication == expected)
            #expect(pair.facts(.client).report.isResumed == !hasKey)
            #expect(
                pair.facts(.client).report.withheldSession == (hasKey ? .otherAuthentication : nil)
            )
        }
    }
}
