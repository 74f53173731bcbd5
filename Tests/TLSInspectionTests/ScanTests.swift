// Scans of servers that listen: this package's own, openssl's, and some that mean no good.

import Foundation
import Sockets
import Synchronization
import TLSTestKit
import Testing
import ToolFixtures
import Tooling

@testable import TLSInspection
@testable import tlsinspect

/// Makes sure that a report of any kind is what the schema says, and that its JSON gives it back.
@discardableResult
func conforming<Report: Codable & Equatable>(_ report: Report) throws -> Report {
    let text = JSONLine.text(of: report)
    #expect(try JSONSchema.inspector().faults(of: JSONValue(parsing: text)) == [])
    #expect(try JSONDecoder().decode(Report.self, from: Data(text.utf8)) == report)
    return report
}

@Suite(.timeLimit(.minutes(1)))
struct ScanTests {
    let bench: TestBench

    init() throws { bench = try TestBench() }

    private func scan(
        _ options: SocketListenerInit,
        failOn: Severity = .bad,
        _ configure: (inout ScanOptions) -> Void = { _ in }
    ) async throws -> ScanReport {
        try await withServer(options) { address in
            try await scan(address, failOn: failOn, configure)
        }
    }

    private func scan(
        _ address: SocketAddress,
        failOn: Severity = .bad,
        _ configure: (inout ScanOptions) -> Void = { _ in }
    ) async throws -> ScanReport {
        var options = ScanOptions(SocketAddress("a.test", port: address.port))
        options.connect = address
        options.rate = nil
        configure(&options)
        return try conforming(await Inspector(now: bench.now, failOn: failOn).scan(options))
    }

    @Test("a listener's policy is what a scan finds", arguments: [false, true])
    func listener(_ isFast: Bool) async throws {
        let options = try bench.listener {
            $0.ecdhCurve = "X25519:P-256:P-384"
            $0.cipherAlgorithms = [
                "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305",
                "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
            ]
        }
        let report = try await scan(options) { $0.isFast = isFast }
        #expect(report.result == .ok)
        #expect(report.exit == .clean)
        #expect(report.versions.filter(\.supported).map(\.version) == ["TLS1.2", "TLS1.3"])
        #expect(
            report.suites.first?.suites.map(\.name) == [
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            ]
        )
        #expect(report.suites.last?.suites.map(\.id) == ["1301", "1302", "1303"])
        #expect(report.groups.last?.groups.map(\.name) == ["x25519", "secp256r1", "secp384r1"])
        // In TLS 1.2 the curve of the certificate has to be offered, and this server likes it better.
        #expect(report.groups.first?.groups.map(\.name) == ["x25519", "secp256r1"])
        #expect(report.groups.count == 2)
        #expect(report.schemes.last?.schemes.map(\.name) == ["ecdsa_secp256r1_sha256"])
        #expect(report.alpn == .init(protocols: ["h2", "http/1.1"], noOverlap: .refuses))
        #expect(report.behaviours.filter { !$0.ok }.map(\.id) == [])
        #expect(report.behaviours.count == 8)
        #expect(report.target.address == "127.0.0.1")
        #expect(report.cost.unanswered == 0)
        if !isFast {
            #expect(report.cost.connections <= 70)
            #expect(report.cost.rounds <= 8)
        }
    }

    @Test("protocols of a server of TLS 1.3 alone are found by whole handshakes")
    func encryptedProtocols() async throws {
        let report = try await scan(try bench.listener { $0.minimumVersion = .tls13 })
        #expect(report.suites.map(\.version) == ["TLS1.3"])
        #expect(report.alpn == .init(protocols: ["h2", "http/1.1"], noOverlap: .refuses))
        #expect(!report.behaviours.contains { $0.id == .fallback })
    }

    @Test("a policy that is not kept is a finding, and the exit code tells")
    func policy() async throws {
        let options = try bench.listener()
        let good = try await scan(options) { $0.policy = .intermediate }
        #expect(good.policy?.name == "intermediate")
        let broken = try await scan(options) { $0.policy = .modern }
        #expect(broken.policy?.violations.contains("TLS1.2 is spoken") == true)
        #expect(broken.exit == .findings)
        let odd = ScanPolicy(
            name: "odd",
            versions: ["TLS1.2", "TLS1.3"],
            required: ["TLS1.1"],
            suites: ["TLS_AES_128_GCM_SHA256"],
            groups: ["secp521r1"]
        )
        let violations = try #require(
            try await scan(options) { $0.policy = odd }.policy?.violations
        )
        #expect(violations.contains("TLS1.1 is not spoken"))
        #expect(violations.contains("TLS1.3 takes TLS_AES_256_GCM_SHA384"))
        #expect(violations.contains("TLS1.3 takes x25519"))
    }

    @Test("versions and suites are those that openssl s_client finds, old ones too")
    func openssl() async throws {
        let directory = try TemporaryDirectory()
        let (cert, key) = (directory.path + "/cert.pem", directory.path + "/key.pem")
        let made = try await run(
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=a.test",
            "-keyout",
            key,
            "-out",
            cert
        )
        try #require(made.exitCode == 0)
        let listed = try await run("ciphers", "-s", "-tls1_2", "-V", "ALL:eNULL:@SECLEVEL=0")
        let offered: [(id: String, name: String)] = listed.output.split(separator: "\n").map {
            line in
            let words = line.split(separator: " ")
            let digits = words[0].split(separator: ",").map { $0.suffix(2) }.joined()
            return (digits.lowercased(), String(words[2]))
        }
        try await withOpenSSLServer([
            "-cert", cert, "-key", key, "-cipher", "ALL:eNULL:@SECLEVEL=0", "-min_protocol",
            "TLSv1",
            "-serverpref",
        ]) { address in
            // It serves one after the other.
            let report = try await scan(address) {
                $0.jobs = 1
                $0.waitLong()
            }
            #expect(
                report.versions.map(\.supported) == [false, true, true, true, true]
            )
            let found = try #require(report.suites.first { $0.version == "TLS1.2" })
            #expect(found.preference == .server)
            var taken: Set<String> = []
            for (id, name) in offered {
                let client = try await run(
                    "s_client",
                    "-connect",
                    "\(address)",
                    "-tls1_2",
                    "-cipher",
                    "\(name):@SECLEVEL=0"
                )
                if client.exitCode == 0 { taken.insert(id) }
            }
            #expect(Set(found.suites.map(\.id)) == taken, "\(report.unknown) \(report.cost)")
            #expect(taken.count > 30)
            #expect(report.findings.contains { $0.id == "old-version" })
            #expect(report.exit == .findings)
        }
    }

    @Test(
        "suites and groups of a server of 30 suites are those that sslscan finds"
    )
    func many() async throws {
        let directory = try TemporaryDirectory()
        let (cert, key) = (directory.path + "/cert.pem", directory.path + "/key.pem")
        let made = try await run(
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=a.test",
            "-keyout",
            key,
            "-out",
            cert
        )
        try #require(made.exitCode == 0)
        try await withOpenSSLServer([
            "-cert", cert, "-key", key, "-cipher", "ECDHE:kRSA:!PSK:!SRP:!eNULL:!aNULL",
        ]) { address in
            let report = try await scan(address) {
                $0.rate = 200
                $0.jobs = 1
                $0.waitLong()
            }
            #expect(report.unknown == [])
            let rival = try await ProcessRun(
                URL(fileURLWithPath: "/usr/bin/env"),
                ["sslscan", "--no-colour", "--xml=-", "\(address)"]
            )
            let pattern = /sslversion="TLSv1\.([23])"[^>]*cipher="[^"]*" id="0x([0-9A-F]+)"/
            let theirs = rival.output.matches(of: pattern).map { "1.\($0.1) \($0.2.lowercased())" }
            let ours = report.suites.flatMap { suites in
                suites.suites.map { suites.version.suffix(3) + " " + $0.id }
            }
            try #require(theirs.count > 25)
            #expect(Set(ours).isSuperset(of: theirs))
            let groups = rival.output.matches(
                of: /<group sslversion="TLSv1\.3"[^>]* id="0x([0-9a-fA-F]+)"/
            )
            let ownGroups = Set(report.groups.last?.groups.map(\.id) ?? [])
            #expect(!groups.isEmpty)
            #expect(ownGroups.isSuperset(of: groups.map { $0.1.lowercased() }))
        }
    }

    @Test("30 suites of nginx are known after 8 round trips and 70 connections, or 3 round trips")
    func cost() async throws {
        let directory = try TemporaryDirectory()
        let (cert, key) = (directory.path + "/cert.pem", directory.path + "/key.pem")
        let made = try await run(
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=a.test",
            "-keyout",
            key,
            "-out",
            cert
        )
        try #require(made.exitCode == 0)
        let server = """
            server {
                listen %SOCKET% ssl http2; ssl_protocols TLSv1.2 TLSv1.3;
                ssl_certificate \(cert); ssl_certificate_key \(key);
                ssl_ciphers ECDHE:kRSA:!PSK:!SRP:!eNULL:!aNULL;
            }
            """
        try await withNginx(in: directory.path, server) { address in
            var facts: [[String]] = []
            for isFast in [false, true] {
                let report = try await scan(address) {
                    $0.isFast = isFast
                    $0.waitLong()
                    if isFast { $0.jobs = 384 } else { $0.rate = 200 }
                }
                #expect(report.unknown == [])
                #expect(report.cost.rounds <= (isFast ? 3 : 8), "\(report.cost)")
                if !isFast { #expect(report.cost.connections <= 70) }
                #expect(report.suites.first.map { $0.suites.count >= 25 } == true)
                #expect(report.alpn?.protocols == ["h2", "http/1.1"])
                let numbers = report.suites.flatMap { $0.suites.map(\.id) }
                let preferences = report.suites.map { $0.preference?.rawValue ?? "-" }
                let groups = report.groups.flatMap { $0.groups.map(\.id) }
                let schemes = report.schemes.flatMap { $0.schemes.map(\.id) }
                facts.append(numbers + preferences + groups + schemes)
            }
            #expect(facts[0] == facts[1])
        }
    }

    @Test("what a server no longer answers is told as not known, and never as not there")
    func limited() async throws {
        let count = Mutex(0)
        let options = SocketListenerInit(type: .tcp, local: SocketAddress("127.0.0.1", port: 0))
        let report = try await withServer(options) { socket in
            guard let hello = try await socket.read() else { return }
            let place = count.withLock {
                $0 += 1
                return $0
            }
            // After so many it hangs up without a word; before, it refuses all but TLS 1.2.
            guard place <= 5 else { return }
            let isTLS12 = hello.count > 10 && hello[9] == 3 && hello[10] == 3
            let isNewer =
                hello.count > 100
                && hello.indices.dropLast(6).contains {
                    hello[$0] == 0 && hello[$0 + 1] == 43 && hello[$0 + 2] == 0
                        && hello[$0 + 3] == 3
                }
            guard isTLS12, !isNewer else {
                return try await socket.write([21, 3, 3, 0, 2, 2, 70])
            }
            var flight: [UInt8] = [2, 0, 0, 38, 3, 3] + [UInt8](repeating: 7, count: 32)
            flight += [0, 0, 0x9c, 0, 14, 0, 0, 0]
            try await socket.write([22, 3, 3, 0, UInt8(flight.count)] + flight)
        } _: { address in
            try await scan(address)
        }
        #expect(report.versions.filter(\.supported).map(\.version) == ["TLS1.2"])
        #expect(report.unknown.contains("suites.TLS1.2"))
        #expect(report.unknown.contains("preference.TLS1.2"))
        #expect(report.cost.unanswered > 0)
        #expect(report.findings.contains { $0.id == "unanswered" })
    }

    private func run(_ arguments: String...) async throws -> ProcessRun {
        try await ProcessRun(URL(fileURLWithPath: "/usr/bin/env"), ["openssl"] + arguments)
    }

    @Test(
        "what is no TLS server is a failure with a code of its own, in bounded time",
        arguments: [
            ("rubbish", InspectionReport.Outcome.notTLS), ("end", .closed), ("alert", .alert),
            ("silence", .timeout), ("drip", .timeout), ("flood", .notTLS),
        ]
    )
    func hostile(_ kind: String, _ result: InspectionReport.Outcome) async throws {
        let options = SocketListenerInit(type: .tcp, local: SocketAddress("127.0.0.1", port: 0))
        let report = try await withServer(options) { socket in
            _ = try await socket.read()
            switch kind {
            case "rubbish": try await socket.write("220 mail.test ESMTP\r\n")
            case "alert": try await socket.write([21, 3, 3, 0, 2, 2, 80])
            case "silence": try await readToEnd(socket)
            case "drip":
                // A byte for each of the client's; it sends no more.
                try await socket.write([22])
                try await readToEnd(socket)
            case "flood":
                while true { try await socket.write([UInt8](repeating: 65, count: 60000)) }
            default: break
            }
        } _: { address in
            try await scan(address) {
                $0.timeout = result == .timeout ? .milliseconds(300) : .seconds(20)
            }
        }
        #expect(report.result == result)
        #expect(report.exit == .noHandshake)
        #expect(report.error != nil)
        #expect(report.cost.connections <= 5 + ScanLimits.probesInRound)
    }

    @Test("a closed port is told after one round")
    func refused() async throws {
        let report = try await scan(try unusedAddress())
        #expect(report.result == .refused)
        #expect(report.exit == .noConnection)
        #expect(report.error?.code == "connection_refused")
        #expect(report.cost.connections == 5)
    }

    @Test("no more connections are open at once than was allowed")
    func jobs() async throws {
        let report = try await scan(try bench.listener()) {
            $0.jobs = 1
        }
        #expect(report.result == .ok)
        // Nothing is opened ahead: each connects, and is answered.
        #expect(report.cost.rounds == 2 * report.cost.connections)
    }

    @Test("the pace is kept: so many at once, the others one behind the other")
    func pace() async {
        var pacer = Pacer(jobs: 3, rate: 100)
        let clock = ContinuousClock()
        let start = clock.now
        let times = await pacer.each(Array(0..<8)) { _ in clock.now - start }
        #expect(times.count == 8)
        // The first three at once, then one each 10 ms.
        #expect(times[7] >= .milliseconds(45))
    }
}

extension ScanOptions {
    /// A machine that is busy with other tests is no server that does not answer.
    mutating func waitLong() { (timeout, patience) = (.seconds(40), .seconds(40)) }
}
