// `tlscerts` without its process: every command's JSON against the published schema, what each exit code
// stands for, and what help says.

import Foundation
import Sockets
import Synchronization
import TLSTestKit
import TLSTestServers
import Testing
import ToolFixtures
import Tooling

@testable import tlscerts

private typealias ExitStatus = tlscerts.ExitStatus

@Suite(.timeLimit(.minutes(1))) final class ToolTests: Sendable {
    /// Read once: all output is held against it.
    private static let schema = Result { try JSONSchema.published(for: "tlscerts") }

    private let directory: TemporaryDirectory
    private var path: String { directory.path }

    init() throws { directory = try TemporaryDirectory() }

    /// Runs a command to its end.
    ///
    /// - Parameters:
    ///   - arguments: What the command is told.
    ///   - days: How far the clock is ahead.
    ///   - whileServing: Runs when a server waits for its end, with what it announced.
    /// - Returns: All it wrote.
    /// - Throws: What `whileServing` throws.
    private func run(
        _ arguments: [String],
        days: Int64 = 0,
        whileServing: @escaping @Sendable (String) async throws -> Void = { _ in }
    ) async throws -> tlscerts.ToolOutput {
        let said = Mutex("")
        let error = Mutex<(any Error)?>(nil)
        let surroundings = ToolSurroundings(
            now: UnixTime(seconds: TestCA.wallClock() + days * 86400),
            announce: { text in said.withLock { $0 += text } },
            waitForEnd: {
                do { try await whileServing(said.withLock { $0 }) } catch let failure {
                    error.withLock { $0 = failure }
                }
            }
        )
        var output = await Tool.run(arguments, in: surroundings)
        if let error = error.withLock({ $0 }) { throw error }
        output.text = said.withLock { $0 } + output.text
        return output
    }

    /// Runs a command with `--format json`; its output must be one line that is as the schema says.
    private func json(
        _ arguments: [String],
        days: Int64 = 0,
        expecting status: ExitStatus = .clean,
        whileServing: @escaping @Sendable (String) async throws -> Void = { _ in }
    ) async throws -> JSONValue {
        let output = try await run(
            arguments + ["--format", "json"],
            days: days,
            whileServing: whileServing
        )
        #expect(output.status == status, "\(output.errors)")
        #expect(output.text.filter(\.isNewline).count == 1)
        let value = try JSONValue(parsing: output.text)
        #expect(try Self.schema.get().faults(of: value) == [])
        if let exit = value["exit"]?.number { #expect(Int(exit) == status.rawValue) }
        return value
    }

    /// The kinds of findings of `check`, by file, without those that have none.
    private func findings(_ report: JSONValue) -> [String: [String]] {
        var result: [String: [String]] = [:]
        for file in report["files"]?.array ?? [] {
            let kinds = (file["findings"]?.array ?? []).compactMap { $0["id"]?.string }
            if !kinds.isEmpty { result[file["file"]?.string ?? ""] = kinds }
        }
        return result
    }

    // MARK: JSON

    @Test("what make, check and list write is as the schema says")
    func files() async throws {
        let made = try await json(["make", "a.test", "-o", path, "--p12"])
        #expect(made["p12"]?.string == path + "/identity.p12")
        #expect(made["fault"] == nil)
        let fine = try await json(["check", path])
        let names = fine["files"]?.array?.compactMap { $0["file"]?.string }
        #expect(names == ["ca-key.pem", "ca.pem", "chain.pem", "key.pem", "root.pem"])
        let late = try await json(["check", path], days: 80, expecting: .findings)
        #expect(findings(late) == ["chain.pem": ["expires-soon"]])
        let over = try await json(["check", path], days: 4000, expecting: .findings)
        let expired = ["ca.pem", "chain.pem", "root.pem"].map { ($0, ["expired"]) }
        #expect(findings(over) == Dictionary(uniqueKeysWithValues: expired))
        let list = try await json(["list"])
        let counts = [
            CertificateFault.allCases.count, ClientCertificateFault.allCases.count - 1,
            TransportFault.allCases.count, RevocationFault.allCases.count,
        ]
        #expect(list["faults"]?.array?.count == counts.reduce(0, +))
    }

    @Test("the schema finds what is not as it says", arguments: ["schema", "command", "chain"])
    func faulty(_ key: String) async throws {
        var value = try await json(["make", "a.test", "-o", path])
        value[key] = nil
        #expect(try Self.schema.get().faults(of: value) != [])
        value[key] = .number(1)
        #expect(try Self.schema.get().faults(of: value) != [])
    }

    @Test("what the servers announce is as the schema says, and true")
    func servers() async throws {
        let root = path + "/root.pem"
        let zoo = try await json(["zoo", "--port", "0", "-o", path]) { said in
            let port = try #require(JSONValue(parsing: said)["port"]?.number)
            let options = SocketInit(
                type: .tls,
                remote: SocketAddress("127.0.0.1", port: UInt16(port))
            ) {
                $0.servername = "expired.zoo.test"
                $0.trust = TrustPolicy(anchors: (try? Certificate.read(file: root)) ?? [])
            }
            let error = await #expect(throws: SocketError.self) {
                try await withSocket(options) { _ = try await $0.ready }
            }
            #expect(error?.tls?.verification?.code == .expired)
        }
        #expect(zoo["ca"]?.string == root)
        _ = try await json(["make", "a.test", "-o", path])
        let ocsp = try await json(["ocsp", path, "--port", "0", "--revoke", path + "/chain.pem"])
        #expect(ocsp["revoked"]?.number == 1)
        #expect(ocsp["fault"] == nil)
        for fault in OCSPFault.allCases {
            let ocsp = try await json(["ocsp", path, "--port", "0", "--fault", fault.rawValue])
            #expect(ocsp["fault"]?.string == fault.rawValue)
        }
    }

    // MARK: Exit codes

    @Test("failures are as the schema says, with the exit codes that are documented")
    func failures() async throws {
        let usage = try await json(["make"], expecting: .usage)
        #expect(usage["error"]?["code"] == "wrong_usage")
        let none = try await json(["check", path], expecting: .usage)
        #expect(none["error"]?["code"] == "nothing_found")
        let unreadable = try await json(["ocsp", path + "/none"], expecting: .usage)
        #expect(unreadable["error"]?["code"] == "file_system")
        let refused = try await json(["make", "example.com", "-o", path], expecting: .usage)
        #expect(refused["error"]?["code"] == "authority_refused")
        let local = try await json(["make", "bücher.test", "-o", path], expecting: .usage)
        #expect(local["error"]?["code"] == "invalid_name")
        try "rubbish".write(toFile: path + "/ca.pem", atomically: true, encoding: .utf8)
        let rubbish = try await json(["make", "a.test", "-o", path], expecting: .usage)
        #expect(rubbish["error"]?["code"] == "unusable_authority")
    }

    @Test("a port that is taken exits with 3, as text and as JSON")
    func takenPort() async throws {
        _ = try await json(["make", "a.test", "-o", path])
        let listener = try SocketListener(
            SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0))
        )
        let port = "\(listener.localAddress.port)"
        for arguments in [["zoo", "--port", port], ["ocsp", path, "--port", port]] {
            let text = try await run(arguments)
            #expect(text.status == .noListener)
            #expect(text.text == "" && text.errors.hasPrefix("tlscerts: "))
            let failure = try await json(arguments, expecting: .noListener)
            #expect(failure["error"]?["code"] == "address_in_use")
        }
        await listener.close()
    }

    @Test(
        "options that cannot be meant are wrong usage",
        arguments: [
            [""], ["a b"], ["a.test", "b.test", "--client"], ["a.test", "--name", "a/b"],
            ["a.test", "--key", "rsa1"],
            ["a.test", "--days", "3651"], ["a.test", "--fault", "expired", "--key", "rsa"],
            ["a.test", "b.test", "--fault", "expired"], ["a.test", "--fault", "wrongKey"],
            ["a.test", "--client", "--fault", "none"],
            ["a.test", "--fault", "expired", "--any-name"],
        ]
    )
    func meaningless(_ arguments: [String]) async throws {
        let output = try await run(["make", "-o", path] + arguments)
        #expect(output.status == .usage)
        #expect(output.text == "" && output.errors.hasPrefix("Error: "))
        #expect(try FileManager.default.contentsOfDirectory(atPath: path).isEmpty)
    }

    // MARK: make

    @Test(
        "each kind of key makes a certificate with that key, and a server that works",
        // Keys that take seconds to make come one after the other, or all cores make keys.
        .serialized,
        arguments: TestKey.allCases.map(\.word) + ["rsa", "rsa-pss"]
    )
    func keys(_ kind: String) async throws {
        // In a process: keys that take seconds to make would hold up the tests of this one.
        let made = try await ProcessRun(
            try ProcessRun.product("tlscerts"),
            ["make", "localhost", "-o", path, "--key", kind]
        )
        #expect(made.exitCode == 0, "\(made.errors)")
        let check = try await run(["check", path])
        #expect(check.status == .clean, "\(check.text)")
        let key = try #require(TestKey(argument: kind))
        // What no sound server takes can be made all the same.
        guard ![.rsa1024, .rsa512, .p192, .dsa2048].contains(key) else { return }
        let identity = try TLSIdentity(
            certificateFile: path + "/chain.pem",
            privateKeyFile: path + "/key.pem"
        )
        let options = SocketListenerInit(
            type: .tls,
            local: SocketAddress("127.0.0.1", port: 0),
            identity: identity
        )
        let anchors = try Certificate.read(file: path + "/root.pem")
        let listener = try SocketListener(options)
        async let serving: Void = listener.serve { try await $0.write("hello") }
        let greeting = try await withSocket(
            SocketInit(type: .tls, remote: listener.localAddress) {
                $0.servername = "localhost"
                $0.trust = TrustPolicy(anchors: anchors)
            }
        ) { try await $0.read() }
        #expect(greeting == Array("hello".utf8))
        await listener.close()
        try await serving
    }

    @Test(
        "with --fault, root.pem is what shows that fault and no other",
        // The second of one of them may be over by the time it is looked at.
        arguments: CertificateFault.allCases.filter { $0 != .expiresInOneSecond }
    )
    func faults(_ fault: CertificateFault) async throws {
        let name = CertificateZoo.label(fault.name)
        let made = try await json([
            "make", "a.test", "-o", path, "--fault", name, "--name", name,
        ])
        #expect(made["expected"]?.string == "\(fault.verdict)")
        let host = try #require(made["host"]?.string)
        var verification = ChainVerification(
            anchors: try Certificate.read(file: "\(path)/\(name)-root.pem").map(\.der),
            unixSeconds: TestCA.wallClock()
        )
        verification.purpose = .server
        verification.securityLevel = 2
        if host == "127.0.0.1" {
            verification.address = host
        } else {
            verification.host = host
        }
        let chain = try Certificate.read(file: "\(path)/\(name)-chain.pem").map(\.der)
        let verdict = try verification.verify(chain)
        #expect(verdict.code == fault.verifyCode, "\(verdict)")
    }

    @Test("with --client --fault, the certificate is the client's and the root the server's")
    func clientFaults() async throws {
        for fault in ClientFault.all {
            let made = try await json(
                ["make", "bob", "--client", "-o", path, "--fault", fault.name]
            )
            #expect(made["fault"]?.string == fault.name)
            let leaf = try #require(try Certificate.read(file: path + "/chain.pem").first)
            #expect(leaf.shortName == "bob")
        }
        let root = try Certificate.read(file: path + "/root.pem")
        #expect(root.count == 1 && root[0].isSelfSigned)
    }

    // MARK: Help

    @Test("help names every exit code, has examples for each command, and fits a terminal")
    func help() async throws {
        let all = try await run(["--help"])
        for status in ExitStatus.allCases {
            #expect(all.text.contains("\n  \(status.rawValue) "))
        }
        var texts = [all]
        for command in ["make", "list", "zoo", "ocsp", "check"] {
            let text = try await run([command, "--help"])
            #expect(text.text.contains("EXAMPLES\n  tlscerts \(command)"))
            #expect(text.text.contains("USAGE: tlscerts \(command)"))
            texts.append(text)
        }
        for help in texts {
            #expect(help.status == .clean && help.errors == "")
            for line in help.text.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
        }
        #expect(try await run(["--version"]).text == "tlscerts \(Tool.version)\n")
    }
}
