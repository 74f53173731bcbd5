// The line of handshakes by itself, on a loop that is pressed for as long as a test wants.

import SocketCore
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct HandshakeGateTests {
    /// Has a step cost an hour, as when the process was stopped in it, on a loop with too many handshakes
    /// and others that are busy; all within one turn, or time would pay for it.
    ///
    /// - Parameters:
    ///   - group: Whose loop it is.
    ///   - queueTime: How long one stands in line.
    ///   - body: Runs before on the loop.
    /// - Returns: The gate, how long newcomers have to rest, and what the closure gave.
    private func chargeAnHour<Result: Sendable>(
        _ group: EventLoopGroup,
        queueTime: Duration,
        _ body: @escaping @Sendable (HandshakeGate) -> Result
    ) async -> (gate: HandshakeGate, rest: Duration?, result: Result) {
        let loop = group.next()
        var policy = AdmissionPolicy()
        policy.queueTime = queueTime
        let gate = HandshakeGate(loop: loop, counts: HandshakeCounts(policy), policy: policy)
        return await withCheckedContinuation { continuation in
            loop.execute {
                let result = body(gate)
                loop.pressedUntil = .distantFuture
                loop.seniorActivity = .distantFuture
                // From here on it is reckoned.
                _ = gate.restOfNewcomers()
                gate.charge(.seconds(3600))
                continuation.resume(returning: (gate, gate.restOfNewcomers(), result))
            }
        }
    }

    @Test("newcomers rest no longer than a place in the line lasts, whatever a step has cost")
    func rest() async throws {
        let group = EventLoopGroup(loopCount: 1)
        let charged = await chargeAnHour(group, queueTime: .seconds(600)) { _ in }
        let rest = try #require(charged.rest)
        #expect(rest <= .seconds(600) + .nanoseconds(1))
        await group.shutdown()
    }

    @Test("who stands in line while newcomers rest is turned away in time")
    func queueTime() async throws {
        let group = EventLoopGroup(loopCount: 1)
        let charged = await chargeAnHour(group, queueTime: .milliseconds(20)) { $0.stand() }
        #expect(await charged.gate.wait(charged.result) == .refused)
        #expect(charged.gate.lineCount == 0)
        await group.shutdown()
    }
}
