/// What can be set on a stream socket; nil leaves the system's value.
package struct SocketOptions: Hashable, Sendable {
    /// Sends small segments at once (TCP_NODELAY, RFC 9293 §3.7.4).
    package var noDelay: Bool?
    /// Bytes of the send buffer; the kernel doubles the number and keeps it within its limits.
    package var sendBufferSize: Int?
    /// Bytes of the receive buffer, as above.
    ///
    /// Set it before connect or listen to widen the TCP window.
    package var receiveBufferSize: Int?
    /// Routers a packet may pass, 1...255 (IP_TTL, or IPV6_UNICAST_HOPS).
    package var timeToLive: Int?
    /// Probes of an idle connection.
    package var keepAlive: KeepAlive?

    /// Probing of an idle TCP connection (RFC 9293 §3.8.4).
    package struct KeepAlive: Hashable, Sendable {
        /// Silence before the first probe, in seconds, 1...32767.
        package var idleSeconds: Int
        /// Pause between probes, in seconds, 1...32767.
        package var intervalSeconds: Int
        /// Unanswered probes that end the connection, 1...127.
        package var probes: Int

        package init(idleSeconds: Int, intervalSeconds: Int, probes: Int) {
            self.idleSeconds = idleSeconds
            self.intervalSeconds = intervalSeconds
            self.probes = probes
        }
    }

    package init(
        noDelay: Bool? = nil,
        sendBufferSize: Int? = nil,
        receiveBufferSize: Int? = nil,
        timeToLive: Int? = nil,
        keepAlive: KeepAlive? = nil
    ) {
        self.noDelay = noDelay
        self.sendBufferSize = sendBufferSize
        self.receiveBufferSize = receiveBufferSize
        self.timeToLive = timeToLive
        self.keepAlive = keepAlive
    }

    /// Sets the options that are not nil.
    ///
    /// A unix socket has no TCP or IP options; those are skipped there.
    ///
    /// - Throws: The first option's failure; EINVAL for a value out of range.
    package func apply(
        to descriptor: Int32,
        family: SocketFamily
    ) throws(SystemCallError) {
        if let sendBufferSize {
            try Self.set(descriptor, .sendBuffer, sendBufferSize)
        }
        if let receiveBufferSize {
            try Self.set(descriptor, .receiveBuffer, receiveBufferSize)
        }
        guard family != .unix else {
            return
        }
        if let noDelay {
            try Self.set(descriptor, .noDelay, noDelay ? 1 : 0)
        }
        if let timeToLive {
            try Self.set(descriptor, family == .ipv4 ? .timeToLive : .hopLimit, timeToLive)
        }
        if let keepAlive {
            try Self.set(descriptor, .keepIdle, keepAlive.idleSeconds)
            try Self.set(descriptor, .keepInterval, keepAlive.intervalSeconds)
            try Self.set(descriptor, .keepCount, keepAlive.probes)
            try Self.set(descriptor, .keepAlive, 1)
        }
    }

    private static func set(
        _ descriptor: Int32,
        _ option: OptionName,
        _ value: Int
    ) throws(SystemCallError) {
        // Negative values mean "default" to some options and nonsense to others: refused for all.
        guard let number = Int32(exactly: value), number >= 0 else {
            throw SystemCallError(.invalidArgument, call: "setsockopt(\(option.text))")
        }
        try Syscalls.setOption(descriptor, option, number)
    }
}

// MARK: - Reading back

extension SocketOptions {
    package static func noDelay(of descriptor: Int32) throws(SystemCallError) -> Bool {
        try Syscalls.option(descriptor, .noDelay) != 0
    }

    /// Bytes as the kernel counts them: twice what was set.
    package static func sendBufferSize(of descriptor: Int32) throws(SystemCallError) -> Int {
        Int(try Syscalls.option(descriptor, .sendBuffer))
    }

    /// Bytes as the kernel counts them: twice what was set.
    package static func receiveBufferSize(of descriptor: Int32) throws(SystemCallError) -> Int {
        Int(try Syscalls.option(descriptor, .receiveBuffer))
    }

    package static func timeToLive(
        of descriptor: Int32,
        family: SocketFamily
    ) throws(SystemCallError) -> Int {
        Int(try Syscalls.option(descriptor, family == .ipv4 ? .timeToLive : .hopLimit))
    }

    /// The probing of a TCP connection; nil while it is off.
    package static func keepAlive(of descriptor: Int32) throws(SystemCallError) -> KeepAlive? {
        guard try Syscalls.option(descriptor, .keepAlive) != 0 else {
            return nil
        }
        return KeepAlive(
            idleSeconds: Int(try Syscalls.option(descriptor, .keepIdle)),
            intervalSeconds: Int(try Syscalls.option(descriptor, .keepInterval)),
            probes: Int(try Syscalls.option(descriptor, .keepCount))
        )
    }

    /// Whether an IPv6 socket refuses IPv4-mapped peers.
    package static func isIPv6Only(_ descriptor: Int32) throws(SystemCallError) -> Bool {
        try Syscalls.option(descriptor, .ipv6Only) != 0
    }
}
