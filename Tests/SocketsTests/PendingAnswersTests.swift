// A peer that asks and does not read: what this side answers piles up behind a writer that waits, and
// ends the connection at its limit, not before.

import SocketCore
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct PendingAnswersTests {
    /// What the record of an answer adds to its message under AES-GCM: header, and tag; in TLS 1.2 the
    /// nonce (RFC 5288 §3), in TLS 1.3 the type.
    private static func answerBytes(_ wire: Wire) -> Int {
        // The alert no_renegotiation, and a KeyUpdate.
        wire == .tls12 ? 5 + 8 + 2 + 16 : 5 + 5 + 1 + 16
    }

    /// Requests that make for so many answers: a HelloRequest or a ClientHello in TLS 1.2, KeyUpdates in
    /// TLS 1.3, where the last one's answer waits for what this side sends next.
    private func requests(_ answers: Int, _ siege: Siege) throws -> [UInt8] {
        guard siege.wire == .tls12 else {
            return try (0...answers).flatMap { _ in try siege.peer.keyUpdate(isAsking: true) }
        }
        let request = siege.role == .client ? [0, 0, 0, 0] : [1, 0, 0, 40] + pattern(40)
        return try (0..<answers).flatMap { _ in try siege.peer.record(.handshake, request) }
    }

    /// A victim that takes so many answers, whose peer does not read.
    private func besiege(_ role: TLSRole, _ wire: Wire, answers: Int) async throws -> Siege {
        var limits = TLSLimits()
        limits.postHandshakeMessages = 1000
        let room = answers * PendingAnswersTests.answerBytes(wire)
        let siege = try await Siege(victim: role, wire, limits: limits, pendingAnswers: room)
        try await siege.advance(to: .open)
        return siege
    }

    /// Has the victim write until the kernel takes no more, also of what it had given out before.
    private func block(_ victim: Socket, with bytes: [UInt8]) async -> Task<SocketError?, Never> {
        let writing = Task { await thrown { try await victim.write(bytes) } }
        var (sent, looks) = (UInt64(0), 0)
        while looks < 20 {
            await pass(.milliseconds(2))
            let now = victim.connection.state.withLock { s in
                s.outbound.isEmpty || !s.isFull ? nil : s.bytesSent
            }
            looks = now == sent ? looks + 1 : 0
            sent = now ?? 0
        }
        return writing
    }

    @Test(
        "answers that a peer does not read are kept up to the limit, and one more ends the connection",
        arguments: Wire.secure,
        [TLSRole.client, .server]
    )
    func limit(wire: Wire, role: TLSRole) async throws {
        let bystander = try await Bystander()
        let answers = 100
        for isOver in [false, true] {
            let siege = try await besiege(role, wire, answers: answers)
            let victim = try #require(siege.victim)
            let writing = await block(victim, with: pattern(1 << 20))
            let reading = Task { await thrown { _ = try await readExactly(1, from: victim) } }
            try await siege.attacker.write(try requests(isOver ? answers + 1 : answers, siege))
            try await bystander.expectProgress()
            if isOver {
                for error in [await reading.value, await writing.value] {
                    #expect(error?.code == .limitExceeded)
                    #expect(error?.category == .resource)
                    #expect(error?.phase == .open)
                    #expect(error?.report != nil)
                }
                await until { victim.descriptor == -1 }
            } else {
                let room = answers * PendingAnswersTests.answerBytes(wire)
                await until { victim.connection.state.withLock { $0.unsentAnswers } == room }
                // Alive: who begins to read gets everything, and is read from.
                let attacker = siege.attacker
                let draining = Task { while let _ = try? await attacker.read() {} }
                #expect(await writing.value == nil)
                try await attacker.write(try siege.peer.record(.applicationData, [7]))
                #expect(await reading.value == nil)
                attacker.abort()
                await draining.value
            }
            await siege.end()
        }
    }

    @Test("answers that were read make room for others", arguments: [TLSRole.client, .server])
    func room(role: TLSRole) async throws {
        let siege = try await besiege(role, .tls13, answers: 20)
        let victim = try #require(siege.victim)
        let bytes = pattern(1 << 20)
        for round in 1...4 {
            let writing = await block(victim, with: bytes)
            let reading = Task { await thrown { _ = try await readExactly(1, from: victim) } }
            let marker = { try siege.peer.record(.applicationData, [7]) }
            try await siege.attacker.write(try requests(10, siege) + marker())
            #expect(await reading.value == nil)
            while siege.peer.received.count < round * bytes.count {
                _ = try siege.peer.step(try #require(try await siege.attacker.read()))
            }
            #expect(await writing.value == nil)
        }
        await siege.end()
    }
}
