// One server of another make: what this package's own listener refuses to be, `openssl s_server` is
// glad to show.

import Foundation
import Glibc
import Sockets
import TLSTestKit
import Testing
import ToolFixtures

@testable import TLSInspection

@Suite(.timeLimit(.minutes(1)))
struct ForeignServerTests {
    @Test("weak keys, signatures and key exchange are told, each apart")
    func weakServer() async throws {
        let directory = try TemporaryDirectory()
        let (cert, key) = (directory.path + "/cert.pem", directory.path + "/key.pem")
        let made = try await ProcessRun(
            URL(fileURLWithPath: "/usr/bin/env"),
            [
                "openssl", "req", "-x509", "-newkey", "rsa:1024", "-sha1", "-nodes", "-days", "400",
                "-subj", "/CN=a.test", "-addext", "subjectAltName=DNS:a.test", "-keyout", key,
                "-out", cert,
            ]
        )
        try #require(made.exitCode == 0, "openssl is installed by Scripts/install.sh --peers")
        let report = try await withOpenSSLServer([
            "-cert", cert, "-key", key, "-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0",
        ]) { address in
            let probe = Probe(SocketAddress("a.test", port: address.port)) {
                $0.connect = address
                $0.anchors = .certificates([])
            }
            return try checked(
                await Inspector(now: UnixTime(seconds: TestCA.wallClock())).run(probe)
            )
        }
        #expect(
            report.findingIDs == [
                "self-signed", "sha1-signature", "small-key", "no-forward-secrecy", "tls12-only",
                "no-alpn-answer", "no-staple", "sni-not-acknowledged",
            ]
        )
        #expect(report.negotiated?.suite.name == "TLS_RSA_WITH_AES_128_GCM_SHA256")
        #expect(report.negotiated?.group == nil)
        #expect(report.chain.map(\.key) == [.init(type: "RSA", bits: 1024, curve: nil)])
        #expect(report.exit == .untrusted)
    }

    /// Runs `openssl s_server` while a closure runs.
    private func withOpenSSLServer<Result: Sendable>(
        _ arguments: [String],
        _ body: (SocketAddress) async throws -> Result
    ) async throws -> Result {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl", "s_server", "-accept", "127.0.0.1:0"] + arguments
        let output = Pipe()
        // At the end of its input it would hang up on the first client.
        process.standardInput = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        process.terminationHandler = { _ in end.finish() }
        try process.run()
        let result: Swift.Result<Result, any Error>
        do {
            let address = try acceptAddress(output.fileHandleForReading)
            result = .success(try await body(address))
        } catch {
            result = .failure(error)
        }
        // Not SIGTERM: the child has it blocked, as the thread that started it.
        kill(process.processIdentifier, SIGKILL)
        for await _ in ended {}
        return try result.get()
    }

    /// Reads where the server listens: "ACCEPT 127.0.0.1:41973".
    private func acceptAddress(_ output: FileHandle) throws -> SocketAddress {
        var said = ""
        while !said.contains(/ACCEPT .*\n/) {
            // `availableData` ends the process when a signal interrupts it.
            var piece = [UInt8](repeating: 0, count: 4096)
            var count = 0
            repeat {
                count = unsafe read(output.fileDescriptor, &piece, piece.count)
            } while count < 0 && errno == EINTR
            let bytes = piece.prefix(max(0, count))
            try #require(!bytes.isEmpty, "openssl s_server did not start")
            said += String(decoding: bytes, as: UTF8.self)
        }
        let line = try #require(said.split(separator: "\n").first { $0.hasPrefix("ACCEPT") })
        return try SocketAddress(parsing: String(line.dropFirst(7)))
    }
}
