// STARTTLS against our listener: one connection of a program of others, in one protocol.

import Foundation
import Sockets
import TLSTestKit
import Testing

/// One conversation that goes over to TLS.
struct UpgradeRow: Sendable, CustomTestStringConvertible {
    let dialogue: UpgradeDialogue
    let version: ProtocolVersion

    var testDescription: String { "\(dialogue), \(version)" }

    static func rows(_ dialogues: [UpgradeDialogue]) -> [UpgradeRow] {
        dialogues.flatMap { dialogue in
            HandshakeRow.versions.map { UpgradeRow(dialogue: dialogue, version: $0) }
        }
    }

    /// What each program knows.
    static let openssl = rows(UpgradeDialogue.allCases)
    static let gnutls = rows([.smtp, .lmtp, .pop3, .imap, .ftp, .sieve, .postgres])
    static let curl = rows([.smtp, .pop3, .imap])
    static let python = rows([.smtp, .pop3, .imap, .ftp])
}

/// What a connection that was to start TLS came to.
struct UpgradeOutcome: Sendable {
    var info: SocketInfo?
    var message: [String] = []
    var error: SocketError?
}

extension UpgradeRow {
    /// Runs a listener that speaks the protocol, and a client of others against it.
    ///
    /// - Parameter client: Runs the client, and looks at what it says.
    /// - Returns: What our side made of the connection.
    /// - Throws: ``ForeignFailure`` when the client cannot run, or made no connection.
    func expectUpgrade(
        _ client: (ClientSettings) async throws -> Void
    ) async throws -> UpgradeOutcome {
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let certificate = try authorities.serverCertificate(HandshakeRow())
        let files = try certificate.write(to: directory.path)
        let identity = try certificate.identity()
        let tls = try PreparedTLS(TLSSocketListenerInit { $0.identity = identity })
        let listener = try SocketListener(
            SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0))
        )
        let (outcomes, told) = AsyncStream<UpgradeOutcome>.makeStream()
        let serving = Task { [dialogue] in
            try await listener.serve { socket in
                var outcome = UpgradeOutcome()
                do {
                    outcome.message = try await dialogue.serve(socket, tls)
                } catch {
                    outcome.error = error as? SocketError
                }
                outcome.info = socket.info
                told.yield(outcome)
            }
        }
        defer { serving.cancel() }
        try await client(
            ClientSettings(
                directory: directory.path,
                address: listener.localAddress,
                root: files.root,
                version: version
            )
        )
        for await outcome in outcomes {
            await listener.close()
            return outcome
        }
        throw ForeignFailure(description: "no connection came")
    }

    /// Has a program that passes its input on say something under TLS, and goodbye.
    func expectProbe(
        _ name: String,
        _ program: ForeignProgram,
        _ arguments: @escaping (ClientSettings) -> [String]
    ) async throws {
        let outcome = try await expectUpgrade { settings in
            try await ForeignProcess.run(program, arguments(settings)) { process in
                try await process.write("\(dialogue.probe)\r\n")
                try await process.wait(forText: version.description)
                try await process.write("\(dialogue.farewell)\r\n")
                let state = try await process.wait()
                #expect(state.exitCode == 0, "\(state.text)")
            }
        }
        expectSecure(outcome)
        RowTally.count(name, .listener, .upgrade)
    }

    func expectSecure(_ outcome: UpgradeOutcome) {
        #expect(outcome.error == nil)
        #expect(outcome.info?.version == version)
        #expect(outcome.info?.report?.isComplete == true)
    }
}

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("STARTTLS", .serialized)
    struct UpgradeClientTests {
        @Test("s_client starts TLS", .needs(.openssl), arguments: UpgradeRow.openssl)
        func openssl(_ row: UpgradeRow) async throws {
            try await row.expectProbe("openssl s_client", .openssl) { settings in
                [
                    "s_client", "-quiet", "-starttls", row.dialogue.rawValue,
                    "-connect", settings.address.description,
                    "-servername", settings.host, "-verify_hostname", settings.host,
                    "-CAfile", settings.root, "-no-CApath", "-no-CAstore", "-verify_return_error",
                    settings.version == .tls12 ? "-tls1_2" : "-tls1_3",
                ]
            }
        }

        @Test("gnutls-cli starts TLS", .needs(.gnutlsClient), arguments: UpgradeRow.gnutls)
        func gnutls(_ row: UpgradeRow) async throws {
            try await row.expectProbe("gnutls-cli", .gnutlsClient) { settings in
                let version = settings.version == .tls12 ? "1.2" : "1.3"
                return [
                    "--port", "\(settings.address.port)",
                    "--starttls-proto", row.dialogue.rawValue,
                    "--verify-hostname", settings.host, "--sni-hostname", settings.host,
                    "--x509cafile", settings.root,
                    "--priority", "NORMAL:-VERS-ALL:+VERS-TLS\(version)",
                    settings.address.address,
                ]
            }
        }

        @Test("curl starts TLS, and insists on it", .needs(.curl), arguments: UpgradeRow.curl)
        func curl(_ row: UpgradeRow) async throws {
            let outcome = try await row.expectUpgrade { settings in
                let place = "\(settings.host):\(settings.address.port)"
                var arguments = [
                    "--silent", "--show-error", "--disable", "--noproxy", "*", "--ssl-reqd",
                    "--cacert", settings.root,
                    "--resolve", "\(place):\(settings.address.address)",
                ]
                arguments +=
                    row.version == .tls12 ? ["--tlsv1.2", "--tls-max", "1.2"] : ["--tlsv1.3"]
                if row.dialogue == .smtp {
                    let file = settings.directory + "/mail"
                    try Data("Subject: it\r\n\r\nhello\r\n".utf8)
                        .write(to: URL(fileURLWithPath: file))
                    arguments += ["--mail-from", "a@x.test", "--mail-rcpt", "b@x.test"]
                    arguments += ["--upload-file", file]
                }
                arguments.append("\(row.dialogue)://\(place)/")
                try await ForeignProcess.run(.curl, arguments) { process in
                    let state = try await process.wait()
                    #expect(state.exitCode == 0, "\(state.text)")
                    if row.dialogue == .pop3 {
                        #expect(state.text.contains(row.version.description))
                    }
                }
            }
            row.expectSecure(outcome)
            if row.dialogue == .smtp {
                #expect(outcome.message == ["Subject: it", "", "hello", "."])
            }
            RowTally.count("curl", .listener, .upgrade)
        }

        @Test(
            "Python's own clients start TLS",
            .needs(.python),
            arguments: UpgradeRow.python
        )
        func python(_ row: UpgradeRow) async throws {
            let outcome = try await row.expectUpgrade { settings in
                let arguments = [
                    peersDirectory + "/starttls.py", row.dialogue.rawValue,
                    settings.address.address, "\(settings.address.port)", settings.root,
                    row.version == .tls12 ? "TLSv1_2" : "TLSv1_3",
                ]
                try await ForeignProcess.run(.python, arguments) { process in
                    let state = try await process.wait()
                    #expect(state.exitCode == 0, "\(state.text)")
                    let version = row.version == .tls12 ? "TLSv1.2" : "TLSv1.3"
                    #expect(state.text.contains(version), "\(state.text)")
                }
            }
            row.expectSecure(outcome)
            if row.dialogue == .smtp { #expect(outcome.message.contains("hello")) }
            RowTally.count("Python", .listener, .upgrade)
        }
    }

    // Serialized: each row is a process, see InteropTests.
    @Suite("psql", .serialized, .needs(.psql))
    struct PsqlTests {
        @Test(
            "psql asks for TLS, and has its query answered",
            arguments: HandshakeRow.versions,
            ["require", "verify-full"]
        )
        func query(_ version: ProtocolVersion, _ mode: String) async throws {
            let row = UpgradeRow(dialogue: .postgres, version: version)
            let outcome = try await row.expectUpgrade { settings in
                let state = try await run(row, settings, mode, host: settings.host)
                #expect(state.exitCode == 0, "\(state.text)")
                #expect(state.text == version.description + "\n")
            }
            row.expectSecure(outcome)
            #expect(outcome.info?.servername == Authorities.host)
            RowTally.count("psql", .listener, .upgrade)
        }

        @Test("psql goes when the name is wrong", arguments: HandshakeRow.versions)
        func wrongName(_ version: ProtocolVersion) async throws {
            let row = UpgradeRow(dialogue: .postgres, version: version)
            let outcome = try await row.expectUpgrade { settings in
                let state = try await run(row, settings, "verify-full", host: "other.test")
                #expect(state.exitCode == 2)
                #expect(state.text.contains("does not match host name \"other.test\""))
            }
            // It looks at the name when the handshake is done.
            #expect(outcome.info?.version == version)
            RowTally.count("psql", .listener, .refusal)
        }

        private func run(
            _ row: UpgradeRow,
            _ settings: ClientSettings,
            _ mode: String,
            host: String
        ) async throws -> ForeignState {
            let version = row.version == .tls12 ? "TLSv1.2" : "TLSv1.3"
            let words = [
                "host=\(host)", "hostaddr=\(settings.address.address)",
                "port=\(settings.address.port)", "sslmode=\(mode)",
                "sslrootcert=\(settings.root)", "ssl_min_protocol_version=\(version)",
                "ssl_max_protocol_version=\(version)", "user=alice", "dbname=it",
                "gssencmode=disable",
            ]
            let arguments = [
                "--no-psqlrc", "--no-align", "--tuples-only", "--command", "select version",
                words.joined(separator: " "),
            ]
            return try await ForeignProcess.run(.psql, arguments) { try await $0.wait() }
        }
    }
}
