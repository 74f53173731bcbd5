// Private keys that are elsewhere: a handshake stops where it needs a signature, and goes on with it.

import Foundation
import TLSEngine
import TLSTestKit
import Testing

/// Who signs, in which version, with which kind of key.
struct SigningCase: Sendable, CustomTestStringConvertible {
    let role: TLSRole
    let version: ProtocolVersion
    let key: TestKey

    var testDescription: String { "\(role), \(version), \(key)" }

    static let all = [TLSRole.client, .server].flatMap { role in
        versions.flatMap { version in
            handshakeKeys.map { SigningCase(role: role, version: version, key: $0) }
        }
    }

    /// How a key signs that the fixtures' peers leave the choice to.
    var scheme: SignatureScheme {
        switch key {
        case .p256: .ecdsaSHA256
        // Only TLS 1.3 ties a hash to a curve.
        case .p384: version == .tls13 ? .ecdsaSHA384 : .ecdsaSHA256
        case .ed25519: .ed25519
        case .rsaPSS2048: .rsaPSSPSSSHA256
        default: .rsaPSSRSAESHA256
        }
    }
}

/// A bad answer to a request for a signature.
struct BadSignature: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let make: @Sendable (TLSIdentity, SignatureRequest) throws -> [UInt8]

    static let all = [
        BadSignature(testDescription: "nothing") { _, _ in [] },
        BadSignature(testDescription: "one byte") { _, _ in [0] },
        BadSignature(testDescription: "far too much") { _, _ in pattern(100_000) },
        BadSignature(testDescription: "a bit turned") { identity, request in
            var bytes = try identity.signature(of: request.message, scheme: request.scheme)
            bytes[bytes.count - 1] ^= 1
            return bytes
        },
        BadSignature(testDescription: "of something else") { identity, request in
            try identity.signature(of: request.message + [0], scheme: request.scheme)
        },
        BadSignature(testDescription: "of the digest, hashed once more") { identity, request in
            try identity.signature(
                of: request.digest ?? request.message + [1],
                scheme: request.scheme
            )
        },
        BadSignature(testDescription: "with a byte behind it") { identity, request in
            try identity.signature(of: request.message, scheme: request.scheme) + [0]
        },
    ]
}

/// A pair that threads use one after the other.
private struct SharedPair: @unchecked Sendable {
    let pair: EnginePair
}

/// Runs a closure in a thread of its own, and waits for its end.
private func inThread(_ body: @escaping @Sendable () -> Void) {
    let end = DispatchSemaphore(value: 0)
    let thread = Thread {
        body()
        end.signal()
    }
    thread.start()
    end.wait()
}

@Suite(.timeLimit(.minutes(1)))
struct ExternalKeyTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// The identity with the key, and the same without.
    func identities(_ role: TLSRole, _ key: TestKey) throws -> (TLSIdentity, TLSIdentity) {
        let here =
            role == .server
            ? try fixtures.serverIdentity(key)
            : try TLSIdentity(fixtures.ca.issueClient("alice", key: key))
        return (here, try TLSIdentity(externalKeyFor: here.certificateChain))
    }

    /// A pair of which one side has its key elsewhere.
    func pair(
        _ test: SigningCase,
        _ configure: (inout TLSPolicy) -> Void = { _ in }
    ) throws -> (pair: EnginePair, key: TLSIdentity) {
        let (here, elsewhere) = try identities(test.role, test.key)
        let pair = try EnginePair(
            client: fixtures.client(identities: test.role == .client ? [elsewhere] : []) {
                $0.allowOnly(test.version)
            },
            server: fixtures.server(identities: test.role == .server ? [elsewhere] : nil) {
                $0.allowOnly(test.version)
                if test.role == .client { $0.clientAuthentication = .require }
                configure(&$0)
            }
        )
        return (pair, here)
    }

    @Test(
        "a handshake waits for a signature, and goes on with it, cut anywhere",
        arguments: SigningCase.all,
        [1, .max]
    )
    func sign(_ test: SigningCase, _ chunk: Int) throws {
        let (pair, key) = try pair(test)
        pair.chunk = chunk
        pair.settle()
        guard case .signature(let request) = pair.question(test.role) else {
            Issue.record("no signature is asked for: \(pair.errors)")
            return
        }
        #expect(request.scheme == test.scheme)
        #expect(request.role == test.role)
        #expect(request.certificate == key.certificate)
        #expect(request.servername == "localhost")
        let digestCount = test.scheme == .ecdsaSHA384 ? 48 : 32
        #expect(request.digest?.count == (test.key == .ed25519 ? nil : digestCount))
        #expect(pair.facts(test.role).phase == .keyExchange)
        #expect(!pair.facts(test.role).isReady)
        // Nothing moves until the answer comes.
        let before = pair.delivered
        pair.settle()
        #expect(pair.delivered == before)
        let signature = try key.signature(of: request.message, scheme: request.scheme)
        try pair.answer(test.role, .signature(signature))
        #expect(pair.isReady, "\(pair.errors)")
        try pair.expectDataFlows()
        #expect(pair.facts(test.role).report.localCertificate == key.certificate)
        let peer = pair.facts(test.role == .client ? .server : .client).report
        #expect(peer.isPeerTrusted)
        #expect(peer.peerSignatureAlgorithm == test.scheme.description)
    }

    @Test(
        "a signature that is none is not sent: own code, internal_error, and the peer's error",
        arguments: BadSignature.all,
        SigningCase.all
    )
    func badSignature(_ bad: BadSignature, _ test: SigningCase) throws {
        let (pair, key) = try pair(test)
        pair.settle()
        guard case .signature(let request) = pair.question(test.role) else {
            Issue.record("no signature is asked for")
            return
        }
        try pair.answer(test.role, .signature(bad.make(key, request)))
        let (own, peer) = (
            pair.facts(test.role), pair.facts(test.role == .client ? .server : .client)
        )
        #expect(own.error == TLSError(.invalidSignature))
        #expect(own.error?.category == .local)
        #expect(own.error?.phase == .keyExchange)
        #expect(own.error?.hint != nil)
        #expect(own.report.alertSent == .internalError)
        #expect(peer.error == TLSError(.alertReceived, alert: .internalError))
        #expect(!own.isReady && !own.isOpen)
    }

    @Test(
        "who cannot sign refuses: own code, the reason, internal_error",
        arguments: SigningCase.all
    )
    func refuse(_ test: SigningCase) throws {
        let (pair, _) = try pair(test)
        pair.settle()
        #expect(pair.question(test.role)?.kind == .signature)
        // Another alert cannot be said.
        try pair.answer(test.role, .refuse(TLSRefusal("the vault is shut", alert: .accessDenied)))
        let own = pair.facts(test.role)
        #expect(own.error == TLSError(.signingFailed))
        #expect(own.error?.detail == "the vault is shut")
        #expect(own.error?.category == .local)
        #expect(own.report.alertSent == .internalError)
        let peer = pair.facts(test.role == .client ? .server : .client)
        #expect(peer.error == TLSError(.alertReceived, alert: .internalError))
    }

    @Test("other answers do not fit, a second one is unexpected", arguments: versions)
    func unexpectedAnswers(version: ProtocolVersion) throws {
        let test = SigningCase(role: .server, version: version, key: .p256)
        let (pair, key) = try pair(test)
        pair.settle()
        guard case .signature(let request) = pair.question(.server) else {
            Issue.record("no signature is asked for")
            return
        }
        for answer in [TLSAnswer.accept, .present(nil), .presharedKey(nil), .use(nil)] {
            #expect(throws: TLSError(.unexpectedAnswer)) { try pair.answer(.server, answer) }
            #expect(pair.question(.server)?.kind == .signature)
        }
        let signature = try key.signature(of: request.message, scheme: request.scheme)
        try pair.server.engine.answer(.signature(signature))
        #expect(throws: TLSError(.unexpectedAnswer)) {
            try pair.server.engine.answer(.signature(signature))
        }
        pair.inject([], towards: .server)
        #expect(
            produced { (output) throws(TLSError) in
                try pair.server.engine.handshake(consuming: Span(), producing: &output)
            }.bytes.count > 500
        )
    }

    @Test("an engine may go while it waits, and its peer be cut off", arguments: SigningCase.all)
    func abandoned(_ test: SigningCase) throws {
        let (pair, _) = try pair(test)
        pair.settle()
        #expect(pair.question(test.role)?.kind == .signature)
        pair.endWire(towards: test.role)
        #expect(pair.question(test.role)?.kind == .signature)
        #expect(pair.errors[test.role] == nil)
    }

    @Test("two hundred handshakes wait at once, and are answered last first", arguments: versions)
    func manyAtOnce(version: ProtocolVersion) throws {
        let test = SigningCase(role: .server, version: version, key: .p256)
        let (here, elsewhere) = try identities(.server, .p256)
        let client = try fixtures.client { $0.allowOnly(version) }
        let server = try fixtures.server(identities: [elsewhere])
        let pairs = try (0..<200).map { _ in try EnginePair(client: client, server: server) }
        for pair in pairs { pair.settle() }
        for pair in pairs.reversed() {
            guard case .signature(let request) = pair.question(test.role) else {
                Issue.record("no signature is asked for")
                return
            }
            let signature = try here.signature(of: request.message, scheme: request.scheme)
            try pair.answer(.server, .signature(signature))
            #expect(pair.isReady)
        }
        try pairs[100].expectDataFlows()
    }

    @Test("a handshake goes on in another thread than it stopped in", arguments: SigningCase.all)
    func threads(_ test: SigningCase) throws {
        let (pair, key) = try pair(test)
        let shared = SharedPair(pair: pair)
        inThread { shared.pair.settle() }
        guard case .signature(let request) = pair.question(test.role) else {
            Issue.record("no signature is asked for")
            return
        }
        let signature = try key.signature(of: request.message, scheme: request.scheme)
        inThread { try? shared.pair.answer(test.role, .signature(signature)) }
        inThread { try? shared.pair.expectDataFlows() }
        #expect(pair.isReady && pair.facts(.client).received.count > 0)
        // One that goes in another thread than it waits in.
        let (other, _) = try self.pair(test)
        let waiting = SharedPair(pair: other)
        inThread { waiting.pair.settle() }
        #expect(other.question(test.role)?.kind == .signature)
        inThread { waiting.pair.endWire(towards: test.role) }
    }

    @Test("a session is resumed without the key", arguments: versions)
    func resumption(version: ProtocolVersion) throws {
        let (here, elsewhere) = try identities(.server, .p256)
        let client = try fixtures.client { $0.allowOnly(version) }
        let server = try fixtures.server(identities: [elsewhere])
        let first = try EnginePair(client: client, server: server)
        var asked = 0
        first.decide = { _, question in
            guard case .signature(let request) = question else { return nil }
            asked += 1
            let made = try? here.signature(of: request.message, scheme: request.scheme)
            return .signature(made ?? [])
        }
        try first.handshake()
        try first.expectDataFlows()
        let session = try #require(first.session(of: .client))
        let second = try EnginePair(client: client, server: server, resuming: session)
        try second.handshake()
        #expect(second.isReady && second.facts(.server).report.isResumed)
        #expect(asked == 1)
    }

    @Test("a virtual host has its key elsewhere, or the listener has", arguments: [true, false])
    func hosts(isHosts: Bool) throws {
        let (here, elsewhere) = try identities(.server, .p256)
        var hosts = TLSHosts(fallback: .always)
        try hosts.add("localhost", fixtures.server(identities: [isHosts ? elsewhere : here]))
        let server = try TLSContext(
            role: .server,
            identities: [isHosts ? here : elsewhere],
            hosts: hosts
        )
        let pair = try EnginePair(client: fixtures.client(), server: server)
        pair.decide = { _, question in
            guard case .signature(let request) = question else { return nil }
            return (try? here.signature(of: request.message, scheme: request.scheme))
                .map { .signature($0) }
        }
        try pair.handshake()
        #expect(pair.isReady)
    }

    @Test("a chosen certificate may have its key elsewhere", arguments: versions, [1, .max])
    func choice(version: ProtocolVersion, chunk: Int) throws {
        let (here, elsewhere) = try identities(.client, .rsa2048)
        let pair = try EnginePair(
            client: fixtures.client {
                $0.allowOnly(version)
                $0.decisions = [.certificateChoice, .serverIdentity]
            },
            server: fixtures.server { $0.clientAuthentication = .require }
        )
        var kinds: [TLSDecisions] = []
        pair.decide = { _, question in
            kinds.append(question.kind)
            switch question {
            case .certificateChoice: return .present(elsewhere)
            case .signature(let request):
                return (try? here.signature(of: request.message, scheme: request.scheme))
                    .map { .signature($0) }
            default: return .accept
            }
        }
        try pair.handshake(chunk: chunk)
        #expect(pair.isReady)
        #expect(kinds == [.serverIdentity, .certificateChoice, .signature])
        #expect(pair.facts(.server).report.isPeerTrusted)
    }

    @Test(
        "a flight that another question holds back is not let out by a signature in its middle",
        arguments: [true, false]
    )
    func behindStaple(accepts: Bool) throws {
        // A large certificate, so that the flight leaves OpenSSL's buffer before it is complete.
        let names = (0..<200).map {
            SubjectName(stringLiteral: "host-number-\($0).a.long.name.test")
        }
        var recipe = CertificateRecipe.client("alice", names)
        recipe.key = .p256
        let here = try TLSIdentity(fixtures.ca.issue(recipe))
        let elsewhere = try TLSIdentity(externalKeyFor: here.certificateChain)
        let pair = try EnginePair(
            client: fixtures.client(identities: [elsewhere]) {
                $0.allowOnly(.tls12)
                $0.decisions = .ocspResponse
            },
            server: fixtures.server(staples: fixtures.staples) {
                $0.clientAuthentication = .require
            }
        )
        pair.settle()
        let hello = pair.delivered[.client]
        guard case .signature(let request) = pair.question(.client) else {
            Issue.record("no signature is asked for: \(String(describing: pair.question(.client)))")
            return
        }
        let signature = try here.signature(of: request.message, scheme: request.scheme)
        try pair.answer(.client, .signature(signature))
        #expect(pair.question(.client)?.kind == .ocspResponse)
        #expect(pair.delivered[.client] == hello)
        try pair.answer(.client, accepts ? .accept : .refuse(TLSRefusal("no")))
        #expect(pair.isReady == accepts)
        guard !accepts else { return try pair.expectDataFlows() }
        #expect(
            pair.errors[.server] == TLSError(.alertReceived, alert: .badCertificateStatusResponse)
        )
    }

    @Test("a key that is elsewhere decrypts nothing: suites that need it are left out or refused")
    func keyTransport() throws {
        let (here, elsewhere) = try identities(.server, .rsa2048)
        let client = try fixtures.client {
            $0.allowOnly(.tls12)
            $0.cipherAlgorithms = ["AES128-GCM-SHA256"]
        }
        let withKey = try EnginePair(client: client, server: fixtures.server(identities: [here]))
        try withKey.handshake()
        #expect(withKey.isReady)
        let without = try EnginePair(
            client: client,
            server: fixtures.server(identities: [elsewhere])
        )
        without.settle()
        #expect(without.errors[.server] == TLSError(.noSharedParameters))
        #expect(throws: TLSError(.invalidCipherSuite)) {
            try fixtures.server(identities: [elsewhere]) {
                $0.cipherAlgorithms = ["AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"]
            }
        }
        // What is named and only signs stays as it is named.
        let named = try fixtures.server(identities: [elsewhere]) {
            $0.cipherAlgorithms = ["ECDHE-RSA-AES256-GCM-SHA384"]
        }
        #expect(named.identities.count == 1)
    }

    @Test("what makes no identity is refused")
    func refusedChains() throws {
        #expect(throws: TLSError(.invalidCertificate)) { try TLSIdentity(externalKeyFor: []) }
        let dsa = try fixtures.ca.issue("a.test", key: .dsa2048)
        #expect(throws: TLSError(.invalidCertificate)) {
            try TLSIdentity(externalKeyFor: [Certificate(der: dsa.certificateDER)])
        }
        let (here, elsewhere) = try identities(.server, .p256)
        #expect(elsewhere.hasExternalKey && !here.hasExternalKey)
        #expect(here != elsewhere)
        #expect(elsewhere == elsewhere)
        #expect(elsewhere != (try TLSIdentity(externalKeyFor: here.certificateChain)))
        #expect(throws: TLSError(.signingFailed)) {
            try elsewhere.signature(of: [1], scheme: .ecdsaSHA256)
        }
        #expect(throws: TLSError(.signingFailed)) {
            try here.signature(of: [1], scheme: .rsaPSSRSAESHA256)
        }
        #expect(throws: TLSError(.signingFailed)) {
            try here.signature(of: [1], scheme: SignatureScheme(rawValue: 0xfefe))
        }
    }

    // In a process of its own: only stacks that nobody uses are looked at, and other tests may have them all.
    @Test("a handshake takes a small part of its stack")
    func stack() async {
        await #expect(processExitsWith: .success) {
            let test = SigningCase(role: .client, version: .tls13, key: .rsaPSS2048)
            let (pair, key) = try ExternalKeyTests().pair(test)
            pair.decide = { _, question in
                guard case .signature(let request) = question else { return nil }
                return (try? key.signature(of: request.message, scheme: request.scheme))
                    .map { .signature($0) }
            }
            try pair.handshake()
            #expect((1...(256 << 10)).contains(stackBytesUsedByHandshakes))
        }
    }
}
