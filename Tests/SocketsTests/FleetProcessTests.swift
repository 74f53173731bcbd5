// A fleet of processes that share nothing but a secret, or a directory, behind a balancer that knows
// nothing of TLS. One of them is killed while clients work: they resume with the others, and nothing
// that was acknowledged is lost. Clients of others resume too.

import Foundation
import TLSEngine
import TLSTestKit
import Testing
import ToolFixtures

@testable import Sockets

/// What the clients of a fleet saw.
private struct FleetFacts: Sendable {
    struct Connection: Sendable {
        let offered: Bool
        let resumed: Bool
        let isAfterKill: Bool
    }

    /// Requests that were acknowledged, and the number of who did.
    let acknowledged = Log<(request: String, by: Int)>()
    /// Connections that were ready.
    let connections = Log<Connection>()
    /// Connections that broke.
    let broken = Log<SocketError>()
}

@Suite(.timeLimit(.minutes(2))) struct FleetProcessTests {
    private static let clients = 6
    private static let requests = 20

    @Test(
        "one of three processes is killed: clients resume with the others, nothing is lost",
        arguments: Wire.secure,
        Fleet.Means.allCases
    )
    func killed(_ wire: Wire, _ means: Fleet.Means) async throws {
        let fleet = try await Fleet(means)
        let facts = FleetFacts()
        let balancer = try RoundRobin(fleet.members.map(\.address))
        let killed = Gate()
        try await withThrowingTaskGroup { group in
            for client in 0..<FleetProcessTests.clients {
                group.addTask {
                    try await work(wire, client, balancer.address, facts, killed)
                }
            }
            // In the midst of the work.
            let third = FleetProcessTests.clients * FleetProcessTests.requests / 3
            await until { facts.acknowledged.count >= third }
            fleet.kill(1)
            killed.open()
            try await group.waitForAll()
        }
        await balancer.close()
        expectNothingLost(facts, fleet)
        expectResumption(facts, "\(wire) \(means)", means)
    }

    /// One client's requests, each on a connection of its own, and again until it is acknowledged.
    private func work(
        _ wire: Wire,
        _ client: Int,
        _ address: SocketAddress,
        _ facts: FleetFacts,
        _ killed: Gate
    ) async throws {
        var session: [UInt8]?
        for number in 0..<FleetProcessTests.requests {
            let request = "\(client)-\(number)"
            var isDone = false
            while !isDone {
                do {
                    let isAfterKill = killed.isOpen
                    let offered = session
                    let socket = try makeClient(wire, to: address) { $0.session = offered }
                    let info = try await socket.ready
                    // A session that a broken connection has spent is not offered again.
                    facts.connections.append(
                        FleetFacts.Connection(
                            offered: offered != nil && info.report?.withheldSession == nil,
                            resumed: info.resumed == true,
                            isAfterKill: isAfterKill
                        )
                    )
                    try await socket.write(request + "\n")
                    let answer = String(decoding: try await readAll(from: socket), as: UTF8.self)
                    session = socket.info?.session ?? session
                    if answer.hasPrefix("done \(request) "), let by = answer.dropLast().last {
                        facts.acknowledged.append((request, try #require(Int(String(by)))))
                        isDone = true
                    }
                    try await socket.close()
                } catch let error as SocketError {
                    facts.broken.append(error)
                }
            }
        }
    }

    private func expectNothingLost(_ facts: FleetFacts, _ fleet: Fleet) {
        let applied = fleet.members.indices.map { Set(fleet.applied($0)) }
        let count = FleetProcessTests.clients * FleetProcessTests.requests
        #expect(facts.acknowledged.count == count)
        for (request, by) in facts.acknowledged.all {
            #expect(applied[by].contains(request), "\(request) was acknowledged by \(by)")
        }
        // All of them have worked, the killed one for a while only.
        #expect(Set(facts.acknowledged.all.map(\.by)) == [0, 1, 2])
    }

    private func expectResumption(_ facts: FleetFacts, _ name: String, _ means: Fleet.Means) {
        for isAfterKill in [false, true] {
            let some = facts.connections.all.filter { $0.isAfterKill == isAfterKill }
            let offered = some.filter(\.offered)
            let resumed = offered.count(where: \.resumed)
            print(
                "fleet \(name), \(isAfterKill ? "after" : "before") the kill:",
                "\(some.count) connections, \(offered.count) offered a session, \(resumed) resumed,",
                "\(facts.broken.count) broke in all"
            )
            #expect(resumed > 0)
            switch means {
            // Every process opens what any of them gave.
            case .tickets: #expect(resumed == offered.count)
            // The next connection may be faster than the session's way into the store.
            case .store: #expect(resumed * 4 >= offered.count * 3)
            }
        }
    }

    // MARK: Clients of others

    /// Runs a program to its end, and gives what it said.
    private func run(_ name: String, _ arguments: [String]) async throws -> String {
        let program = URL(fileURLWithPath: "/usr/bin/" + name)
        let run = try await ProcessRun(program, arguments, environment: ["LC_ALL": "C"])
        return run.output + run.errors
    }

    @Test(
        "s_client resumes at another process what one has given",
        arguments: Wire.secure,
        Fleet.Means.allCases
    )
    func openSSL(_ wire: Wire, _ means: Fleet.Means) async throws {
        let fleet = try await Fleet(means)
        let path = fleet.directory.path
        try Files.write(Array("hello\n".utf8), to: path + "/request")
        for (place, isResumed) in [(0, false), (1, true), (2, true)] {
            let port = fleet.members[place].address.port
            // A shell feeds it: s_client ends with its input, which has to last for the answer.
            let session = isResumed ? "-sess_in \(path)/session" : ""
            let text = try await run(
                "sh",
                [
                    "-c",
                    "exec openssl s_client -connect 127.0.0.1:\(port) -servername localhost "
                        + "-\(wire == .tls12 ? "tls1_2" : "tls1_3") -ign_eof "
                        + "-sess_out \(path)/session \(session) < \(path)/request 2>&1",
                ]
            )
            #expect(text.contains(isResumed ? "\nReused, " : "\nNew, "), "\(text)")
            let word = isResumed ? "resumed" : "full"
            #expect(text.contains("done hello \(word) by \(place)"), "\(text)")
        }
    }

    @Test(
        "Python resumes at another process what one has given",
        arguments: Wire.secure,
        Fleet.Means.allCases
    )
    func python(_ wire: Wire, _ means: Fleet.Means) async throws {
        let fleet = try await Fleet(means)
        // With a store it waits for the session's way there: of the only one there is.
        let script = """
            import os, socket, ssl, sys, time
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            version = ssl.TLSVersion.TLSv1_2 if sys.argv[1] == "tls12" else ssl.TLSVersion.TLSv1_3
            context.minimum_version = context.maximum_version = version
            session = None
            for port in sys.argv[4:]:
                with socket.create_connection(("127.0.0.1", int(port))) as plain:
                    with context.wrap_socket(plain, server_hostname="localhost", session=session) as s:
                        s.sendall(b"hello\\n")
                        text = b""
                        while True:
                            more = s.recv(1000)
                            if not more: break
                            text += more
                        session = s.session
                        print(s.session_reused, text.decode().strip())
                while sys.argv[2] == "store":
                    if sum("." not in name for name in os.listdir(sys.argv[3])) == 1: break
                    time.sleep(0.01)
            """
        let text = try await run(
            "python3",
            ["-c", script, wire.rawValue, means.rawValue, fleet.directory.path + "/sessions"]
                + fleet.members.map { "\($0.address.port)" }
        )
        #expect(
            text.split(separator: "\n") == [
                "False done hello full by 0", "True done hello resumed by 1",
                "True done hello resumed by 2",
            ],
            "\(text)"
        )
    }

    // It takes no tickets in TLS 1.2 (`SSL_OP_NO_TICKET`), and so needs a store there.
    @Test(
        "curl resumes behind the balancer",
        arguments: [(Wire.tls13, Fleet.Means.tickets), (.tls12, .store)]
    )
    func curl(_ wire: Wire, _ means: Fleet.Means) async throws {
        let fleet = try await Fleet(means)
        let balancer = try RoundRobin(fleet.members.map(\.address))
        let place = "https://127.0.0.1:\(balancer.address.port)/"
        // Its requests come apart, so that the session is in the store; on a busy machine not all do.
        var options = ["--disable", "--noproxy", "*", "--silent", "--show-error", "--insecure"]
        options += wire == .tls12 ? ["--tls-max", "1.2", "--rate", "4/s"] : ["--tlsv1.3"]
        let text = try await run(
            "curl",
            options + ["--http1.0"] + ["a", "b", "c", "d", "e", "f"].map { place + $0 }
        )
        let lines = text.split(separator: "\n").map { $0.split(separator: " ") }
        #expect(lines.count == 6, "\(text)")
        let words = lines.compactMap { $0.dropLast(2).last }
        #expect(words.first == "full" && words.count { $0 == "resumed" } >= 2, "\(text)")
        #expect(Set(lines.compactMap(\.last)).count == 3, "\(text)")
        await balancer.close()
    }
}
