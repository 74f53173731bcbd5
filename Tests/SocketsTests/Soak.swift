// The connections of a soak: each has a number, and the number says how it ends.

import Glibc
import Synchronization
import TLSEngine
import TLSTestKit

@testable import SocketCore
@testable import Sockets

/// How a connection of a soak ends.
enum SoakFault: String, CaseIterable, Sendable {
    case clean, serverFirst, halfClosed, events
    case abortedByClient, abortedByServer, dropped
    case resetAtOnce, finAtOnce, resetInHello, finInHello, garbage, plainHTTP
    case cancelledReady, abortedConnecting, signalledBefore, refused, timedOut
    case neverReading, cancelledRead, cancelledWrite
    case serverTalksHTTP, serverResets, serverEnds, truncated, badRecord, untrusted
    case serverFloods, serverMixesUp, clientFloods, clientMixesUp, stranger, idledOut
}

/// A server that stays and the peers that come to it, wave by wave.
final class Soak: Sendable {
    private let wires: [Wire] = [.tcp, .tls12, .tls13]
    private let listeners: [SocketListener]
    private let servers: [Task<Void, Never>]
    private let refusing: SocketAddress
    private let faults: [SoakFault]
    private let leak: Int
    private let alive = Mutex<[Weak]>([])

    private struct Weak: Sendable {
        weak let connection: Connection?
    }

    /// Connections at once.
    private static let width = 40

    init(_ faults: [SoakFault], leak: Int) async throws {
        self.faults = faults
        self.leak = leak
        refusing = try await makeRefusingAddress()
        listeners = try wires.map { wire in
            try makeListener(wire) {
                $0.limits.shutdown = .seconds(20)
                $0.sendBufferSize = 20_000
                guard wire != .tcp else { return }
                $0.clientAuthentication = .request
                $0.trust = TrustPolicy(anchors: try Credentials.shared().anchors)
            }
        }
        servers = listeners.map { listener in
            Task { try? await listener.serve(maxConcurrent: 2000, Soak.handle) }
        }
    }

    /// The first byte says what the server does.
    @Sendable private static func handle(_ socket: Socket) async throws {
        guard let request = try await socket.read(upTo: 1)?.first else { return }
        switch request {
        case UInt8(ascii: "e"):
            while let bytes = try await socket.read() { try await socket.write(bytes) }
        case UInt8(ascii: "c"): try await socket.close("enough")
        case UInt8(ascii: "a"): socket.abort("enough")
        case UInt8(ascii: "f"): try await socket.write([UInt8](repeating: 1, count: 4 << 20))
        default: struct Refusal: Error {}; throw Refusal()
        }
    }

    /// Runs one wave to its end: nothing of it is under way behind that.
    func run(wave: Int, connections: Int) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<Soak.width {
                group.addTask {
                    var number = lane
                    while number < connections {
                        try await self.connect(wave * 7 + number)
                        number += Soak.width
                    }
                }
            }
            try await group.waitForAll()
        }
        try await settle()
    }

    /// Waits until nothing is under way.
    private func settle() async throws {
        // Who left at once may be in the kernel's queue still. One who comes behind them and is
        // answered shows that they were taken.
        for (wire, listener) in zip(wires, listeners) {
            try await converse(.clean, wire, listener.localAddress)
        }
        await until { self.listeners.allSatisfy { $0.core.aliveCount == 0 } }
        // Connections that linger have ended, and still have their descriptors.
        await until { self.watched == self.listeners.count }
        await until { self.alive.withLock { $0.allSatisfy { $0.connection == nil } } }
        alive.withLock { $0 = [] }
    }

    /// Descriptors that event loops watch.
    private var watched: Int {
        EventLoopGroup.shared.loops.reduce(0) { $0 + $1.sources.count }
    }

    /// What is left though nothing is under way.
    var residue: String {
        let handed = listeners.map(\.core.aliveCount).reduce(0, +)
        guard handed == 0 else { return "\(handed) connections of listeners are left" }
        let left = watched - listeners.count
        return left == 0 ? "" : "\(left) descriptors are watched that should be closed"
    }

    private func connect(_ number: Int) async throws {
        if leak > 0 { unsafe _ = malloc(leak) }
        let fault = faults[number % faults.count]
        let index = number / faults.count % wires.count
        let (wire, address) = (wires[index], listeners[index].localAddress)
        switch fault {
        case .clean, .serverFirst, .halfClosed, .events, .abortedByClient, .abortedByServer,
            .dropped:
            try await converse(fault, wire, address)
        case .resetAtOnce, .finAtOnce, .resetInHello, .finInHello, .garbage, .plainHTTP:
            try await disturb(fault, address)
        case .cancelledReady, .abortedConnecting, .signalledBefore, .refused:
            try await giveUp(fault, wire, address)
        case .neverReading, .cancelledRead, .cancelledWrite: try await block(fault, wire, address)
        case .timedOut, .serverTalksHTTP, .serverResets, .serverEnds, .truncated, .badRecord,
            .untrusted, .serverFloods, .serverMixesUp:
            try await meet(fault, wire == .tcp ? .tls13 : wire)
        case .clientFloods, .clientMixesUp, .stranger, .idledOut:
            let secure = max(1, index)
            try await offend(fault, wires[secure], listeners[secure].localAddress)
        }
    }

    private func client(
        _ wire: Wire,
        _ address: SocketAddress,
        _ configure: (inout SocketInit) throws -> Void = { _ in }
    ) throws -> Socket {
        let socket = try makeClient(wire, to: address, configure)
        alive.withLock { $0.append(Weak(connection: socket.connection)) }
        return socket
    }

    // MARK: Faults

    private func converse(_ fault: SoakFault, _ wire: Wire, _ address: SocketAddress) async throws {
        let socket = try client(wire, address)
        switch fault {
        case .clean:
            try await socket.write("echo")
            _ = try await readExactly(3, from: socket)
            try await socket.close()
        case .serverFirst:
            try await socket.write("c")
            _ = try await readAll(from: socket)
        case .halfClosed:
            try await socket.write("echo")
            try await socket.shutdownWrite()
            _ = try await readAll(from: socket)
        case .events:
            let gate = Gate()
            try socket.onData { _ in gate.open() }
            try await socket.write("echo")
            await gate.wait()
            try await socket.close()
        case .abortedByClient:
            try await socket.write("echo")
            socket.abort()
        case .abortedByServer:
            try await socket.write("a")
            _ = try? await readAll(from: socket)
        default: _ = try await socket.ready
        }
    }

    /// A peer that does not speak as it should, to a server.
    private func disturb(_ fault: SoakFault, _ address: SocketAddress) async throws {
        let socket = try client(.tcp, address)
        _ = try await socket.ready
        let hello: [UInt8] = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]
        switch fault {
        case .resetAtOnce: socket.abort()
        case .finAtOnce: try? await socket.shutdownWrite()
        case .resetInHello:
            try? await socket.write(hello)
            socket.abort()
        case .finInHello:
            try? await socket.write(hello)
            try? await socket.shutdownWrite()
        case .garbage: try? await socket.write(pattern(300))
        default: try? await socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        }
        try? await socket.shutdownWrite()
        _ = try? await readAll(from: socket)
    }

    /// A client that does not wait for its connection.
    private func giveUp(_ fault: SoakFault, _ wire: Wire, _ address: SocketAddress) async throws {
        switch fault {
        case .cancelledReady:
            let socket = try client(wire, address)
            let waiting = Task { _ = try? await socket.ready }
            waiting.cancel()
            await waiting.value
        case .abortedConnecting:
            let socket = try client(wire, address)
            socket.abort()
            _ = await socket.closed
        case .signalledBefore:
            let socket = try client(wire, address) { $0.signal = .abort("before") }
            _ = await socket.closed
        default:
            let socket = try client(wire, refusing)
            _ = try? await socket.ready
        }
    }

    /// Calls that wait when the end comes.
    private func block(_ fault: SoakFault, _ wire: Wire, _ address: SocketAddress) async throws {
        let socket = try client(wire, address) { $0.receiveBufferSize = 20_000 }
        _ = try await socket.ready
        switch fault {
        case .neverReading:
            try await socket.write("f")
            // What comes first shows that the server is writing; the rest is never read.
            _ = try await socket.read(upTo: 1)
            socket.abort()
        case .cancelledRead:
            let reading = Task { _ = try? await socket.read() }
            await until { socket.hasReader }
            reading.cancel()
            await reading.value
            try await socket.close()
        default:
            try await socket.write("f")
            let writing = Task { try? await socket.write([UInt8](repeating: 2, count: 8 << 20)) }
            await until { socket.hasWriter }
            writing.cancel()
            await writing.value
        }
    }

    /// A client whose server, its own alone, does not behave.
    private func meet(_ fault: SoakFault, _ wire: Wire) async throws {
        let raw = try RawServer()
        let socket = try client(wire, raw.address) {
            $0.servername = fault == .untrusted ? "elsewhere.test" : "localhost"
            if fault == .timedOut { $0.limits.handshake = .milliseconds(20) }
            $0.limits.shutdown = .milliseconds(200)
        }
        let peer = try await raw.accept()
        switch fault {
        case .timedOut: _ = try? await socket.ready
        case .serverTalksHTTP: try await peer.write("HTTP/1.1 400 Bad Request\r\n\r\n")
        case .serverResets:
            _ = try await peer.read()
            peer.abort()
        case .serverEnds: try await peer.shutdownWrite()
        default: try await shake(fault, wire, peer)
        }
        _ = try? await readAll(from: socket)
        peer.abort()
        await raw.listener.close()
    }

    /// A client that a TLS server refuses, or leaves.
    private func offend(_ fault: SoakFault, _ wire: Wire, _ address: SocketAddress) async throws {
        switch fault {
        case .clientFloods, .clientMixesUp:
            let socket = try client(.tcp, address)
            try await disobey(fault, .client, wire, over: socket)
            _ = try? await readAll(from: socket)
        case .stranger:
            let stranger = try Credentials.shared().stranger
            let socket = try client(wire, address) { $0.identity = stranger }
            _ = try? await readAll(from: socket)
        default:
            let socket = try client(wire, address) { $0.idleTimeout = .milliseconds(20) }
            _ = try? await readAll(from: socket)
        }
    }

    /// A peer that mixes up its flight, or floods the other side behind the handshake.
    private func disobey(
        _ fault: SoakFault,
        _ role: TLSRole,
        _ wire: Wire,
        over socket: Socket
    ) async throws {
        guard let version = wire.version else { return }
        let leaf = role == .server ? try Credentials.shared().leaf : nil
        let peer = try FaultPeer(role, version, certificate: leaf)
        let mixesUp = fault == .serverMixesUp || fault == .clientMixesUp
        if role == .client { try await socket.write(try peer.step([])) }
        if mixesUp { peer.arrange = { Array($0.reversed()) + $0 } }
        while !peer.isReady, let bytes = try? await socket.read() {
            guard let answer = try? peer.step(bytes) else { break }
            try? await socket.write(answer)
        }
        guard peer.isReady, !mixesUp else {
            try? await socket.shutdownWrite()
            return
        }
        let request: [UInt8] = role == .server ? [0, 0, 0, 0] : [1, 0, 0, 40] + pattern(40)
        let flood = try (0...64).flatMap { _ in
            wire == .tls13 ? try peer.keyUpdate() : try peer.record(.handshake, request)
        }
        try? await socket.write(flood)
    }

    private func shake(_ fault: SoakFault, _ wire: Wire, _ peer: Socket) async throws {
        guard fault != .serverFloods, fault != .serverMixesUp else {
            return try await disobey(fault, .server, wire, over: peer)
        }
        var server = try EnginePeer(.server, wire, over: peer)
        guard fault != .untrusted else {
            try? await server.handshake()
            return
        }
        try await server.handshake()
        var records = try server.records(pattern(100))
        if fault == .badRecord { records[50] ^= 1 }
        try? await peer.write(records)
        try? await peer.shutdownWrite()
    }
}
