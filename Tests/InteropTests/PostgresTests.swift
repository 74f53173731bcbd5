// Our client against a PostgreSQL server, over its SSLRequest: eight bytes ask for TLS, one grants it.

import Foundation
import Glibc
import Sockets
import TLSTestKit
import Testing

/// A database of its own, in a directory of its own, for the length of a closure.
struct PostgresServer: Sendable {
    let certificate: IssuedCertificate

    func run(_ body: (SocketAddress) async throws -> Void) async throws {
        let directory = try TemporaryDirectory()
        let files = try certificate.write(to: directory.path)
        let data = directory.path + "/data"
        try await ForeignProcess.runUnprivileged(
            .initdb,
            ["-D", data, "-U", "it", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8"],
            directory: directory.path
        ) { process in
            let state = try await process.wait()
            try #require(state.exitCode == 0, "\(state.text)")
        }
        let access = """
            hostssl all Alice 127.0.0.0/8 cert
            hostssl all it 127.0.0.0/8 trust

            """
        try access.write(toFile: data + "/pg_hba.conf", atomically: false, encoding: .utf8)
        let address = try await makeAddressOfProcess()
        let settings = [
            "listen_addresses=\(address.address)", "port=\(address.port)",
            "unix_socket_directories=", "fsync=off", "shared_buffers=8MB", "ssl=on",
            "ssl_cert_file=\(files.chain)", "ssl_key_file=\(files.key)",
            "ssl_ca_file=\(files.root)",
        ]
        try await ForeignProcess.runUnprivileged(
            .postgres,
            ["-D", data] + settings.flatMap { ["-c", $0] },
            directory: directory.path
        ) { process in
            try await process.wait(forText: "ready to accept connections")
            try await body(address)
            // In good order: killed, it would leave shared memory behind.
            process.end(by: SIGINT)
            #expect(try await process.wait().exitCode == 0)
        }
    }
}

/// A session with a server, as far as a row needs it.
private struct PostgresClient {
    var reader: DialogueReader

    var socket: Socket { reader.socket }

    /// Connects, asks for TLS, and hears that it is granted.
    init(_ address: SocketAddress) async throws {
        let socket = try Socket(SocketInit(remote: address))
        reader = DialogueReader(socket)
        try await socket.write([0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F])
        #expect(try await reader.bytes(1) == Array("S".utf8))
    }

    /// Logs in under TLS; the types of the messages that come until the server is ready.
    mutating func logIn(as user: String) async throws -> [Character] {
        let body: [UInt8] = [0, 3, 0, 0] + Array("user\0\(user)\0database\0postgres\0\0".utf8)
        try await socket.write([0, 0, 0, UInt8(body.count + 4)] + body)
        return try await answers().map(\.type)
    }

    /// The messages up to the one that says ready, or an error.
    mutating func answers() async throws -> [(type: Character, body: [UInt8])] {
        var all: [(type: Character, body: [UInt8])] = []
        while true {
            let head = try await reader.bytes(5)
            let size = head[1...].reduce(0) { $0 << 8 | Int($1) } - 4
            all.append((Character(UnicodeScalar(head[0])), try await reader.bytes(size)))
            if ["Z", "E"].contains(all[all.count - 1].type) { return all }
        }
    }

    /// The one value of a query's one row.
    mutating func query(_ text: String) async throws -> String? {
        try await socket.write(PostgresSession.message("Q", Array("\(text)\0".utf8)))
        // The number of columns and the value's length come first.
        return try await answers().first { $0.type == "D" }
            .map { String(decoding: $0.body.dropFirst(6), as: UTF8.self) }
    }
}

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("PostgreSQL", .serialized, .needs(.postgres, .initdb, .setpriv))
    struct PostgresTests {
        private func members(
            _ version: ProtocolVersion,
            _ identity: TLSIdentity? = nil
        ) throws -> TLSSocketInit {
            let trust = try Authorities.shared.get().trust()
            return TLSSocketInit {
                $0.trust = trust
                $0.servername = Authorities.host
                $0.minimumVersion = version
                $0.maximumVersion = version
                $0.identity = identity
            }
        }

        @Test("queries under TLS, client certificates, and an authority that we do not know")
        func all() async throws {
            let authorities = try Authorities.shared.get()
            let server = PostgresServer(
                certificate: try authorities.serverCertificate(HandshakeRow())
            )
            try await server.run { address in
                for version in HandshakeRow.versions { try await query(address, version) }
                for version in HandshakeRow.versions { try await certificate(address, version) }
                for version in HandshakeRow.versions { try await refusal(address, version) }
            }
        }

        private func query(_ address: SocketAddress, _ version: ProtocolVersion) async throws {
            var client = try await PostgresClient(address)
            let info = try await client.socket.startTLS(
                try members(version),
                unread: client.reader.rest
            )
            #expect(info.version == version)
            #expect(try await client.logIn(as: "it").last == "Z")
            let own = "from pg_stat_ssl where pid = pg_backend_pid()"
            let text = version == .tls12 ? "TLSv1.2" : "TLSv1.3"
            #expect(try await client.query("select version \(own)") == text)
            #expect(try await client.query("select cipher \(own)") == info.cipher?.name)
            // A value of a megabyte, in as many records as the server likes.
            let large = try await client.query("select repeat('x', 1000000)")
            #expect(large == String(repeating: "x", count: 1_000_000))
            if version == .tls12 { _ = try await client.query("create role \"Alice\" login") }
            try await client.socket.write(PostgresSession.message("X", []))
            #expect(try await client.socket.read() == nil)
            try await client.socket.close()
            RowTally.count("PostgreSQL", .client, .upgrade)
        }

        private func certificate(
            _ address: SocketAddress,
            _ version: ProtocolVersion
        ) async throws {
            let authorities = try Authorities.shared.get()
            for isShown in [true, false] {
                let alice = try authorities.clientCertificate(HandshakeRow(client: .good))
                var client = try await PostgresClient(address)
                try await client.socket.startTLS(
                    try members(version, isShown ? alice?.identity() : nil)
                )
                // The server refuses who shows none in its own words, under TLS.
                #expect(try await client.logIn(as: "Alice").last == (isShown ? "Z" : "E"))
                client.socket.abort()
                RowTally.count("PostgreSQL", .client, .clientCertificate)
            }
        }

        private func refusal(_ address: SocketAddress, _ version: ProtocolVersion) async throws {
            let client = try await PostgresClient(address)
            var members = try members(version)
            members.servername = "other.test"
            let (socket, other) = (client.socket, members)
            let error = await #expect(throws: SocketError.self) {
                try await socket.startTLS(other)
            }
            #expect(error?.code == .certificateRejected)
            #expect(error?.tls?.verification?.code == .hostnameMismatch)
            RowTally.count("PostgreSQL", .client, .refusal)
        }
    }
}
