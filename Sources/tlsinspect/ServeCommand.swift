// `tlsinspect serve`: a page that shows a browser its own ClientHello.

import ArgumentParser
import Foundation
import Sockets
import TLSInspection
import Tooling

/// Serves the page until it is told to end.
struct ServeCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "A page that shows a browser its own ClientHello.",
        discussion: """
            Every client sees what it said itself: / is a page, /json the same for \
            programs. The certificate is made at the start, for localhost and the address, \
            and its root is at /root.pem; --cert gives another one. Ends at Ctrl-C or \
            SIGTERM.

            EXAMPLES
              tlsinspect serve
              tlsinspect serve 0.0.0.0:8443 --cert chain.pem --key key.pem
              curl -k https://127.0.0.1:8443/json
            """
    )

    @Argument(
        help: ArgumentHelp("Listen there; port 0 lets the system choose.", valueName: "addr:port")
    )
    var local = "127.0.0.1:8443"

    @OptionGroup var server: ServerOptions

    @OptionGroup var output: OutputOptions

    func validate() throws {
        _ = try address()
    }

    private func address() throws -> SocketAddress {
        do throws(SocketError) {
            return try SocketAddress(parsing: local, defaultPort: 8443)
        } catch {
            throw ValidationError("\(error.detail ?? error.description).")
        }
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        let address = try address()
        let (identity, root) = try server.identity(for: address, surroundings.now)
        let desk = HelloDesk(root: root)
        do {
            try await desk.serve(at: address, identity) { local in
                announce(local, surroundings)
                await surroundings.waitForEnd()
            }
        } catch let error as SocketError {
            throw ToolFailure(
                code: "cannot_listen",
                message: error.description,
                status: .noConnection
            )
        }
        return ToolOutput(status: .clean)
    }

    private func announce(_ local: SocketAddress, _ surroundings: ToolSurroundings) {
        let report = ServeReport(url: "https://\(local)/", port: Int(local.port))
        let paint = output.painter(in: surroundings)
        surroundings.announce(
            output.format != .text
                ? JSONLine.text(of: report)
                : """
                \(paint("serving", .bold))  \(report.url)

                  \(report.url)json       the same for programs
                \(server.cert == nil ? "  \(report.url)root.pem   the root to trust, for as long as it runs\n" : "")
                Ctrl-C ends it.

                """
        )
    }
}

/// What is told when the server listens.
struct ServeReport: Encodable {
    var schema = InspectionReport.schema
    var command = "serve"
    /// Where the page is.
    var url: String
    /// The port, which the system may have chosen.
    var port: Int
}
