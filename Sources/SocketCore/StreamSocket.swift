// Stream sockets without waiting: every call returns at once, and "not yet" is a value.

/// How far a connection attempt got.
package enum ConnectProgress: Hashable, Sendable {
    /// The connection stands.
    case connected
    /// The kernel goes on: writability tells the end, ``StreamSocket/pendingError(_:)`` the result.
    case inProgress
}

/// What one accept call gave.
package enum AcceptOutcome: ~Copyable, Sendable {
    /// A connection and its peer.
    case accepted(Descriptor, NetworkAddress)
    /// Nothing is waiting; readiness will tell.
    case wouldBlock
    /// That one connection died in the queue; call again at once.
    case retry
    /// The process or the system is out of descriptors or memory; the connection stays in the
    /// queue, and readiness will not tell again: pause, then call again.
    case exhausted(Errno)
    /// The listener itself is unusable.
    case failed(Errno)
}

/// Operations on nonblocking stream sockets.
///
/// Any thread may call them.
package enum StreamSocket {
    /// Makes a socket for an address: nonblocking, closed on exec.
    package static func make(
        for address: NetworkAddress
    ) throws(SystemCallError) -> Descriptor {
        try Syscalls.streamSocket(address.family)
    }

    /// Starts to connect.
    ///
    /// An interrupted attempt goes on in the kernel, so EINTR is ``ConnectProgress/inProgress``.
    ///
    /// - Throws: What failed at once; EAGAIN for a unix listener whose queue is full.
    package static func connect(
        _ descriptor: borrowing Descriptor,
        to address: NetworkAddress
    ) throws(SystemCallError) -> ConnectProgress {
        let flat = try FlatAddress(address, for: "connect")
        let errno = Errno(rawValue: -Syscalls.connect(descriptor.rawValue, flat))
        switch errno {
        case .none: return .connected
        case .nowInProgress, .interrupted: return .inProgress
        default: throw SystemCallError(errno, call: "connect")
        }
    }

    /// Reads and clears the socket's pending error (SO_ERROR); nil for none.
    package static func pendingError(_ descriptor: Int32) -> Errno? {
        let errno = Errno(rawValue: Syscalls.pendingError(descriptor))
        return errno == .none ? nil : errno
    }

    /// Binds a socket that will connect.
    ///
    /// With port 0 the port is chosen at connect, among those free for that peer
    /// (IP_BIND_ADDRESS_NO_PORT): the local address is complete only then.
    package static func bind(
        _ descriptor: borrowing Descriptor,
        to address: NetworkAddress
    ) throws(SystemCallError) {
        let flat = try FlatAddress(address, for: "bind")
        if address.port == 0 {
            try Syscalls.setOption(descriptor.rawValue, .bindAddressNoPort, 1)
        }
        try Syscalls.check(Syscalls.bind(descriptor.rawValue, flat), "bind")
    }

    /// Makes a listening socket.
    ///
    /// SO_REUSEADDR is set, so a restart need not wait for old connections to fade. IPV6_V6ONLY is
    /// always stated, so the system's default does not matter.
    ///
    /// - Parameters:
    ///   - address: Where to listen; port 0 lets the kernel choose.
    ///   - backlog: Finished connections that may wait for accept, at least 1; the kernel caps it.
    ///   - reusePort: Shares the address with other listeners that say so too (SO_REUSEPORT).
    ///   - acceptsIPv4: For "::" only: takes IPv4 peers too, as mapped addresses.
    ///   - options: Set before listening, so accepted sockets inherit them.
    ///   - removesStaleUnixPath: Replaces a socket file that nobody listens on any more. A file
    ///     that is no socket, or one with a listener, stays and gives EADDRINUSE.
    /// - Returns: The listening socket; ``localAddress(_:)`` tells the port it got.
    /// - Throws: The first call that failed, and why.
    package static func listen(
        on address: NetworkAddress,
        backlog: Int,
        reusePort: Bool = false,
        acceptsIPv4: Bool = false,
        options: SocketOptions = SocketOptions(),
        removesStaleUnixPath: Bool = false
    ) throws(SystemCallError) -> Descriptor {
        let flat = try FlatAddress(address, for: "bind")
        let socket = try Syscalls.streamSocket(address.family)
        let number = socket.rawValue
        if address.family != .unix {
            try Syscalls.setOption(number, .reuseAddress, 1)
            if reusePort {
                try Syscalls.setOption(number, .reusePort, 1)
            }
        }
        if address.family == .ipv6 {
            try Syscalls.setOption(number, .ipv6Only, acceptsIPv4 ? 0 : 1)
        }
        try options.apply(to: number, family: address.family)
        do throws(SystemCallError) {
            try Syscalls.check(Syscalls.bind(number, flat), "bind")
        } catch {
            guard error.errno == .addressInUse, removesStaleUnixPath, isStale(address) else {
                throw error
            }
            try removeUnixPath(of: address)
            try Syscalls.check(Syscalls.bind(number, flat), "bind")
        }
        try Syscalls.listen(number, backlog: Int32(clamping: max(1, backlog)))
        return socket
    }

    /// Takes one connection from a listener's queue.
    package static func accept(_ listener: Int32) -> AcceptOutcome {
        var flat = FlatAddress()
        let result = Syscalls.accept(listener, from: &flat)
        guard result < 0 else {
            // A family unknown here cannot come out of a listener made here.
            let peer = flat.networkAddress ?? .unix(path: "")
            return .accepted(Descriptor(owning: result), peer)
        }
        return acceptFailure(Errno(rawValue: -result))
    }

    /// Sorts accept's failures.
    ///
    /// Linux passes on errors of the new connection's network, accept(2).
    package static func acceptFailure(_ errno: Errno) -> AcceptOutcome {
        switch errno {
        case .wouldBlock:
            .wouldBlock
        case .interrupted, .connectionAbort, .protocolError, .networkDown, .noProtocolOption,
            .hostIsDown, .noRouteToHost, .notSupported, .networkUnreachable, .timedOut,
            .notPermitted, .notOnNetwork:
            .retry
        case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory:
            .exhausted(errno)
        default:
            .failed(errno)
        }
    }

    /// The address this end is bound to.
    package static func localAddress(_ descriptor: Int32) -> NetworkAddress? {
        Syscalls.localAddress(descriptor)?.networkAddress
    }

    /// The peer's address; nil while not connected.
    ///
    /// A peer that is an unbound unix socket has path "".
    package static func remoteAddress(_ descriptor: Int32) -> NetworkAddress? {
        Syscalls.remoteAddress(descriptor)?.networkAddress
    }

    /// Ends this direction: the peer reads to the end of the stream (FIN).
    package static func shutdownWrite(_ descriptor: Int32) throws(SystemCallError) {
        try Syscalls.shutdownWrite(descriptor)
    }

    /// Makes the coming close drop what is unsent and reset the connection (SO_LINGER of 0
    /// seconds).
    package static func setResetOnClose(_ descriptor: Int32) throws(SystemCallError) {
        try Syscalls.setResetOnClose(descriptor)
    }

    /// Removes the file of a unix listener that has closed; nothing for other addresses.
    package static func removeUnixPath(of address: NetworkAddress) throws(SystemCallError) {
        guard case .unix(let path) = address, !path.isEmpty, path.utf8.first != 0 else {
            return
        }
        try Syscalls.unlink(path)
    }

    /// Whether a unix path is a socket nobody listens on.
    private static func isStale(_ address: NetworkAddress) -> Bool {
        guard case .unix(let path) = address, Syscalls.isSocket(atPath: path),
            let flat = try? FlatAddress(address, for: "connect"),
            let probe = try? Syscalls.streamSocket(.unix)
        else {
            return false
        }
        return Errno(rawValue: -Syscalls.connect(probe.rawValue, flat)) == .connectionRefused
    }
}

extension Errno {
    /// The kernel's "no error".
    static let none = Errno(rawValue: 0)
}
