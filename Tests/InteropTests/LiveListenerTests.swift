// A listener that changes while it listens, seen by programs of others: they get the new certificate,
// resume the session of before, and are turned away by what their ClientHello says.

import Foundation
import Sockets
import TLSEngine
import TLSTestKit
import Testing

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("a listener that changes", .serialized, .needs(.openssl, .curl))
    struct LiveListenerTests {
        private let authority: TestCA

        init() throws {
            authority = try TestCA()
        }

        private func client(
            _ address: SocketAddress,
            _ options: [String]
        ) async throws -> ForeignState {
            try await ForeignProcess.run(
                .openssl,
                ["s_client", "-connect", address.description] + options
            ) { process in
                process.closeInput()
                return try await process.wait()
            }
        }

        /// The serial number that `s_client` was shown.
        private func serial(_ state: ForeignState) throws -> String {
            let pem = try #require(
                state.text.firstMatch(of: /-----BEGIN[^E]*[\s\S]*?END CERTIFICATE-----/)
            )
            let certificates = try Certificate.read(Array(String(pem.0).utf8))
            return try #require(certificates.first).serialNumber.map { String($0, radix: 16) }
                .joined()
        }

        @Test(
            "s_client is shown the new certificate after a reload, and resumes the session of before",
            arguments: [ProtocolVersion.tls12, .tls13]
        )
        func reload(_ version: ProtocolVersion) async throws {
            let first = try authority.issue("localhost").tlsIdentity
            let second = try authority.issue("localhost").tlsIdentity
            let listener = try SocketListener(
                SocketListenerInit(type: .tls, local: SocketAddress("127.0.0.1", port: 0)) {
                    $0.identity = first
                }
            )
            let serving = Task {
                try await listener.serve(onError: { _, _ in }) { socket in
                    // A line, before which the ticket has come too.
                    try await socket.write("here you are\n")
                    _ = try? await socket.read()
                }
            }
            let option = version == .tls12 ? "-tls1_2" : "-tls1_3"
            let directory = try TemporaryDirectory()
            let file = directory.path + "/session"
            func look(_ options: [String]) async throws -> ForeignState {
                try await ForeignProcess.run(
                    .openssl,
                    ["s_client", "-connect", listener.localAddress.description, option] + options
                ) { process in
                    try await process.wait(forText: "here you are")
                    process.closeInput()
                    return try await process.wait()
                }
            }
            let before = try await look(["-sess_out", file])
            #expect(try serial(before) == hex(first))
            try await listener.reload(TLSSocketListenerInit { $0.identity = second })
            let after = try await look([])
            #expect(try serial(after) == hex(second))
            let resumed = try await look(["-sess_in", file])
            #expect(resumed.text.contains("Reused, "), "\(resumed.text)")
            await listener.close()
            try await serving.value
        }

        private func hex(_ identity: TLSIdentity) -> String {
            identity.certificate.serialNumber.map { String($0, radix: 16) }.joined()
        }

        @Test("curl and s_client are told by an alert that their hello is not admitted")
        func admission() async throws {
            let identity = try authority.issue("localhost").tlsIdentity
            let listener = try SocketListener(
                SocketListenerInit(type: .tls, local: SocketAddress("127.0.0.1", port: 0)) {
                    $0.identity = identity
                    $0.admit = { hello, _ in
                        hello.servername == "wanted.test"
                            ? .accept : .refuse("not here", alert: .unrecognizedName)
                    }
                }
            )
            let serving = Task {
                try await listener.serve(onError: { _, _ in }) { try await $0.close() }
            }
            let address = listener.localAddress
            let refused = try await client(address, ["-servername", "other.test"])
            #expect(refused.exitCode != 0)
            #expect(refused.text.contains("alert number 112"), "\(refused.text)")
            let admitted = try await client(address, ["-servername", "wanted.test"])
            #expect(admitted.text.contains("Server certificate"), "\(admitted.text)")
            let curl = try await ForeignProcess.run(
                .curl,
                [
                    "--disable", "--noproxy", "*", "--silent", "--show-error", "--insecure",
                    "--connect-to", "other.test:443:127.0.0.1:\(address.port)",
                    "https://other.test/",
                ]
            ) { try await $0.wait() }
            #expect(curl.exitCode == 35, "\(curl.text)")
            await listener.close()
            try await serving.value
        }
    }
}
