// Servers that refuse to run as root, or give up what root may: they run as this user where that is
// not root, and as nobody where it is, from a directory that is theirs.

import Foundation
import Glibc
import Sockets

extension ForeignProcess {
    /// The user and group whose programs may touch nothing of others.
    private static let nobody: UInt32 = 65534

    /// Runs a program that must not be root.
    ///
    /// - Parameters:
    ///   - program: What to run.
    ///   - arguments: Its arguments.
    ///   - directory: Its own, with everything in it.
    ///   - input: What it reads from.
    ///   - body: Gets the running program.
    /// - Returns: What the closure returns.
    /// - Throws: ``ForeignFailure`` when it is not installed, or what the closure throws.
    static func runUnprivileged<Result>(
        _ program: ForeignProgram,
        _ arguments: [String],
        directory: String,
        input: FileHandle? = nil,
        _ body: (ForeignProcess) async throws -> Result
    ) async throws -> Result {
        // A program with the set-user-ID bit gains nothing by it, so no user is told from another.
        var words = ["--no-new-privs"]
        var environment = standardEnvironment
        if geteuid() == 0 {
            let files = FileManager.default
            // What is preloaded may lie where nobody can read it.
            if let preloaded = environment["LD_PRELOAD"] {
                let copy = directory + "/preloaded.so"
                if !files.fileExists(atPath: copy) {
                    try files.copyItem(atPath: preloaded, toPath: copy)
                }
                environment["LD_PRELOAD"] = copy
            }
            let owner: [FileAttributeKey: Any] = [
                .ownerAccountID: Int(nobody), .groupOwnerAccountID: Int(nobody),
            ]
            try files.setAttributes(owner, ofItemAtPath: directory)
            for file in files.enumerator(atPath: directory)?.allObjects ?? [] {
                guard let file = file as? String else { continue }
                try files.setAttributes(owner, ofItemAtPath: "\(directory)/\(file)")
            }
            words += ["--reuid=\(nobody)", "--regid=\(nobody)", "--clear-groups"]
        }
        words += [try program.requirePath()] + arguments
        return try await run(.setpriv, words, environment: environment, input: input, body)
    }

    /// The number of the user that such a program runs as.
    static var unprivilegedUser: UInt32 { geteuid() == 0 ? nobody : geteuid() }
}

/// An address that no other process of these tests uses, with a port that is free there: for servers
/// that can neither choose one nor inherit a socket.
func makeAddressOfProcess() async throws -> SocketAddress {
    let number = UInt32(bitPattern: getpid())
    let host = "127.\(number >> 16 % 200 + 20).\(number >> 8 & 255).\(number & 255)"
    let listener = try SocketListener(SocketListenerInit(local: SocketAddress(host, port: 0)))
    await listener.close()
    return listener.localAddress
}
