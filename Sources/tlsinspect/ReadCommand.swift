// `tlsinspect read`: the TLS in a capture of packets.

import ArgumentParser
import TLSInspection
import Tooling

/// Prints each ClientHello of a capture, and what came of it.
struct ReadCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "read",
        abstract: "The hellos in a capture, and their answers.",
        usage: "tlsinspect read FILE [options]",
        discussion: """
            Reads a capture of tcpdump or Wireshark (pcap and pcapng), puts the segments \
            of TCP in order, and tells of each flow what the client said, what the server \
            chose, and which alert ended it, as far as it is not encrypted. FILE - is \
            standard input, so that it can watch. Ctrl-C ends it, with a summary. QUIC and \
            DTLS are not read.

            EXAMPLES
              tlsinspect read capture.pcapng
              tlsinspect read capture.pcap --port 443,8443 --sni '*.b.test,-'
              tlsinspect read capture.pcap --format jsonl --fail-on warn
              tcpdump -i any -U -w - tcp port 443 | tlsinspect read -
            """
    )

    @Argument(help: ArgumentHelp("The capture; - is standard input.", valueName: "file"))
    var file: String

    @Option(help: ArgumentHelp("Only flows of these ports, by commas.", valueName: "list"))
    var port: String?

    @Option(
        help: ArgumentHelp(
            "Only these servernames, by commas; *.b.test is all below, - is none.",
            valueName: "list"
        )
    )
    var sni: String?

    @Flag(help: "Show flows without TLS, too.")
    var all = false

    @Option(help: "Exit with 1 from this severity on.")
    var failOn: Severity = .bad

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard !file.isEmpty else { throw ValidationError("Name a FILE.") }
        _ = try filter()
    }

    /// Which flows the options ask for.
    func filter() throws -> CaptureFilter {
        var filter = CaptureFilter()
        filter.includesOthers = all
        if let port {
            let ports = port.split(separator: ",", omittingEmptySubsequences: false).map { word in
                word.utf8.allSatisfy { (48...57).contains($0) } ? UInt16(word) ?? 0 : 0
            }
            guard !ports.contains(0) else {
                throw ValidationError("--port is 1 to 65535, by commas.")
            }
            filter.ports = Set(ports)
        }
        if let sni {
            let words = sni.lowercased().split(separator: ",", omittingEmptySubsequences: false)
            guard !words.contains("") else { throw ValidationError("--sni has an empty name.") }
            filter.names = words.map { word in
                if word == "-" { return .unnamed }
                return word.hasPrefix("*.") ? .under(String(word.dropFirst())) : .name(String(word))
            }
        }
        return filter
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        let feed = try FileFeed(file)
        var inspection = CaptureInspection(file: file, filter: try filter(), failOn: failOn)
        var printer = FlowPrinter(output.format, output.painter(in: surroundings), surroundings)
        let progress = Progress(surroundings)
        // Not a child: it may wait for a signal that never comes.
        let ending = Task {
            await surroundings.waitForEnd()
            feed.end()
        }
        defer {
            ending.cancel()
            feed.end()
        }
        do throws(CaptureFault) {
            for await piece in feed.pieces {
                switch piece {
                case .bytes(let bytes):
                    for flow in try inspection.read(bytes) { printer.show(flow) }
                case .failure(let reason):
                    throw CaptureFault(reason: reason)
                }
                progress.tell(words(inspection.bytesRead, of: feed.size))
                guard !inspection.isOver else { break }
                feed.advance()
            }
            for flow in try inspection.finish(early: !feed.isAtEnd) { printer.show(flow) }
        } catch {
            let words = [error.reason, error.hint].compactMap(\.self).joined(separator: "; try ")
            throw ToolFailure(
                code: "unreadable_capture",
                message: "\(Printable.text(file)): \(words)"
            )
        }
        return printer.end(inspection.summary)
    }

    private func words(_ count: Int, of size: Int?) -> String {
        let read = "\(count >> 20) MiB"
        return size.map { "\(read) of \($0 >> 20) MiB read" } ?? "\(read) read"
    }
}
