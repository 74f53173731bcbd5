// `tlsinspect read` as a command: its three forms, its exit codes, standard input, and its end by a signal.

import CMemoryGauge
import Foundation
import Glibc
import Synchronization
import TLSTestKit
import Testing
import ToolFixtures
import Tooling

@testable import TLSInspection
@testable import tlsinspect

@Suite(.timeLimit(.minutes(1)))
struct ReadCommandTests {
    /// A capture of a flow that is answered, or refused.
    private func capture(_ said: [UInt8] = TestSpeech.answer) -> [UInt8] {
        var writer = CaptureWriter(.pcapng(resolution: nil))
        let flow = TestFlow()
        for packet in flow.opening { writer.add(packet) }
        writer.add(flow.packet(fromClient: true, at: 0, TestSpeech.hello))
        writer.add(flow.packet(fromClient: false, at: 0, said))
        return writer.bytes
    }

    /// Runs the tool in this process on a file with these bytes.
    private func run(
        _ bytes: [UInt8],
        _ arguments: String...
    ) async throws -> (output: tlsinspect.ToolOutput, written: String) {
        let directory = try TemporaryDirectory()
        let file = directory.path + "/a.pcap"
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        let written = Mutex("")
        let (ending, end) = AsyncStream.makeStream(of: Void.self)
        let surroundings = ToolSurroundings(
            now: testTime,
            announce: { text in written.withLock { $0 += text } },
            waitForEnd: { for await _ in ending {} }
        )
        let output = await Tool.run(["read", file] + arguments, in: surroundings)
        end.finish()
        return (output, written.withLock { $0 } + output.text)
    }

    @Test(
        "wrong usage and what is no capture exit with 2, with JSON for who asks for it",
        arguments: [
            ["read"], ["read", ""], ["read", "a", "b"], ["read", "/nonexistent/a.pcap"],
            ["read", "/"],
            ["read", "/dev/null"], ["read", #filePath], ["read", "a", "--port", "0"],
            ["read", "a", "--port", "443,"], ["read", "a", "--port", "+1"],
            ["read", "a", "--port", "65536"], ["read", "a", "--sni", "a.test,,b.test"],
            ["read", "a", "--fail-on", "all"], ["read", "a", "--format", "nagios"],
        ]
    )
    func usage(_ arguments: [String]) async throws {
        for format in ["text", "json", "jsonl"] {
            let (ending, end) = AsyncStream.makeStream(of: Void.self)
            let surroundings = ToolSurroundings(
                now: testTime,
                waitForEnd: { for await _ in ending {} }
            )
            let given = arguments + (arguments.contains("--format") ? [] : ["--format", format])
            let output = await Tool.run(given, in: surroundings)
            end.finish()
            #expect(output.status == .usage && output.errors != "")
            guard format != "text", given.count > arguments.count else { continue }
            let value = try JSONValue(parsing: output.text)
            #expect(try JSONSchema.inspector().faults(of: value) == [])
        }
    }

    @Test("each form tells the flow and the sum; with JSON there is nothing else")
    func forms() async throws {
        let text = try await run(capture())
        #expect(text.output.status == .clean && text.output.errors == "")
        let words = [
            "00:00:00.000  192.0.2.1:40000", "a.test", "h2,http/1.1", "→ 192.0.2.254:443",
            "answer  TLS1.3 · TLS_AES_128_GCM_SHA256 · x25519",
            "1 flow · 1 TLS · 0 without servername · 1 answered",
            "5 packets · 2027-01-01T00:00:00.000Z to 00:00:00.000Z",
        ]
        for word in words { #expect(text.written.contains(word), "\(word)") }
        let schema = try JSONSchema.inspector()
        for (format, events) in [("json", ["summary"]), ("jsonl", ["flow", "summary"])] {
            let json = try await run(capture(), "--format", format)
            let values = try json.written.split(separator: "\n").map {
                try JSONValue(parsing: String($0))
            }
            for value in values { #expect(schema.faults(of: value) == []) }
            #expect(values.map { $0["event"]?.string } == events)
            #expect(values.last?["shown"]?.array?.count == (format == "json" ? 1 : 0))
        }
    }

    @Test("the exit code is that of the heaviest finding that is asked for")
    func exits() async throws {
        let refused = capture(TestSpeech.alert(40))
        #expect(try await run(refused).output.status == .findings)
        #expect(try await run(refused, "--sni", "b.test,*.c.test,-").output.status == .clean)
        #expect(try await run(refused, "--port", "1").output.status == .clean)
        let cut = Array(capture().dropLast(3))
        #expect(try await run(cut).output.status == .clean)
        #expect(try await run(cut, "--fail-on", "warn").output.status == .findings)
        #expect(try await run(cut, "--fail-on", "info").written.contains("warn  truncated-capture"))
        #expect(try await run(capture(), "--fail-on", "info").output.status == .clean)
        #expect(try await run(capture() + [1, 0, 0, 0, 1, 0, 0, 0]).output.status == .findings)
    }

    @Test("the example of the documentation is what the tool says of the capture beside it")
    func example() async throws {
        let docs = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../docs")
        let file = docs.appendingPathComponent("examples/hellos.pcap")
        let shown = try await run(Array(try Data(contentsOf: file)))
        #expect(shown.output.status == .findings)
        let page = try String(
            contentsOf: docs.appendingPathComponent("tlsinspect.md"),
            encoding: .utf8
        )
        let command = "$ tlsinspect read docs/examples/hellos.pcap\n"
        #expect(page.contains(command + shown.written + "$ echo $?\n1\n"))
    }

    @Test("what is compressed is refused with the way to read it")
    func compressed() async throws {
        let output = try await run([0x1f, 0x8b, 8, 0]).output
        #expect(output.status == .usage && output.text == "")
        #expect(output.errors.contains("gunzip -c FILE | tlsinspect read -"))
    }

    @Test("standard input is read as it comes, and SIGINT ends it with what is there")
    func signal() async throws {
        let process = Process()
        process.executableURL = try ProcessRun.product("tlsinspect")
        process.arguments = ["read", "-", "--format", "jsonl"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        process.terminationHandler = { _ in end.finish() }
        try process.run()
        defer { withExtendedLifetime((input, output)) {} }
        var lines = pipeLines(of: output.fileHandleForReading).makeAsyncIterator()
        let flow = TestFlow(client: 2)
        var second = CaptureWriter(.pcapng(resolution: nil))
        second.add(flow.opening[0])
        second.add(flow.packet(fromClient: true, at: 0, TestSpeech.hello))
        // The client's next record settles the first flow; the second one is not settled.
        var first = CaptureWriter(.pcapng(resolution: nil))
        let place = TestSpeech.hello.count
        first.add(TestFlow().packet(fromClient: true, at: place, TestSpeech.record(20, [1])))
        let all = capture() + first.bytes + second.bytes
        try input.fileHandleForWriting.write(contentsOf: Data(all))
        let told = try JSONValue(parsing: try #require(await lines.next()))
        #expect(told["event"] == "flow" && told["sni"] == "a.test")
        kill(process.processIdentifier, SIGINT)
        for await _ in ended {}
        #expect(process.terminationReason == .exit && process.terminationStatus == 0)
        let other = try JSONValue(parsing: try #require(await lines.next()))
        #expect(other["remote"] == "192.0.2.2:40000" && other["answer"]?["result"] == "none")
        let last = try JSONValue(parsing: try #require(await lines.next()))
        #expect(last["event"] == "summary" && last["flows"]?.number == 2 && last["file"] == "-")
        #expect(await lines.next() == nil)
    }

    @Test("a file of 240 MB takes less than half of that in memory")
    func large() async throws {
        let directory = try TemporaryDirectory()
        let file = URL(fileURLWithPath: directory.path + "/large.pcap")
        // One flow, then packets of its middle again and again.
        let flow = TestFlow()
        var writer = CaptureWriter()
        for packet in flow.opening { writer.add(packet) }
        let head = writer.bytes.count
        for number in 0..<700 {
            let bytes = [UInt8](repeating: UInt8(number & 127), count: 1460)
            writer.add(flow.packet(fromClient: true, at: number * 1460, bytes))
        }
        #expect(FileManager.default.createFile(atPath: file.path, contents: nil))
        let handle = try FileHandle(forWritingTo: file)
        try handle.write(contentsOf: Data(writer.bytes))
        let more = Data(writer.bytes[head...])
        for _ in 0..<240 { try handle.write(contentsOf: more) }
        try handle.close()
        // The limit counts what the process has written to, and its stacks; a sanitizer's shadow of the
        // memory, of terabytes, would count too.
        let limit = is_sanitized() == 0 ? "100000" : "unlimited"
        let script = "ulimit -d \(limit); exec \"$0\" read \"$1\" --format json"
        let tool = try ProcessRun.product("tlsinspect").path
        let run = try await ProcessRun(
            URL(fileURLWithPath: "/usr/bin/env"),
            ["bash", "-c", script, tool, file.path]
        )
        #expect(run.exitCode == 0 && run.errors == "")
        let value = try JSONValue(parsing: run.output)
        #expect(value["packets"]?.number == Double(3 + 700 * 241) && value["not_tls"]?.number == 1)
    }
}

/// The lines of a pipe, read by a thread of their own: waiting here would keep other tests waiting.
private func pipeLines(of handle: FileHandle) -> AsyncStream<String> {
    let (lines, feed) = AsyncStream.makeStream(of: String.self)
    let descriptor = handle.fileDescriptor
    Thread.detachNewThread {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while true {
            let count = unsafe read(descriptor, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count == 1 else { break }
            if byte == 10 {
                feed.yield(String(decoding: line, as: UTF8.self))
                line = []
            } else {
                line.append(byte)
            }
        }
        feed.finish()
    }
    return lines
}
