// Our listener against `openssl s_client`.

import Glibc
import Sockets
import TLSTestKit
import Testing

struct OpenSSLClient: ForeignClient {
    let name = "openssl s_client"
    /// Quiet: what it receives, and nothing else, goes to standard output; it ends with the server.
    var manner = ["-quiet"]
    /// Further arguments.
    var options: [String] = []

    func send(_ request: HTTPMessage, _ settings: ClientSettings) async throws -> ClientResult {
        var arguments = [
            "s_client", "-connect", settings.address.description, "-verify_hostname",
            settings.host,
            "-CAfile", settings.root, "-no-CApath", "-no-CAstore", "-verify_return_error",
            settings.version == .tls12 ? "-tls1_2" : "-tls1_3",
        ]
        arguments += manner
        arguments +=
            settings.sendsName ? ["-servername", settings.host] : ["-noservername"]
        if !settings.protocols.isEmpty {
            arguments += ["-alpn", settings.protocols.joined(separator: ",")]
        }
        if let certificate = settings.certificate {
            arguments += [
                "-cert", certificate.chain, "-cert_chain", certificate.chain,
                "-key", certificate.key,
            ]
        }
        return try await ForeignProcess.run(.openssl, arguments + options) { process in
            // It may refuse and be gone before it takes the request.
            try? await process.write(request.bytes)
            let state = try await process.wait()
            let answer = HTTPMessage.split(state.standardOutput)
            return ClientResult(
                exitCode: state.exitCode ?? -1,
                body: answer,
                text: String(decoding: state.standardError, as: UTF8.self)
                    + (manner == ["-quiet"] ? "" : state.text)
            )
        }
    }

    func verdict(_ row: HandshakeRow) -> ListenerVerdict? {
        if row.protocols == .disjoint {
            return ListenerVerdict(
                1,
                "SSL alert number 120",
                SocketError(.handshakeFailed, tls: TLSError(.noApplicationProtocol)),
                .clientHello
            )
        }
        let judging: HandshakePhase = row.version == .tls12 ? .keyExchange : .finished
        switch row.server {
        case .good: break
        case .wrongName:
            return ListenerVerdict(
                1,
                "verify error:num=62:",
                .alert(.badCertificate, .localCertificateRejected),
                judging
            )
        case .untrusted:
            return ListenerVerdict(
                1,
                "verify error:num=20:",
                .alert(.unknownCA, .localCertificateRejected),
                judging
            )
        case .expired:
            return ListenerVerdict(
                1,
                "verify error:num=10:",
                .alert(.certificateExpired, .localCertificateRejected),
                judging
            )
        }
        switch row.client {
        case .unasked, .good, .volunteered, .declined: return nil
        case .absent:
            return ListenerVerdict(
                1,
                "SSL alert number \(row.version == .tls12 ? 40 : 116)",
                SocketError(.certificateRejected, tls: TLSError(.peerCertificateMissing)),
                .clientAuthentication
            )
        case .untrusted, .mistaken:
            return ListenerVerdict(
                1,
                "SSL alert number 48",
                .clientRefused(.unableToGetIssuerLocally),
                .clientAuthentication
            )
        }
    }
}

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("openssl s_client", .serialized, .needs(.openssl))
    struct OpenSSLClientTests {
        @Test("s_client takes our staple, and sees when there is none", arguments: StapleRow.all)
        func staple(_ row: StapleRow) async throws {
            let client = OpenSSLClient(manner: ["-status", "-ign_eof"])
            try await client.expectStaple(row) { result, response, _ in
                let words = response == nil ? "no response sent" : "Cert Status: good"
                #expect(result.text.contains(words), "\(result.text)")
            }
        }

        @Test(
            "our listener and s_client agree, or refuse each other",
            arguments: HandshakeRow.all
        )
        func row(_ row: HandshakeRow) async throws {
            try await OpenSSLClient().expectRow(row)
        }

        @Test(
            "what s_client sends comes back to it unchanged, in pieces of any size",
            arguments: EchoRow.all
        )
        func transfer(_ row: EchoRow) async throws {
            try await OpenSSLClient().expectTransfer(row)
        }

        @Test(
            "a key update that s_client asks for is answered, and data flows on",
            arguments: ["K", "k"]
        )
        func keyUpdate(_ command: String) async throws {
            try await withClient(.tls13, .other) { process, socket in
                // Lines are sent; one that begins with a command is obeyed and not sent.
                try await process.write("before\n")
                #expect(try await socket.read(exactly: 7) == Array("before\n".utf8))
                try await process.write("\(command)\n")
                try await process.wait(forText: "KEYUPDATE")
                try await process.write("behind\n")
                #expect(try await socket.read(exactly: 7) == Array("behind\n".utf8))
                try await socket.write("answer\n")
                try await process.wait(forText: "answer\n")
                process.closeInput()
                #expect(try await socket.read() == nil)
                try await socket.close()
                #expect(try await process.wait().exitCode == 0)
            }
        }

        @Test(
            "the renegotiation that s_client asks for is refused",
            arguments: [ProtocolVersion.tls12]
        )
        func renegotiation(_ version: ProtocolVersion) async throws {
            try await withClient(version, .other) { process, socket in
                try await process.write("R\n")
                try await process.wait(forText: "RENEGOTIATING")
                let error = await #expect(throws: SocketError.self) { try await socket.read() }
                // We answer by a warning, and it gives up.
                #expect(error == .alert(.handshakeFailure, .tlsFailed))
                #expect(error?.phase == .open)
                let state = try await process.wait()
                #expect(state.exitCode == 1)
                #expect(state.text.contains("no renegotiation"), "\(state.text)")
            }
        }

        @Test(
            "each side's end is a clean one to the other",
            arguments: HandshakeRow.versions,
            [true, false]
        )
        func cleanEnd(_ version: ProtocolVersion, _ isOurs: Bool) async throws {
            try await withClient(version, .end) { process, socket in
                try await process.write("hello\n")
                #expect(try await socket.read(exactly: 6) == Array("hello\n".utf8))
                if isOurs {
                    try await socket.close()
                } else {
                    process.closeInput()
                    #expect(try await socket.read() == nil)
                    try await socket.close()
                }
                #expect(await socket.closed == .clean(nil))
                let state = try await process.wait()
                #expect(state.exitCode == 0, "\(state.text)")
                #expect(!state.text.contains("error"), "\(state.text)")
            }
        }

        @Test(
            "a client that dies is a cut, and what it sent before is delivered",
            arguments: HandshakeRow.versions
        )
        func death(_ version: ProtocolVersion) async throws {
            try await withClient(version, .cut) { process, socket in
                try await process.write("hello\n")
                #expect(try await socket.read(upTo: 1) == Array("h".utf8))
                process.kill()
                _ = try await process.wait()
                #expect(try await socket.read() == Array("ello\n".utf8))
                let error = await #expect(throws: SocketError.self) { try await socket.read() }
                #expect(error == SocketError(.truncated, tls: TLSError(.truncated)))
                #expect(await socket.closed == .truncated)
            }
        }

        @Test(
            "an abort of ours is a reset to s_client",
            arguments: HandshakeRow.versions
        )
        func abort(_ version: ProtocolVersion) async throws {
            try await withClient(version, .other) { process, socket in
                try await process.write("hello\n")
                #expect(try await socket.read(exactly: 6) == Array("hello\n".utf8))
                socket.abort("enough")
                #expect(await socket.closed == .aborted("enough"))
                let state = try await process.wait()
                #expect(state.exitCode == ECONNRESET)
                #expect(state.text.contains("errno=\(ECONNRESET)"), "\(state.text)")
            }
        }

        /// Runs s_client, its commands switched on, with one connection of a listener of ours.
        private func withClient(
            _ version: ProtocolVersion,
            _ feature: InteropFeature,
            _ body: @Sendable (ForeignProcess, Socket) async throws -> Void
        ) async throws {
            let authorities = try Authorities.shared.get()
            let directory = try TemporaryDirectory()
            let certificate = try authorities.serverCertificate(HandshakeRow(version: version))
            let files = try certificate.write(to: directory.path)
            let options = try SocketListenerInit(
                type: .tls,
                local: .init("127.0.0.1", port: 0),
                identity: certificate.identity()
            )
            try await withListener(options) { listener in
                let arguments = [
                    "s_client", "-connect", listener.localAddress.description,
                    "-servername", Authorities.host, "-CAfile", files.root,
                    "-verify_return_error", version == .tls12 ? "-tls1_2" : "-tls1_3",
                ]
                try await ForeignProcess.run(.openssl, arguments) { process in
                    var events = listener.makeAsyncIterator()
                    let event = try #require(await events.next())
                    try await body(process, event.socket)
                }
            }
            RowTally.count("openssl s_client", .listener, feature)
        }
    }
}

extension HTTPMessage {
    /// The body of a message that came whole.
    static func split(_ bytes: [UInt8]) -> [UInt8] {
        let end = Array("\r\n\r\n".utf8)
        let start = bytes.indices.dropLast(3).first { bytes[$0..<($0 + 4)].elementsEqual(end) }
        return start.map { Array(bytes[($0 + 4)...]) } ?? []
    }
}
