// `tlsinspect diff`: what differs between two servers, or between a server and its baseline.

import ArgumentParser
import Foundation
import Sockets
import TLSInspection
import Tooling

/// Compares two servers, or a server with what was saved of it.
struct DiffCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "What differs between two servers, or since a baseline.",
        discussion: """
            Two hosts are probed and scanned. A baseline is the JSON that probe or scan \
            once wrote; the host is inspected in the same way and compared with it. What \
            differs every time, such as addresses, times and days left, does not count. \
            Exits with 1 when something differs.

            EXAMPLES
              tlsinspect diff www1.test www2.test
              tlsinspect diff www1.test www2.test --ignore leaf,chain
              tlsinspect scan www.test --format json > golden.json
              tlsinspect diff www.test --baseline golden.json
              tlsinspect diff www1.test www2.test --report diff.html
            """
    )

    @Argument(help: ArgumentHelp("A name or address.", valueName: "host[:port]"))
    var host: String

    @Argument(help: ArgumentHelp("Another one.", valueName: "other[:port]"))
    var other: String?

    @Option(help: ArgumentHelp("Compare with this output of probe or scan.", valueName: "file"))
    var baseline: String?

    @Option(help: ArgumentHelp("Facts that do not count, by commas.", valueName: "list"))
    var ignore = ""

    @OptionGroup var route: RouteOptions

    @Option(
        help: ArgumentHelp(
            "Send this servername to both; - sends none.",
            valueName: "name|-"
        )
    )
    var sni: String?

    @Option(help: ArgumentHelp("Trust these roots instead of the system's.", valueName: "file"))
    var ca: String?

    @OptionGroup var pace: PaceOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var page: PageOptions

    func validate() throws {
        guard (other == nil) != (baseline == nil) else {
            throw ValidationError("Name another host, or a --baseline.")
        }
        guard route.connect == nil || other == nil else {
            throw ValidationError("--connect needs a --baseline: two hosts are two addresses.")
        }
        guard sni != "" else { throw ValidationError("--sni is a name, or - for none.") }
        for host in [host, other].compactMap(\.self) { _ = try route.probe(of: host) }
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        let desk = try page.desk(in: surroundings)
        let anchors: TrustPolicy.Anchors
        do throws(SocketError) {
            anchors =
                try ca.map { file throws(SocketError) in
                    .certificates(try Certificate.read(file: file))
                } ?? .system
        } catch {
            throw ToolFailure(code: "unusable_file", message: error.description)
        }
        let before: Inspected
        let after: Inspected
        if let baseline {
            let saved = try Baseline(file: baseline)
            before = saved.inspected
            after = try await inspect(host, saved, anchors, surroundings)
        } else {
            async let first = inspect(host, nil, anchors, surroundings)
            async let second = inspect(other ?? host, nil, anchors, surroundings)
            (before, after) = try await (first, second)
        }
        let report = compare(before, after)
        let written = ReportWriter(options: output, surroundings: surroundings)
            .output(report, report.exit) {
                DiffText(report, output.painter(in: surroundings)).text
            }
        return desk.publish(written) { ReportPage(report, $0) }
    }

    /// What is known of one side.
    struct Inspected: Sendable {
        var side: DiffReport.Side
        var facts: [Fact] = []
        var result = InspectionReport.Outcome.ok
        var exit = ExitStatus.clean
        var error: InspectionReport.Failure?
    }

    private func compare(_ before: Inspected, _ after: Inspected) -> DiffReport {
        let ignored = ignore.split(separator: ",").map(String.init)
        // Who cannot be reached cannot be compared; a refusal is an answer.
        for one in [before, after] where one.exit == .noConnection || one.exit == .usage {
            return DiffReport(
                before.side,
                after.side,
                result: one.result,
                exit: one.exit,
                error: one.error
            )
        }
        return DiffReport(
            (before.side, before.facts),
            (after.side, after.facts),
            ignoring: ignored
        )
    }

    /// Probes and scans a host, or does only what the baseline is of.
    private func inspect(
        _ host: String,
        _ baseline: Baseline?,
        _ anchors: TrustPolicy.Anchors,
        _ surroundings: ToolSurroundings
    ) async throws -> Inspected {
        let saved = baseline?.probe?.target ?? baseline?.scan?.target
        var probe = try route.probe(
            of: host,
            beginningWith: saved?.starttls.flatMap(StartTLSProtocol.init)
        )
        probe.anchors = anchors
        probe.servername = Probe.Servername(option: sni)
        let inspector = Inspector(now: surroundings.now)
        var inspected = Inspected(side: DiffReport.Side(name: host, target: nil))
        if baseline?.scan == nil {
            if let sent = baseline?.probe?.sent {
                probe.alpn = sent.alpn
                if sni == nil { probe.servername = sent.sni.map { .name($0) } ?? .none }
                let versions = sent.versions
                if versions == ["TLS1.2"] { probe.versions = .tls12 ... .tls12 }
                if versions == ["TLS1.3"] { probe.versions = .tls13 ... .tls13 }
            }
            let report = await inspector.run(probe)
            inspected.side.target = report.target
            inspected.facts += report.facts
            (inspected.result, inspected.exit) = (report.result, report.exit)
            inspected.error = report.error
        }
        guard baseline?.probe == nil, inspected.exit != .noConnection else { return inspected }
        var options = ScanOptions(probe, sni: sni, alpn: probe.alpn, isFast: false, pace: pace)
        if sni == nil, let saved = baseline?.scan {
            options.servername = saved.sni.map { .name($0) } ?? .none
        }
        let progress = Progress(surroundings)
        let scan = await inspector.scan(options) {
            progress.tell("\(Printable.text(host)): \($0) connections, round \($1)")
        }
        inspected.side.target = inspected.side.target ?? scan.target
        inspected.facts += scan.facts
        if baseline?.scan != nil {
            (inspected.result, inspected.exit, inspected.error) = (
                scan.result, scan.exit, scan.error
            )
        }
        return inspected
    }
}

/// What was saved of a server.
struct Baseline: Sendable {
    var probe: InspectionReport?
    var scan: ScanReport?
    private let file: String

    /// Reads the output of `probe` or `scan`.
    init(file: String) throws {
        self.file = file
        struct Head: Decodable {
            var schema: String
            var command: String
        }
        do {
            let contents = try Data(contentsOf: URL(fileURLWithPath: file))
            let head = try JSONDecoder().decode(Head.self, from: contents)
            switch (head.schema, head.command) {
            case (InspectionReport.schema, "probe"):
                probe = try JSONDecoder().decode(InspectionReport.self, from: contents)
            case (InspectionReport.schema, "scan"):
                scan = try JSONDecoder().decode(ScanReport.self, from: contents)
            default:
                throw ToolFailure(
                    code: "unusable_file",
                    message: "\(file) is the output of \(Printable.text(head.command))"
                )
            }
        } catch let failure as ToolFailure {
            throw failure
        } catch {
            throw ToolFailure(
                code: "unusable_file",
                message: "\(file) is not the JSON of probe or scan"
            )
        }
    }

    /// What it tells.
    var inspected: DiffCommand.Inspected {
        DiffCommand.Inspected(
            side: DiffReport.Side(name: file, target: nil),
            facts: (probe?.facts ?? []) + (scan?.facts ?? [])
        )
    }
}

/// A comparison for people.
struct DiffText {
    let report: DiffReport
    let paint: Painter

    init(_ report: DiffReport, _ painter: Painter) {
        self.report = report
        paint = painter
    }

    /// The whole report, with a line feed at its end.
    var text: String {
        var page = Page(paint)
        let names = [report.before.name, report.after.name].map(Printable.text)
        page.raw("\(names[0])  →  \(names[1])  " + verdict)
        page.section()
        if let error = report.error { page.failure(error) }
        for change in report.changes {
            page.raw("! " + paint(change.id, .bold))
            if change.isReordered {
                page.line("order was", (change.before ?? []).joined(separator: ", "))
                page.line("order is", (change.after ?? []).joined(separator: ", "))
            }
            list("-", change.removed, .red, &page)
            list("+", change.added, .green, &page)
        }
        page.section()
        if !report.same.isEmpty {
            page.line("the same", report.same.joined(separator: ", "))
        }
        return page.text
    }

    private var verdict: String {
        guard report.error == nil else { return paint(report.result.words, .red) }
        let count = report.changes.count
        if count == 0 { return paint("no difference", .green) }
        return paint("\(count) difference" + (count == 1 ? "" : "s"), .yellow)
    }

    private func list(
        _ sign: String,
        _ values: [String],
        _ style: Painter.Style,
        _ page: inout Page
    ) {
        for value in values.prefix(12) {
            page.raw("    " + paint("\(sign) \(Printable.text(value))", style))
        }
        if values.count > 12 {
            page.raw("    " + paint("\(sign) and \(values.count - 12) more", style))
        }
    }
}
