// The zero-allocation path allocates nothing: a message there and back, client and server on one
// event loop, counted by that loop's thread. OpenSSL allocates a few times a record itself; for TLS
// the count of the bare engines, without sockets, is the measure. Only optimised builds are meant:
//
//     swift test -c release --package-path Benchmarks

import CAllocationCounter
import Sockets
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)), .enabled(if: isOptimised, "counts mean something with -c release"))
struct AllocationTests {
    static let roundTrips = 500

    @Test("a round trip over TCP allocates nothing")
    func plain() async throws {
        let count = try await allocationsOfRoundTrips(identity: nil, trust: TrustPolicy())
        #expect(count == 0, "\(count) allocations in \(Self.roundTrips) round trips")
    }

    @Test("a round trip over TLS allocates no more than the engines alone")
    func tls() async throws {
        let authority = try TestCA()
        let leaf = try authority.issue("localhost", "127.0.0.1")
        let identity = try TLSIdentity(
            certificate: Array(leaf.chainPEM.utf8),
            privateKey: Array(leaf.privateKeyPEM.utf8)
        )
        let trust = TrustPolicy(anchors: try Certificate.read(Array(authority.rootPEM.utf8)))
        let bare = try engineAllocations(identity: identity, trust: trust)
        let count = try await allocationsOfRoundTrips(identity: identity, trust: trust)
        #expect(count <= bare, "\(count) allocations, the engines alone \(bare)")
    }

    @Test("the counter counts")
    func counter() {
        guard cac_counts() == 1 else { return }
        let before = cac_thread_allocations()
        let array = unsafe [UInt8](unsafeUninitializedCapacity: 1000) { _, count in count = 0 }
        #expect(array.isEmpty)
        #expect(cac_thread_allocations() > before)
    }

    /// Allocations of the loop's thread during round trips of 64 bytes.
    private func allocationsOfRoundTrips(
        identity: TLSIdentity?,
        trust: TrustPolicy
    ) async throws -> UInt64 {
        let group = EventLoopGroup(loopCount: 1)
        let type: SocketType = identity == nil ? .tcp : .tls
        var options = SocketListenerInit(
            type: type,
            local: SocketAddress("127.0.0.1", port: 0),
            identity: identity
        )
        options.group = group
        let listener = try SocketListener(options)
        let server = Task { try await listener.serve(echo) }
        var client = SocketInit(type: type, remote: listener.localAddress)
        if identity != nil { client.trust = trust }
        client.group = group
        let count = try await withSocket(client) { socket in
            try await countRoundTrips(socket)
        }
        await listener.close()
        try await server.value
        await group.shutdown()
        return count
    }

    /// Runs on the loop's thread, which runs the server's handler too.
    private func countRoundTrips(_ socket: Socket) async throws -> UInt64 {
        try await withTaskExecutorPreference(socket.executor) {
            let message = [UInt8](repeating: 7, count: 64)
            var answer = [UInt8](repeating: 0, count: 4096)
            // The first rounds make what stays: task allocators, buffers of the library.
            for _ in 0..<50 { try await roundTrip(socket, message, &answer) }
            let before = cac_thread_allocations()
            for _ in 0..<Self.roundTrips { try await roundTrip(socket, message, &answer) }
            return cac_thread_allocations() - before
        }
    }

    /// What the engines alone allocate for as many messages there and back.
    private func engineAllocations(identity: TLSIdentity, trust: TrustPolicy) throws -> UInt64 {
        let server = try TLSContext(role: .server, identities: [identity])
        let client = try TLSContext(role: .client, trust: trust)
        let pair = try EnginePair(client: client, server: server, remoteName: "127.0.0.1")
        try pair.handshake()
        var wire = [UInt8](repeating: 0, count: 32 << 10)
        var plain = [UInt8](repeating: 7, count: 64)
        let passes = { (from: inout TLSEngine, to: inout TLSEngine) in
            try Self.pass(&from, &to, &wire, &plain)
        }
        for _ in 0..<50 { try passes(&pair.client.engine, &pair.server.engine) }
        let before = cac_thread_allocations()
        for _ in 0..<Self.roundTrips {
            try passes(&pair.client.engine, &pair.server.engine)
            try passes(&pair.server.engine, &pair.client.engine)
        }
        return cac_thread_allocations() - before
    }

    /// Sends the plaintext from one engine to the other through memory of the caller's.
    private static func pass(
        _ from: inout TLSEngine,
        _ to: inout TLSEngine,
        _ wire: inout [UInt8],
        _ plain: inout [UInt8]
    ) throws {
        try unsafe wire.withUnsafeMutableBufferPointer { wire in
            try unsafe plain.withUnsafeMutableBufferPointer { plain in
                var output = unsafe OutputSpan(buffer: wire, initializedCount: 0)
                let message = unsafe Span(_unsafeElements: UnsafeBufferPointer(plain))
                _ = try from.send(message, producing: &output)
                let count = unsafe output.finalize(for: wire)
                let records = unsafe Span(
                    _unsafeElements: UnsafeBufferPointer(rebasing: wire[..<count])
                )
                var answers = unsafe OutputSpan(
                    buffer: UnsafeMutableBufferPointer(rebasing: wire[count...]),
                    initializedCount: 0
                )
                var received = unsafe OutputSpan(buffer: plain, initializedCount: 0)
                _ = try to.receive(records, into: &received, producing: &answers)
            }
        }
    }
}

#if DEBUG
let isOptimised = false
#else
let isOptimised = true
#endif

@Sendable
private func echo(_ socket: Socket) async throws {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = try await socket.read(into: &buffer)
        guard count > 0 else { return }
        try await socket.write(buffer.span.extracting(0..<count))
    }
}

private func roundTrip(
    _ socket: Socket,
    _ message: [UInt8],
    _ answer: inout [UInt8]
) async throws {
    try await socket.write(message.span)
    var received = 0
    while received < message.count {
        let count = try await socket.read(into: &answer)
        guard count > 0 else { throw SocketError(.truncated) }
        received += count
    }
}
