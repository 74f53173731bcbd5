// The line of handshakes by itself, on a loop that is pressed for as long as a test wants.

import SocketCore
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct HandshakeGateTests {
    /// A loop with too many handshakes, on which others are busy too, and a step that took a minute, as
    /// when the process was stopped in it.
    private func withPressedGate(
        queueTime: Duration,
        _ body: (HandshakeGate) async throws -> Void
    ) async throws {
        let group = EventLoopGroup(loopCount: 1)
        let loop = group.next()
        var policy = AdmissionPolicy()
        policy.queueTime = queueTime
        let gate = HandshakeGate(loop: loop, counts: HandshakeCounts(policy), policy: policy)
        await withCheckedContinuation { continuation in
            loop.execute {
                loop.pressedUntil = .distantFuture
                loop.seniorActivity = .distantFuture
                // From here on it is reckoned.
                _ = gate.restOfNewcomers()
                gate.charge(.seconds(60))
                continuation.resume()
            }
        }
        try await body(gate)
        await group.shutdown()
    }

    @Test("newcomers rest no longer than a place in the line lasts, whatever a step has cost")
    func rest() async throws {
        let queueTime = Duration.seconds(3)
        try await withPressedGate(queueTime: queueTime) { gate in
            let told = await withCheckedContinuation { continuation in
                gate.loop.execute { continuation.resume(returning: gate.restOfNewcomers()) }
            }
            let rest = try #require(told)
            #expect(rest <= queueTime + .nanoseconds(1))
        }
    }

    @Test("who stands in line while newcomers rest is turned away in time")
    func queueTime() async throws {
        try await withPressedGate(queueTime: .milliseconds(20)) { gate in
            let place = gate.stand()
            #expect(await gate.wait(place) == .refused)
            #expect(gate.lineCount == 0)
        }
    }
}
