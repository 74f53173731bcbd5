// Decisions where a session is resumed: nobody shows a certificate then, and the owners are asked all
// the same.

import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct DecisionResumptionTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    private func client(
        _ version: ProtocolVersion,
        _ decisions: TLSDecisions = []
    ) throws -> TLSContext {
        try fixtures.client(identities: [fixtures.clientIdentity]) {
            $0.allowOnly(version)
            $0.decisions = decisions
        }
    }

    private func server(_ decisions: TLSDecisions = []) throws -> TLSContext {
        try fixtures.server {
            $0.clientAuthentication = .require
            $0.decisions = decisions
        }
    }

    /// A session of a first connection, to whose questions the answer is yes.
    private func session(
        _ client: TLSContext,
        _ server: TLSContext,
        name: String = "localhost"
    ) throws -> TLSSession {
        let pair = try EnginePair(client: client, server: server, remoteName: name)
        pair.decide = { _, question in
            switch question {
            case .serverIdentity(let identity): #expect(!identity.isResumed)
            case .clientCertificate(let identity): #expect(!identity.isResumed)
            case .clientHello, .certificateChoice, .presharedKey, .ocspResponse, .session: break
            }
            return .accept
        }
        try pair.handshake()
        try pair.send([1], from: .server)
        return try #require(pair.session(of: .client))
    }

    @Test(
        "a server is asked about a client that resumes, before anything is said",
        arguments: versions,
        [1, .max]
    )
    func clientIdentity(version: ProtocolVersion, chunk: Int) throws {
        let (client, server) = (try client(version), try server(.clientCertificate))
        for takes in [true, false] {
            let session = try session(client, server)
            let pair = try EnginePair(client: client, server: server, resuming: session)
            pair.chunk = chunk
            pair.settle()
            guard case .clientCertificate(let identity) = try #require(pair.question(.server))
            else {
                throw TLSError(.internalError)
            }
            #expect(identity.isResumed)
            #expect(identity.leaf == fixtures.clientIdentity.certificate)
            #expect(identity.verifiedChain.last == fixtures.root)
            #expect(identity.servername == "localhost")
            #expect(pair.facts(.server).phase == .clientAuthentication)
            // Not one byte of the server's is out.
            #expect(pair.delivered[.server] == 0)
            guard takes else {
                try pair.answer(.server, .refuse(TLSRefusal("gone since")))
                #expect(pair.errors[.server] == TLSError(.refusedByApplication))
                #expect(pair.errors[.server]?.phase == .clientAuthentication)
                #expect(pair.errors[.client] == TLSError(.alertReceived, alert: .accessDenied))
                #expect(!pair.facts(.client).isReady && !pair.facts(.server).isReady)
                #expect(pair.delivered[.server] == 7)
                continue
            }
            try pair.answer(.server, .accept)
            #expect(pair.isReady)
            try pair.expectDataFlows()
            #expect(pair.facts(.client).report.isResumed)
            #expect(pair.facts(.server).report.isPeerTrusted)
            // A resumed connection of TLS 1.3 gets one ticket for the one it has used.
            #expect(pair.facts(.client).report.tickets.count == (version == .tls13 ? 1 : 0))
        }
    }

    @Test(
        "a client is asked about the server of a session before it offers that",
        arguments: versions,
        [1, .max]
    )
    func serverIdentity(version: ProtocolVersion, chunk: Int) throws {
        // A name that only the owner can agree to.
        let name = "elsewhere.test"
        let (client, server) = (try client(version, .serverIdentity), try server())
        for takes in [true, false] {
            let session = try session(client, server, name: name)
            let pair = try EnginePair(
                client: client,
                server: server,
                remoteName: name,
                resuming: session
            )
            pair.chunk = chunk
            pair.settle()
            guard case .serverIdentity(let old) = try #require(pair.question(.client)) else {
                throw TLSError(.internalError)
            }
            #expect(old.isResumed && old.servername == name)
            #expect(try old.leaf == fixtures.serverIdentity().certificate)
            #expect(old.verifiedChain.last == fixtures.root)
            #expect(pair.delivered[.client] == 0)
            if takes {
                try pair.answer(.client, .accept)
                #expect(pair.isReady)
                #expect(pair.facts(.client).report.isResumed)
                #expect(pair.facts(.client).report.isPeerTrusted)
                try pair.expectDataFlows()
                continue
            }
            // The server has to show itself, and is asked about by what it shows.
            try pair.answer(.client, .refuse(TLSRefusal("an old one")))
            guard case .serverIdentity(let fresh) = try #require(pair.question(.client)) else {
                throw TLSError(.internalError)
            }
            #expect(!fresh.isResumed)
            #expect(pair.facts(.client).report.withheldSession == .refusedByApplication)
            try pair.answer(.client, .refuse(TLSRefusal("nor this one")))
            #expect(pair.errors[.client] == TLSError(.refusedByApplication))
            #expect(pair.errors[.server]?.alert == .certificateUnknown)
        }
    }

    @Test("a server that does not resume is asked about again", arguments: versions)
    func declined(version: ProtocolVersion) throws {
        let client = try client(version, .serverIdentity)
        let session = try session(client, server())
        // One with the same name, and other ticket keys.
        let pair = try EnginePair(client: client, server: server(), resuming: session)
        var asked: [Bool] = []
        pair.decide = { _, question in
            if case .serverIdentity(let identity) = question { asked.append(identity.isResumed) }
            return .accept
        }
        try pair.handshake()
        #expect(asked == [true, false])
        #expect(!pair.facts(.client).report.isResumed)
    }

    @Test("a session is spent when it is offered, and not when it is asked about")
    func spending() throws {
        let (client, server) = (try client(.tls13, .serverIdentity), try server())
        let session = try session(client, server)
        let refused = try EnginePair(client: client, server: server, resuming: session)
        refused.settle()
        try refused.answer(.client, .refuse(TLSRefusal("not now")))
        let pair = try EnginePair(client: client, server: server, resuming: session)
        pair.decide = { _, _ in .accept }
        try pair.handshake()
        #expect(pair.facts(.client).report.isResumed)
        let late = try EnginePair(client: client, server: server, resuming: session)
        late.decide = { _, _ in .accept }
        try late.handshake()
        #expect(late.facts(.client).report.withheldSession == .used)
    }

    @Test(
        "a session of one host is not resumed at another, nor at the server itself",
        arguments: versions
    )
    func hosts(version: ProtocolVersion) throws {
        var hosts = TLSHosts()
        try hosts.add("localhost", server())
        try hosts.add("other.test", server())
        let own = try TLSContext(
            role: .server,
            policy: TLSPolicy { $0.clientAuthentication = .require },
            identities: [fixtures.serverIdentity()],
            trust: TrustPolicy(anchors: [fixtures.root]),
            hosts: hosts
        )
        let client = try client(version, .serverIdentity)
        let session = try session(client, own)
        for (name, resumes) in [("localhost", true), ("other.test", false), ("nobody.test", false)]
        {
            let pair = try EnginePair(
                client: client,
                server: own,
                servername: name,
                resuming: session
            )
            pair.decide = { _, _ in .accept }
            try pair.handshake()
            #expect(pair.facts(.client).report.isResumed == (resumes && name == "localhost"))
        }
    }
}
