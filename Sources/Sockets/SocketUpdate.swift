// Changing a socket that lives: its timeouts and options, and from TCP to TLS.

import SocketCore
import Synchronization

/// What is to change on a socket that is connected (`update` of the draft's later versions).
///
/// Members that are nil leave the socket as it is. TLS members are reached directly, as in
/// ``SocketInit``, or as one value through ``tls``; any of them set starts TLS.
@dynamicMemberLookup
public struct SocketUpdate: Sendable {
    /// A timeout that may be switched off.
    public enum Timeout: Hashable, Sendable {
        /// None.
        case never
        /// So long; longer than 0.
        case after(Duration)
    }

    /// Time without a byte sent or received after which the connection ends; it starts anew.
    public var idleTimeout: Timeout?
    /// Time for the handshake when TLS is started; nil takes ``SocketLimits/handshake``.
    ///
    /// Without ``tls`` it means nothing: the connection exists already.
    public var connectionTimeout: Duration?
    /// Whether small writes leave at once (`TCP_NODELAY`).
    public var noDelay: Bool?
    /// Bytes of the kernel's send buffer.
    public var sendBufferSize: Int?
    /// Bytes of the kernel's receive buffer.
    public var receiveBufferSize: Int?
    /// Hops a packet may take, 1...255.
    public var ttl: Int?
    /// Starts TLS with these members, see ``Socket/startTLS(_:unread:)``; nil does not.
    public var tls: TLSSocketInit?

    /// Changes nothing.
    public init() {}

    /// Makes an update that a closure fills in.
    ///
    /// - Parameter configure: Sets members.
    /// - Throws: What the closure throws.
    public init<Failure: Error>(
        _ configure: (inout SocketUpdate) throws(Failure) -> Void
    ) throws(Failure) {
        self.init()
        try configure(&self)
    }

    /// Reaches a TLS member directly; setting one starts TLS with it.
    public subscript<Value>(dynamicMember member: WritableKeyPath<TLSSocketInit, Value>) -> Value {
        get { (tls ?? TLSSocketInit())[keyPath: member] }
        set {
            var members = tls ?? TLSSocketInit()
            members[keyPath: member] = newValue
            tls = members
        }
    }
}

extension Socket {
    /// Changes a socket that lives, and waits until it is connected for that.
    ///
    /// ```swift
    /// try await socket.update(SocketUpdate { $0.idleTimeout = .after(.seconds(30)) })
    /// ```
    ///
    /// Everything is checked before anything is changed; options of the kernel come first, TLS last. A
    /// listener's socket changes its timeouts and options this way, and starts TLS with
    /// ``PreparedTLS``.
    ///
    /// - Parameter update: What is to change.
    /// - Returns: What is known about the connection afterwards.
    /// - Throws: ``SocketError`` of category misuse for members that cannot be, of a system call for
    ///   options that the kernel refuses, and what ``startTLS(_:unread:)`` throws.
    @discardableResult
    public func update(_ update: SocketUpdate) async throws(SocketError) -> SocketInfo {
        let kernel = try SocketOptions(
            noDelay: update.noDelay,
            sendBufferSize: update.sendBufferSize,
            receiveBufferSize: update.receiveBufferSize,
            ttl: update.ttl
        )
        var idle: Duration?
        if case .after(let timeout) = update.idleTimeout {
            idle = try Connector.checked(timeout, "idleTimeout")
        }
        let timeout = try Connector.checked(update.connectionTimeout, "connectionTimeout")
        if let tls = update.tls {
            guard let origin else {
                throw SocketError(.cannotStartTLS, detail: "the socket is a listener's")
            }
            _ = try ClientTLS(tls, remote: origin).makeEngine()
            try await connection.awaitUpgradable()
        }
        try await connection.waitUntilEstablished()
        if update.idleTimeout != nil { connection.setIdleTimeout(idle) }
        try connection.set(kernel)
        if let tls = update.tls { return try await startTLS(tls, unread: [], timeout: timeout) }
        guard let info else { throw SocketError(.closed) }
        return info
    }
}

extension Connection {
    /// Changes the time for which nothing may happen; it starts anew.
    func setIdleTimeout(_ timeout: Duration?) {
        state.withLock { s in
            s.idleTimeout = timeout
            s.lastActivity = EventLoop.readClock()
        }
        armTimer()
    }

    /// Sets options of the kernel, unless the connection is over.
    func set(_ options: SocketOptions) throws(SocketError) {
        let failure = state.withLock { s -> SystemCallError? in
            guard s.descriptor >= 0 else { return nil }
            do throws(SystemCallError) {
                guard let family = StreamSocket.localAddress(s.descriptor)?.family else {
                    return nil
                }
                try options.apply(to: s.descriptor, family: family)
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw .system(failure) }
    }
}
