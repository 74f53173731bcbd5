// The seed's listener. It accepts on one event loop, hands connections round robin to the loops of
// its group, shakes hands there, and delivers sockets that are ready.

import SocketCore
import Synchronization

/// Listens for connections over TCP or TLS (seed `SocketListener`).
///
/// Two ways to take them, of which a listener takes one: the structured ``serve(maxConcurrent:onError:_:)``,
/// and the seed's events, by iteration or ``onSocket(onError:_:)``.
///
/// ```swift
/// let listener = try SocketListener(SocketListenerInit(type: .tls, local: address, identity: identity))
/// try await listener.serve(maxConcurrent: 10_000) { socket in
///     for try await chunk in try socket.stream() { try await socket.write(chunk) }
/// }
/// ```
///
/// The socket listens as soon as it is made; connections wait in the kernel until they are taken. A
/// listener that is dropped stops listening.
public final class SocketListener: Sendable {
    let core: ListenerCore
    private let signal: (signal: AbortSignal, number: UInt64)?

    /// Starts to listen (seed `constructor(SocketListenerInit)`).
    ///
    /// The soft limit of open files is raised to the hard one.
    ///
    /// - Parameter options: Where and how to listen.
    /// - Throws: ``SocketError``: of category misuse, or `.addressInUse` and the like.
    public init(_ options: SocketListenerInit) throws(SocketError) {
        core = try ListenerCore(options)
        let core = core
        if let given = options.signal {
            let number = given.register { [weak core] in core?.abort(reason: $0) }
            signal = (given, number)
        } else {
            signal = nil
        }
    }

    deinit {
        if let signal { signal.signal.unregister(signal.number) }
        core.stop(.aborted("the listener was dropped"))
    }

    /// Where it listens, with the port the system chose.
    public var localAddress: SocketAddress { core.localAddress }

    /// Connections that came in and have not ended, those in their handshake included.
    public var connectionCount: Int { core.aliveCount }

    /// Waits until it listens, and tells where.
    ///
    /// A listener listens from the start; this exists for symmetry with ``Socket/ready``.
    public var ready: SocketAddress {
        get async throws(SocketError) {
            guard core.closeReason == nil else { throw SocketError(.closed) }
            return core.localAddress
        }
    }

    /// Waits until it has stopped, its connections have ended, and `onError` has been told of the
    /// handshakes that failed; tells why it has stopped.
    ///
    /// Never throws, and cancelling the task does not end the wait.
    public var closed: CloseReason {
        get async { await core.waitUntilClosed() }
    }

    /// Stops listening, and waits until the connections that are open have ended.
    ///
    /// Cancelling the task aborts what is left of them. A handler that waits for this waits for
    /// itself.
    ///
    /// - Parameter reason: Shows in ``closed``.
    public func close(_ reason: String? = nil) async {
        core.stop(.clean(reason))
        await withTaskCancellationHandler {
            _ = await core.waitUntilClosed()
        } onCancel: {
            core.abortConnections(reason: "the listener was closed and the wait cancelled")
        }
    }

    /// Handles every connection in a child task of the caller, until the listener is closed.
    ///
    /// A socket is closed in good order when its handler returns, and aborted when it throws. When
    /// the caller's task is cancelled the listener closes, every connection is aborted, and this
    /// returns when their handlers have.
    ///
    /// - Parameters:
    ///   - maxConcurrent: Connections at once, those in their handshake included; beyond it they wait
    ///     in the kernel. 10,000 by default.
    ///   - onError: Told of failed handshakes and of errors that handlers throw. Of a failed handshake
    ///     on the connection's event loop, or on ``SocketListenerInit/executor`` where that runs the
    ///     handshakes; must not block, and is not called any more for one once ``close(_:)`` or
    ///     ``closed`` has returned. Of a handler's error where the handler ran, before this returns.
    ///   - handler: Gets a socket that is ready. Runs on the connection's event loop unless
    ///     ``SocketListenerInit/executor`` says otherwise.
    /// - Throws: ``SocketError`` when the listener is closed already, taken otherwise, or fails.
    public func serve(
        maxConcurrent: Int = 10_000,
        onError: (@Sendable (any Error, SocketAddress) -> Void)? = nil,
        _ handler: @escaping @Sendable (Socket) async throws -> Void
    ) async throws(SocketError) {
        guard maxConcurrent > 0 else {
            throw SocketError(.invalidOption, detail: "maxConcurrent is at least 1")
        }
        try core.beServed(onError)
        let core = core
        await withTaskCancellationHandler {
            await core.serve(maxConcurrent, handler)
        } onCancel: {
            core.abort(reason: "the serving task was cancelled")
        }
        if let error = core.closeReason?.error, error.category != .aborted { throw error }
    }

    /// Has every connection handed to a closure, as the seed's `'socket'` event.
    ///
    /// - Parameters:
    ///   - onError: Told of failed handshakes and failed responses. Of a failed handshake on the
    ///     connection's event loop; must not block, and is not called any more for one once
    ///     ``close(_:)`` or ``closed`` has returned.
    ///   - handler: Gets the event, on the connection's event loop; must not block.
    /// - Throws: ``SocketError`` `.locked` when the listener is taken otherwise.
    public func onSocket(
        onError: (@Sendable (any Error, SocketAddress) -> Void)? = nil,
        _ handler: @escaping @Sendable (OnSocketEvent) -> Void
    ) throws(SocketError) {
        try core.deliver(to: handler, onError: onError)
    }
}

extension SocketListener: AsyncSequence {
    /// One connection.
    public typealias Element = OnSocketEvent
    /// What the sequence throws when the listener fails.
    public typealias Failure = SocketError

    /// Takes the connections as a sequence (seed `async iterable<OnSocketEvent>`).
    ///
    /// Several iterators share the connections. The sequence ends when the listener is closed.
    public func makeAsyncIterator() -> Iterator {
        core.startEvents()
        return Iterator(listener: self)
    }

    /// Waits for connections.
    public struct Iterator: AsyncIteratorProtocol {
        let listener: SocketListener

        /// Waits for the next connection that is ready; nil when the listener is closed.
        public mutating func next() async throws(SocketError) -> OnSocketEvent? {
            try await listener.core.nextEvent()
        }

        /// Waits for the next connection that is ready; nil when the listener is closed.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(SocketError) -> OnSocketEvent? {
            try await listener.core.nextEvent()
        }
    }
}
