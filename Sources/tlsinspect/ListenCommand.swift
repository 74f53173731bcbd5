// `tlsinspect listen`: what clients say first, and where they are sent.

import ArgumentParser
import Sockets
import TLSInspection
import Tooling

/// Prints each ClientHello that comes, and carries connections to backends.
struct ListenCommand: ToolCommand {
    static let configuration = CommandConfiguration(
        commandName: "listen",
        abstract: "What clients say first; sends them on by it.",
        usage: "tlsinspect listen ADDR:PORT [options]",
        discussion: """
            Tells about each ClientHello that comes. Without --forward the client is \
            answered with an alert. With it the untouched bytes go where the map says: \
            KEY=ADDR:PORT by commas, where KEY is a servername, *.b.test for all names \
            below, - for no servername, alpn:h2 for a protocol that is offered, or * for \
            all else. A name counts more than a protocol. With --terminate clients that \
            the map sends nowhere get the page of `serve`. Ctrl-C ends it, with a summary.

            EXAMPLES
              tlsinspect listen 127.0.0.1:8443
              tlsinspect listen 127.0.0.1:8443 --format jsonl
              tlsinspect listen :8443 --forward 'a.test=127.0.0.1:18443,*=127.0.0.1:18444'
              tlsinspect listen :8443 --forward 'alpn:h2=127.0.0.1:1,*=[::1]:2' --proxy v2
              tlsinspect listen :8443 --forward a.test=127.0.0.1:18443 --terminate
            """
    )

    @Argument(
        help: ArgumentHelp(
            "Where to listen; :PORT is all addresses, port 0 lets the system choose.",
            valueName: "addr:port"
        )
    )
    var address: String

    @Option(help: ArgumentHelp("Send connections on.", valueName: "key=addr:port,..."))
    var forward: String?

    @Option(help: ArgumentHelp("Tell backends about the client.", valueName: "v1|v2"))
    var proxy: WatchOptions.ProxyForm?

    @Flag(help: "Answer who is sent nowhere with the page of `serve`.")
    var terminate = false

    @OptionGroup var server: ServerOptions

    @Option(
        help: ArgumentHelp("Time for a hello, and to reach a backend.", valueName: "seconds")
    )
    var timeout = 10.0

    @Option(
        help: ArgumentHelp("End what has been idle for so long; 0 never.", valueName: "seconds")
    )
    var idle = 3600.0

    @Option(
        help: ArgumentHelp("Connections at once; more wait in the kernel.", valueName: "n")
    )
    var connections = 10_000

    @Option(
        help: ArgumentHelp("Threads that move bytes; each serves thousands.", valueName: "n")
    )
    var threads = 1

    @Flag(name: .shortAndLong, help: "Tell about no single connection, only the sum.")
    var quiet = false

    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard timeout > 0, timeout <= 86400 else {
            throw ValidationError("--timeout is more than 0 and at most 86400 seconds.")
        }
        guard (0...86400).contains(idle) else {
            throw ValidationError("--idle is 0 to 86400 seconds.")
        }
        guard (1...1_000_000).contains(connections) else {
            throw ValidationError("--connections is 1 to 1000000.")
        }
        guard (1...256).contains(threads) else { throw ValidationError("--threads is 1 to 256.") }
        guard proxy == nil || forward != nil else {
            throw ValidationError("--proxy needs --forward.")
        }
        guard terminate || server.cert == nil else {
            throw ValidationError("--cert needs --terminate.")
        }
        let options = try options()
        guard !terminate || options.routes?.takesAll != true else {
            throw ValidationError("--terminate has nobody to answer: the map sends all on by *.")
        }
    }

    /// What the options describe.
    func options() throws -> WatchOptions {
        do throws(SocketError) {
            let isOpen = address.hasPrefix(":")
            let local = try SocketAddress(parsing: isOpen ? "[::]" + address : address)
            var options = WatchOptions(local: local)
            options.routes = try forward.map { text throws(SocketError) in
                try RouteMap(parsing: text)
            }
            options.proxy = proxy
            options.timeout = .seconds(timeout)
            options.idle = idle == 0 ? nil : .seconds(idle)
            options.connections = connections
            options.threads = threads
            return options
        } catch {
            throw ValidationError("\(Printable.text(error.detail ?? error.description)).")
        }
    }

    func execute(in surroundings: ToolSurroundings) async throws -> ToolOutput {
        var options = try options()
        guard terminate else { return try await watch(options, surroundings) }
        // Relays connect to the page as to any backend, by a name that is in no file system.
        let place = SocketAddress("unix:@tlsinspect-\(UInt64.random(in: 0 ... .max))", port: 0)
        let (identity, root) = try server.identity(for: options.local, surroundings.now)
        options.page = place
        return try await HelloDesk(root: root).serve(at: place, identity) { _ in
            try await watch(options, surroundings)
        }
    }

    /// Watches until it is told to end.
    private func watch(
        _ options: WatchOptions,
        _ surroundings: ToolSurroundings
    ) async throws -> ToolOutput {
        let watch: HelloWatch
        do throws(SocketError) {
            watch = try HelloWatch(options, now: surroundings.now)
        } catch {
            throw ToolFailure(code: "cannot_listen", message: error.description)
        }
        let printer = HelloPrinter(
            output.format,
            isQuiet: quiet,
            output.painter(in: surroundings),
            surroundings
        )
        printer.begin(at: watch.localAddress)
        let summary = try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await printer.run() }
            let serving = Task { try await watch.run { printer.add($0) } }
            // Not a child: it may wait for a signal that never comes.
            let ending = Task {
                await surroundings.waitForEnd()
                serving.cancel()
            }
            let result = await withTaskCancellationHandler {
                await serving.result
            } onCancel: {
                serving.cancel()
            }
            ending.cancel()
            printer.finish()
            try await group.waitForAll()
            try result.get()
            return watch.summary
        }
        return printer.end(summary)
    }
}
