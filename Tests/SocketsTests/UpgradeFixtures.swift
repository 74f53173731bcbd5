// Connections in the clear whose ends are about to start TLS, and the words they say before.

import SocketCore
import TLSEngine
import Testing

@testable import Sockets

let ask = "STARTTLS\r\n"
let goAhead = "220 go ahead\r\n"

/// A client's members for starting TLS in the version of the wire.
func upgradeMembers(_ wire: Wire) throws -> TLSSocketInit {
    try clientOptions(wire, to: loopback).tls
}

/// A listener's members for the same.
func prepareTLS(
    _ wire: Wire,
    _ configure: (inout TLSSocketListenerInit) throws -> Void = { _ in }
) throws -> PreparedTLS {
    var tls = try listenerOptions(wire).tls
    try configure(&tls)
    return try PreparedTLS(tls)
}

/// A connection without TLS, and what both ends need to start it.
struct UpgradePair: Sendable {
    let pair: Pair
    let members: TLSSocketInit
    let prepared: PreparedTLS

    var client: Socket { pair.client }
    var server: Socket { pair.server }

    init(
        _ wire: Wire,
        client: (inout SocketInit) throws -> Void = { _ in },
        server: (inout SocketListenerInit) throws -> Void = { _ in },
        members configure: (inout TLSSocketInit) throws -> Void = { _ in },
        prepared: (inout TLSSocketListenerInit) throws -> Void = { _ in }
    ) async throws {
        pair = try await Pair(.tcp, client: client, server: server)
        var members = try upgradeMembers(wire)
        try configure(&members)
        self.members = members
        self.prepared = try prepareTLS(wire, prepared)
    }

    /// The client asks, hears the go-ahead, and starts TLS.
    func startClient() async throws -> SocketInfo {
        try await client.write(ask)
        #expect(try await readExactly(goAhead.utf8.count, from: client) == Array(goAhead.utf8))
        return try await client.startTLS(members)
    }

    /// The listener's side hears the request, and gives the go-ahead.
    func startServer() async throws -> SocketInfo {
        #expect(try await readExactly(ask.utf8.count, from: server) == Array(ask.utf8))
        return try await server.startTLS(prepared, sending: goAhead)
    }

    /// Both sides, at the same time.
    func start() async throws -> (client: SocketInfo, server: SocketInfo) {
        let serving = Task { try await startServer() }
        let client = try await startClient()
        return (client, try await serving.value)
    }

    /// Says something in both directions.
    func expectTalk() async throws {
        let bytes = pattern(40_000)
        for (from, to) in [(client, server), (server, client)] {
            let writing = Task { try await from.write(bytes) }
            #expect(try await readExactly(bytes.count, from: to) == bytes)
            try await writing.value
        }
    }

    /// Ends both ends at once.
    func end() {
        client.abort()
        server.abort()
    }
}

extension Socket {
    /// Whether the kernel has bytes of the peer's that nobody has read.
    var hasUnread: Bool {
        ((try? Syscalls.unreadBytes(descriptor)) ?? 0) > 0
    }
}
