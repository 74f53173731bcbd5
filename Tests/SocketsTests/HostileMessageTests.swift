// Messages under the right keys that no peer should send, and floods of those it may send: each ends
// the victim by name, at its limit and not before, and the loop goes on.

import SocketCore
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct HostileMessageTests {
    typealias Expectation = @Sendable (Wire, TLSRole) -> TLSError.Code
    typealias Maker = @Sendable (FaultPeer) throws -> [UInt8]

    /// What a peer sends behind the handshake, and then ends; and what comes of it.
    struct Fault: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let expected: Expectation
        let make: Maker

        init(_ name: String, _ expected: @escaping Expectation, _ make: @escaping Maker) {
            testDescription = name
            self.expected = expected
            self.make = make
        }

        init(_ name: String, _ code: TLSError.Code = .protocolViolation, _ make: @escaping Maker) {
            self.init(name, { _, _ in code }, make)
        }
    }

    /// A handshake message.
    private static func message(_ type: UInt8, _ body: [UInt8]) -> [UInt8] {
        let count = body.count
        let length = [16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) }
        return [type] + length + body
    }

    /// What one version makes of it, and what the other.
    private static func by(tls12: TLSError.Code, tls13: TLSError.Code) -> Expectation {
        { wire, _ in wire == .tls12 ? tls12 : tls13 }
    }

    /// What one role in one version makes of it, and what all others.
    private static func only(
        _ wire: Wire,
        _ role: TLSRole?,
        _ code: TLSError.Code,
        else other: TLSError.Code = .protocolViolation
    ) -> Expectation {
        { $0 == wire && ($1 == role ?? $1) ? code : other }
    }

    /// A session ticket (RFC 8446 §4.6.1).
    private static let ticket = message(
        4,
        [0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 4, 1, 2, 3, 4, 0, 0]
    )

    // A peer that does nothing wrong and then ends without close_notify has cut the stream.

    static let messages: [Fault] =
        ([2, 3, 5, 8, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 25, 67, 99, 254] as [UInt8])
        .map { type in
            Fault("a message of type \(type)") {
                try $0.record(.handshake, message(type, pattern(40)))
            }
        } + [
            Fault("a ClientHello", only(.tls12, .server, .truncated)) {
                try $0.record(.handshake, message(1, pattern(40)))
            },
            Fault("a HelloRequest", only(.tls12, .client, .truncated)) {
                try $0.record(.handshake, message(0, []))
            },
            Fault("a HelloRequest with content", only(.tls12, .client, .handshakeMessageTooLarge)) {
                try $0.record(.handshake, message(0, pattern(40)))
            },
            Fault("a ticket", only(.tls13, .client, .truncated)) {
                try $0.record(.handshake, ticket)
            },
            Fault("half a ticket in the form of a whole") {
                try $0.record(.handshake, message(4, [0, 0, 1, 0, 0, 0]))
            },
            Fault("a message of 16 MiB", only(.tls13, .client, .handshakeMessageTooLarge)) {
                try $0.record(.handshake, [4, 0xff, 0xff, 0xff] + pattern(4000))
            },
            Fault("a KeyUpdate of a kind that is not") {
                try $0.record(.handshake, message(24, [2]))
            },
            Fault("a KeyUpdate of two bytes", only(.tls13, nil, .handshakeMessageTooLarge)) {
                try $0.record(.handshake, message(24, [0, 0]))
            },
            Fault("a KeyUpdate with something behind it") {
                try $0.record(.handshake, message(24, [0]) + [24])
            },
            Fault("data within a message", by(tls12: .truncated, tls13: .protocolViolation)) {
                try $0.record(.handshake, [24, 0, 0]) + $0.record(.applicationData, [7])
            },
        ]

    static let records: [Fault] = [
        Fault("type 0", by(tls12: .protocolViolation, tls13: .badRecord)) {
            try $0.record(.init(rawValue: 0), [])
        },
        Fault("type 99", by(tls12: .protocolViolation, tls13: .badRecord)) {
            try $0.record(.init(rawValue: 99), pattern(10))
        },
        Fault("a change_cipher_spec", by(tls12: .protocolViolation, tls13: .badRecord)) {
            try $0.record(.changeCipherSpec, [1])
        },
        Fault("an empty handshake record", by(tls12: .truncated, tls13: .protocolViolation)) {
            try $0.record(.handshake, [])
        },
        Fault("an empty alert") { try $0.record(.alert, []) },
        Fault("an alert of one byte") { try $0.record(.alert, [2]) },
        Fault("an alert of three bytes") { try $0.record(.alert, [2, 40, 0]) },
        Fault("a fatal alert", .alertReceived) { try $0.record(.alert, [2, 40]) },
        Fault("a fatal close_notify", .alertReceived) { try $0.record(.alert, [2, 0]) },
        // TLS 1.3 does not look at the level.
        Fault(
            "an alert of no level",
            by(tls12: .protocolViolation, tls13: .alertReceived)
        ) { try $0.record(.alert, [7, 40]) },
        Fault("a warning", .truncated) { try $0.record(.alert, [1, 90]) },
        Fault("data of 16,384 bytes", .truncated) {
            try $0.record(.applicationData, pattern(16384), padding: 100)
        },
        Fault("data of 16,385 bytes", .recordOverflow) {
            try $0.record(.applicationData, pattern(16385))
        },
        Fault("padding to the limit", .truncated) {
            try $0.record(.applicationData, [7], padding: 16383)
        },
    ]

    @Test(
        "a message that must not be ends the connection by name",
        arguments: messages + records,
        Wire.secure
    )
    func message(fault: Fault, wire: Wire) async throws {
        for role in [TLSRole.client, .server] {
            let siege = try await Siege(victim: role, wire)
            try await siege.advance(to: .open)
            try await siege.attacker.write(try fault.make(siege.peer))
            try? await siege.attacker.shutdownWrite()
            let error = await siege.outcome()
            let expected = fault.expected(wire, role)
            #expect(error?.tls?.code == expected, "\(role): \(error.debugDescription)")
            #expect(error?.code == (expected == .truncated ? .truncated : .tlsFailed))
            #expect(error?.phase == .open)
            await siege.end()
        }
    }

    /// Messages that a peer may send, but not without end.
    struct Flood: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let wire: Wire
        let role: TLSRole
        /// The most that are taken.
        let limit: Int
        let code: TLSError.Code
        let make: Maker
    }

    private static let floods: [Flood] =
        [TLSRole.client, .server].flatMap { role in
            [
                Flood(
                    testDescription: "KeyUpdates to a \(role)",
                    wire: .tls13,
                    role: role,
                    limit: 64,
                    code: .tooManyPostHandshakeMessages
                ) { try $0.keyUpdate() },
                Flood(
                    testDescription: "KeyUpdates that ask a \(role) for one",
                    wire: .tls13,
                    role: role,
                    limit: 64,
                    code: .tooManyPostHandshakeMessages
                ) { try $0.keyUpdate(isAsking: true) },
                Flood(
                    testDescription: "empty records to a \(role)",
                    wire: .tls13,
                    role: role,
                    limit: 32,
                    code: .badRecord
                ) { try $0.record(.applicationData, []) },
                Flood(
                    testDescription: "empty records to a \(role), TLS 1.2",
                    wire: .tls12,
                    role: role,
                    limit: 32,
                    code: .badRecord
                ) { try $0.record(.applicationData, []) },
                Flood(
                    testDescription: "warnings to a \(role)",
                    wire: .tls12,
                    role: role,
                    limit: 4,
                    code: .protocolViolation
                ) { try $0.record(.alert, [1, 90]) },
                Flood(
                    testDescription: "requests to renegotiate to a \(role)",
                    wire: .tls12,
                    role: role,
                    limit: 64,
                    code: .tooManyPostHandshakeMessages
                ) {
                    let body = role == .server ? pattern(40) : []
                    return try $0.record(.handshake, message(role == .server ? 1 : 0, body))
                },
            ]
        } + [
            Flood(
                testDescription: "tickets",
                wire: .tls13,
                role: .client,
                limit: 64,
                code: .tooManyPostHandshakeMessages
            ) { try $0.record(.handshake, ticket) }
        ]

    @Test("a flood is taken up to its limit, and ends the connection there", arguments: floods)
    func flood(flood: Flood) async throws {
        let bystander = try await Bystander()
        for isOver in [false, true] {
            let siege = try await Siege(victim: flood.role, flood.wire)
            try await siege.advance(to: .open)
            for _ in 0..<flood.limit + (isOver ? 1 : 0) {
                try? await siege.attacker.write(try flood.make(siege.peer))
            }
            try await bystander.expectProgress()
            try? await siege.attacker.shutdownWrite()
            let error = await siege.outcome()
            #expect(error?.tls?.code == (isOver ? flood.code : .truncated))
            #expect(error?.phase == .open)
            let alert = siege.peer.alertReceived
            if isOver, flood.wire == .tls13 { #expect(alert == .unexpectedMessage) }
            await siege.end()
        }
    }

    @Test(
        "a byte of data between the messages of a flood changes nothing",
        arguments: floods.filter { $0.code == .tooManyPostHandshakeMessages }
    )
    func floodWithData(flood: Flood) async throws {
        let siege = try await Siege(victim: flood.role, flood.wire)
        try await siege.advance(to: .open)
        for _ in 0...flood.limit {
            try? await siege.attacker.write(
                try siege.peer.record(.applicationData, [7]) + flood.make(siege.peer)
            )
        }
        let error = await siege.outcome()
        #expect(error?.tls?.code == .tooManyPostHandshakeMessages)
        await siege.end()
    }

    @Test("a handshake has as many messages as the limit, and no more", arguments: [60, 61])
    func handshakeMessages(helloRequests: Int) async throws {
        let siege = try await Siege(victim: .client, .tls12)
        var flight: [UInt8] = []
        while flight.isEmpty {
            flight = try siege.peer.step(try #require(try await siege.attacker.read()))
        }
        // Behind the ServerHello; four messages are the server's own.
        let first = 5 + Int(flight[3]) << 8 + Int(flight[4])
        let requests = [UInt8](
            (0..<helloRequests).flatMap { _ in [22, 3, 3, 0, 4, 0, 0, 0, 0] as [UInt8] }
        )
        try await siege.attacker.write(Array(flight[..<first] + requests + flight[first...]))
        if helloRequests == 60 {
            try await siege.handshake()
            #expect(siege.victim?.info != nil)
        } else {
            let error = await siege.outcome()
            #expect(error?.tls?.code == .protocolViolation)
            #expect(error?.phase == .finished)
            #expect(siege.peer.alertReceived == .unexpectedMessage)
        }
        await siege.end()
    }

    @Test("HelloRequests in the handshake, which count for nothing, are not taken for ever")
    func helloRequests() async throws {
        let bystander = try await Bystander()
        let siege = try await Siege(victim: .client, .tls12)
        try await siege.advance(to: .shaking)
        let flood = [UInt8]((0..<10_000).flatMap { _ in [22, 3, 3, 0, 4, 0, 0, 0, 0] as [UInt8] })
        let attacker = siege.attacker
        let attack = Task { while (try? await attacker.write(flood)) != nil {} }
        try await bystander.expectProgress()
        let error = await siege.outcome()
        #expect(error?.code == .handshakeFailed)
        #expect(error?.tls?.code == .protocolViolation)
        #expect(error?.phase == .certificate)
        await attack.value
        await siege.end()
    }
}
