// A listener and its clients, under one authority, for all suites.

import Sockets
import TLSTestKit
import Testing

/// A certificate's authority and a server under it; made once a process.
struct Stage: Sendable {
    private static let made = Result { try Stage() }

    let identity: TLSIdentity
    let trust: TrustPolicy

    static func shared() throws -> Stage { try made.get() }

    private init() throws {
        let authority = try TestCA()
        let leaf = try authority.issue("localhost", "127.0.0.1")
        identity = try TLSIdentity(
            certificate: Array(leaf.chainPEM.utf8),
            privateKey: Array(leaf.privateKeyPEM.utf8)
        )
        trust = TrustPolicy(anchors: try Certificate.read(Array(authority.rootPEM.utf8)))
    }

    func listener(
        _ configure: (inout SocketListenerInit) -> Void = { _ in }
    ) throws -> SocketListener {
        var options = SocketListenerInit(
            type: .tls,
            local: SocketAddress("127.0.0.1", port: 0),
            identity: identity
        )
        options.alpn = ["echo"]
        configure(&options)
        return try SocketListener(options)
    }

    /// A client that sends `localhost` as servername.
    func client(
        _ address: SocketAddress,
        _ configure: (inout SocketInit) -> Void = { _ in }
    ) -> SocketInit {
        var options = SocketInit(type: .tls, remote: address)
        options.trust = trust
        options.servername = "localhost"
        options.alpn = ["echo"]
        configure(&options)
        return options
    }
}

/// Sends back what comes.
func echo(_ socket: Socket) async throws {
    for try await chunk in try socket.stream() { try await socket.write(chunk) }
}

/// Has three bytes echoed, and ends in good order.
func converse(_ socket: Socket) async throws {
    try await socket.write("abc")
    var received: [UInt8] = []
    while received.count < 3, let chunk = try await socket.read() { received += chunk }
    #expect(received == Array("abc".utf8))
    try await socket.close()
}
