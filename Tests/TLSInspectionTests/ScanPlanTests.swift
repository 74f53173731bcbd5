// Scans of servers that exist on paper only: what is found out must be what they are, within the rounds
// and connections that are promised.

import Sockets
import Testing

@testable import TLSInspection

/// A server on paper.
struct PaperServer: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var suites: [ProtocolVersion: [UInt16]]
    var groups: [ProtocolVersion: [UInt16]] = [
        .tls12: [0x001d, 0x0017, 0x001e, 0x0019, 0x0018],
        .tls13: [0x001d, 0x0017, 0x001e, 0x0019, 0x0018, 0x0100, 0x0101, 0x0102, 0x0103, 0x0104],
    ]
    var schemes: [ProtocolVersion: [UInt16]] = [
        .tls12: [0x0403, 0x0503, 0x0603, 0x0303], .tls13: [0x0403],
    ]
    /// Whether it chooses by its own order.
    var decides = false
    /// What a polite scan may open.
    ///
    /// Where the server decides, no answer tells of groups and signatures on the side.
    var mostConnections: Int { decides && suites[.tls12, default: []].count >= 30 ? 85 : 70 }

    /// What it says to a hello.
    func answer(_ hello: RawHello) -> RawAnswer {
        guard let version = hello.versions.filter({ suites[$0] != nil }).max() else {
            return .alert(.protocolVersion)
        }
        let newest = suites.keys.max() ?? version
        if hello.isFallback, version < newest { return .alert(Alert(86)) }
        if hello.alpn.first == ScanPlan.strangeProtocol { return .alert(.noApplicationProtocol) }
        for suite in choices(suites[version] ?? [], hello.suites) {
            var flight = ServerFlight(version: version, suite: suite)
            flight.alpn = hello.alpn.first
            flight.extensions = [0xff01, 23]
            let own = groups[version] ?? groups[.tls12] ?? []
            // Who sends no extensions gets a group without being asked.
            let group = hello.groups.isEmpty ? own.first : choices(own, hello.groups).first
            let scheme = choices(schemes[version] ?? [], hello.schemes).first
            if version == .tls13 {
                guard let group, scheme != nil else { continue }
                flight.group = group
                return .flight(flight)
            }
            switch Suite(suite).exchange {
            case .curve(let isSigned):
                guard let group else { continue }
                flight.group = group
                if isSigned, version == .tls12 {
                    guard let scheme else { continue }
                    flight.scheme = scheme
                }
            case .field:
                flight.primeBits = 2048
                if version == .tls12 {
                    guard let scheme else { continue }
                    flight.scheme = scheme
                }
            case .hidden: break
            }
            return .flight(flight)
        }
        return .alert(.handshakeFailure)
    }

    private func choices(_ own: [UInt16], _ offered: [UInt16]) -> [UInt16] {
        decides ? own.filter(Set(offered).contains) : offered.filter(Set(own).contains)
    }

    /// Scans it, with what a scan of one host may do by default.
    func scanned(isFast: Bool) -> (plan: ScanPlan, trips: Int, connections: Int) {
        var plan = ScanPlan(servername: "a.test", protocols: ["h2", "http/1.1"], isFast: isFast)
        var (trips, connections, spares) = (0, 0, 0)
        let jobs = isFast ? 384 : ScanOptions(SocketAddress("a.test", port: 0)).jobs
        while trips < 200 {
            let probes = plan.nextRound(limit: spares == 0 ? 16 : spares)
            guard !probes.isEmpty else { break }
            let fresh = max(0, probes.count - spares)
            trips += fresh == 0 ? 1 : 2 * ((fresh + jobs - 1) / jobs)
            spares = max(0, spares - probes.count)
            let ahead = max(0, min(jobs - probes.count, plan.forecast) - spares)
            spares += ahead
            connections += fresh + ahead
            plan.take(probes.map { answer($0.hello) }, to: probes)
            if plan.spoken.isEmpty { break }
        }
        return (plan, trips, connections)
    }

    private static let new: [UInt16] = [0x1302, 0x1303, 0x1301]
    /// What nginx with OpenSSL 3.0 and an ECDSA certificate takes.
    private static let ecdsa: [UInt16] = [
        0xc02c, 0xcca9, 0xc0af, 0xc0ad, 0xc05d, 0xc02b, 0xc0ae, 0xc0ac, 0xc05c, 0xc024, 0xc073,
        0xc023, 0xc072, 0xc00a, 0xc009,
    ]
    private static let intermediate: [UInt16] = [0xc02f, 0xc030, 0xcca8, 0x009e, 0x009f, 0xccaa]
    /// What openssl s_server with an RSA certificate takes when it is to take all.
    private static let rsa30: [UInt16] = [
        0xc030, 0xcca8, 0xc061, 0xc02f, 0xc060, 0x009f, 0xccaa, 0xc053, 0x009e, 0xc052, 0xc028,
        0x006b, 0xc027, 0x0067, 0xc014, 0x0039, 0xc013, 0x0033, 0x009d, 0xc09d, 0xc051, 0x009c,
        0xc09c, 0xc050, 0x003d, 0x003c, 0x0035, 0x002f, 0xc077, 0xc076,
    ]
    private static let old: [UInt16] = [0xc014, 0xc013, 0x0039, 0x0033, 0x0035, 0x002f]

    static let usual: [PaperServer] = [false, true].flatMap { decides in
        let who = decides ? "server's order" : "client's order"
        var pure = PaperServer(testDescription: "TLS 1.3 alone, \(who)", suites: [.tls13: new])
        pure.groups[.tls13] = [0x11ec, 0x001d, 0x0017]
        var rsa = PaperServer(
            testDescription: "intermediate with RSA, \(who)",
            suites: [.tls12: intermediate, .tls13: new]
        )
        rsa.schemes = [
            .tls12: [0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601],
            .tls13: [0x0804, 0x0805, 0x0806],
        ]
        return [
            pure, rsa,
            PaperServer(
                testDescription: "15 suites with ECDSA, \(who)",
                suites: [.tls12: ecdsa, .tls13: new]
            ),
            PaperServer(
                testDescription: "TLS 1.2 alone, \(who)",
                suites: [.tls12: intermediate + [0xc027, 0xc028, 0x003c]]
            ),
            PaperServer(
                testDescription: "TLS 1.0 to 1.2, \(who)",
                suites: [.tls10: old, .tls11: old, .tls12: [0xc02f, 0xc030] + old]
            ),
            PaperServer(
                testDescription: "30 suites with RSA, \(who)",
                suites: [.tls12: rsa30, .tls13: new],
                schemes: rsa.schemes
            ),
        ].map {
            var server = $0
            server.decides = decides
            return server
        }
    }

    static let unusual: [PaperServer] = [
        PaperServer(
            testDescription: "everything",
            suites: Dictionary(
                uniqueKeysWithValues: CodePoints.versions.map { ($0, CodePoints.suites(of: $0)) }
            ),
            groups: [.tls12: CodePoints.groups(of: .tls12), .tls13: CodePoints.groups(of: .tls13)],
            schemes: [.tls12: CodePoints.schemes, .tls13: CodePoints.schemes],
            decides: true
        ),
        PaperServer(testDescription: "SSL 3.0 alone", suites: [.ssl3: [0x0005, 0x000a]]),
        PaperServer(testDescription: "RSA key exchange alone", suites: [.tls12: [0x009c, 0x002f]]),
        PaperServer(testDescription: "one suite", suites: [.tls12: [0xc02b]]),
    ]
}

@Suite(.timeLimit(.minutes(1)))
struct ScanPlanTests {
    private func check(_ server: PaperServer, _ plan: ScanPlan) {
        #expect(Set(plan.spoken) == Set(server.suites.keys))
        for (version, suites) in server.suites {
            #expect(Set(plan.suites[version]?.found ?? []) == Set(suites), "\(version)")
        }
        let hasCurves = server.suites[.tls12, default: []].contains {
            if case .curve = Suite($0).exchange { true } else { false }
        }
        if hasCurves {
            #expect(Set(plan.groups[.tls12]?.found ?? []) == Set(server.groups[.tls12] ?? []))
            #expect(Set(plan.schemes.found) == Set(server.schemes[.tls12] ?? []))
        }
        if server.suites[.tls13] != nil {
            #expect(Set(plan.groups[.tls13]?.found ?? []) == Set(server.groups[.tls13] ?? []))
            let wanted = (server.schemes[.tls13] ?? []).filter(
                CodePoints.schemeSetsOfTLS13.flatMap(\.self).contains
            )
            #expect(Set(plan.schemesOfTLS13) == Set(wanted))
        }
        #expect(plan.oddities == [])
    }

    @Test(
        "a usual server is known after 8 round trips and 70 connections",
        arguments: PaperServer.usual
    )
    func polite(_ server: PaperServer) {
        let (plan, trips, connections) = server.scanned(isFast: false)
        check(server, plan)
        #expect(trips <= 8)
        #expect(connections <= server.mostConnections)
    }

    @Test(
        "a fast scan is through after 3 round trips, unless there are hundreds of suites",
        arguments: PaperServer.usual + PaperServer.unusual.dropFirst()
    )
    func fast(_ server: PaperServer) {
        let (plan, trips, _) = server.scanned(isFast: true)
        check(server, plan)
        #expect(trips <= 3)
    }

    @Test("any server ends, and is known whole", arguments: PaperServer.unusual)
    func complete(_ server: PaperServer) {
        let (plan, trips, connections) = server.scanned(isFast: false)
        check(server, plan)
        #expect(trips < 100)
        let suites = server.suites.values.map(\.count).reduce(0, +)
        #expect(connections < 2 * suites + 120)
    }

    @Test("who decides is found out", arguments: PaperServer.usual)
    func preference(_ server: PaperServer) {
        var run = ScanRun(ScanOptions(SocketAddress("a.test", port: 0)))
        run.plan = server.scanned(isFast: false).plan
        let report = run.report(failOn: .bad)
        for entry in report.suites where entry.suites.count > 1 {
            #expect(entry.preference == (server.decides ? .server : .client), "\(entry.version)")
            if server.decides {
                let version = CodePoints.versions.first { shortName($0) == entry.version }
                let first = version.flatMap { server.suites[$0]?.first }
                #expect(entry.first == first.map { Suite($0).name })
            }
        }
        let groups = report.groups.first { $0.version == "TLS1.3" }
        if let groups, groups.groups.count > 1 {
            #expect(groups.preference == (server.decides ? .server : .client))
        }
        #expect(report.alpn?.protocols == ["h2", "http/1.1"])
        #expect(report.alpn?.noOverlap == .refuses)
    }

    @Test("a server that chooses what was not offered is told of, and the scan ends")
    func liar() {
        var plan = ScanPlan(servername: nil, protocols: [], isFast: false)
        var rounds = 0
        while rounds < 1000 {
            let probes = plan.nextRound()
            guard !probes.isEmpty else { break }
            rounds += 1
            for probe in probes {
                var flight = ServerFlight(version: probe.hello.newest, suite: 0xfafa)
                flight.group = 0xfafa
                flight.scheme = 0xfafa
                plan.take(.flight(flight), to: probe)
            }
        }
        #expect(rounds < 10)
        #expect(Set(plan.oddities).count == 2)
    }

    @Test("a server that always chooses the same is asked no more than once for each value")
    func stubborn() {
        var plan = ScanPlan(servername: nil, protocols: [], isFast: false)
        var connections = 0
        while connections < 10000 {
            let probes = plan.nextRound()
            guard !probes.isEmpty else { break }
            connections += probes.count
            for probe in probes {
                plan.take(.flight(ServerFlight(version: .tls12, suite: 0xc02b)), to: probe)
            }
        }
        #expect(connections < 60)
        #expect(plan.suites[.tls12]?.found == [0xc02b])
    }
}
