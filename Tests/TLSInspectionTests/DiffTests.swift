import Foundation
import Sockets
import TLSTestKit
import Testing
import ToolFixtures

@testable import TLSInspection

@Suite(.timeLimit(.minutes(1)))
struct DiffTests {
    let bench: TestBench

    init() throws { bench = try TestBench() }

    private func side(_ name: String) -> DiffReport.Side {
        DiffReport.Side(name: name, target: nil)
    }

    private func compare(_ before: [Fact], _ after: [Fact], _ ignored: [String] = []) throws
        -> DiffReport
    {
        try conforming(
            DiffReport((side("a"), before), (side("b"), after), ignoring: ignored)
        )
    }

    @Test("the same facts are no difference")
    func same() throws {
        let facts = [Fact("versions", ["TLS1.2", "TLS1.3"]), Fact("alpn", [])]
        let report = try compare(facts, facts)
        #expect(report.changes == [])
        #expect(report.same == ["versions", "alpn"])
        #expect(report.exit == .clean)
    }

    @Test("what went, what came, what changed its place")
    func changes() throws {
        let report = try compare(
            [Fact("one", ["a", "b"]), Fact("two", ["x", "y"]), Fact("gone", ["1"])],
            [Fact("one", ["b", "c"]), Fact("two", ["y", "x"]), Fact("come", ["2"])]
        )
        #expect(report.exit == .findings)
        #expect(report.changes.map(\.id) == ["one", "two", "gone", "come"])
        #expect(report.changes[0].removed == ["a"])
        #expect(report.changes[0].added == ["c"])
        #expect(report.changes[1].isReordered)
        #expect(report.changes[2].after == nil)
        #expect(report.changes[3].before == nil)
    }

    @Test("what is ignored is neither the same nor another, with all below it")
    func ignored() throws {
        let report = try compare(
            [Fact("leaf.sha256", ["a"]), Fact("leafless", ["a"])],
            [Fact("leaf.sha256", ["b"]), Fact("leafless", ["b"])],
            ["leaf"]
        )
        #expect(report.changes.map(\.id) == ["leafless"])
        #expect(report.same == [])
    }

    @Test("two inspections of one server do not differ; of two policies they do")
    func servers() async throws {
        let options = try bench.listener()
        let (one, again) = try await withServer(options) { address in
            (try await facts(address), try await facts(address))
        }
        let unchanged = try compare(one, again)
        #expect(unchanged.changes == [])
        #expect(unchanged.same.contains("suites.TLS1.3"))
        #expect(unchanged.same.contains("leaf.expires"))
        var other = options
        other.alpn = ["http/1.1"]
        other.maximumVersion = .tls12
        let changed = try await withServer(other) { try await facts($0) }
        let ids = try compare(one, changed).changes.map(\.id)
        #expect(ids.contains("versions"))
        #expect(ids.contains("alpn"))
        #expect(ids.contains("negotiated.version"))
        #expect(!ids.contains("leaf.sha256"))
    }

    private func facts(_ address: SocketAddress) async throws -> [Fact] {
        let probe = try Probe(SocketAddress("a.test", port: address.port)) {
            $0.timeout = .seconds(60)
            $0.connect = address
            $0.anchors = try bench.anchors
        }
        var options = ScanOptions(probe.target)
        options.connect = address
        options.waitLong()
        let inspector = Inspector(now: bench.now)
        return await inspector.run(probe).facts + (await inspector.scan(options)).facts
    }
}
