// Our client against the servers of Peers.

import Sockets
import TLSTestKit
import Testing

struct ScriptedServer: ForeignServer {
    let peer: ScriptedPeer
    /// Further words of the command.
    var more: [String: String] = [:]

    var name: String { peer.language.rawValue }
    var canIgnoreProtocols: Bool { true }

    init(_ language: ScriptedLanguage) throws {
        peer = try #require(ScriptedPeer.current[language])
    }

    func run(
        _ settings: ServerSettings,
        _ body: (RunningServer) async throws -> Void
    ) async throws {
        try await run(settings, act: "echo", piece: nil, more: more) { turn, address in
            try await body(RunningServer(address: address, turn: turn))
        }
    }

    /// Has it listen for one connection.
    func run(
        _ settings: ServerSettings,
        act: String,
        piece: Int?,
        more: [String: String] = [:],
        _ body: (PeerTurn, SocketAddress) async throws -> Void
    ) async throws {
        var command = [
            "role": "server", "act": act, "version": settings.version == .tls12 ? "1.2" : "1.3",
            "chain": settings.certificate.chain, "key": settings.certificate.key,
            "clients": settings.clients.rawValue,
        ]
        command["roots"] = settings.clientRoot
        command["piece"] = piece.map(String.init)
        if !settings.protocols.isEmpty {
            command["alpn"] = settings.protocols.joined(separator: ",")
        }
        let turn = try await peer.begin(command.merging(more) { $1 })
        let port = try #require(try await turn.report(.listening).port)
        try await body(turn, SocketAddress("127.0.0.1", port: port))
    }

    func converse(_ socket: Socket, _ row: HandshakeRow, _ server: RunningServer) async throws {
        let turn = try #require(server.turn)
        let report = try await turn.report(.ready)
        try #require(socket.info?.tls).expectSame(report)
        #expect(report.servername == (row.sendsName ? Authorities.host : nil))
        let stranger = row.client == .mistaken ? "Mallory" : nil
        #expect(report.client == (row.client.isGiven ? "Alice" : stranger))
        try await socket.write("stressed")
        #expect(try await socket.read(exactly: 8) == Array("stressed".utf8))
        try await socket.shutdownWrite()
        #expect(try await socket.read() == nil)
        let done = try await turn.report(.done)
        #expect(done.bytes == 8)
        #expect(done.end != "cut")
    }

    func expectHeard(_ alert: Alert, _ row: HandshakeRow, _ server: RunningServer) async throws {
        let end = try await #require(server.turn).end()
        #expect(end.event == .failed)
        let said = writtenAlike(end.error)
        // OpenSSL's client takes its keys into use when it has the server's Finished, so an alert
        // before that comes in the clear. Servers on OpenSSL can read it, others cannot.
        let isLost = peer.language == .java && row.version == .tls13
        let text = isLost ? "needs_to_be_more_than_tag_size" : alert.name
        #expect(said.contains(text), "\(said)")
    }
}

extension TLSSocketInfo {
    /// Expects that the peer saw the same handshake.
    func expectSame(_ seen: PeerReport) {
        #expect(seen.version == (version == .tls12 ? "TLSv1.2" : "TLSv1.3"))
        let names = [cipher?.name, cipher?.standardName]
        #expect(names.contains(seen.cipher))
        #expect(seen.alpn == alpn)
    }
}
