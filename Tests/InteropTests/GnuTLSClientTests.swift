// Our listener against gnutls-cli.

import Foundation
import Sockets
import TLSTestKit
import Testing

struct GnuTLSClient: ForeignClient {
    let name = "gnutls-cli"
    /// Further arguments.
    var options: [String] = []

    func send(_ request: HTTPMessage, _ settings: ClientSettings) async throws -> ClientResult {
        try await run(settings) { process in
            // It may refuse and be gone before it takes the request.
            try? await process.write(request.bytes)
            let state = try await process.wait()
            return ClientResult(
                exitCode: state.exitCode ?? -1,
                body: HTTPMessage.split(state.standardOutput),
                text: String(decoding: state.standardError, as: UTF8.self)
            )
        }
    }

    /// Runs it with data, and nothing else, on its standard output.
    func run<Result: Sendable>(
        _ settings: ClientSettings,
        _ body: (ForeignProcess) async throws -> Result
    ) async throws -> Result {
        let version = settings.version == .tls12 ? "TLS1.2" : "TLS1.3"
        var arguments = [
            "--port", "\(settings.address.port)", "--logfile", "/dev/stderr",
            "--priority", "NORMAL:-VERS-ALL:+VERS-\(version)",
            "--x509cafile", settings.root, "--verify-hostname", settings.host,
        ]
        arguments += settings.sendsName ? ["--sni-hostname", settings.host] : ["--disable-sni"]
        for name in settings.protocols { arguments += ["--alpn", name] }
        if let certificate = settings.certificate {
            arguments += ["--x509certfile", certificate.chain, "--x509keyfile", certificate.key]
        }
        return try await ForeignProcess.run(
            .gnutlsClient,
            arguments + options + [settings.address.address],
            body
        )
    }

    func verdict(_ row: HandshakeRow) -> ListenerVerdict? {
        if row.protocols == .disjoint {
            return ListenerVerdict(
                1,
                "alert [120]",
                SocketError(.handshakeFailed, tls: TLSError(.noApplicationProtocol)),
                .clientHello
            )
        }
        let judging: HandshakePhase = row.version == .tls12 ? .keyExchange : .finished
        let words: String? =
            switch row.server {
            case .good: nil
            case .wrongName: "The name in the certificate does not match the expected"
            case .untrusted: "The certificate issuer is unknown"
            case .expired: "The certificate chain uses expired certificate"
            }
        if let words {
            return ListenerVerdict(
                1,
                words,
                .alert(.badCertificate, .localCertificateRejected),
                judging
            )
        }
        switch row.client {
        case .unasked, .good, .volunteered, .declined: return nil
        case .absent:
            return ListenerVerdict(
                1,
                "alert [\(row.version == .tls12 ? 40 : 116)]",
                SocketError(.certificateRejected, tls: TLSError(.peerCertificateMissing)),
                .clientAuthentication
            )
        case .untrusted, .mistaken:
            return ListenerVerdict(
                1,
                "alert [48]",
                .clientRefused(.unableToGetIssuerLocally),
                .clientAuthentication
            )
        }
    }
}

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("gnutls-cli", .serialized, .needs(.gnutlsClient))
    struct GnuTLSClientTests {
        @Test("gnutls-cli takes our staple, and sees when there is none", arguments: StapleRow.all)
        func staple(_ row: StapleRow) async throws {
            let directory = try TemporaryDirectory()
            let file = directory.path + "/saved.der"
            let client = GnuTLSClient(options: ["--save-ocsp", file])
            try await client.expectStaple(row) { result, response, _ in
                #expect(result.exitCode == 0, "\(result.text)")
                let saved = FileManager.default.contents(atPath: file).map { Array($0) } ?? []
                #expect(saved == response ?? [])
            }
        }

        @Test(
            "our listener and gnutls-cli agree, or refuse each other",
            arguments: HandshakeRow.all
        )
        func row(_ row: HandshakeRow) async throws {
            try await GnuTLSClient().expectRow(row)
        }

        @Test(
            "what goes to gnutls-cli arrives, and so does what it sends then",
            arguments: EchoRow.all
        )
        func echo(_ row: EchoRow) async throws {
            try await withClient(row, row.feature) { process, socket in
                // It does not read while it sends, so one goes behind the other.
                // It writes each byte by itself: 100 MiB would take a minute.
                let first = EchoRow(
                    version: row.version,
                    count: min(row.count, mebibyte.count),
                    piece: row.piece
                )
                try await socket.send(first, andEnd: false)
                try await process.wait(for: "it received all") { state in
                    state.standardOutput.count >= first.count ? () : nil
                }
                async let written: Void = process.writeAndEnd(row)
                #expect(try await socket.receive(row) == row.count)
                try await written
                try await socket.close()
                let state = try await process.wait()
                #expect(
                    state.exitCode == 0,
                    "\(String(decoding: state.standardError, as: UTF8.self))"
                )
                #expect(hexadecimalDigest(state.standardOutput) == first.digest)
                #expect(await socket.closed == .clean(nil))
            }
        }

        @Test("an answer comes behind the end of gnutls-cli", arguments: HandshakeRow.versions)
        func theirHalfClose(_ version: ProtocolVersion) async throws {
            try await withClient(EchoRow(version: version), .halfClose) { process, socket in
                try await process.write("question")
                process.closeInput()
                #expect(try await socket.readToEnd() == Array("question".utf8))
                try await socket.write(mebibyte)
                try await socket.close()
                let state = try await process.wait()
                #expect(state.exitCode == 0)
                let isSame = state.standardOutput == mebibyte
                #expect(isSame)
            }
        }

        @Test("a client that dies is a cut", arguments: HandshakeRow.versions)
        func cut(_ version: ProtocolVersion) async throws {
            try await withClient(EchoRow(version: version), .cut) { process, socket in
                try await process.write("hello")
                #expect(try await socket.read(exactly: 5) == Array("hello".utf8))
                process.kill()
                _ = try await process.wait()
                let error = await #expect(throws: SocketError.self) { try await socket.read() }
                #expect(error == .cut)
                #expect(await socket.closed == .truncated)
            }
        }

        private func withClient(
            _ row: EchoRow,
            _ feature: InteropFeature,
            _ body: @Sendable (ForeignProcess, Socket) async throws -> Void
        ) async throws {
            try await withOneConnection(row, ticketCount: feature == .cut ? 0 : 1) {
                settings,
                next in
                try await GnuTLSClient().run(settings) { process in
                    try await body(process, next())
                }
            }
            RowTally.count("gnutls-cli", .listener, feature)
        }
    }
}
