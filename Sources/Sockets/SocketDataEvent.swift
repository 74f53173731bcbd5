// The seed's push mode: chunks are handed over as they arrive, whether or not the consumer is done
// with the ones before. That is unbounded memory by design, so there is a cap.

import SocketCore
import Synchronization

/// Chunks that have arrived since the last event (seed `SocketDataEvent`).
public struct SocketDataEvent: Sendable {
    /// The chunks in order; at least one (seed `buffers`).
    public var buffers: [[UInt8]]
}

extension Socket {
    /// Has chunks handed over as they arrive, without back-pressure (seed `'data'` event).
    ///
    /// Events come one after the other, in order, and the next one holds everything that arrived
    /// meanwhile. The peer is not slowed down by a slow handler: what waits grows, until it passes
    /// the cap and the socket is aborted. Use ``stream()`` unless you need exactly this.
    ///
    /// - Parameters:
    ///   - cap: The most bytes that may wait for the handler; 1 MiB by default.
    ///   - handler: Gets the chunks, in a task on the socket's event loop. How the stream ended is
    ///     told by ``closed``.
    /// - Throws: ``SocketError`` `.locked` when the stream is taken.
    public func onData(
        cap: Int = 1 << 20,
        _ handler: @escaping @Sendable (SocketDataEvent) async -> Void
    ) throws(SocketError) {
        guard cap > 0 else {
            throw SocketError(.invalidOption, detail: "the cap is at least one byte")
        }
        try lock()
        let queue = ChunkQueue()
        let connection = connection
        // Neither task holds the socket: dropping it ends both.
        Task(executorPreference: connection.loop) {
            while let chunk = try? await connection.read(upTo: .max) {
                guard queue.put(chunk, cap: cap) else {
                    let error = SocketError(.dataCapExceeded, detail: "the cap is \(cap) bytes")
                    connection.end(.failed(error), failure: error, departure: .abrupt)
                    break
                }
            }
            queue.finish()
        }
        Task(executorPreference: connection.loop) {
            while let event = await queue.next() {
                await handler(event)
                queue.done(event)
            }
        }
    }
}

/// Chunks between the task that reads and the one that handles.
private final class ChunkQueue: Sendable {
    private struct State {
        var chunks: [[UInt8]] = []
        /// Bytes that wait or are being handled.
        var bytes = 0
        var isFinished = false
        var waiter: Waiter?
    }

    private let state = Mutex(State())

    /// Adds a chunk; false when that passes the cap.
    func put(_ chunk: [UInt8], cap: Int) -> Bool {
        let (fits, waiter) = state.withLock { s -> (Bool, Waiter?) in
            guard s.bytes + chunk.count <= cap else { return (false, nil) }
            s.bytes += chunk.count
            s.chunks.append(chunk)
            defer { s.waiter = nil }
            return (true, s.waiter)
        }
        waiter?.resume()
        return fits
    }

    func finish() {
        let waiter = state.withLock { s -> Waiter? in
            s.isFinished = true
            defer { s.waiter = nil }
            return s.waiter
        }
        waiter?.resume()
    }

    /// Waits for chunks; nil when no more will come.
    func next() async -> SocketDataEvent? {
        while true {
            let (chunks, isFinished) = state.withLock { s -> ([[UInt8]], Bool) in
                defer { s.chunks = [] }
                return (s.chunks, s.isFinished)
            }
            guard chunks.isEmpty else { return SocketDataEvent(buffers: chunks) }
            guard !isFinished else { return nil }
            await Waiter.suspend { waiter in
                state.withLock { s in
                    guard s.chunks.isEmpty, !s.isFinished else { return false }
                    s.waiter = waiter
                    return true
                }
            }
        }
    }

    func done(_ event: SocketDataEvent) {
        let count = event.buffers.reduce(0) { $0 + $1.count }
        state.withLock { $0.bytes -= count }
    }
}
