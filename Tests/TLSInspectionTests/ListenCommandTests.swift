// `tlsinspect listen` as a command: its three forms, its exit codes, and its end by a signal.

import Foundation
import Glibc
import Sockets
import Synchronization
import TLSTestKit
import Testing
import ToolFixtures
import Tooling

@testable import TLSInspection
@testable import tlsinspect

@Suite(.timeLimit(.minutes(1)))
struct ListenCommandTests {
    @Test(
        "wrong usage exits with 2",
        arguments: [
            ["listen"], ["listen", "a b"], ["listen", "127.0.0.1"],
            ["listen", "127.0.0.1:0", "--proxy", "v1"],
            ["listen", "127.0.0.1:0", "--forward", ""],
            ["listen", "127.0.0.1:0", "--forward", "a.test"],
            ["listen", "127.0.0.1:0", "--forward", "=unix:/a"],
            ["listen", "127.0.0.1:0", "--forward", "a*=unix:/a"],
            ["listen", "127.0.0.1:0", "--forward", "alpn:=unix:/a"],
            ["listen", "127.0.0.1:0", "--forward", "a.test=unix:/a,A.test=unix:/b"],
            ["listen", "127.0.0.1:0", "--forward", "a.test=127.0.0.1"],
            ["listen", "127.0.0.1:0", "--forward", "*=unix:/a", "--proxy", "v3"],
            ["listen", "127.0.0.1:0", "--timeout", "0"], ["listen", "127.0.0.1:0", "--idle", "-1"],
            ["listen", "127.0.0.1:0", "--connections", "0"],
            ["listen", "unix:/nonexistent/a.sock"],
        ]
    )
    func usage(_ arguments: [String]) async throws {
        let text = await Tool.run(arguments, in: ToolSurroundings(now: testTime))
        #expect(text.status == .usage && text.text == "" && text.errors != "")
        let json = await Tool.run(
            arguments + ["--format", "json"],
            in: ToolSurroundings(now: testTime)
        )
        #expect(json.status == .usage)
        let value = try JSONValue(parsing: json.text)
        #expect(try JSONSchema.inspector().faults(of: value) == [])
    }

    @Test(
        "each form tells what came; with JSON there is nothing else",
        arguments: OutputOptions.Format.allCases
    )
    func forms(_ format: OutputOptions.Format) async throws {
        let directory = try TemporaryDirectory()
        let place = SocketAddress("unix:" + directory.path + "/listen.sock", port: 0)
        let (shown, feed) = AsyncStream.makeStream(of: String.self)
        let (ending, end) = AsyncStream.makeStream(of: Void.self)
        let written = Mutex("")
        let surroundings = ToolSurroundings(
            now: testTime,
            announce: { text in
                written.withLock { $0 += text }
                feed.yield(text)
            },
            note: { feed.yield($0) },
            waitForEnd: { for await _ in ending {} }
        )
        async let run = Tool.run(
            ["listen", place.address, "--format", format.rawValue],
            in: surroundings
        )
        var lines = shown.makeAsyncIterator()
        #expect(await lines.next()?.contains("listening") == true)
        for piece in [Cut.table[0].pieces[0], Array("HELO a\r\n".utf8)] {
            try await withSocket(SocketInit(remote: place)) { socket in
                try await socket.write(piece)
                while try await socket.read() != nil {}
            }
        }
        end.finish()
        let output = await run
        #expect(output.status == .clean && output.errors == "")
        let all = written.withLock { $0 } + output.text
        guard format != .text else {
            #expect(
                all.contains("a.test") && all.contains("h2,http/1.1") && all.contains("1.3,1.2")
            )
            #expect(all.contains("not TLS: \"HELO a\\r\\n\""))
            #expect(all.contains("2 connections · 1 TLS · 0 without servername · 1 not TLS"))
            return
        }
        let values = try all.split(separator: "\n").map { try JSONValue(parsing: String($0)) }
        for value in values { #expect(try JSONSchema.inspector().faults(of: value) == []) }
        let events = values.map { $0["event"]?.string }
        #expect(
            events
                == (format == .json
                    ? ["summary"] : ["listening", "connection", "connection", "summary"])
        )
        #expect(values.last?["shown"]?.array?.count == (format == .json ? 2 : 0))
        #expect(values.last?["connections"]?.number == 2)
    }

    @Test("SIGINT ends the program with a summary and 0, also while connections are open")
    func signal() async throws {
        let process = Process()
        process.executableURL = try ProcessRun.product("tlsinspect")
        process.arguments = ["listen", "127.0.0.1:0", "--format", "jsonl"]
        let output = Pipe()
        process.standardOutput = output
        process.standardInput = FileHandle.nullDevice
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        process.terminationHandler = { _ in end.finish() }
        try process.run()
        // The handle lives as long as the pipe, which is let go of at the end.
        defer { withExtendedLifetime(output) {} }
        var lines = lines(of: output.fileHandleForReading).makeAsyncIterator()
        let first = try JSONValue(parsing: try #require(await lines.next()))
        let address = try SocketAddress(parsing: try #require(first["local"]?.string))
        let socket = try Socket(SocketInit(remote: address))
        defer { socket.abort() }
        try await socket.write([22, 3, 1])
        // Served behind the one that waits, so that one has been taken.
        try await withSocket(SocketInit(remote: address)) { second in
            try await second.write("QUIT\r\n")
            while try await second.read() != nil {}
        }
        #expect(try JSONValue(parsing: try #require(await lines.next()))["result"] == "not_tls")
        kill(process.processIdentifier, SIGINT)
        for await _ in ended {}
        #expect(process.terminationReason == .exit && process.terminationStatus == 0)
        let last = try JSONValue(parsing: try #require(await lines.next()))
        #expect(last["event"] == "summary" && last["not_tls"]?.number == 1)
        #expect(await lines.next() == nil)
    }

    /// The lines of a pipe, read by a thread of their own: waiting here would keep other tests waiting.
    private func lines(of handle: FileHandle) -> AsyncStream<String> {
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
}
