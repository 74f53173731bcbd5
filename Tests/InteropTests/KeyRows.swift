// Preshared keys with programs of others: the right one lets in, another keeps out, in every form.

import Foundation
import Sockets
import TLSTestKit
import Testing

/// A form of key exchange, and whether both sides have the same key.
struct KeyRow: Sendable, CustomTestStringConvertible {
    enum Form: String, CaseIterable, Sendable {
        case dhe, ecdhe, tls13

        var version: ProtocolVersion { self == .tls13 ? .tls13 : .tls12 }

        /// The one suite of TLS 1.2 that is spoken; OpenSSL 3.0 has these two by name.
        var suite: String? {
            switch self {
            case .dhe: "DHE-PSK-AES256-GCM-SHA384"
            case .ecdhe: "ECDHE-PSK-CHACHA20-POLY1305"
            case .tls13: nil
            }
        }

        /// What GnuTLS is told.
        var priority: String {
            switch self {
            case .dhe: "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+DHE-PSK"
            case .ecdhe: "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ECDHE-PSK"
            case .tls13: "NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK:+DHE-PSK"
            }
        }
    }

    let form: Form
    let isRight: Bool

    var testDescription: String { "\(form), \(isRight ? "the same key" : "another key")" }

    static let all = Form.allCases.flatMap { form in
        [true, false].map { KeyRow(form: form, isRight: $0) }
    }

    static let identity: PresharedKeyIdentity = "meter 4711"
    static let hint = "floor 3"

    /// The key of our side.
    func info() throws -> PresharedKeyInfo {
        try PresharedKeyInfo(
            key: bytes(isOurs: true),
            identity: Self.identity,
            use: form == .tls13 ? .tls13(.sha256) : .tls12,
            roles: .both(because: "the tests are clients and listeners")
        )
    }

    /// The key of the other side, in hexadecimal digits.
    var digits: String {
        bytes(isOurs: false).map { byte in
            String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }.joined()
    }

    private func bytes(isOurs: Bool) -> [UInt8] {
        let seed: UInt8 = form == .tls13 ? 0x40 : 0x80
        return (0..<32).map { ($0 &* 5 &+ seed) ^ (isOurs || isRight ? 0 : 1) }
    }
}

/// How a client of others is started to send a request with a key.
struct KeyClient: Sendable {
    let name: String
    let program: ForeignProgram
    /// Whether it breaks down behind a handshake of TLS 1.2 that succeeded.
    var isFrail = false
    let arguments: @Sendable (KeyRow, SocketAddress) -> [String]

    static let openssl = KeyClient(name: "openssl s_client", program: .openssl) { row, address in
        [
            "s_client", "-quiet", "-connect", address.description, "-psk", row.digits,
            "-psk_identity", KeyRow.identity.description,
        ] + (row.form.suite.map { ["-tls1_2", "-cipher", $0] } ?? ["-tls1_3"])
    }

    static let gnutls = KeyClient(
        name: "gnutls-cli",
        program: .gnutlsClient,
        isFrail: true
    ) { row, address in
        [
            "--port", "\(address.port)", "--logfile", "/dev/stderr", "--priority",
            row.form.priority, "--pskusername", KeyRow.identity.description, "--pskkey",
            row.digits, "--disable-sni", address.address,
        ]
    }

    static let node = KeyClient(name: "Node", program: .node) { row, address in
        [
            "-e", KeyScript.client, address.address, "\(address.port)", row.digits,
            KeyRow.identity.description, row.form.suite ?? "",
        ]
    }

    /// Has it send a request to a listener of ours.
    func expect(_ row: KeyRow) async throws {
        let shared = try row.info()
        let options = SocketListenerInit(type: .tls, local: .init("127.0.0.1", port: 0)) {
            $0.presharedKey = { $0 == shared.identity ? shared : nil }
            $0.presharedKeyHint = KeyRow.hint
            if row.form == .tls13 { $0.minimumVersion = .tls13 }
        }
        try await withInteropListener(options, piece: 1 << 16) { address, outcomes in
            try await ForeignProcess.run(program, arguments(row, address)) { process in
                try? await process.write(HTTPMessage.get("/facts").bytes)
                let state = try await process.wait()
                for await outcome in outcomes {
                    check(outcome, row, state)
                    break
                }
            }
        }
        RowTally.count(name, .listener, .presharedKeys)
    }

    private func check(_ outcome: ConnectionOutcome, _ row: KeyRow, _ state: ForeignState) {
        switch outcome {
        case .served(let info):
            #expect(row.isRight)
            #expect(info?.authentication == .presharedKey(KeyRow.identity))
            #expect(info?.version == row.form.version)
            if let suite = row.form.suite { #expect(info?.cipher?.name == suite) }
            let answer = String(decoding: HTTPMessage.split(state.standardOutput), as: UTF8.self)
            #expect(answer == "\(row.form.version) none none none\n")
        case .failed(let error) where isFrail && row.isRight && row.form != .tls13:
            #expect(error.code == .truncated)
            #expect(error.report?.isComplete == true)
            #expect(error.report?.authentication == .presharedKey(KeyRow.identity))
        case .failed(let error):
            #expect(!row.isRight, "\(error)")
            #expect(error.code == .presharedKeyRejected)
            #expect(error.tls?.code == .presharedKeyMismatch)
        case .left: Issue.record("it left without a word: \(state.text)")
        }
    }
}

extension ForeignServer {
    /// Expects that our client gets in with the same key, and not with another.
    func expectKey(_ row: KeyRow, hasHint: Bool = true) async throws {
        let directory = try TemporaryDirectory()
        let settings = ServerSettings(
            directory: directory.path,
            certificate: try Authorities.shared.get().serverCertificate(HandshakeRow())
                .write(to: directory.path),
            version: row.form.version,
            protocols: [],
            clients: .none,
            clientRoot: nil
        )
        let shared = try row.info()
        try await run(settings) { server in
            let hints = Hints()
            let socket = try Socket(
                SocketInit(type: .tls, remote: server.address) {
                    $0.minimumVersion = row.form.version
                    $0.maximumVersion = row.form.version
                    $0.cipherAlgorithms = row.form.suite.map { [$0] }
                    $0.presharedKey = { hint in
                        await hints.add(hint)
                        return shared
                    }
                }
            )
            if row.isRight {
                let info = try await socket.ready
                #expect(info.authentication == .presharedKey(KeyRow.identity))
                #expect(info.version == row.form.version)
                try await converse(socket, HandshakeRow(version: row.form.version), server)
                try await socket.close()
            } else {
                let error = await #expect(throws: SocketError.self) { _ = try await socket.ready }
                #expect(error?.tls?.code == .alertReceived)
                #expect(error?.hint?.contains("another preshared key") == true, "\(error as Any)")
            }
            #expect(await hints.all == [hasHint && row.form != .tls13 ? KeyRow.hint : nil])
        }
        RowTally.count(name, .client, .presharedKeys)
    }
}

/// What a callback was asked with.
private actor Hints {
    private(set) var all: [String?] = []

    func add(_ hint: String?) { all.append(hint) }
}

/// Node's own words for a client and a server with keys.
enum KeyScript {
    static let client = """
        const [host, port, key, identity, suite] = process.argv.slice(1);
        const version = suite ? 'TLSv1.2' : 'TLSv1.3';
        const socket = require('tls').connect({
            host, port: +port, minVersion: version, maxVersion: version,
            ciphers: suite || undefined, checkServerIdentity: () => undefined,
            pskCallback: () => ({ psk: Buffer.from(key, 'hex'), identity }),
        }, () => process.stdin.pipe(socket));
        socket.pipe(process.stdout);
        socket.on('error', (error) => { console.error(error.message); process.exit(1); });
        socket.on('close', () => process.exit(0));
        """

    static let server = """
        const [key, identity, hint, suite] = process.argv.slice(1);
        const version = suite ? 'TLSv1.2' : 'TLSv1.3';
        const server = require('tls').createServer({
            minVersion: version, maxVersion: version, ciphers: suite || undefined,
            pskIdentityHint: hint, dhparam: 'auto',
            pskCallback: (socket, name) => name === identity ? Buffer.from(key, 'hex') : null,
        }, (socket) => socket.pipe(socket));
        server.on('tlsClientError', (error) => console.error(error.message));
        server.listen(0, '127.0.0.1', () => console.log('LISTENING', server.address().port));
        """
}

/// A server of Node that sends back what it receives.
struct NodeKeyServer: ForeignServer {
    let name = "Node"
    let canIgnoreProtocols = true
    let row: KeyRow

    func run(
        _ settings: ServerSettings,
        _ body: (RunningServer) async throws -> Void
    ) async throws {
        let arguments = [
            "-e", KeyScript.server, row.digits, KeyRow.identity.description, KeyRow.hint,
            row.form.suite ?? "",
        ]
        try await ForeignProcess.run(.node, arguments) { process in
            let port = try await process.wait(for: "it listened") { state in
                state.text.split(separator: "\n").lazy.filter { $0.hasPrefix("LISTENING ") }
                    .compactMap { UInt16($0.dropFirst(10)) }.first
            }
            try await body(RunningServer(address: .init("127.0.0.1", port: port), process: process))
        }
    }

    func converse(_ socket: Socket, _ row: HandshakeRow, _ server: RunningServer) async throws {
        try await socket.write("stressed\n")
        #expect(try await socket.read(exactly: 9) == Array("stressed\n".utf8))
    }

    func verdict(_ row: HandshakeRow) -> ClientVerdict? { nil }
}

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("preshared keys", .serialized)
    struct KeyTests {
        @Test("our client and openssl s_server", .needs(.openssl), arguments: KeyRow.all)
        func opensslServer(_ row: KeyRow) async throws {
            var server = OpenSSLServer()
            server.behaviour += [
                "-psk", row.digits, "-psk_identity", KeyRow.identity.description, "-psk_hint",
                KeyRow.hint,
            ]
            try await server.expectKey(row)
        }

        @Test("our listener and openssl s_client", .needs(.openssl), arguments: KeyRow.all)
        func opensslClient(_ row: KeyRow) async throws {
            try await KeyClient.openssl.expect(row)
        }

        @Test("our listener and gnutls-cli", .needs(.gnutlsClient), arguments: KeyRow.all)
        func gnutlsClient(_ row: KeyRow) async throws {
            try await KeyClient.gnutls.expect(row)
        }

        @Test("our client and Node", .needs(.node), arguments: KeyRow.all)
        func nodeServer(_ row: KeyRow) async throws {
            try await NodeKeyServer(row: row).expectKey(row)
        }

        @Test("our listener and Node", .needs(.node), arguments: KeyRow.all)
        func nodeClient(_ row: KeyRow) async throws {
            try await KeyClient.node.expect(row)
        }

        // Serialized: each row is a process.
        @Suite("gnutls-serv", .serialized, .needs(.gnutlsServ, .clang), .boundToLoopback)
        struct GnuTLSServerTests {
            @Test("our client and gnutls-serv", arguments: KeyRow.all)
            func row(_ row: KeyRow) async throws {
                let directory = try TemporaryDirectory()
                let file = directory.path + "/keys"
                try "\(KeyRow.identity):\(row.digits)\n"
                    .write(toFile: file, atomically: true, encoding: .utf8)
                var server = GnuTLSServer()
                let exchange = row.form.priority.split(separator: ":").dropFirst(4)
                server.priority = ":-KX-ALL:" + exchange.joined(separator: ":")
                server.options = ["--pskpasswd", file, "--pskhint", KeyRow.hint]
                try await server.expectKey(row)
            }
        }
    }
}
