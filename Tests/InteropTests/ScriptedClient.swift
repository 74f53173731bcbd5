// Our listener against the clients of Peers.

import Foundation
import Sockets
import TLSTestKit
import Testing

struct ScriptedClient: ForeignClient {
    let peer: ScriptedPeer
    /// Further words of the command.
    var more: [String: String] = [:]

    var name: String { peer.language.rawValue }

    init(_ language: ScriptedLanguage) throws {
        peer = try #require(ScriptedPeer.current[language])
    }

    func send(_ request: HTTPMessage, _ settings: ClientSettings) async throws -> ClientResult {
        let file = settings.directory + "/request"
        try Data(request.bytes).write(to: URL(fileURLWithPath: file))
        let words = ["act": "request", "send": file].merging(more) { $1 }
        let turn = try await begin(settings, words)
        let end = try await turn.end()
        let head = end.head.flatMap { Data(base64Encoded: $0) } ?? Data()
        return ClientResult(
            exitCode: end.event == .done ? 0 : 1,
            body: HTTPMessage.split(Array(head)),
            text: writtenAlike(end.error) + (end.staple ?? "")
        )
    }

    /// Has it connect.
    func begin(_ settings: ClientSettings, _ more: [String: String]) async throws -> PeerTurn {
        var command = [
            "role": "client", "version": settings.version == .tls12 ? "1.2" : "1.3",
            "port": "\(settings.address.port)", "roots": settings.root,
            "verify": settings.host,
        ]
        if settings.sendsName { command["servername"] = settings.host }
        if !settings.protocols.isEmpty {
            command["alpn"] = settings.protocols.joined(separator: ",")
        }
        command["chain"] = settings.certificate?.chain
        command["key"] = settings.certificate?.key
        return try await peer.begin(command.merging(more) { $1 })
    }
}
