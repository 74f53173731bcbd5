// What takes longer than a second is told while it goes on, on standard error and only to somebody who
// watches it.

import Tooling

/// Tells how far a command has come, once a second at most.
final class Progress {
    private let note: @Sendable (String) -> Void
    private let clock = ContinuousClock()
    private var next: ContinuousClock.Instant

    /// Begins to count the first second.
    init(_ surroundings: ToolSurroundings) {
        note = surroundings.note
        next = clock.now + .seconds(1)
    }

    /// Tells something, if a second has passed.
    func tell(_ text: @autoclosure () -> String) {
        guard clock.now >= next else { return }
        next = clock.now + .seconds(1)
        note("tlsinspect: \(text())\n")
    }
}
