// The structured forms: a socket or listener that lives as long as a closure, and closes on every way
// out of it. Within the closure, cancelling the task aborts the connection, so every wait ends.

import SocketCore
import Synchronization

/// Connects, runs a closure with the socket when it is ready, and closes it.
///
/// The socket is closed in good order when the closure returns, and aborted when it throws or the
/// task is cancelled.
///
/// - Parameters:
///   - options: What to connect to, and how.
///   - body: Gets the socket, ready.
/// - Returns: What the closure returns.
/// - Throws: ``SocketError`` of connecting, or what the closure throws.
public func withSocket<Result>(
    _ options: SocketInit,
    _ body: (Socket) async throws -> Result
) async throws -> Result {
    let socket = try Socket(options)
    let connection = socket.connection
    return try await withTaskCancellationHandler {
        do {
            _ = try await socket.ready
            let task = CurrentTask.number
            connection.state.withLock { $0.scopeTask = task }
            defer { connection.state.withLock { $0.scopeTask = 0 } }
            let result = try await body(socket)
            try? await socket.close()
            return result
        } catch {
            socket.abort("the scope was left by an error")
            throw error
        }
    } onCancel: {
        connection.abort(reason: "the task was cancelled")
    }
}

/// Listens, runs a closure with the listener, and closes it.
///
/// When the closure returns the listener stops, and connections that are open are waited for. When
/// it throws or the task is cancelled they are aborted.
///
/// - Parameters:
///   - options: Where and how to listen.
///   - body: Gets the listener.
/// - Returns: What the closure returns.
/// - Throws: ``SocketError`` of listening, or what the closure throws.
public func withListener<Result>(
    _ options: SocketListenerInit,
    _ body: (SocketListener) async throws -> Result
) async throws -> Result {
    let listener = try SocketListener(options)
    let core = listener.core
    return try await withTaskCancellationHandler {
        do {
            let result = try await body(listener)
            await listener.close()
            return result
        } catch {
            core.abort(reason: "the scope was left by an error")
            throw error
        }
    } onCancel: {
        core.abort(reason: "the task was cancelled")
    }
}
