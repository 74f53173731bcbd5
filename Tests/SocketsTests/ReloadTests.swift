// TLS members replaced while a listener listens: what new connections get, what old ones keep, what is
// left when the new members are wrong.

import CMemoryGauge
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

/// An authority that renews a server's certificate.
struct Renewals: Sendable {
    let ca: TestCA
    let anchors: [Certificate]

    init() throws {
        ca = try TestCA()
        anchors = try Certificate.read(Array(ca.certificatePEM.utf8))
    }

    func leaf(_ name: SubjectName = "localhost") throws -> IssuedCertificate {
        try ca.issue(name, "127.0.0.1")
    }

    func identity(_ name: SubjectName = "localhost") throws -> TLSIdentity {
        try leaf(name).tlsIdentity
    }

    func listener(
        _ wire: Wire,
        _ identity: TLSIdentity,
        _ configure: (inout SocketListenerInit) throws -> Void = { _ in }
    ) throws -> SocketListener {
        try makeListener(wire) {
            $0.identity = identity
            try configure(&$0)
        }
    }

    /// Connects, reads a byte, and tells what the server showed.
    func connect(
        _ wire: Wire,
        to listener: SocketListener,
        _ configure: (inout SocketInit) throws -> Void = { _ in }
    ) async throws -> TLSSocketInfo {
        let socket = try makeClient(wire, to: listener.localAddress) {
            $0.trust = TrustPolicy(anchors: anchors)
            try configure(&$0)
        }
        #expect(try await readAll(from: socket) == Array("!".utf8))
        return try #require(socket.info?.tls)
    }

    /// Has a listener answer everybody with a byte.
    static func answer(_ listener: SocketListener) throws {
        try listener.onSocket { try? $0.respondWith(SocketResponse(body: "!")) }
    }
}

extension TLSSocketInfo {
    fileprivate var leaf: Certificate? { report.peerChain.first }
}

@Suite(.timeLimit(.minutes(1))) struct ReloadTests {
    @Test("new connections get what was put in place, old ones keep theirs", arguments: Wire.secure)
    func replaced(wire: Wire) async throws {
        let renewals = try Renewals()
        let (old, new) = (try renewals.identity(), try renewals.identity())
        let listener = try renewals.listener(wire, old)
        var events = listener.events.makeAsyncIterator()
        let serving = Task {
            try await listener.serve { socket in
                while let bytes = try await socket.read() { try await socket.write(bytes) }
            }
        }
        func connect() async throws -> Socket {
            let socket = try makeClient(wire, to: listener.localAddress) {
                $0.trust = TrustPolicy(anchors: renewals.anchors)
            }
            _ = try await socket.ready
            return socket
        }
        let before = try await connect()
        // A client of TLS 1.3 is ready before its server: an answer shows that that one is.
        try await before.write("ping")
        #expect(try await readExactly(4, from: before) == Array("ping".utf8))
        var members = try listenerOptions(wire).tls
        members.identity = new
        try await listener.reload(members)
        let after = try await connect()
        #expect(before.info?.tls?.leaf == old.certificate)
        #expect(after.info?.tls?.leaf == new.certificate)
        for socket in [before, after] {
            try await socket.write("echo")
            #expect(try await readExactly(4, from: socket) == Array("echo".utf8))
            try await socket.close()
        }
        guard case .handshakeDone? = await events.next(),
            case .reloaded(let reload)? = await events.next()
        else {
            Issue.record("no word of the reload")
            return
        }
        #expect(reload.cause == .call)
        #expect(reload.before == [old.certificate] && reload.after == [new.certificate])
        await listener.close()
        _ = await serving.result
        #expect(await thrown { try await listener.reload(members) }?.code == .closed)
    }

    @Test("sessions outlive a renewed certificate, unless they must not", arguments: Wire.secure)
    func sessions(wire: Wire) async throws {
        let renewals = try Renewals()
        let listener = try renewals.listener(wire, try renewals.identity()) {
            $0.hosts = [TLSVirtualHost("a.test", identities: [try renewals.identity("a.test")])]
        }
        try Renewals.answer(listener)
        for name in ["localhost", "a.test"] {
            let first = try await renewals.connect(wire, to: listener) { $0.servername = name }
            var members = try listenerOptions(wire).tls
            members.identity = try renewals.identity()
            members.hosts = [
                TLSVirtualHost("a.test", identities: [try renewals.identity("a.test")])
            ]
            try await listener.reload(members)
            let second = try await renewals.connect(wire, to: listener) {
                $0.servername = name
                $0.session = first.session
            }
            #expect(second.resumed, "\(name)")
            try await listener.reload(members, keepingSessions: false)
            let third = try await renewals.connect(wire, to: listener) {
                $0.servername = name
                $0.session = second.session ?? first.session
            }
            #expect(!third.resumed, "\(name)")
        }
        await listener.close()
    }

    @Test("a stricter listener does not resume what the laxer one let in", arguments: Wire.secure)
    func stricter(wire: Wire) async throws {
        let renewals = try Renewals()
        let listener = try renewals.listener(wire, try renewals.identity())
        try Renewals.answer(listener)
        let first = try await renewals.connect(wire, to: listener)
        var members = try listenerOptions(wire).tls
        members.identity = try renewals.identity()
        members.clientAuthentication = .request
        members.trust = TrustPolicy(anchors: renewals.anchors)
        try await listener.reload(members)
        let second = try await renewals.connect(wire, to: listener) { $0.session = first.session }
        #expect(!second.resumed)
        await listener.close()
    }

    @Test("members that cannot be used leave everything as it was")
    func refused() async throws {
        let renewals = try Renewals()
        let old = try renewals.identity()
        let listener = try renewals.listener(.tls13, old)
        var events = listener.events.makeAsyncIterator()
        try Renewals.answer(listener)
        var members = try listenerOptions(.tls13).tls
        members.cipherAlgorithms = ["TLS_NOTHING"]
        let error = await thrown { try await listener.reload(members) }
        #expect(error?.code == .invalidTLSConfiguration)
        guard case .reloadFailed(error)? = await events.next() else {
            Issue.record("no word of the failure")
            return
        }
        #expect(try await renewals.connect(.tls13, to: listener).leaf == old.certificate)
        await listener.close()
        let plain = try makeListener(.tcp)
        #expect(await thrown { try await plain.reload(members) }?.code == .tlsOptionWithoutTLS)
    }

    @Test("staples go on where the certificate does, and the old source is asked no more")
    func staples() async throws {
        let stage = try StapleStage()
        let listener = try SocketListener(
            SocketListenerInit(type: .tls, local: loopback, identity: stage.identity) {
                $0.ocspSource = stage.source
                $0.ocspIssuer = stage.root
            }
        )
        await until { listener.staples.first?.staple != nil }
        stage.become(.failing)
        var members = TLSSocketListenerInit()
        members.identity = stage.identity
        members.ocspSource = stage.source
        members.ocspIssuer = stage.root
        let old = try #require(listener.core.currentTLS)
        try await listener.reload(members)
        #expect(listener.staples.first?.staple != nil)
        await until { stage.requests == 2 }
        #expect(old.stapleKeeper.states.first?.nextAttempt == nil)
        await listener.close()
    }

    @Test("a thousand reloads under load: no handshake fails, and nothing is left behind")
    func thousand() async throws {
        try #require(SoakGauge.isPrepared)
        await #expect(processExitsWith: .success) { try await reloadUnderLoad() }
    }
}

/// What the clients and their test tell each other.
private final class Load: Sendable {
    let isOver = Atomic<Bool>(false)
    let handshakes = Atomic<Int>(0)
}

/// Runs in a process of its own: memory and descriptors are counted.
private func reloadUnderLoad() async throws {
    let renewals = try Renewals()
    let identities = try (0..<2).map { _ in try renewals.identity() }
    let listener = try renewals.listener(.tls13, identities[0])
    try Renewals.answer(listener)
    let rounds = is_sanitized() != 0 ? 100 : 250
    let load = Load()
    let tasks = (0..<4).map { number in
        Task {
            var session: [UInt8]?
            while !load.isOver.load(ordering: .relaxed) {
                let info = try await renewals.connect(.tls13, to: listener) {
                    // Half of them resume what they have, under whatever certificate there is now.
                    if number % 2 == 0 { $0.session = session }
                }
                session = info.session
                load.handshakes.wrappingAdd(1, ordering: .relaxed)
            }
        }
    }
    var held: [Int] = []
    for round in 0..<4 {
        for number in 0..<rounds {
            var members = try listenerOptions(.tls13).tls
            members.identity = identities[(round + number + 1) % 2]
            try await listener.reload(members)
            let count = load.handshakes.load(ordering: .relaxed)
            if number % 25 == 0 { await until { load.handshakes.load(ordering: .relaxed) > count } }
        }
        held.append(memory_in_use())
    }
    load.isOver.store(true, ordering: .relaxed)
    for task in tasks { try await task.value }
    try #require(load.handshakes.load(ordering: .relaxed) >= 40)
    // A configuration that stays is 20 KiB and more: 250 of them are seen.
    if is_sanitized() == 0 { try #require(held[3] - held[1] < 2 << 20) }
    await listener.close()
    await until { listener.core.aliveCount == 0 }
}
