// `tlsinspect probe`: one handshake, everything readable.

import ArgumentParser
import Sockets
import TLSInspection
import Tooling

/// Makes one handshake and tells everything that can be read from it.
struct ProbeCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe",
        abstract: "One handshake, everything readable.",
        discussion: """
            Tells version, suite, group, ALPN, servername, certificate chain with the \
            verdict on it, OCSP staple, session tickets and timings. The certificate must \
            be for the servername that is sent, or for HOST when none is.

            EXAMPLES
              tlsinspect probe example.com
              tlsinspect probe example.com:8443 --format json
              tlsinspect probe example.com --connect 127.0.0.1:18443 --ca root.pem
              tlsinspect probe 127.0.0.1:18443 --sni example.com
              tlsinspect probe '[::1]:443' --sni - --alpn h2 --tls 1.3
              tlsinspect probe mail.example.com --starttls smtp
              tlsinspect probe example.com --fail-on warn && echo fine
              tlsinspect probe example.com --report page.html
            """
    )

    @Argument(
        help: ArgumentHelp("A name or address; port 443 by default.", valueName: "host[:port]")
    )
    var host: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var page: PageOptions

    @Option(help: "Exit with 1 from this severity on.")
    var failOn: Severity = .bad

    func validate() throws { _ = try connection.probe(of: host) }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        var probe = try connection.probe(of: host)
        let desk = try page.desk(in: surroundings)
        let report: InspectionReport
        do throws(SocketError) {
            try connection.trust.readFiles(into: &probe)
            report = await Inspector(now: surroundings.now, failOn: failOn).run(probe)
        } catch {
            report = .unusableFile(error, command: "probe", probe)
        }
        let written = ReportWriter(options: output, surroundings: surroundings).output(report)
        // Nothing was inspected, so there is nothing to show.
        guard report.result != .invalid else { return written }
        return desk.publish(written) { ReportPage(report, $0) }
    }
}
