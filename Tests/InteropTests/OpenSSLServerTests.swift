// Our client against `openssl s_server`.

import Glibc
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
            let verify = settings.clients == .require ? "-Verify" : "-verify"
            arguments += [verify, "2", "-verify_return_error", "-CAfile", clientRoot]
        }
        try await ForeignProcess.run(.openssl, arguments + behaviour) { process in
            // It binds port 0 and tells which one it got.
            let port = try await process.wait(for: "it said where it listens") { state in
                state.text.split(separator: "\n").lazy
                    .filter { $0.hasPrefix("ACCEPT 127.0.0.1:") }
                    .compactMap { UInt16($0.split(separator: ":")[1]) }.first
            }
            try await body(RunningServer(address: .init("127.0.0.1", port: port), process: process))
        }
    }

    func converse(_ socket: Socket, _ row: HandshakeRow, _ server: RunningServer) async throws {
        try await socket.write("stressed\n")
        #expect(try await socket.read(exactly: 9) == Array("desserts\n".utf8))
    }

    func verdict(_ row: HandshakeRow) -> ClientVerdict? { refusal(row) }
}

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("openssl s_server", .serialized, .needs(.openssl))
    struct OpenSSLServerTests {
        @Test(
            "our client and s_server agree, or refuse each other",
            arguments: HandshakeRow.all
        )
        func row(_ row: HandshakeRow) async throws {
            try await OpenSSLServer().expectRow(row)
        }

        @Test("a fingerprint stands for authority and name", arguments: HandshakeRow.versions)
        func fingerprints(_ version: ProtocolVersion) async throws {
            try await OpenSSLServer().expectFingerprints(version)
        }

        @Test("what s_server staples is judged", arguments: StapleRow.all)
        func staple(_ row: StapleRow) async throws {
            try await OpenSSLServer.expectStaple(row) {
                OpenSSLServer(behaviour: ["-rev", "-status_file", $0])
            }
        }

        @Test("a finite field is as large as both floors want", arguments: FieldRow.all)
        func field(_ row: FieldRow) async throws {
            let directory = try TemporaryDirectory()
            let file = try await FiniteField.write(row.bits, to: directory.path)
            let suites = "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"
            try await OpenSSLServer(behaviour: ["-rev", "-cipher", suites, "-dhparam", file])
                .expectField(row, at: directory.path)
        }

        @Test(
            "what goes to s_server comes back at the same time, in pieces of any size",
            arguments: EchoRow.all
        )
        func echo(_ row: EchoRow) async throws {
            try await withServer(row.version, row.feature, row.key) { socket, _ in
                try await socket.expectLines(row, areReversed: true)
                try await socket.close()
            }
        }

        @Test(
            "our close_notify is a clean end to s_server",
            arguments: HandshakeRow.versions
        )
        func ourEnd(_ version: ProtocolVersion) async throws {
            try await withServer(version, .end) { socket, process in
                try await socket.write("stressed\n")
                #expect(try await socket.read(exactly: 9) == Array("desserts\n".utf8))
                try await socket.close()
                #expect(await socket.closed == .clean(nil))
                let state = try await process.wait()
                #expect(state.exitCode == 0)
                #expect(state.text.contains("CONNECTION CLOSED"))
                #expect(!state.text.contains("ERROR"), "\(state.text)")
            }
        }

        @Test(
            "the close_notify of s_server is a clean end to us",
            arguments: HandshakeRow.versions
        )
        func itsEnd(_ version: ProtocolVersion) async throws {
            try await withServer(version, .end) { socket, process in
                // A line by which it ends the connection.
                try await socket.write("stressed\nCLOSE\n")
                #expect(try await socket.readToEnd() == Array("desserts\n".utf8))
                try await socket.close()
                #expect(await socket.closed == .clean(nil))
                #expect(try await process.wait().exitCode == 0)
            }
        }

        @Test(
            "a server that dies is a cut, and what it sent before is delivered",
            arguments: HandshakeRow.versions
        )
        func death(_ version: ProtocolVersion) async throws {
            try await withServer(version, .cut) { socket, process in
                try await socket.write("stressed\n")
                #expect(try await socket.read(upTo: 1) == Array("d".utf8))
                process.kill()
                #expect(try await process.wait().exitCode == -SIGKILL)
                #expect(try await socket.read() == Array("esserts\n".utf8))
                let error = await #expect(throws: SocketError.self) { try await socket.read() }
                #expect(error == SocketError(.truncated, tls: TLSError(.truncated)))
                #expect(error?.phase == .open)
                #expect(await socket.closed == .truncated)
            }
        }

        /// Runs s_server for one connection of ours.
        private func withServer(
            _ version: ProtocolVersion,
            _ feature: InteropFeature,
            _ key: TestKey = .p256,
            _ body: (Socket, ForeignProcess) async throws -> Void
        ) async throws {
            let authorities = try Authorities.shared.get()
            let directory = try TemporaryDirectory()
            let row = HandshakeRow(version: version, key: key)
            let settings = ServerSettings(
                directory: directory.path,
                certificate: try authorities.serverCertificate(row).write(to: directory.path),
                version: version,
                protocols: [],
                clients: .none,
                clientRoot: nil
            )
            let server = OpenSSLServer(behaviour: ["-rev", "-naccept", "1"])
            try await server.run(settings) { server in
                let socket = try Socket(
                    SocketInit(type: .tls, remote: server.address) {
                        $0.servername = Authorities.host
                        $0.trust = try authorities.trust()
                    }
                )
                _ = try await socket.ready
                try await body(socket, #require(server.process))
            }
            RowTally.count("openssl s_server", .client, feature)
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
