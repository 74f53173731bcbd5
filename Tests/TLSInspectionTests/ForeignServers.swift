// Servers of other makes, with certificates of a test's own authority. openssl's chooses a port; the
// others listen on a path, which this package's sockets connect to like to an address.

import Foundation
import Glibc
import Sockets
import TLSTestKit
import Testing
import ToolFixtures

/// Runs `openssl s_server` while a closure runs.
func withOpenSSLServer<Result: Sendable>(
    _ arguments: [String],
    _ body: (SocketAddress) async throws -> Result
) async throws -> Result {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["openssl", "s_server", "-accept", "127.0.0.1:0"] + arguments
    let output = Pipe()
    // At the end of its input it would hang up on the first client.
    process.standardInput = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    let (ended, end) = AsyncStream.makeStream(of: Void.self)
    process.terminationHandler = { _ in end.finish() }
    try process.run()
    let result: Swift.Result<Result, any Error>
    do {
        let address = try acceptAddress(output.fileHandleForReading)
        // A pipe that nobody reads holds 64 KiB and no more.
        let descriptor = output.fileHandleForReading.fileDescriptor
        Thread.detachNewThread {
            var piece = [UInt8](repeating: 0, count: 4096)
            while unsafe read(descriptor, &piece, piece.count) > 0 {}
        }
        result = .success(try await body(address))
    } catch {
        result = .failure(error)
    }
    // Not SIGTERM: the child has it blocked, as the thread that started it.
    kill(process.processIdentifier, SIGKILL)
    for await _ in ended {}
    return try result.get()
}

/// Reads where the server listens: "ACCEPT 127.0.0.1:41973".
private func acceptAddress(_ output: FileHandle) throws -> SocketAddress {
    var said = ""
    while !said.contains(/ACCEPT .*\n/) {
        // `availableData` ends the process when a signal interrupts it.
        var piece = [UInt8](repeating: 0, count: 4096)
        var count = 0
        repeat {
            count = unsafe read(output.fileDescriptor, &piece, piece.count)
        } while count < 0 && errno == EINTR
        let bytes = piece.prefix(max(0, count))
        try #require(!bytes.isEmpty, "openssl s_server did not start")
        said += String(decoding: bytes, as: UTF8.self)
    }
    let line = try #require(said.split(separator: "\n").first { $0.hasPrefix("ACCEPT") })
    return try SocketAddress(parsing: String(line.dropFirst(7)))
}

/// Runs nginx while a closure runs.
///
/// - Parameters:
///   - directory: Where its files are.
///   - servers: What stands in its `http` block; `%SOCKET%` is the path to listen on.
///   - body: Is given the path.
/// - Returns: What the closure gives.
/// - Throws: What starting the server or the closure throws.
func withNginx<Result: Sendable>(
    in directory: String,
    _ servers: String,
    _ body: (SocketAddress) async throws -> Result
) async throws -> Result {
    let socket = directory + "/nginx.sock"
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map { "\($0)_temp_path \(directory)/\($0);" }.joined(separator: " ")
    let config = """
        daemon on; pid \(directory)/server.pid; error_log \(directory)/error.log;
        worker_processes 1;
        events { worker_connections 1024; }
        http {
            access_log off; \(folders)
            \(servers.replacing("%SOCKET%", with: "unix:\(socket)"))
        }
        """
    let file = directory + "/nginx.conf"
    try config.write(toFile: file, atomically: true, encoding: .utf8)
    // It goes into the background when it listens.
    let arguments = ["nginx", "-p", directory, "-c", file, "-e", directory + "/error.log"]
    return try await withDaemon(arguments, pid: directory + "/server.pid") {
        try await body(SocketAddress("unix:" + socket, port: 0))
    }
}

/// Runs haproxy while a closure runs.
///
/// - Parameters:
///   - directory: Where its files are.
///   - bind: What stands behind the path in its `bind` line.
///   - body: Is given the path.
/// - Returns: What the closure gives.
/// - Throws: What starting the server or the closure throws.
func withHAProxy<Result: Sendable>(
    in directory: String,
    _ bind: String,
    _ body: (SocketAddress) async throws -> Result
) async throws -> Result {
    try await withHAProxy(
        in: directory,
        configuration: """
            frontend one
                mode http
                bind unix@%SOCKET% \(bind)
                http-request return status 200

            """,
        body
    )
}

/// Runs haproxy with sections of one's own while a closure runs.
///
/// - Parameters:
///   - directory: Where its files are.
///   - configuration: What stands behind `defaults`; `%SOCKET%` is the path to listen on.
///   - body: Is given the path.
/// - Returns: What the closure gives.
/// - Throws: What starting the server or the closure throws.
func withHAProxy<Result: Sendable>(
    in directory: String,
    configuration: String,
    _ body: (SocketAddress) async throws -> Result
) async throws -> Result {
    let socket = directory + "/haproxy.sock"
    let config = """
        global
            ssl-default-bind-options ssl-min-ver TLSv1.2
        defaults
            timeout connect 5s
            timeout client 5s
            timeout server 5s
        \(configuration.replacing("%SOCKET%", with: socket))
        """
    let file = directory + "/haproxy.cfg"
    try config.write(toFile: file, atomically: true, encoding: .utf8)
    let arguments = ["haproxy", "-D", "-p", directory + "/server.pid", "-f", file]
    return try await withDaemon(arguments, pid: directory + "/server.pid") {
        try await body(SocketAddress("unix:" + socket, port: 0))
    }
}

/// Starts what goes into the background when it is ready, and ends it behind a closure.
private func withDaemon<Result: Sendable>(
    _ arguments: [String],
    pid: String,
    _ body: () async throws -> Result
) async throws -> Result {
    // A process is over for Foundation when nobody holds the pipe any more that it hands to a child: what
    // goes into the background must not have it.
    let closing =
        "for fd in /proc/self/fd/*; do n=${fd##*/}; ((n > 2)) && eval \"exec $n>&-\"; done"
    let started = try await ProcessRun(
        URL(fileURLWithPath: "/usr/bin/env"),
        ["bash", "-c", closing + "; exec \"$@\"", "bash"] + arguments
    )
    try #require(started.exitCode == 0, "\(arguments[0]): \(started.errors)")
    let text = try String(contentsOfFile: pid, encoding: .utf8)
    let number = try #require(pid_t(text.split(whereSeparator: \.isWhitespace).first ?? ""))
    return try await withGuard(over: number, body)
}

/// Ends a process in the background behind a closure, and also when this process is killed before: the one
/// who does it waits for the end of a pipe, which comes either way.
private func withGuard<Result: Sendable>(
    over number: pid_t,
    _ body: () async throws -> Result
) async throws -> Result {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["bash", "-c", "read -r; kill -TERM \(number)"]
    let life = Pipe()
    process.standardInput = life
    let (ended, end) = AsyncStream.makeStream(of: Void.self)
    process.terminationHandler = { _ in end.finish() }
    try process.run()
    let result: Swift.Result<Result, any Error>
    do { result = .success(try await body()) } catch { result = .failure(error) }
    try life.fileHandleForWriting.close()
    for await _ in ended {}
    return try result.get()
}
