// A program of ours in a language of others, which speaks TLS with that language's own library: see
// Peers/README.md for what it is told and what it tells.
//
// It is started once for a suite, by the trait `.peers`, and does one connection a command. So a row
// costs no start of a virtual machine, and nothing is left when the suite is over.

import Foundation
import Sockets
import Synchronization
import TLSTestKit
import Testing

/// Where the peers' sources are: beside this file.
let peersDirectory =
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Peers"

/// A language with a TLS library.
enum ScriptedLanguage: String, Sendable, CaseIterable {
    case node = "Node"
    case python = "Python"
    case java = "Java"

    var program: ForeignProgram {
        switch self {
        case .node: .node
        case .python: .python
        case .java: .java
        }
    }

    /// Those that are installed; all where an absent one is a failure.
    static let tested = allCases.filter { $0.program.path != nil || ForeignProgram.isRequired }

    /// The program's source, beside this file.
    var source: String {
        let file =
            switch self {
            case .node: "peer.js"
            case .python: "peer.py"
            case .java: "Peer.java"
            }
        return peersDirectory + "/" + file
    }
}

/// A line that a peer reports.
struct PeerReport: Decodable, Sendable {
    enum Event: String, Decodable, Sendable { case started, listening, ready, done, failed }

    var id: Int?
    var event: Event
    var port: UInt16?
    var version: String?
    var cipher: String?
    var alpn: String?
    var servername: String?
    var client: String?
    /// Node alone tells it.
    var resumed: Bool?
    /// The stapled OCSP response in base64.
    var staple: String?
    /// Keying material in hexadecimal, by Node.
    var exported: String?
    /// The binding tls-unique in base64, by Python.
    var unique: String?
    var bytes: Int?
    var sha256: String?
    var head: String?
    var end: String?
    var error: String?
}

/// One running peer.
final class ScriptedPeer: Sendable {
    let language: ScriptedLanguage
    private let process: ForeignProcess
    private let reports = Mutex(Reports())
    private let lastNumber = Mutex(0)

    private struct Reports {
        /// Bytes of the peer's output that were read.
        var parsed = 0
        var lines: [Int: [PeerReport]] = [:]
        var hasStarted = false

        mutating func read(_ output: [UInt8]) {
            while let end = output[parsed...].firstIndex(of: 10) {
                let line = Data(output[parsed..<end])
                parsed = end + 1
                guard let report = try? JSONDecoder().decode(PeerReport.self, from: line) else {
                    continue
                }
                if report.event == .started { hasStarted = true }
                if let id = report.id { lines[id, default: []].append(report) }
            }
        }
    }

    /// The peers of the suite that runs.
    @TaskLocal static var current: [ScriptedLanguage: ScriptedPeer] = [:]

    private init(_ language: ScriptedLanguage, _ process: ForeignProcess) {
        self.language = language
        self.process = process
    }

    /// Runs a peer until the closure returns.
    static func run(
        _ language: ScriptedLanguage,
        _ body: (ScriptedPeer) async throws -> Void
    ) async throws {
        try await ForeignProcess.run(language.program, [language.source], deadline: 240) {
            process in
            let peer = ScriptedPeer(language, process)
            try await process.wait(for: "it had started") { state in
                peer.reports.withLock { reports in
                    reports.read(state.standardOutput)
                    return reports.hasStarted ? () : nil
                }
            }
            try await body(peer)
        }
    }

    /// Tells it to take or make one connection.
    func begin(_ command: [String: String]) async throws -> PeerTurn {
        let id = lastNumber.withLock { number in
            number += 1
            return number
        }
        let fields = ["id=\(id)"] + command.map { "\($0)=\($1)" }
        try await process.write(fields.joined(separator: "\t") + "\n")
        return PeerTurn(peer: self, id: id)
    }

    fileprivate func report(
        _ id: Int,
        _ events: Set<PeerReport.Event>
    ) async throws -> PeerReport {
        try await process.wait(for: "it reported \(events) of \(id)") { state in
            reports.withLock { reports in
                reports.read(state.standardOutput)
                return reports.lines[id]?.first { events.contains($0.event) }
            }
        }
    }
}

/// One connection of a peer.
struct PeerTurn: Sendable {
    fileprivate let peer: ScriptedPeer
    fileprivate let id: Int

    /// Waits for a report.
    ///
    /// - Throws: ``ForeignFailure`` when the connection failed instead.
    func report(_ event: PeerReport.Event) async throws -> PeerReport {
        let report = try await peer.report(id, [event, .failed])
        guard report.event == event else {
            throw ForeignFailure(
                description:
                    "\(peer.language.rawValue) failed before \(event): \(report.error ?? "")"
            )
        }
        return report
    }

    /// Waits for the end, good or bad.
    func end() async throws -> PeerReport {
        try await peer.report(id, [.done, .failed])
    }
}

/// Runs the peers of a suite around its tests.
struct ScriptedPeersTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        try await run(ScriptedLanguage.tested[...], function)
    }

    /// Starts one after the other, and calls the function when all have started.
    private func run(
        _ languages: ArraySlice<ScriptedLanguage>,
        _ function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        guard let language = languages.first else { return try await function() }
        try await ScriptedPeer.run(language) { peer in
            var peers = ScriptedPeer.current
            peers[language] = peer
            try await ScriptedPeer.$current.withValue(peers) {
                try await run(languages.dropFirst(), function)
            }
        }
    }
}

extension Trait where Self == ScriptedPeersTrait {
    /// Starts all peers for the length of the suite, where ``ScriptedPeer/current`` has them.
    static var peers: Self { ScriptedPeersTrait() }
}
