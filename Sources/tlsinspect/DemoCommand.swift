// `tlsinspect demo`: servers on the loopback interface with certificates of a fresh authority,
// inspected. It needs no network and no file, and ends by itself.

import ArgumentParser
import Sockets
import TLSInspection
import TLSTestKit
import Tooling

/// Shows the tool at work, offline.
struct DemoCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "See it work: servers on this machine, inspected.",
        discussion: """
            Makes a certificate authority in memory, starts a TLS server on 127.0.0.1 and \
            probes it. As text it goes on with servers that have something amiss. Uses no \
            network and writes no file.
            """
    )

    @OptionGroup var output: OutputOptions
    @OptionGroup var page: PageOptions

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        let desk = try page.desk(in: surroundings)
        let stage = try DemoStage(now: surroundings.now)
        let main = try await stage.inspect(.good)
        let writer = ReportWriter(options: output, surroundings: surroundings)
        var report = main.report
        report.command = "demo"
        guard output.format == .text else {
            let written = ToolOutput(text: JSONLine.text(of: report), status: .clean)
            return desk.publish(written) { ReportPage(report, $0) }
        }
        let paint = output.painter(in: surroundings)
        var rows: [String] = []
        for scene in DemoScene.faults {
            let report = try await stage.inspect(scene).report
            rows.append(row(scene, report, paint))
        }
        let text = """
            A certificate authority was made in memory, and a TLS server with a certificate of it
            listens on 127.0.0.1. This is what "tlsinspect probe" tells about it:

            \(writer.text(main.report))
              \(paint("Page", .dim))         \(main.page ?? "none")

            Five servers with something amiss, and what they come to:

            \(rows.joined(separator: "\n"))

            Try next
              tlsinspect probe example.com                    a server of your own choice
              tlsinspect probe example.com --sni -            what it gives without a servername
              tlsinspect probe example.com --alpn h2          whether it speaks HTTP/2
              tlsinspect probe example.com --format json      the same for programs
              tlsinspect probe --help                         all options

            """
        let written = ToolOutput(text: text, status: .clean)
        return desk.publish(written) { ReportPage(report, $0) }
    }

    private func row(_ scene: DemoScene, _ report: InspectionReport, _ paint: Painter) -> String {
        let reason = report.error?.message ?? report.findings.first?.text ?? ""
        let style: Painter.Style = report.exit == .clean ? .green : .red
        return "  \(paint("exit \(report.exit.rawValue)", style))  \(scene.title.padded(to: 22)) "
            + Printable.text(reason)
    }
}
