// Peers that are slow, silent, or speak in crumbs: what is right goes through however it is cut, and
// what takes too long ends by its deadline, whatever trickles in meanwhile.

import SocketCore
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

/// The same handshake bytes in plaintext records of one byte each.
private func crumbled(_ records: [UInt8]) -> [UInt8] {
    var crumbs: [UInt8] = []
    var place = 0
    while place + 5 <= records.count {
        let end = place + 5 + Int(records[place + 3]) << 8 + Int(records[place + 4])
        for byte in records[(place + 5)..<end] {
            crumbs += [records[place], 3, records[place + 2], 0, 1, byte]
        }
        place = end
    }
    return crumbs
}

@Suite(.timeLimit(.minutes(1))) struct HostilePaceTests {
    @Test("a first flight in records of one byte is understood", arguments: Wire.secure)
    func crumbs(wire: Wire) async throws {
        let server = try await Siege(victim: .server, wire)
        try await server.attacker.write(crumbled(try server.peer.step([])))
        try await server.handshake(begins: false)
        #expect(server.accepted.count == 1)
        await server.end()

        // Of a server's flight only TLS 1.2 leaves more than the first message in the clear.
        let client = try await Siege(victim: .client, wire)
        var flight: [UInt8] = []
        while flight.isEmpty {
            flight = try client.peer.step(try #require(try await client.attacker.read()))
        }
        let first = 5 + Int(flight[3]) << 8 + Int(flight[4])
        let clear = wire == .tls12 ? flight.count : first
        try await client.attacker.write(crumbled(Array(flight[..<clear])))
        try await client.attacker.write(Array(flight[clear...]))
        try await client.handshake(begins: false)
        #expect(client.victim?.info != nil)
        await client.end()
    }

    @Test(
        "a handshake and data in segments of one byte go through",
        arguments: Wire.secure,
        [TLSRole.client, .server]
    )
    func segments(wire: Wire, role: TLSRole) async throws {
        let siege = try await Siege(victim: role, wire)
        try await siege.handshake(chunk: 1)
        let record = try siege.peer.record(.applicationData, pattern(300))
        for byte in record { try await siege.attacker.write([byte]) }
        let victim = try #require(siege.victim)
        #expect(try await readExactly(300, from: victim) == pattern(300))
        await siege.end()
    }

    @Test("a ClientHello of the limit is taken, one byte more is not", arguments: Wire.secure)
    func helloSize(wire: Wire) async throws {
        let limit = TLSLimits().clientHelloBytes
        #expect(limit == 65536)
        // How large a hello with a padding is; four records either way.
        let probe = try FaultPeer(.client, try #require(wire.version), helloPadding: 60_000)
        let others = try probe.step([]).count - 60_000
        for (size, isTaken) in [(limit, true), (limit + 1, false)] {
            let siege = try await Siege(victim: .server, wire, hello: size - others)
            let hello = try siege.peer.step([])
            try #require(hello.count == size)
            try await siege.attacker.write(hello)
            if isTaken {
                try await siege.handshake(begins: false)
                #expect(siege.accepted.count == 1)
            } else {
                let error = await siege.outcome()
                #expect(error?.tls?.code == .clientHelloTooLarge)
                #expect(error?.phase == .clientHello)
                #expect(siege.peer.alertReceived == .decodeError)
            }
            await siege.end()
        }
    }

    /// What a peer that drips says next, byte by byte: right as far as it goes.
    private func endless(_ siege: Siege, at stage: SiegeStage) throws -> [UInt8] {
        switch (stage, siege.role) {
        case (.silent, .server): try siege.peer.step([])
        // The beginning of a large record.
        case (.silent, .client): [22, 3, 3, 0x3f, 0xff] + pattern(400)
        case (.shaking, _): [siege.wire == .tls13 ? 23 : 22, 3, 3, 0x3f, 0xff] + pattern(400)
        case (.open, _): try siege.peer.record(.applicationData, pattern(16_000))
        }
    }

    @Test(
        "silence ends by the deadline of its stage, and so does a byte now and then",
        arguments: SiegeStage.allCases,
        [TLSRole.client, .server]
    )
    func silence(stage: SiegeStage, role: TLSRole) async throws {
        let bystander = try await Bystander()
        for wire in Wire.secure {
            for isDripping in [false, true] {
                let siege = try await Siege(victim: role, wire)
                try await siege.advance(to: stage)
                await siege.setDeadline(.milliseconds(100))
                let attacker = siege.attacker
                let bytes = isDripping ? try endless(siege, at: stage) : []
                let dripping = Task {
                    for byte in bytes {
                        guard (try? await attacker.write([byte])) != nil else { return }
                        await pass(.milliseconds(3))
                    }
                }
                try await bystander.expectProgress()
                let error = await siege.outcome()
                #expect(error?.code == (stage == .open ? .idleTimedOut : .handshakeTimedOut))
                #expect(error?.category == .timeout)
                #expect(error?.phase == siege.phase(at: stage), "\(wire), \(isDripping)")
                dripping.cancel()
                await dripping.value
                await siege.end()
            }
        }
    }

    @Test(
        "a peer that never reads ends a writer by the idle timeout, whichever side it is",
        arguments: Wire.secure,
        [TLSRole.client, .server]
    )
    func neverReads(wire: Wire, role: TLSRole) async throws {
        let bystander = try await Bystander()
        let siege = try await Siege(victim: role, wire)
        try await siege.advance(to: .open)
        await siege.setDeadline(.milliseconds(100))
        let victim = try #require(siege.victim)
        let bytes = pattern(1 << 20)
        let writing = Task { await thrown { while true { try await victim.write(bytes) } } }
        try await bystander.expectProgress()
        #expect(await writing.value?.code == .idleTimedOut)
        await siege.end()
    }

    @Test(
        "a peer that drips on behind this side's end keeps the connection no longer than the limit",
        arguments: Wire.secure,
        [TLSRole.client, .server]
    )
    func dripsBehindClose(wire: Wire, role: TLSRole) async throws {
        let bystander = try await Bystander()
        let siege = try await Siege(victim: role, wire)
        try await siege.advance(to: .open)
        let victim = try #require(siege.victim)
        let (attacker, bytes) = (siege.attacker, try endless(siege, at: .open))
        let dripping = Task {
            for byte in bytes {
                guard (try? await attacker.write([byte])) != nil else { return true }
                await pass(.milliseconds(3))
            }
            return false
        }
        try await victim.close()
        try await bystander.expectProgress()
        await until { victim.descriptor == -1 }
        // It was let go of in the middle.
        #expect(await dripping.value)
        await siege.end()
    }

    @Test(
        "a FIN and a reset behind the handshake are told apart, whoever is their victim",
        arguments: Wire.secure,
        [TLSRole.client, .server]
    )
    func endings(wire: Wire, role: TLSRole) async throws {
        for isReset in [false, true] {
            let siege = try await Siege(victim: role, wire)
            try await siege.advance(to: .open)
            let victim = try #require(siege.victim)
            if isReset {
                siege.attacker.abort()
            } else {
                try await siege.attacker.shutdownWrite()
            }
            let error = await thrown { _ = try await readAll(from: victim) }
            #expect(error?.code == (isReset ? .peerReset : .truncated))
            #expect(error?.phase == .open)
            await siege.end()
        }
    }

    @Test("data without end from one peer leaves the others their turn", arguments: Wire.secure)
    func dataWithoutEnd(wire: Wire) async throws {
        let bystander = try await Bystander()
        let siege = try await Siege(victim: .server, wire)
        try await siege.advance(to: .open)
        let victim = try #require(siege.victim)
        let reading = Task(executorPreference: victim.executor) {
            var count = 0
            while let bytes = try? await victim.read() { count += bytes.count }
            return count
        }
        // Records made before: the peer is as fast as it can.
        var records: [UInt8] = []
        for _ in 0..<64 { records += try siege.peer.record(.applicationData, pattern(16384)) }
        let (attacker, flood) = (siege.attacker, records)
        let sending = Task { try? await attacker.write(flood) }
        for _ in 0..<20 { try await bystander.expectProgress() }
        await sending.value
        try await attacker.shutdownWrite()
        #expect(await reading.value == 64 * 16384)
        await siege.end()
    }
}
