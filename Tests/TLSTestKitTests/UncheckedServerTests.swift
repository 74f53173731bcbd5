import TLSEngine
import TLSTestKit
import Testing

/// A client's engine against the kit's server, in memory.
private struct Client: ~Copyable {
    var engine: TLSEngine
    var inbox: [UInt8] = []
    var wants = TLSEngine.Wants.write

    init(_ scenario: FaultScenario, _ configure: (inout TLSPolicy) -> Void = { _ in }) throws {
        let context = try TLSContext(
            role: .client,
            policy: TLSPolicy(configure),
            trust: scenario.trust
        )
        engine = try TLSEngine(context, remoteName: scenario.host)
    }

    /// One step of the handshake; what was produced goes out also when it throws.
    mutating func step(_ server: inout UncheckedServer, chunk: Int) throws {
        let input = inbox
        var result: Result<TLSEngine.Progress, TLSError>?
        let output = [UInt8](capacity: 65536) { output in
            do throws(TLSError) {
                result = .success(
                    try engine.handshake(consuming: input.span, producing: &output)
                )
            } catch {
                result = .failure(error)
            }
        }
        for start in stride(from: 0, to: output.count, by: chunk) {
            inbox += server.receive(Array(output[start..<min(output.count, start + chunk)]))
        }
        guard let progress = try result?.get() else { return }
        inbox.removeFirst(progress.consumed)
        wants = progress.wants
    }

    mutating func handshake(_ server: inout UncheckedServer, chunk: Int = .max) throws {
        while wants != .nothing { try step(&server, chunk: chunk) }
    }
}

@Suite(.timeLimit(.minutes(1)))
struct UncheckedServerTests {
    let authority: TestCA
    init() throws { authority = try TestCA(clock: ManualClock()) }

    @Test("bytes cut anywhere give the same handshake", arguments: [1, 100, Int.max])
    func cuts(_ chunk: Int) throws {
        let scenario = try CertificateFault.wildcard.scenario(under: authority)
        var server = try scenario.server()
        var client = try Client(scenario)
        try client.handshake(&server, chunk: chunk)
        let (isReady, failure, rest) = (server.isReady, server.failure, server.receive([]))
        #expect(isReady)
        #expect(failure == nil)
        #expect(rest.isEmpty)
    }

    @Test("a refusal reaches the server, which is silent from then on")
    func refusal() throws {
        let scenario = try CertificateFault.expired.scenario(under: authority)
        var server = try scenario.server()
        var client = try Client(scenario)
        var refusal: TLSError?
        do {
            try client.handshake(&server)
        } catch {
            refusal = error as? TLSError
        }
        #expect(refusal?.verification?.code == .expired)
        let (isReady, failure, rest) = (server.isReady, server.failure, server.receive([1, 2, 3]))
        #expect(!isReady)
        #expect(failure?.code == .openSSL)
        #expect(rest.isEmpty)
    }

    @Test("what is no TLS ends it with an alert")
    func garbage() throws {
        var server = try UncheckedServer(authority.issue("a.test"))
        let answer = server.receive(Array("GET / HTTP/1.1\r\n\r\n".utf8))
        #expect(answer.isEmpty || answer.first == 21)
        let failure = server.failure
        #expect(failure?.code == .openSSL)
    }

    @Test("a staple is given to who asks for it")
    func staple() throws {
        let scenario = try CertificateFault.mustStapleWith.scenario(under: authority)
        var server = try scenario.server()
        var client = try Client(scenario) { $0.requestsOCSPStaple = true }
        try client.handshake(&server)
        let report = client.engine.report
        #expect(report.ocspResponse == scenario.staple?.der)
    }

    @Test("a staple of no bytes is none, and the handshake goes on")
    func emptyStaple() throws {
        var scenario = try CertificateFault.wildcard.scenario(under: authority)
        scenario.staple = .empty
        for version in [ProtocolVersion.tls12, .tls13] {
            scenario.versions = version...version
            var server = try scenario.server()
            var client = try Client(scenario) { $0.requestsOCSPStaple = true }
            try client.handshake(&server)
            let report = client.engine.report
            #expect(report.isComplete && report.ocspResponse == nil)
            let failure = server.failure
            #expect(failure == nil)
        }
    }

    @Test("a key of two halves is loaded as if it fitted, and only of P-256")
    func halves() throws {
        let wrong = try authority.issue("a.test").withWrongKey()
        #expect(try wrong.tlsIdentity.certificate.der == wrong.certificateDER)
        let error = #expect(throws: TestKitError.self) {
            try authority.issue("a.test", key: .ed25519).withWrongKey()
        }
        #expect(error?.code == .invalidRecipe)
    }

    @Test("a certificate that OpenSSL cannot read is an error")
    func unreadable() throws {
        let leaf = try authority.issue("a.test").presenting(with: [[0x30, 0x00]])
        let error = #expect(throws: TestKitError.self) { _ = try UncheckedServer(leaf) }
        #expect(error?.code == .openSSL)
    }
}
