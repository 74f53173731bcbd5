// Keys outside the process, over sockets: many at once, late, wrong, in hardware that blocks. That a loop
// serves others meanwhile, and everything that ends the wait, is in DecisionTests and
// CancellationPointTests.

import SocketCore
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

extension TLSIdentity {
    /// The same identity with its key elsewhere: signs when a closure has returned.
    func signing(
        after wait: @escaping @Sendable () async throws -> Void = {}
    ) throws -> TLSIdentity {
        let key = self
        return try TLSIdentity(chain: certificateChain) { request in
            try await wait()
            return try key.signature(of: request.message, scheme: request.scheme)
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct ExternalSignerTests {
    /// A listener and a client of which both have their keys elsewhere.
    func pair(
        _ wire: Wire,
        client: TLSIdentity? = nil,
        server: TLSIdentity? = nil
    ) async throws -> Pair {
        let credentials = try Credentials.shared()
        return try await Pair(wire) {
            $0.identity = try client ?? credentials.client.signing()
        } server: {
            $0.identity = try server ?? credentials.server.signing()
            $0.clientAuthentication = .require
            $0.trust = TrustPolicy(anchors: credentials.anchors)
        }
    }

    /// Ends both sides in good order.
    func end(_ pair: Pair) async throws {
        try await pair.client.close()
        try await pair.server.close()
        await pair.listener.close()
    }

    @Test("both sides have their keys elsewhere, and talk", arguments: Wire.secure)
    func both(wire: Wire) async throws {
        let pair = try await pair(wire)
        try await pair.client.write("in")
        #expect(try await readExactly(2, from: pair.server) == Array("in".utf8))
        try await pair.server.write("out")
        #expect(try await readExactly(3, from: pair.client) == Array("out".utf8))
        #expect(pair.server.report?.isPeerTrusted == true)
        #expect(pair.client.report?.provider == "default")
        try await end(pair)
    }

    @Test(
        "two hundred handshakes wait for the signer at once, and all are done",
        arguments: Wire.secure
    )
    func manyAtOnce(wire: Wire) async throws {
        let count = 200
        let waiting = Atomic<Int>(0)
        let most = Atomic<Int>(0)
        let all = Gate()
        let identity = try Credentials.shared().server.signing {
            let now = waiting.wrappingAdd(1, ordering: .relaxed).newValue
            most.max(now, ordering: .relaxed)
            // Nobody gets an answer before everybody has asked.
            if now == count { all.open() }
            await all.wait()
        }
        let group = EventLoopGroup(loopCount: 2)
        let listener = try makeListener(wire) {
            $0.identity = identity
            $0.group = group
        }
        let serving = Task { try await listener.serve { try await $0.write("ready") } }
        let greetings = try await withThrowingTaskGroup(of: [UInt8].self) { tasks in
            for _ in 0..<count {
                tasks.addTask {
                    let socket = try makeClient(wire, to: listener.localAddress) {
                        $0.group = group
                    }
                    return try await readAll(from: socket)
                }
            }
            return try await tasks.reduce(into: 0) { $0 += $1 == Array("ready".utf8) ? 1 : 0 }
        }
        #expect(greetings == count)
        #expect(most.load(ordering: .relaxed) == count)
        await listener.close()
        try await serving.value
    }

    @Test("a wrong signature has a code of its own, and the peer is told it is not to blame")
    func wrong() async throws {
        let credentials = try Credentials.shared()
        let errors = Log<SocketError>()
        let listener = try makeListener(.tls13) {
            $0.identity = try TLSIdentity(chain: credentials.server.certificateChain) { _ in
                pattern(70)
            }
        }
        try listener.onSocket { error, _ in
            if let error = error as? SocketError { errors.append(error) }
        } _: { _ in
        }
        let client = try makeClient(.tls13, to: listener.localAddress)
        let told = await thrown { _ = try await client.ready }
        #expect(told?.tls?.alert == .internalError)
        await until { errors.count == 1 }
        let own = try #require(errors.all.first)
        #expect(own.code == .signingFailed)
        #expect(own.tls?.code == .invalidSignature)
        #expect(own.phase == .keyExchange)
        #expect(own.hint != nil)
        await listener.close()
    }

    @Test("an identity without a signer is refused by who has nobody to ask")
    func nobody() async throws {
        let chain = try Credentials.shared().server.certificateChain
        let errors = Log<SocketError>()
        let listener = try makeListener(.tls13) {
            $0.identity = try TLSIdentity(externalKeyFor: chain)
        }
        try listener.onSocket { error, _ in
            if let error = error as? SocketError { errors.append(error) }
        } _: { _ in
        }
        let client = try makeClient(.tls13, to: listener.localAddress)
        #expect(await thrown { _ = try await client.ready }?.tls?.alert == .internalError)
        await until { errors.count == 1 }
        #expect(errors.all.first?.code == .signingFailed)
        await listener.close()
    }

    @Test("a key that blocks its thread signs on threads of its own", arguments: Wire.secure)
    func offLoop(wire: Wire) async throws {
        let credentials = try Credentials.shared()
        let (client, server) = try (
            credentials.client.signingOffLoop(), credentials.server.signingOffLoop()
        )
        #expect(server.hasExternalKey)
        #expect(try server.signingOffLoop() == server)
        let pair = try await pair(wire, client: client, server: server)
        try await pair.client.write("in")
        #expect(try await readExactly(2, from: pair.server) == Array("in".utf8))
        try await end(pair)
    }

    @Test("one listener has a key of one type here and of another elsewhere")
    func mixed() async throws {
        let credentials = try Credentials.shared()
        let rsa = try TestCA().issue("localhost", "127.0.0.1", key: .rsa2048)
        let here = try TLSIdentity(
            certificate: Array(rsa.chainPEM.utf8),
            privateKey: Array(rsa.privateKeyPEM.utf8)
        )
        let listener = try makeListener(.tls12) {
            $0.identity = try credentials.server.signing()
            $0.identities = [here]
        }
        let serving = Task { try await listener.serve { try await $0.write("ready") } }
        for suite in ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"] {
            let anchors = try credentials.anchors + [Certificate(der: rsa.rootDER)]
            let client = try makeClient(.tls12, to: listener.localAddress) {
                $0.cipherAlgorithms = [suite]
                $0.trust = TrustPolicy(anchors: anchors)
            }
            #expect(try await readAll(from: client) == Array("ready".utf8))
        }
        await listener.close()
        try await serving.value
    }

    @Test("clients with one chain and two signers share no configuration")
    func signersApart() async throws {
        let (first, second) = (Log<Int>(), Log<Int>())
        let client = try Credentials.shared().client
        for log in [first, second] {
            let pair = try await pair(.tls13, client: client.signing { log.append(1) })
            try await end(pair)
        }
        #expect(first.count == 1 && second.count == 1)
    }

    @Test("identities and anchors are read by URI without holding up who waits")
    func byURI() async throws {
        let leaf = try Credentials.shared().leaf
        let directory = try TemporaryDirectory()
        let files = try leaf.write(to: directory.path)
        let identity = try await TLSIdentity.read(uri: files.key, certificateURI: files.chain)
        #expect(identity == (try Credentials.shared().server))
        #expect(try await Certificate.read(at: files.root).map(\.der) == [leaf.rootDER])
        let missing = await thrown { _ = try await TLSIdentity.read(uri: "/no/such/key") }
        #expect(missing?.code == .invalidTLSConfiguration)
        #expect(missing?.tls?.code == .invalidKeyStore)
    }

    @Test("what blocks has so many threads, and no more; the rest waits its turn")
    func blockingThreads() async throws {
        let executor = BlockingExecutor(threadLimit: 2)
        let gauge = Gauge()
        await withTaskGroup(of: Void.self) { tasks in
            for _ in 0..<50 {
                tasks.addTask(executorPreference: executor) { gauge.pass() }
            }
        }
        #expect((1...2).contains(gauge.most.load(ordering: .relaxed)))
        #expect(gauge.inside.load(ordering: .relaxed) == 0)
    }

    @Test("a library context holds for sockets and listeners")
    func library() async throws {
        let library = try TLSLibrary(providers: ["default"])
        let pair = try await Pair(.tls13) {
            $0.library = library
        } server: {
            $0.library = library
        }
        #expect(pair.server.report?.provider == "default")
        try await end(pair)
        let error = await thrown {
            _ = try SocketListener(SocketListenerInit(local: loopback) { $0.library = library })
        }
        #expect(error?.code == .tlsOptionWithoutTLS)
    }
}

/// How many are in one place at once.
private final class Gauge: Sendable {
    let inside = Atomic<Int>(0)
    let most = Atomic<Int>(0)

    func pass() {
        let now = inside.wrappingAdd(1, ordering: .relaxed).newValue
        most.max(now, ordering: .relaxed)
        inside.wrappingSubtract(1, ordering: .relaxed)
    }
}
