// The right messages of a handshake under the right keys, in the wrong order: one left out, one sent
// twice, two exchanged, at every place of both sides' flights. Each ends the victim by name, in the phase
// it stands in.

import SocketCore
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct HostileOrderTests {
    /// What is wrong with a flight.
    enum Disorder: String, CaseIterable, Sendable {
        case omitted, doubled, exchanged

        /// The flight with something wrong at a place; nil where the place has none.
        func apply(_ parts: [[UInt8]], at place: Int) -> [[UInt8]]? {
            var parts = parts
            switch self {
            case .omitted:
                guard place < parts.count else { return nil }
                parts.remove(at: place)
            case .doubled:
                guard place < parts.count else { return nil }
                parts.insert(parts[place], at: place)
            case .exchanged:
                guard place + 1 < parts.count else { return nil }
                parts.swapAt(place, place + 1)
            }
            return parts
        }
    }

    /// Where a client stands in its server's flight, and a server in its client's.
    private static let client: [HandshakePhase] = [
        .serverHello, .certificate, .keyExchange, .finished,
    ]
    private static let server: [HandshakePhase] = [.keyExchange, .clientAuthentication]

    /// What comes of a flight that is out of order at a place.
    private static func outcome(
        _ wire: Wire,
        _ role: TLSRole,
        _ disorder: Disorder,
        at place: Int,
        of count: Int
    ) -> TLSError.Code {
        switch disorder {
        // The last is not missed until the stream ends.
        case .omitted where place == count - 1: .closedDuringHandshake
        // A Finished changes the keys, so a second one is under wrong ones; and so is what stands in
        // clear behind the change_cipher_spec of TLS 1.2.
        case .doubled where isFinished(wire, role, place, of: count): .badRecord
        case .doubled where wire == .tls12 && role == .server && place == count - 2: .badRecord
        default: .protocolViolation
        }
    }

    /// Whether the message at a place is the last of a flight that ends with Finished.
    private static func isFinished(
        _ wire: Wire,
        _ role: TLSRole,
        _ place: Int,
        of count: Int
    ) -> Bool {
        place == count - 1 && (wire == .tls13 || role == .server)
    }

    /// Tries a disorder at a place.
    ///
    /// - Returns: Whether there is such a place.
    private func attempt(
        _ disorder: Disorder,
        at place: Int,
        _ wire: Wire,
        _ role: TLSRole
    ) async throws -> Bool {
        let siege = try await Siege(victim: role, wire, authenticatesClient: true)
        if role == .server { try await siege.attacker.write(try siege.peer.step([])) }
        var count = 0
        var hasPlace = true
        siege.peer.arrange = { parts in
            count = parts.count
            let changed = disorder.apply(parts, at: place)
            hasPlace = changed != nil
            return changed ?? parts
        }
        var flight: [UInt8] = []
        while flight.isEmpty {
            flight = try siege.peer.step(try #require(try await siege.attacker.read()))
        }
        siege.peer.arrange = nil
        if hasPlace {
            try await siege.attacker.write(flight)
            try? await siege.attacker.shutdownWrite()
            let error = await siege.outcome()
            let row = "\(disorder) \(place) of \(count): \(error.debugDescription)"
            let code = HostileOrderTests.outcome(wire, role, disorder, at: place, of: count)
            #expect(error?.tls?.code == code, "\(row)")
            let isLate =
                disorder == .doubled
                && HostileOrderTests.isFinished(wire, role, place, of: count)
            #expect(error?.code == (isLate ? .tlsFailed : .handshakeFailed), "\(row)")
            let phase = try #require(error?.phase, "\(row)")
            let phases = role == .client ? HostileOrderTests.client : HostileOrderTests.server
            #expect(isLate ? phase == .open : phases.contains(phase), "\(row)")
        }
        await siege.end()
        return hasPlace
    }

    @Test(
        "messages out of order end the handshake by name, wherever they are",
        arguments: Wire.secure,
        [TLSRole.client, .server]
    )
    func order(wire: Wire, role: TLSRole) async throws {
        let bystander = try await Bystander()
        for disorder in Disorder.allCases {
            var place = 0
            while try await attempt(disorder, at: place, wire, role) {
                try await bystander.expectProgress()
                place += 1
            }
            // Certificate, CertificateVerify and Finished at least.
            #expect(place >= (disorder == .exchanged ? 2 : 3))
        }
    }
}
