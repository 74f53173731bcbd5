// What an engine tells of alerts, tickets and key updates while they pass.

import Synchronization
import TLSEngine
import TLSTestKit
import Testing

/// What passed, as one side saw it.
private final class Passages: Sendable {
    private let passed = Mutex<[TLSPassage]>([])

    var all: [TLSPassage] { passed.withLock { $0 } }

    /// What came since the last look.
    func take() -> [TLSPassage] {
        passed.withLock { passed in
            defer { passed = [] }
            return passed
        }
    }

    func add(_ passage: TLSPassage) { passed.withLock { $0.append(passage) } }
}

/// Has both sides of a pair watched.
private func watch(_ pair: EnginePair) -> (client: Passages, server: Passages) {
    let (client, server) = (Passages(), Passages())
    pair.client.engine.watch { client.add($0) }
    pair.server.engine.watch { server.add($0) }
    return (client, server)
}

@Suite struct TLSPassageTests {
    @Test(
        "tickets and goodbyes are told on both sides, in order, however the bytes are cut",
        arguments: versions,
        [1, Int.max]
    )
    func whole(_ version: ProtocolVersion, chunk: Int) throws {
        let pair = try Fixtures.shared().pair(version)
        let (client, server) = watch(pair)
        try pair.handshake(chunk: chunk)
        try pair.expectDataFlows()
        #expect(server.take() == [.ticketSent])
        let tickets = pair.facts(.client).report.tickets
        #expect(tickets.count == 1)
        #expect(client.take() == tickets.map { .ticketReceived($0) })
        try pair.close(.client)
        try pair.close(.server)
        let sent = TLSPassage.alertSent(.closeNotify, phase: .closing)
        let received = TLSPassage.alertReceived(.closeNotify, phase: .closing)
        #expect(client.all == [sent, received])
        #expect(server.all == [received, sent])
    }

    @Test("an alert of the handshake is told with its phase", arguments: versions)
    func refusal(_ version: ProtocolVersion) throws {
        let fixtures = try Fixtures.shared()
        let pair = try EnginePair(
            client: fixtures.client(
                trust: TrustPolicy(anchors: [Certificate(der: fixtures.strangers.rootDER)])
            ) { $0.allowOnly(version) },
            server: fixtures.server { $0.allowOnly(version) }
        )
        let (client, server) = watch(pair)
        #expect(throws: TLSError.self) { try pair.handshake() }
        pair.settle()
        #expect(client.all == [.alertSent(.unknownCA, phase: .certificate)])
        let phase: HandshakePhase = version == .tls12 ? .keyExchange : .finished
        #expect(server.all.last == .alertReceived(.unknownCA, phase: phase))
    }

    @Test("no overlap in ALPN: told while the ClientHello is looked at", arguments: versions)
    func applicationProtocol(_ version: ProtocolVersion) throws {
        let fixtures = try Fixtures.shared()
        let pair = try EnginePair(
            client: fixtures.client {
                $0.allowOnly(version)
                $0.alpn = ["h2"]
            },
            server: fixtures.server {
                $0.allowOnly(version)
                $0.alpn = ["smtp"]
            }
        )
        let (client, server) = watch(pair)
        #expect(throws: TLSError.self) { try pair.handshake() }
        pair.settle()
        #expect(server.all == [.alertSent(.noApplicationProtocol, phase: .clientHello)])
        #expect(client.all == [.alertReceived(.noApplicationProtocol, phase: .serverHello)])
    }

    @Test("a TLS 1.3 client that is done learns of the verdict on it in the phase it belongs to")
    func clientCertificate() throws {
        let fixtures = try Fixtures.shared()
        let pair = try EnginePair(
            client: fixtures.client { $0.allowOnly(.tls13) },
            server: fixtures.server {
                $0.allowOnly(.tls13)
                $0.clientAuthentication = .require
            }
        )
        let (client, server) = watch(pair)
        try? pair.handshake()
        pair.settle()
        #expect(pair.facts(.client).isReady)
        #expect(
            client.all == [.alertReceived(.certificateRequired, phase: .clientAuthentication)]
        )
        #expect(server.all == [.alertSent(.certificateRequired, phase: .clientAuthentication)])
        let alerts = (pair.client.engine.lastAlerts.received, pair.server.engine.lastAlerts.sent)
        #expect(alerts == (.certificateRequired, .certificateRequired))
    }

    @Test("an engine that began anew for another host is still watched", arguments: versions)
    func host(_ version: ProtocolVersion) throws {
        let fixtures = try Fixtures.shared()
        let pair = try EnginePair(
            client: fixtures.client { $0.allowOnly(version) },
            server: fixtures.server {
                $0.allowOnly(version)
                $0.decisions = .clientHello
            },
            remoteName: "localhost"
        )
        let chosen = try fixtures.server(.p384) { $0.allowOnly(version) }
        pair.decide = { _, _ in .use(chosen) }
        let (client, server) = watch(pair)
        try pair.handshake()
        try pair.expectDataFlows()
        #expect(server.all == [.ticketSent])
        #expect(client.all.count == 1)
        #expect(pair.facts(.client).report.peerChain.first?.publicKey.type == "EC")
    }

    @Test("key updates of a peer, and the answer it asks for, are told", arguments: [false, true])
    func keyUpdate(isAsking: Bool) throws {
        let fixtures = try Fixtures.shared()
        let peer = try FaultPeer(.client, .tls13)
        var engine = try TLSEngine(fixtures.server { $0.allowOnly(.tls13) })
        let passages = Passages()
        engine.watch { passages.add($0) }
        var flight = try peer.step([])
        while !peer.isReady || !flight.isEmpty {
            let input = flight
            let (answer, result) = produced { output throws(TLSError) in
                try engine.handshake(consuming: input.span, producing: &output)
            }
            _ = try result.get()
            flight = answer.isEmpty ? [] : try peer.step(answer)
        }
        #expect(passages.take() == [.ticketSent])
        let update = try peer.keyUpdate(isAsking: isAsking)
        var plaintext: [UInt8] = []
        let (_, result) = produced { output throws(TLSError) in
            var progress = TLSEngine.Progress(consumed: 0, wants: .nothing)
            plaintext = try [UInt8](capacity: 64) { plain throws(TLSError) in
                progress = try engine.receive(update.span, into: &plain, producing: &output)
            }
            return progress
        }
        _ = try result.get()
        #expect(plaintext.isEmpty)
        #expect(passages.take() == [.keyUpdateReceived])
        // The answer goes ahead of the next data.
        let (_, sent) = produced { output throws(TLSError) in
            try engine.send([7].span, producing: &output)
        }
        _ = try sent.get()
        #expect(passages.all == (isAsking ? [.keyUpdateSent] : []))
    }
}
