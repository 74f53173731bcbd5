// The seed's dictionary that makes a socket, with its names and defaults.

/// What a socket speaks (seed `SocketType`).
public enum SocketType: String, CaseIterable, Hashable, Sendable {
    /// A byte stream: TCP, or a unix stream socket when the address is a path.
    case tcp
    /// TLS over a byte stream.
    case tls
}

/// Everything that makes a client socket (seed `SocketInit`).
///
/// TLS members are reached directly, as in the seed, or as one value through ``tls``:
///
/// ```swift
/// SocketInit(type: .tls, remote: .init("example.com", port: 443)) { $0.alpn = ["h2", "http/1.1"] }
/// ```
@dynamicMemberLookup
public struct SocketInit: Sendable {
    /// What to speak; `tcp` by default (seed `type`).
    public var type: SocketType = .tcp
    /// Where to connect to (seed `remote`).
    public var remote: SocketAddress
    /// The local address to connect from; nil leaves it to the system (seed `local`).
    public var local: SocketAddress?
    /// What to send; its end is the end of the sending side (seed `body`).
    public var body: SocketBody?
    /// Aborts the socket when given, at any moment (seed `signal`).
    public var signal: AbortSignal?
    /// Whether the connection may come from a pool; true by default (seed `allowPooling`).
    ///
    /// There is no pool yet: both values mean a connection of one's own.
    public var allowPooling = true
    /// Whether sending goes on after the peer has ended its side; true by default (seed
    /// `allowHalfOpen`).
    public var allowHalfOpen = true
    /// Whether small writes leave at once (`TCP_NODELAY`); false by default (seed `noDelay`).
    public var noDelay = false
    /// Time for name resolution, TCP and TLS together; nil by default, the seed's 0 (seed
    /// `connectionTimeout`).
    ///
    /// Without it each address and the handshake have their own limits, see ``SocketLimits``.
    public var connectionTimeout: Duration?
    /// Time without a byte sent or received after which the connection ends; nil by default, the
    /// seed's 0 (seed `idleTimeout`).
    public var idleTimeout: Duration?
    /// Bytes of the kernel's send buffer; nil leaves it to the system (seed `sendBufferSize`).
    public var sendBufferSize: Int?
    /// Bytes of the kernel's receive buffer; nil leaves it to the system (seed `receiveBufferSize`).
    public var receiveBufferSize: Int?
    /// Hops a packet may take, 1...255; nil leaves it to the system (seed `ttl`).
    public var ttl: Int?
    /// The TLS members as one value.
    ///
    /// Any of them set on a socket of another type is an error.
    public var tls = TLSSocketInit()
    /// Which addresses of a name to use; both families by default.
    public var addressFamily: SocketAddressFamily = .any
    /// What the connection may cost.
    public var limits = SocketLimits()
    /// The event loops to run on; one loop a core by default.
    public var group: EventLoopGroup = .shared

    /// Makes a dictionary with the defaults.
    ///
    /// - Parameters:
    ///   - type: What to speak.
    ///   - remote: Where to connect to.
    public init(type: SocketType = .tcp, remote: SocketAddress) {
        self.type = type
        self.remote = remote
    }

    /// Makes a dictionary, and lets a closure set the rest.
    ///
    /// - Parameters:
    ///   - type: What to speak.
    ///   - remote: Where to connect to.
    ///   - configure: Sets other members.
    /// - Throws: What the closure throws.
    public init<Failure: Error>(
        type: SocketType = .tcp,
        remote: SocketAddress,
        _ configure: (inout SocketInit) throws(Failure) -> Void
    ) throws(Failure) {
        self.init(type: type, remote: remote)
        try configure(&self)
    }

    /// Reaches a TLS member directly (seed `SocketInit includes TLSSocketInit`).
    public subscript<Value>(dynamicMember member: WritableKeyPath<TLSSocketInit, Value>) -> Value {
        get { tls[keyPath: member] }
        set { tls[keyPath: member] = newValue }
    }
}

/// Which addresses of a name are used.
public enum SocketAddressFamily: String, CaseIterable, Hashable, Sendable {
    /// IPv6 and IPv4, in the order of the system (RFC 6724).
    case any
    /// IPv4 only.
    case ipv4
    /// IPv6 only.
    case ipv6
}
