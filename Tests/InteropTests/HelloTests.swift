// What clients of others say first, read by us, by OpenSSL and by tshark; the three must agree.

import Foundation
import Sockets
import TLSEngine
import TLSTestKit
import Testing

/// ClientHellos of others, as they came.
enum CapturedHello {
    /// Has a client of others connect to something that listens and says nothing.
    ///
    /// - Parameters:
    ///   - client: The client, which fails in the end.
    ///   - row: How it is set.
    /// - Returns: The records of its ClientHello.
    /// - Throws: ``ForeignFailure`` when it said none.
    static func records(
        of client: some ForeignClient,
        _ row: HandshakeRow
    ) async throws -> [UInt8] {
        let directory = try TemporaryDirectory()
        let files = try Authorities.shared.get().serverCertificate(HandshakeRow())
            .write(to: directory.path, name: "good")
        let (hellos, told) = AsyncStream<[UInt8]>.makeStream()
        let listener = try SocketListener(SocketListenerInit(local: .init("127.0.0.1", port: 0)))
        let serving = Task {
            try await listener.serve { socket in
                var bytes: [UInt8] = []
                while let piece = try await socket.read() {
                    bytes += piece
                    guard try ClientHello(reading: bytes) != nil else { continue }
                    told.yield(bytes)
                    break
                }
                try await socket.close()
            }
        }
        defer { serving.cancel() }
        let settings = ClientSettings(
            directory: directory.path,
            address: listener.localAddress,
            root: files.root,
            version: row.version,
            sendsName: row.sendsName,
            protocols: row.protocols == .none ? [] : ["http/1.1"]
        )
        _ = try? await client.send(.get("/"), settings)
        await listener.close()
        for await hello in hellos { return hello }
        throw ForeignFailure(description: "\(client.name) said no ClientHello")
    }

    /// How clients are set.
    static let rows = HandshakeRow.versions.flatMap { version in
        [HandshakeRow(version: version), HandshakeRow(version: version, protocols: .none)]
            + [HandshakeRow(version: version, sendsName: false)]
    }

    /// Expects that we read what OpenSSL reads, and what the client was told.
    static func expectSame(_ client: some ForeignClient, _ row: HandshakeRow) async throws {
        let records = try await records(of: client, row)
        let hello = try #require(try ClientHello(reading: records))
        guard case .read(let view) = try OpenSSLClientHello.read(records) else {
            Issue.record("OpenSSL does not read it")
            return
        }
        #expect(view.isSame(as: hello))
        #expect(hello.servername == (row.sendsName ? Authorities.host : nil))
        #expect(hello.alpn == (row.protocols == .none ? [] : ["http/1.1"]))
        #expect(hello.offers(row.version))
        // Of no extension that programs send is nothing known.
        for entry in hello.extensions { #expect(entry.type.name != nil, "\(entry.number)") }
        for suite in hello.cipherSuites { #expect(CipherSuite.registeredName(of: suite) != nil) }
        let head = (row.version == .tls13 ? "t13" : "t12") + (row.sendsName ? "d" : "i")
        #expect(hello.ja4.hasPrefix(head), "\(hello.ja4)")
        try await Tshark.expectSame([hello])
    }
}

/// The JA3 of tshark (Wireshark), which reads packets.
enum Tshark {
    /// A capture of ClientHellos, each in a connection of its own (libpcap's format, raw IP).
    static func capture(_ hellos: [ClientHello]) -> [UInt8] {
        var bytes: [UInt8] = little(0xa1b2_c3d4) + [2, 0, 4, 0] + little(0) + little(0)
        bytes += little(262_144) + little(101)
        for (place, hello) in hellos.enumerated() {
            let port = UInt16(10_000 + place)
            let ports = [UInt8(port >> 8), UInt8(port & 255), 1, 187]
            let tcp = ports + [0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 255, 255, 0, 0, 0, 0]
            let count = 20 + tcp.count + hello.records.count
            let ip: [UInt8] =
                [0x45, 0, UInt8(count >> 8), UInt8(count & 255), 0, 0, 0, 0, 64, 6, 0, 0]
                + [127, 0, 0, 1, 127, 0, 0, 2]
            let size = UInt32(ip.count + tcp.count + hello.records.count)
            bytes += little(UInt32(place)) + little(0) + little(size) + little(size)
            bytes += ip + tcp + hello.records
        }
        return bytes
    }

    private static func little(_ number: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * UInt32($0))) }
    }

    /// Has it say what it makes of ClientHellos, and expects the same of us.
    static func expectSame(_ hellos: [ClientHello]) async throws {
        guard ForeignProgram.tshark.path != nil || ForeignProgram.isRequired else { return }
        let directory = try TemporaryDirectory()
        let file = directory.path + "/hellos.pcap"
        try Data(capture(hellos)).write(to: URL(fileURLWithPath: file))
        let fields = ["tls.handshake.ja3_full", "tls.handshake.ja3"].flatMap { ["-e", $0] }
        let said = try await ForeignProcess.run(
            .tshark,
            ["-r", file, "-T", "fields", "-E", "separator=;"] + fields
        ) { process in
            String(decoding: try await process.wait().standardOutput, as: UTF8.self)
        }
        let lines = said.split(separator: "\n").map(String.init)
        #expect(lines == hellos.map { "\($0.ja3Text);\($0.ja3 ?? "")" })
    }
}

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("ClientHellos of others", .serialized)
    struct HelloTests {
        @Test("of s_client", .needs(.openssl), arguments: CapturedHello.rows)
        func openSSL(_ row: HandshakeRow) async throws {
            try await CapturedHello.expectSame(OpenSSLClient(), row)
        }

        @Test("of curl", .needs(.curl), arguments: CapturedHello.rows)
        func curl(_ row: HandshakeRow) async throws {
            try await CapturedHello.expectSame(CurlClient(), row)
        }

        @Test("of gnutls-cli", .needs(.gnutlsClient), arguments: CapturedHello.rows)
        func gnuTLS(_ row: HandshakeRow) async throws {
            try await CapturedHello.expectSame(GnuTLSClient(), row)
        }

        @Test("of what no program here sends, tshark's JA3 is ours", .needs(.tshark))
        func made() async throws {
            var hellos: [ClientHello] = []
            for version in HandshakeRow.versions {
                for alpn in [[], ["h2", "http/1.1"]] {
                    let context = try TLSContext(
                        role: .client,
                        policy: TLSPolicy {
                            ($0.minimumVersion, $0.maximumVersion) = (version, version)
                            $0.alpn = alpn
                        },
                        trust: Authorities.shared.get().trust()
                    )
                    var engine = try TLSEngine(context, remoteName: Authorities.host)
                    let bytes = try [UInt8](capacity: 65536) { output throws(TLSError) in
                        _ = try engine.handshake(consuming: Span(), producing: &output)
                    }
                    hellos.append(try #require(try ClientHello(reading: bytes)))
                }
            }
            // GREASE everywhere, and a message without extensions.
            hellos.append(try hello(suites: [0x2a2a, 0x1301], [0x0a, 0x0a, 0, 0]))
            hellos.append(try hello(suites: [4, 5, 10], nil))
            hellos.append(
                try hello(
                    suites: [0x1301, 0xfafa],
                    [0, 10, 0, 6, 0, 4, 0x3a, 0x3a, 0, 29, 0, 11, 0, 3, 2, 0, 1, 0xda, 0xda, 0, 0]
                )
            )
            try await Tshark.expectSame(hellos)
        }

        /// A ClientHello of some suites and extensions.
        private func hello(suites: [UInt16], _ extensions: [UInt8]?) throws -> ClientHello {
            var body: [UInt8] = [3, 3] + [UInt8](repeating: 7, count: 32) + [0]
            body +=
                [0, UInt8(2 * suites.count)] + suites.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
            body += [1, 0]
            if let extensions { body += [0, UInt8(extensions.count)] + extensions }
            let message = [1, 0, 0, UInt8(body.count)] + body
            let records = [22, 3, 1, 0, UInt8(message.count)] + message
            return try #require(try ClientHello(reading: records))
        }

        @Test(
            "extensions, suites, groups and algorithms are called what tshark calls them",
            .needs(.tshark)
        )
        func names() async throws {
            let said = try await ForeignProcess.run(.tshark, ["-G", "values"]) { process in
                String(decoding: try await process.wait().standardOutput, as: UTF8.self)
            }
            var compared: [String: Int] = [:]
            for line in said.split(separator: "\n") {
                let parts = line.split(separator: "\t").map(String.init)
                guard parts.count == 4, parts[0] == "V", let number = number(parts[2]),
                    let ours = ourName(of: number, as: parts[1])
                else { continue }
                guard ours != parts[3], !Self.renamed.contains(parts[3]) else {
                    compared[parts[1], default: 0] += 1
                    continue
                }
                Issue.record("\(parts[1]) \(number) is \(parts[3]) there, and \(ours) here")
            }
            #expect(compared["tls.handshake.extension.type"] ?? 0 > 55)
            #expect(compared["tls.handshake.ciphersuite"] ?? 0 > 340)
            #expect(compared["tls.handshake.extensions_supported_group"] ?? 0 > 30)
            #expect(compared["tls.handshake.sig_hash_alg"] ?? 0 > 15)
        }

        /// Where it has an older name, or one of its own.
        private static let renamed: Set = [
            "Reserved (GREASE)", "delegated_credentials", "application_settings",
            "quic_transport_parameters (drafts version)",
        ]

        private func number(_ text: String) -> UInt16? {
            text.hasPrefix("0x") ? UInt16(text.dropFirst(2), radix: 16) : UInt16(text)
        }

        /// Our name of a number in a registry; nil for one that is not looked at.
        private func ourName(of number: UInt16, as field: String) -> String? {
            // What Open Quantum Safe took before anything was registered.
            let isExperimental = number >= 0x0200
            switch field {
            case "tls.handshake.extension.type": return ExtensionType(rawValue: number).name
            case "tls.handshake.ciphersuite": return CipherSuite.registeredName(of: number)
            case "tls.handshake.extensions_supported_group":
                return isExperimental ? nil : NamedGroup(rawValue: number).description
            case "tls.handshake.sig_hash_alg":
                return number >= 0xfe00 ? nil : SignatureScheme(rawValue: number).description
            default: return nil
            }
        }
    }

    // Serialized: one process a language does all rows, see InteropTests.
    @Suite("ClientHellos of Node, Python and Java", .serialized, .peers)
    struct ScriptedHelloTests {
        @Test(
            "of each language",
            arguments: ScriptedLanguage.tested,
            CapturedHello.rows
        )
        func language(_ language: ScriptedLanguage, _ row: HandshakeRow) async throws {
            try await CapturedHello.expectSame(ScriptedClient(language), row)
        }
    }
}
