// Our client against haproxy, which inherits its listening socket, and ends TLS before a plain
// listener of ours. So what is said goes through it in both directions, ends included.

import Foundation
import Glibc
import Sockets
import TLSTestKit
import Testing

struct HAProxyServer: ForeignServer {
    let name = "haproxy"
    let canIgnoreProtocols = true
    /// Where it passes bytes on to; nil answers requests itself.
    var backend: String?

    func run(
        _ settings: ServerSettings,
        _ body: (RunningServer) async throws -> Void
    ) async throws {
        // It wants certificates and key in one file.
        let pem = settings.directory + "/both.pem"
        let parts = [settings.certificate.chain, settings.certificate.key]
        try parts.map { try String(contentsOfFile: $0, encoding: .utf8) }.joined()
            .write(toFile: pem, atomically: false, encoding: .utf8)
        let configuration = settings.directory + "/haproxy.cfg"
        try self.configuration(settings, pem)
            .write(toFile: configuration, atomically: false, encoding: .utf8)
        let listener = try InheritedListener()
        let arguments = ["-db", "-f", configuration]
        try await ForeignProcess.run(.haproxy, arguments, input: listener.handle) { process in
            try await body(RunningServer(address: listener.address, process: process))
        }
    }

    private func configuration(_ settings: ServerSettings, _ pem: String) -> String {
        let version = settings.version == .tls12 ? "TLSv1.2" : "TLSv1.3"
        var bind = "fd@0 ssl crt \(pem) ssl-min-ver \(version) ssl-max-ver \(version)"
        if !settings.protocols.isEmpty {
            bind += " alpn \(settings.protocols.joined(separator: ","))"
        }
        if let clientRoot = settings.clientRoot {
            let verify = settings.clients == .require ? "required" : "optional"
            bind += " verify \(verify) ca-file \(clientRoot)"
        }
        let facts = "%[ssl_fc_protocol] %[ssl_fc_sni] %[ssl_c_used] %[ssl_c_s_dn(CN)]\\n"
        let answer = "http-request return status 200 content-type text/plain lf-string \"\(facts)\""
        return """
            global
                log stdout format raw local0
            defaults
                log global
                timeout client 30s
                timeout server 30s
                timeout connect 5s
            frontend it
                bind \(bind)
                mode \(backend == nil ? "http" : "tcp")
                error-log-format "%[ssl_fc_err_str]"
                \(backend == nil ? answer : "default_backend behind")
            \(backend.map { "backend behind\n    mode tcp\n    server it unix@\($0)" } ?? "")

            """
    }

    func converse(_ socket: Socket, _ row: HandshakeRow, _ server: RunningServer) async throws {
        let answer = try await HTTPMessage.exchange(.get("/facts"), on: socket)
        let version = row.version == .tls12 ? "TLSv1.2" : "TLSv1.3"
        let client = row.client.isGiven ? "1 Alice" : "0"
        let name = row.sendsName ? Authorities.host : ""
        #expect(answer.status == 200)
        let said = answer.text.split(separator: "\n")[0]
        #expect(String(said).trimmingSuffix(" ") == "\(version) \(name) \(client)")
    }

    func expectHeard(_ alert: Alert, _ row: HandshakeRow, _ server: RunningServer) async throws {
        try await #require(server.process).wait(for: "it logged \(alert)") { state in
            writtenAlike(state.text).contains(alert.name) ? () : nil
        }
    }

    func verdict(_ row: HandshakeRow) -> ClientVerdict? {
        row.protocols == .disjoint ? nil : refusal(row)
    }
}

extension String {
    fileprivate func trimmingSuffix(_ character: Character) -> String {
        String(reversed().drop { $0 == character }.reversed())
    }
}

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("haproxy", .serialized, .needs(.haproxy))
    struct HAProxyTests {
        @Test(
            "our client and haproxy agree, or refuse each other",
            arguments: HandshakeRow.all
        )
        func row(_ row: HandshakeRow) async throws {
            try await HAProxyServer().expectRow(row)
        }

        @Test("what goes through it comes back unchanged", arguments: EchoRow.all)
        func echo(_ row: EchoRow) async throws {
            try await withHAProxy(row, .echo, row.feature) { socket, _ in
                try await socket.expectEcho(row)
            }
        }

        @Test("an answer comes behind our end", arguments: HandshakeRow.versions)
        func ourHalfClose(_ version: ProtocolVersion) async throws {
            try await withHAProxy(EchoRow(version: version), .answer, .halfClose) { socket, _ in
                try await socket.expectAnswerBehindOurEnd()
            }
        }

        @Test("we send on behind the end of what is behind it", arguments: HandshakeRow.versions)
        func theirHalfClose(_ version: ProtocolVersion) async throws {
            try await withHAProxy(EchoRow(version: version), .greet, .halfClose) { socket, _ in
                try await socket.expectSendingBehindTheirEnd()
            }
        }

        @Test("a proxy that dies is a cut", arguments: HandshakeRow.versions)
        func cut(_ version: ProtocolVersion) async throws {
            try await withHAProxy(EchoRow(version: version), .echo, .cut) { socket, process in
                try await socket.write("hello")
                #expect(try await socket.read(exactly: 5) == Array("hello".utf8))
                process.kill()
                #expect(try await process.wait().exitCode == -SIGKILL)
                let error = await #expect(throws: SocketError.self) { try await socket.read() }
                #expect(error == .cut)
                #expect(await socket.closed == .truncated)
            }
        }

        /// Runs haproxy and a backend behind it for one connection.
        private func withHAProxy(
            _ row: EchoRow,
            _ act: BackendAct,
            _ feature: InteropFeature,
            _ body: (Socket, ForeignProcess) async throws -> Void
        ) async throws {
            let authorities = try Authorities.shared.get()
            let directory = try TemporaryDirectory()
            let settings = try ServerSettings(row, directory)
            let path = directory.path + "/backend.sock"
            try await withBackend(act, path: path) {
                try await HAProxyServer(backend: path).run(settings) { server in
                    let socket = try Socket(
                        SocketInit(type: .tls, remote: server.address) {
                            $0.servername = Authorities.host
                            $0.trust = try authorities.trust()
                        }
                    )
                    try await body(socket, #require(server.process))
                }
            }
            RowTally.count("haproxy", .client, feature)
        }
    }
}
