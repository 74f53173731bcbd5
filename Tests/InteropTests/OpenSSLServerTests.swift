// Our client against `openssl s_server`.

import Sockets
import TLSTestKit
import Testing

struct OpenSSLServer: ForeignServer {
    let name = "openssl s_server"
    let canIgnoreProtocols = true
    /// What it does with what it receives: reversed lines by default.
    var behaviour = ["-rev"]

    func run(
        _ settings: ServerSettings,
        _ body: (RunningServer) async throws -> Void
    ) async throws {
        var arguments = [
            "s_server", "-accept", "127.0.0.1:0", "-cert", settings.certificate.chain,
            "-cert_chain", settings.certificate.chain, "-key", settings.certificate.key,
            settings.version == .tls12 ? "-tls1_2" : "-tls1_3",
        ]
        if !settings.protocols.isEmpty {
            arguments += ["-alpn", settings.protocols.joined(separator: ",")]
        }
        if let clientRoot = settings.clientRoot {
            arguments += ["-Verify", "2", "-verify_return_error", "-CAfile", clientRoot]
        }
        try await ForeignProcess.run(.openssl, arguments + behaviour) { process in
            // It binds port 0 and tells which one it got.
            let port = try await process.wait(for: "it said where it listens") { state in
                state.text.split(separator: "\n").lazy
                    .filter { $0.hasPrefix("ACCEPT 127.0.0.1:") }
                    .compactMap { UInt16($0.split(separator: ":")[1]) }.first
            }
            try await body(RunningServer(process: process, address: .init("127.0.0.1", port: port)))
        }
    }

    func converse(_ socket: Socket, _ row: HandshakeRow) async throws {
        try await socket.write("stressed\n")
        #expect(try await socket.read(exactly: 9) == Array("desserts\n".utf8))
    }

    func verdict(_ row: HandshakeRow) -> ClientVerdict? {
        if row.protocols == .disjoint {
            return .alert(.noApplicationProtocol, .handshakeFailed, .serverHello)
        }
        let isLate = row.version == .tls13
        let phase: HandshakePhase = isLate ? .clientAuthentication : .finished
        return switch row.client {
        case .unasked, .good: nil
        case .absent:
            .alert(
                isLate ? .certificateRequired : .handshakeFailure,
                isLate ? .localCertificateRejected : .handshakeFailed,
                phase,
                isAfterReady: isLate
            )
        case .untrusted:
            .alert(.unknownCA, .localCertificateRejected, phase, isAfterReady: isLate)
        }
    }
}

extension InteropTests {
    @Suite("openssl s_server", .needs(.openssl))
    struct OpenSSLServerTests {
        // Serialized: each row is a process, see InteropTests.
        @Test(
            "our client and s_server agree, or refuse each other",
            .serialized,
            arguments: HandshakeRow.all
        )
        func row(_ row: HandshakeRow) async throws {
            try await OpenSSLServer().expectRow(row)
        }
    }
}

extension Socket {
    /// Receives exactly so many bytes, or fewer at the end of the stream.
    func read(exactly count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count, let piece = try await read(upTo: count - bytes.count) {
            bytes += piece
        }
        return bytes
    }

    /// Receives everything up to the end of the stream.
    func readToEnd() async throws -> [UInt8] {
        try await read(exactly: .max)
    }
}
