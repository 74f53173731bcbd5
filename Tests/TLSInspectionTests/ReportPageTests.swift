// Pages as text: that nothing a peer says becomes markup, that they need nothing from elsewhere, and that
// every kind of report and every way to fail has one. What a browser makes of them is in BrowserTests.

import Foundation
import Sockets
import TLSTestKit
import Testing
import ToolFixtures

@testable import TLSInspection

/// What would be markup, or turn text around, if it were not escaped.
private let hostile =
    #"</title><script>alert(1)</script>"'><img src=//x.test onerror=a> &lt;"# + "\u{202e}\u{1b}[31m"

@Suite
struct HTMLTests {
    @Test(
        "text is escaped where it is interpolated, and markup is not",
        arguments: [
            ("a<b>c", "a&lt;b&gt;c"), ("&amp;", "&amp;amp;"), ("\"'", "&quot;&#39;"),
            ("a\u{202e}b\u{0}\u{85}\u{2028}", "a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}"),
            ("ü漢🙂", "ü漢🙂"), ("", ""), ("a\u{301}<", "a\u{301}&lt;"), ("<\u{301}", "&lt;\u{301}"),
        ]
    )
    func escaping(_ text: String, _ escaped: String) {
        let inner: HTML = "<b title=\"\(text)\">\(text)</b>"
        #expect(inner.text == "<b title=\"\(escaped)\">\(escaped)</b>")
        let outer: HTML = "<p>\(inner)\([inner, inner].joined(by: "<br>"))</p>"
        #expect(outer.text == "<p>\(inner.text)\(inner.text)<br>\(inner.text)</p>")
        let pieces: HTML = "\(nil as HTML?)\([inner])"
        #expect(pieces == inner)
    }

    @Test(
        "coordinates have a tenth at most",
        arguments: [
            (1.0, "1"), (0.25, "0.3"), (-2.04, "-2"), (10.55, "10.6"), (0, "0"), (.nan, "0"),
            (.infinity, "0"), (-1e300, "0"),
        ]
    )
    func coordinates(_ number: Double, _ text: String) {
        let markup: HTML = "\(number)"
        #expect(markup.text == text)
    }

    @Test("text of pictures is cut to its room, whatever letters it has")
    func fitting() {
        for text in [
            "short", String(repeating: "wide", count: 50), String(repeating: "漢", count: 90),
        ] {
            let fitted = PictureText.fitted(text, 100, size: 12)
            #expect(PictureText.width(fitted, size: 12) <= 100)
            #expect(fitted == text || fitted.hasSuffix("…"))
        }
        let lines = PictureText.lines("one two three four five six", 60, size: 12, most: 2)
        #expect(lines.count == 2)
        #expect(lines.allSatisfy { PictureText.width($0, size: 12) <= 60 })
        #expect(PictureText.lines("", 60, size: 12, most: 2) == [])
    }
}

@Suite(.timeLimit(.minutes(1)))
struct ReportPageTests {
    let bench: TestBench
    let origin = ReportPage.Origin(
        command: "tlsinspect probe '<a>'",
        tool: "tlsinspect 1",
        time: testTime
    )

    init() throws { bench = try TestBench() }

    /// What holds for every page.
    private func check(_ page: ReportPage, sourceLocation: SourceLocation = #_sourceLocation) {
        let text = page.text
        #expect(text.hasPrefix("<!doctype html>\n"), sourceLocation: sourceLocation)
        #expect(text.hasSuffix("</html>\n"), sourceLocation: sourceLocation)
        let forbidden =
            /<script|<img|<link|<iframe|url\(|@import|https?:\/\/|javascript:|\u{202e}|\u{1b}/
        #expect(text.firstMatch(of: forbidden)?.0 == nil, sourceLocation: sourceLocation)
        #expect(text.contains("default-src &#39;none&#39;"), sourceLocation: sourceLocation)
        #expect(text.contains("name=\"viewport\""), sourceLocation: sourceLocation)
        #expect(
            text.contains("tlsinspect probe &#39;&lt;a&gt;&#39;"),
            sourceLocation: sourceLocation
        )
        #expect(unbalanced(text) == [], sourceLocation: sourceLocation)
        let ids = text.matches(of: /\sid="([^"]*)"/).map { String($0.1) }
        #expect(Set(ids).count == ids.count, sourceLocation: sourceLocation)
    }

    /// Elements that are closed in another order than they were opened, and attributes that load or run.
    private func unbalanced(_ text: String) -> [String] {
        let void: Set = ["meta", "br"]
        var open: [String] = []
        var faults: [String] = []
        // Of text no "<" is left, nor in the values of attributes.
        for piece in text.utf8.split(separator: UInt8(ascii: "<")) {
            let parts = piece.split(separator: UInt8(ascii: ">"), maxSplits: 1)
            let tag = String(Substring(parts[0]))
            let name = String(tag.drop { $0 == "/" }.prefix { $0.isLetter || $0.isNumber })
            // Values are in quotes, and hold none: every other piece is one.
            let attributes = tag.split(separator: "\"", omittingEmptySubsequences: false)
                .enumerated().compactMap { $0.offset % 2 == 0 ? $0.element : nil }
                .flatMap { $0.split { " /".contains($0) } }
            faults += attributes.filter { attribute in
                ["on", "src", "href", "style=", "action"].contains { attribute.hasPrefix($0) }
            }.map(String.init)
            if tag.hasPrefix("/") {
                if open.popLast() != name { faults.append("</\(name)>") }
            } else if !tag.hasPrefix("!"), !void.contains(name), !tag.hasSuffix("/") {
                open.append(name)
            }
        }
        return faults + open
    }

    /// A report in which all that a peer could have said is hostile.
    private func hostileProbe() async throws -> InspectionReport {
        var report = try await bench.inspect(try bench.listener(TestBench.lasting))
        report.target?.name = hostile
        report.target?.starttls = hostile
        report.sent?.sni = hostile
        report.sent?.alpn = [hostile]
        report.negotiated?.alpn = hostile
        report.verify?.name = hostile
        report.verify?.nameMatch = hostile
        for place in report.chain.indices {
            report.chain[place].name = hostile
            report.chain[place].subject = hostile
            report.chain[place].issuer = hostile
            report.chain[place].san = .init(dns: [hostile, hostile], ip: [hostile])
            report.chain[place].key.type = hostile
            report.chain[place].signature = hostile
            report.chain[place].pem = hostile
        }
        report.findings = [Finding(hostile, .bad, hostile)]
        report.error = .init(
            code: hostile,
            phase: hostile,
            alert: .init(number: 255, name: hostile),
            message: hostile,
            hint: hostile
        )
        return report
    }

    @Test("a probe's page holds the chain, the verdicts, the times and the findings")
    func probe() async throws {
        let report = try await bench.inspect(try bench.listener(TestBench.lasting))
        let page = ReportPage(report, origin)
        check(page)
        for part in [
            "<h1>a.test</h1>", "✓ for a.test", "trusted, by the given roots", "signed by",
            "root, not sent", "90 days left", "TLS_AES_256_GCM_SHA384", "ClientHello",
            "ServerHello to Finished", "No OCSP response came along.", "END CERTIFICATE",
            "class=\"across\"", "class=\"down\"", "tlsinspect 1", "Done, and nothing weighs",
        ] {
            #expect(page.text.contains(part), "lacks \(part)")
        }
        #expect(page.text.contains("\(testTime)".prefix(10)))
    }

    @Test("a chain that is not trusted shows where it breaks and what it lacks")
    func untrusted() async throws {
        let report = try await bench.inspect(
            try bench.listener(.expired("b.test"), { _ in }),
            as: "a.test"
        ) { $0.anchors = .certificates([try Certificate(der: TestCA().certificateDER)]) }
        let page = ReportPage(report, origin)
        check(page)
        for part in ["✗ not for a.test", "no anchor", "expired", "X.509 verdict", "name-mismatch"] {
            #expect(page.text.contains(part), "lacks \(part)")
        }
    }

    @Test("what peers say is text, in every field of every report")
    func hostileReports() async throws {
        let probe = try await hostileProbe()
        check(ReportPage(probe, origin))
        var untrusted = probe
        untrusted.error = nil
        untrusted.verify?.trusted = false
        untrusted.verify?.error = .init(code: 20, depth: 1, text: hostile, hint: hostile)
        check(ReportPage(untrusted, origin))

        let target = try #require(probe.target)
        var matrix = MatrixReport(target: target, result: .ok, exit: .clean)
        matrix.columns = [.init(title: hostile, alpn: [hostile])]
        matrix.certificates = [hostile: probe.chain[0]]
        let cell = MatrixReport.Cell(
            result: .ok,
            chosen: hostile,
            imposed: true,
            certificate: hostile
        )
        matrix.rows = [.init(sni: hostile, certificate: hostile, matches: false, cells: [cell])]
        matrix.defaults.unknownRefusal = hostile
        matrix.order = .init(preference: .server, protocols: [hostile])
        matrix.findings = probe.findings
        check(ReportPage(matrix, origin))

        var scan = ScanReport(target: target, result: .ok, exit: .clean)
        scan.versions = [.init(version: hostile, supported: true)]
        scan.suites = [
            .init(
                version: hostile,
                preference: .server,
                first: hostile,
                suites: [.init(name: hostile, id: hostile, grade: hostile)]
            )
        ]
        scan.groups = [
            .init(version: hostile, groups: [.init(name: hostile, id: "", isPostQuantum: true)])
        ]
        scan.schemes = [.init(version: hostile, schemes: [.init(name: hostile, id: hostile)])]
        scan.alpn = .init(protocols: [hostile])
        scan.behaviours = [.init(id: .grease, ok: false, outcome: hostile)]
        scan.policy = .init(name: hostile, violations: [hostile])
        scan.error = probe.error
        check(ReportPage(scan, origin))

        let asked = ExpiryTarget(asked: hostile, probe: Probe(SocketAddress("a.test", port: 0)))
        let expiry = ExpirySummary([
            ExpiryReport(probe, asked, ExpiryLimits(), Inspector(now: testTime))
        ])
        check(ReportPage(expiry, ExpiryLimits(), origin))

        var diff = DiffReport(
            .init(name: hostile, target: target),
            .init(name: hostile, target: nil),
            result: .ok,
            exit: .findings,
            error: probe.error
        )
        diff.changes = [
            Change(hostile, [hostile, "a"], ["b"]), Change("x", ["a", "b"], ["b", "a"]),
        ]
        diff.same = [hostile]
        check(ReportPage(diff, origin))
    }

    @Test("every way to fail has a page that says so", arguments: InspectionReport.Outcome.allCases)
    func failures(_ outcome: InspectionReport.Outcome) {
        var report = InspectionReport(command: "probe", result: outcome, exit: .noHandshake)
        report.target = .init(name: "a.test", address: "127.0.0.1", port: 0)
        report.error = .init(
            code: "x",
            phase: "server_hello",
            message: "it went wrong",
            hint: "cure"
        )
        for connect in [nil, 1.5] {
            report.timing.connect = connect
            let page = ReportPage(report, origin)
            check(page)
            #expect(page.text.contains(HTML(escaping: report.verdict).text))
            #expect(page.text.contains("it went wrong"))
        }
        report.target = nil
        check(ReportPage(report, origin))
    }

    @Test("a chain of any length is drawn, what is beyond the limit in a word")
    func longChains() async throws {
        var report = try await bench.inspect(try bench.listener(TestBench.lasting))
        let intermediate = report.chain[1]
        for count in [1, 2, 3, 4, 9, 10, 200] {
            report.chain = [report.chain[0]] + Array(repeating: intermediate, count: count - 1)
            let links = ChainLinks(report)
            #expect(links.boxes.count <= ChainLinks.most)
            #expect(links.boxes.count == links.joints.count)
            check(ReportPage(report, origin))
        }
        let last = ChainLinks(report).boxes.last
        #expect(last?.title.hasPrefix("and ") == true)
        report.chain = []
        report.verify = nil
        check(ReportPage(report, origin))
        #expect(!ReportPage(report, origin).text.contains("Certificate chain"))
    }

    @Test("validities of any kind leave bars within their boxes")
    func validities() async throws {
        let report = try await bench.inspect(try bench.listener(TestBench.lasting))
        for (begin, end) in [
            ("2030-01-01T00:00:00Z", "2031-01-01T00:00:00Z"),
            ("2000-01-01T00:00:00Z", "2001-01-01T00:00:00Z"),
            ("2031-01-01T00:00:00Z", "2000-01-01T00:00:00Z"),
            ("-1-01-01T00:00:00Z", "99999-01-01T00:00:00Z"), ("", ""),
        ] {
            var changed = report
            (changed.chain[0].notBefore, changed.chain[0].notAfter) = (begin, end)
            let page = ReportPage(changed, origin)
            check(page)
            #expect(!page.text.contains("width=\"-") && !page.text.contains("nan"))
        }
    }

    @Test("a matrix has a head for every row and column, and letters beside colours")
    func matrix() async throws {
        let report = try await withServer(try bench.listener(TestBench.lasting)) { address in
            let probe = try Probe(address) {
                $0.anchors = try bench.anchors
                $0.timeout = .seconds(60)
            }
            let options = MatrixOptions(
                probe: probe,
                servernames: ["a.test", "c.test", nil],
                offers: ["h2", "?", "-"]
            )
            return await Inspector(now: testTime).matrix(options)
        }
        let page = ReportPage(report, origin)
        check(page)
        #expect(page.text.matches(of: /<th scope="row">/).count == 3)
        #expect(page.text.matches(of: /<th scope="col">/).count == 5)
        #expect(page.text.contains("<span class=\"letter c0\">A</span>"))
        #expect(page.text.contains("other name"))
        #expect(page.text.contains("alert 120"))
        #expect(page.text.contains("no_application_protocol"))
    }
}
