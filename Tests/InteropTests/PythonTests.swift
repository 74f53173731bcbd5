// Both our sides against Python.

import Sockets
import TLSTestKit
import Testing

extension InteropTests {
    // Serialized: one process does all rows, see InteropTests.
    @Suite("Python", .serialized, .needs(.python), .peer(.python))
    struct PythonTests {
        @Test(
            "our client and the server of Python agree, or refuse each other",
            arguments: HandshakeRow.all
        )
        func server(_ row: HandshakeRow) async throws {
            try await ScriptedServer().expectRow(row)
        }

        @Test("a fingerprint stands for authority and name", arguments: HandshakeRow.versions)
        func fingerprints(_ version: ProtocolVersion) async throws {
            try await ScriptedServer().expectFingerprints(version)
        }

        @Test(
            "our listener and the client of Python agree, or refuse each other",
            arguments: HandshakeRow.all
        )
        func client(_ row: HandshakeRow) async throws {
            try await ScriptedClient().expectRow(row)
        }

        @Test(
            "what goes there comes back unchanged, in pieces of any size",
            arguments: Side.allCases,
            EchoRow.all
        )
        func echo(_ side: Side, _ row: EchoRow) async throws {
            try await ScriptedRows(side: side).expectEcho(row)
        }

        @Test(
            "an answer comes behind our end",
            arguments: Side.allCases,
            HandshakeRow.versions
        )
        func ourHalfClose(_ side: Side, _ version: ProtocolVersion) async throws {
            try await ScriptedRows(side: side).expectOurHalfClose(version)
        }

        @Test(
            "we send on behind the peer's end",
            arguments: Side.allCases,
            HandshakeRow.versions
        )
        func theirHalfClose(_ side: Side, _ version: ProtocolVersion) async throws {
            try await ScriptedRows(side: side).expectTheirHalfClose(version)
        }

        @Test(
            "an end of TCP without close_notify is a cut",
            arguments: Side.allCases,
            HandshakeRow.versions
        )
        func cut(_ side: Side, _ version: ProtocolVersion) async throws {
            try await ScriptedRows(side: side).expectCut(version)
        }
    }
}
