// Decisions of the application's against openssl: whether a server is who it should be, which
// certificate it gets, and whether a client comes in, also when it resumes a session.

import Sockets
import Synchronization
import TLSTestKit
import Testing

extension InteropTests.OpenSSLServerTests {
    @Test(
        "the application takes a server of another name, or refuses one of the right name",
        arguments: HandshakeRow.versions,
        [true, false]
    )
    func serverIdentity(_ version: ProtocolVersion, _ takes: Bool) async throws {
        let row = HandshakeRow(version: version, server: takes ? .wrongName : .good)
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let issued = try authorities.serverCertificate(row)
        let settings = ServerSettings(
            directory: directory.path,
            certificate: try issued.write(to: directory.path),
            version: version,
            protocols: [],
            clients: .none,
            clientRoot: nil
        )
        let server = OpenSSLServer(behaviour: ["-rev", "-naccept", "1"])
        try await server.run(settings) { running in
            let socket = try Socket(
                SocketInit(type: .tls, remote: running.address) {
                    $0.servername = Authorities.host
                    $0.trust = try authorities.trust()
                    $0.checkServerIdentity = { servername, identity in
                        await Task.yield()
                        #expect(servername == Authorities.host)
                        #expect(identity.certificate == issued.certificateDER)
                        guard takes else { throw TLSRefusal("not today") }
                        #expect(throws: TLSError.self) { try identity.check() }
                    }
                }
            )
            if takes {
                _ = try await socket.ready
                try await server.converse(socket, row, running)
                try await socket.close()
            } else {
                let error = await #expect(throws: SocketError.self) { try await socket.ready }
                #expect(error?.code == .refusedByApplication)
                #expect(error?.tls?.detail == "not today")
                let process = try #require(running.process)
                try await process.wait(forText: "SSL alert number 46")
            }
        }
        RowTally.count("openssl s_server", .client, .decisions)
    }

    @Test(
        "the application chooses the certificate that s_server gets, or none",
        arguments: HandshakeRow.versions,
        [true, false]
    )
    func certificateChoice(_ version: ProtocolVersion, _ shows: Bool) async throws {
        let row = HandshakeRow(version: version, client: .good)
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let issued = try authorities.serverCertificate(row)
        let files = try issued.write(to: directory.path)
        let alice = try #require(try authorities.clientCertificate(row)).identity()
        let settings = ServerSettings(
            directory: directory.path,
            certificate: files,
            version: version,
            protocols: [],
            clients: .require,
            clientRoot: files.root
        )
        let server = OpenSSLServer(behaviour: ["-rev", "-naccept", "1"])
        try await server.run(settings) { running in
            let socket = try Socket(
                SocketInit(type: .tls, remote: running.address) {
                    $0.servername = Authorities.host
                    $0.trust = try authorities.trust()
                    $0.chooseIdentity = { request in
                        await Task.yield()
                        #expect(!request.signatureAlgorithms.isEmpty)
                        return shows ? alice : nil
                    }
                }
            )
            if shows {
                _ = try await socket.ready
                try await server.converse(socket, row, running)
                #expect(socket.info?.certificate == alice.certificate.der)
                try await socket.close()
            } else {
                let error = await #expect(throws: SocketError.self) {
                    _ = try await socket.ready
                    _ = try await socket.read()
                }
                #expect(
                    error?.tls?.alert
                        == (version == .tls12 ? .handshakeFailure : .certificateRequired)
                )
            }
        }
        RowTally.count("openssl s_server", .client, .decisions)
    }
}

extension InteropTests.OpenSSLClientTests {
    @Test(
        "the application is asked about a client, and again when s_client resumes its session",
        arguments: HandshakeRow.versions,
        [true, false]
    )
    func clientIdentity(_ version: ProtocolVersion, _ takesAgain: Bool) async throws {
        let row = HandshakeRow(version: version, client: .good)
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let certificate = try authorities.serverCertificate(row)
        let files = try certificate.write(to: directory.path, name: "server")
        let alice = try #require(try authorities.clientCertificate(row))
        let client = try alice.write(to: directory.path, name: "client")
        let asked = Mutex<[Bool]>([])
        var options = try SocketListenerInit(
            type: .tls,
            local: .init("127.0.0.1", port: 0),
            identity: certificate.identity()
        )
        options.clientAuthentication = .require
        options.trust = try authorities.trust()
        options.checkClientIdentity = { identity, _ in
            #expect(identity.certificate == alice.certificateDER)
            asked.withLock { $0.append(identity.isResumed) }
            await Task.yield()
            if identity.isResumed, !takesAgain { throw TLSRefusal("gone since") }
        }
        let session = directory.path + "/session"
        try await withInteropListener(options, piece: 1 << 20) { address, outcomes in
            var outcomes = outcomes.makeAsyncIterator()
            let common = [
                "s_client", "-quiet", "-connect", address.description, "-servername",
                Authorities.host, "-CAfile", files.root, "-cert", client.chain, "-cert_chain",
                client.chain, "-key", client.key, version == .tls12 ? "-tls1_2" : "-tls1_3",
            ]
            let first = try await ask(common + ["-sess_out", session])
            #expect(first.exitCode == 0, "\(first.text)")
            guard case .served(let info) = await outcomes.next() else {
                throw ForeignFailure(description: first.text)
            }
            #expect(info?.resumed == false)
            let second = try await ask(common + ["-sess_in", session])
            switch await outcomes.next() {
            case .served(let info):
                #expect(takesAgain && info?.resumed == true)
                #expect(info?.peerCertificate == alice.certificateDER)
                #expect(second.exitCode == 0)
            case .failed(let error):
                #expect(!takesAgain && error.code == .refusedByApplication)
                #expect(error.phase == .clientAuthentication)
                #expect(second.text.contains("SSL alert number 49"), "\(second.text)")
            default: Issue.record("\(second.text)")
            }
        }
        #expect(asked.withLock { $0 } == [false, true])
        RowTally.count("openssl s_client", .listener, .decisions)
    }

    /// Has s_client send a request and take the answer.
    private func ask(_ arguments: [String]) async throws -> ForeignState {
        try await ForeignProcess.run(.openssl, arguments) { process in
            try? await process.write(HTTPMessage.get("/facts").bytes)
            return try await process.wait()
        }
    }
}
