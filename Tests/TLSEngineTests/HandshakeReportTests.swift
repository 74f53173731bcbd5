// The report: one value on success and on failure, compared as a whole in what is stable of it.

import TLSEngine
import TLSTestKit
import Testing

/// What of a report is the same in every run.
private struct StableReport: Equatable {
    var phase: HandshakePhase = .open
    var isComplete = true
    var error: TLSError?
    var servername: String? = "localhost"
    var alpnOffered: [String] = []
    var versionsOffered: ClosedRange<ProtocolVersion> = .tls12 ... .tls13
    var version: ProtocolVersion? = .tls13
    var suite: UInt16? = 0x1302
    var group: NamedGroup? = .x25519
    var peerSignature: String?
    var alpn: String?
    var isResumed = false
    var isHelloRetried = false
    var clientCertificateRequested = false
    var isServernameAcknowledged = true
    var local: Certificate?
    var peerChain: [Certificate] = []
    var verifiedChain: [Certificate] = []
    var verification: VerificationCode?
    var isPeerTrusted = false
    var alertSent: Alert?
    var alertReceived: Alert?
    var flights = 3
    var tickets = 0

    init(_ change: (inout StableReport) -> Void) { change(&self) }

    init(_ report: HandshakeReport) {
        phase = report.phase
        isComplete = report.isComplete
        error = report.error
        servername = report.servername
        alpnOffered = report.alpnOffered
        versionsOffered = report.versionsOffered
        version = report.version
        suite = report.cipherSuite?.id
        group = report.group
        peerSignature = report.peerSignatureAlgorithm
        alpn = report.alpn
        isResumed = report.isResumed
        isHelloRetried = report.isHelloRetried
        clientCertificateRequested = report.clientCertificateRequested
        isServernameAcknowledged = report.isServernameAcknowledged
        local = report.localCertificate
        peerChain = report.peerChain
        verifiedChain = report.verifiedChain
        verification = report.verification?.code
        isPeerTrusted = report.isPeerTrusted
        alertSent = report.alertSent
        alertReceived = report.alertReceived
        flights = report.flights
        tickets = report.tickets.count
    }
}

@Suite(.timeLimit(.minutes(1)))
struct HandshakeReportTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    @Test("a TLS 1.3 handshake with client authentication and ALPN is told whole by both sides")
    func success() throws {
        let pair = try EnginePair(
            client: fixtures.client(identities: [fixtures.clientIdentity]) {
                // Newer libraries prefer others.
                $0.groups = ["x25519"]
                $0.alpn = ["h2", "http/1.1"]
            },
            server: fixtures.server {
                $0.alpn = ["http/1.1"]
                $0.clientAuthentication = .require
            }
        )
        try pair.handshake()
        let (server, client) = try (fixtures.serverIdentity(), fixtures.clientIdentity)
        let expectedByClient = StableReport {
            $0.alpnOffered = ["h2", "http/1.1"]
            $0.alpn = "http/1.1"
            $0.peerSignature = "ecdsa_secp256r1_sha256"
            $0.clientCertificateRequested = true
            $0.local = client.certificate
            $0.peerChain = [server.certificate]
            $0.verifiedChain = [server.certificate, fixtures.root]
            $0.isPeerTrusted = true
            $0.tickets = 1
        }
        #expect(StableReport(pair.facts(.client).report) == expectedByClient)
        let expectedByServer = StableReport {
            $0.alpnOffered = ["http/1.1"]
            $0.alpn = "http/1.1"
            $0.peerSignature = "ecdsa_secp256r1_sha256"
            $0.clientCertificateRequested = true
            $0.local = server.certificate
            $0.peerChain = [client.certificate]
            $0.verifiedChain = [client.certificate, fixtures.root]
            $0.isPeerTrusted = true
            $0.flights = 4  // the last is the ticket
        }
        #expect(StableReport(pair.facts(.server).report) == expectedByServer)

        // Data moves the counters of bytes and nothing else.
        let before = pair.facts(.client).report
        try pair.expectDataFlows()
        try pair.expectDataFlows()
        let after = pair.facts(.client).report
        #expect(StableReport(after) == StableReport(before))
        #expect(after.bytesSent > before.bytesSent && after.bytesReceived > before.bytesReceived)
        #expect(after.bytesSent == pair.facts(.server).report.bytesReceived)
        #expect(after.bytesReceived == pair.facts(.server).report.bytesSent)
    }

    @Test("a TLS 1.2 handshake is told whole by both sides")
    func success12() throws {
        let pair = try fixtures.pair(.tls12)
        try pair.handshake()
        let leaf = try fixtures.serverIdentity().certificate
        let expectedByClient = StableReport {
            $0.versionsOffered = .tls12 ... .tls12
            $0.version = .tls12
            $0.suite = 0xc02c
            $0.peerSignature = "ecdsa_secp256r1_sha256"
            $0.peerChain = [leaf]
            $0.verifiedChain = [leaf, fixtures.root]
            $0.isPeerTrusted = true
            $0.flights = 4
            $0.tickets = 1
        }
        #expect(StableReport(pair.facts(.client).report) == expectedByClient)
        let expectedByServer = StableReport {
            $0.versionsOffered = .tls12 ... .tls12
            $0.version = .tls12
            $0.suite = 0xc02c
            $0.local = leaf
            $0.flights = 4
        }
        #expect(StableReport(pair.facts(.server).report) == expectedByServer)
    }

    @Test("a refused certificate leaves what was learned so far in both reports")
    func refusal() throws {
        let stranger = try TLSIdentity(fixtures.strangers.issue("localhost"))
        let pair = try EnginePair(
            client: fixtures.client { $0.groups = ["x25519"] },
            server: fixtures.server(identities: [stranger])
        )
        pair.settle()
        let verification = VerificationFailure(
            code: .unableToGetIssuerLocally,
            depth: 0,
            text: ""
        )
        let expectedByClient = StableReport {
            $0.phase = .certificate
            $0.isComplete = false
            $0.error = TLSError(.certificateRejected, verification: verification)
            $0.peerChain = [stranger.certificate]
            $0.verification = .unableToGetIssuerLocally
            $0.alertSent = .unknownCA
        }
        #expect(StableReport(pair.facts(.client).report) == expectedByClient)
        #expect(pair.facts(.client).report.hint != nil)
        let expectedByServer = StableReport {
            $0.phase = .finished
            $0.isComplete = false
            $0.error = TLSError(.alertReceived, alert: .unknownCA)
            $0.local = stranger.certificate
            $0.alertReceived = .unknownCA
        }
        #expect(StableReport(pair.facts(.server).report) == expectedByServer)
    }

    @Test("a report can be made at any moment, also before anything has happened")
    func anyMoment() throws {
        for version in versions {
            let pair = try EnginePair(
                client: fixtures.client { $0.allowOnly(version) },
                server: fixtures.server { $0.clientAuthentication = .request }
            )
            let fresh = StableReport {
                $0.phase = .serverHello
                $0.isComplete = false
                $0.versionsOffered = version...version
                $0.version = nil
                $0.suite = nil
                $0.group = nil
                $0.isServernameAcknowledged = false
                $0.flights = 0
            }
            #expect(StableReport(pair.facts(.client).report) == fresh)
            #expect(pair.facts(.server).report.phase == .clientHello)
            #expect(pair.facts(.server).report.servername == nil)
            for place in stride(from: 0, to: 1200, by: 40) {
                let cut = try EnginePair(
                    client: pair.client.engine.context,
                    server: pair.server.engine.context
                ) { sender, chunk in
                    sender == .server ? Array(chunk.prefix(place)) : chunk
                }
                cut.settle()
                for role in [TLSRole.client, .server] {
                    let report = cut.facts(role).report
                    #expect(report.role == role && report.error == nil)
                }
            }
        }
    }

    @Test("neither report nor error nor context prints a key, a secret or data")
    func secrecy() throws {
        let secret = "correct horse battery staple"
        let issued = try fixtures.ca.issue("localhost")
        let identity = try TLSIdentity(
            certificate: issued.certificateDER,
            privateKey: Array(issued.privateKeyPEM(passphrase: secret).utf8),
            passphrase: SecretBytes(secret)
        )
        let server = try fixtures.server(identities: [identity])
        let pair = try EnginePair(client: fixtures.client(), server: server)
        try pair.handshake()
        try pair.send(Array(secret.utf8), from: .client)
        var printed = ""
        dump(server, to: &printed)
        dump(pair.facts(.client).report, to: &printed)
        dump(pair.facts(.server).report, to: &printed)
        pair.inject([23, 3, 3, 0, 20] + pattern(20), towards: .server)
        let error = try #require(pair.errors[.server])
        printed += String(reflecting: error) + "\(error)"
        #expect(!printed.contains(secret))
        #expect(!printed.contains("PRIVATE KEY"))
        #expect(printed.contains("redacted"))
    }
}
