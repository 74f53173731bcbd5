// Runs the `openssl` program, spawned by hand: Foundation's `Process.run` has been seen to crash
// while other tests of the same process open and close descriptors.

import Foundation
import Glibc
import TLSTestKit
import Testing

/// Runs the `openssl` program, which makes forms of keys and certificates that the kit does not.
///
/// - Returns: What it wrote to its standard output.
func openSSL(_ arguments: String..., input: [UInt8] = []) throws -> [UInt8] {
    try output(of: "openssl", arguments, input: input)
}

private func output(
    of program: String,
    _ arguments: [String],
    input: [UInt8]
) throws -> [UInt8] {
    let directory = try TemporaryDirectory()
    let (inPath, outPath) = (directory.path + "/in", directory.path + "/out")
    try Data(input).write(to: URL(fileURLWithPath: inPath))

    var files = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&files)
    defer { unsafe posix_spawn_file_actions_destroy(&files) }
    unsafe posix_spawn_file_actions_addopen(&files, 0, inPath, O_RDONLY, 0)
    unsafe posix_spawn_file_actions_addopen(&files, 1, outPath, O_WRONLY | O_CREAT, 0o600)
    unsafe posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0)

    var words = unsafe ([program] + arguments).map { unsafe strdup($0) } + [nil]
    defer { unsafe words.forEach { unsafe free($0) } }
    var child: pid_t = 0
    try #require(unsafe posix_spawnp(&child, program, &files, nil, &words, environ) == 0)
    var status: CInt = -1
    while unsafe waitpid(child, &status, 0) == -1, errno == EINTR {}
    try #require(status == 0, "\(program) \(arguments.joined(separator: " "))")
    return try Array(Data(contentsOf: URL(fileURLWithPath: outPath)))
}

/// The same with a list of arguments.
func openSSL(_ arguments: [String], input: [UInt8] = []) throws -> [UInt8] {
    try output(of: "openssl", arguments, input: input)
}

/// Runs a program that has to succeed.
func run(_ program: String, _ arguments: String...) throws {
    _ = try output(of: program, arguments, input: [])
}

/// Writes a file.
func write(_ bytes: [UInt8], to path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
}

/// Reads a file that is not empty.
func contents(of path: String) throws -> [UInt8] {
    try Array(Data(contentsOf: URL(fileURLWithPath: path)))
}
