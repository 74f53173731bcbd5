// Each command with each way to end: the exit code, nothing but the result on standard output, and JSON
// that is as the schema says, also for failures.

import Foundation
import Sockets
import TLSTestKit
import Testing
import ToolFixtures
import Tooling

@testable import TLSInspection
@testable import tlsinspect

// The tests that scan take most of a minute under the thread sanitizer.
@Suite(.timeLimit(.minutes(3)))
struct CommandTests {
    let bench: TestBench

    init() throws { bench = try TestBench() }

    private func run(_ arguments: [String]) async -> tlsinspect.ToolOutput {
        await Tool.run(arguments, in: ToolSurroundings(now: testTime))
    }

    /// Runs a command as text and as JSON, and gives the exit code both have.
    @discardableResult
    private func status(
        _ arguments: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> TLSInspection.ExitStatus {
        let text = await run(arguments)
        let json = await run(arguments + ["--format", "json"])
        #expect(text.status == json.status, sourceLocation: sourceLocation)
        #expect(json.text.filter(\.isNewline).count == 1, sourceLocation: sourceLocation)
        let value = try JSONValue(parsing: json.text)
        let faults = try JSONSchema.inspector().faults(of: value)
        #expect(faults == [], sourceLocation: sourceLocation)
        let exit = value["exit"]?.number.map { Int($0) }
        #expect(exit == json.status.rawValue, sourceLocation: sourceLocation)
        if text.status == .usage {
            #expect(text.text == "", sourceLocation: sourceLocation)
            #expect(text.errors != "", sourceLocation: sourceLocation)
        } else {
            #expect(text.text != "", sourceLocation: sourceLocation)
            #expect(text.errors == "", sourceLocation: sourceLocation)
            #expect(json.errors == "", sourceLocation: sourceLocation)
        }
        return text.status
    }

    /// The root in a file, while a server runs.
    private func withFiles(
        _ options: SocketListenerInit,
        _ body: (_ address: String, _ root: String, _ directory: String) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        let root = try bench.root.identity.write(to: directory.path).root
        let path = directory.path
        try await withServer(options) { try await body("\($0)", root, path) }
    }

    @Test(
        "wrong usage exits with 2",
        arguments: [
            ["scan"], ["scan", "a.test", "--sni", ""], ["scan", "a.test", "--jobs", "0"],
            ["scan", "a.test", "--rate", "-1"], ["scan", "a.test", "--policy", "/nonexistent"],
            ["matrix"], ["matrix", "a.test", "--sni", "a b"], ["matrix", "a.test", "--alpn", ""],
            ["matrix", "a.test", "--ca", "/nonexistent"], ["expiry"],
            ["expiry", "a.test", "--warn", "3", "--crit", "7"],
            ["expiry", "--file", "/nonexistent"],
            ["expiry", "a.test", "b.test", "--connect", "127.0.0.1"], ["diff", "a.test"],
            ["diff", "a.test", "b.test", "--baseline", "x"],
            ["diff", "a.test", "--baseline", "/nonexistent"],
            ["diff", "a.test", "b.test", "--ca", "/nonexistent"], ["explain"],
            ["explain", "no", "such", "thing"],
        ]
    )
    func usage(_ arguments: [String]) async throws {
        #expect(try await status(arguments) == .usage)
    }

    @Test("no connection exits with 3", arguments: ["scan", "matrix", "expiry", "diff"])
    func unconnected(_ command: String) async throws {
        let address = "\(try unusedAddress())"
        let arguments = command == "diff" ? [command, address, address] : [command, address]
        #expect(try await status(arguments) == .noConnection)
    }

    @Test("no TLS exits with 4", arguments: ["scan", "matrix", "expiry"])
    func noTLS(_ command: String) async throws {
        let options = SocketListenerInit(type: .tcp, local: SocketAddress("127.0.0.1", port: 0))
        let found = try await withServer(options) { socket in
            _ = try await socket.read()
            try await socket.write("220 mail.test ESMTP\r\n")
        } _: {
            try await status([command, "\($0)"])
        }
        #expect(found == .noHandshake)
    }

    @Test("done exits with 0, findings with 1, a wrong name with 5")
    func done() async throws {
        try await withFiles(try bench.listener(TestBench.lasting)) { address, root, directory in
            let trust = ["--sni", "a.test", "--ca", root]
            #expect(try await status(["scan", address]) == .clean)
            #expect(try await status(["scan", address, "--fail-on", "note"]) == .findings)
            #expect(try await status(["scan", address, "--policy", "modern"]) == .findings)
            #expect(try await status(["matrix", address] + trust) == .clean)
            #expect(try await status(["expiry", address] + trust) == .clean)
            let far = ["--warn", "1000", "--crit", "1000"]
            #expect(try await status(["expiry", address] + trust + far) == .findings)
            #expect(
                try await status(["expiry", address, "--sni", "c.test", "--ca", root]) == .untrusted
            )
            #expect(try await status(["diff", address, address] + trust) == .clean)
            #expect(try await status(["explain", "112"]) == .clean)
            let policy = directory + "/policy.json"
            try #"{"name":"ours","versions":["TLS1.3"],"suites":["TLS_AES_128_GCM_SHA256"]}"#
                .write(toFile: policy, atomically: true, encoding: .utf8)
            #expect(try await status(["scan", address, "--policy", policy]) == .findings)
            try #"{"name":"ours","versions":["TLS1.4"],"suites":["TLS_FOO"]}"#
                .write(toFile: policy, atomically: true, encoding: .utf8)
            let refused = await run(["scan", address, "--policy", policy])
            #expect(refused.status == .usage)
            #expect(refused.errors.contains("TLS1.4, TLS_FOO"))
        }
    }

    @Test(
        "a baseline of probe and of scan is compared with what is there now",
        arguments: ["probe", "scan"]
    )
    func baseline(_ command: String) async throws {
        try await withFiles(try bench.listener(TestBench.lasting)) { address, root, directory in
            let file = directory + "/golden.json"
            let arguments = command == "probe" ? ["--ca", root] : []
            let saved = await run(
                [command, address, "--sni", "a.test", "--format", "json"] + arguments
            )
            try saved.text.write(toFile: file, atomically: true, encoding: .utf8)
            let compare = ["diff", address, "--baseline", file, "--ca", root]
            #expect(try await status(compare) == .clean)
            let other = saved.text.replacing(
                "TLS_AES_128_GCM_SHA256",
                with: "TLS_AES_128_CCM_SHA256"
            )
            .replacing("\"alpn\":\"h2\"", with: "\"alpn\":\"h3\"")
            try other.write(toFile: file, atomically: true, encoding: .utf8)
            #expect(try await status(compare) == .findings)
            let ignored = command == "probe" ? "negotiated" : "suites"
            #expect(try await status(compare + ["--ignore", ignored]) == .clean)
            try "{\"schema\":\"tlsinspect/1\",\"command\":\"explain\"}"
                .write(toFile: file, atomically: true, encoding: .utf8)
            #expect(try await status(compare) == .usage)
        }
    }

    @Test("a list of servers: comments, servernames, and lines that cannot be read")
    func list() async throws {
        try await withFiles(try bench.listener(TestBench.lasting)) { address, root, directory in
            let file = directory + "/hosts.txt"
            try "# ours\n\n\(address) a.test\n\(address)  x.b.test\n"
                .write(toFile: file, atomically: true, encoding: .utf8)
            let arguments = ["expiry", "--file", file, "--ca", root]
            #expect(try await status(arguments) == .clean)
            let lines = await run(arguments + ["--format", "nagios"])
            #expect(lines.text.hasPrefix("TLS OK - 2 servers in order |"))
            try "\(address) a.test extra\n".write(toFile: file, atomically: true, encoding: .utf8)
            #expect(try await status(arguments) == .usage)
            try "\n".write(toFile: file, atomically: true, encoding: .utf8)
            #expect(try await status(arguments) == .usage)
            let nagios = await run(arguments + ["--format=nagios"])
            #expect(nagios.status.rawValue == 3)
            #expect(try NagiosLine(nagios.text).state == "UNKNOWN")
        }
    }

    @Test("lines of JSON come as they are known, each whole")
    func lines() async throws {
        try await withFiles(try bench.listener(TestBench.lasting)) { address, root, _ in
            let (stream, said) = AsyncStream.makeStream(of: String.self)
            let surroundings = ToolSurroundings(now: testTime, announce: { said.yield($0) })
            let output = await Tool.run(
                ["expiry", address, address, "--sni", "a.test", "--ca", root, "--format", "jsonl"],
                in: surroundings
            )
            said.finish()
            #expect(output.text == "")
            #expect(output.status == .clean)
            var count = 0
            for await line in stream {
                let value = try JSONValue(parsing: line)
                let faults = try JSONSchema.inspector().faults(of: value)
                #expect(faults == [])
                count += 1
            }
            #expect(count == 2)
        }
    }

    @Test(
        "the help of each command fits a terminal",
        arguments: ["scan", "matrix", "expiry", "diff", "explain", "listen"]
    )
    func help(_ command: String) async {
        let output = await run([command, "--help"])
        #expect(output.status == .clean)
        for line in output.text.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
    }

    @Test("names that would steer a terminal do not reach it, in any command")
    func escaping() async throws {
        let name = "a\u{1b}[31m\u{202e}.test"
        var options = ScanReport(
            target: .init(name: name, address: nil, port: 0),
            result: .ok,
            exit: .clean
        )
        options.alpn = .init(protocols: [name], noOverlap: nil)
        let scan = ScanText(options, Painter(isColored: false)).text
        var matrix = MatrixReport(target: options.target, result: .ok, exit: .clean)
        var certificate = CertificateReport(
            try Certificate(der: bench.root.certificateDER),
            position: .leaf,
            at: testTime
        )
        certificate.name = name
        certificate.san.dns = [name]
        matrix.certificates["A"] = certificate
        matrix.columns = [.init(title: name, alpn: [name])]
        let cell = MatrixReport.Cell(
            result: .ok,
            chosen: name,
            imposed: true,
            alert: nil,
            certificate: "A",
            version: nil
        )
        matrix.rows = [.init(sni: name, certificate: "A", matches: false, cells: [cell])]
        matrix.order = .init(preference: .server, protocols: [name])
        let side = DiffReport.Side(name: name, target: nil)
        let diff = DiffReport((side, [Fact("x", [name])]), (side, []))
        let texts = [
            scan, MatrixText(matrix, Painter(isColored: false)).text,
            DiffText(diff, Painter(isColored: false)).text,
        ]
        for text in texts {
            #expect(text.contains("\u{fffd}"))
            #expect(!text.contains("\u{1b}"))
            #expect(!text.contains("\u{202e}"))
        }
    }
}
