// Many connections at once in one server process: opened, held, and each asked for one echo at the
// end. They leave from many addresses of 127.0.0.0/8, so ports do not run out.

import ArgumentParser

/// What the load tells of connections that were held.
struct HoldResult: Codable {
    let connections: Int
    let held: Int
    let echoed: Int
    let errors: Int
    let openSeconds: Double
    let openServerSeconds: Double
    let echoSeconds: Double
    let kibHeld: Double
    let kibPerConnection: Double
}

struct Hold: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hold many connections at once: memory, time and errors."
    )

    @OptionGroup var places: Places
    @Option(help: "Connections; the limit of open descriptors must be a little higher.")
    var connections = 15_000
    @Flag(help: "TCP without TLS.")
    var plain = false
    @Flag(help: "Of the C reference as well.")
    var reference = false

    func run() throws {
        var contenders = [try Contender.own(places)]
        if reference { contenders.append(try Contender.reference(places)) }
        var isWhole = true
        for contender in contenders {
            let command = contender.command(plain ? .plain : .ecdsa, places)
            let server = try Server(command, cpus: nil)
            defer { server.stop() }
            let arguments = ["--mode", "hold", "--connections", "\(connections)"]
            let result = try load(
                places,
                at: server,
                arguments + (plain ? ["--plain"] : []),
                as: HoldResult.self
            )
            let rate = Double(result.held) / result.openSeconds
            print(
                """
                \(contender.title): \(result.held) of \(result.connections) connections held, \
                \(result.echoed) answered at the end, \(result.errors) errors
                  opened in \(fixed(result.openSeconds, 1)) s (\(fixed(rate, 0)) a second), \
                echoed in \(fixed(result.echoSeconds, 2)) s
                  \(fixed(result.kibPerConnection, 1)) KiB a connection, \
                \(fixed(result.kibHeld / 1024, 0)) MiB in all
                """
            )
            isWhole = isWhole && result.echoed == result.connections && result.errors == 0
        }
        guard isWhole else { throw ExitCode(1) }
    }
}
