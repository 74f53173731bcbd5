// What every peer of Peers is asked, whichever side is ours.

import Sockets
import TLSTestKit
import Testing

/// Rows that are the same for all scripted peers.
struct ScriptedRows: Sendable, CustomTestStringConvertible {
    let language: ScriptedLanguage
    let side: Side

    var testDescription: String { "\(language.rawValue), \(side)" }

    /// Each language that is tested, with both our sides.
    static let tested = ScriptedLanguage.tested.flatMap { language in
        Side.allCases.map { ScriptedRows(language: language, side: $0) }
    }

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
        let endsToo = language == .java && version == .tls12
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
        switch side {
        case .client:
            let directory = try TemporaryDirectory()
            let settings = try ServerSettings(row, directory)
            try await ScriptedServer(language).run(settings, act: act, piece: piece) {
                turn,
                address in
                let socket = try Socket(
                    SocketInit(type: .tls, remote: address) {
                        $0.servername = Authorities.host
                        $0.trust = try Authorities.shared.get().trust()
                    }
                )
                try await body(socket, turn)
            }
        case .listener:
            try await withOneConnection(row) { settings, next in
                var more = ["act": act]
                more["piece"] = piece.map(String.init)
                let turn = try await ScriptedClient(language).begin(settings, more)
                try await body(next(), turn)
            }
        }
        RowTally.count(language.rawValue, side, feature)
    }
}
