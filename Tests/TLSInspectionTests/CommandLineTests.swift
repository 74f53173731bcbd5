// The tool as users have it: a process with arguments, two streams and an exit code.

import Foundation
import Sockets
import TLSTestKit
import Testing
import ToolFixtures

@testable import TLSInspection

extension ProcessRun {
    /// Runs the tool, which is built beside the tests.
    fileprivate static func tool(
        _ first: String...,
        arguments: [String] = [],
        environment: [String: String] = [:]
    ) async throws -> ProcessRun {
        try await ProcessRun(
            try product("tlsinspect"),
            first + arguments,
            environment: environment
        )
    }
}

@Suite(.timeLimit(.minutes(1)))
struct CommandLineTests {
    let bench: TestBench

    init() throws { bench = try TestBench(now: UnixTime(seconds: TestCA.wallClock())) }

    @Test("completions are an answer that knows every command", arguments: ["bash", "zsh", "fish"])
    func completions(_ shell: String) async throws {
        let run = try await ProcessRun.tool("--generate-completion-script", shell)
        #expect(run.exitCode == 0)
        #expect(run.errors == "")
        let commands = [
            "probe", "matrix", "scan", "expiry", "diff", "read", "explain", "serve", "demo",
        ]
        for command in commands { #expect(run.output.contains(command)) }
        #expect(run.output.contains("starttls"))
        #expect(run.output.contains("postgres"))
    }

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
            #expect(try JSONSchema.inspector().faults(of: json) == [])
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
