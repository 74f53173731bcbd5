import Sockets
import TLSTestKit
import Testing
import Tooling

@testable import TLSInspection
@testable import tlsinspect

@Suite(.timeLimit(.minutes(1)))
struct TextReportTests {
    let bench: TestBench

    init() throws { bench = try TestBench() }

    private func lines(_ report: InspectionReport, isColored: Bool = false) -> [String] {
        TextReport(report, Painter(isColored: isColored)).text.split(separator: "\n").map(
            String.init
        )
    }

    @Test("every part of a good report has its line")
    func good() async throws {
        var report = try await bench.inspect(try bench.listener())
        report.timing = .init(connect: 0.12, serverHello: 1.26, handshake: 3.04)
        let lines = lines(report)
        #expect(lines[0].hasPrefix("a.test  →  127.0.0.1:"))
        #expect(lines[0].hasSuffix("ok, 1 note"))
        #expect(lines[0].count == TextReport.width)
        let labelled = [
            "  Negotiated   TLS 1.3 · TLS_AES_256_GCM_SHA384 · x25519 · ecdsa_secp256r1_sha256",
            "  ALPN         h2                       offered h2, http/1.1",
            "  Servername   a.test                   acknowledged",
            "  OCSP staple  none",
            "  Time         connect 0.1 ms · hello 1.3 ms · done 3.0 ms · 3 flights",
            "     └ name matches a.test (SAN 1 of 4)",
            "  note  no-staple  no OCSP response stapled",
        ]
        for line in labelled { #expect(lines.contains(line)) }
        let rows = lines.filter { $0.contains("P-256") }
        #expect(rows.count == 3)
        #expect(rows.last?.contains("(in --ca)") == true)
        #expect(Set(rows.map(\.count)).count == 1)
    }

    @Test("a failure shows its message, phase and hint, and what was offered")
    func failure() async throws {
        let report = try checked(
            await Inspector(now: bench.now).run(Probe(try unusedAddress()))
        )
        let lines = lines(report)
        #expect(lines[0].hasSuffix("connection refused"))
        #expect(lines.contains("  Phase        connecting"))
        #expect(
            lines.contains("  Offered      TLS1.2 TLS1.3 · ALPN h2, http/1.1 · servername none")
        )
        #expect(!lines.contains { $0.contains("Chain") })
    }

    @Test("each outcome has words of its own", arguments: InspectionReport.Outcome.allCases)
    func verdicts(_ outcome: InspectionReport.Outcome) {
        let words = InspectionReport.Outcome.allCases.map {
            InspectionReport(command: "probe", result: $0, exit: .clean).verdict
        }
        #expect(Set(words).count == words.count)
    }

    @Test("colours change nothing but colours")
    func colors() async throws {
        let report = try await bench.inspect(try bench.listener(.expired("a.test")))
        let colored = TextReport(report, Painter(isColored: true)).text
        let plain = TextReport(report, .plain).text
        #expect(colored.contains("\u{1b}[31m"))
        #expect(!plain.contains("\u{1b}"))
        #expect(colored.replacing(/\u{1b}\[[0-9]+m/, with: "") == plain)
    }

    @Test("what a peer says cannot steer the terminal")
    func hostileText() async throws {
        var report = try await bench.inspect(try bench.listener())
        try #require(report.chain.count > 1)
        report.chain[1].name = "\u{1b}[2Jgone\u{202e}evil\r\n"
        report.negotiated?.alpn = "h2\u{7}"
        let text = TextReport(report, .plain).text
        let controls = text.unicodeScalars.filter {
            [.control, .format].contains($0.properties.generalCategory)
        }
        #expect(Set(controls) == ["\n"])
        #expect(text.contains("\u{fffd}[2Jgone\u{fffd}evil\u{fffd}\u{fffd}"))
    }

    @Test(
        "spans are told in units that fit",
        arguments: [
            (59, "59 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"),
            (172_800, "2 days"),
        ]
    )
    func spans(_ seconds: Int, _ text: String) {
        #expect(Spans.seconds(seconds) == text)
    }

    @Test(
        "days are told in days, and in years from two on",
        arguments: [
            (-1, "expired"), (0, "0 days"), (1, "1 day"), (729, "729 days"), (730, "2 years"),
        ]
    )
    func days(_ days: Int, _ text: String) {
        #expect(Spans.days(days) == text)
    }
}

extension Painter {
    fileprivate static let plain = Painter(isColored: false)
}
