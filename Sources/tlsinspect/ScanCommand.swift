// `tlsinspect scan`: what a server takes.

import ArgumentParser
import Foundation
import Sockets
import TLSInspection
import Tooling

/// Finds out versions, suites, groups, signature schemes, protocols and behaviours.
struct ScanCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "scan",
        abstract: "Versions, suites, groups, signatures, behaviours.",
        discussion: """
            Asks by hellos of its own what the server takes, from SSL 3.0 to TLS 1.3, also \
            what no library of today speaks. No handshake is finished, but for ALPN of a \
            server that speaks TLS 1.3 alone. At most 70 connections as a rule, 32 at once; --fast \
            spends more of them on fewer round trips.

            EXAMPLES
              tlsinspect scan example.com
              tlsinspect scan example.com --policy intermediate
              tlsinspect scan example.com --policy ours.json --format json
              tlsinspect scan example.com --connect 192.0.2.7 --jobs 4 --rate 10
              tlsinspect scan example.com --fast
              tlsinspect scan example.com --report scan.html
            """
    )

    @Argument(
        help: ArgumentHelp("A name or address; port 443 by default.", valueName: "host[:port]")
    )
    var host: String

    @OptionGroup var route: RouteOptions

    @Option(
        help: ArgumentHelp(
            "Send this servername; - sends none. (default: HOST)",
            valueName: "name|-"
        )
    )
    var sni: String?

    @Option(help: ArgumentHelp("Ask for these protocols, by commas.", valueName: "list|-"))
    var alpn = "h2,http/1.1"

    @Option(
        help: ArgumentHelp(
            "What the server should speak.",
            valueName: "modern|intermediate|file"
        )
    )
    var policy: String?

    @Flag(help: "More connections at once, fewer round trips.")
    var fast = false

    @OptionGroup var pace: PaceOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var page: PageOptions

    @Option(help: "Exit with 1 from this severity on.")
    var failOn: Severity = .bad

    func validate() throws {
        guard sni != "" else { throw ValidationError("--sni is a name, or - for none.") }
        _ = try options()
    }

    /// What the options describe, without what stands in files.
    func options() throws -> ScanOptions {
        ScanOptions(
            try route.probe(of: host),
            sni: sni,
            alpn: commaList(alpn),
            isFast: fast,
            pace: pace
        )
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        var options = try options()
        options.policy = try policy.map(readPolicy)
        let desk = try page.desk(in: surroundings)
        let progress = Progress(surroundings)
        let report = await Inspector(now: surroundings.now, failOn: failOn).scan(options) {
            progress.tell("\($0) connections, round \($1)")
        }
        let written = ReportWriter(options: output, surroundings: surroundings)
            .output(report, report.exit) {
                ScanText(report, output.painter(in: surroundings)).text
            }
        return desk.publish(written) { ReportPage(report, $0) }
    }
}

extension ScanOptions {
    /// Options from those of the command line.
    init(_ probe: Probe, sni: String?, alpn: [String], isFast: Bool, pace: PaceOptions) {
        self.init(probe.target)
        connect = probe.connect
        servername = Probe.Servername(option: sni)
        self.alpn = alpn
        starttls = probe.starttls
        addressFamily = probe.addressFamily
        timeout = probe.timeout
        self.isFast = isFast
        jobs = pace.jobs ?? (isFast ? 384 : jobs)
        // A rate that was asked for is kept from the start.
        if pace.rate != nil { burst = jobs }
        rate = pace.rate(usual: isFast ? nil : rate)
    }
}

/// A policy by its name, or from a file.
func readPolicy(_ text: String) throws -> ScanPolicy {
    switch text {
    case "modern": return .modern
    case "intermediate": return .intermediate
    default: break
    }
    let policy: ScanPolicy
    do {
        let contents = try Data(contentsOf: URL(fileURLWithPath: text))
        policy = try JSONDecoder().decode(ScanPolicy.self, from: contents)
    } catch {
        throw ToolFailure(
            code: "unusable_file",
            message: "\(text) is neither modern nor intermediate nor a policy in JSON"
        )
    }
    let unknown = policy.unknownNames
    guard unknown.isEmpty else {
        let names = unknown.map(Printable.text).joined(separator: ", ")
        throw ToolFailure(code: "unusable_file", message: "\(text) names what is unknown: \(names)")
    }
    return policy
}
