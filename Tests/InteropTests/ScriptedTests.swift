// Both our sides against Node, Python and Java: programs of ours in those languages, see ScriptedPeer.

import Foundation
import Sockets
import TLSTestKit
import Testing

extension InteropTests {
    // Serialized: one process a language does all rows, see InteropTests.
    @Suite("Node, Python and Java", .serialized, .peers)
    struct ScriptedTests {
        @Test(
            "our client and their server agree, or refuse each other",
            arguments: ScriptedLanguage.tested,
            HandshakeRow.all
        )
        func server(_ language: ScriptedLanguage, _ row: HandshakeRow) async throws {
            try await ScriptedServer(language).expectRow(row)
        }

        @Test(
            "a fingerprint stands for authority and name",
            arguments: ScriptedLanguage.tested,
            HandshakeRow.versions
        )
        func fingerprints(_ language: ScriptedLanguage, _ version: ProtocolVersion) async throws {
            try await ScriptedServer(language).expectFingerprints(version)
        }

        @Test(
            "our listener and their client agree, or refuse each other",
            arguments: ScriptedLanguage.tested,
            HandshakeRow.all
        )
        func client(_ language: ScriptedLanguage, _ row: HandshakeRow) async throws {
            try await ScriptedClient(language).expectRow(row)
        }

        @Test(
            "sessions of our client are resumed at Node, and Node's at our listener",
            .enabled(if: ScriptedLanguage.tested.contains(.node), "Node is not installed"),
            arguments: Side.allCases,
            HandshakeRow.versions
        )
        func resumption(_ side: Side, _ version: ProtocolVersion) async throws {
            switch side {
            case .client: try await ScriptedServer(.node).expectNodesResumption(version)
            case .listener: try await ScriptedClient(.node).expectNodesResumption(version)
            }
        }

        @Test(
            "what Node staples is judged",
            .enabled(if: ScriptedLanguage.tested.contains(.node), "Node is not installed"),
            arguments: StapleRow.all
        )
        func theirStaple(_ row: StapleRow) async throws {
            let server = try ScriptedServer(.node)
            try await ScriptedServer.expectStaple(row) { file in
                var stapling = server
                stapling.more = ["staple": file]
                return stapling
            }
        }

        @Test(
            "Node gets our staple, and sees when there is none",
            .enabled(if: ScriptedLanguage.tested.contains(.node), "Node is not installed"),
            arguments: StapleRow.all
        )
        func ourStaple(_ row: StapleRow) async throws {
            var client = try ScriptedClient(.node)
            client.more = ["ocsp": "1"]
            try await client.expectStaple(row) { result, response, _ in
                #expect(result.exitCode == 0)
                #expect(result.text == response.map { Data($0).base64EncodedString() } ?? "")
            }
        }

        @Test(
            "what goes there comes back unchanged, in pieces of any size",
            arguments: ScriptedRows.tested,
            EchoRow.all
        )
        func echo(_ rows: ScriptedRows, _ row: EchoRow) async throws {
            try await rows.expectEcho(row)
        }

        @Test(
            "an answer comes behind our end",
            arguments: ScriptedRows.tested,
            HandshakeRow.versions
        )
        func ourHalfClose(_ rows: ScriptedRows, _ version: ProtocolVersion) async throws {
            try await rows.expectOurHalfClose(version)
        }

        @Test(
            "we send on behind the peer's end",
            arguments: ScriptedRows.tested,
            HandshakeRow.versions
        )
        func theirHalfClose(_ rows: ScriptedRows, _ version: ProtocolVersion) async throws {
            try await rows.expectTheirHalfClose(version)
        }

        @Test(
            "an end of TCP without close_notify is a cut",
            arguments: ScriptedRows.tested,
            HandshakeRow.versions
        )
        func cut(_ rows: ScriptedRows, _ version: ProtocolVersion) async throws {
            try await rows.expectCut(version)
        }
    }
}
