// Days left, and the formats of monitors, held by readers that are as strict as the monitors' own.

import Foundation
import Sockets
import TLSTestKit
import Testing
import ToolFixtures
import Tooling

@testable import TLSInspection
@testable import tlsinspect

@Suite(.timeLimit(.minutes(1)))
struct ExpiryTests {
    let bench: TestBench

    init() throws { bench = try TestBench() }

    private func target(_ address: SocketAddress, _ name: String = "a.test") throws -> ExpiryTarget
    {
        ExpiryTarget(
            asked: "\(name):\(address.port)",
            probe: try Probe(SocketAddress(name, port: address.port)) {
                $0.timeout = .seconds(60)
                $0.connect = address
                $0.anchors = try bench.anchors
            }
        )
    }

    private func report(_ recipe: CertificateRecipe) async throws -> ExpiryReport {
        try await withServer(try bench.listener(recipe)) { address in
            let reports = await Inspector(now: bench.now).expiry(of: [try target(address)])
            return try conforming(try #require(reports.first))
        }
    }

    private func recipe(_ days: Int) -> CertificateRecipe {
        var recipe = CertificateRecipe.server(["a.test"])
        recipe.validity = .days(-10...days)
        return recipe
    }

    @Test(
        "days decide over the finding and the exit code",
        arguments: [
            (60, nil, TLSInspection.ExitStatus.clean), (20, Severity.warn, .clean),
            (6, .bad, .findings),
            (1, .bad, .findings), (-1, .bad, .untrusted),
        ] as [(Int, Severity?, TLSInspection.ExitStatus)]
    )
    func limits(_ days: Int, _ severity: Severity?, _ exit: TLSInspection.ExitStatus) async throws {
        let report = try await report(recipe(days))
        #expect(report.findings.first?.severity == severity)
        #expect(report.exit == exit)
        #expect(report.certificates.first?.daysLeft == days)
    }

    @Test("what is served and what is verified are two numbers")
    func numbers() async throws {
        let report = try await report(recipe(60))
        let now = Int(bench.now.seconds)
        #expect(report.certificates.map(\.position) == [.leaf, .intermediate])
        #expect(report.earliestServed == now + 60 * 86400)
        #expect(report.earliestVerified == now + 60 * 86400)
        #expect(report.certificates[1].notAfterSeconds == now + 400 * 86400)
        let untrusted = try await self.report(.selfSigned("a.test"))
        #expect(untrusted.earliestVerified == nil)
        #expect(untrusted.exit == .untrusted)
    }

    @Test(
        "a date in words is the date in seconds",
        arguments: [
            Int64(0), 951_782_400, 1_803_081_600, 4_107_542_399, -1, -62_135_596_800,
            253_402_300_799,
        ]
    )
    func dates(_ seconds: Int64) async throws {
        var certificate = CertificateReport(
            try Certificate(der: bench.root.certificateDER),
            position: .root,
            at: bench.now
        )
        certificate.notAfter = UnixTime(seconds: seconds).description
        #expect(certificate.notAfterTime.seconds == seconds)
    }

    // MARK: Formats

    /// Reports of a good server, one about to expire, and none.
    private func reports() async throws -> [ExpiryReport] {
        var reports: [ExpiryReport] = []
        for days in [60, 11] { reports.append(try await report(recipe(days))) }
        let closed = try unusedAddress()
        reports += await Inspector(now: bench.now).expiry(of: [try target(closed, "c.test")])
        return reports
    }

    @Test("a line of Nagios has its form: state, words, one number with ranges")
    func nagios() async throws {
        let all = try await reports()
        let table: [([ExpiryReport], NagiosStatus, String)] = [
            ([all[0]], .ok, "1 server in order"), ([all[1]], .warning, "expires in 11 days"),
            ([all[0], all[1]], .warning, "expires in 11 days"), ([all[2]], .critical, "refused"),
            (all, .critical, "(2 of 3 are amiss)"),
        ]
        for (reports, status, words) in table {
            let (text, code) = ExpiryFormats(reports: reports, limits: ExpiryLimits()).nagios
            #expect(code == status)
            let read = try NagiosLine(text)
            #expect(read.state == status.word)
            #expect(read.words.contains(words))
            if reports != [all[2]] {
                #expect(read.warn == "21:")
                #expect(read.critical == "7:")
                #expect(read.value == reports.compactMap(\.first?.daysLeft).min())
            }
        }
    }

    @Test("samples of Prometheus are read whole by a strict reader")
    func prometheus() async throws {
        let reports = try await reports()
        let text = ExpiryFormats(reports: reports + reports, limits: ExpiryLimits()).prometheus
        let samples = try PrometheusText(text).samples
        let up = samples.filter { $0.name == "tls_probe_success" }
        #expect(up.map(\.value) == [1, 1, 0])
        let ends = samples.filter { $0.name == "tls_cert_not_after_seconds" }
        #expect(ends.count == 4)
        #expect(ends.first?.labels["position"] == "leaf")
        #expect(ends.first?.labels["cn"] == "a.test")
        #expect(ends.first?.value == Double(bench.now.seconds + 60 * 86400))
        #expect(samples.filter { $0.name == "tls_verified_path_not_after_seconds" }.count == 2)
    }

    @Test("names that would steer a terminal or break a format are escaped in each")
    func escaping() async throws {
        let name = "a\u{1b}[31m\u{202e}\"\\|\nb"
        var evil = CertificateRecipe.server(["a.test"])
        evil.subject = .commonName("a.test")
        evil.validity = .days(-10...3)
        var report = try await report(evil)
        report.certificates[0].name = name
        report.findings[0].text = "leaf \"\(name)\" expires"
        let formats = ExpiryFormats(reports: [report], limits: ExpiryLimits())
        let nagios = formats.nagios.text
        #expect(nagios.filter { $0 == "\n" }.count == 1)
        #expect(nagios.filter { $0 == "|" }.count == 1)
        let samples = try PrometheusText(formats.prometheus).samples
        #expect(samples.contains { $0.labels["cn"]?.contains("\"\\|") == true })
        for text in [nagios, formats.prometheus, formats.text(Painter(isColored: false))] {
            #expect(!text.contains("\u{1b}"))
            #expect(!text.contains("\u{202e}"))
        }
    }

    @Test("500 servers are asked, as many at once as were allowed")
    func many() async throws {
        try await withServer(try bench.listener(TestBench.lasting)) { address in
            let targets = try (0..<500).map {
                try target(address, $0 % 2 == 0 ? "a.test" : "x.b.test")
            }
            var told = 0
            let reports = await Inspector(now: bench.now).expiry(of: targets, jobs: 64) { _ in
                told += 1
            }
            #expect(told == 500)
            #expect(reports.count == 500)
            #expect(reports.filter { $0.result != .ok }.map(\.error?.message) == [])
            #expect(reports.map(\.asked) == targets.map(\.asked))
        }
    }

    @Test("of 500 addresses as many are under way as jobs allow, and never more")
    func inFlight() async throws {
        let jobs = 64
        let gate = Gate(waitsFor: jobs)
        // All of 127.0.0.0/8 is this machine.
        let options = SocketListenerInit(type: .tcp, local: SocketAddress("0.0.0.0", port: 0))
        let reports = try await withServer(options) { socket in
            await gate.enter()
            _ = try? await socket.read()
            await gate.leave()
        } _: { address in
            let targets = try (0..<500).map { place in
                try target(
                    SocketAddress("127.0.\(place / 250).\(place % 250 + 1)", port: address.port)
                )
            }
            return await Inspector(now: bench.now).expiry(of: targets, jobs: jobs)
        }
        #expect(reports.count == 500)
        #expect(reports.allSatisfy { $0.result == .closed })
        #expect(Set(reports.compactMap(\.target.address)).count == 500)
        #expect(await gate.most == jobs)
        #expect(await gate.entered == 500)
    }

    @Test("Monitoring::Plugin reads the number of a line, and its ranges give the exit code")
    func monitoringPlugin() async throws {
        let table: [(days: Int, status: NagiosStatus)] = [
            (60, .ok), (11, .warning), (3, .critical),
        ]
        let script = """
            my ($words, $numbers) = split /\\|/, $ARGV[0], 2;
            for (Monitoring::Plugin::Performance->parse_perfstring($numbers)) {
                print join(" ", $_->label, $_->value, $_->threshold->get_status($_->value)), "\\n";
            }
            """
        for (days, status) in table {
            let report = try await report(recipe(days))
            let (text, code) = ExpiryFormats(reports: [report], limits: ExpiryLimits()).nagios
            #expect(code == status)
            let run = try await ProcessRun(
                URL(fileURLWithPath: "/usr/bin/perl"),
                ["-MMonitoring::Plugin::Performance", "-e", script, text]
            )
            #expect(run.output == "min_days \(days) \(status.rawValue)\n", "\(run.errors)")
        }
    }

    @Test("promtool accepts the samples of good servers and bad ones")
    func promtool() async throws {
        let directory = try TemporaryDirectory()
        let file = directory.path + "/tls.prom"
        let text = ExpiryFormats(reports: try await reports(), limits: ExpiryLimits()).prometheus
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        let run = try await ProcessRun(
            URL(fileURLWithPath: "/usr/bin/env"),
            ["bash", "-c", "exec promtool check metrics < \"$0\"", file]
        )
        #expect(run.exitCode == 0, "\(run.output)\(run.errors)")
    }

    @Test("the exit code of many is the worst, a missing connection before all")
    func worst() {
        #expect(TLSInspection.ExitStatus.worst([]) == .clean)
        #expect(TLSInspection.ExitStatus.worst([.clean, .findings, .untrusted]) == .untrusted)
        #expect(
            TLSInspection.ExitStatus.worst([.noHandshake, .untrusted, .noConnection])
                == .noConnection
        )
        #expect(TLSInspection.ExitStatus.worst([.noHandshake, .findings]) == .noHandshake)
    }
}

/// Counts who is inside, and holds the first until so many are.
private actor Gate {
    private let size: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var inside = 0
    private(set) var most = 0
    private(set) var entered = 0

    init(waitsFor size: Int) { self.size = size }

    func enter() async {
        inside += 1
        entered += 1
        most = max(most, inside)
        if entered < size { return await withCheckedContinuation { waiting.append($0) } }
        for one in waiting { one.resume() }
        waiting = []
    }

    func leave() { inside -= 1 }
}

/// A format that is not kept.
struct FormatFault: Error {
    var text: String
}

/// A line of a Nagios plugin with one number.
struct NagiosLine {
    var state: String
    var words: String
    var value: Int?
    var warn: String?
    var critical: String?

    /// Reads the first line, by the guidelines for plugins: words, a bar, `label=value;warn;crit`.
    init(_ text: String) throws {
        guard text.hasSuffix("\n"), let line = text.split(separator: "\n").first else {
            throw FormatFault(text: text)
        }
        let parts = line.split(separator: "|", omittingEmptySubsequences: false)
        guard let head = parts[0].wholeMatch(of: /TLS (OK|WARNING|CRITICAL|UNKNOWN) - (.+)/),
            parts.count <= 2
        else { throw FormatFault(text: text) }
        state = String(head.1)
        words = String(head.2)
        guard parts.count == 2 else { return }
        let range = "@?(?:~|-?[0-9]+)?:?(?:-?[0-9]+)?"
        let form = try Regex("^ min_days=(-?[0-9]+);(\(range));(\(range))$")
        guard let number = String(parts[1]).firstMatch(of: form) else {
            throw FormatFault(text: text)
        }
        value = number.output[1].substring.flatMap { Int($0) }
        warn = number.output[2].substring.map(String.init)
        critical = number.output[3].substring.map(String.init)
    }
}

/// The text format of Prometheus, version 0.0.4, read strictly.
struct PrometheusText {
    struct Sample {
        var name: String
        var labels: [String: String]
        var value: Double
    }

    var samples: [Sample] = []

    /// Reads a text in which each family is declared once, in front of its samples, and no sample
    /// comes twice.
    init(_ text: String) throws {
        guard text.isEmpty || text.hasSuffix("\n") else { throw FormatFault(text: "no line feed") }
        var declared: Set<String> = []
        var family = ""
        var seen: Set<String> = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            if let help = line.wholeMatch(of: /# HELP ([a-z_]+) .+/) {
                family = String(help.1)
                guard declared.insert(family).inserted else { throw FormatFault(text: "\(line)") }
            } else if let type = line.wholeMatch(of: /# TYPE ([a-z_]+) gauge/) {
                guard String(type.1) == family else { throw FormatFault(text: "\(line)") }
            } else {
                let sample = try PrometheusText.sample(String(line))
                let key = "\(sample.name) \(sample.labels.sorted { $0.key < $1.key })"
                guard sample.name == family, seen.insert(key).inserted else {
                    throw FormatFault(text: "\(line)")
                }
                samples.append(sample)
            }
        }
    }

    private static func sample(_ line: String) throws -> Sample {
        guard let head = line.prefixMatch(of: /[a-zA-Z_:][a-zA-Z0-9_:]*\{/) else {
            throw FormatFault(text: line)
        }
        var rest = line[head.range.upperBound...]
        var labels: [String: String] = [:]
        while rest.first != "}" {
            guard
                let label = rest.prefixMatch(
                    of: /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)",?/
                )
            else { throw FormatFault(text: line) }
            let value = String(label.2).replacing(/\\(.)/) { $0.1 == "n" ? "\n" : String($0.1) }
            guard labels.updateValue(value, forKey: String(label.1)) == nil else {
                throw FormatFault(text: line)
            }
            rest = rest[label.range.upperBound...]
        }
        guard rest.hasPrefix("} "), let value = Double(rest.dropFirst(2)) else {
            throw FormatFault(text: line)
        }
        return Sample(name: String(head.output.dropLast()), labels: labels, value: value)
    }
}
