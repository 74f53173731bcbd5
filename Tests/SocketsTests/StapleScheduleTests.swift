// When a source of staples is asked next.

import Testing

@testable import Sockets
@testable import TLSEngine

@Suite struct StapleScheduleTests {
    private let now = UnixTime(seconds: 1_000_000)

    /// The pauses after responses that are good for so many seconds more; nil is a failure.
    private func pauses(_ lives: [Int64?]) -> [Duration] {
        var schedule = StapleSchedule(OCSPStapleSource { _ in [] })
        return lives.map { life in
            guard let life else { return schedule.pauseAfterFailure() }
            let staple = OCSPStaple(
                der: [],
                status: .good,
                producedAt: now,
                thisUpdate: now,
                nextUpdate: UnixTime(seconds: now.seconds + life),
                delegate: nil
            )
            return schedule.pause(after: staple, now: now)
        }
    }

    @Test("half of what is left passes, and pauses after failures grow until a response comes")
    func pauses() {
        #expect(pauses([7200, 90, 1]) == [.seconds(3600), .seconds(60), .seconds(1)])
        #expect(pauses([nil, nil, 7200, nil]).map { $0 / .seconds(60) } == [1, 2, 60, 1])
    }

    @Test("a response that is over by now counts as a failure, however often it is repeated")
    func stale() {
        let found = pauses([0, -1, -200, 7200, 0])
        #expect(found.map { $0 / .seconds(60) } == [1, 2, 4, 60, 1])
    }
}
