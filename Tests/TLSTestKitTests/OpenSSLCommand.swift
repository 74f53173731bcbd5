import Foundation
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
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        let (stdin, stdout) = (Pipe(), Pipe())
        process.standardInput = stdin
        process.standardOutput = stdout
        process.standardError = stdout
        try process.run()
        // Inputs are a few kilobytes, less than a pipe holds.
        try stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try stdin.fileHandleForWriting.close()
        let data = try stdout.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        exitCode = process.terminationStatus
        output = String(decoding: data, as: UTF8.self)
    }
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
