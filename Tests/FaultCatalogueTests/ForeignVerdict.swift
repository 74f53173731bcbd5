// What other programs make of a fault: `openssl verify`, `openssl s_client`, curl and gnutls-cli, each
// as strict as its options allow.

import Foundation
import Sockets
import TLSEngine
import TLSTestKit
import Testing

/// A program that judges certificates.
enum ForeignVerifier: String, CaseIterable, Sendable {
    case verify = "openssl verify"
    case sClient = "openssl s_client"
    case curl
    case gnutls = "gnutls-cli"

    /// Has the program judge a scenario.
    ///
    /// - Parameters:
    ///   - scenario: What is presented; made at the machine's time, the only one that some know.
    ///   - files: Where the scenario's files are.
    ///   - port: Where it is served.
    /// - Returns: `accepted`, or `refused` and the program's number for the reason.
    /// - Throws: When the program cannot be run.
    func judge(
        _ scenario: FaultScenario,
        _ files: ScenarioFiles,
        port: UInt16
    ) async throws -> String {
        let (code, output) = try await run(arguments(scenario, files, port), files)
        switch self {
        case .verify, .sClient:
            let number = try number(in: output, after: "error (?:num=)?(\\d+)|:num=(\\d+)")
            if let number { return "refused \(number)" }
            return code == 0 ? "accepted" : "refused"
        case .curl:
            // What came after the handshake is no HTTP, which is 1 for curl.
            return code <= 1 ? "accepted" : "refused \(code)"
        case .gnutls: return code == 0 ? "accepted" : "refused"
        }
    }

    private func arguments(
        _ scenario: FaultScenario,
        _ files: ScenarioFiles,
        _ port: UInt16
    ) -> [String] {
        let isAddress = scenario.host == "127.0.0.1"
        let name = [isAddress ? "-verify_ip" : "-verify_hostname", scenario.host]
        let strict = ["-x509_strict", "-purpose", "sslserver", "-auth_level", "2"]
        var words: [String]
        switch self {
        case .verify:
            words = ["openssl", "verify", "-CAfile", files.anchors, "-untrusted", files.others]
            words += strict + name + [files.leaf]
        case .sClient:
            words = [
                "openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-verify_return_error",
            ]
            words += ["-CAfile", files.anchors] + strict + name
            words += isAddress ? ["-noservername"] : ["-servername", scenario.host]
        case .curl:
            words = ["curl", "-sS", "--noproxy", "*", "--max-time", "20"]
            words += ["--cacert", files.anchors]
            words += ["--connect-to", "\(scenario.host):443:127.0.0.1:\(port)"]
            words += [isAddress ? "https://127.0.0.1:\(port)/" : "https://\(scenario.host)/"]
        case .gnutls:
            words = ["gnutls-cli", "--x509cafile", files.anchors, "--port", "\(port)"]
            words += isAddress ? ["--disable-sni"] : ["--sni-hostname", scenario.host]
            words += ["--verify-hostname", scenario.host, "127.0.0.1"]
        }
        return words
    }

    private func number(in output: String, after pattern: String) throws -> String? {
        let expression = try NSRegularExpression(pattern: pattern)
        let range = NSRange(output.startIndex..., in: output)
        guard let match = expression.firstMatch(in: output, range: range) else { return nil }
        return (1..<match.numberOfRanges).compactMap { Range(match.range(at: $0), in: output) }
            .first.map { String(output[$0]) }
    }

    private func run(
        _ arguments: [String],
        _ files: ScenarioFiles
    ) async throws -> (code: Int32, output: String) {
        try await ForeignVerifier.run(arguments, in: files.directory)
    }

    /// Runs a program, with its output in a file of a directory.
    static func run(
        _ arguments: [String],
        in directory: String
    ) async throws -> (code: Int32, output: String) {
        let log = directory + "/\(UUID().uuidString).log"
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        let (ends, end) = AsyncStream<Void>.makeStream()
        process.terminationHandler = { _ in end.finish() }
        try process.run()
        for await _ in ends {}
        process.waitUntilExit()
        let bytes = FileManager.default.contents(atPath: log) ?? Data()
        return (process.terminationStatus, String(decoding: bytes, as: UTF8.self))
    }
}

/// A scenario's certificates as files.
struct ScenarioFiles: Sendable {
    let directory: String
    var anchors: String { directory + "/anchors.pem" }
    var leaf: String { directory + "/leaf.pem" }
    var others: String { directory + "/others.pem" }

    init(_ scenario: FaultScenario, in directory: String) throws {
        self.directory = directory
        let chain = try scenario.certificate.chainDER.map { try Certificate(der: $0).pem }
        let roots = try scenario.anchorsDER.map { try Certificate(der: $0).pem }
        try roots.joined().write(toFile: anchors, atomically: true, encoding: .utf8)
        try chain[0].write(toFile: leaf, atomically: true, encoding: .utf8)
        // The program wants at least one; the leaf does no harm.
        try chain.joined().write(toFile: others, atomically: true, encoding: .utf8)
    }
}
