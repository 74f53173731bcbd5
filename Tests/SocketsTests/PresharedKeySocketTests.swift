// Preshared keys of sockets and listeners: the closures are asked while the loop serves others, and
// whatever becomes of them ends the handshake in good order. Clients and listeners, both versions.

import SocketCore
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

/// Whose closure does what a test says.
enum KeyAsker: String, CaseIterable, Sendable { case client, listener }

/// The keys of these tests, a version each.
private func key(_ wire: Wire, _ seed: UInt8 = 0) throws -> PresharedKeyInfo {
    try PresharedKeyInfo(
        key: Array("\(wire) is for tests of sockets, number \(seed)".utf8),
        identity: "meter 4711",
        use: wire == .tls12 ? .tls12 : .tls13(.sha256),
        roles: .both(because: "the test plays both sides")
    )
}

/// A listener and a client on one loop that share a key, where one closure does what a test says.
private struct KeyStage {
    let asker: KeyAsker
    let wire: Wire
    let group = EventLoopGroup(loopCount: 1)
    let errors = Log<SocketError>()
    let accepted = Log<Socket>()
    let listener: SocketListener
    let options: SocketInit

    init(
        _ asker: KeyAsker,
        _ wire: Wire,
        deadline: Duration = patience,
        _ body: @escaping @Sendable () async throws -> PresharedKeyInfo?
    ) throws {
        self.asker = asker
        self.wire = wire
        let own = try key(wire)
        var server = SocketListenerInit(type: .tls, local: loopback)
        server.group = group
        server.presharedKey = { _ in asker == .listener ? try await body() : own }
        var client = try clientOptions(wire, to: loopback)
        client.group = group
        client.presharedKey = { _ in asker == .client ? try await body() : own }
        client.limits.handshake = asker == .client ? deadline : patience
        server.limits.handshake = asker == .listener ? deadline : patience
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

    /// Where the side that asks waits.
    var phase: HandshakePhase {
        switch (asker, wire) {
        case (.client, .tls12): .keyExchange
        case (.client, _): .serverHello
        case (.listener, .tls12): .keyExchange
        case (.listener, _): .clientHello
        }
    }

    /// The error of the side that asks.
    func ownError(_ client: Socket) async -> SocketError? {
        if asker == .client { return await thrown { _ = try await client.ready } }
        await until { errors.count > 0 }
        return errors.all.first
    }
}

@Suite(.timeLimit(.minutes(1))) struct PresharedKeySocketTests {
    @Test(
        "while a closure takes its time the loop serves others; then both are proved by the key",
        arguments: KeyAsker.allCases,
        Wire.secure
    )
    func suspended(asker: KeyAsker, wire: Wire) async throws {
        let (begun, go) = (Gate(), Gate())
        let stage = try KeyStage(asker, wire) {
            begun.open()
            await go.wait()
            return try key(wire)
        }
        let client = try stage.connect()
        await begun.wait()
        try await expectProgress(on: stage.group, wire)
        #expect(stage.accepted.count == 0)
        if asker == .client { #expect(client.report?.phase == stage.phase) }
        go.open()
        let info = try await client.ready
        await until { stage.accepted.count == 1 }
        let server = stage.accepted.all[0]
        #expect(info.authentication == .presharedKey("meter 4711"))
        #expect(server.info?.authentication == .presharedKey("meter 4711"))
        #expect(info.version == wire.version)
        #expect(info.resumed == false)
        #expect(info.peerCertificate == nil)
        try await client.write("in")
        #expect(try await readExactly(2, from: server) == Array("in".utf8))
        try await server.write("out")
        #expect(try await readExactly(3, from: client) == Array("out".utf8))
        try await client.close()
    }

    @Test(
        "what a closure throws ends the handshake on both sides, with the error's text on its own",
        arguments: KeyAsker.allCases,
        Wire.secure
    )
    func thrownError(asker: KeyAsker, wire: Wire) async throws {
        let stage = try KeyStage(asker, wire) { throw OwnError(description: "the vault is shut") }
        let client = try stage.connect()
        let own = await stage.ownError(client)
        #expect(own?.code == .refusedByApplication)
        #expect(own?.tls?.detail == "the vault is shut")
        #expect(own?.phase == stage.phase)
        if asker == .listener {
            #expect(await thrown { _ = try await client.ready }?.tls?.code == .alertReceived)
        }
        #expect(stage.accepted.count == 0)
    }

    @Test(
        "no key, the wrong one, and one for another name: none lets anybody in",
        arguments: KeyAsker.allCases,
        Wire.secure
    )
    func wrongAnswers(asker: KeyAsker, wire: Wire) async throws {
        let other = try PresharedKeyInfo(
            key: key(wire).key,
            identity: "somebody else",
            use: key(wire).use,
            roles: key(wire).roles
        )
        for answer in [nil, try key(wire, 1), other] {
            let stage = try KeyStage(asker, wire) { answer }
            let client = try stage.connect()
            let error = await thrown { _ = try await client.ready }
            await until { stage.errors.count > 0 }
            let served = stage.errors.all[0]
            #expect(error != nil)
            #expect(stage.accepted.count == 0)
            switch (asker, answer?.identity) {
            case (.listener, nil):
                #expect(served.code == .presharedKeyRejected)
                #expect(served.tls?.code == .presharedKeyUnknown)
            case (.listener, "somebody else"):
                #expect(served.tls?.code == .invalidPresharedKey)
            case (_, "meter 4711"):
                #expect(served.code == .presharedKeyRejected)
                #expect(served.tls?.code == .presharedKeyMismatch)
            default: break
            }
            client.abort()
        }
    }

    @Test(
        "a closure that takes too long is over with the handshake's deadline, and is cancelled",
        arguments: KeyAsker.allCases,
        Wire.secure
    )
    func timeout(asker: KeyAsker, wire: Wire) async throws {
        // On a busy machine the deadline may pass before anybody is asked: once more then, with more.
        for milliseconds in [300, 3000, 20_000] {
            let cancelled = Gate()
            let asked = Log<Bool>()
            let stage = try KeyStage(asker, wire, deadline: .milliseconds(milliseconds)) {
                asked.append(true)
                await Gate().wait()
                if Task.isCancelled { cancelled.open() }
                return nil
            }
            let client = try stage.connect()
            let own = await stage.ownError(client)
            #expect(own?.code == .handshakeTimedOut)
            guard asked.count > 0 else { continue }
            #expect(own?.phase == stage.phase)
            await cancelled.wait()
            return try await expectProgress(on: stage.group, wire)
        }
        Issue.record("nobody was asked")
    }

    @Test(
        "aborting the client, and a peer that cuts the connection, end the wait and the closure",
        arguments: KeyAsker.allCases,
        Wire.secure
    )
    func ended(asker: KeyAsker, wire: Wire) async throws {
        for isOwn in [true, false] {
            let (begun, cancelled) = (Gate(), Gate())
            let stage = try KeyStage(asker, wire) {
                begun.open()
                await Gate().wait()
                if Task.isCancelled { cancelled.open() }
                return nil
            }
            let client = try stage.connect()
            await begun.wait()
            if isOwn == (asker == .client) {
                client.abort("enough")
            } else {
                stage.listener.core.abort(reason: "enough")
            }
            let own = await stage.ownError(client)
            #expect(own?.code == (isOwn ? .aborted : .peerReset))
            await cancelled.wait()
            await stage.listener.close()
        }
    }

    @Test(
        "a listener with a certificate serves clients with and without keys",
        arguments: Wire.secure
    )
    func beside(wire: Wire) async throws {
        let shared = try key(wire)
        for hasKey in [true, false] {
            let pair = try await Pair(wire) {
                if hasKey { $0.presharedKey = { _ in shared } }
            } server: {
                $0.presharedKey = { identity in identity == shared.identity ? shared : nil }
            }
            let expected: HandshakeAuthentication =
                hasKey ? .presharedKey("meter 4711") : .certificate
            #expect(pair.client.info?.authentication == expected)
            #expect(pair.server.info?.authentication == expected)
            #expect(pair.client.info?.verificationStatus == (hasKey ? nil : "ok"))
        }
    }

    @Test("a server that does not know the key cannot use its certificate instead")
    func insists() async throws {
        let shared = try key(.tls13)
        for demand in PresharedKeyDemand.allCases {
            let listener = try makeListener(.tls13) { $0.presharedKey = { _ in nil } }
            try listener.onSocket { _ in }
            let client = try makeClient(.tls13, to: listener.localAddress) {
                $0.presharedKey = { _ in shared }
                $0.presharedKeyDemand = demand
            }
            let error = await thrown { _ = try await client.ready }
            #expect(error?.code == (demand == .never ? nil : .presharedKeyRejected))
            #expect(error?.tls?.code == (demand == .never ? nil : .presharedKeyUnused))
            client.abort()
            await listener.close()
        }
    }

    @Test("the hint of a listener reaches the closure of a TLS 1.2 client")
    func hint() async throws {
        let shared = try key(.tls12)
        let hints = Log<String?>()
        let pair = try await Pair(.tls12) {
            $0.presharedKey = { hint in
                hints.append(hint)
                return shared
            }
        } server: {
            $0.presharedKey = { _ in shared }
            $0.presharedKeyHint = "floor 3"
        }
        #expect(hints.all == ["floor 3"])
        #expect(pair.client.info?.authentication == .presharedKey("meter 4711"))
    }

    @Test("nothing that a socket, an error or a report says holds the key", arguments: Wire.secure)
    func silence(wire: Wire) async throws {
        let text = "never to be seen, in \(wire)"
        let shared = try PresharedKeyInfo(
            key: Array(text.utf8),
            identity: "meter 4712",
            use: wire == .tls12 ? .tls12 : .tls13(.sha256),
            roles: .both(because: "test")
        )
        let pair = try await Pair(wire) {
            $0.presharedKey = { _ in shared }
        } server: {
            $0.presharedKey = { _ in shared }
        }
        let other = try key(wire)
        let refused = try makeClient(wire, to: pair.listener.localAddress) {
            $0.presharedKey = { _ in other }
        }
        let error = await thrown { _ = try await refused.ready }
        var options = try clientOptions(wire, to: loopback)
        options.presharedKey = { _ in shared }
        var dumped = ""
        for value in [pair.client.info as Any, pair.server.report as Any, error as Any, options] {
            dump(value, to: &dumped)
            dumped += "\(value)" + String(reflecting: value)
        }
        #expect(dumped.contains("meter 4712"))
        #expect(!dumped.contains("never to be seen"))
        #expect(!dumped.contains(Array(text.utf8).map(String.init).joined(separator: ", ")))
    }
}
