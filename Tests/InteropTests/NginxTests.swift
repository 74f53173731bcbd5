// Our client against nginx, which listens on a unix socket: it cannot choose a port by itself, and
// TLS over a path is a way of its own, with the name to verify from the servername alone.

import Foundation
import Glibc
import Sockets
import TLSTestKit
import Testing

struct NginxServer: ForeignServer {
    let name = "nginx"
    let canIgnoreProtocols = false
    /// Further directives of the server.
    var directives = ""

    func run(
        _ settings: ServerSettings,
        _ body: (RunningServer) async throws -> Void
    ) async throws {
        try FileManager.default.createDirectory(
            atPath: settings.directory + "/files",
            withIntermediateDirectories: true
        )
        let configuration = settings.directory + "/nginx.conf"
        try self.configuration(settings)
            .write(toFile: configuration, atomically: false, encoding: .utf8)
        // The log given here is the one used before the configuration is read.
        let arguments = ["-p", settings.directory, "-c", configuration, "-e", "stderr"]
        try await ForeignProcess.run(.nginx, arguments) { process in
            // Said behind `listen`.
            try await process.wait(forText: "using the \"epoll\" event method")
            let path = "unix:\(settings.directory)/nginx.sock"
            try await body(RunningServer(address: .init(path, port: 0), process: process))
        }
    }

    private func configuration(_ settings: ServerSettings) -> String {
        // nginx has no list of its own: what it speaks follows from `http2`.
        let listen = settings.protocols.contains("h2") ? "ssl http2" : "ssl"
        let client =
            settings.clientRoot.map {
                "ssl_verify_client \(settings.clients == .require ? "on" : "optional"); ssl_verify_depth 3; ssl_client_certificate \($0);"
            } ?? ""
        return """
            daemon off;
            master_process off;
            pid nginx.pid;
            error_log stderr info;
            events { worker_connections 64; }
            http {
                access_log off;
                client_body_temp_path body;
                proxy_temp_path proxy;
                fastcgi_temp_path fastcgi;
                uwsgi_temp_path uwsgi;
                scgi_temp_path scgi;
                server {
                    listen unix:\(settings.directory)/nginx.sock \(listen);
                    ssl_certificate \(settings.certificate.chain);
                    ssl_certificate_key \(settings.certificate.key);
                    ssl_protocols \(settings.version == .tls12 ? "TLSv1.2" : "TLSv1.3");
                    \(client)
                    client_max_body_size 200m;
                    root \(settings.directory)/files;
                    location = /facts {
                        return 200 "$ssl_protocol $ssl_server_name $ssl_client_verify\\n";
                    }
                    location /files/ {
                        alias \(settings.directory)/files/;
                        dav_methods PUT;
                    }
                    \(directives)
                }
            }
            """
    }

    func converse(_ socket: Socket, _ row: HandshakeRow, _ server: RunningServer) async throws {
        let answer = try await HTTPMessage.exchange(.get("/facts"), on: socket)
        let version = row.version == .tls12 ? "TLSv1.2" : "TLSv1.3"
        // nginx lets the handshake succeed and refuses the request.
        switch row.client {
        case .unasked, .good, .volunteered, .declined:
            #expect(answer.status == 200)
            let verdict = row.client.isGiven ? "SUCCESS" : "NONE"
            let name = row.sendsName ? Authorities.host : ""
            #expect(answer.text == "\(version) \(name) \(verdict)\n")
        case .absent:
            #expect(answer.status == 400)
            #expect(answer.text.contains("No required SSL certificate was sent"))
        case .untrusted, .mistaken:
            #expect(answer.status == 400)
            #expect(answer.text.contains("The SSL certificate error"))
        }
    }

    func verdict(_ row: HandshakeRow) -> ClientVerdict? {
        row.protocols == .disjoint
            ? .alert(.noApplicationProtocol, .handshakeFailed, .serverHello) : nil
    }
}

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("nginx", .serialized, .needs(.nginx))
    struct NginxTests {
        @Test(
            "our client and nginx agree, or refuse each other",
            arguments: HandshakeRow.all
        )
        func row(_ row: HandshakeRow) async throws {
            try await NginxServer().expectRow(row)
        }

        @Test("what nginx staples is judged", arguments: StapleRow.all)
        func staple(_ row: StapleRow) async throws {
            try await NginxServer.expectStaple(row) {
                NginxServer(directives: "ssl_stapling on; ssl_stapling_file \($0);")
            }
        }

        @Test("a fingerprint stands for authority and name", arguments: HandshakeRow.versions)
        func fingerprints(_ version: ProtocolVersion) async throws {
            try await NginxServer().expectFingerprints(version)
        }

        @Test(
            "nginx chooses the application protocol it prefers of those offered",
            arguments: HandshakeRow.versions,
            [["h2", "http/1.1"], ["http/1.1", "h2"], ["http/1.1"], ["h2"]]
        )
        func application(_ version: ProtocolVersion, _ offered: [String]) async throws {
            try await withNginx(version, .other, protocols: ["h2"]) { options, _ in
                let socket = try Socket(options { $0.alpn = offered })
                let info = try await socket.ready
                #expect(info.alpn == (offered.contains("h2") ? "h2" : "http/1.1"))
                try await socket.close()
            }
        }

        @Test(
            "what goes to nginx comes back unchanged, in pieces of any size, and both ends are clean",
            arguments: EchoRow.all
        )
        func transfer(_ row: EchoRow) async throws {
            try await withNginx(row.version, row.feature, row.key) { options, _ in
                let put = try Socket(options { _ in })
                let stored = try await HTTPMessage.exchange(
                    .put("/files/it", row.body),
                    on: put,
                    inPiecesOf: row.piece
                )
                #expect(stored.status == 201)
                try await put.close()
                let get = try Socket(options { _ in })
                let answer = try await HTTPMessage.exchange(.get("/files/it"), on: get)
                #expect(hexadecimalDigest(answer.body) == row.digest)
                try await get.close()
                #expect(await get.closed == .clean(nil))
            }
        }

        @Test(
            "a server that dies behind a unix socket is a cut, not a broken pipe",
            arguments: HandshakeRow.versions
        )
        func death(_ version: ProtocolVersion) async throws {
            try await withNginx(version, .cut) { options, process in
                let socket = try Socket(options { _ in })
                // The answer shows that it has read everything: else its end would be a reset.
                var request = HTTPMessage.get("/facts")
                request.endsConnection = false
                try await socket.write(request.bytes)
                #expect(try await HTTPMessage(from: socket).status == 200)
                process.kill()
                #expect(try await process.wait().exitCode == -SIGKILL)
                let error = await #expect(throws: SocketError.self) { try await socket.read() }
                #expect(error == SocketError(.truncated, tls: TLSError(.truncated)))
                #expect(error?.phase == .open)
                #expect(await socket.closed == .truncated)
            }
        }

        /// Runs nginx with a good certificate, and gives a way to make options for it.
        private func withNginx(
            _ version: ProtocolVersion,
            _ feature: InteropFeature,
            _ key: TestKey = .p256,
            protocols: [String] = ["http/1.1"],
            _ body: (((inout SocketInit) -> Void) throws -> SocketInit, ForeignProcess) async throws
                -> Void
        ) async throws {
            let authorities = try Authorities.shared.get()
            let directory = try TemporaryDirectory()
            let row = HandshakeRow(version: version, key: key)
            let settings = ServerSettings(
                directory: directory.path,
                certificate: try authorities.serverCertificate(row).write(to: directory.path),
                version: version,
                protocols: protocols,
                clients: .none,
                clientRoot: nil
            )
            try await NginxServer().run(settings) { server in
                func options(_ change: (inout SocketInit) -> Void) throws -> SocketInit {
                    try SocketInit(type: .tls, remote: server.address) {
                        $0.servername = Authorities.host
                        $0.trust = try authorities.trust()
                        change(&$0)
                    }
                }
                try await body(options, #require(server.process))
            }
            RowTally.count("nginx", .client, feature)
        }
    }
}
