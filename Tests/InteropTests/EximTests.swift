// Our client against exim4, which speaks TLS with GnuTLS, over STARTTLS of SMTP (RFC 3207).

import Foundation
import Sockets
import TLSTestKit
import Testing

/// A mail server that inherits its listening socket, and stores nothing.
struct EximServer: Sendable {
    let version: ProtocolVersion

    func run(
        _ certificate: IssuedCertificate,
        _ body: (SocketAddress) async throws -> Void
    ) async throws {
        let directory = try TemporaryDirectory()
        let files = try certificate.write(to: directory.path)
        let path = directory.path + "/exim.conf"
        try configuration(directory.path, files)
            .write(toFile: path, atomically: false, encoding: .utf8)
        let listener = try InheritedListener()
        try await ForeignProcess.runUnprivileged(
            .exim,
            ["-C", path, "-bw"],
            directory: directory.path,
            input: listener.handle
        ) { _ in
            try await body(listener.address)
        }
    }

    private func configuration(_ directory: String, _ files: CertificateFiles) -> String {
        let user = ForeignProcess.unprivilegedUser
        return """
            primary_hostname = \(Authorities.host)
            exim_user = \(user)
            exim_group = \(user)
            keep_environment =
            spool_directory = \(directory)/spool
            log_file_path = \(directory)/%slog
            notifier_socket =
            tls_advertise_hosts = *
            tls_certificate = \(files.chain)
            tls_privatekey = \(files.key)
            tls_require_ciphers = NORMAL:-VERS-ALL:+VERS-TLS\(version == .tls12 ? "1.2" : "1.3")
            host_lookup =
            rfc1413_hosts =
            queue_only = true
            acl_smtp_rcpt = recipient
            acl_smtp_data = message
            begin acl
            recipient:
              deny local_parts = facts
                message = $tls_in_ver $tls_in_sni
              accept
            message:
              discard

            """
    }
}

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("exim", .serialized, .needs(.exim, .setpriv))
    struct EximTests {
        /// Connects, hears that TLS is there, and has it granted.
        private func ask(_ address: SocketAddress) async throws -> DialogueReader {
            let socket = try Socket(SocketInit(remote: address))
            var reader = DialogueReader(socket)
            _ = try await reader.lines { $0.hasPrefix("220 ") }
            try await socket.write("EHLO it\r\n")
            let abilities = try await reader.lines { $0.hasPrefix("250 ") }
            #expect(abilities.contains("250-STARTTLS"))
            try await socket.write("STARTTLS\r\n")
            _ = try await reader.lines { $0.hasPrefix("220 ") }
            return reader
        }

        private func members(_ version: ProtocolVersion) throws -> TLSSocketInit {
            let trust = try Authorities.shared.get().trust()
            return TLSSocketInit {
                $0.trust = trust
                $0.servername = Authorities.host
                $0.minimumVersion = version
            }
        }

        @Test("a mail is taken under TLS", arguments: HandshakeRow.versions)
        func mail(_ version: ProtocolVersion) async throws {
            let certificate = try Authorities.shared.get().serverCertificate(HandshakeRow())
            try await EximServer(version: version).run(certificate) { address in
                var reader = try await ask(address)
                let socket = reader.socket
                let info = try await socket.startTLS(
                    try members(version),
                    unread: reader.rest
                )
                #expect(info.version == version)
                #expect(info.verificationStatus == "ok")
                for (line, code) in [
                    ("EHLO it", "250 "), ("MAIL FROM:<a@x.test>", "250 "),
                    ("RCPT TO:<facts@x.test>", "550 "), ("RCPT TO:<b@x.test>", "250 "),
                    ("DATA", "354 "),
                ] {
                    try await socket.write(line + "\r\n")
                    let answer = try await reader.lines { $0.dropFirst(3).first == " " }
                    #expect(answer.last?.hasPrefix(code) == true, "\(answer)")
                    if line == "EHLO it" { #expect(!answer.contains("250-STARTTLS")) }
                    if code == "550 " {
                        let facts =
                            "550 TLS\(version == .tls12 ? "1.2" : "1.3") \(Authorities.host)"
                        #expect(answer == [facts])
                    }
                }
                let lines = String(
                    repeating: String(repeating: "x", count: 78) + "\r\n",
                    count: 10_000
                )
                try await socket.write("Subject: it\r\n\r\n\(lines).\r\n")
                let answer = try await reader.line()
                #expect(answer?.hasPrefix("250 ") == true)
                try await socket.write("QUIT\r\n")
                #expect(try await reader.line()?.hasPrefix("221 ") == true)
                try await socket.close()
            }
            RowTally.count("exim", .client, .upgrade)
        }

        @Test(
            "a certificate that must be refused ends the connection",
            arguments: HandshakeRow.versions,
            [HandshakeRow.ServerCertificate.wrongName, .untrusted, .expired]
        )
        func refusal(
            _ version: ProtocolVersion,
            _ kind: HandshakeRow.ServerCertificate
        ) async throws {
            let certificate = try Authorities.shared.get()
                .serverCertificate(HandshakeRow(server: kind))
            try await EximServer(version: version).run(certificate) { address in
                let reader = try await ask(address)
                let error = await #expect(throws: SocketError.self) {
                    try await reader.socket.startTLS(try members(version), unread: reader.rest)
                }
                #expect(error?.code == .certificateRejected)
                #expect(error?.phase == .certificate)
                #expect(await reader.socket.closed.error == error)
            }
            RowTally.count("exim", .client, .refusal)
        }
    }
}
