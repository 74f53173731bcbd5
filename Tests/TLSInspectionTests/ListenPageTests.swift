// `listen --terminate`: the page of `serve` for those whom the map sends nowhere, asked for by curl and by
// openssl s_client, beside backends and beside what is no TLS.

import Foundation
import Sockets
import Synchronization
import TLSTestKit
import Testing
import ToolFixtures
import Tooling

@testable import TLSInspection
@testable import tlsinspect

@Suite(.timeLimit(.minutes(1)))
struct ListenPageTests {
    /// Runs the command on a port of the system's choice while a closure runs; gives the lines of `jsonl`.
    private func listen(
        _ arguments: [String],
        _ body: @escaping @Sendable (SocketAddress) async throws -> Void
    ) async throws -> [JSONValue] {
        let said = Mutex("")
        let failure = Mutex<(any Error)?>(nil)
        let surroundings = ToolSurroundings(
            now: UnixTime(seconds: TestCA.wallClock()),
            announce: { text in said.withLock { $0 += text } },
            waitForEnd: {
                do {
                    let text = said.withLock { $0 }
                    let match = try #require(text.firstMatch(of: /127\.0\.0\.1:(\d+)/))
                    try await body(
                        SocketAddress("127.0.0.1", port: try #require(UInt16(match.1)))
                    )
                } catch {
                    failure.withLock { $0 = error }
                }
            }
        )
        let output = await Tool.run(
            ["listen", "127.0.0.1:0", "--terminate", "--format", "jsonl"] + arguments,
            in: surroundings
        )
        if let error = failure.withLock({ $0 }) { throw error }
        #expect(output.status == .clean && output.errors == "")
        let text = said.withLock { $0 } + output.text
        let values = try text.split(separator: "\n").map { try JSONValue(parsing: String($0)) }
        for value in values { #expect(try JSONSchema.inspector().faults(of: value) == []) }
        return values
    }

    private func curl(_ arguments: [String], _ address: SocketAddress) async throws -> ProcessRun {
        try await ProcessRun(
            URL(fileURLWithPath: "/usr/bin/env"),
            ["curl", "-sS", "--connect-to", "::\(address)"] + arguments
        )
    }

    private func decoded(_ json: String) throws -> HelloReport {
        #expect(try JSONSchema.inspector().faults(of: JSONValue(parsing: json)) == [])
        return try JSONDecoder().decode(HelloReport.self, from: Data(json.utf8))
    }

    @Test(
        "curl sees itself in both versions, and each connection is told",
        arguments: ["1.2", "1.3"]
    )
    func curl(_ version: String) async throws {
        let directory = try TemporaryDirectory()
        let lines = try await listen([]) { address in
            let bounds = ["--tlsv\(version)", "--tls-max", version]
            let root = try await curl(["-k", "https://localhost/root.pem"], address)
            let file = directory.path + "/root.pem"
            try root.output.write(toFile: file, atomically: true, encoding: .utf8)
            let run = try await curl(
                bounds + ["--cacert", file, "https://localhost/json"],
                address
            )
            #expect(run.exitCode == 0, "\(run.errors)")
            let report = try decoded(run.output)
            #expect(report.sni == "localhost" && report.negotiated?.version == "TLS" + version)
        }
        #expect(
            lines.map { $0["event"]?.string }
                == ["listening", "connection", "connection", "summary"]
        )
        #expect(lines[2]["backend"] == "page" && lines[2]["sni"] == "localhost")
        #expect(lines.last?["answered"]?.number == 2 && lines.last?["forwarded"]?.number == 0)
    }

    @Test("openssl s_client gets the page in both versions", arguments: ["-tls1_2", "-tls1_3"])
    func sClient(_ version: String) async throws {
        _ = try await listen([]) { address in
            let command =
                "printf 'GET /json HTTP/1.1\\r\\n\\r\\n' | "
                + "openssl s_client -quiet -connect \(address) \(version) -servername x.test -alpn http/1.1"
            let run = try await ProcessRun(
                URL(fileURLWithPath: "/usr/bin/env"),
                ["bash", "-c", command]
            )
            let body = try #require(run.output.split(separator: "\r\n\r\n", maxSplits: 1).last)
            let report = try decoded(String(body))
            #expect(report.sni == "x.test" && report.alpn == ["http/1.1"])
        }
    }

    @Test("names of the map go to their backends, the others get the page, each of a crowd its own")
    func beside() async throws {
        try await withServer(SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0))) {
            socket in
            _ = try await socket.read()
            try await socket.write("a backend")
        } _: { backend in
            let lines = try await listen(["--forward", "a.test=\(backend)"]) { address in
                try await withSocket(SocketInit(remote: address)) { socket in
                    try await socket.write(Cut.table[0].pieces[0])
                    #expect(try await socket.read() == Array("a backend".utf8))
                }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<16 {
                        group.addTask {
                            let url = "https://client\(number).test/json"
                            let run = try await curl(["-k", url], address)
                            #expect(try decoded(run.output).sni == "client\(number).test")
                        }
                    }
                    try await group.waitForAll()
                }
                try await withSocket(SocketInit(remote: address)) { socket in
                    try await socket.write("GET / HTTP/1.1\r\n\r\n")
                    while try await socket.read() != nil {}
                }
            }
            let summary = try #require(lines.last)
            #expect(summary["forwarded"]?.number == 1 && summary["answered"]?.number == 16)
            #expect(summary["not_tls"]?.number == 1 && summary["undelivered"]?.number == 0)
        }
    }

    @Test("a certificate of one's own is shown, and a hello in pieces gets the page too")
    func ownCertificate() async throws {
        let directory = try TemporaryDirectory()
        let authority = try TestCA(validity: .days(-1...30))
        let issued = try authority.issue("own.test")
        let file = directory.path + "/own.pem"
        try (issued.chainPEM + issued.privateKeyPEM)
            .write(toFile: file, atomically: true, encoding: .utf8)
        let root = directory.path + "/root.pem"
        try authority.certificatePEM.write(toFile: root, atomically: true, encoding: .utf8)
        _ = try await listen(["--cert", file]) { address in
            let run = try await curl(["--cacert", root, "https://own.test/json"], address)
            #expect(run.exitCode == 0, "\(run.errors)")
            #expect(try decoded(run.output).sni == "own.test")
            // The server's answer to a hello of 20 KB, a record or an alert of its own.
            try await withSocket(SocketInit(remote: address)) { socket in
                let cut = Cut(testDescription: "", size: 20 << 10, records: [1000], segments: [7])
                for piece in cut.pieces { try await socket.write(piece) }
                let first = try await socket.read()
                #expect(first?.first == 22)
            }
        }
    }

    @Test(
        "combinations without sense are wrong usage",
        arguments: [
            ["--terminate", "--forward", "*=unix:/a"],
            ["--terminate", "--forward", "a.test=unix:/a,*=unix:/b"],
            ["--cert", "chain.pem"], ["--terminate", "--key", "key.pem"],
            ["--terminate", "--proxy", "v1"], ["--terminate", "--cert", "/nonexistent.pem"],
            ["--threads", "0"], ["--threads", "257"],
        ]
    )
    func usage(_ arguments: [String]) async throws {
        let surroundings = ToolSurroundings(now: testTime)
        let text = await Tool.run(["listen", "127.0.0.1:0"] + arguments, in: surroundings)
        #expect(text.status == .usage && text.text == "" && text.errors != "")
        let json = await Tool.run(
            ["listen", "127.0.0.1:0", "--format", "json"] + arguments,
            in: surroundings
        )
        #expect(json.status == .usage)
        #expect(try JSONSchema.inspector().faults(of: JSONValue(parsing: json.text)) == [])
    }

    @Test(
        "told to be quiet it says where it listens, and the sum",
        arguments: OutputOptions.Format.allCases
    )
    func quiet(_ format: OutputOptions.Format) async throws {
        let said = Mutex("")
        let surroundings = ToolSurroundings(
            now: testTime,
            announce: { text in said.withLock { $0 += text } },
            note: { text in said.withLock { $0 += text } },
            waitForEnd: {
                let text = said.withLock { $0 }
                guard let match = text.firstMatch(of: /127\.0\.0\.1:(\d+)/),
                    let port = UInt16(match.1)
                else { return }
                try? await withSocket(SocketInit(remote: SocketAddress("127.0.0.1", port: port))) {
                    socket in
                    try await socket.write(Cut.table[0].pieces[0])
                    while try await socket.read() != nil {}
                }
            }
        )
        let output = await Tool.run(
            ["listen", "127.0.0.1:0", "-q", "--format", format.rawValue],
            in: surroundings
        )
        #expect(output.status == .clean && !said.withLock { $0 }.contains("a.test"))
        guard format != .text else {
            #expect(output.text.contains("1 connection · 1 TLS"))
            return
        }
        let value = try JSONValue(parsing: output.text)
        #expect(try JSONSchema.inspector().faults(of: value) == [])
        #expect(value["connections"]?.number == 1 && value["shown"]?.array?.isEmpty == true)
        #expect(value["unshown"]?.number == 0)
    }
}
