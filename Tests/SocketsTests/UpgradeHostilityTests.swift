// Peers, and people on the way, who do not keep to the order: data in the clear where TLS begins, in
// both roles and at every moment of the dialogue; silence, cuts and floods.

import SocketCore
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

private let evil = "MAIL FROM:<mallory@evil.test>\r\n"

/// Where a victim's peer puts data that could pass for data under TLS.
private enum Injection: String, CaseIterable, Sendable {
    /// In the segment of the words before TLS, and the application has read it.
    case sameSegmentRead
    /// In the same segment, and the application has left it in the kernel.
    case sameSegmentLeft
    /// In a segment of its own, before this side has said that it is ready.
    case laterSegment
}

@Suite(.timeLimit(.minutes(1))) struct UpgradeHostilityTests {
    @Test(
        "data behind the words before TLS ends the connection, and nothing is said to it",
        arguments: Injection.allCases,
        [TLSRole.client, .server]
    )
    private func injection(injection: Injection, role: TLSRole) async throws {
        let pair = try await UpgradePair(.tls13)
        let (victim, attacker, words) =
            role == .client
            ? (pair.client, pair.server, goAhead) : (pair.server, pair.client, ask)
        if role == .client { try await victim.write(ask) }
        try await attacker.write(injection == .laterSegment ? words : words + evil)
        var unread: [UInt8] = []
        if injection == .sameSegmentRead {
            let whole = words.utf8.count + evil.utf8.count
            unread = Array(try await readExactly(whole, from: victim)[words.utf8.count...])
        } else {
            _ = try await readExactly(words.utf8.count, from: victim)
        }
        if injection == .laterSegment { try await attacker.write(evil) }
        if injection != .sameSegmentRead { await until { victim.hasUnread } }
        let error = await thrown { [unread] in
            switch role {
            case .client: try await victim.startTLS(pair.members, unread: unread)
            case .server:
                try await victim.startTLS(pair.prepared, sending: goAhead, unread: unread)
            }
        }
        #expect(error?.code == .plaintextBeforeTLS)
        #expect(error?.category == .tls)
        #expect(error?.hint != nil)
        #expect(await victim.closed == .failed(try #require(error)))
        // Not a byte: no reply, and no ClientHello.
        var heard: [UInt8] = []
        _ = await thrown { while let bytes = try await attacker.read() { heard += bytes } }
        #expect(heard == (role == .client ? Array(ask.utf8) : []))
        // What was injected is not given out either.
        #expect(await thrown { _ = try await victim.read() } == error)
    }

    @Test("data that comes while the reply waits for room keeps the rest of it back")
    func duringReply() async throws {
        let pair = try await UpgradePair(.tls13) {
            $0.receiveBufferSize = 20_000
        } server: {
            $0.sendBufferSize = 20_000
        }
        let reply = pattern(1 << 20)
        let serving = Task {
            await thrown { try await pair.server.startTLS(pair.prepared, sending: reply) }
        }
        await until { pair.server.connection.state.withLock { $0.isFull } }
        try await pair.client.write(evil)
        // If there was room once more, it has seen it, and is over.
        await until {
            pair.server.hasUnread || pair.server.connection.state.withLock { $0.hasFailed }
        }
        var heard = 0
        _ = await thrown { while let bytes = try await pair.client.read() { heard += bytes.count } }
        #expect(heard < reply.count)
        #expect(await serving.value?.code == .plaintextBeforeTLS)
    }

    @Test(
        "data in the clear in place of the handshake fails it, however it came",
        arguments: [TLSRole.client, .server]
    )
    func insteadOfHandshake(role: TLSRole) async throws {
        let pair = try await UpgradePair(.tls13)
        let victim = role == .client ? pair.client : pair.server
        let shaking = Task {
            await thrown {
                _ = try await role == .client ? pair.startClient() : pair.startServer()
            }
        }
        switch role {
        case .client:
            _ = try await readExactly(ask.utf8.count, from: pair.server)
            try await pair.server.write(goAhead)
            // The ClientHello: it is past the check.
            _ = try await pair.server.read()
            try await pair.server.write(evil)
        case .server:
            try await pair.client.write(ask)
            _ = try await readExactly(goAhead.utf8.count, from: pair.client)
            try await pair.client.write(evil)
        }
        let error = await shaking.value
        #expect(error?.code == .handshakeFailed)
        #expect(error?.tls?.code == .notTLS)
        #expect(error?.report != nil)
        #expect(await thrown { _ = try await victim.read() } == error)
        // And where nobody is to wait for a reply.
        let open = try await UpgradePair(.tls13)
        try await open.client.write(evil)
        await until { open.server.hasUnread }
        let other = await thrown { try await open.server.startTLS(open.prepared) }
        #expect(other?.tls?.code == .notTLS)
        let given = try await UpgradePair(.tls13)
        let last = await thrown {
            try await given.server.startTLS(given.prepared, beginningWith: Array(evil.utf8))
        }
        #expect(last?.tls?.code == .notTLS)
    }

    @Test(
        "a peer that says nothing more ends by the handshake's deadline",
        arguments: [TLSRole.client, .server]
    )
    func silence(role: TLSRole) async throws {
        let pair = try await UpgradePair(.tls13) {
            $0.limits.handshake = .milliseconds(100)
        } server: {
            $0.limits.handshake = .milliseconds(100)
        }
        let error = await thrown {
            switch role {
            case .client: try await pair.client.startTLS(pair.members)
            case .server: try await pair.server.startTLS(pair.prepared, sending: goAhead)
            }
        }
        #expect(error?.code == .handshakeTimedOut)
        #expect(error?.phase == (role == .client ? .serverHello : .clientHello))
        #expect(error?.report?.isComplete == false)
    }

    @Test("so does one that does not read the reply")
    func unreadReply() async throws {
        let pair = try await UpgradePair(.tls13) {
            $0.receiveBufferSize = 20_000
        } server: {
            $0.sendBufferSize = 20_000
            $0.limits.handshake = .milliseconds(100)
        }
        let error = await thrown {
            try await pair.server.startTLS(pair.prepared, sending: pattern(1 << 20))
        }
        #expect(error?.code == .handshakeTimedOut)
        #expect(error?.phase == .clientHello)
    }

    @Test(
        "a flood in the clear is refused at the first look, and stalls nobody",
        arguments: [TLSRole.client, .server]
    )
    func flood(role: TLSRole) async throws {
        let bystander = try await Bystander()
        let pair = try await UpgradePair(.tls13) {
            $0.group = besiegedLoop
        } server: {
            $0.group = besiegedLoop
        }
        let (victim, attacker) =
            role == .client ? (pair.client, pair.server) : (pair.server, pair.client)
        let flooding = Task { await thrown { while true { try await attacker.write(evil) } } }
        await until { victim.hasUnread }
        try await bystander.expectProgress()
        let error = await thrown {
            switch role {
            case .client: try await victim.startTLS(pair.members)
            case .server: try await victim.startTLS(pair.prepared, sending: goAhead)
            }
        }
        #expect(error?.code == .plaintextBeforeTLS)
        #expect(await flooding.value?.code == .peerReset)
        try await bystander.expectProgress()
    }

    @Test(
        "closing and aborting end an upgrade that waits, in either role",
        arguments: [TLSRole.client, .server],
        [false, true]
    )
    func ended(role: TLSRole, isAbort: Bool) async throws {
        let pair = try await UpgradePair(.tls13)
        let victim = role == .client ? pair.client : pair.server
        let shaking = Task {
            await thrown {
                switch role {
                case .client: try await victim.startTLS(pair.members)
                case .server: try await victim.startTLS(pair.prepared, sending: goAhead)
                }
            }
        }
        await until { victim.connection.state.withLock { $0.lifecycle.phase == .upgrading } }
        if isAbort { victim.abort("enough") } else { try await victim.close("enough") }
        #expect(await shaking.value?.code == (isAbort ? .aborted : .closed))
        #expect(await victim.closed == (isAbort ? .aborted("enough") : .clean("enough")))
        #expect(victim.descriptor == -1)
    }
}

/// A dialogue through a wire of which one direction ends behind so many bytes.
private struct CutDialogue: Sendable {
    let client: Socket
    let server: Socket
    private let ends: [Socket]
    private let listeners: [SocketListener]
    private let pumps: [Task<Int, Never>]

    init(victim: TLSRole, behind count: Int, isReset: Bool) async throws {
        let (inner, outer) = (try await Pair(.tcp), try await Pair(.tcp))
        client = outer.client
        server = inner.server
        ends = [outer.server, inner.client]
        listeners = [inner.listener, outer.listener]
        let (toClient, toServer) = (
            CutDialogue.pump(inner.client, outer.server, victim == .client ? count : .max, isReset),
            CutDialogue.pump(outer.server, inner.client, victim == .server ? count : .max, isReset)
        )
        pumps = [toClient, toServer]
    }

    /// Carries bytes until it has carried enough.
    ///
    /// - Returns: So many.
    private static func pump(
        _ source: Socket,
        _ sink: Socket,
        _ limit: Int,
        _ isReset: Bool
    ) -> Task<Int, Never> {
        Task {
            var count = 0
            while count < limit {
                let wanted = min(65536, limit - count)
                guard let bytes = try? await source.read(upTo: wanted),
                    (try? await sink.write(bytes)) != nil
                else { break }
                count += bytes.count
            }
            if isReset, count == limit { sink.abort() } else { try? await sink.shutdownWrite() }
            return count
        }
    }

    /// Ends everything.
    ///
    /// - Returns: What was carried to the client, and to the server.
    func end() async -> [Int] {
        for socket in ends + [client, server] { socket.abort() }
        var counts: [Int] = []
        for pump in pumps { counts.append(await pump.value) }
        return counts
    }
}

@Suite(.timeLimit(.minutes(1))) struct CutUpgradeTests {
    /// Has both sides speak, and start TLS.
    private func converse(
        _ dialogue: CutDialogue,
        _ wire: Wire
    ) async throws -> (client: SocketError?, server: SocketError?) {
        let prepared = try prepareTLS(wire)
        let members = try upgradeMembers(wire)
        let serving = Task {
            let error = await thrown {
                let words = try await readExactly(ask.utf8.count, from: dialogue.server)
                guard words == Array(ask.utf8) else { throw SocketError(.truncated) }
                try await dialogue.server.startTLS(prepared, sending: goAhead)
                try await dialogue.server.write("hello")
                _ = try await readAll(from: dialogue.server)
            }
            if error != nil { dialogue.server.abort() }
            return error
        }
        let client = await thrown {
            try await dialogue.client.write(ask)
            let words = try await readExactly(goAhead.utf8.count, from: dialogue.client)
            guard words == Array(goAhead.utf8) else { throw SocketError(.truncated) }
            try await dialogue.client.startTLS(members)
            _ = try await readExactly(5, from: dialogue.client)
            try await dialogue.client.close()
        }
        if client != nil { dialogue.client.abort() }
        return (client, await serving.value)
    }

    /// The bytes that go to one side until both are done.
    private func length(_ wire: Wire, to victim: TLSRole) async throws -> Int {
        let dialogue = try await CutDialogue(victim: victim, behind: .max, isReset: false)
        let errors = try await converse(dialogue, wire)
        #expect(errors.client == nil && errors.server == nil)
        return await dialogue.end()[victim == .client ? 0 : 1]
    }

    @Test(
        "a dialogue that is cut at any byte ends on both sides, with a code that says where",
        arguments: Wire.secure,
        [TLSRole.client, .server]
    )
    func everyByte(wire: Wire, victim: TLSRole) async throws {
        let count = try await length(wire, to: victim)
        let words = (victim == .client ? goAhead : ask).utf8.count
        // Each byte of the words and of the first record's beginning; then with a stride that meets
        // every kind of place.
        let places =
            Array(0..<(words + 12)) + Array(stride(from: words + 12, to: count - 60, by: 97))
        for isReset in [false, true] {
            for place in places {
                let dialogue = try await CutDialogue(
                    victim: victim,
                    behind: place,
                    isReset: isReset
                )
                let errors = try await converse(dialogue, wire)
                let error = victim == .client ? errors.client : errors.server
                let codes: Set<SocketError.Code> =
                    isReset
                    ? [.peerReset] : place < words ? [.truncated] : [.handshakeFailed, .truncated]
                #expect(codes.contains(try #require(error?.code)), "\(place), \(isReset)")
                if !isReset, error?.code == .handshakeFailed {
                    #expect(error?.tls?.code == .closedDuringHandshake, "\(place)")
                }
                // A client of TLS 1.3 may be done, and gone, before its server is.
                #expect(errors.server != nil, "\(place)")
                _ = await dialogue.end()
            }
        }
    }
}
