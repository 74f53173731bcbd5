// The line of handshakes by itself, on a loop that is as busy as a test wants.

import SocketCore
import Synchronization
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

    /// What the loop's others did, as seen by a newcomer.
    enum Others: CaseIterable, CustomTestStringConvertible {
        case neverThere, goneForLong, busy, inNeed

        var testDescription: String { "\(self)" }

        func set(_ loop: EventLoop) {
            let now = loop.now.nanoseconds
            switch self {
            case .neverThere: loop.seniorActivity = LoopInstant(nanoseconds: 0)
            case .goneForLong:
                loop.seniorActivity = LoopInstant(nanoseconds: now - HandshakeGate.absence)
            case .busy:
                loop.seniorActivity = LoopInstant(nanoseconds: now - HandshakeGate.absence + 1)
            case .inNeed: loop.pressedUntil = .distantFuture
            }
        }

        var steps: Int {
            switch self {
            case .neverThere, .goneForLong: 16
            case .busy: 4
            case .inNeed: 1
            }
        }
    }

    @Test("a turn has as many handshakes as its others leave room for", arguments: Others.allCases)
    func steps(_ others: Others) async {
        let group = EventLoopGroup(loopCount: 1)
        let loop = group.next()
        let policy = AdmissionPolicy()
        let gate = HandshakeGate(loop: loop, counts: HandshakeCounts(policy), policy: policy)
        let entered = await withCheckedContinuation { continuation in
            loop.execute {
                others.set(loop)
                continuation.resume(returning: (0..<40).count { _ in gate.tryEnter() })
            }
        }
        #expect(entered == others.steps)
        await group.shutdown()
    }

    @Test("others are those who have been there for a second, when something comes for them")
    func seniority() async throws {
        let group = EventLoopGroup(loopCount: 1)
        let pair = try await Pair(.tcp) { _ in
        } server: {
            $0.group = group
        }
        let (connection, loop) = (pair.server.connection, group.loops[0])
        func activity() async -> UInt64 {
            await withCheckedContinuation { continuation in
                loop.execute { continuation.resume(returning: loop.seniorActivity.nanoseconds) }
            }
        }
        func exchange() async throws {
            async let bytes = pair.server.read()
            try await pair.client.write([1])
            #expect(try await bytes == [1])
        }
        let second: UInt64 = 1_000_000_000
        let began = EventLoop.readClock().nanoseconds
        // Later than now, since a busy machine may take more than a second until the exchange.
        connection.state.withLock { s in
            #expect(s.establishedAt.nanoseconds > 0 && s.establishedAt.nanoseconds <= began)
            s.establishedAt = LoopInstant(nanoseconds: began + 3_600 * second)
        }
        try await exchange()
        #expect(await activity() == 0)
        connection.state.withLock { $0.establishedAt = LoopInstant(nanoseconds: began - second) }
        try await exchange()
        // The loop hears of it, though maybe behind the reader.
        while await activity() < began {}
        try await pair.client.close()
        await group.shutdown()
    }
}
