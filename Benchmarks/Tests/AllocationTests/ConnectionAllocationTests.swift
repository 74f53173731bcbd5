// What a whole connection costs the server in heap allocations besides OpenSSL's own: accept,
// handshake, a task for its handler, one echo, the end. Connections come one after the other, and
// each one's handler, which runs on the loop's thread, reads that thread's counter.

import CAllocationCounter
import Sockets
import Synchronization
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)), .enabled(if: isOptimised, "counts mean something with -c release"))
struct ConnectionAllocationTests {
    static let connections = 100

    // OpenSSL asks for some 700 blocks, of which 7 are not among those that it gave back before.
    @Test("a TLS connection allocates 16 times, and OpenSSL hardly at all")
    func tls() async throws {
        let authority = try TestCA()
        let leaf = try authority.issue("localhost", "127.0.0.1")
        let identity = try TLSIdentity(
            certificate: Array(leaf.chainPEM.utf8),
            privateKey: Array(leaf.privateKeyPEM.utf8)
        )
        let trust = TrustPolicy(anchors: try Certificate.read(Array(authority.rootPEM.utf8)))
        let counts = try await allocationsPerConnection(identity: identity, trust: trust)
        #expect(counts.own <= 16.1, "\(counts.own) allocations")
        #expect(counts.openSSL <= 40, "\(counts.openSSL) allocations")
        #expect(counts.openSSL > 0, "whose an allocation is was not told")
    }

    @Test("a TCP connection allocates 18 times")
    func plain() async throws {
        let counts = try await allocationsPerConnection(identity: nil, trust: TrustPolicy())
        #expect(counts.own <= 18.1, "\(counts.own) allocations")
        #expect(counts.openSSL == 0)
    }

    private func allocationsPerConnection(
        identity: TLSIdentity?,
        trust: TrustPolicy
    ) async throws -> (own: Double, openSSL: Double) {
        // The client has a loop, and a thread, of its own.
        let loops = (server: EventLoopGroup(loopCount: 1), client: EventLoopGroup(loopCount: 1))
        let type: SocketType = identity == nil ? .tcp : .tls
        var options = SocketListenerInit(
            type: type,
            local: SocketAddress("127.0.0.1", port: 0),
            identity: identity
        )
        options.group = loops.server
        let listener = try SocketListener(options)
        let log = CounterLog(room: Self.connections)
        let server = Task { try await listener.serve { try await log.noteAndEcho($0) } }
        var client = SocketInit(type: type, remote: listener.localAddress)
        if identity != nil { client.trust = trust }
        client.group = loops.client
        for _ in 0..<Self.connections {
            try await withSocket(client) { socket in
                try await socket.write([7])
                _ = try await socket.read()
            }
        }
        await listener.close()
        try await server.value
        await loops.server.shutdown()
        await loops.client.shutdown()
        return log.perConnection(from: Self.connections / 2)
    }
}

/// The loop thread's counters at the beginning of each handler.
private final class CounterLog: Sendable {
    private let counters: Mutex<[(all: UInt64, openSSL: UInt64)]>

    init(room: Int) {
        var counters: [(all: UInt64, openSSL: UInt64)] = []
        counters.reserveCapacity(room)
        self.counters = Mutex(counters)
    }

    func noteAndEcho(_ socket: Socket) async throws {
        counters.withLock {
            $0.append((cac_thread_allocations(), cac_thread_openssl_allocations()))
        }
        var buffer = [UInt8](repeating: 0, count: 64)
        while case let count = try await socket.read(into: &buffer), count > 0 {
            try await socket.write(buffer.span.extracting(0..<count))
        }
    }

    /// The mean of the connections behind the first ones, which allocate what stays.
    func perConnection(from first: Int) -> (own: Double, openSSL: Double) {
        counters.withLock { counters in
            let (begin, end) = (counters[first], counters[counters.count - 1])
            let number = Double(counters.count - 1 - first)
            let openSSL = Double(end.openSSL - begin.openSSL) / number
            return (Double(end.all - begin.all) / number - openSSL, openSSL)
        }
    }
}
