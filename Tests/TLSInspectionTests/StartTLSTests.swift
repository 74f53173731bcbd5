// All that connects, begun in the clear: against servers that play the eleven protocols and go over to
// TLS by this package's own listener, and against servers that do not.

import Sockets
import TLSTestKit
import Testing
import ToolFixtures
import Tooling

@testable import TLSInspection
@testable import tlsinspect

@Suite(.timeLimit(.minutes(1)))
struct StartTLSTests {
    let bench: TestBench
    let hello: RawHello

    init() throws {
        bench = try TestBench()
        hello = RawHello(
            versions: [.tls12],
            suites: [0xc02b],
            groups: [0x001d, 0x0017],
            schemes: [0x0403]
        )
    }

    private func probe(_ kind: StartTLSProtocol, _ address: SocketAddress) throws -> Probe {
        try Probe(SocketAddress("a.test", port: address.port)) {
            $0.timeout = .seconds(60)
            $0.connect = address
            $0.anchors = try bench.anchors
            $0.starttls = kind
        }
    }

    @Test("a probe begins in the clear and ends under TLS", arguments: StartTLSProtocol.allCases)
    func probes(_ kind: StartTLSProtocol) async throws {
        let report = try await bench.withUpgrading(DialogueScript(kind)) { address in
            try checked(await Inspector(now: bench.now).run(try probe(kind, address)))
        }
        #expect(report.result == .ok)
        #expect(report.error == nil)
        #expect(report.target?.starttls == kind.rawValue)
        #expect(report.negotiated?.version == "TLS1.3")
        #expect(report.session?.tickets.isEmpty == false)
        #expect(report.timing.handshake != nil)
    }

    @Test("a raw hello goes the same way", arguments: StartTLSProtocol.allCases)
    func raw(_ kind: StartTLSProtocol) async throws {
        let answer = try await bench.withUpgrading(DialogueScript(kind)) { address in
            let route = RawRoute(
                address: address,
                timeout: .seconds(10),
                upgrade: StartTLS(kind: kind, name: "a.test")
            )
            return await route.ask(hello).answer
        }
        #expect(answer.isFlight)
    }

    @Test("each protocol has its port, which another one may replace")
    func ports() throws {
        for kind in StartTLSProtocol.allCases {
            for (host, port) in [("a.test", kind.port), ("a.test:99", 99)] {
                let command = try Tool.parse(["probe", host, "--starttls", kind.rawValue])
                let probe = try #require(command as? ProbeCommand).connection.probe(of: host)
                #expect(probe.target.port == port)
                #expect(probe.starttls == kind)
            }
        }
        #expect(Set(StartTLSProtocol.allCases.map(\.port)).count == 11)
    }

    // MARK: Commands

    private func run(_ arguments: [String]) async -> tlsinspect.ToolOutput {
        await Tool.run(arguments, in: ToolSurroundings(now: testTime))
    }

    /// The commands that connect, to one server.
    private func commands(_ kind: StartTLSProtocol, _ port: UInt16) -> [[String]] {
        let host = "127.0.0.1:\(port)"
        return [
            ["probe", host], ["matrix", host, "--sni", "a.test,-"], ["scan", host],
            ["expiry", host], ["diff", host, host],
        ].map { $0 + ["--starttls", kind.rawValue] }
    }

    private func json(_ output: tlsinspect.ToolOutput) throws -> JSONValue {
        let value = try JSONValue(parsing: output.text)
        #expect(try JSONSchema.inspector().faults(of: value) == [])
        return value
    }

    @Test(
        "every command that connects begins in the clear",
        arguments: [StartTLSProtocol.smtp, .mysql]
    )
    func everyCommand(_ kind: StartTLSProtocol) async throws {
        try await bench.withUpgrading(DialogueScript(kind)) { address in
            for command in commands(kind, address.port) {
                let output = await run(command + ["--format", "json"])
                _ = try json(output)
                #expect(output.text.contains("\"starttls\":\"\(kind.rawValue)\""))
                // The authority is not the system's, which the table of matrix and scan does not judge.
                let status: [TLSInspection.ExitStatus] = [.untrusted, .clean]
                #expect(status.contains(output.status), "\(command)")
                let text = await run(command)
                #expect(text.status == output.status)
            }
            let scan = await run(["scan", "127.0.0.1:\(address.port)", "--starttls", kind.rawValue])
            #expect(scan.text.contains(":\(address.port)/\(kind.rawValue)"))
            #expect(scan.text.contains("1.3 yes"))
        }
    }

    @Test("a refusal is told by every command, escaped, with exit code 4")
    func refusal() async throws {
        let options = SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0))
        let serve: @Sendable (Socket) async throws -> Void = { socket in
            try await socket.write("554 \u{1b}[31mno\u{202e}!\r\n")
            try await readToEnd(socket)
        }
        try await withServer(options, serving: serve) { address in
            for command in commands(.smtp, address.port) {
                let text = await run(command)
                let output = await run(command + ["--format", "json"])
                _ = try json(output)
                #expect(!(text.text + output.text).contains("\u{1b}[31mno"))
                #expect(!(text.text + output.text).contains("\u{202e}"))
                guard command[0] != "diff" else { continue }
                #expect(output.text.contains("starttls_refused"), "\(command)")
                #expect(text.status == .noHandshake, "\(command)")
                #expect(output.status == .noHandshake, "\(command)")
                #expect(text.text.contains("STARTTLS refused"), "\(command)")
                #expect(text.text.contains("554 \u{fffd}[31mno\u{fffd}!"), "\(command)")
            }
        }
    }

    @Test("an unknown protocol is wrong usage, for each command")
    func unknown() async {
        for command in commands(.smtp, 1) {
            let output = await run(command.dropLast() + ["telnet"])
            #expect(output.status == .usage)
            #expect(output.text == "")
            #expect(output.errors.contains("sieve"))
        }
    }

    // MARK: Failures on the wire

    private func fail(
        timeout: Duration = .seconds(10),
        _ serve: @escaping @Sendable (Socket) async throws -> Void
    ) async throws -> (InspectionReport, RawAnswer) {
        let options = SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0))
        return try await withServer(options, serving: serve) { address in
            var probe = try probe(.smtp, address)
            probe.timeout = timeout
            let report = try checked(await Inspector(now: bench.now).run(probe))
            let route = RawRoute(address: address, timeout: timeout, upgrade: probe.upgrade)
            return (report, await route.ask(hello).answer)
        }
    }

    @Test("silence before TLS ends at the timeout, also when bytes drip")
    func silence() async throws {
        for milliseconds in [150, 4000, 16000] {
            let (report, raw) = try await fail(timeout: .milliseconds(milliseconds)) { socket in
                try await socket.write("220-")
                try await readToEnd(socket)
            }
            #expect(report.result == .timeout)
            // On a machine that is busy the time may be over before there is a connection.
            let isTooEarly = report.error?.phase != "starttls" || raw != .clear(.silent)
            guard !isTooEarly || milliseconds == 16000 else { continue }
            #expect(report.exit == .noHandshake)
            #expect(report.error?.code == "starttls_timed_out")
            #expect(report.error?.phase == "starttls")
            #expect(report.timing.connect != nil)
            #expect(raw == .clear(.silent))
            return
        }
    }

    @Test("silence behind the go-ahead ends at the timeout, too")
    func silenceUnderTLS() async throws {
        // The time is for all of a connection: on a machine that is busy it may be over before TLS.
        for seconds in [1, 4, 16] {
            let (report, raw) = try await fail(timeout: .seconds(seconds)) { socket in
                try await socket.write("220 a\r\n")
                _ = try await socket.read()
                try await socket.write("250 STARTTLS\r\n")
                _ = try await socket.read()
                try await socket.write("220 go\r\n")
                try await readToEnd(socket)
            }
            #expect(report.result == .timeout)
            #expect(report.exit == .noHandshake)
            let isTooEarly = report.error?.phase == "starttls" || raw == .clear(.silent)
            guard !isTooEarly || seconds == 16 else { continue }
            #expect(report.error?.code == "handshake_timed_out")
            #expect(raw == .silence)
            return
        }
    }

    @Test("a server that hangs up before TLS closed the connection")
    func hangUp() async throws {
        let (report, raw) = try await fail { try await $0.write("220-") }
        #expect(report.result == .closed)
        #expect(report.error?.code == "closed_during_starttls")
        #expect(raw == .clear(.closed))
    }

    @Test("words behind the go-ahead are a failure")
    func injected() async throws {
        let (report, raw) = try await fail { socket in
            try await socket.write("220 a\r\n")
            _ = try await socket.read()
            try await socket.write("250 STARTTLS\r\n")
            _ = try await socket.read()
            try await socket.write("220 go\r\n250 injected\r\n")
            try await readToEnd(socket)
        }
        #expect(report.result == .handshakeFailed)
        #expect(report.exit == .noHandshake)
        #expect(report.error?.code == "plaintext_before_tls")
        #expect(raw == .clear(.ahead))
    }
}
