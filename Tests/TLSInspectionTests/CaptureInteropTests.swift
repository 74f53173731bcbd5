// Captures held against tshark, which reads the same files: what real clients and servers said to each other,
// recorded between them, in the forms that Wireshark's own tools write. Nothing here needs a right to capture.

import Foundation
import Sockets
import Synchronization
import TLSTestKit
import Testing
import ToolFixtures

@testable import TLSInspection

/// Records what a client and a server say to each other, by being between them.
private final class Recorder: Sendable {
    private let sent = Mutex<[(flow: Int, fromClient: Bool, bytes: [UInt8])]>([])
    private let count = Mutex(0)

    /// Carries connections to a server while a closure runs, which is given where to connect.
    func relay(to server: SocketAddress, _ body: (SocketAddress) async throws -> Void) async throws
    {
        let options = SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0))
        try await withServer(options) { [self] client in
            let flow = count.withLock {
                $0 += 1
                return $0
            }
            try await withSocket(SocketInit(remote: server)) { backend in
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { [self] in await carry(client, backend, flow, fromClient: true) }
                    group.addTask { [self] in await carry(backend, client, flow, fromClient: false)
                    }
                }
            }
        } _: { address in
            try await body(address)
        }
    }

    /// Carries one direction; a client that has ended has heard all that it wanted.
    private func carry(_ source: Socket, _ sink: Socket, _ flow: Int, fromClient: Bool) async {
        do throws(SocketError) {
            while let bytes = try await source.read() {
                sent.withLock { $0.append((flow, fromClient, bytes)) }
                try await sink.write(bytes)
            }
            if fromClient { sink.abort() } else { try await sink.shutdownWrite() }
        } catch {
            source.abort()
            sink.abort()
        }
    }

    /// What was said as a capture, each flow with its own port, in packets of at most 1,000 bytes.
    func capture(_ form: CaptureWriter.Form = .pcap(nanoseconds: false), layer: TestFlow.Layer)
        -> [UInt8]
    {
        var writer = CaptureWriter(form, link: layer.number)
        var places: [Int: (client: Int, server: Int)] = [:]
        for (number, fromClient, bytes) in sent.withLock({ $0 }) {
            let flow = TestFlow(layer: layer, clientPort: 40000 + number)
            if places[number] == nil {
                for packet in flow.opening { writer.add(packet) }
            }
            var place = places[number] ?? (0, 0)
            for start in stride(from: 0, to: bytes.count, by: 1000) {
                let piece = Array(bytes[start..<min(start + 1000, bytes.count)])
                let (mine, other) = fromClient ? place : (place.server, place.client)
                writer.add(
                    flow.packet(fromClient: fromClient, at: mine, piece, acknowledging: other)
                )
                if fromClient { place.client += piece.count } else { place.server += piece.count }
            }
            places[number] = place
        }
        return writer.bytes
    }
}

/// What is compared of a flow.
private struct FlowFacts: Hashable, Comparable {
    var port: String
    var sni = ""
    var alpn = ""
    var ja3 = ""
    var suite = ""
    var chosenALPN = ""

    static func < (left: FlowFacts, right: FlowFacts) -> Bool { left.port < right.port }
}

@Suite(.timeLimit(.minutes(1)))
struct CaptureInteropTests {
    let bench: TestBench

    init() throws { bench = try TestBench(now: UnixTime(seconds: TestCA.wallClock())) }

    private func run(_ arguments: String...) async throws -> ProcessRun {
        try await ProcessRun(URL(fileURLWithPath: "/usr/bin/env"), arguments)
    }

    /// What tshark says of the hellos of a file.
    private func tshark(_ file: String) async throws -> [FlowFacts] {
        let fields = [
            "tls.handshake.type", "tcp.srcport", "tcp.dstport",
            "tls.handshake.extensions_server_name",
            "tls.handshake.extensions_alpn_str", "tls.handshake.ja3", "tls.handshake.ciphersuite",
        ]
        let run = try await ProcessRun(
            URL(fileURLWithPath: "/usr/bin/env"),
            ["tshark", "-n", "-r", file, "-Y", "tls.handshake.type in {1,2}", "-T", "fields"]
                + ["-E", "separator=|"] + fields.flatMap { ["-e", $0] }
        )
        try #require(run.exitCode == 0, "\(run.errors)")
        var facts: [String: FlowFacts] = [:]
        for line in run.output.split(separator: "\n") {
            let row = line.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
            if row[0].hasPrefix("1") {
                // Of two hellos the first is ours.
                guard facts[row[1]] == nil else { continue }
                facts[row[1]] = FlowFacts(port: row[1], sni: row[3], alpn: row[4], ja3: row[5])
            } else {
                facts[row[2]]?.suite = String(row[6].dropFirst(2))
                facts[row[2]]?.chosenALPN = row[4]
            }
        }
        return facts.values.sorted()
    }

    /// What is read here of a file.
    private func ours(_ file: String) throws -> [FlowFacts] {
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
        return try inspected(bytes).flows.map { flow in
            FlowFacts(
                port: String(flow.hello.remote.split(separator: ":").last ?? ""),
                sni: flow.hello.sni ?? "",
                alpn: flow.hello.alpn.joined(separator: ","),
                ja3: flow.hello.ja3 ?? "",
                suite: flow.answer?.suite?.id ?? "",
                chosenALPN: flow.answer?.alpn ?? ""
            )
        }
        .sorted()
    }

    private func compare(_ file: String, count: Int) async throws {
        let (mine, theirs) = (try ours(file), try await tshark(file))
        #expect(mine == theirs && mine.count == count, "\(file)")
        #expect(mine.allSatisfy { $0.ja3.count == 32 && $0.suite != "" })
    }

    /// Certificate and key of a server in one file.
    private func certificate(in directory: String) throws -> String {
        let issued = try bench.intermediate.issue(TestBench.lasting)
        let file = directory + "/server.pem"
        try (issued.chainPEM + issued.privateKeyPEM).write(
            toFile: file,
            atomically: true,
            encoding: .utf8
        )
        return file
    }

    @Test("what s_client, gnutls-cli and curl say to s_server is what tshark makes of it")
    func openssl() async throws {
        let directory = try TemporaryDirectory()
        let file = try certificate(in: directory.path)
        let recorder = Recorder()
        try await withOpenSSLServer(
            ["-cert", file, "-key", file, "-alpn", "h2,http/1.1"]
                + ["-groups", "P-384:X25519", "-www"]
        ) { server in
            try await recorder.relay(to: server) { address in
                let place = ["-connect", "\(address)", "-alpn", "http/1.1,h2"]
                for more in [
                    ["-tls1_3", "-servername", "a.test"], ["-tls1_2", "-servername", "x.b.test"],
                    ["-tls1_2", "-noservername"],
                    ["-groups", "P-256:P-384", "-servername", "a.test"],
                ] {
                    _ = try await ProcessRun(
                        URL(fileURLWithPath: "/usr/bin/env"),
                        ["openssl", "s_client"] + place + more
                    )
                }
                _ = try await run(
                    "gnutls-cli",
                    "--insecure",
                    "-p",
                    "\(address.port)",
                    "--sni-hostname",
                    "g.test",
                    "--alpn",
                    "h2",
                    "127.0.0.1"
                )
                _ = try await run(
                    "curl",
                    "-sk",
                    "--http1.1",
                    "-o",
                    "/dev/null",
                    "https://localhost:\(address.port)/"
                )
            }
        }
        for (form, layer) in [
            (.pcap(nanoseconds: true), .twoTags), (.pcapng(resolution: 9), .cooked2),
        ] as [(CaptureWriter.Form, TestFlow.Layer)] {
            let path = directory.path + "/\(layer)"
            try Data(recorder.capture(form, layer: layer)).write(to: URL(fileURLWithPath: path))
            try await compare(path, count: 6)
        }
        let flows = try inspected(recorder.capture(layer: .raw)).flows
        #expect(
            flows.map(\.hello.sni) == ["a.test", "x.b.test", nil, "a.test", "g.test", "localhost"]
        )
        #expect(
            flows.map(\.answer?.version) == [
                "TLS1.3", "TLS1.2", "TLS1.2", "TLS1.3", "TLS1.3", "TLS1.3",
            ]
        )
        #expect(
            flows[1].answer?.certificates.map(\.names) == [
                ["a.test", "*.b.test", "127.0.0.1", "::1"]
            ]
        )
        #expect(flows[1].answer?.alpn == "h2" && flows[1].answer?.group?.name == "x25519")
        #expect(flows[3].retry?.name == "secp384r1" && flows[0].findings == [])
    }

    @Test("what curl says to nginx, and who refuses whom in TLS 1.2, is what tshark makes of it")
    func nginx() async throws {
        let directory = try TemporaryDirectory()
        let file = try certificate(in: directory.path)
        let recorder = Recorder()
        let server = """
            server {
                listen %SOCKET% ssl default_server;
                server_name a.test;
                ssl_certificate \(file); ssl_certificate_key \(file);
            }
            server { listen %SOCKET% ssl; server_name refused.test; ssl_reject_handshake on; }
            """
        try await withNginx(in: directory.path, server) { socket in
            try await recorder.relay(to: socket) { address in
                for (name, more) in [
                    ("a.test", ["-k"]), ("a.test", ["-k", "--tls-max", "1.2"]),
                    ("a.test", ["--tls-max", "1.2"]), ("refused.test", ["-k"]),
                ] {
                    let place = ["--resolve", "\(name):\(address.port):127.0.0.1"]
                    _ = try await ProcessRun(
                        URL(fileURLWithPath: "/usr/bin/env"),
                        ["curl", "-s", "-o", "/dev/null"] + place + more + [
                            "https://\(name):\(address.port)/"
                        ]
                    )
                }
            }
        }
        let (flows, summary) = try inspected(recorder.capture(layer: .ethernet))
        #expect(flows.count == 4 && summary.answered == 3 && summary.refused == 2)
        #expect(summary.exit == .findings)
        // A client of TLS 1.2 says in clear that it does not trust the certificate.
        #expect(flows[2].alert?.from == .client && flows[2].alert?.name == "unknown_ca")
        #expect(flows[3].alert?.from == .server && flows[3].alert?.number == 112)
        let path = directory.path + "/nginx.pcap"
        try Data(recorder.capture(layer: .ethernet)).write(to: URL(fileURLWithPath: path))
        let theirs = try await tshark(path)
        #expect(try ours(path) == theirs && theirs.count == 4)
        let alerts = try await run(
            "tshark",
            "-n",
            "-r",
            path,
            "-Y",
            "tls.alert_message.level==2",
            "-T",
            "fields",
            "-e",
            "tls.alert_message.desc"
        )
        #expect(alerts.output.split(separator: "\n") == ["48", "112"])
        try await convert(path, directory.path)
    }

    /// The same in the forms that Wireshark's tools write, and two files in one.
    private func convert(_ file: String, _ directory: String) async throws {
        let facts = try ours(file)
        for form in ["pcap", "nsecpcap", "pcapng"] {
            let path = "\(directory)/\(form)"
            let run = try await run("editcap", "-F", form, file, path)
            try #require(run.exitCode == 0, "\(run.errors)")
            #expect(try ours(path) == facts, "\(form)")
        }
        // The packets out of order, one of ten twice.
        let merged = directory + "/merged"
        let twice = try await run(
            "mergecap",
            "-w",
            merged,
            "-F",
            "pcapng",
            file,
            directory + "/nsecpcap"
        )
        try #require(twice.exitCode == 0, "\(twice.errors)")
        #expect(try ours(merged) == facts)
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: merged)))
        #expect(
            try inspected(bytes).flows.allSatisfy {
                !$0.findings.contains { $0.id == "missing-bytes" }
            }
        )
        let cut = directory + "/cut"
        let snapped = try await run("editcap", "-s", "200", file, cut)
        try #require(snapped.exitCode == 0, "\(snapped.errors)")
        let short = Array(try Data(contentsOf: URL(fileURLWithPath: cut)))
        let summary = try inspected(short, filter: .everything).summary
        #expect(summary.findings == [] && summary.flows == 4)
    }

    @Test("a hello in hexadecimal, made a capture by text2pcap, is read")
    func text() async throws {
        let directory = try TemporaryDirectory()
        let digits = TestSpeech.hello.map { byte in
            (byte < 16 ? " 0" : " ") + String(byte, radix: 16)
        }
        let file = directory.path + "/hello.txt"
        try ("0000" + digits.joined() + "\n").write(toFile: file, atomically: true, encoding: .utf8)
        for (form, ends) in [("pcap", "-4"), ("nsecpcap", "-6"), ("pcapng", "-4")] {
            let path = directory.path + "/\(form)"
            let addresses = ends == "-4" ? "192.0.2.1,192.0.2.2" : "2001:db8::1,2001:db8::2"
            let made = try await run(
                "text2pcap",
                "-q",
                "-F",
                form,
                ends,
                addresses,
                "-T",
                "40000,443",
                file,
                path
            )
            try #require(made.exitCode == 0, "\(made.errors)")
            let flows = try inspected(Array(try Data(contentsOf: URL(fileURLWithPath: path)))).flows
            #expect(flows.count == 1 && flows.first?.hello.sni == "a.test", "\(form)")
            #expect(flows.first?.isWhole == false)
        }
    }
}
