// How many connections are open at once, and how many are opened in a second.

/// Spaces what is started.
struct Pacer: Sendable {
    /// How many may run at once.
    var jobs: Int
    private let burst: Int
    private let interval: Duration
    private var next: ContinuousClock.Instant?

    /// Makes a pacer.
    ///
    /// - Parameters:
    ///   - jobs: How many may run at once.
    ///   - rate: How many may start in a second; nil is no limit.
    ///   - burst: How many may start at once after a pause, and at first; nil is `jobs`.
    init(jobs: Int, rate: Double?, burst: Int? = nil) {
        self.jobs = max(1, jobs)
        self.burst = max(1, burst ?? jobs)
        interval = rate.map { .seconds(1 / max($0, 0.01)) } ?? .zero
    }

    /// Waits until one more may start.
    mutating func wait() async {
        guard interval > .zero else { return }
        let clock = ContinuousClock()
        let (start, now) = (turn(clock), clock.now)
        next = start + interval
        if start > now { try? await clock.sleep(until: start) }
    }

    /// Whether one more may start now, which then counts as started.
    mutating func mayStart() -> Bool {
        guard interval > .zero else { return true }
        let clock = ContinuousClock()
        let start = turn(clock)
        guard start <= clock.now else { return false }
        next = start + interval
        return true
    }

    private func turn(_ clock: ContinuousClock) -> ContinuousClock.Instant {
        let earliest = clock.now - interval * (burst - 1)
        return max(next ?? earliest, earliest)
    }

    /// Does something with each input, at most ``jobs`` at once.
    ///
    /// - Parameters:
    ///   - inputs: What to do it with.
    ///   - work: What to do.
    ///   - tell: Is given each result as it comes, with the input's place.
    /// - Returns: The results in the order of the inputs.
    mutating func each<Input: Sendable, Output: Sendable>(
        _ inputs: [Input],
        _ work: @escaping @Sendable (Input) async -> Output,
        tell: (Int, Output) -> Void = { _, _ in }
    ) async -> [Output] {
        var results = [Output?](repeating: nil, count: inputs.count)
        await withTaskGroup(of: (Int, Output).self) { group in
            var running = 0
            for (place, input) in inputs.enumerated() {
                if running == jobs, let (place, result) = await group.next() {
                    results[place] = result
                    tell(place, result)
                    running -= 1
                }
                await wait()
                group.addTask { (place, await work(input)) }
                running += 1
            }
            for await (place, result) in group {
                results[place] = result
                tell(place, result)
            }
        }
        return results.compactMap(\.self)
    }
}
