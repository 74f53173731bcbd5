// Starting programs, waiting for them, and ending them. Everything here is synchronous, on the main
// thread: servers are bound to the life of that thread (`setpriv --pdeathsig`), so none outlives an
// interrupted run.

import Foundation

/// Files, as far as the benchmarks need them.
enum FileSystem {
    static func resolve(_ link: String) throws -> String {
        try FileManager.default.destinationOfSymbolicLink(atPath: link)
    }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    static func read(_ path: String) throws -> String {
        try String(contentsOfFile: path, encoding: .utf8)
    }

    static func write(_ text: String, to path: String) throws {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// A path for a file that nobody else has.
    static func temporary(_ name: String) -> String {
        NSTemporaryDirectory()
            + "sockets-bench-\(ProcessInfo.processInfo.processIdentifier)-\(name)"
    }

    static func remove(_ path: String) { try? FileManager.default.removeItem(atPath: path) }
}

/// The CPUs of this machine that this process may use, in ascending order.
func allowedCPUs() throws -> [Int] {
    let status = try FileSystem.read("/proc/self/status").split(separator: "\n")
    let list =
        status.first { $0.hasPrefix("Cpus_allowed_list:") }?.split(separator: "\t").last ?? "0"
    return list.split(separator: ",").flatMap { part -> [Int] in
        let ends = part.split(separator: "-").compactMap { Int($0) }
        return ends.count == 2 ? Array(ends[0]...ends[1]) : ends
    }
}

/// Runs a program to its end.
///
/// - Returns: What it wrote to its standard output.
/// - Throws: ``BenchError`` when it is not found, or fails.
func output(of command: [String]) throws -> String {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.standardOutput = output
    try process.run()
    let text = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        throw BenchError("\(command.joined(separator: " ")): status \(process.terminationStatus)")
    }
    return String(decoding: text, as: UTF8.self)
}

/// A server, running.
final class Server {
    let port: Int
    private let process: Process
    /// The server itself, not what it was started through.
    let processIdentifier: Int32

    /// Starts a server and waits until it listens.
    ///
    /// - Parameters:
    ///   - command: The program and its arguments; it prints `listening on ADDRESS:PORT`.
    ///   - cpus: The CPUs it may use, as `taskset` writes them; nil for all.
    ///   - tracer: What runs the program, such as `valgrind` and its arguments.
    ///   - isChild: The tracer runs the program as a child instead of becoming it.
    /// - Throws: ``BenchError`` when it ends before it listens.
    init(
        _ command: [String],
        cpus: String?,
        tracer: [String] = [],
        isChild: Bool = false
    ) throws {
        var line = ["setpriv", "--pdeathsig", "TERM"]
        if let cpus { line += ["taskset", "-c", cpus] }
        process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = line + tracer + command
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        var text = ""
        while !text.contains("\n") {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw BenchError("\(command[0]) did not start") }
            text += String(decoding: more, as: UTF8.self)
        }
        guard
            let port = text.split(separator: "\n")[0].split(separator: ":").last.flatMap({ Int($0) }
            )
        else { throw BenchError("\(command[0]) does not tell its port: \(text)") }
        self.port = port
        let started = process.processIdentifier
        processIdentifier = isChild ? try Server.child(of: started) : started
    }

    private static func child(of process: Int32) throws -> Int32 {
        let children = try FileSystem.read("/proc/\(process)/task/\(process)/children")
        guard let first = children.split(separator: " ").first.flatMap({ Int32($0) }) else {
            throw BenchError("process \(process) has no child")
        }
        return first
    }

    /// Ends it, and waits for what it was started through.
    func stop() {
        kill(processIdentifier, SIGTERM)
        process.waitUntilExit()
    }
}

/// Runs the load once.
///
/// - Parameters:
///   - places: Where the load is.
///   - server: Its target.
///   - arguments: The mode, and what belongs to it.
///   - type: What the load prints.
/// - Returns: What it printed.
/// - Throws: ``BenchError`` when a connection failed, or it takes longer than five minutes.
func load<Result: Decodable>(
    _ places: Places,
    at server: Server,
    _ arguments: [String],
    as type: Result.Type = Result.self
) throws -> Result {
    let line = try output(
        of: [
            "timeout", "300", places.program("sockets-bench-load"), "--port", "\(server.port)",
            "--pid", "\(server.processIdentifier)",
        ] + arguments
    )
    return try JSONDecoder().decode(Result.self, from: Data(line.utf8))
}
