// Our listener has several hosts: a client of others asks for one by name, verifies that it got that
// one, and tells what it heard when there is none.

import Sockets
import TLSTestKit
import Testing

/// A client that asks for one of several hosts.
struct HostRow: Sendable, CustomTestStringConvertible {
    /// Who answers it.
    enum Answer: String, Sendable, CaseIterable {
        /// The host of that name.
        case exact = "exact.test"
        /// The host of its parent's wildcard.
        case wildcard = "any.wild.test"
        /// What the application chooses.
        case chosen = "chosen.test"
        /// Nobody.
        case refused = "nobody.test"
    }

    let version: ProtocolVersion
    let answer: Answer

    var testDescription: String { "\(version), \(answer.rawValue)" }

    static let all = HandshakeRow.versions.flatMap { version in
        Answer.allCases.map { HostRow(version: version, answer: $0) }
    }
}

extension ForeignClient {
    /// Runs a row; the client says something about the alert unrecognized_name.
    func expectHost(_ row: HostRow, alert: String) async throws {
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let root = authorities.root
        let own = try root.issue("own.test")
        let chosen = try root.issue("chosen.test", key: .rsa2048).identity()
        var options = try SocketListenerInit(
            type: .tls,
            local: .init("127.0.0.1", port: 0),
            identity: own.identity()
        )
        options.hosts = [
            TLSVirtualHost("exact.test", identities: [try root.issue("exact.test").identity()]),
            TLSVirtualHost(
                "*.wild.test",
                identities: [try root.issue(.dns("*.wild.test")).identity()]
            ),
        ]
        options.hostFallback = .never
        options.chooseHost = { hello, _ in
            await Task.yield()
            return hello.servername == "chosen.test" ? .identities([chosen]) : .configured
        }
        let files = try own.write(to: directory.path)
        let (result, outcome) = try await withInteropListener(options, piece: 1 << 20) {
            address,
            outcomes in
            var settings = ClientSettings(
                directory: directory.path,
                address: address,
                root: files.root,
                version: row.version
            )
            settings.host = row.answer.rawValue
            let result = try await send(.get("/facts"), settings)
            for await outcome in outcomes { return (result, outcome) }
            throw ForeignFailure(description: "the listener told of no connection")
        }
        switch (row.answer, outcome) {
        case (.refused, .failed(let error)):
            #expect(result.exitCode != 0)
            #expect(result.text.contains(alert), "\(result.text)")
            #expect(error.tls?.code == .unknownServername)
            #expect(error.report?.alertSent == .unrecognizedName)
        case (.exact, .served), (.wildcard, .served), (.chosen, .served):
            #expect(result.exitCode == 0, "\(result.text)")
            let facts = String(decoding: result.body, as: UTF8.self)
            #expect(facts.hasPrefix("\(row.version) \(row.answer.rawValue) "))
        default: Issue.record("\(outcome); \(name) said \(result.text)")
        }
        RowTally.count(name, .listener, .hosts)
    }
}

extension InteropTests.OpenSSLClientTests {
    @Test("s_client gets the host it asks for, or hears that there is none", arguments: HostRow.all)
    func host(_ row: HostRow) async throws {
        try await OpenSSLClient().expectHost(row, alert: "SSL alert number 112")
    }
}

extension InteropTests.OpenSSLClientTests {
    @Test("a session of one host is not resumed at another", arguments: HandshakeRow.versions)
    func sessionOfAnotherHost(_ version: ProtocolVersion) async throws {
        let root = try Authorities.shared.get().root
        let directory = try TemporaryDirectory()
        let own = try root.issue("own.test")
        var options = try SocketListenerInit(
            type: .tls,
            local: .init("127.0.0.1", port: 0),
            identity: own.identity()
        )
        options.hosts = try ["a.test", "b.test"].map { name in
            TLSVirtualHost(name, identities: [try root.issue(.dns(name)).identity()])
        }
        let files = try own.write(to: directory.path)
        let session = directory.path + "/session"
        let resumed = try await withInteropListener(options, piece: 1 << 20) {
            address,
            outcomes in
            var outcomes = outcomes.makeAsyncIterator()
            var resumed: [Bool?] = []
            for (name, use) in [
                ("a.test", "-sess_out"), ("a.test", "-sess_in"), ("b.test", "-sess_in"),
            ] {
                let arguments = [
                    "s_client", "-quiet", "-connect", address.description, "-servername", name,
                    "-CAfile", files.root, version == .tls12 ? "-tls1_2" : "-tls1_3", use, session,
                ]
                try await ForeignProcess.run(.openssl, arguments) { process in
                    try await process.write(HTTPMessage.get("/facts").bytes)
                    _ = try await process.wait()
                }
                if case .served(let info) = await outcomes.next() { resumed.append(info?.resumed) }
            }
            return resumed
        }
        #expect(resumed == [false, true, false])
        RowTally.count("openssl s_client", .listener, .hosts)
    }
}

extension InteropTests.CurlTests {
    @Test("curl gets the host it asks for, or hears that there is none", arguments: HostRow.all)
    func host(_ row: HostRow) async throws {
        try await CurlClient().expectHost(row, alert: "unrecognized name")
    }
}

extension InteropTests.ScriptedTests {
    @Test(
        "their clients get the host they ask for, or hear that there is none",
        arguments: ScriptedLanguage.tested,
        HostRow.all
    )
    func host(_ language: ScriptedLanguage, _ row: HostRow) async throws {
        try await ScriptedClient(language).expectHost(row, alert: "unrecognized_name")
    }
}

extension InteropTests.GnuTLSClientTests {
    @Test(
        "gnutls-cli gets the host it asks for, or hears that there is none",
        arguments: HostRow.all
    )
    func host(_ row: HostRow) async throws {
        try await GnuTLSClient().expectHost(row, alert: "alert [112]")
    }
}
