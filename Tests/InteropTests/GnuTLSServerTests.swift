// Our client against gnutls-serv, which binds every address of the machine and cannot tell its port:
// Peers/loopback.c, compiled for the length of the suite and loaded into it, binds and tells for it.

import Glibc
import Sockets
import TLSTestKit
import Testing

struct GnuTLSServer: ForeignServer {
    let name = "gnutls-serv"
    let canIgnoreProtocols = true
    /// What it speaks beside the version.
    var priority = ""
    /// Further arguments.
    var options: [String] = []

    func run(
        _ settings: ServerSettings,
        _ body: (RunningServer) async throws -> Void
    ) async throws {
        let version = settings.version == .tls12 ? "TLS1.2" : "TLS1.3"
        var arguments = [
            "--port", "0", "--echo", "--crlf", "--priority",
            "NORMAL:-VERS-ALL:+VERS-\(version)\(priority)",
            "--x509certfile", settings.certificate.chain,
            "--x509keyfile", settings.certificate.key,
        ]
        if let clientRoot = settings.clientRoot { arguments += ["--x509cafile", clientRoot] }
        switch settings.clients {
        case .none: arguments.append("--disable-client-cert")
        case .request: arguments.append("--verify-client-cert")
        case .require: arguments += ["--require-client-cert", "--verify-client-cert"]
        }
        for name in settings.protocols { arguments += ["--alpn", name, "--alpn-fatal"] }
        arguments += options
        var environment = ForeignProcess.standardEnvironment
        environment["LD_PRELOAD"] = [LoopbackTrait.library, environment["LD_PRELOAD"]]
            .compactMap(\.self).joined(separator: ":")
        try await ForeignProcess.run(.gnutlsServ, arguments, environment: environment) { process in
            let port = try await process.wait(for: "it listened") { state in
                state.text.split(separator: "\n").lazy.filter { $0.hasPrefix("LISTENING ") }
                    .compactMap { UInt16($0.dropFirst(10)) }.first
            }
            try await body(RunningServer(address: .init("127.0.0.1", port: port), process: process))
        }
    }

    func converse(_ socket: Socket, _ row: HandshakeRow, _ server: RunningServer) async throws {
        try await socket.write("stressed\n")
        #expect(try await socket.read(exactly: 9) == Array("stressed\n".utf8))
    }

    func expectHeard(_ alert: Alert, _ row: HandshakeRow, _ server: RunningServer) async throws {
        // An alert of OpenSSL's client in TLS 1.3 is not encrypted, see ScriptedServer. Which alert
        // it is goes to standard output, and is lost there.
        let isLost = row.version == .tls13
        try await #require(server.process).wait(
            forText: isLost ? "Decryption has failed" : "A TLS fatal alert has been received"
        )
    }

    func verdict(_ row: HandshakeRow) -> ClientVerdict? {
        // So GnuTLS says that a list of certificates is empty, and that the program refuses one.
        refusal(row, absent: .decodeError, untrusted: Alert(49))
    }
}

/// Compiles Peers/loopback.c for the length of a suite.
struct LoopbackTrait: SuiteTrait, TestScoping {
    /// The compiled library, while the suite runs.
    @TaskLocal static var library: String?

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        let library = directory.path + "/loopback.so"
        let arguments = ["-shared", "-fPIC", "-O1", "-o", library, peersDirectory + "/loopback.c"]
        try await ForeignProcess.run(.clang, arguments) { process in
            let state = try await process.wait()
            guard state.exitCode == 0 else { throw process.failure("did not compile") }
        }
        try await Self.$library.withValue(library) { try await function() }
    }
}

extension Trait where Self == LoopbackTrait {
    /// Has servers bind the loopback interface, whatever they want.
    static var boundToLoopback: Self { LoopbackTrait() }
}

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("gnutls-serv", .serialized, .needs(.gnutlsServ, .clang), .boundToLoopback)
    struct GnuTLSServerTests {
        @Test(
            "our client and gnutls-serv agree, or refuse each other",
            arguments: HandshakeRow.all
        )
        func row(_ row: HandshakeRow) async throws {
            try await GnuTLSServer().expectRow(row)
        }

        @Test("a fingerprint stands for authority and name", arguments: HandshakeRow.versions)
        func fingerprints(_ version: ProtocolVersion) async throws {
            try await GnuTLSServer().expectFingerprints(version)
        }

        @Test("what gnutls-serv staples is judged", arguments: StapleRow.all)
        func staple(_ row: StapleRow) async throws {
            try await GnuTLSServer.expectStaple(row) {
                // It would look into the response before.
                GnuTLSServer(options: ["--ignore-ocsp-response-errors", "--ocsp-response", $0])
            }
        }

        @Test("a finite field is as large as both floors want", arguments: FieldRow.all)
        func field(_ row: FieldRow) async throws {
            let directory = try TemporaryDirectory()
            let file = try await FiniteField.write(row.bits, to: directory.path)
            try await GnuTLSServer(priority: ":-KX-ALL:+DHE-RSA", options: ["--dhparams", file])
                .expectField(row, at: directory.path)
        }

        @Test(
            "our client resumes its session",
            arguments: HandshakeRow.versions,
            CertificateDemand.ofResumption
        )
        func resumption(_ version: ProtocolVersion, _ clients: CertificateDemand) async throws {
            try await GnuTLSServer().expectResumption(version, clients: clients)
        }

        @Test("lines that go to gnutls-serv come back unchanged", arguments: EchoRow.all)
        func echo(_ row: EchoRow) async throws {
            try await withServer(row, row.feature) { socket, _ in
                try await socket.expectLines(row, areReversed: false)
                try await socket.close()
            }
        }

        @Test("a server that dies is a cut", arguments: HandshakeRow.versions)
        func cut(_ version: ProtocolVersion) async throws {
            try await withServer(EchoRow(version: version), .cut) { socket, process in
                try await socket.write("hello\n")
                #expect(try await socket.read(exactly: 6) == Array("hello\n".utf8))
                process.kill()
                #expect(try await process.wait().exitCode == -SIGKILL)
                let error = await #expect(throws: SocketError.self) { try await socket.read() }
                #expect(error == .cut)
                #expect(await socket.closed == .truncated)
            }
        }

        private func withServer(
            _ row: EchoRow,
            _ feature: InteropFeature,
            _ body: (Socket, ForeignProcess) async throws -> Void
        ) async throws {
            let authorities = try Authorities.shared.get()
            let directory = try TemporaryDirectory()
            let settings = try ServerSettings(row, directory)
            try await GnuTLSServer().run(settings) { server in
                let socket = try Socket(
                    SocketInit(type: .tls, remote: server.address) {
                        $0.servername = Authorities.host
                        $0.trust = try authorities.trust()
                    }
                )
                try await body(socket, #require(server.process))
            }
            RowTally.count("gnutls-serv", .client, feature)
        }
    }
}
