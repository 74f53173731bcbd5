// `serve`, asked by this package's own client, by curl, and by a raw client that says what no browser
// would. What a browser makes of the page is in BrowserTests, and in docs/images/serve.png.

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
struct ServeTests {
    /// Runs the command on a port of the system's choice, while a closure runs.
    ///
    /// - Returns: What it announced, and how it ended.
    private func serve(
        _ arguments: [String] = [],
        _ body: @escaping @Sendable (SocketAddress) async throws -> Void
    ) async throws -> (said: String, output: tlsinspect.ToolOutput) {
        let said = Mutex("")
        let failure = Mutex<(any Error)?>(nil)
        let surroundings = ToolSurroundings(
            now: UnixTime(seconds: TestCA.wallClock()),
            announce: { text in said.withLock { $0 += text } },
            waitForEnd: {
                do {
                    let text = said.withLock { $0 }
                    let match = try #require(text.firstMatch(of: /127\.0\.0\.1:(\d+)/))
                    let port = try #require(UInt16(match.1))
                    try await body(SocketAddress("127.0.0.1", port: port))
                } catch {
                    failure.withLock { $0 = error }
                }
            }
        )
        let output = await Tool.run(["serve", "127.0.0.1:0"] + arguments, in: surroundings)
        if let error = failure.withLock({ $0 }) { throw error }
        return (said.withLock { $0 }, output)
    }

    /// Sends a request, and gives the head and the body of the answer.
    private func ask(
        _ request: String,
        _ address: SocketAddress,
        _ configure: (inout SocketInit) -> Void = { _ in }
    ) async throws -> (head: String, body: String) {
        var options = SocketInit(type: .tls, remote: address) {
            $0.trust = TrustPolicy.acceptAnything(because: "what is tested is not trust")
        }
        configure(&options)
        return try await withSocket(options) { socket in
            try await socket.write("\(request) HTTP/1.1\r\nHost: x\r\n\r\n")
            var answer: [UInt8] = []
            for try await chunk in try socket.stream() { answer += chunk }
            let text = String(decoding: answer, as: UTF8.self)
            let parts = text.split(separator: "\r\n\r\n", maxSplits: 1).map(String.init)
            return (parts.first ?? "", parts.count > 1 ? parts[1] : "")
        }
    }

    private func decoded(_ json: String) throws -> HelloReport {
        #expect(try JSONSchema.inspector().faults(of: JSONValue(parsing: json)) == [])
        return try JSONDecoder().decode(HelloReport.self, from: Data(json.utf8))
    }

    @Test("a client is told what it said, and what was agreed on")
    func json() async throws {
        let (said, output) = try await serve { address in
            let (head, body) = try await ask("GET /json", address) {
                $0.servername = "browser.test"
                $0.alpn = ["http/1.1", "x<b>"]
                $0.ecdhCurve = "X25519:P-256"
            }
            #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n"))
            let report = try decoded(body)
            #expect(report.sni == "browser.test")
            #expect(report.alpn == ["http/1.1", "x<b>"])
            #expect(report.groups.map(\.id) == ["001d", "0017"])
            #expect(report.groups.first?.name == "x25519")
            #expect(report.versions.map(\.name) == ["TLS1.3", "TLS1.2"])
            #expect(
                report.extensions.contains { $0.id == "002b" && $0.name == "supported_versions" }
            )
            #expect(report.negotiated?.version == "TLS1.3")
            #expect(report.negotiated?.alpn == "http/1.1")
            #expect(report.negotiated?.group == "x25519")
            #expect(report.ja4.hasPrefix("t13d"))
            #expect(report.ja3?.count == 32)
            #expect(!report.grease)
        }
        #expect(output.status == .clean)
        #expect(output.errors == "")
        #expect(said.contains("https://127.0.0.1:"))
    }

    @Test("the page holds the same, escaped, and refers to nothing elsewhere")
    func page() async throws {
        _ = try await serve { address in
            let (head, body) = try await ask("GET /?x=1", address) {
                $0.alpn = ["http/1.1", "<script>'\"&\u{202e}"]
            }
            #expect(head.contains("Content-Type: text/html; charset=utf-8"))
            #expect(head.contains("default-src 'none'"))
            #expect(body.contains("&lt;script&gt;&#39;&quot;&amp;\u{fffd}"))
            #expect(!body.contains("<script"))
            #expect(!body.contains("http://") && !body.contains("https://"))
            #expect(body.contains("supported_groups"))
            #expect(body.contains("TLS_AES_256_GCM_SHA384"))
            #expect(body.contains("name=\"viewport\""))
        }
    }

    @Test(
        "other targets and methods are refused",
        arguments: [
            ("GET /favicon.ico", "404"), ("POST /", "405"), ("HEAD /", "200"),
            ("GET /json/", "404"),
            ("nonsense", "405"),
        ]
    )
    func others(_ request: String, _ status: String) async throws {
        _ = try await serve { address in
            let (head, body) = try await ask(request, address)
            #expect(head.hasPrefix("HTTP/1.1 \(status) "))
            if request.hasPrefix("HEAD") { #expect(body == "") }
        }
    }

    @Test("two clients at once are each told their own")
    func twoClients() async throws {
        _ = try await serve { address in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<16 {
                    group.addTask {
                        let name = "client\(number).test"
                        let (_, body) = try await ask("GET /json", address) {
                            $0.servername = name
                        }
                        #expect(try decoded(body).sni == name)
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("a request without end and a client of plain HTTP get no page, and the next one does")
    func hostile() async throws {
        _ = try await serve { address in
            let long = "GET /" + String(repeating: "x", count: 40_000)
            let answer = try? await ask(long, address)
            #expect(answer?.head.contains("200") != true)
            try await withSocket(SocketInit(remote: address)) { socket in
                try await socket.write("GET / HTTP/1.1\r\n\r\n")
                let bytes = (try? await socket.read()) ?? nil
                #expect(bytes?.starts(with: "HTTP".utf8) != true)
            }
            let head = try await ask("GET /json", address).head
            #expect(head.contains("200"))
        }
    }

    @Test("curl trusts the root it is given, and sees itself")
    func curl() async throws {
        let directory = try TemporaryDirectory()
        _ = try await serve { address in
            let root = try await ask("GET /root.pem", address).body
            let file = directory.path + "/root.pem"
            try root.write(toFile: file, atomically: true, encoding: .utf8)
            let run = try await ProcessRun(
                URL(fileURLWithPath: "/usr/bin/env"),
                [
                    "curl", "-sS", "--cacert", file, "--connect-to", "::\(address)",
                    "https://localhost/json",
                ]
            )
            #expect(run.exitCode == 0, "\(run.errors)")
            let report = try decoded(run.output)
            #expect(report.sni == "localhost")
            #expect(report.alpn == ["h2", "http/1.1"])
            #expect(report.negotiated?.alpn == "http/1.1")
        }
    }

    @Test("JSON announces where it listens; --cert shows that certificate and has no root")
    func ownCertificate() async throws {
        let directory = try TemporaryDirectory()
        let issued = try TestCA().issue("own.test")
        let file = directory.path + "/own.pem"
        try (issued.chainPEM + issued.privateKeyPEM)
            .write(toFile: file, atomically: true, encoding: .utf8)
        let (said, output) = try await serve(["--cert", file, "--format", "json"]) { address in
            let head = try await ask("GET /root.pem", address).head
            #expect(head.contains("404"))
            let report = await Inspector(now: UnixTime(seconds: TestCA.wallClock()))
                .run(Probe(address))
            #expect(report.chain.first?.san.dns == ["own.test"])
        }
        #expect(said.filter(\.isNewline).count == 1)
        let value = try JSONValue(parsing: said)
        #expect(try JSONSchema.inspector().faults(of: value) == [])
        #expect(value["command"]?.string == "serve")
        #expect(output.text == "")
        #expect(output.status == .clean)
    }

    @Test("what cannot be served says so", arguments: ["text", "json"])
    func failures(_ format: String) async throws {
        let taken = try SocketListener(
            SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0))
        )
        let cases: [([String], TLSInspection.ExitStatus)] = [
            (["\(taken.localAddress)"], .noConnection), (["a b"], .usage),
            (["--key", "x"], .usage),
            (["127.0.0.1:0", "--cert", "/nowhere.pem"], .usage),
        ]
        for (arguments, status) in cases {
            let surroundings = ToolSurroundings(now: UnixTime(seconds: TestCA.wallClock()))
            let output = await Tool.run(
                ["serve"] + arguments + ["--format", format],
                in: surroundings
            )
            #expect(output.status == status)
            #expect(output.errors != "")
            guard format == "json" else {
                #expect(output.text == "")
                continue
            }
            let value = try JSONValue(parsing: output.text)
            #expect(try JSONSchema.inspector().faults(of: value) == [])
            #expect(value["exit"]?.number == Double(status.rawValue))
        }
        await taken.close()
    }
}
