// What stands behind a program that ends TLS and passes bytes on: a plain listener of this package.

import Sockets
import TLSTestKit

/// What a backend does with a connection; the same words as in Peers/README.md.
enum BackendAct: Sendable {
    /// Sends back what comes, up to its end.
    case echo
    /// Answers the end with the digest of what came.
    case answer
    /// Greets, ends its side, and reads on.
    case greet

    func perform(on socket: Socket) async throws {
        switch self {
        case .echo:
            while let piece = try await socket.read() { try await socket.write(piece) }
        case .answer:
            try await socket.write(hexadecimalDigest(try await socket.readToEnd()))
        case .greet:
            try await socket.write("greeting")
            try await socket.shutdownWrite()
            _ = try await socket.readToEnd()
        }
        try await socket.close()
    }
}

/// Runs a backend on a path.
func withBackend(
    _ act: BackendAct,
    path: String,
    _ body: () async throws -> Void
) async throws {
    let listener = try SocketListener(SocketListenerInit(local: .init("unix:" + path, port: 0)))
    // A connection that breaks is seen by who asked for it.
    let serving = Task { try await listener.serve { try await act.perform(on: $0) } }
    defer { serving.cancel() }
    try await body()
    await listener.close()
}
