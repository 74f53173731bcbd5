// The suite around all rows: it counts them, and says at the end how many ran against which program.
//
// A row is one connection, or one refusal, with one program of others. New programs are one file
// each: a type that conforms to `ForeignServer` or `ForeignClient`, and a suite that runs the table
// of `HandshakeRow` against it, beside rows that only this program can run.
//
// Rows that end well are counted, and what a whole run counted must be what InteropTable says.
//
// The suite of a program is serialized: each row starts a process, and more of them at once than there
// are suites would only wait for processors, with every deadline running.

import Foundation
import Synchronization
import Testing

/// Everything that is shown against programs of others.
@Suite(.tallied, .timeLimit(.minutes(1)))
enum InteropTests {}

/// How many rows ran against whom.
final class RowTally: Sendable {
    static let shared = RowTally()

    private let counts = Mutex<[InteropCell: Int]>([:])

    /// Counts a row.
    ///
    /// - Parameters:
    ///   - peer: The program it ran against.
    ///   - side: Which side was ours.
    ///   - feature: What was shown.
    static func count(_ peer: String, _ side: Side, _ feature: InteropFeature) {
        let cell = InteropCell(peer: peer, side: side, feature: feature)
        shared.counts.withLock { $0[cell, default: 0] += 1 }
    }

    /// Where a run of everything had other rows than the table; nothing for a run of some.
    var differences: [String] {
        let counts = counts.withLock { $0 }
        let table = InteropLine.all.reduce(into: [InteropCell: Int]()) { table, line in
            for (feature, count) in line.counts {
                let cell = InteropCell(peer: line.peer, side: line.side, feature: feature)
                table[cell] = count
            }
        }
        // Each program has rows of this kind, or only of STARTTLS.
        let isWhole = InteropLine.all.allSatisfy { line in
            let feature = line.counts[.negotiation] == nil ? InteropFeature.upgrade : .negotiation
            let cell = InteropCell(peer: line.peer, side: line.side, feature: feature)
            return counts[cell] != nil
        }
        guard isWhole else { return [] }
        return Set(table.keys).union(counts.keys).filter { table[$0] != counts[$0] }
            .map { "\($0): \(counts[$0] ?? 0) rows ran, \(table[$0] ?? 0) are in the table" }
            .sorted()
    }

    /// One line, for example `interop: curl 12 rows, nginx 8 rows`.
    var summary: String {
        let counts = counts.withLock {
            Dictionary($0.map { ($0.key.peer, $0.value) }, uniquingKeysWith: +)
        }
        .sorted { $0.key < $1.key }
        guard !counts.isEmpty else { return "interop: no row ran" }
        return "interop: " + counts.map { "\($0.key) \($0.value) rows" }.joined(separator: ", ")
    }
}

/// Prints the tally when the last test of a suite has ended.
struct TallyTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await function()
        // Where the runner writes, so that it comes before the runner's own summary.
        FileHandle.standardError.write(Data((RowTally.shared.summary + "\n").utf8))
        for difference in RowTally.shared.differences { Issue.record("\(difference)") }
    }
}

extension Trait where Self == TallyTrait {
    static var tallied: Self { TallyTrait() }
}
