// Our listener against curl.

import Foundation
import Sockets
import TLSTestKit
import Testing

struct CurlClient: ForeignClient {
    let name = "curl"
    var arguments: [String] = []

    func send(_ request: HTTPMessage, _ settings: ClientSettings) async throws -> ClientResult {
        let address = settings.address
        // An address is verified, and not sent.
        let host = settings.sendsName ? settings.host : address.address
        let words = request.start.split(separator: " ")
        var arguments = [
            "--silent", "--show-error", "--disable", "--noproxy", "*", "--http1.1",
            "--cacert", settings.root, "--header", "Expect:",
            "--resolve", "\(host):\(address.port):\(address.address)",
        ]
        arguments +=
            settings.version == .tls12 ? ["--tlsv1.2", "--tls-max", "1.2"] : ["--tlsv1.3"]
        if settings.protocols.isEmpty { arguments += ["--no-alpn"] }
        if let certificate = settings.certificate {
            arguments += ["--cert", certificate.chain, "--key", certificate.key]
        }
        if words[0] == "PUT" {
            // From a file, whose length curl knows.
            let file = settings.directory + "/upload"
            try Data(request.body).write(to: URL(fileURLWithPath: file))
            arguments += ["--upload-file", file]
        }
        arguments += self.arguments + ["https://\(host):\(address.port)\(words[1])"]
        return try await ForeignProcess.run(.curl, arguments) { process in
            let state = try await process.wait()
            return ClientResult(
                exitCode: state.exitCode ?? -1,
                body: state.standardOutput,
                text: String(decoding: state.standardError, as: UTF8.self)
            )
        }
    }

    func verdict(_ row: HandshakeRow) -> ListenerVerdict? {
        let isOld = row.version == .tls12
        if row.protocols == .disjoint {
            return ListenerVerdict(
                35,
                "alert no application protocol",
                SocketError(.handshakeFailed, tls: TLSError(.noApplicationProtocol)),
                .clientHello
            )
        }
        switch row.server {
        case .good: break
        // curl looks at the name when the handshake is done, and goes.
        case .wrongName: return ListenerVerdict(60, "no alternative certificate subject name")
        case .untrusted:
            return ListenerVerdict(
                60,
                "unable to get local issuer certificate",
                .alert(.unknownCA, .localCertificateRejected),
                isOld ? .keyExchange : .finished
            )
        case .expired:
            return ListenerVerdict(
                60,
                "certificate has expired",
                .alert(.certificateExpired, .localCertificateRejected),
                isOld ? .keyExchange : .finished
            )
        }
        switch row.client {
        case .unasked, .good, .volunteered, .declined: return nil
        // With TLS 1.3 curl is done before it hears the judgement.
        case .absent:
            return ListenerVerdict(
                isOld ? 35 : 56,
                isOld ? "alert handshake failure" : "alert certificate required",
                SocketError(.certificateRejected, tls: TLSError(.peerCertificateMissing)),
                .clientAuthentication
            )
        case .untrusted, .mistaken:
            return ListenerVerdict(
                isOld ? 35 : 56,
                "alert unknown ca",
                .clientRefused(.unableToGetIssuerLocally),
                .clientAuthentication
            )
        }
    }
}

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("curl", .serialized, .needs(.curl))
    struct CurlTests {
        @Test("curl takes our staple, and goes when there is none", arguments: StapleRow.all)
        func staple(_ row: StapleRow) async throws {
            let client = CurlClient(arguments: ["--cert-status"])
            try await client.expectStaple(row) { result, response, _ in
                #expect(result.exitCode == (response == nil ? 91 : 0), "\(result.text)")
            }
        }

        @Test(
            "our listener and curl agree, or refuse each other",
            arguments: HandshakeRow.all
        )
        func row(_ row: HandshakeRow) async throws {
            try await CurlClient().expectRow(row)
        }

        @Test(
            "what curl puts comes back to it unchanged, in pieces of any size",
            arguments: EchoRow.all
        )
        func transfer(_ row: EchoRow) async throws {
            try await CurlClient().expectTransfer(row)
        }

        @Test("a client that dies is a cut", arguments: HandshakeRow.versions)
        func cut(_ version: ProtocolVersion) async throws {
            try await withOneConnection(EchoRow(version: version), ticketCount: 0) {
                settings,
                next in
                let place = "\(Authorities.host):\(settings.address.port)"
                // It uploads from its standard input, whose end never comes.
                let arguments = [
                    "--silent", "--disable", "--noproxy", "*", "--http1.1", "--header", "Expect:",
                    "--cacert", settings.root, "--resolve", "\(place):\(settings.address.address)",
                    version == .tls12 ? "--tls-max" : "--tlsv1.3", version == .tls12 ? "1.2" : "",
                    "--upload-file", "-", "https://\(place)/it",
                ].filter { !$0.isEmpty }
                try await ForeignProcess.run(.curl, arguments) { process in
                    let socket = try await next()
                    #expect(try await socket.ready.version == version)
                    let start = Array("PUT /it HTTP/1.1\r\n".utf8)
                    #expect(try await socket.read(exactly: start.count) == start)
                    process.kill()
                    _ = try await process.wait()
                    let error = await #expect(throws: SocketError.self) {
                        while try await socket.read() != nil {}
                    }
                    #expect(error == .cut)
                    #expect(await socket.closed == .truncated)
                }
            }
            RowTally.count("curl", .listener, .cut)
        }
    }
}
