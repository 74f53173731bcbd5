// What every peer of Peers is asked, whichever side is ours.

import Sockets
import TLSTestKit
import Testing

/// Rows that are the same for all scripted peers.
struct ScriptedRows {
    let side: Side

    /// Data there and back at once.
    func expectEcho(_ row: EchoRow) async throws {
        try await withConnection(row, act: "echo", piece: row.piece, row.feature) { socket, turn in
            try await socket.expectEcho(row)
            let done = try await turn.report(.done)
            #expect(done.bytes == row.count)
            #expect(done.sha256 == row.digest)
            #expect(done.end != "cut")
        }
    }

    /// Our end, and an answer behind it.
    func expectOurHalfClose(_ version: ProtocolVersion) async throws {
        let row = EchoRow(version: version)
        // Java answers an end of TLS 1.2 with its own at once, as RFC 5246 §7.2.1 has it.
        let endsToo = ScriptedPeer.current?.language == .java && version == .tls12
        try await withConnection(row, act: "answer", .halfClose) { socket, turn in
            if endsToo {
                try await socket.expectEndBehindOurs()
                #expect(
                    try await turn.end().error
                        == "SocketException: Socket output is already shutdown"
                )
                return
            }
            try await socket.expectAnswerBehindOurEnd()
            let done = try await turn.report(.done)
            #expect(done.bytes == row.count)
            #expect(done.end != "cut")
        }
    }

    /// The peer's end, and data of ours behind it.
    func expectTheirHalfClose(_ version: ProtocolVersion) async throws {
        let row = EchoRow(version: version)
        try await withConnection(row, act: "greet", .halfClose) { socket, turn in
            try await socket.expectSendingBehindTheirEnd()
            let done = try await turn.report(.done)
            #expect(done.bytes == row.count)
            #expect(done.sha256 == row.digest)
            #expect(done.end != "cut")
        }
    }

    /// An end of TCP without one of TLS.
    func expectCut(_ version: ProtocolVersion) async throws {
        try await withConnection(EchoRow(version: version), act: "cut", .cut) { socket, turn in
            try await socket.expectCut()
            _ = try await turn.report(.done)
        }
    }

    /// Runs one connection.
    private func withConnection(
        _ row: EchoRow,
        act: String,
        piece: Int? = nil,
        _ feature: InteropFeature,
        _ body: @Sendable (Socket, PeerTurn) async throws -> Void
    ) async throws {
        let peer = try #require(ScriptedPeer.current)
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let handshake = HandshakeRow(version: row.version, key: row.key)
        let certificate = try authorities.serverCertificate(handshake)
        let files = try certificate.write(to: directory.path)
        switch side {
        case .client:
            let settings = ServerSettings(
                directory: directory.path,
                certificate: files,
                version: row.version,
                protocols: [],
                clients: .none,
                clientRoot: nil
            )
            try await ScriptedServer().run(settings, act: act, piece: piece) { turn, address in
                let socket = try Socket(
                    SocketInit(type: .tls, remote: address) {
                        $0.servername = Authorities.host
                        $0.trust = try authorities.trust()
                    }
                )
                try await body(socket, turn)
            }
        case .listener:
            let options = try SocketListenerInit(
                type: .tls,
                local: .init("127.0.0.1", port: 0),
                identity: certificate.identity()
            )
            var more = ["act": act]
            more["piece"] = piece.map(String.init)
            let extra = more
            try await withListener(options) { listener in
                let settings = ClientSettings(
                    directory: directory.path,
                    address: listener.localAddress,
                    root: files.root,
                    version: row.version
                )
                let turn = try await ScriptedClient().begin(settings, extra)
                var events = listener.makeAsyncIterator()
                let event = try #require(await events.next())
                try await body(event.socket, turn)
            }
        }
        RowTally.count(peer.language.rawValue, side, feature)
    }
}
