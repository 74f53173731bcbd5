// Runs the `openssl` program, spawned by hand: Foundation's `Process.run` has been seen to crash
// while other tests of the same process open and close descriptors.

import Foundation
import Glibc
import TLSTestKit
import Testing

/// One run of the `openssl` program: an opinion on the kit's certificates from outside the process.
struct OpenSSLCommand {
    let exitCode: Int32
    /// Standard output and standard error together.
    let output: String

    init(_ arguments: String..., input: String = "") throws {
        try self.init(arguments, input: input)
    }

    init(_ arguments: [String], input: String = "") throws {
        let directory = try TemporaryDirectory()
        let (inPath, outPath) = (directory.path + "/in", directory.path + "/out")
        try Data(input.utf8).write(to: URL(fileURLWithPath: inPath))

        var files = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&files)
        defer { unsafe posix_spawn_file_actions_destroy(&files) }
        unsafe posix_spawn_file_actions_addopen(&files, 0, inPath, O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&files, 1, outPath, O_WRONLY | O_CREAT, 0o600)
        unsafe posix_spawn_file_actions_adddup2(&files, 1, 2)

        var words = unsafe (["openssl"] + arguments).map { unsafe strdup($0) } + [nil]
        defer { unsafe words.forEach { unsafe free($0) } }
        var child: pid_t = 0
        try #require(unsafe posix_spawnp(&child, "openssl", &files, nil, &words, environ) == 0)
        var status: CInt = -1
        while unsafe waitpid(child, &status, 0) == -1, errno == EINTR {}
        // The low seven bits are the signal that ended it, the next byte its exit code.
        exitCode = status & 0x7F == 0 ? status >> 8 & 0xFF : -1
        output = String(decoding: try readFile(outPath), as: UTF8.self)
    }
}

/// The bytes of a file; `Data(contentsOf:)` leaks its buffer when the file is empty.
private func readFile(_ path: String) throws -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16384)
    while case let count = unsafe read(descriptor, &buffer, buffer.count), count > 0 {
        bytes += buffer[..<count]
    }
    return bytes
}

/// What `openssl verify -x509_strict` says about a certificate.
func verifyByCommand(
    _ certificate: IssuedCertificate,
    options: [String] = [],
    at unixSeconds: Int64
) throws -> OpenSSLCommand {
    let directory = try TemporaryDirectory()
    let files = try certificate.write(to: directory.path)
    return try OpenSSLCommand(
        ["verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-attime", "\(unixSeconds)"]
            + options
            + ["-CAfile", files.root, "-untrusted", files.chain, files.chain]
    )
}
