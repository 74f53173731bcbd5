// How `listen` carries bytes: what it keeps for a slow reader, how each end's break reaches the other, and
// backends that are not there, or not yet.

import Foundation
import Glibc
import Synchronization
import TLSTestKit
import Testing
import ToolFixtures

@testable import Sockets
@testable import TLSInspection

@Suite(.timeLimit(.minutes(1)))
struct RelayTests {
    private let here = SocketAddress("127.0.0.1", port: 0)
    private let hello = Cut.table[0].pieces[0]

    /// Runs a watch while a closure runs; gives what it told, in order.
    private func watch(
        _ configure: (inout WatchOptions) throws -> Void,
        _ body: (SocketAddress, HelloWatch) async throws -> Void
    ) async throws -> (records: [HelloRecord], summary: ListenSummary) {
        var options = WatchOptions(local: here)
        try configure(&options)
        let watch = try HelloWatch(options, now: testTime)
        let told = Mutex<[HelloRecord]>([])
        let running = Task {
            try await watch.run { arrival in
                let record = arrival.record
                told.withLock { $0.append(record) }
            }
        }
        do { try await body(watch.localAddress, watch) } catch {
            running.cancel()
            throw error
        }
        running.cancel()
        try await running.value
        return (told.withLock { $0 }, watch.summary)
    }

    @Test("a reader that is slow gets everything, and the backend waits for it")
    func backpressure() async throws {
        // The kernel's buffers of two connections, as large as it lets them grow, and chunks on their way.
        let buffers = try bufferMax("tcp_rmem") + bufferMax("tcp_wmem")
        let bound = 2 * buffers + (1 << 20)
        let total = bound + (16 << 20)
        let written = Atomic(0)
        let server = SocketListenerInit(local: here)
        try await withServer(server) { socket in
            _ = try await socket.read()
            let piece = [UInt8](repeating: 7, count: 256 << 10)
            while written.load(ordering: .relaxed) < total {
                try await socket.write(piece)
                written.wrappingAdd(piece.count, ordering: .relaxed)
            }
            try await socket.shutdownWrite()
            while try await socket.read() != nil {}
        } _: { backend in
            _ = try await watch {
                $0.routes = try RouteMap(parsing: "*=\(backend)")
            } _: { address, _ in
                try await withSocket(SocketInit(remote: address)) { socket in
                    try await socket.write(hello)
                    var count = 0
                    while let piece = try await socket.read() {
                        count += piece.count
                        #expect(written.load(ordering: .relaxed) - count < bound)
                    }
                    #expect(count == written.load(ordering: .relaxed) && count >= total)
                }
            }
        }
    }

    /// How large the kernel lets a socket's buffer grow, in bytes: the last of three numbers (tcp(7)).
    private func bufferMax(_ name: String) throws -> Int {
        let text = try String(contentsOfFile: "/proc/sys/net/ipv4/\(name)", encoding: .utf8)
        return try #require(text.split(whereSeparator: \.isWhitespace).last.flatMap { Int($0) })
    }

    @Test("megabytes go both ways at once, each byte in its place", arguments: [1, 3])
    func bothWays(_ threads: Int) async throws {
        let server = SocketListenerInit(local: here)
        try await withServer(server) { socket in
            while let piece = try await socket.read() { try await socket.write(piece) }
            try await socket.shutdownWrite()
        } _: { backend in
            let (records, summary) = try await watch {
                $0.routes = try RouteMap(parsing: "*=\(backend)")
                $0.threads = threads
            } _: { address, _ in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for seed in 0..<4 { group.addTask { try await echo(address, seed) } }
                    try await group.waitForAll()
                }
            }
            #expect(records.count == 4 && summary.forwarded == 4)
        }
    }

    /// Sends 1 MiB behind a hello, and holds the echo against it.
    private func echo(_ address: SocketAddress, _ seed: Int) async throws {
        let bytes = hello + (0..<(1 << 20)).map { UInt8(truncatingIfNeeded: $0 / 251 &+ seed) }
        try await withSocket(SocketInit(remote: address)) { socket in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await socket.write(bytes)
                    try await socket.shutdownWrite()
                }
                var back: [UInt8] = []
                while let piece = try await socket.read() { back += piece }
                #expect(back == bytes)
                try await group.waitForAll()
            }
        }
    }

    @Test("a backend that breaks off breaks the client's connection, and no end is pretended")
    func brokenBackend() async throws {
        try await withServer(SocketListenerInit(local: here)) { socket in
            _ = try await socket.read()
            try await socket.write("part")
            // Not before the client has it.
            _ = try await socket.read()
            socket.abort()
        } _: { backend in
            _ = try await watch {
                $0.routes = try RouteMap(parsing: "*=\(backend)")
            } _: { address, _ in
                let socket = try Socket(SocketInit(remote: address))
                defer { socket.abort() }
                try await socket.write(hello)
                #expect(try await socket.read() == Array("part".utf8))
                try await socket.write("go")
                let error = await #expect(throws: SocketError.self) {
                    while try await socket.read() != nil {}
                }
                #expect(error?.code == .peerReset)
            }
        }
    }

    @Test("a client that breaks off breaks the backend's connection")
    func brokenClient() async throws {
        let (ends, feed) = AsyncStream.makeStream(of: SocketError.Code?.self)
        try await withServer(SocketListenerInit(local: here)) { socket in
            try await socket.write("here")
            do throws(SocketError) {
                while try await socket.read() != nil {}
                feed.yield(nil)
            } catch {
                feed.yield(error.code)
            }
        } _: { backend in
            _ = try await watch {
                $0.routes = try RouteMap(parsing: "*=\(backend)")
            } _: { address, _ in
                let socket = try Socket(SocketInit(remote: address))
                try await socket.write(hello)
                #expect(try await socket.read() == Array("here".utf8))
                socket.abort()
                for await end in ends {
                    #expect(end == .peerReset)
                    break
                }
            }
        }
    }

    @Test("what is idle for too long is cut off, and what moves is not")
    func idle() async throws {
        try await withServer(SocketListenerInit(local: here)) { socket in
            while let piece = try await socket.read() { try await socket.write(piece) }
        } _: { backend in
            _ = try await watch {
                $0.routes = try RouteMap(parsing: "*=\(backend)")
                $0.idle = .milliseconds(200)
            } _: { address, _ in
                let socket = try Socket(SocketInit(remote: address))
                defer { socket.abort() }
                let began = ContinuousClock.now
                try await socket.write(hello)
                await #expect(throws: SocketError.self) {
                    while try await socket.read() != nil {}
                    throw SocketError(.closed)
                }
                #expect(ContinuousClock.now - began >= .milliseconds(200))
            }
        }
    }

    @Test("a name as backend is resolved, and its addresses are tried in turn")
    func named() async throws {
        try await withServer(SocketListenerInit(local: here)) { socket in
            var all: [UInt8] = []
            while let piece = try await socket.read() { all += piece }
            try await socket.write(all)
        } _: { backend in
            let (records, _) = try await watch {
                // ::1 comes first or second; nobody listens there.
                $0.routes = try RouteMap(
                    parsing: "a.test=localhost:\(backend.port),*=nowhere.invalid:1"
                )
            } _: { address, _ in
                try await withSocket(SocketInit(remote: address)) { socket in
                    try await socket.write(hello)
                    try await socket.shutdownWrite()
                    var all: [UInt8] = []
                    while let piece = try await socket.read() { all += piece }
                    #expect(all == hello)
                }
                try await withSocket(SocketInit(remote: address)) { socket in
                    var other = RawHello(versions: [.tls12], suites: [0xc02b])
                    other.servername = "b.test"
                    let message = other.message()
                    try await socket.write([22, 3, 1, 0, UInt8(message.count)] + message)
                    #expect(try await socket.read() == [21, 3, 1, 0, 2, 2, 80])
                }
            }
            #expect(records.map(\.backend) == ["localhost:\(backend.port)", "nowhere.invalid:1"])
            #expect(records.map { $0.error == nil } == [true, false])
        }
    }

    @Test(
        "a backend whose queue is full is asked again, until the time is over or the client is gone"
    )
    func fullQueue() async throws {
        let directory = try TemporaryDirectory()
        let place = directory.path + "/full.sock"
        let full = try FullListener(place)
        let (records, short) = try await watch {
            $0.routes = try RouteMap(parsing: "*=unix:\(place)")
            $0.timeout = .milliseconds(300)
        } _: { address, _ in
            try await withSocket(SocketInit(remote: address)) { socket in
                try await socket.write(hello)
                #expect(try await socket.read() == [21, 3, 1, 0, 2, 2, 80])
            }
        }
        #expect(short.undelivered == 1 && records.first?.error != nil)
        let (_, long) = try await watch {
            $0.routes = try RouteMap(parsing: "*=unix:\(place)")
            $0.timeout = .seconds(50)
        } _: { address, watch in
            let gone = try Socket(SocketInit(remote: address))
            try await gone.write(hello)
            // Served behind it, so it has been taken.
            try await withSocket(SocketInit(remote: address)) { socket in
                try await socket.write("QUIT\r\n")
                while try await socket.read() != nil {}
            }
            gone.abort()
            try await until { watch.summary.connections == 2 }
            let late = try Socket(SocketInit(remote: address))
            defer { late.abort() }
            try await late.write(hello)
            full.makeRoom()
            try await until { watch.summary.connections == 3 }
        }
        #expect(long.undelivered == 1 && long.forwarded == 1 && long.notTLS == 1)
    }
}

/// A listener on a path that accepts nothing and whose queue is full.
private final class FullListener: Sendable {
    private let listener: Int32
    private let waiting: [Int32]

    init(_ path: String) throws {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { room in
            // The test's directory has a short name; the rest stays zero.
            unsafe room.copyBytes(from: path.utf8)
        }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        func call(_ body: (UnsafePointer<sockaddr>) -> Int32) -> Int32 {
            unsafe withUnsafePointer(to: &address) {
                unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0) }
            }
        }
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let listener = socket(AF_UNIX, kind, 0)
        self.listener = listener
        try #require(unsafe call { unsafe bind(listener, $0, size) } == 0)
        try #require(listen(listener, 0) == 0)
        var waiting: [Int32] = []
        var result: Int32 = 0
        while result == 0 {
            let client = socket(AF_UNIX, kind, 0)
            result = unsafe call { unsafe connect(client, $0, size) }
            waiting.append(client)
        }
        self.waiting = waiting
    }

    deinit { for descriptor in [listener] + waiting { close(descriptor) } }

    /// Accepts what waits.
    func makeRoom() {
        while true {
            let accepted = accept(listener, nil, nil)
            guard accepted >= 0 else { return }
            close(accepted)
        }
    }
}
