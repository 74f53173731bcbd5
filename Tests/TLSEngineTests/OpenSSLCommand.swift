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
    let directory = try TemporaryDirectory()
    let (inPath, outPath) = (directory.path + "/in", directory.path + "/out")
    try Data(input).write(to: URL(fileURLWithPath: inPath))

    var files = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&files)
    defer { unsafe posix_spawn_file_actions_destroy(&files) }
    unsafe posix_spawn_file_actions_addopen(&files, 0, inPath, O_RDONLY, 0)
    unsafe posix_spawn_file_actions_addopen(&files, 1, outPath, O_WRONLY | O_CREAT, 0o600)
    unsafe posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0)

    var words = unsafe (["openssl"] + arguments).map { unsafe strdup($0) } + [nil]
    defer { unsafe words.forEach { unsafe free($0) } }
    var child: pid_t = 0
    try #require(unsafe posix_spawnp(&child, "openssl", &files, nil, &words, environ) == 0)
    var status: CInt = -1
    while unsafe waitpid(child, &status, 0) == -1, errno == EINTR {}
    try #require(status == 0, "openssl \(arguments.joined(separator: " "))")
    return try Array(Data(contentsOf: URL(fileURLWithPath: outPath)))
}
