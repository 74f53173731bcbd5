// The draft's dictionary PresharedKeyInfo and its callback, in handshakes with a listener.

import Sockets
import Synchronization
import Testing

/// A key that both ends of a test share.
func sharedKey(
    _ identity: PresharedKeyIdentity = "meter 4711",
    for version: ProtocolVersion
) throws -> PresharedKeyInfo {
    try PresharedKeyInfo(
        key: Array("of \(identity) for \(version), 32 bytes or more".utf8),
        identity: identity,
        use: version == .tls12 ? .tls12 : .tls13(.sha256),
        roles: .both(because: "the test plays both sides")
    )
}

/// Both versions.
let bothVersions = [ProtocolVersion.tls12, .tls13]

@Suite(.timeLimit(.minutes(1))) struct PresharedKeyInfoTests {
    @Test("the key proves both sides; another of the same name does not", arguments: bothVersions)
    func key(version: ProtocolVersion) async throws {
        let shared = try sharedKey(for: version)
        let pair = try await Pair(
            .tls,
            client: { $0.presharedKey = { _ in shared } },
            server: { $0.presharedKey = { _ in shared } }
        )
        #expect(try pair.clientTLS().authentication == .presharedKey("meter 4711"))
        #expect(try pair.serverTLS().authentication == .presharedKey("meter 4711"))
        #expect(shared.key.count >= 32)
        let other = try PresharedKeyInfo(
            key: Array("another key of the same name, \(version)".utf8),
            identity: "meter 4711",
            use: shared.use,
            roles: shared.roles
        )
        await #expect(throws: SocketError.self) {
            try await Pair(
                .tls,
                client: { $0.presharedKey = { _ in other } },
                server: { $0.presharedKey = { _ in shared } }
            )
        }
    }

    @Test(
        "the identity is what the listener is asked for, as text or bytes",
        arguments: bothVersions
    )
    func identity(version: ProtocolVersion) async throws {
        for identity in [PresharedKeyIdentity("zähler 4711"), .init(bytes: [0xff, 1, 2])] {
            let shared = try sharedKey(identity, for: version)
            let asked = Mutex<[PresharedKeyIdentity]>([])
            let pair = try await Pair(
                .tls,
                client: { $0.presharedKey = { _ in shared } },
                server: {
                    $0.presharedKey = { name in
                        asked.withLock { $0.append(name) }
                        return name == shared.identity ? shared : nil
                    }
                }
            )
            #expect(asked.withLock { $0 } == [identity])
            #expect(try pair.serverTLS().authentication == .presharedKey(identity))
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct PresharedKeyCallbackTests {
    @Test("gets the hint of a TLS 1.2 listener, and nil before TLS 1.3; what it throws ends it")
    func callback() async throws {
        for version in bothVersions {
            let shared = try sharedKey(for: version)
            let hints = Mutex<[String?]>([])
            let callback: PresharedKeyCallback = { hint in
                hints.withLock { $0.append(hint) }
                return shared
            }
            let pair = try await Pair(
                .tls,
                client: {
                    $0.minimumVersion = version
                    $0.maximumVersion = version
                    $0.presharedKey = callback
                },
                server: {
                    $0.presharedKey = { _ in shared }
                    $0.presharedKeyHint = "floor 3"
                }
            )
            #expect(hints.withLock { $0 } == [version == .tls12 ? "floor 3" : nil])
            #expect(try pair.clientTLS().authentication?.presharedKey == "meter 4711")
        }
        struct Locked: Error {}
        let error = await #expect(throws: SocketError.self) {
            try await Pair(.tls, client: { $0.presharedKey = { _ in throw Locked() } })
        }
        #expect(error?.code == .refusedByApplication)
    }
}
