// The tool as users have it: a process with arguments, two streams and an exit code.

import Foundation
import Sockets
import TLSTestKit
import Testing

@testable import TLSInspection

/// One run of a program.
struct ProcessRun {
    var exitCode: Int32
    var output: String
    var errors: String

    /// Runs a program to its end.
    ///
    /// - Parameters:
    ///   - program: The executable.
    ///   - arguments: Its arguments.
    ///   - environment: What is added to this process's.
    /// - Throws: What starting it throws.
    init(_ program: URL, _ arguments: [String], environment: [String: String] = [:]) async throws {
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let (output, errors) = (Pipe(), Pipe())
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = errors
        try await withCheckedThrowingContinuation {
            (waiter: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in waiter.resume() }
            do { try process.run() } catch { waiter.resume(throwing: error) }
        }
        // Outputs are a few kilobytes, less than a pipe holds.
        self.output = String(
            decoding: try output.fileHandleForReading.readToEnd() ?? Data(),
            as: UTF8.self
        )
        self.errors = String(
            decoding: try errors.fileHandleForReading.readToEnd() ?? Data(),
            as: UTF8.self
        )
        exitCode = process.terminationStatus
    }

    /// Runs the tool, which is built beside the tests.
    static func tool(
        _ arguments: String...,
        environment: [String: String] = [:]
    ) async throws -> ProcessRun {
        try await ProcessRun(try toolFile(), arguments, environment: environment)
    }

    private static func toolFile() throws -> URL {
        let places = [
            URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent(),
            Bundle.main.bundleURL,
            Bundle.main.bundleURL.deletingLastPathComponent(),
        ]
        let files = places.map { $0.appendingPathComponent("tlsinspect") }
        return try #require(
            files.first { FileManager.default.isExecutableFile(atPath: $0.path) },
            "tlsinspect is not built beside the tests"
        )
    }
}

@Suite(.timeLimit(.minutes(1)))
struct CommandLineTests {
    let bench: TestBench

    init() throws { bench = try TestBench(now: UnixTime(seconds: TestCA.wallClock())) }

    /// Runs `tlsinspect probe --format json` on a server of this process.
    private func probe(
        _ options: SocketListenerInit,
        _ arguments: [String] = []
    ) async throws -> (run: ProcessRun, report: InspectionReport) {
        let directory = try TemporaryDirectory()
        let files = try bench.root.identity.write(to: directory.path)
        let root = files.root
        return try await withServer(options) { address in
            let run = try await ProcessRun.tool(
                "probe",
                "a.test:\(address.port)",
                "--connect",
                "\(address)",
                "--ca",
                root,
                "--format",
                "json",
                arguments: arguments
            )
            #expect(run.errors == "")
            let json = try JSONValue(parsing: run.output)
            #expect(try JSONSchema.published().faults(of: json) == [])
            let report = try JSONDecoder().decode(
                InspectionReport.self,
                from: Data(run.output.utf8)
            )
            #expect(Int(run.exitCode) == report.exit.rawValue)
            return (run, report)
        }
    }

    @Test("a good server exits with 0 and one JSON object")
    func good() async throws {
        let (run, report) = try await probe(try bench.listener())
        #expect(run.exitCode == 0)
        #expect(report.result == .ok)
    }

    @Test("findings of the weight asked for exit with 1")
    func findings() async throws {
        let (run, report) = try await probe(try bench.listener(), ["--fail-on", "note"])
        #expect(run.exitCode == 1)
        #expect(report.result == .ok)
    }

    @Test("a refused connection exits with 3")
    func refused() async throws {
        let address = try unusedAddress()
        let run = try await ProcessRun.tool("probe", "\(address)")
        #expect(run.exitCode == 3)
        #expect(run.errors == "")
        #expect(run.output.contains("connection refused"))
    }

    @Test("an alert exits with 4")
    func alert() async throws {
        let (run, report) = try await probe(try bench.listener(), ["--alpn", "imap"])
        #expect(run.exitCode == 4)
        #expect(report.error?.alert?.number == 120)
    }

    @Test("a wrong name exits with 5")
    func wrongName() async throws {
        let (run, report) = try await probe(try bench.listener(), ["--sni", "c.test"])
        #expect(run.exitCode == 5)
        #expect(report.result == .nameMismatch)
    }

    @Test("a client certificate from files is sent")
    func clientCertificate() async throws {
        let directory = try TemporaryDirectory()
        let files = try bench.intermediate.issueClient("alice").write(to: directory.path)
        let (run, report) = try await probe(
            try bench.demandingListener(),
            ["--cert", files.chain, "--key", files.key]
        )
        #expect(run.exitCode == 0)
        #expect(report.clientCertificate == .init(requested: true, sent: true))
    }

    @Test("wrong usage and unreadable files exit with 2")
    func usage() async throws {
        for arguments in [["probe"], ["probe", "a.test", "--ca", "/nonexistent/root.pem"]] {
            let run = try await ProcessRun.tool(arguments: arguments)
            #expect(run.exitCode == 2)
            #expect(run.output == "")
            #expect(run.errors != "")
        }
    }

    @Test("output into a pipe has no colours unless they are asked for")
    func colors() async throws {
        let plain = try await ProcessRun.tool("demo")
        #expect(plain.exitCode == 0)
        #expect(!plain.output.contains("\u{1b}"))
        let colored = try await ProcessRun.tool(
            "demo",
            "--color",
            "always",
            environment: ["NO_COLOR": "1"]
        )
        #expect(colored.exitCode == 0)
        #expect(colored.output.contains("\u{1b}[32m"))
    }
}

extension ProcessRun {
    /// Runs the tool with arguments of two kinds.
    static func tool(_ first: String..., arguments: [String]) async throws -> ProcessRun {
        try await ProcessRun(try toolFile(), first + arguments)
    }
}
