// A client or a listener of the library's own, brought to a stage of its life by a peer that then
// does what no peer should. All victims share one event loop, so whoever stalls it stalls every
// test of the hostile suites; each of them also looks on as a bystander.

import SocketCore
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

/// The one loop on which all victims live.
let besiegedLoop = EventLoopGroup(loopCount: 1)

/// How far the victim gets before the fault.
enum SiegeStage: String, CaseIterable, Sendable {
    /// Nothing was received.
    case silent
    /// The first flight was received: the ClientHello, or the ServerHello.
    case shaking
    /// The handshake is done.
    case open
}

/// A victim and the peer that a test plays against it.
struct Siege {
    let role: TLSRole
    let wire: Wire
    /// The peer's side of the transport.
    let attacker: Socket
    let peer: FaultPeer
    let failures = Log<SocketError>()
    let accepted = Log<Socket>()
    private let client: Socket?
    private let listener: SocketListener?

    /// Makes a victim.
    ///
    /// - Parameters:
    ///   - role: What it is.
    ///   - wire: The one version both speak.
    ///   - hello: Bytes by which the peer's hello grows.
    ///   - limits: What the peer may cost the victim.
    ///   - pendingAnswers: Bytes of answers that the peer may leave unread, with kernel buffers so small
    ///     that a mebibyte surely blocks; nil is the default, with buffers of any size.
    ///   - authenticatesClient: Whether a listener demands a certificate of its client, which has one.
    /// - Throws: What making the peer or the victim throws.
    init(
        victim role: TLSRole,
        _ wire: Wire,
        hello: Int = 0,
        limits: TLSLimits = TLSLimits(),
        pendingAnswers: Int? = nil,
        authenticatesClient: Bool = false
    ) async throws {
        let answers = pendingAnswers ?? SocketLimits().pendingAnswers
        let buffer = pendingAnswers == nil ? nil : 50_000
        self.role = role
        self.wire = wire
        let version = try #require(wire.version)
        let credentials = try Credentials.shared()
        let leaf = authenticatesClient ? credentials.clientLeaf : nil
        peer = try FaultPeer(
            role == .client ? .server : .client,
            version,
            certificate: role == .client ? credentials.leaf : leaf,
            helloPadding: hello
        )
        switch role {
        case .client:
            let raw = try RawServer { $0.receiveBufferSize = buffer }
            client = try makeClient(wire, to: raw.address) {
                $0.servername = "localhost"
                $0.group = besiegedLoop
                $0.limits.shutdown = .milliseconds(50)
                $0.limits.pendingAnswers = answers
                $0.sendBufferSize = buffer
                $0.tls.limits = limits
            }
            listener = nil
            attacker = try await raw.accept()
        case .server:
            client = nil
            let made = try makeListener(wire) {
                $0.group = besiegedLoop
                $0.limits.shutdown = .milliseconds(50)
                $0.limits.pendingAnswers = answers
                $0.sendBufferSize = buffer
                $0.tls.limits = limits
                guard authenticatesClient else { return }
                $0.trust = TrustPolicy(anchors: credentials.anchors)
                $0.clientAuthentication = .require
            }
            let (failures, accepted) = (failures, accepted)
            try made.onSocket { error, _ in
                if let error = error as? SocketError { failures.append(error) }
            } _: { event in
                accepted.append(event.socket)
            }
            listener = made
            attacker = try makeClient(.tcp, to: made.localAddress) {
                $0.noDelay = true
                $0.receiveBufferSize = buffer
            }
        }
        _ = try await attacker.ready
    }

    /// Brings the victim to a stage.
    func advance(to stage: SiegeStage) async throws {
        switch (stage, role) {
        case (.silent, _): break
        case (.shaking, .server):
            try await attacker.write(try peer.step([]))
            // The victim's answer: it has taken the hello in.
            _ = try #require(try await attacker.read())
        case (.shaking, .client):
            var answer: [UInt8] = []
            while answer.isEmpty {
                answer = try peer.step(try #require(try await attacker.read()))
            }
            // Only the ServerHello.
            let end = 5 + Int(answer[3]) << 8 + Int(answer[4])
            try await attacker.write(Array(answer[..<end]))
            // The victim has taken it in once nothing of it is in the kernel.
            let victim = try #require(client)
            await until { victim.report?.phase == .certificate || victim.descriptor < 0 }
            try #require(victim.report?.phase == .certificate)
        case (.open, _): try await handshake()
        }
    }

    /// Shakes hands to the end, on both sides.
    ///
    /// - Parameters:
    ///   - begins: Whether a hello of the peer is still to be sent.
    ///   - chunk: The most bytes the peer sends at once.
    /// - Throws: What either side throws.
    func handshake(begins: Bool = true, chunk: Int = .max) async throws {
        if role == .server, begins { try await send(try peer.step([]), chunk: chunk) }
        while !peer.isReady {
            let bytes = try #require(try await attacker.read())
            try await send(try peer.step(bytes), chunk: chunk)
        }
        let (client, accepted) = (client, accepted)
        await until { client?.info != nil || accepted.count == 1 }
    }

    private func send(_ bytes: [UInt8], chunk: Int) async throws {
        var place = 0
        while place < bytes.count {
            let end = place + min(chunk, bytes.count - place)
            try await attacker.write(Array(bytes[place..<end]))
            place = end
        }
    }

    /// Sets the deadline of the stage that was reached, from now.
    ///
    /// One that ran from the start would end slow handshakes of a busy machine.
    func setDeadline(_ time: Duration) async {
        let listener = listener
        await until { listener?.core.aliveCount != 0 }
        for connection in client.map({ [$0.connection] }) ?? listener?.core.aliveConnections ?? [] {
            connection.state.withLock { s in
                let now = EventLoop.readClock()
                if s.lifecycle.isPending {
                    s.establishDeadline = now.advanced(by: time)
                } else {
                    s.idleTimeout = time
                    s.lastActivity = now
                }
            }
            connection.armTimer()
        }
    }

    /// The victim, once it is open.
    var victim: Socket? { client ?? accepted.all.first }

    /// Waits for what the victim is told: by its handshake, or by reading to the end.
    ///
    /// The peer reads meanwhile, as one that goes by the protocol.
    func outcome() async -> SocketError? {
        let (client, failures, accepted) = (client, failures, accepted)
        let verdict = Task { () -> SocketError? in
            if let client { return await thrown { _ = try await readAll(from: client) } }
            await until { failures.count + accepted.count > 0 }
            guard let socket = accepted.all.first else { return failures.all.first }
            return await thrown { _ = try await readAll(from: socket) }
        }
        while let bytes = try? await attacker.read() { _ = try? peer.step(bytes) }
        return await verdict.value
    }

    /// Breaks off, and waits until nothing is left of the victim.
    func end() async {
        attacker.abort()
        client?.abort()
        for socket in accepted.all { socket.abort() }
        let (client, listener) = (client, listener)
        await until { (client?.descriptor ?? -1) == -1 && (listener?.core.aliveCount ?? 0) == 0 }
    }
}

/// A connection that has nothing to do with the fault, and lives on the victims' loop.
struct Bystander: Sendable {
    private let pair: Pair

    init(_ wire: Wire = .tls13) async throws {
        pair = try await Pair(wire) { _ in
        } server: {
            $0.group = besiegedLoop
        }
        let server = pair.server
        Task(executorPreference: server.executor) {
            while let bytes = try? await server.read() { try await server.write(bytes) }
        }
    }

    /// Has some bytes echoed: the loop is not stalled.
    func expectProgress() async throws {
        for number in 0..<3 {
            let bytes = pattern(100, seed: number)
            try await pair.client.write(bytes)
            let echo = try await readExactly(bytes.count, from: pair.client)
            #expect(echo == bytes)
        }
    }
}

extension Siege {
    /// The phase in which a victim stands at a stage.
    func phase(at stage: SiegeStage) -> HandshakePhase {
        switch (stage, role) {
        case (.silent, .client): .serverHello
        case (.silent, .server): .clientHello
        case (.shaking, .client): .certificate
        case (.shaking, .server): wire == .tls12 ? .keyExchange : .finished
        case (.open, _): .open
        }
    }
}
