// The key log against tshark: with it a capture shows its data, without it it does not.

import Foundation
import Sockets
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("tshark", .serialized, .needs(.tshark))
    struct WiresharkTests {
        @Test(
            "a capture is decrypted by the key log of either side, also behind new keys",
            arguments: HandshakeRow.versions,
            [TLSRole.client, .server]
        )
        func decrypts(_ version: ProtocolVersion, _ logger: TLSRole) async throws {
            let directory = try TemporaryDirectory()
            let keys = directory.path + "/keys"
            let log = try TLSKeyLog.appending(to: keys)
            let capture = try conversation(version, logger, log)
            let file = directory.path + "/capture"
            try Data(capture.bytes).write(to: URL(fileURLWithPath: file))
            #expect(try await requests(in: file, keys: keys) == ["/secret", "/behind"])
            // And nothing by another log.
            let other = directory.path + "/other"
            try Data().write(to: URL(fileURLWithPath: other))
            #expect(try await requests(in: file, keys: other).isEmpty)
            RowTally.count("tshark", logger == .client ? .client : .listener, .keyLog)
        }

        /// Two requests over a connection, with new keys between them where there are any.
        private func conversation(
            _ version: ProtocolVersion,
            _ logger: TLSRole,
            _ log: TLSKeyLog
        ) throws -> PacketCapture {
            let authorities = try Authorities.shared.get()
            let issued = try authorities.serverCertificate(HandshakeRow())
            func policy(_ role: TLSRole) -> TLSPolicy {
                TLSPolicy {
                    $0.minimumVersion = version
                    $0.maximumVersion = version
                    $0.keyLog = role == logger ? log : nil
                }
            }
            let capture = Mutex(PacketCapture())
            let pair = try EnginePair(
                client: TLSContext(
                    role: .client,
                    policy: policy(.client),
                    trust: authorities.trust()
                ),
                server: TLSContext(
                    role: .server,
                    policy: policy(.server),
                    identities: [issued.identity()]
                ),
                remoteName: Authorities.host
            ) { sender, chunk in
                capture.withLock { $0.add(chunk, from: sender) }
                return chunk
            }
            try pair.handshake()
            try pair.send(request("/secret"), from: .client)
            if version == .tls13 {
                try pair.perform(.client) { engine, output throws(TLSError) in
                    try engine.updateKeys(requestPeer: true, producing: &output)
                }
            }
            try pair.send(
                Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8),
                from: .server
            )
            try pair.send(request("/behind"), from: .client)
            #expect(pair.server.error == nil && pair.client.error == nil)
            return capture.withLock { $0 }
        }

        private func request(_ path: String) -> [UInt8] {
            Array("GET \(path) HTTP/1.1\r\nHost: \(Authorities.host)\r\n\r\n".utf8)
        }

        /// The paths of the requests that tshark sees.
        private func requests(in file: String, keys: String) async throws -> [String] {
            let arguments = [
                "-r", file, "-o", "tls.keylog_file:\(keys)", "-Y", "http.request", "-T", "fields",
                "-e", "http.request.uri",
            ]
            return try await ForeignProcess.run(.tshark, arguments) { process in
                let state = try await process.wait()
                #expect(state.exitCode == 0, "\(state.text)")
                return String(decoding: state.standardOutput, as: UTF8.self).split(separator: "\n")
                    .map(String.init)
            }
        }
    }
}
