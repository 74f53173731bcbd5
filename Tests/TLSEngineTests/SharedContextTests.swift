// One context, many engines, many threads.

import Synchronization
import TLSEngine
import TLSTestKit
import Testing

/// Owns an engine as a connection does: behind a lock.
private final class EngineOwner: Sendable {
    private let engine: Mutex<TLSEngine>

    init(_ engine: consuming sending TLSEngine) {
        self.engine = Mutex(engine)
    }

    func handshake(
        _ ciphertext: [UInt8]
    ) -> (bytes: [UInt8], result: Result<TLSEngine.Progress, TLSError>) {
        engine.withLock { engine in
            produced { (output) throws(TLSError) in
                try engine.handshake(consuming: ciphertext.span, producing: &output)
            }
        }
    }
}

@Suite(.timeLimit(.minutes(1)))
struct SharedContextTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    @Test(
        "engines of one context work on many threads at once, each for itself",
        arguments: versions
    )
    func threads(_ version: ProtocolVersion) async throws {
        let client = try fixtures.client(identities: [fixtures.clientIdentity]) {
            $0.allowOnly(version)
            $0.alpn = ["h2"]
        }
        let server = try fixtures.server {
            $0.clientAuthentication = .require
            $0.alpn = ["h2"]
        }
        try await withThrowingTaskGroup { group in
            for number in 0..<8 {
                group.addTask {
                    for round in 0..<10 {
                        await Task.yield()
                        // Every third connection fails, and disturbs none of the others.
                        let name = round % 3 == 2 ? "other.test" : "localhost"
                        let pair = try EnginePair(client: client, server: server, remoteName: name)
                        pair.settle()
                        guard name == "localhost" else {
                            let code = pair.errors[.client]?.verification?.code
                            #expect(code == .hostnameMismatch)
                            continue
                        }
                        #expect(pair.isReady)
                        let bytes = [UInt8](repeating: UInt8(number), count: 20000)
                        try pair.send(bytes, from: .client)
                        #expect(pair.facts(.server).received == bytes)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("an engine may change its thread between steps")
    func changingThreads() async throws {
        let owner = try EngineOwner(TLSEngine(fixtures.client(), remoteName: "localhost"))
        let hello = owner.handshake([])
        #expect(!hello.bytes.isEmpty)
        let refused = await Task.detached { owner.handshake([0, 0, 0, 0, 0]).result }.value
        #expect(refused == .failure(TLSError(.notTLS)))
    }

    @Test("contexts may be made on many threads at once")
    func makingContexts() async throws {
        try await withThrowingTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<10 {
                        let client = try fixtures.client {
                            $0.cipherAlgorithms = ["TLS_AES_128_GCM_SHA256"]
                        }
                        let pair = try EnginePair(client: client, server: fixtures.server())
                        try pair.handshake()
                        #expect(pair.isReady)
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}
