// The key log: nothing without one, and with one the lines that Wireshark wants, of both sides the same.

import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct KeyLogTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// Lines as they come.
    final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        var all: [String] { lines.withLock { $0 } }
        var log: TLSKeyLog { TLSKeyLog { line in self.lines.withLock { $0.append(line) } } }
    }

    static let labels: [ProtocolVersion: Set<Substring>] = [
        .tls12: ["CLIENT_RANDOM"],
        .tls13: [
            "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "EXPORTER_SECRET",
        ],
    ]

    @Test("both sides log the same lines in the format of NSS, once each", arguments: versions)
    func lines(_ version: ProtocolVersion) throws {
        let (ours, theirs) = (Lines(), Lines())
        let pair = try EnginePair(
            client: fixtures.client {
                $0.allowOnly(version)
                $0.keyLog = ours.log
            },
            server: fixtures.server {
                $0.allowOnly(version)
                $0.keyLog = theirs.log
            }
        )
        try pair.handshake()
        #expect(Set(ours.all) == Set(theirs.all))
        #expect(Set(ours.all).count == ours.all.count)
        let fields = ours.all.map { $0.split(separator: " ") }
        #expect(Set(fields.map { $0[0] }) == Self.labels[version])
        for line in fields {
            #expect(line.count == 3)
            #expect(line[1].count == 64 && line[1] == fields[0][1])
            #expect([64, 96].contains(line[2].count))
            let isHexadecimal = line.dropFirst().joined().allSatisfy { $0.isHexDigit }
            #expect(isHexadecimal)
        }
        for role in [TLSRole.client, .server] {
            let words = pair.facts(role).report.concessions
            #expect(words.contains("the secrets of the connection are logged"))
        }
        try pair.expectDataFlows()
    }

    @Test("one side's log says nothing of the other, and there is none by default")
    func none() throws {
        #expect(TLSPolicy().keyLog == nil)
        let lines = Lines()
        let pair = try EnginePair(
            client: fixtures.client(),
            server: fixtures.server { $0.keyLog = lines.log }
        )
        try pair.handshake()
        #expect(!lines.all.isEmpty)
        #expect(pair.facts(.client).report.concessions.isEmpty)
    }

    @Test("two logs are never the same, a copy always is")
    func identity() {
        let log = TLSKeyLog { _ in }
        let copy = log
        #expect(log == copy && log.hashValue == copy.hashValue)
        #expect(log != TLSKeyLog { _ in })
    }

    @Test("a new host behind the ClientHello logs by its own policy")
    func hosts() throws {
        let (outer, inner) = (Lines(), Lines())
        let host = try fixtures.server { $0.keyLog = inner.log }
        var hosts = TLSHosts()
        try hosts.add("localhost", host)
        let server = try TLSContext(
            role: .server,
            policy: TLSPolicy { $0.keyLog = outer.log },
            identities: [fixtures.serverIdentity()],
            hosts: hosts
        )
        let pair = try EnginePair(client: fixtures.client(), server: server)
        try pair.handshake()
        #expect(outer.all.isEmpty)
        #expect(inner.all.count == 5)
    }
}
