// What all servers here have in common: they listen on the loopback interface while a closure runs,
// and are gone with everything of theirs when it ends.

import Sockets
import Synchronization
import TLSTestKit

/// Serves while a closure runs, then breaks off what is left.
///
/// - Parameters:
///   - options: Where and how to listen.
///   - onError: Told of failed handshakes and of errors that handlers throw.
///   - handler: Gets each connection.
///   - body: Gets the address; its end is the server's.
/// - Returns: What the closure returns.
/// - Throws: `SocketError` of listening, or what the closure throws.
func withServer<Result: Sendable>(
    _ options: SocketListenerInit,
    onError: @escaping @Sendable (any Error, SocketAddress) -> Void = { _, _ in },
    serving handler: @escaping @Sendable (Socket) async throws -> Void,
    _ body: (SocketAddress) async throws -> Result
) async throws -> Result {
    let listener = try SocketListener(options)
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await listener.serve(onError: onError, handler) }
        let result = try await body(listener.localAddress)
        // A cancelled listener aborts its connections: a test may have left some of them open.
        group.cancelAll()
        try await group.waitForAll()
        return result
    }
}

/// A list that many tasks add to, and tests look at.
final class Journal<Entry: Sendable>: Sendable {
    private struct State {
        var entries: [Entry] = []
        var waiters: [(count: Int, resume: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var entries: [Entry] { state.withLock { $0.entries } }

    func append(_ entry: Entry) {
        let woken = state.withLock { s in
            s.entries.append(entry)
            let count = s.entries.count
            let woken = s.waiters.filter { $0.count <= count }
            s.waiters.removeAll { $0.count <= count }
            return woken
        }
        for waiter in woken { waiter.resume.resume() }
    }

    /// Waits for so many entries, or for the task to be cancelled.
    func wait(for count: Int) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { s in
                    guard s.entries.count < count, !Task.isCancelled else { return true }
                    s.waiters.append((count, continuation))
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let woken = state.withLock { s in
                defer { s.waiters = [] }
                return s.waiters
            }
            // Others that waited look again.
            for waiter in woken { waiter.resume.resume() }
        }
    }
}

/// A certificate of a fresh authority for the loopback interface.
func makeLoopbackCertificate() throws(TestKitError) -> IssuedCertificate {
    try TestCA().issue("localhost", "127.0.0.1", "::1")
}

/// The name that a client of a certificate asks for: its first DNS name.
func servername(of certificate: IssuedCertificate) -> String {
    for case .dns(let name) in certificate.names { return name }
    return ""
}
