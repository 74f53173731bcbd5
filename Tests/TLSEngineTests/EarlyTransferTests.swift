// Early data: who sends it, who takes it, once; and that everything else goes on without it.

import COpenSSL
import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct EarlyTransferTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    func server(_ configure: (inout TLSPolicy) -> Void = { _ in }) throws -> TLSContext {
        try fixtures.server {
            $0.acceptsEarlyData = true
            configure(&$0)
        }
    }

    /// A session that a server has just given.
    func session(_ client: TLSContext, _ server: TLSContext) throws -> TLSSession {
        let pair = try EnginePair(client: client, server: server)
        try pair.handshake()
        try pair.expectDataFlows()
        let session = pair.client.engine.session
        return try #require(session)
    }

    /// A pair whose client is about to resume, and to send early data.
    func resuming(
        _ session: TLSSession,
        _ client: TLSContext,
        _ server: TLSContext,
        _ bytes: [UInt8],
        tamper: EnginePair.Tamper? = nil
    ) throws -> (pair: EnginePair, offered: Int) {
        let pair = try EnginePair(client: client, server: server, resuming: session, tamper: tamper)
        let offered = pair.client.engine.offerEarlyData(bytes)
        return (pair, offered)
    }

    @Test(
        "early data of a resumed session arrives, marked, and at any cut",
        arguments: [1, 100, .max],
        [1, 5000, 16384]
    )
    func accepted(_ chunk: Int, _ count: Int) throws {
        let (client, server) = (try fixtures.client(), try server())
        let session = try session(client, server)
        let (pair, offered) = try resuming(session, client, server, pattern(count))
        #expect(offered == count)
        try pair.handshake(chunk: chunk)
        let facts = EarlyTransfer(bytes: count, isAccepted: true)
        #expect(pair.facts(.client).report.earlyData == facts)
        #expect(pair.facts(.server).report.earlyData == facts)
        #expect(pair.facts(.server).report.isResumed)
        // It is not among other data.
        #expect(pair.facts(.server).received.isEmpty)
        let early = pair.server.engine.takeEarlyData()
        #expect(early == pattern(count))
        let again = pair.server.engine.takeEarlyData()
        #expect(again.isEmpty)
        try pair.expectDataFlows()
    }

    @Test("a server sees early data, and answers it, before the client has finished")
    func answered() throws {
        let (client, server) = (try fixtures.client(), try server())
        let session = try session(client, server)
        // The second flight of the client is held back.
        var flights = 0
        var held: [UInt8] = []
        var isHolding = true
        let (pair, _) = try resuming(session, client, server, Array("question".utf8)) {
            guard $0 == .client, isHolding else { return $1 }
            flights += 1
            if flights > 1 { held += $1 }
            return flights > 1 ? [] : $1
        }
        try pair.handshake()
        #expect(!pair.facts(.server).isReady)
        let seen = pair.server.engine.earlyData
        #expect(seen == Array("question".utf8))
        try pair.perform(.server) { engine, output throws(TLSError) in
            try engine.sendEarly(Array("answer".utf8).span, producing: &output)
        }
        #expect(pair.facts(.client).received == Array("answer".utf8))
        isHolding = false
        pair.inject(held, towards: .server)
        #expect(pair.facts(.server).isReady)
        try pair.expectDataFlows()
        let late = produced { (output) throws(TLSError) in
            try pair.server.engine.sendEarly([1].span, producing: &output)
        }
        #expect(late.result == .failure(TLSError(.featureUnavailable)))
    }

    @Test("the same flight sent again gives nothing, before and after the first is through")
    func replay() throws {
        let (client, server) = (try fixtures.client(), try server())
        for isLate in [false, true] {
            let session = try session(client, server)
            var recorded: [UInt8] = []
            let (pair, _) = try resuming(session, client, server, Array("pay".utf8)) {
                if $0 == .client, recorded.isEmpty { recorded = $1 }
                return $1
            }
            func replay() throws -> [UInt8] {
                let other = try EnginePair(client: client, server: server) { sender, chunk in
                    sender == .client ? [] : chunk
                }
                other.inject(recorded, towards: .server)
                #expect(other.errors[.server] == nil)
                #expect(!other.facts(.server).report.isResumed)
                return other.server.engine.earlyData
            }
            if isLate { try pair.handshake() }
            // Not late: whoever recorded it was faster, and the one who sent it gets nothing then.
            if !isLate {
                let engine = try produceFirstFlight(session, client)
                recorded = engine
                let first = try EnginePair(client: client, server: server) { sender, chunk in
                    sender == .client ? [] : chunk
                }
                first.inject(recorded, towards: .server)
                let early = first.server.engine.earlyData
                #expect(early == Array("pay".utf8))
            }
            #expect(try replay().isEmpty)
            #expect(try replay().isEmpty)
        }
    }

    private func produceFirstFlight(
        _ session: TLSSession,
        _ client: TLSContext
    ) throws -> [UInt8] {
        var engine = try TLSEngine(client, remoteName: "localhost", resuming: session)
        _ = engine.offerEarlyData(Array("pay".utf8))
        let (bytes, result) = produced { (output) throws(TLSError) in
            try engine.handshake(consuming: Span(), producing: &output)
        }
        _ = try result.get()
        return bytes
    }

    @Test("a server that does not know the session takes nothing, and the client is told")
    func rejected() throws {
        let (client, server) = (try fixtures.client(), try server())
        for other in [try self.server(), try fixtures.server()] {
            let session = try session(client, server)
            let (pair, offered) = try resuming(session, client, other, pattern(3000))
            #expect(offered == 3000)
            try pair.handshake()
            let facts = EarlyTransfer(bytes: 3000, isAccepted: false)
            #expect(pair.facts(.client).report.earlyData == facts)
            #expect(pair.facts(.server).report.earlyData == nil)
            let early = pair.server.engine.takeEarlyData()
            #expect(early.isEmpty)
            try pair.expectDataFlows()
        }
    }

    @Test("a server that asks for another ClientHello takes nothing, and goes on")
    func retried() throws {
        let client = try fixtures.client()
        let server = try server { $0.groups = ["P-384"] }
        let (pair, offered) = try resuming(session(client, server), client, server, pattern(300))
        #expect(offered == 300)
        try pair.handshake()
        #expect(pair.facts(.client).report.isHelloRetried)
        let transfer = EarlyTransfer(bytes: 300, isAccepted: false)
        #expect(pair.facts(.client).report.earlyData == transfer)
        let early = pair.server.engine.takeEarlyData()
        #expect(early.isEmpty)
        try pair.expectDataFlows()
    }

    @Test("no early data without a session that allows it")
    func notOffered() throws {
        let (client, server) = (try fixtures.client(), try server())
        var engine = try TLSEngine(client, remoteName: "localhost")
        #expect(engine.offerEarlyData([1]) == 0)
        let plain = try session(client, fixtures.server())
        #expect(try resuming(plain, client, server, [1]).offered == 0)
        #expect(try resuming(session(client, server), client, server, []).offered == 0)
        let old = try fixtures.client { $0.allowOnly(.tls12) }
        #expect(try resuming(session(old, server), old, server, [1]).offered == 0)
        // A decision about the server might refuse it.
        let deciding = try fixtures.client { $0.decisions = [.serverIdentity] }
        let pair = try EnginePair(client: deciding, server: server)
        pair.decide = { _, _ in .accept }
        try pair.handshake()
        try pair.expectDataFlows()
        let kept = pair.client.engine.session
        #expect(try resuming(#require(kept), deciding, server, [1]).offered == 0)
        // A protocol that is not offered again.
        let speaking = try fixtures.client { $0.alpn = ["a", "b"] }
        let answering = try self.server { $0.alpn = ["a"] }
        let chosen = try session(speaking, answering)
        let silent = try fixtures.client { $0.alpn = ["b"] }
        #expect(try resuming(chosen, silent, answering, [1]).offered == 0)
        #expect(try resuming(chosen, speaking, answering, [1]).offered == 1)
    }

    @Test("no more is sent than either side's limit allows")
    func limits() throws {
        let client = try fixtures.client()
        let narrow = try server { $0.limits.earlyDataBytes = 1000 }
        let (pair, offered) = try resuming(session(client, narrow), client, narrow, pattern(5000))
        #expect(offered == 1000)
        try pair.handshake()
        let early = pair.server.engine.takeEarlyData()
        #expect(early == pattern(1000))

        let careful = try fixtures.client { $0.limits.earlyDataBytes = 10 }
        let wide = try server()
        #expect(try resuming(session(careful, wide), careful, wide, pattern(50)).offered == 10)
    }

    @Test("as many sessions as the limit says are kept, and the oldest goes for one more")
    func sessions() throws {
        let client = try fixtures.client()
        for (kept, isTaken) in [(0, false), (1, true), (2, true)] {
            let server = try server { $0.limits.earlyDataSessions = 2 }
            let sessions = try (0..<3).map { _ in try session(client, server) }
            let (pair, offered) = try resuming(sessions[kept], client, server, [7])
            #expect(offered == 1)
            try pair.handshake()
            let early = pair.server.engine.takeEarlyData()
            #expect(early == (isTaken ? [7] : []), "session \(kept)")
            #expect(pair.facts(.server).report.isResumed == isTaken)
        }
    }

    @Test("a session that was used meanwhile sends none, and the handshake is a full one")
    func spent() throws {
        let (client, server) = (try fixtures.client(), try server())
        let session = try session(client, server)
        let (first, _) = try resuming(session, client, server, [1])
        let (second, offered) = try resuming(session, client, server, [2])
        #expect(offered == 1)
        try first.handshake()
        try second.handshake()
        #expect(second.facts(.client).report.withheldSession == .used)
        #expect(second.facts(.client).report.earlyData == nil)
        let early = second.server.engine.takeEarlyData()
        #expect(early.isEmpty)
        try second.expectDataFlows()
    }

    @Test("a server that takes early data serves every other client as before", arguments: versions)
    func others(_ version: ProtocolVersion) throws {
        let (client, server) = (try fixtures.client { $0.allowOnly(version) }, try server())
        for chunk in [1, 50, .max] {
            let pair = try EnginePair(client: client, server: server)
            try pair.handshake(chunk: chunk)
            #expect(pair.facts(.server).report.earlyData == nil)
            try pair.expectDataFlows()
            let session = pair.client.engine.session
            let again = try EnginePair(client: client, server: server, resuming: session)
            try again.handshake(chunk: chunk)
            #expect(again.facts(.client).report.isResumed)
            try again.expectDataFlows()
        }
    }

    @Test("a flight that ends in its early data is an end during the handshake")
    func cut() throws {
        let (client, server) = (try fixtures.client(), try server())
        let (pair, _) = try resuming(session(client, server), client, server, pattern(5000)) {
            $0 == .client ? Array($1.dropLast(100)) : []
        }
        try pair.handshake()
        pair.endWire(towards: .server)
        #expect(pair.errors[.server] == TLSError(.closedDuringHandshake))
    }

    @Test("policies under which somebody else decides, or nothing could be taken, are refused")
    func refused() throws {
        let changes: [(inout TLSPolicy) -> Void] = [
            { $0.clientAuthentication = .request }, { $0.postHandshakeAuthentication = true },
            { $0.decisions = [.clientHello] }, { $0.decisions = [.session] },
            { $0.ticketCount = 0 },
            { $0.maximumVersion = .tls12 }, { $0.limits.earlyDataBytes = 0 },
            { $0.limits.earlyDataSessions = 0 },
        ]
        for change in changes {
            #expect(throws: TLSError(.invalidPolicy)) { _ = try server(change) }
        }
        var hosts = TLSHosts()
        try hosts.add("a.example", fixtures.server())
        #expect(throws: TLSError(.invalidPolicy)) {
            _ = try TLSContext(
                role: .server,
                policy: TLSPolicy { $0.acceptsEarlyData = true },
                identities: [fixtures.serverIdentity()],
                hosts: hosts
            )
        }
        // Whoever else has the keys could be sent the same again.
        let ring = try TicketKeyRing()
        #expect(throws: TLSError(.invalidPolicy)) {
            _ = try TLSContext(
                role: .server,
                policy: TLSPolicy { $0.acceptsEarlyData = true },
                identities: [fixtures.serverIdentity()],
                ticketKeys: ring
            )
        }
    }
}
