// A listener as a service: it serves until the group shuts down, stops listening then, and lets its
// connections end, for a while.

#if Lifecycle
public import ServiceLifecycle
public import Sockets

/// Serves a listener's connections as a service.
///
/// When the group shuts down gracefully the listener takes no more connections, and those that are open go
/// on until their handlers return; what is left when the time is over is aborted. A handler that would wait
/// for ever learns of the shutdown by `withGracefulShutdownHandler`. Cancellation aborts at once.
///
/// ```swift
/// let service = ListenerService(listener, drain: .seconds(20)) { socket in
///     for try await chunk in try socket.stream() { try await socket.write(chunk) }
/// }
/// try await ServiceGroup(services: [service], gracefulShutdownSignals: [.sigterm], logger: logger).run()
/// ```
public struct ListenerService: Service {
    /// Told of failed handshakes and of errors that handlers throw.
    public typealias ErrorHook = @Sendable (any Error, SocketAddress) -> Void
    /// Gets a socket that is ready.
    public typealias ConnectionHandler = @Sendable (Socket) async throws -> Void

    private let listener: SocketListener
    private let drain: Duration
    private let maxConcurrent: Int
    private let onError: ErrorHook?
    private let handler: ConnectionHandler

    /// Makes a service.
    ///
    /// - Parameters:
    ///   - listener: It listens already.
    ///   - drain: How long connections may go on when the group shuts down; 30 seconds by default.
    ///   - maxConcurrent: Connections at once; 10,000 by default.
    ///   - onError: Told of failed handshakes and of errors that handlers throw.
    ///   - handler: Handles a connection, as in ``/Sockets/SocketListener/serve(maxConcurrent:onError:_:)``.
    public init(
        _ listener: SocketListener,
        drain: Duration = .seconds(30),
        maxConcurrent: Int = 10_000,
        onError: ErrorHook? = nil,
        _ handler: @escaping ConnectionHandler
    ) {
        self.listener = listener
        self.drain = drain
        self.maxConcurrent = maxConcurrent
        self.onError = onError
        self.handler = handler
    }

    /// Serves until the listener is closed.
    ///
    /// - Throws: ``/Sockets/SocketError`` when the listener fails.
    public func run() async throws {
        // Cancelled when the listener is through.
        async let _: Void = drainWhenAsked()
        try await listener.serve(maxConcurrent: maxConcurrent, onError: onError, handler)
    }

    private func drainWhenAsked() async {
        // Throws when the task is cancelled: there is nothing to drain any more.
        guard (try? await gracefulShutdown()) != nil else { return }
        await listener.close("the service shuts down", deadline: drain)
    }
}
#endif
