// Callbacks that decide about a peer: suspended while the loop serves others, then finished, refused,
// thrown, timed out, cancelled, and with the connection gone. Clients and listeners, both versions.

import SocketCore
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

/// One of the callbacks.
enum Callback: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case chooseHost, checkServerIdentity, checkClientIdentity, chooseIdentity, ocsp
    // The key of a listener, and of a client, is elsewhere.
    case signForListener, signForClient

    var role: TLSRole {
        switch self {
        case .chooseHost, .checkClientIdentity, .signForListener: .server
        case .checkServerIdentity, .chooseIdentity, .ocsp, .signForClient: .client
        }
    }

    var phase: HandshakePhase {
        switch self {
        case .chooseHost: .clientHello
        case .checkServerIdentity, .ocsp: .certificate
        case .checkClientIdentity: .clientAuthentication
        case .chooseIdentity, .signForListener, .signForClient: .keyExchange
        }
    }

    /// The alert of a refusal that names none.
    var alert: Alert {
        switch self {
        case .chooseHost: .handshakeFailure
        case .checkServerIdentity: .certificateUnknown
        case .checkClientIdentity: .accessDenied
        case .chooseIdentity, .signForListener, .signForClient: .internalError
        case .ocsp: .badCertificateStatusResponse
        }
    }

    /// The codes of the error of who throws.
    var codes: (socket: SocketError.Code, tls: TLSError.Code) {
        switch self {
        case .signForListener, .signForClient: (.signingFailed, .signingFailed)
        default: (.refusedByApplication, .refusedByApplication)
        }
    }

    var testDescription: String { rawValue }
}

struct OwnError: Error, CustomStringConvertible { let description: String }

/// A listener and a client on one loop, where one callback does what a test says.
struct Stage {
    let callback: Callback
    let wire: Wire
    let group = EventLoopGroup(loopCount: 1)
    let errors = Log<SocketError>()
    let accepted = Log<Socket>()
    var listener: SocketListener
    let options: SocketInit

    init(
        _ callback: Callback,
        _ wire: Wire,
        deadline: Duration = patience,
        _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        self.callback = callback
        self.wire = wire
        let credentials = try Credentials.shared()
        var server = try listenerOptions(wire)
        server.group = group
        server.clientAuthentication = .require
        server.trust = TrustPolicy(anchors: credentials.anchors)
        var client = try clientOptions(wire, to: loopback)
        client.group = group
        client.identity = credentials.client
        switch callback {
        case .chooseHost:
            server.chooseHost = { _, _ in
                try await body()
                return .configured
            }
        case .checkClientIdentity: server.checkClientIdentity = { _, _ in try await body() }
        case .checkServerIdentity: client.checkServerIdentity = { _, _ in try await body() }
        case .ocsp:
            server.ocspResponse = credentials.staple
            client.ocsp = { _, _ in try await body() }
        case .chooseIdentity:
            client.chooseIdentity = { _ in
                try await body()
                return credentials.client
            }
        case .signForListener:
            server.identity = try credentials.server.signing { try await body() }
        case .signForClient:
            client.identity = try credentials.client.signing { try await body() }
        }
        if callback.role == .server {
            server.limits.handshake = deadline
        } else {
            client.limits.handshake = deadline
        }
        listener = try SocketListener(server)
        client.remote = listener.localAddress
        options = client
        let (errors, accepted) = (errors, accepted)
        try listener.onSocket { error, _ in
            if let error = error as? SocketError { errors.append(error) }
        } _: { event in
            accepted.append(event.socket)
        }
    }

    func connect() throws -> Socket { try Socket(options) }

    /// The error of the side that decides.
    func ownError(_ client: Socket) async -> SocketError? {
        if callback.role == .client { return await thrown { _ = try await client.ready } }
        await until { errors.count > 0 }
        return errors.all.first
    }

    /// What the other side was told.
    func peerError(_ client: Socket) async -> SocketError? {
        guard callback.role == .server else {
            await until { errors.count > 0 }
            return errors.all.first
        }
        // A client of TLS 1.3 may be ready before it is judged.
        return await thrown {
            _ = try await client.ready
            _ = try await client.read()
        }
    }
}

/// Sends a message over a connection of its own on a loop, and gets it back.
func expectProgress(on group: EventLoopGroup, _ wire: Wire) async throws {
    let pair = try await Pair(wire) {
        $0.group = group
    } server: {
        $0.group = group
    }
    try await pair.client.write("hello")
    #expect(try await readExactly(5, from: pair.server) == Array("hello".utf8))
    try await pair.server.write("hello")
    #expect(try await readExactly(5, from: pair.client) == Array("hello".utf8))
    try await pair.client.close()
    try await pair.server.close()
}

@Suite(.timeLimit(.minutes(1))) struct DecisionTests {
    @Test(
        "while a callback takes its time the loop serves others; then the handshake goes on",
        arguments: Callback.allCases,
        Wire.secure
    )
    func suspended(callback: Callback, wire: Wire) async throws {
        let (begun, go) = (Gate(), Gate())
        let stage = try await Stage(callback, wire) {
            begun.open()
            await go.wait()
        }
        let client = try stage.connect()
        await begun.wait()
        try await expectProgress(on: stage.group, wire)
        #expect(stage.accepted.count == 0)
        if callback.role == .client {
            #expect(client.info == nil)
            #expect(client.report?.phase == callback.phase)
        }
        go.open()
        _ = try await client.ready
        await until { stage.accepted.count == 1 }
        let server = stage.accepted.all[0]
        try await client.write("in")
        #expect(try await readExactly(2, from: server) == Array("in".utf8))
        try await server.write("out")
        #expect(try await readExactly(3, from: client) == Array("out".utf8))
        #expect(server.report?.isPeerTrusted == true)
        try await client.close()
    }

    @Test(
        "what a callback throws ends the handshake: own code, alert, phase and the error's text",
        arguments: Callback.allCases,
        Wire.secure
    )
    func thrownError(callback: Callback, wire: Wire) async throws {
        let stage = try await Stage(callback, wire) { throw OwnError(description: "not today") }
        let client = try stage.connect()
        let own = await stage.ownError(client)
        #expect(own?.code == callback.codes.socket)
        #expect(own?.category == .tls)
        #expect(own?.tls?.code == callback.codes.tls)
        #expect(own?.tls?.detail == "not today")
        #expect(own?.phase == callback.phase)
        #expect(own?.report?.alertSent == callback.alert)
        #expect(own?.report?.isPeerTrusted == false)
        let peer = await stage.peerError(client)
        #expect(peer?.tls?.alert == callback.alert)
        #expect(stage.accepted.count == 0)
    }

    @Test("a refusal names its alert", arguments: [Callback.chooseHost, .checkClientIdentity])
    func alert(callback: Callback) async throws {
        for wire in Wire.secure {
            let stage = try await Stage(callback, wire) {
                throw TLSRefusal("nobody of this name", alert: .unrecognizedName)
            }
            let client = try stage.connect()
            #expect(await stage.ownError(client)?.tls?.detail == "nobody of this name")
            #expect(await stage.peerError(client)?.tls?.alert == .unrecognizedName)
        }
    }

    @Test(
        "a callback that takes too long is over with the handshake's deadline, and is cancelled",
        arguments: Callback.allCases,
        Wire.secure
    )
    func timeout(callback: Callback, wire: Wire) async throws {
        let cancelled = Gate()
        let stage = try await Stage(callback, wire, deadline: .seconds(2)) {
            await Gate().wait()
            if Task.isCancelled { cancelled.open() }
        }
        let client = try stage.connect()
        let own = await stage.ownError(client)
        #expect(own?.code == .handshakeTimedOut)
        #expect(own?.phase == callback.phase)
        await cancelled.wait()
        try await expectProgress(on: stage.group, wire)
    }

    @Test(
        "a callback that does not listen to its cancellation keeps nobody waiting",
        arguments: Callback.allCases
    )
    func deaf(callback: Callback) async throws {
        let (begun, go, ended) = (Gate(), Gate(), Gate())
        let stage = try await Stage(callback, .tls13, deadline: .seconds(2)) {
            begun.open()
            // A task of its own does not hear of the cancellation.
            await Task { await go.wait() }.value
            ended.open()
        }
        let client = try stage.connect()
        await begun.wait()
        #expect(await stage.ownError(client)?.code == .handshakeTimedOut)
        go.open()
        await ended.wait()
        #expect(stage.accepted.count == 0)
    }

    @Test(
        "closing and aborting end the wait, and cancel the callback",
        arguments: Callback.allCases,
        Wire.secure
    )
    func ended(callback: Callback, wire: Wire) async throws {
        let (begun, cancelled) = (Gate(), Gate())
        let stage = try await Stage(callback, wire) {
            begun.open()
            await Gate().wait()
            if Task.isCancelled { cancelled.open() }
        }
        let client = try stage.connect()
        await begun.wait()
        if callback.role == .client {
            client.abort("enough")
            #expect(await thrown { _ = try await client.ready }?.code == .aborted)
        } else {
            stage.listener.core.abort(reason: "enough")
            _ = await stage.peerError(client)
        }
        await cancelled.wait()
        await stage.listener.close()
    }

    @Test(
        "a peer that resets the connection ends the wait, and the callback",
        arguments: Callback.allCases,
        Wire.secure
    )
    func reset(callback: Callback, wire: Wire) async throws {
        let (begun, cancelled) = (Gate(), Gate())
        let stage = try await Stage(callback, wire) {
            begun.open()
            await Gate().wait()
            if Task.isCancelled { cancelled.open() }
        }
        let client = try stage.connect()
        await begun.wait()
        if callback.role == .server {
            client.abort("gone")
        } else {
            stage.listener.core.abort(reason: "gone")
        }
        let own = await stage.ownError(client)
        #expect(own?.code == .peerReset)
        #expect(own?.phase == callback.phase)
        await cancelled.wait()
    }

    @Test("a client that has said all and gone is judged, and then heard to its end")
    func endWhileSuspended() async throws {
        let (begun, go) = (Gate(), Gate())
        let stage = try await Stage(.checkClientIdentity, .tls13) {
            begun.open()
            await go.wait()
        }
        let raw = try makeClient(.tcp, to: stage.listener.localAddress)
        _ = try await raw.ready
        let identity = try Credentials.shared().client
        var peer = try EnginePeer(.client, .tls13, over: raw, identity: identity)
        try await peer.handshake(andSend: Array("all".utf8))
        try await raw.write(try peer.goodbye())
        try await raw.shutdownWrite()
        await begun.wait()
        #expect(stage.accepted.count == 0)
        go.open()
        await until { stage.accepted.count == 1 }
        let server = stage.accepted.all[0]
        #expect(try await readAll(from: server) == Array("all".utf8))
        #expect(server.report?.isPeerTrusted == true)
    }

    @Test(
        "many at once: each gets its own answer",
        arguments: Callback.allCases,
        Wire.secure
    )
    func many(callback: Callback, wire: Wire) async throws {
        let number = Counter()
        let stage = try await Stage(callback, wire) {
            let mine = number.next()
            await pass(.milliseconds(mine % 3))
            if mine % 2 == 0 { throw OwnError(description: "even") }
        }
        let clients = try (0..<20).map { _ in try stage.connect() }
        await until { stage.accepted.count + stage.errors.count == 20 }
        #expect(stage.accepted.count == 10)
        #expect(stage.errors.count == 10)
        for client in clients { client.abort() }
    }
}

/// Counts, from any task.
private final class Counter: Sendable {
    private let value = Atomic<Int>(0)

    func next() -> Int { value.wrappingAdd(1, ordering: .relaxed).newValue }
}
