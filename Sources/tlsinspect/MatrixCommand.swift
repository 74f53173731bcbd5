// `tlsinspect matrix`: which certificate and which protocol for which servername.

import ArgumentParser
import Sockets
import TLSInspection
import Tooling

/// Makes a table of servernames and offers of protocols.
struct MatrixCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "matrix",
        abstract: "Which certificate and protocol for which servername.",
        discussion: """
            One handshake for each servername with each offer of protocols. Among the names \
            - sends none; among the protocols ? is one that nobody speaks, and - offers \
            none. Tells what the default certificate is, what is refused, and who decides \
            between protocols.

            EXAMPLES
              tlsinspect matrix example.com
              tlsinspect matrix 192.0.2.7:8443 --sni a.test,b.test,-
              tlsinspect matrix a.test --sni a.test,- --alpn 'h2,http/1.1,?,-'
              tlsinspect matrix a.test --report matrix.html
            """
    )

    @Argument(
        help: ArgumentHelp("A name or address; port 443 by default.", valueName: "host[:port]")
    )
    var host: String

    @OptionGroup var route: RouteOptions

    @Option(
        help: ArgumentHelp(
            "Send these servernames, by commas; - is none. (default: HOST,-)",
            valueName: "list"
        )
    )
    var sni: String?

    @Option(
        help: ArgumentHelp("Offer these, each alone; ? is unknown, - is none.", valueName: "list")
    )
    var alpn = "h2,http/1.1,?,-"

    @OptionGroup var trust: TrustOptions
    @OptionGroup var pace: PaceOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var page: PageOptions

    @Option(help: "Exit with 1 from this severity on.")
    var failOn: Severity = .bad

    func validate() throws {
        let options = try options()
        guard !options.servernames.isEmpty, options.servernames.count <= 256 else {
            throw ValidationError("--sni is 1 to 256 names.")
        }
        guard (1...16).contains(options.offers.count) else {
            throw ValidationError("--alpn is 1 to 16 protocols.")
        }
        for name in options.servernames.compactMap(\.self) where !isName(name) {
            throw ValidationError("\(Printable.text(name)) is no servername.")
        }
    }

    private func isName(_ text: String) -> Bool { (try? ServerName(text))?.kind == .dns }

    /// What the options describe, without what stands in files.
    func options() throws -> MatrixOptions {
        let probe = try route.probe(of: host)
        let name = probe.target.address
        let names = sni.map { unique($0.split(separator: ",").map(String.init)) }
        var options = MatrixOptions(
            probe: probe,
            servernames: names.map { $0.map { $0 == "-" ? nil : $0 } }
                ?? (isName(name) ? [name, nil] : [nil]),
            offers: unique(alpn.split(separator: ",").map(String.init))
        )
        options.jobs = pace.jobs ?? options.jobs
        options.rate = pace.rate(usual: options.rate)
        return options
    }

    private func unique(_ list: [String]) -> [String] {
        list.enumerated().filter { list.firstIndex(of: $0.element) == $0.offset }.map(\.element)
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        var options = try options()
        let desk = try page.desk(in: surroundings)
        let writer = ReportWriter(options: output, surroundings: surroundings)
        do throws(SocketError) {
            try trust.readFiles(into: &options.probe)
        } catch {
            return writer.output(.unusableFile(error, command: "matrix", options.probe))
        }
        let progress = Progress(surroundings)
        let report = await Inspector(now: surroundings.now, failOn: failOn).matrix(options) {
            progress.tell("\($0) handshakes")
        }
        let written = writer.output(report, report.exit) {
            MatrixText(report, output.painter(in: surroundings)).text
        }
        return desk.publish(written) { ReportPage(report, $0) }
    }
}
