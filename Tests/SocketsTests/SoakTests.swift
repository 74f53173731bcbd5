// Thousands of connections, each ended by one of many faults, in waves: behind every wave the process
// has as many descriptors and as much memory as before.
//
// `swift test` opens 5,000; `Scripts/soak.sh` as many as it is told, 100,000 unless told otherwise,
// through the variables read here.

import Foundation
import Testing

@testable import Sockets

/// How long a soak is.
struct SoakPlan: Sendable {
    let waves: Int
    let connectionsPerWave: Int
    /// Bytes lost on purpose at every connection, to see that it shows.
    let leak: Int
    /// How connections end.
    let faults: [SoakFault]

    static let current = SoakPlan()

    private init() {
        let variables = ProcessInfo.processInfo.environment
        let count = variables["SOCKETS_SOAK_CONNECTIONS"].flatMap(Int.init) ?? 5000
        connectionsPerWave = count >= 20_000 ? 2000 : 500
        waves = count / connectionsPerWave
        leak = variables["SOCKETS_SOAK_LEAK"].flatMap(Int.init) ?? 0
        let fault = variables["SOCKETS_SOAK_FAULT"].flatMap(SoakFault.init)
        faults = fault.map { [$0] } ?? SoakFault.allCases
    }

    var minutes: Int { max(1, waves * connectionsPerWave / 5000) }
}

@Suite(.timeLimit(.minutes(SoakPlan.current.minutes))) struct SoakTests {
    @Test("connections of every ending leave no descriptor and no memory behind, wave after wave")
    func waves() async throws {
        try #require(SoakGauge.isPrepared)
        // In a process of its own: others open descriptors and take memory at the same time.
        await #expect(processExitsWith: .success) {
            let plan = SoakPlan.current
            let soak = try await Soak(plan.faults, leak: plan.leak)
            var gauge = SoakGauge(connectionsPerWave: plan.connectionsPerWave)
            for wave in 0..<plan.waves {
                try await soak.run(wave: wave, connections: plan.connectionsPerWave)
                gauge.measure(soak.residue)
            }
            SoakGauge.report(gauge.table)
            for problem in gauge.problems { Issue.record("\(problem)") }
        }
    }

    @Test("a leak of 64 bytes a connection shows in the gauge, and one of nothing does not")
    func sensitivity() {
        for (leak, shows) in [(0, false), (64, true), (200, true)] {
            for waves in [10, 50] {
                for threadFrom in [0, 3, 5, waves] {
                    let problems = problems(waves: waves, leak: leak, threadFrom: threadFrom)
                    #expect(
                        problems.isEmpty == !shows,
                        "\(leak) bytes, \(waves) waves, a thread in wave \(threadFrom)"
                    )
                }
            }
        }
        // One that comes in every third wave shows in a long soak.
        #expect(problems(waves: 50, leak: 64, leaksEvery: 3).count == 1)
        #expect(problems(waves: 10, descriptorFrom: 9).count == 1)
    }

    /// What the gauge says of a process where something happens from a wave on.
    private func problems(
        waves: Int,
        leak: Int = 0,
        leaksEvery: Int = 1,
        threadFrom: Int = .max,
        descriptorFrom: Int = .max
    ) -> [String] {
        let perWave = waves == 10 ? 500 : 2000
        var gauge = SoakGauge(connectionsPerWave: perWave)
        for wave in 0..<waves {
            // The allocator's own noise: what threads keep for themselves.
            let noise = [0, 9000, 4000, 12_000, 2000][wave % 5]
            // What the lists of one more thread take, as it was seen.
            let lists = [0, 41_000, 82_000, 117_000, 126_000]
            let thread = lists[min(max(0, wave - threadFrom), lists.count - 1)]
            let used = 3_000_000 + noise + thread + wave / leaksEvery * perWave * leak
            gauge.add(
                SoakGauge.Sample(
                    descriptors: wave < descriptorFrom ? 20 : 21,
                    inUse: used,
                    resident: 9_000_000,
                    residue: ""
                )
            )
        }
        return gauge.problems
    }
}
