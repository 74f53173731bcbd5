// Decisions that may take time: a step waits with a question, and goes on with the answer.

import TLSEngine
import TLSTestKit
import Testing

/// A decision of a handshake, and who makes it.
struct Decision: Sendable, CustomTestStringConvertible {
    let kind: TLSDecisions
    let role: TLSRole
    let testDescription: String
    /// The alert of a refusal that names none.
    let alert: UInt8
    /// Where the handshake waits.
    let phase: HandshakePhase

    static let all = [
        Decision(
            kind: .clientHello,
            role: .server,
            testDescription: "ClientHello",
            alert: 40,
            phase: .clientHello
        ),
        Decision(
            kind: .serverIdentity,
            role: .client,
            testDescription: "server identity",
            alert: 46,
            phase: .certificate
        ),
        Decision(
            kind: .clientCertificate,
            role: .server,
            testDescription: "client certificate",
            alert: 49,
            phase: .clientAuthentication
        ),
        Decision(
            kind: .certificateChoice,
            role: .client,
            testDescription: "certificate choice",
            alert: 80,
            phase: .keyExchange
        ),
        Decision(
            kind: .ocspResponse,
            role: .client,
            testDescription: "OCSP response",
            alert: 113,
            phase: .certificate
        ),
    ]
}

@Suite(.timeLimit(.minutes(1)))
struct DecisionTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// A pair in which one decision is to be made, and everything else is in order.
    func pair(_ decision: Decision, _ version: ProtocolVersion) throws -> EnginePair {
        try EnginePair(
            client: fixtures.client(identities: [fixtures.clientIdentity]) {
                $0.allowOnly(version)
                if decision.role == .client { $0.decisions = decision.kind }
            },
            server: fixtures.server(staples: fixtures.staples) {
                $0.clientAuthentication = .require
                if decision.role == .server { $0.decisions = decision.kind }
            }
        )
    }

    @Test(
        "a handshake waits for the owner's word, and goes on with it, cut anywhere",
        arguments: Decision.all.flatMap { d in versions.map { (d, $0) } },
        [1, 100, .max]
    )
    func accept(_ row: (Decision, ProtocolVersion), _ chunk: Int) throws {
        let (decision, version) = row
        let pair = try pair(decision, version)
        pair.chunk = chunk
        pair.settle()
        let question = try #require(pair.question(decision.role))
        #expect(question.kind == decision.kind)
        #expect(pair.facts(decision.role).phase == decision.phase)
        #expect(!pair.facts(decision.role).isReady && !pair.facts(decision.role).isOpen)
        #expect(!pair.facts(decision.role).report.isComplete)
        // Nothing moves until the answer comes.
        let before = pair.delivered
        pair.settle()
        #expect(pair.delivered == before)
        try pair.answer(decision.role, .accept)
        #expect(pair.isReady)
        #expect(pair.question(decision.role) == nil)
        try pair.expectDataFlows()
        #expect(pair.facts(.server).report.isPeerTrusted)
        #expect(pair.facts(.client).report.isPeerTrusted)
    }

    @Test(
        "a refusal ends the handshake on both sides: code, alert, phase and reason",
        arguments: Decision.all.flatMap { d in versions.map { (d, $0) } },
        [1, .max]
    )
    func refuse(_ row: (Decision, ProtocolVersion), _ chunk: Int) throws {
        let (decision, version) = row
        let pair = try pair(decision, version)
        pair.chunk = chunk
        pair.settle()
        try pair.answer(decision.role, .refuse(TLSRefusal("not today")))
        let (own, peer) = (
            pair.facts(decision.role), pair.facts(decision.role == .client ? .server : .client)
        )
        #expect(own.error == TLSError(.refusedByApplication))
        #expect(own.error?.detail == "not today")
        #expect(own.error?.phase == decision.phase)
        #expect(own.error?.category == .policy)
        #expect(own.report.alertSent == Alert(decision.alert))
        #expect(!own.isReady && !own.isOpen && !own.report.isPeerTrusted)
        #expect(peer.error == TLSError(.alertReceived, alert: Alert(decision.alert)))
        // A client of TLS 1.3 is ready before the server has judged it.
        let isEarly = version == .tls13 && decision.kind == .clientCertificate
        #expect(peer.isReady == isEarly)
        if isEarly { #expect(peer.error?.phase == .clientAuthentication) }
    }

    @Test("a refused client gets not one byte in, and none out", arguments: versions)
    func noData(version: ProtocolVersion) throws {
        let pair = try pair(Decision.all[2], version)
        pair.settle()
        if version == .tls13 { try pair.send(pattern(1000), from: .client) }
        #expect(pair.facts(.server).received == [])
        #expect(pair.client.engine.report.tickets == [])
        try pair.answer(.server, .refuse(TLSRefusal("no", alert: .badCertificate)))
        #expect(pair.facts(.server).received == [])
        #expect(pair.facts(.client).received == [])
        #expect(pair.errors[.client]?.alert == .badCertificate)
        #expect(pair.client.engine.report.tickets == [])
    }

    @Test(
        "tickets of TLS 1.3 go out behind the yes, as many as the policy says",
        arguments: [0, 1, 3]
    )
    func tickets(count: Int) throws {
        let pair = try EnginePair(
            client: fixtures.client(identities: [fixtures.clientIdentity]),
            server: fixtures.server {
                $0.clientAuthentication = .require
                $0.decisions = .clientCertificate
                $0.ticketCount = count
            }
        )
        pair.settle()
        #expect(pair.client.engine.report.tickets == [])
        try pair.answer(.server, .accept)
        try pair.expectDataFlows()
        #expect(pair.client.engine.report.tickets.count == count)
    }

    @Test("a server without tickets refuses by its alert too", arguments: versions)
    func refusalWithoutTickets(version: ProtocolVersion) throws {
        let pair = try EnginePair(
            client: fixtures.client(identities: [fixtures.clientIdentity]) {
                $0.allowOnly(version)
            },
            server: fixtures.server {
                $0.clientAuthentication = .require
                $0.decisions = .clientCertificate
                $0.ticketCount = 0
            }
        )
        pair.settle()
        try pair.answer(.server, .refuse(TLSRefusal("no")))
        #expect(pair.errors[.client]?.alert == .accessDenied)
        #expect(pair.client.engine.report.tickets == [])
    }

    @Test("in memory that holds little, everything that was withheld goes out", arguments: versions)
    func narrow(version: ProtocolVersion) throws {
        for capacity in [64, 100, 1000] {
            let pair = try pair(Decision.all[2], version)
            pair.outputCapacity = capacity
            pair.settle()
            try pair.answer(.server, .accept)
            try pair.expectDataFlows()
            let refused = try self.pair(Decision.all[2], version)
            refused.outputCapacity = capacity
            refused.settle()
            try refused.answer(.server, .refuse(TLSRefusal("no")))
            #expect(refused.errors[.client]?.alert == .accessDenied)
        }
    }

    @Test("a client without a certificate is not asked about", arguments: versions)
    func anonymous(version: ProtocolVersion) throws {
        let pair = try EnginePair(
            client: fixtures.client { $0.allowOnly(version) },
            server: fixtures.server {
                $0.clientAuthentication = .request
                $0.decisions = .clientCertificate
            }
        )
        try pair.handshake()
        try pair.expectDataFlows()
        #expect(pair.client.engine.report.tickets.count == 1)
    }

    @Test("an untrusted client is refused before anybody is asked", arguments: versions)
    func untrusted(version: ProtocolVersion) throws {
        let pair = try EnginePair(
            client: fixtures.client(identities: [fixtures.strangerIdentity]) {
                $0.allowOnly(version)
            },
            server: fixtures.server {
                $0.clientAuthentication = .require
                $0.decisions = .clientCertificate
            }
        )
        pair.settle()
        #expect(pair.question(.server) == nil)
        #expect(pair.errors[.server]?.code == .certificateRejected)
    }

    @Test("an untrusted server is refused before anybody is asked", arguments: versions)
    func untrustedServer(version: ProtocolVersion) throws {
        let stranger = try Certificate(der: fixtures.strangers.rootDER)
        let pair = try EnginePair(
            client: fixtures.client(trust: TrustPolicy(anchors: [stranger])) {
                $0.allowOnly(version)
                $0.decisions = .serverIdentity
            },
            server: fixtures.server()
        )
        pair.settle()
        #expect(pair.question(.client) == nil)
        #expect(pair.errors[.client]?.code == .certificateRejected)
    }

    @Test(
        "the server's name is the owner's to check; the usual check is there",
        arguments: versions
    )
    func name(version: ProtocolVersion) throws {
        let pair = try EnginePair(
            client: fixtures.client {
                $0.allowOnly(version)
                $0.decisions = .serverIdentity
            },
            server: fixtures.server(),
            remoteName: "elsewhere.test"
        )
        pair.settle()
        guard case .serverIdentity(let identity) = try #require(pair.question(.client)) else {
            throw TLSError(.internalError)
        }
        #expect(identity.servername == "elsewhere.test")
        #expect(try identity.certificate == fixtures.serverIdentity().certificate.der)
        #expect(identity.chain.first == identity.leaf)
        #expect(identity.verifiedChain.last == fixtures.root)
        let error = #expect(throws: TLSError.self) { try identity.check() }
        #expect(error?.verification?.code == .hostnameMismatch)
        #expect(error?.hint?.contains("localhost") == true)
        try pair.answer(.client, .refuse(TLSRefusal(error ?? TLSError(.internalError))))
        #expect(pair.errors[.client]?.code == .certificateRejected)
        #expect(pair.errors[.client]?.verification?.code == .hostnameMismatch)
        #expect(pair.facts(.client).report.verification?.code == .hostnameMismatch)
        #expect(pair.errors[.server]?.alert == .badCertificate)
    }

    @Test("the usual check passes for the right name and the right address")
    func rightName() throws {
        for name in ["localhost", "127.0.0.1"] {
            let pair = try EnginePair(
                client: fixtures.client { $0.decisions = .serverIdentity },
                server: fixtures.server(),
                remoteName: name
            )
            pair.settle()
            guard case .serverIdentity(let identity) = pair.question(.client) else { continue }
            #expect(identity.servername == name)
            try identity.check()
            try pair.answer(.client, .accept)
            #expect(pair.isReady)
        }
    }

    @Test("the certificate that is chosen is the one that is shown", arguments: versions)
    func choice(version: ProtocolVersion) throws {
        let bob = try TLSIdentity(fixtures.ca.issueClient("bob"))
        for chosen in [bob, nil] {
            let pair = try EnginePair(
                client: fixtures.client(identities: [fixtures.clientIdentity]) {
                    $0.allowOnly(version)
                    $0.decisions = .certificateChoice
                },
                server: fixtures.server { $0.clientAuthentication = .request }
            )
            pair.settle()
            guard case .certificateChoice(let request) = try #require(pair.question(.client)) else {
                throw TLSError(.internalError)
            }
            #expect(request.authorities.map(\.description) == [fixtures.root.subject])
            #expect(request.welcomes(bob))
            #expect(!request.welcomes(fixtures.strangerIdentity))
            #expect(request.signatureAlgorithms.contains(SignatureScheme(rawValue: 0x0403)))
            #expect(request.servername == "localhost")
            try pair.answer(.client, .present(chosen))
            #expect(pair.isReady)
            #expect(pair.facts(.server).report.peerChain.first == chosen?.certificate)
            #expect(pair.facts(.client).report.localCertificate == chosen?.certificate)
        }
    }

    @Test("a server that asks for nothing leaves nothing to choose", arguments: versions)
    func noRequest(version: ProtocolVersion) throws {
        let pair = try EnginePair(
            client: fixtures.client {
                $0.allowOnly(version)
                $0.decisions = .certificateChoice
            },
            server: fixtures.server()
        )
        try pair.handshake()
        try pair.expectDataFlows()
    }

    @Test("an answer without a question, or to another one, changes nothing")
    func misuse() throws {
        let pair = try pair(Decision.all[1], .tls13)
        #expect(throws: TLSError(.unexpectedAnswer)) { try pair.answer(.client, .accept) }
        #expect(throws: TLSError(.unexpectedAnswer)) { try pair.answer(.server, .accept) }
        pair.settle()
        for answer in [TLSAnswer.present(nil), .use(nil)] {
            #expect(throws: TLSError(.unexpectedAnswer)) { try pair.answer(.client, answer) }
        }
        #expect(pair.question(.client)?.kind == .serverIdentity)
        try pair.answer(.client, .accept)
        #expect(throws: TLSError(.unexpectedAnswer)) { try pair.answer(.client, .accept) }
        try pair.expectDataFlows()
    }

    @Test("protocols that an answer names stay within the limit of their list")
    func protocols() throws {
        // With the length in front of it each has 16 bytes.
        let names = (0..<64).map { "protocol-\($0 + 100)xyz" }
        for (count, isTaken) in [(64, true), (65, false)] {
            let chosen = names + [String](repeating: "x", count: count - 64)
            let pair = try EnginePair(
                client: fixtures.client { $0.alpn = [names[7]] },
                server: fixtures.server { $0.decisions = .clientHello }
            )
            pair.settle()
            let answer = { try pair.answer(.server, .use(nil, applicationProtocols: chosen)) }
            guard isTaken else {
                #expect(throws: TLSError(.invalidApplicationProtocol)) { try answer() }
                continue
            }
            try answer()
            #expect(pair.facts(.server).report.alpn == names[7])
        }
    }

    @Test("an engine may be closed and its input may end while it waits", arguments: Decision.all)
    func endWhileWaiting(decision: Decision) throws {
        for version in versions {
            let closed = try pair(decision, version)
            closed.settle()
            try closed.close(decision.role)
            #expect(!closed.facts(decision.role).isOpen)
            let cut = try pair(decision, version)
            cut.settle()
            cut.endWire(towards: decision.role)
            #expect(cut.errors.isEmpty)
            try cut.answer(decision.role, .accept)
            // The client's part was complete; what is missing shows where data should come.
            let wasComplete = decision.kind == .clientCertificate
            #expect(cut.facts(decision.role).isReady == wasComplete)
            let code: TLSError.Code = wasComplete ? .truncated : .closedDuringHandshake
            #expect(cut.errors[decision.role]?.code == code)
        }
    }
}
