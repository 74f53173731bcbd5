// Resumption against programs of others: a session of the first connection is offered by the second.

import Foundation
import Sockets
import TLSTestKit
import Testing

extension ForeignServer {
    /// Expects that our client resumes a session from its export, and once in TLS 1.3.
    ///
    /// - Parameters:
    ///   - version: The only version it speaks.
    ///   - clients: Whether it demands a certificate of ours.
    /// - Throws: What a step throws.
    func expectResumption(_ version: ProtocolVersion, clients: CertificateDemand) async throws {
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let row = HandshakeRow(
            version: version,
            protocols: .none,
            client: clients == .require ? .good : .unasked
        )
        let files = try authorities.serverCertificate(row).write(to: directory.path)
        let settings = ServerSettings(
            directory: directory.path,
            certificate: files,
            version: version,
            protocols: [],
            clients: clients,
            clientRoot: clients == .none ? nil : files.root
        )
        let identity = try authorities.clientCertificate(row)?.identity()
        try await run(settings) { server in
            func connect(_ session: [UInt8]?) async throws -> TLSSocketInfo {
                let options = try SocketInit(type: .tls, remote: server.address) {
                    $0.servername = Authorities.host
                    $0.trust = try authorities.trust()
                    $0.identity = identity
                    $0.session = session
                }
                let socket = try Socket(options)
                _ = try await socket.ready
                // What it says brings its tickets along.
                try await converse(socket, row, server)
                let info = try #require(socket.info?.tls)
                try await socket.close()
                return info
            }
            let first = try await connect(nil)
            #expect(!first.resumed)
            let session = try #require(first.session)
            let second = try await connect(session)
            #expect(second.resumed)
            #expect(second.verificationStatus == "ok")
            #expect(second.report.verifiedChain == first.report.verifiedChain)
            #expect(second.report.peerChain == first.report.peerChain)
            // And from the second, as the first is spent in TLS 1.3.
            let third = try await connect(version == .tls13 ? second.session : session)
            #expect(third.resumed)
            let fourth = try await connect(session)
            #expect(fourth.resumed == (version == .tls12))
        }
        RowTally.count(name, .client, .resumption)
    }
}

extension InteropTests {
    // Serialized: each row is a process, see InteropTests.
    @Suite("resumption", .serialized)
    struct ResumptionTests {
        @Test(
            "our client resumes at s_server",
            .needs(.openssl),
            arguments: HandshakeRow.versions,
            CertificateDemand.ofResumption
        )
        func openSSLServer(_ version: ProtocolVersion, _ clients: CertificateDemand) async throws {
            try await OpenSSLServer().expectResumption(version, clients: clients)
        }

        @Test(
            "our client resumes at nginx",
            .needs(.nginx),
            arguments: HandshakeRow.versions,
            CertificateDemand.ofResumption
        )
        func nginx(_ version: ProtocolVersion, _ clients: CertificateDemand) async throws {
            // With tickets, and with sessions that it keeps itself.
            for tickets in ["on", "off"] {
                let cache = "ssl_session_cache shared:s:1m; ssl_session_tickets \(tickets);"
                try await NginxServer(directives: cache)
                    .expectResumption(version, clients: clients)
            }
        }

        @Test(
            "our client takes the session of s_client, if that had trusted the server",
            .needs(.openssl),
            arguments: HandshakeRow.versions
        )
        func openSSLForm(_ version: ProtocolVersion) async throws {
            for isTrusting in [true, false] {
                try await expectOpenSSLForm(version, isTrusting: isTrusting)
                RowTally.count("openssl s_server", .client, .resumption)
            }
        }

        @Test(
            "s_client resumes at our listener, with its certificate or without",
            .needs(.openssl),
            arguments: HandshakeRow.versions,
            CertificateDemand.ofResumption
        )
        func openSSLClient(_ version: ProtocolVersion, _ clients: CertificateDemand) async throws {
            try await expectClient(version, clients, "openssl s_client") { round, directory in
                let file = directory + "/session.pem"
                return OpenSSLClient(options: [round == 0 ? "-sess_out" : "-sess_in", file])
            }
        }

        @Test(
            "gnutls-cli resumes at our listener",
            .needs(.gnutlsClient),
            arguments: HandshakeRow.versions,
            CertificateDemand.ofResumption
        )
        func gnutlsClient(_ version: ProtocolVersion, _ clients: CertificateDemand) async throws {
            // It connects twice by itself, and sends its request the second time.
            try await expectClient(version, clients, "gnutls-cli", rounds: 1) { _, _ in
                GnuTLSClient(options: ["--resume", "--waitresumption"])
            }
        }

        /// Has a client of others connect twice to one listener, and expects the second to be resumed.
        private func expectClient(
            _ version: ProtocolVersion,
            _ clients: CertificateDemand,
            _ name: String,
            rounds: Int = 2,
            _ client: (_ round: Int, _ directory: String) -> some ForeignClient
        ) async throws {
            let authorities = try Authorities.shared.get()
            let directory = try TemporaryDirectory()
            let row = HandshakeRow(version: version, client: clients == .require ? .good : .unasked)
            let certificate = try authorities.serverCertificate(row)
            let root = try certificate.write(to: directory.path).root
            let shown = try authorities.clientCertificate(row)?
                .write(to: directory.path, name: "client")
            let options = try SocketListenerInit(
                type: .tls,
                local: .init("127.0.0.1", port: 0),
                identity: certificate.identity()
            ) {
                $0.trust = try authorities.trust()
                $0.clientAuthentication = clients == .require ? .require : .none
                $0.sessionIDContext = "interop"
                $0.sessionTimeout = .seconds(600)
            }
            try await withInteropListener(options, piece: 1 << 20) { address, outcomes in
                var told = outcomes.makeAsyncIterator()
                var infos: [TLSSocketInfo] = []
                for round in 0..<rounds {
                    let settings = ClientSettings(
                        directory: directory.path,
                        address: address,
                        root: root,
                        version: version,
                        certificate: shown
                    )
                    let result = try await client(round, directory.path)
                        .send(.get("/facts"), settings)
                    #expect(result.exitCode == 0, "\(result.text)")
                    while infos.count <= round, let outcome = await told.next() {
                        if case .served(let info?) = outcome { infos.append(info) }
                    }
                    // The first connection of a client that makes both had no request.
                    guard infos.count == round + 1 else {
                        throw ForeignFailure(description: "\(name) was not served: \(result.text)")
                    }
                }
                #expect(infos.map(\.resumed) == (rounds == 1 ? [true] : [false, true]))
                let last = try #require(infos.last)
                #expect(last.verificationStatus == (clients == .require ? "ok" : nil))
                #expect(last.peerCertificate == infos[0].peerCertificate)
                #expect(last.report.verifiedChain == infos[0].report.verifiedChain)
                #expect(last.report.verifiedChain.isEmpty == (clients == .none))
                #expect((last.peerCertificate != nil) == (clients == .require))
            }
            RowTally.count(name, .listener, .resumption)
        }

        private func expectOpenSSLForm(
            _ version: ProtocolVersion,
            isTrusting: Bool
        ) async throws {
            let authorities = try Authorities.shared.get()
            let directory = try TemporaryDirectory()
            let row = HandshakeRow(version: version)
            let files = try authorities.serverCertificate(row).write(to: directory.path)
            let settings = ServerSettings(
                directory: directory.path,
                certificate: files,
                version: version,
                protocols: [],
                clients: .none,
                clientRoot: nil
            )
            try await OpenSSLServer().run(settings) { server in
                let file = directory.path + "/session.pem"
                var arguments = [
                    "s_client", "-connect", server.address.description, "-sess_out", file,
                    "-servername", Authorities.host, version == .tls12 ? "-tls1_2" : "-tls1_3",
                ]
                arguments += ["-no-CApath", "-no-CAstore"]
                arguments += isTrusting ? ["-CAfile", files.root] : ["-no-CAfile"]
                let der = try await ForeignProcess.run(.openssl, arguments) { process in
                    try await process.write("stressed\n")
                    // Behind the ticket of TLS 1.3.
                    try await process.wait(forText: "desserts")
                    process.closeInput()
                    _ = try await process.wait()
                    return try sessionDER(in: file)
                }
                let socket = try Socket(
                    SocketInit(type: .tls, remote: server.address) {
                        $0.servername = Authorities.host
                        $0.trust = try authorities.trust()
                        $0.session = der
                    }
                )
                let info = try await socket.ready
                #expect(info.resumed == isTrusting)
                #expect(info.tls?.report.withheldSession == (isTrusting ? nil : .untrusted))
                #expect(info.verificationStatus == "ok")
                try await socket.write("stressed\n")
                #expect(try await socket.read(exactly: 9) == Array("desserts\n".utf8))
                try await socket.close()
            }
        }

        private func sessionDER(in file: String) throws -> [UInt8] {
            let lines = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n")
            let body = lines.filter { !$0.hasPrefix("-----") }.joined()
            return Array(try #require(Data(base64Encoded: body)))
        }
    }
}

extension CertificateDemand {
    /// What servers want of clients that resume.
    static let ofResumption = [CertificateDemand.none, .require]
}

extension ScriptedServer {
    /// Expects that Node resumes a session of ours.
    func expectNodesResumption(_ version: ProtocolVersion) async throws {
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let row = HandshakeRow(version: version)
        let settings = ServerSettings(
            directory: directory.path,
            certificate: try authorities.serverCertificate(row).write(to: directory.path),
            version: version,
            protocols: [],
            clients: .none,
            clientRoot: nil
        )
        try await run(settings, act: "echo", piece: nil, more: ["resume": "1"]) { turn, address in
            var options = SocketInit(type: .tls, remote: address)
            options.servername = Authorities.host
            options.trust = try authorities.trust()
            let first = try Socket(options)
            var sessions = first.sessions.makeAsyncIterator()
            // In TLS 1.3 Node sends its tickets behind what it is told to write, and then ends without a
            // close_notify: a cut, by which the sessions that came are not lost.
            let end = Task { try await first.readToEnd() }
            let session = try #require(await sessions.next())
            _ = await end.result
            first.abort()
            options.session = session.sealed
            let second = try Socket(options)
            let info = try await second.ready
            #expect(info.resumed == true)
            #expect(second.info?.verificationStatus == "ok")
            #expect(try await turn.report(.ready).resumed == true)
            try await second.write("stressed")
            #expect(try await second.read(exactly: 8) == Array("stressed".utf8))
            try await second.shutdownWrite()
            #expect(try await second.read() == nil)
            _ = try await turn.report(.done)
        }
        RowTally.count(name, .client, .resumption)
    }
}

extension ScriptedClient {
    /// Expects that our listener resumes a session of Node's.
    func expectNodesResumption(_ version: ProtocolVersion) async throws {
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let certificate = try authorities.serverCertificate(HandshakeRow(version: version))
        let root = try certificate.write(to: directory.path).root
        let listener = SocketListenerInit(
            type: .tls,
            local: .init("127.0.0.1", port: 0),
            identity: try certificate.identity()
        )
        try await withInteropListener(listener, piece: 1 << 20) { address, outcomes in
            let settings = ClientSettings(
                directory: directory.path,
                address: address,
                root: root,
                version: version
            )
            let file = directory.path + "/request"
            try Data(HTTPMessage.get("/facts").bytes).write(to: URL(fileURLWithPath: file))
            let turn = try await begin(settings, ["act": "request", "send": file, "resume": "1"])
            #expect(try await turn.report(.ready).resumed == true)
            #expect(try await turn.end().event == .done)
            for await case .served(let info) in outcomes {
                #expect(info?.resumed == true)
                break
            }
        }
        RowTally.count(name, .listener, .resumption)
    }
}
