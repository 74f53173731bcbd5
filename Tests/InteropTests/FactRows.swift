// What a connection gives and does beside carrying data, with programs of others: keying material and
// bindings that are the same on both sides, new keys, certificates behind the handshake, early data.

import Foundation
import Sockets
import TLSTestKit
import Testing

/// The label of all rows.
private let label = "EXPORTER-interop"

/// Starts a program of others that connects, for the length of a closure.
private typealias Start =
    @Sendable (
        ClientSettings, @escaping @Sendable (ForeignProcess) async throws -> Void
    ) async throws -> Void

/// Runs a listener for one connection with a program of others, and gets both.
private func withConnection(
    _ start: Start,
    version: ProtocolVersion = .tls13,
    client: HandshakeRow.ClientCertificate = .unasked,
    listener configure: (inout SocketListenerInit) throws -> Void = { _ in },
    _ body: @escaping @Sendable (ForeignProcess, Socket) async throws -> Void
) async throws {
    let authorities = try Authorities.shared.get()
    let directory = try TemporaryDirectory()
    let row = HandshakeRow(version: version, client: client)
    let issued = try authorities.serverCertificate(row)
    var options = SocketListenerInit(type: .tls, local: .init("127.0.0.1", port: 0))
    options.identity = try issued.identity()
    options.trust = try authorities.trust()
    try configure(&options)
    try await withListener(options) { listener in
        let settings = ClientSettings(
            directory: directory.path,
            address: listener.localAddress,
            root: try issued.write(to: directory.path).root,
            version: version,
            certificate: try authorities.clientCertificate(row)?
                .write(to: directory.path, name: "client")
        )
        try await start(settings) { process in
            var events = listener.makeAsyncIterator()
            let event = try #require(await events.next())
            try await body(process, event.socket)
        }
    }
}

/// The next connection of a listener.
private func nextSocket(_ listener: SocketListener) async throws -> Socket {
    var events = listener.makeAsyncIterator()
    return try #require(try await events.next()).socket
}

/// Starts s_client.
private func startClient(_ more: [String]) -> Start {
    { settings, body in
        var arguments = [
            "s_client", "-connect", settings.address.description, "-servername", settings.host,
            "-CAfile", settings.root, "-verify_return_error",
            settings.version == .tls12 ? "-tls1_2" : "-tls1_3",
        ]
        if let certificate = settings.certificate {
            arguments += [
                "-cert", certificate.chain, "-cert_chain", certificate.chain,
                "-key", certificate.key,
            ]
        }
        try await ForeignProcess.run(.openssl, arguments + more, body)
    }
}

/// What openssl and GnuTLS print as keying material, in hexadecimal.
private func material(_ process: ForeignProcess) async throws -> String {
    try await process.wait(for: "it told keying material") { state in
        let text = state.text.lowercased()
        return text.firstMatch(of: /key(?:ing)? material: ([0-9a-f]{64})\b/).map { String($0.1) }
    }
}

extension SecretBytes {
    fileprivate var hexadecimal: String {
        withBytes { bytes in
            bytes.indices.map { (bytes[$0] < 16 ? "0" : "") + String(bytes[$0], radix: 16) }
                .joined()
        }
    }
}

/// A client's socket to a server of others, with what is given set.
private func connect(
    _ address: SocketAddress,
    _ configure: (inout SocketInit) throws -> Void = { _ in }
) throws -> Socket {
    try Socket(
        SocketInit(type: .tls, remote: address) {
            $0.servername = Authorities.host
            $0.trust = try Authorities.shared.get().trust()
            try configure(&$0)
        }
    )
}

private func settings(
    _ version: ProtocolVersion,
    _ directory: borrowing TemporaryDirectory,
    clients: CertificateDemand = .none
) throws -> ServerSettings {
    let files = try Authorities.shared.get().serverCertificate(HandshakeRow(version: version))
        .write(to: directory.path)
    return ServerSettings(
        directory: directory.path,
        certificate: files,
        version: version,
        protocols: [],
        clients: clients,
        clientRoot: clients == .none ? nil : files.root
    )
}

extension InteropTests.OpenSSLServerTests {
    @Test("s_server derives the same keying material", arguments: HandshakeRow.versions)
    func keyingMaterial(_ version: ProtocolVersion) async throws {
        let directory = try TemporaryDirectory()
        let options = ["-keymatexport", label, "-keymatexportlen", "32"]
        try await OpenSSLServer(behaviour: ["-naccept", "1"] + options)
            .run(settings(version, directory)) { server in
                let socket = try connect(server.address)
                _ = try await socket.ready
                let ours = try socket.exportKeyingMaterial(label: label, count: 32).hexadecimal
                #expect(try await material(#require(server.process)) == ours)
                try await socket.close()
            }
        RowTally.count("openssl s_server", .client, .facts)
    }

    @Test("s_server takes our new keys, and answers with its own when it is asked")
    func newKeys() async throws {
        let directory = try TemporaryDirectory()
        let server = OpenSSLServer(behaviour: ["-rev", "-naccept", "1"])
        try await server.run(settings(.tls13, directory)) { running in
            let socket = try connect(running.address)
            _ = try await socket.ready
            for round in 1...3 {
                try await socket.updateKeys(requestPeer: true)
                try await server.converse(socket, HandshakeRow(), running)
                #expect(
                    socket.report?.keyUpdates == KeyUpdateFacts(sent: round, received: round)
                )
            }
            try await socket.close()
        }
        RowTally.count("openssl s_server", .client, .keyUpdates)
    }

    @Test("s_server asks for our certificate behind the handshake, and gets it")
    func lateCertificate() async throws {
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let settings = try settings(.tls13, directory)
        let root = settings.certificate.root
        let server = OpenSSLServer(
            behaviour: ["-naccept", "1", "-CAfile", root, "-verify_return_error"]
        )
        let identity = try authorities.clientCertificate(HandshakeRow(client: .good))?.identity()
        try await server.run(settings) { running in
            let socket = try connect(running.address) {
                $0.identity = identity
                $0.postHandshakeAuthentication = true
            }
            _ = try await socket.ready
            #expect(socket.info?.certificate == nil)
            let process = try #require(running.process)
            try await socket.write("here\n")
            try await process.wait(forText: "here")
            async let data = socket.read(exactly: 6)
            try await process.write("c\n")
            try await process.wait(forText: "CN = Alice")
            try await process.write("hello\n")
            #expect(try await data == Array("hello\n".utf8))
            #expect(socket.info?.certificate == identity?.certificate.der)
            try await socket.close()
        }
        RowTally.count("openssl s_server", .client, .lateCertificates)
    }

    @Test("s_server takes our early data of a second connection")
    func earlyData() async throws {
        let directory = try TemporaryDirectory()
        let server = OpenSSLServer(
            behaviour: ["-naccept", "2", "-early_data", "-max_early_data", "5000"]
        )
        try await server.run(settings(.tls13, directory)) { running in
            let process = try #require(running.process)
            let first = try connect(running.address)
            _ = try await first.ready
            try await process.write("hello\n")
            #expect(try await first.read(exactly: 6) == Array("hello\n".utf8))
            let session = try #require(first.info?.session)
            try await first.close()
            let second = try connect(running.address) {
                $0.session = session
                $0.body = SocketBody.string("early question\n").idempotent()
            }
            _ = try await second.ready
            #expect(
                second.info?.report?.earlyData == EarlyTransfer(bytes: 15, isAccepted: true)
            )
            try await process.wait(forText: "early question")
            #expect(try await process.wait().text.contains("Early data received"))
        }
        RowTally.count("openssl s_server", .client, .earlyData)
    }
}

extension InteropTests.OpenSSLClientTests {
    @Test("s_client derives the same keying material", arguments: HandshakeRow.versions)
    func keyingMaterial(_ version: ProtocolVersion) async throws {
        let options = ["-keymatexport", label, "-keymatexportlen", "32"]
        try await withConnection(startClient(options), version: version) { process, socket in
            let ours = try socket.exportKeyingMaterial(label: label, count: 32).hexadecimal
            #expect(try await material(process) == ours)
        }
        RowTally.count("openssl s_client", .listener, .facts)
    }

    @Test("s_client takes our new keys, and answers with its own when it is asked")
    func newKeys() async throws {
        try await withConnection(startClient([])) { process, socket in
            for round in 1...3 {
                try await socket.updateKeys(requestPeer: true)
                try await socket.write("line \(round)\n")
                try await process.wait(forText: "line \(round)\n")
                try await process.write("answer\n")
                #expect(try await socket.read(exactly: 7) == Array("answer\n".utf8))
                #expect(
                    socket.report?.keyUpdates == KeyUpdateFacts(sent: round, received: round)
                )
            }
        }
        RowTally.count("openssl s_client", .listener, .keyUpdates)
    }

    @Test(
        "s_client shows its certificate behind the handshake, or is refused without one",
        arguments: [HandshakeRow.ClientCertificate.good, .absent, .untrusted]
    )
    func lateCertificate(_ client: HandshakeRow.ClientCertificate) async throws {
        try await withConnection(
            startClient(["-enable_pha"]),
            client: client,
            listener: { $0.postHandshakeAuthentication = true }
        ) { process, socket in
            guard client == .good else {
                let error = await #expect(throws: SocketError.self) {
                    try await socket.requestClientCertificate()
                }
                #expect(error?.code == .certificateRejected)
                #expect(error?.phase == .clientAuthentication)
                let number = client == .absent ? 116 : 48
                try await process.wait(forText: "SSL alert number \(number)")
                return
            }
            let info = try await socket.requestClientCertificate()
            #expect(info.verificationStatus == "ok")
            #expect(info.peerCertificate != nil)
            try await process.write("behind\n")
            #expect(try await socket.read(exactly: 7) == Array("behind\n".utf8))
        }
        RowTally.count("openssl s_client", .listener, .lateCertificates)
    }

    @Test(
        "early data of s_client arrives, for a handler or to be answered at once",
        arguments: [true, false]
    )
    func earlyData(_ isAnswered: Bool) async throws {
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let issued = try authorities.serverCertificate(HandshakeRow())
        var options = SocketListenerInit(type: .tls, local: .init("127.0.0.1", port: 0))
        options.identity = try issued.identity()
        options.acceptsEarlyData = true
        if isAnswered { options.answerEarlyData = { data, _ in Array("at once: ".utf8) + data } }
        let root = try issued.write(to: directory.path).root
        let (file, session) = (directory.path + "/early", directory.path + "/session")
        try Data("question\n".utf8).write(to: URL(fileURLWithPath: file))
        try await withListener(options) { listener in
            let settings = ClientSettings(
                directory: directory.path,
                address: listener.localAddress,
                root: root,
                version: .tls13
            )
            try await startClient(["-sess_out", session])(settings) { process in
                let socket = try await nextSocket(listener)
                try await socket.write("hello\n")
                try await process.wait(forText: "hello\n")
                try await socket.close()
                _ = try await process.wait()
            }
            let more = ["-sess_in", session, "-early_data", file]
            try await startClient(more)(settings) { process in
                let socket = try await nextSocket(listener)
                let early = socket.takeEarlyData()
                #expect(early == (isAnswered ? [] : Array("question\n".utf8)))
                try await process.wait(forText: "Early data was accepted")
                if isAnswered { try await process.wait(forText: "at once: question\n") }
                try await process.write("behind\n")
                #expect(try await socket.read(exactly: 7) == Array("behind\n".utf8))
                #expect(socket.info?.resumed == true)
            }
            // The same session again is nobody's any more.
            try await startClient(more)(settings) { process in
                let socket = try await nextSocket(listener)
                #expect(socket.takeEarlyData().isEmpty)
                #expect(socket.info?.resumed == false)
                try await process.wait(forText: "Early data was rejected")
            }
        }
        RowTally.count("openssl s_client", .listener, .earlyData)
    }
}

extension InteropTests.CurlTests {
    @Test("curl shows its certificate behind the handshake, on the request that needs it")
    func lateCertificate() async throws {
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let issued = try authorities.serverCertificate(HandshakeRow())
        let client = try authorities.clientCertificate(HandshakeRow(client: .good))
        let options = try SocketListenerInit(
            type: .tls,
            local: .init("127.0.0.1", port: 0),
            identity: issued.identity()
        ) {
            $0.trust = try authorities.trust()
            $0.postHandshakeAuthentication = true
        }
        try await withListener(options) { listener in
            let settings = ClientSettings(
                directory: directory.path,
                address: listener.localAddress,
                root: try issued.write(to: directory.path).root,
                version: .tls13,
                certificate: try client?.write(to: directory.path, name: "client")
            )
            async let result = CurlClient().send(.get("/private"), settings)
            var events = listener.makeAsyncIterator()
            let socket = try #require(await events.next()).socket
            let request = try await HTTPMessage(from: socket)
            #expect(request.start.hasPrefix("GET /private "))
            #expect(socket.info?.peerCertificate == nil)
            let info = try await socket.requestClientCertificate()
            #expect(info.peerCertificate == client?.certificateDER)
            try await socket.write(HTTPMessage.answer(200, Array("come in".utf8)).bytes)
            try await socket.close()
            #expect(try await result.body == Array("come in".utf8))
        }
        RowTally.count("curl", .listener, .lateCertificates)
    }
}

extension InteropTests.GnuTLSClientTests {
    @Test("gnutls-cli derives the same keying material", arguments: HandshakeRow.versions)
    func keyingMaterial(_ version: ProtocolVersion) async throws {
        let start: Start = { settings, body in
            let more = ["--keymatexport", label, "--keymatexportsize", "32"]
            try await GnuTLSClient(options: more).run(settings) { try await body($0) }
        }
        try await withConnection(start, version: version) { process, socket in
            let ours = try socket.exportKeyingMaterial(label: label, count: 32).hexadecimal
            // It tells when it ends.
            process.closeInput()
            #expect(try await socket.read() == nil)
            try await socket.close()
            #expect(try await material(process) == ours)
        }
        RowTally.count("gnutls-cli", .listener, .facts)
    }
}

extension InteropTests.GnuTLSServerTests {
    @Test("gnutls-serv takes our new keys, and answers with its own when it is asked")
    func newKeys() async throws {
        let directory = try TemporaryDirectory()
        let server = GnuTLSServer()
        try await server.run(settings(.tls13, directory)) { running in
            let socket = try connect(running.address)
            _ = try await socket.ready
            for round in 1...3 {
                try await socket.updateKeys(requestPeer: true)
                try await server.converse(socket, HandshakeRow(), running)
                #expect(
                    socket.report?.keyUpdates == KeyUpdateFacts(sent: round, received: round)
                )
            }
            try await socket.close()
        }
        RowTally.count("gnutls-serv", .client, .keyUpdates)
    }
}

extension InteropTests.ScriptedTests {
    @Test(
        "Node derives the same keying material, with a context",
        .enabled(if: ScriptedLanguage.tested.contains(.node), "Node is not installed"),
        arguments: Side.allCases,
        HandshakeRow.versions
    )
    func keyingMaterial(_ side: Side, _ version: ProtocolVersion) async throws {
        try await expectFact(.node, side, version, ["export": label]) { socket, report in
            let ours = try socket.exportKeyingMaterial(
                label: label,
                context: Array("context".utf8),
                count: 32
            )
            #expect(report.exported == ours.hexadecimal)
        }
        RowTally.count("Node", side, .facts)
    }

    @Test(
        "Python has the same tls-unique",
        .enabled(if: ScriptedLanguage.tested.contains(.python), "Python is not installed"),
        arguments: Side.allCases
    )
    func unique(_ side: Side) async throws {
        try await expectFact(.python, side, .tls12, [:]) { socket, report in
            let ours = Data(try socket.channelBinding(.unique)).base64EncodedString()
            #expect(report.unique == ours)
        }
        RowTally.count("Python", side, .facts)
    }

    /// Connects with a peer, and looks at what it reports.
    private func expectFact(
        _ language: ScriptedLanguage,
        _ side: Side,
        _ version: ProtocolVersion,
        _ more: [String: String],
        _ body: @Sendable (Socket, PeerReport) async throws -> Void
    ) async throws {
        switch side {
        case .client:
            let directory = try TemporaryDirectory()
            let server = try ScriptedServer(language)
            try await server.run(
                settings(version, directory),
                act: "echo",
                piece: nil,
                more: more
            ) { turn, address in
                let socket = try connect(address)
                _ = try await socket.ready
                try await body(socket, turn.report(.ready))
                try await socket.close()
            }
        case .listener:
            try await withOneConnection(EchoRow(version: version)) { settings, accept in
                let client = try ScriptedClient(language)
                let turn = try await client.begin(settings, more.merging(["act": "greet"]) { $1 })
                let socket = try await accept()
                try await body(socket, turn.report(.ready))
                try await socket.close()
            }
        }
    }

    @Test(
        "Python asks for a certificate behind the handshake, and shows one",
        .enabled(if: ScriptedLanguage.tested.contains(.python), "Python is not installed"),
        arguments: Side.allCases
    )
    func lateCertificate(_ side: Side) async throws {
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let client = try #require(try authorities.clientCertificate(HandshakeRow(client: .good)))
        switch side {
        case .client:
            let server = try ScriptedServer(.python)
            try await server.run(
                settings(.tls13, directory, clients: .require),
                act: "authenticate",
                piece: nil,
                more: ["late": "yes"]
            ) { turn, address in
                let socket = try connect(address) {
                    $0.identity = try client.identity()
                    $0.postHandshakeAuthentication = true
                }
                _ = try await socket.ready
                #expect(try await turn.report(.ready).client == nil)
                try await socket.write("please")
                #expect(try await socket.read(exactly: 5) == Array("asked".utf8))
                try await socket.write("thanks")
                #expect(try await socket.readToEnd() == Array("Alice".utf8))
                try await socket.close()
            }
        case .listener:
            let issued = try authorities.serverCertificate(HandshakeRow())
            let options = try SocketListenerInit(
                type: .tls,
                local: .init("127.0.0.1", port: 0),
                identity: issued.identity()
            ) {
                $0.trust = try authorities.trust()
                $0.postHandshakeAuthentication = true
            }
            try await withListener(options) { listener in
                let files = try issued.write(to: directory.path)
                let settings = ClientSettings(
                    directory: directory.path,
                    address: listener.localAddress,
                    root: files.root,
                    version: .tls13,
                    certificate: try client.write(to: directory.path, name: "client")
                )
                let peer = try ScriptedClient(.python)
                let words = ["act": "answer", "late": "yes"]
                let turn = try await peer.begin(settings, words)
                var events = listener.makeAsyncIterator()
                let socket = try #require(await events.next()).socket
                let info = try await socket.requestClientCertificate()
                #expect(info.peerCertificate == client.certificateDER)
                try await socket.write("x")
                try await socket.shutdownWrite()
                #expect(try await socket.readToEnd().count == 64)
                #expect(try await turn.end().event == .done)
            }
        }
        RowTally.count("Python", side, .lateCertificates)
    }
}
