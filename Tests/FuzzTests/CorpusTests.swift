// The fuzzers' corpora and the inputs that once failed, run again by the functions that the fuzzers
// run. In processes of their own: OpenSSL's randomness is replaced there for good.

import Foundation
import FuzzTargets
import Testing

@Suite(.timeLimit(.minutes(1))) struct CorpusTests {
    private static let fuzzing = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Fuzzing")

    /// The inputs of one kind for a target, by name.
    private static func inputs(_ kind: String, _ target: FuzzTarget) throws -> [String: [UInt8]] {
        let folder = fuzzing.appending(path: "\(kind)/\(target.rawValue)")
        let manager = FileManager.default
        guard manager.fileExists(atPath: folder.path) else { return [:] }
        var inputs: [String: [UInt8]] = [:]
        for name in try manager.contentsOfDirectory(atPath: folder.path) {
            inputs[name] = Array(try Data(contentsOf: folder.appending(path: name)))
        }
        return inputs
    }

    @Test("no input of a corpus breaks a law of its target", arguments: FuzzTarget.allCases)
    func corpus(target: FuzzTarget) async throws {
        try #require(!CorpusTests.inputs("Corpus", target).isEmpty)
        await #expect(processExitsWith: .success) { [target] in
            FuzzTarget.prepare()
            for (_, input) in try CorpusTests.inputs("Corpus", target) { try target.run(input) }
        }
    }

    @Test("what a fuzzer once found stays mended", arguments: FuzzTarget.allCases)
    func findings(target: FuzzTarget) async throws {
        await #expect(processExitsWith: .success) { [target] in
            FuzzTarget.prepare()
            for (_, input) in try CorpusTests.inputs("Findings", target) { try target.run(input) }
        }
    }

    @Test("the seeds of every target pass", arguments: FuzzTarget.allCases)
    func seeds(target: FuzzTarget) async {
        await #expect(processExitsWith: .success) { [target] in
            FuzzTarget.prepare()
            let seeds = try target.seeds()
            try #require(!seeds.isEmpty)
            for (_, input) in seeds { try target.run(input) }
        }
    }
}
