// `tlsinspect expiry`: days left of the certificates of many servers, for people and for monitors.

import ArgumentParser
import Foundation
import Sockets
import TLSInspection
import Tooling

/// Tells how long certificates are still valid.
struct ExpiryCommand: ToolCommand {
    /// The forms of output: those of all commands, and those of monitors.
    enum Format: String, CaseIterable, ExpressibleByArgument {
        case text, nagios, prometheus, json, jsonl
    }

    static let configuration = CommandConfiguration(
        commandName: "expiry",
        abstract: "Days left of the certificates of many servers.",
        discussion: """
            A file has a line for each server: HOST[:PORT], and behind a space the \
            servername if it is another one, or - for none. Lines that begin with # do not \
            count. With --format nagios the exit code is 0, 1, 2 or 3 as Nagios has it.

            EXAMPLES
              tlsinspect expiry example.com example.org:8443
              tlsinspect expiry --file hosts.txt --warn 21 --crit 7
              tlsinspect expiry --file hosts.txt --format nagios
              tlsinspect expiry --file hosts.txt --format prometheus > tls.prom
              tlsinspect expiry --file hosts.txt --format jsonl --jobs 64
              tlsinspect expiry --file hosts.txt --report expiry.html
            """
    )

    @Argument(help: ArgumentHelp("Names or addresses.", valueName: "host[:port]"))
    var hosts: [String] = []

    @Option(help: ArgumentHelp("Take servers from this file.", valueName: "list"))
    var file: String?

    @OptionGroup var route: RouteOptions

    @Option(
        help: ArgumentHelp(
            "Send this servername; - sends none. (default: HOST)",
            valueName: "name|-"
        )
    )
    var sni: String?

    @Option(help: ArgumentHelp("Trust these roots instead of the system's.", valueName: "file"))
    var ca: String?

    @Option(help: ArgumentHelp("Warn below so many days.", valueName: "days"))
    var warn = 21

    @Option(help: ArgumentHelp("It is bad below so many days.", valueName: "days"))
    var crit = 7

    @OptionGroup var pace: PaceOptions

    @Option(help: "Write text, for a monitor, or JSON.")
    var format: Format = .text

    @Option(help: ArgumentHelp("Colour the text, as with the other commands."))
    var color: OutputOptions.Color = .auto

    @OptionGroup var page: PageOptions

    @Option(help: "Exit with 1 from this severity on.")
    var failOn: Severity = .bad

    func validate() throws {
        guard !hosts.isEmpty || file != nil else {
            throw ValidationError("Name a HOST or a --file.")
        }
        guard (0...36500).contains(crit), (crit...36500).contains(warn) else {
            throw ValidationError("--crit is at least 0 and --warn at least that.")
        }
        guard route.connect == nil || hosts.count == 1 && file == nil else {
            throw ValidationError("--connect needs one HOST.")
        }
        guard sni != "" else { throw ValidationError("--sni is a name, or - for none.") }
        for host in hosts { _ = try route.probe(of: host) }
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        let targets = try targets()
        let desk = try page.desk(in: surroundings)
        var limits = ExpiryLimits()
        (limits.warn, limits.critical) = (warn, crit)
        let progress = Progress(surroundings)
        var done = 0
        let reports = await Inspector(now: surroundings.now, failOn: failOn).expiry(
            of: targets,
            limits: limits,
            jobs: pace.jobs ?? 32,
            rate: pace.rate(usual: nil)
        ) { report in
            done += 1
            progress.tell("\(done) of \(targets.count) servers")
            if format == .jsonl { surroundings.announce(JSONLine.text(of: report)) }
        }
        let formats = ExpiryFormats(reports: reports, limits: limits)
        let summary = ExpirySummary(reports)
        let written = written(formats, summary, surroundings)
        let failure = format == .nagios ? NagiosStatus.unknown.exit : .usage
        return desk.publish(written, failure: failure) { ReportPage(summary, limits, $0) }
    }

    private func written(
        _ formats: ExpiryFormats,
        _ summary: ExpirySummary,
        _ surroundings: ToolSurroundings
    ) -> ToolOutput {
        switch format {
        case .json: return ToolOutput(text: JSONLine.text(of: summary), status: summary.exit)
        case .jsonl: return ToolOutput(status: summary.exit)
        case .prometheus: return ToolOutput(text: formats.prometheus, status: summary.exit)
        case .nagios:
            let (text, status) = formats.nagios
            return ToolOutput(text: text, status: status.exit)
        case .text:
            let text = formats.text(Painter(color, in: surroundings))
            return ToolOutput(text: text, status: summary.exit)
        }
    }

    // MARK: Servers

    private func targets() throws -> [ExpiryTarget] {
        var probes: [ExpiryTarget] = try hosts.map { try target($0, sni) }
        if let file { probes += try read(file) }
        guard !probes.isEmpty else {
            throw ToolFailure(code: "unusable_file", message: "\(file ?? "") names no server")
        }
        guard let ca else { return probes }
        do throws(SocketError) {
            let anchors = TrustPolicy.Anchors.certificates(try Certificate.read(file: ca))
            for place in probes.indices { probes[place].probe.anchors = anchors }
        } catch {
            throw ToolFailure(code: "unusable_file", message: error.description)
        }
        return probes
    }

    private func target(_ host: String, _ servername: String?) throws -> ExpiryTarget {
        var probe = try route.probe(of: host)
        probe.servername = Probe.Servername(option: servername)
        return ExpiryTarget(asked: host, probe: probe)
    }

    private func read(_ file: String) throws -> [ExpiryTarget] {
        guard let contents = try? String(contentsOfFile: file, encoding: .utf8) else {
            throw ToolFailure(code: "unusable_file", message: "\(file) cannot be read")
        }
        let lines = contents.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        return try lines.enumerated().compactMap { number, line in
            let words = line.split { $0 == " " || $0 == "\t" }.map(String.init)
            guard let host = words.first, !host.hasPrefix("#") else { return nil }
            guard words.count <= 2, let target = try? target(host, words.dropFirst().first ?? sni)
            else {
                throw ToolFailure(
                    code: "unusable_file",
                    message: "\(file):\(number + 1): \(Printable.text(String(line.prefix(80))))"
                )
            }
            return target
        }
    }
}
