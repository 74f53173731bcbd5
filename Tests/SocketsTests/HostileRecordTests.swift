// Records that no peer should send, unprotected, at each stage and towards both roles: each ends the
// victim with its own code and phase, the peer is told why, and the loop goes on.

import SocketCore
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct HostileRecordTests {
    /// What a peer sends, and what comes of it at each stage.
    ///
    /// Two codes: one version, or one role, has protected records or has read a ClientHello, and the
    /// other has not.
    struct Fault: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let silent: Set<TLSError.Code>
        let shaking: Set<TLSError.Code>
        let open: Set<TLSError.Code>

        init(
            _ name: String,
            _ bytes: [UInt8],
            silent: Set<TLSError.Code> = [.protocolViolation],
            shaking: Set<TLSError.Code> = [.protocolViolation, .badRecord],
            open: Set<TLSError.Code> = [.badRecord]
        ) {
            testDescription = name
            self.bytes = bytes
            self.silent = silent
            self.shaking = shaking
            self.open = open
        }

        func codes(_ stage: SiegeStage) -> Set<TLSError.Code> {
            switch stage {
            case .silent: silent
            case .shaking: shaking
            case .open: open
            }
        }
    }

    /// So many copies of some bytes.
    private static func many(_ count: Int, _ bytes: [UInt8]) -> [UInt8] {
        (0..<count).flatMap { _ in bytes }
    }

    static let foreign: [Fault] = [
        ("HTTP", Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)),
        ("noise", (0..<400).map { UInt8(truncatingIfNeeded: $0 &* 167 ^ 0xa5) }),
        ("zeros", [UInt8](repeating: 0, count: 400)),
        ("a record of version 5.0", [22, 5, 0, 0, 50] + pattern(50)),
    ]
    .map { Fault($0.0, $0.1, silent: [.notTLS], shaking: [.badRecord]) }

    static let misplaced: [Fault] = [
        Fault("40 empty data records", many(40, [23, 3, 3, 0, 0])),
        // OpenSSL 3.5 has a reason of its own for them.
        Fault(
            "40 change_cipher_specs",
            many(40, [20, 3, 3, 0, 1, 1]),
            open: [.badRecord, .protocolViolation]
        ),
        Fault("10 warnings", many(10, [21, 3, 3, 0, 2, 1, 90])),
        Fault("a record of version 3.9", [22, 3, 9, 0, 50] + pattern(50)),
        Fault("a record of type 99", [99, 3, 3, 0, 50] + pattern(50)),
        Fault("a heartbeat", [24, 3, 3, 0, 3, 1, 0x40, 0]),
        Fault("a Finished", [22, 3, 3, 0, 36, 20, 0, 0, 32] + pattern(32)),
        Fault("a message of type 77", [22, 3, 3, 0, 36, 77, 0, 0, 32] + pattern(32)),
        Fault("data without keys", [23, 3, 3, 0, 40] + pattern(40)),
        Fault(
            "an alert of no level",
            [21, 3, 3, 0, 2, 7, 7],
            shaking: [.protocolViolation, .badRecord, .alertReceived]
        ),
        Fault("an alert of one byte", [21, 3, 3, 0, 1, 2]),
        Fault(
            "a fatal alert",
            [21, 3, 3, 0, 2, 2, 40],
            silent: [.alertReceived, .protocolViolation],
            shaking: [.alertReceived]
        ),
        Fault(
            "close_notify",
            [21, 3, 3, 0, 2, 1, 0],
            silent: [.closedDuringHandshake, .protocolViolation],
            shaking: [.closedDuringHandshake, .badRecord]
        ),
        Fault(
            "an SSL 2 hello",
            [0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10] + pattern(40),
            silent: [.notTLS, .protocolViolation],
            shaking: [.badRecord]
        ),
    ]

    static let sizes: [Fault] = [
        Fault(
            "one empty handshake record, and the end",
            [22, 3, 3, 0, 0],
            silent: [.closedDuringHandshake],
            shaking: [.closedDuringHandshake, .badRecord]
        ),
        Fault(
            "40 empty handshake records",
            many(40, [22, 3, 3, 0, 0]),
            silent: [.badRecord],
            shaking: [.badRecord]
        ),
        Fault(
            "a record of 16,641 bytes",
            [23, 3, 3, 0x41, 0x01] + pattern(16641),
            silent: [.recordOverflow],
            shaking: [.recordOverflow],
            // TLS 1.2 lets a record grow by 2,048 bytes.
            open: [.recordOverflow, .badRecord]
        ),
        Fault(
            "a handshake record of 16,641 bytes",
            [22, 3, 3, 0x41, 0x01] + pattern(16641),
            silent: [.recordOverflow],
            shaking: [.recordOverflow, .badRecord]
        ),
        Fault(
            "a record of 65,535 bytes",
            [23, 3, 3, 0xff, 0xff] + pattern(400),
            silent: [.recordOverflow],
            shaking: [.recordOverflow],
            open: [.recordOverflow]
        ),
        Fault(
            "a message of 16 MiB",
            [22, 3, 3, 0, 54, 1, 0xff, 0xff, 0xff] + pattern(50),
            silent: [.clientHelloTooLarge, .protocolViolation]
        ),
    ]

    @Test(
        "a record that must not be ends the connection by name, at every stage",
        arguments: foreign + misplaced + sizes,
        Wire.secure
    )
    func record(fault: Fault, wire: Wire) async throws {
        let bystander = try await Bystander()
        for role in [TLSRole.client, .server] {
            for stage in SiegeStage.allCases {
                let siege = try await Siege(victim: role, wire)
                try await siege.advance(to: stage)
                try await siege.attacker.write(fault.bytes)
                try await bystander.expectProgress()
                try? await siege.attacker.shutdownWrite()
                let error = await siege.outcome()
                let place = "\(role), \(stage): \(error.debugDescription)"
                let code = try #require(error?.tls?.code, "\(place)")
                #expect(fault.codes(stage).contains(code), "\(place)")
                #expect(error?.code == (stage == .open ? .tlsFailed : .handshakeFailed), "\(place)")
                #expect(error?.phase == siege.phase(at: stage), "\(place)")
                if stage == .open {
                    #expect(siege.peer.alertReceived?.level == .fatal, "\(place)")
                }
                await siege.end()
            }
        }
    }
}
