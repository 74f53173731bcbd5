// A listener's TLS members for connections that begin without TLS: checked, read and made into one
// configuration before the first of them comes.

/// A listener's side of TLS, ready for connections that start it later.
///
/// Made once, as making it reads keys and builds the trust store, and shared by all connections: they
/// resume each other's sessions, which those of another one cannot. What a TLS listener does beside
/// its handshakes, such as fetching staples from ``TLSSocketListenerInit/ocspSource``, it does for as
/// long as it lives.
///
/// ```swift
/// let tls = try PreparedTLS(TLSSocketListenerInit { $0.identity = identity })
/// try await listener.serve { socket in
///     …
///     try await socket.startTLS(tls, sending: "220 go ahead\r\n")
/// }
/// ```
public final class PreparedTLS: Sendable {
    private let context: TLSContext
    let keeper: StapleKeeper
    let decider: TLSDecider?

    /// Checks the members and makes the configuration.
    ///
    /// - Parameters:
    ///   - tls: The members of a listener that speaks TLS.
    ///   - executor: Where its callbacks run; nil leaves it to the system's threads.
    /// - Throws: ``SocketError`` of category misuse.
    public init(
        _ tls: TLSSocketListenerInit,
        executor: (any TaskExecutor)? = nil
    ) throws(SocketError) {
        context = try tls.context()
        decider = ListenerDecider(tls, executor: executor)
        keeper = StapleKeeper(context)
        keeper.start()
    }

    deinit { keeper.stop() }

    /// What is stapled, one value an identity, see ``SocketListener/staples``.
    public var staples: [StapleState] { keeper.states }

    /// Makes an engine whose handshake has not begun.
    func makeEngine() throws(SocketError) -> TLSEngine {
        do throws(TLSError) {
            return try TLSEngine(context)
        } catch {
            throw .configuration(error)
        }
    }
}

extension TLSSocketInit {
    /// Makes the default dictionary, and lets a closure set members.
    ///
    /// - Parameter configure: Sets members.
    /// - Throws: What the closure throws.
    public init<Failure: Error>(
        _ configure: (inout TLSSocketInit) throws(Failure) -> Void
    ) throws(Failure) {
        self.init()
        try configure(&self)
    }
}

extension TLSSocketListenerInit {
    /// Makes the default dictionary, and lets a closure set members.
    ///
    /// - Parameter configure: Sets members.
    /// - Throws: What the closure throws.
    public init<Failure: Error>(
        _ configure: (inout TLSSocketListenerInit) throws(Failure) -> Void
    ) throws(Failure) {
        self.init()
        try configure(&self)
    }
}
