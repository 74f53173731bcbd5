import Foundation
import Sockets
import TLSTestKit
import Testing
import ToolFixtures
import Tooling

@testable import TLSInspection
@testable import tlsinspect

/// The tool without its process.
@Suite(.timeLimit(.minutes(1)))
struct ToolTests {
    private func run(
        _ arguments: String...,
        variables: [String: String] = [:],
        isTerminal: Bool = false
    ) async -> tlsinspect.ToolOutput {
        let surroundings = ToolSurroundings(
            variables: variables,
            isTerminal: isTerminal,
            now: testTime
        )
        return await Tool.run(arguments, in: surroundings)
    }

    @Test(
        "wrong usage exits with 2, says why on standard error, and nothing on standard output",
        arguments: [
            [], ["bogus"], ["probe"], ["probe", "a.test", "b.test"], ["probe", "a b"],
            ["probe", "a.test:0x1"], ["probe", "a.test", "--tls", "1.1"],
            ["probe", "a.test", "--timeout", "0"], ["probe", "a.test", "--timeout", "soon"],
            ["probe", "a.test", "-4", "-6"], ["probe", "a.test", "--key", "key.pem"],
            ["probe", "a.test", "--format", "xml"], ["probe", "a.test", "--fail-on", "everything"],
            ["probe", "a.test", "--color", "blue"], ["probe", "a.test", "--connect", "::1:443x"],
            ["probe", "a.test", "--nonsense"], ["probe", "a.test", "--sni", ""],
        ]
    )
    func wrongUsage(_ arguments: [String]) async throws {
        let surroundings = ToolSurroundings(variables: [:], isTerminal: false, now: testTime)
        let output = await Tool.run(arguments, in: surroundings)
        #expect(output.status == .usage)
        #expect(output.text == "")
        #expect(output.errors.hasPrefix("Error: "))
        let json = await Tool.run(arguments + ["--format=json"], in: surroundings)
        #expect(json.status == .usage)
        let report = try report(json)
        #expect(report.exit == .usage)
        #expect(report.result == .invalid)
        #expect(report.error?.code == "wrong_usage")
    }

    @Test("help and version are answers, on standard output")
    func requests() async {
        for arguments in [["--help"], ["probe", "--help"], ["demo", "-h"], ["help", "probe"]] {
            let surroundings = ToolSurroundings(variables: [:], isTerminal: false, now: testTime)
            let output = await Tool.run(arguments, in: surroundings)
            #expect(output.status == .clean)
            #expect(output.text.contains("USAGE: tlsinspect"))
            #expect(output.errors == "")
        }
        #expect(await run("--version").text == "tlsinspect \(Tool.version)\n")
    }

    @Test("the help names every exit code and fits a terminal")
    func help() async {
        let help = await run("--help").text
        for status in ExitStatus.allCases { #expect(help.contains("\n  \(status.rawValue) ")) }
        for text in [help, await run("probe", "--help").text, await run("demo", "--help").text] {
            for line in text.split(separator: "\n") { #expect(line.count <= 80) }
        }
    }

    @Test(
        "colours come on a terminal only, and not against NO_COLOR",
        arguments: [
            ("auto", false, nil, nil, false), ("auto", true, nil, "xterm", true),
            ("auto", true, "1", "xterm", false), ("auto", true, "0", "xterm", false),
            ("auto", true, "", "xterm", true), ("auto", true, nil, "dumb", false),
            ("always", false, "1", nil, true), ("never", true, nil, "xterm", false),
        ] as [(String, Bool, String?, String?, Bool)]
    )
    func colors(
        _ choice: String,
        _ isTerminal: Bool,
        _ noColor: String?,
        _ term: String?,
        _ isColored: Bool
    ) async throws {
        var variables: [String: String] = [:]
        variables["NO_COLOR"] = noColor
        variables["TERM"] = term
        let address = try unusedAddress()
        let output = await run(
            "probe",
            "\(address)",
            "--color",
            choice,
            variables: variables,
            isTerminal: isTerminal
        )
        #expect(output.status == .noConnection)
        #expect(output.text.contains("\u{1b}[") == isColored)
    }

    @Test("a file that cannot be read or used is wrong usage that names the file")
    func unreadableFiles() async throws {
        let directory = try TemporaryDirectory()
        let garbage = directory.path + "/garbage.pem"
        try Data("no certificate".utf8).write(to: URL(fileURLWithPath: garbage))
        let bench = try TestBench()
        let (one, other) = (try bench.root.issue("a.test"), try bench.root.issue("b.test"))
        let files = try one.write(to: directory.path, name: "one")
        let others = try other.write(to: directory.path, name: "other")
        for (arguments, named) in [
            (["--ca", directory.path + "/absent.pem"], "absent.pem"), (["--ca", garbage], garbage),
            (["--cert", garbage], garbage),
            (["--cert", files.chain, "--key", others.key], others.key),
            (["--cert", files.chain], files.chain),
        ] {
            let surroundings = ToolSurroundings(variables: [:], isTerminal: false, now: testTime)
            let text = await Tool.run(["probe", "a.test"] + arguments, in: surroundings)
            #expect(text.status == .usage)
            #expect(text.text == "")
            #expect(text.errors.contains(named))
            let json = await Tool.run(
                ["probe", "a.test", "--format", "json"] + arguments,
                in: surroundings
            )
            #expect(json.status == .usage)
            #expect(json.errors == "")
            let report = try report(json)
            #expect(report.error?.code == "unusable_file")
            #expect(report.target?.name == "a.test")
        }
    }

    @Test("options reach the probe")
    func options() throws {
        let command = try #require(
            try Tool.parse([
                "probe", "a.test", "--connect", "[::1]", "--sni", "b.test", "--alpn", "h3,h2",
                "--tls", "1.3", "--timeout", "2.5", "-6", "--fail-on", "note",
            ]) as? ProbeCommand
        )
        let probe = try command.connection.probe(of: command.host)
        var expected = Probe(SocketAddress("a.test", port: probe.target.port))
        expected.connect = SocketAddress("::1", port: probe.target.port)
        expected.servername = .name("b.test")
        expected.alpn = ["h3", "h2"]
        expected.versions = .tls13 ... .tls13
        expected.timeout = .seconds(2.5)
        expected.addressFamily = .ipv6
        #expect(probe == expected)
        #expect(probe.target.port == 443)
        #expect(command.failOn == .note)
    }

    @Test("a hyphen means none for servername and protocols")
    func hyphens() throws {
        let command = try #require(
            try Tool.parse(["probe", "a.test", "--sni", "-", "--alpn", "-"])
                as? ProbeCommand
        )
        let probe = try command.connection.probe(of: command.host)
        #expect(probe.servername == .none)
        #expect(probe.alpn == [])
    }

    @Test("the demonstration shows a good server, five others, and ends with 0")
    func demonstration() async throws {
        let text = await run("demo")
        #expect(text.status == .clean)
        #expect(text.errors == "")
        #expect(text.text.contains("GET / → HTTP/1.1 200 OK"))
        let ends = text.text.split(separator: "\n").filter { $0.hasPrefix("  exit ") }
        #expect(
            ends.map { $0.prefix(8) } == [
                "  exit 5", "  exit 5", "  exit 5", "  exit 4", "  exit 0",
            ]
        )
        let json = await run("demo", "--format", "json")
        #expect(json.status == .clean)
        let report = try report(json)
        #expect(report.command == "demo")
        #expect(report.result == .ok)
        #expect(report.verify?.trusted == true)
    }

    /// Reads standard output, which must be one line with one report that is as the schema says.
    private func report(_ output: tlsinspect.ToolOutput) throws -> InspectionReport {
        #expect(output.text.filter(\.isNewline).count == 1)
        let json = try JSONValue(parsing: output.text)
        #expect(try JSONSchema.inspector().faults(of: json) == [])
        return try JSONDecoder().decode(InspectionReport.self, from: Data(output.text.utf8))
    }
}
