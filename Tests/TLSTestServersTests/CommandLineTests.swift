// The tool as users have it: a process with arguments, two streams and an exit code; and its servers
// as curl and openssl meet them.

import Foundation
import TLSTestKit
import TLSTestServers
import Testing
import ToolFixtures

@testable import tlscerts

extension ProcessRun {
    /// Runs the tool, which is built beside the tests.
    fileprivate static func tool(_ arguments: String...) async throws -> ProcessRun {
        try await ProcessRun(try product("tlscerts"), arguments)
    }
}

/// A program of others, installed or not; the scripts demand that it is.
func program(_ name: String) throws -> URL? {
    let path = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(
        separator: ":"
    )
    .map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    let isRequired = ProcessInfo.processInfo.environment["SOCKETS_REQUIRE_PEERS"] == "1"
    if path == nil, isRequired {
        Issue.record("\(name) is not installed; Scripts/install.sh --peers installs it")
    }
    return path.map { URL(fileURLWithPath: $0) }
}

@Suite(.timeLimit(.minutes(1))) struct CommandLineTests {
    @Test("make writes files that check finds in order, and reuses its authority")
    func make() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path
        let first = try await ProcessRun.tool("make", "localhost", "127.0.0.1", "-o", path, "--p12")
        #expect(first.exitCode == 0, "\(first.errors)")
        let root = try String(contentsOfFile: path + "/root.pem", encoding: .utf8)
        let second = try await ProcessRun.tool(
            "make",
            "alice",
            "--client",
            "-o",
            path,
            "--name",
            "alice",
            "--format",
            "json"
        )
        #expect(second.exitCode == 0)
        #expect(second.output.hasPrefix("{") && second.output.contains("\"schema\":\"tlscerts/1\""))
        #expect(try String(contentsOfFile: path + "/alice-root.pem", encoding: .utf8) == root)
        #expect(FileManager.default.fileExists(atPath: path + "/identity.p12"))
        let key = try String(contentsOfFile: path + "/ca-key.pem", encoding: .utf8)
        #expect(key.hasPrefix("TEST ONLY"))
        let check = try await ProcessRun.tool("check", path, "--days", "10")
        #expect(check.exitCode == 0, "\(check.output)")
        let soon = try await ProcessRun.tool("check", path, "--days", "120", "--format", "json")
        #expect(soon.exitCode == 1)
        #expect(soon.output.contains("expires-soon"))
    }

    @Test("an authority on disk issues for loopback names only, unless it was made for any")
    func constraints() async throws {
        let directory = try TemporaryDirectory()
        let refused = try await ProcessRun.tool("make", "example.com", "-o", directory.path)
        #expect(refused.exitCode == 2)
        #expect(refused.errors.contains("--any-name"))
        let other = directory.path + "/other"
        let made = try await ProcessRun.tool("make", "example.com", "-o", other, "--any-name")
        #expect(made.exitCode == 0)
    }

    @Test("a key of another certificate, a fault, and rubbish are findings")
    func findings() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path
        _ = try await ProcessRun.tool("make", "a.test", "-o", path)
        _ = try await ProcessRun.tool("make", "b.test", "-o", path, "--name", "b")
        try FileManager.default.removeItem(atPath: path + "/key.pem")
        try FileManager.default.copyItem(atPath: path + "/b-key.pem", toPath: path + "/key.pem")
        try "rubbish".write(toFile: path + "/x.pem", atomically: true, encoding: .utf8)
        let check = try await ProcessRun.tool("check", path, "--days", "1", "--format", "json")
        #expect(check.exitCode == 1)
        #expect(check.output.contains("key-mismatch"))
        #expect(check.output.contains("unreadable"))
        let bad = path + "/bad"
        let fault = try await ProcessRun.tool("make", "a.test", "--fault", "expired", "-o", bad)
        #expect(fault.exitCode == 0)
        let expired = try await ProcessRun.tool("check", bad, "--format", "json")
        #expect(expired.exitCode == 1)
        #expect(expired.output.contains("\"expired\""))
    }

    @Test("list names every fault, in both forms")
    func list() async throws {
        let text = try await ProcessRun.tool("list")
        let json = try await ProcessRun.tool("list", "--format=json")
        for name in CertificateFault.allCases.map(\.name) + TransportFault.allCases.map(\.rawValue)
        {
            #expect(text.output.contains("  \(name) "))
            #expect(json.output.contains("\"\(name)\""))
        }
        #expect(text.exitCode == 0 && json.exitCode == 0)
        #expect(!text.output.contains("\u{1b}"))
    }

    @Test("wrong usage exits with 2, as text and as JSON; help is an answer")
    func usage() async throws {
        for arguments in [
            [], ["bogus"], ["make"], ["make", "a.test"],
            ["make", "a.test", "-o", "x", "--days", "0"],
            ["make", "a.test", "-o", "x", "--fault", "bogus"], ["check"],
            ["check", "/nonexistent"], ["ocsp", "/nonexistent"], ["zoo", "--port", "99999"],
        ] {
            let run = try await ProcessRun(try ProcessRun.product("tlscerts"), arguments)
            #expect(run.exitCode == 2, "\(arguments)")
            #expect(run.output == "" && run.errors != "")
        }
        let json = try await ProcessRun.tool("make", "--format", "json")
        #expect(json.exitCode == 2 && json.output.contains("wrong_usage"))
        let help = try await ProcessRun.tool("zoo", "--help")
        #expect(help.exitCode == 0 && help.output.contains("EXAMPLES"))
    }

    /// Asks the zoo with curl, and gives its exit code.
    private func curl(_ curl: URL, _ host: String, port: Substring, root: String) async throws
        -> Int32
    {
        let run = try await ProcessRun(
            curl,
            [
                "--silent", "--disable", "--noproxy", "*", "--output", "/dev/null",
                "--max-time", "10", "--connect-to", "::127.0.0.1:\(port)",
                "--cacert", root, "https://\(host)/",
            ]
        )
        return run.exitCode
    }

    @Test("the zoo announces itself, is what curl expects, and ends at SIGTERM")
    func zoo() async throws {
        let directory = try TemporaryDirectory()
        let process = Process()
        process.executableURL = try ProcessRun.product("tlscerts")
        process.arguments = ["zoo", "--port", "0", "-o", directory.path, "--format", "json"]
        let output = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        try process.run()
        var codes: [Int32] = []
        do {
            var text = Data()
            while text.last != 10 {
                let more = output.fileHandleForReading.availableData
                try #require(!more.isEmpty, "the zoo ended")
                text += more
            }
            let json = String(decoding: text, as: UTF8.self)
            let port = try #require(json.firstMatch(of: /"port":(\d+)/)?.1)
            for host in ["zoo.test", "expired.zoo.test", "plain-http.zoo.test"] {
                guard let program = try program("curl") else { break }
                let root = directory.path + "/root.pem"
                codes.append(try await curl(program, host, port: port, root: root))
            }
        } catch {
            process.terminate()
            throw error
        }
        await withCheckedContinuation { waiter in
            process.terminationHandler = { _ in waiter.resume() }
            process.terminate()
        }
        #expect(codes.isEmpty || codes == [0, 60, 35])
        #expect(process.terminationStatus == 0)
        #expect(process.terminationReason == .exit)
    }

    @Test("openssl agrees with the zoo and with the responder")
    func openssl() async throws {
        guard let openssl = try program("openssl") else { return }
        let directory = try TemporaryDirectory()
        try await CertificateZoo.run { zoo in
            let root = directory.path + "/root.pem"
            try zoo.authority.certificatePEM.write(toFile: root, atomically: true, encoding: .utf8)
            for (host, code) in [
                ("zoo.test", 0), ("expired.zoo.test", 10), ("self-signed.zoo.test", 18),
            ] {
                let run = try await ProcessRun(
                    openssl,
                    [
                        "s_client", "-connect", "\(zoo.address)", "-servername", host,
                        "-CAfile", root, "-brief", "-verify_return_error",
                    ]
                )
                #expect((run.exitCode == 0) == (code == 0), "\(host): \(run.errors)")
                if code > 0 { #expect(run.errors.contains("num=\(code)"), "\(run.errors)") }
            }
        }
        let authority = try TestCA()
        try await OCSPResponder.run(for: authority) { responder in
            let leaf = try responder.issue("a.test")
            let files = try leaf.write(to: directory.path, name: "leaf")
            for (status, word) in [
                (OCSPStatus.good, "good"), (.revoked(), "revoked"), (nil, "unknown"),
            ] {
                responder[leaf] = status
                let run = try await ProcessRun(
                    openssl,
                    [
                        "ocsp", "-issuer", files.root, "-cert", files.chain, "-url", responder.url,
                        "-CAfile", files.root,
                    ]
                )
                #expect(run.output.contains(": \(word)"), "\(run.output) \(run.errors)")
                #expect(run.errors.contains("Response verify OK"), "\(run.errors)")
            }
        }
    }
}
