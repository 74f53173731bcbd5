// Decisions about a peer whose session is resumed: asked again, on the chain that was kept.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct ResumedDecisionTests {
    let fixtures: Fixtures
    let chain: TLSIdentity

    init() throws {
        fixtures = try Fixtures.shared()
        chain = try TLSIdentity(fixtures.ca.intermediate().issue("localhost"))
    }

    /// Answers every question of a side with "yes", and gives them.
    func agree(_ pair: EnginePair, _ role: TLSRole) throws -> [TLSQuestion] {
        var questions: [TLSQuestion] = []
        pair.settle()
        while let question = pair.question(role) {
            questions.append(question)
            try pair.answer(role, .accept)
        }
        return questions
    }

    @Test("a client's owner decides about the server of a session, too", arguments: versions)
    func server(_ version: ProtocolVersion) throws {
        let client = try fixtures.client {
            $0.allowOnly(version)
            $0.decisions = .serverIdentity
        }
        let server = try fixtures.server(identities: [chain])
        func first() throws -> TLSSession {
            let pair = try EnginePair(client: client, server: server, remoteName: "elsewhere.test")
            #expect(try agree(pair, .client).count == 1)
            try pair.send([1], from: .server)
            return try #require(pair.session(of: .client))
        }
        func second() throws -> EnginePair {
            let pair = try EnginePair(
                client: client,
                server: server,
                remoteName: "elsewhere.test",
                resuming: first()
            )
            pair.settle()
            #expect(!pair.facts(.client).isReady)
            return pair
        }
        let pair = try second()
        guard case .serverIdentity(let identity) = pair.question(.client) else {
            Issue.record("nobody was asked")
            return
        }
        #expect(identity.isResumed && identity.servername == "elsewhere.test")
        #expect(identity.chain == chain.certificateChain)
        #expect(identity.verifiedChain == chain.certificateChain + [fixtures.root])
        try pair.answer(.client, .accept)
        #expect(pair.isReady && pair.facts(.client).report.isResumed)
        try pair.expectDataFlows()

        // The server then shows itself, and is asked about by that.
        let refused = try second()
        try refused.answer(.client, .refuse(TLSRefusal("not today")))
        #expect(try agree(refused, .client).count == 1)
        #expect(refused.isReady && !refused.facts(.client).report.isResumed)
        #expect(refused.facts(.client).report.withheldSession == .refusedByApplication)
    }

    @Test("a session of a client that decides is none for one that does not", arguments: versions)
    func scope(_ version: ProtocolVersion) throws {
        let deciding = try fixtures.client {
            $0.allowOnly(version)
            $0.decisions = .serverIdentity
        }
        let plain = try fixtures.client { $0.allowOnly(version) }
        let server = try fixtures.server()
        let first = try EnginePair(client: deciding, server: server)
        #expect(try agree(first, .client).count == 1)
        try first.send([1], from: .server)
        let second = try EnginePair(
            client: plain,
            server: server,
            resuming: first.session(of: .client)
        )
        try second.handshake()
        #expect(second.facts(.client).report.withheldSession == .otherPolicy)
    }

    @Test(
        "a server's owner sees the chain of the client whose session is resumed",
        arguments: versions
    )
    func client(_ version: ProtocolVersion) throws {
        let identity = try TLSIdentity(fixtures.ca.intermediate().issueClient("alice"))
        let client = try fixtures.client(identities: [identity]) { $0.allowOnly(version) }
        let server = try fixtures.server {
            $0.clientAuthentication = .require
            $0.decisions = .clientCertificate
        }
        var session: TLSSession?
        for isResumed in [false, true] {
            let pair = try EnginePair(client: client, server: server, resuming: session)
            let questions = try agree(pair, .server)
            guard case .clientCertificate(let asked)? = questions.first else {
                Issue.record("nobody was asked")
                return
            }
            #expect(asked.isResumed == isResumed)
            #expect(asked.chain == identity.certificateChain)
            #expect(asked.verifiedChain == identity.certificateChain + [fixtures.root])
            try pair.expectDataFlows()
            session = pair.session(of: .client)
        }
    }
}
