// The one door to the kernel for descriptors: every call on a socket, epoll or eventfd passes here.
// Threads, time, names and limits pass through `Syscalls+System.swift`.
//
// Theory of operation
// - CLinux answers a value of at least 0, or minus the errno. The byte calls hand that number on as
//   it is, since making a Swift error for each EAGAIN would cost more than the call. All others
//   throw `SystemCallError` with the call's name.
// - EINTR is retried inside, except by close (Linux frees the number anyway), connect (the attempt
//   goes on in the kernel) and epoll_wait (it counts as "no event").

internal import CLinux

/// The system calls this module makes.
package enum Syscalls {
    /// Receives bytes from a nonblocking socket.
    ///
    /// - Parameters:
    ///   - descriptor: A stream socket.
    ///   - buffer: At least one byte long; an empty one could not be told from the end of stream.
    /// - Returns: The bytes received, 1...`buffer.count`; 0 at the end of the stream; minus the
    ///   errno.
    @inline(__always)
    package static func receive(
        _ descriptor: Int32,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        // The buffer outlives the call, and the kernel writes at most `count` bytes.
        unsafe cl_receive(descriptor, buffer.baseAddress, buffer.count)
    }

    /// The same as a function that C code can call.
    package static var receiveFunction: @convention(c) (Int32, UnsafeMutableRawPointer?, Int) -> Int
    {
        unsafe cl_receive
    }

    /// Copies received bytes without consuming them (MSG_PEEK); otherwise as `receive`.
    package static func peek(
        _ descriptor: Int32,
        into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        unsafe cl_peek(descriptor, buffer.baseAddress, buffer.count)
    }

    /// Sends bytes on a nonblocking socket, without SIGPIPE.
    ///
    /// - Returns: The bytes the kernel took, 0...`bytes.count`; or minus the errno.
    @inline(__always)
    package static func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        // The kernel reads at most `count` bytes, within the call.
        unsafe cl_send(descriptor, bytes.baseAddress, bytes.count)
    }

    /// The same as a function that C code can call.
    package static var sendFunction: @convention(c) (Int32, UnsafeRawPointer?, Int) -> Int {
        unsafe cl_send
    }

    /// Returns the bytes received and not yet read (FIONREAD).
    package static func unreadBytes(_ descriptor: Int32) throws(SystemCallError) -> Int {
        Int(try check(Int(cl_unread_bytes(descriptor)), "ioctl"))
    }

    /// Returns the bytes sent and not yet acknowledged by the peer (SIOCOUTQ).
    package static func unsentBytes(_ descriptor: Int32) throws(SystemCallError) -> Int {
        Int(try check(Int(cl_unsent_bytes(descriptor)), "ioctl"))
    }

    /// Closes a descriptor.
    ///
    /// Its failure is not reported: the number is free either way.
    package static func close(_ descriptor: Int32) {
        _ = cl_close(descriptor)
    }

    /// Turns a result of CLinux into a value or an error.
    @inline(__always)
    @discardableResult
    static func check<Number: SignedInteger>(
        _ result: Number,
        _ call: @autoclosure () -> String
    ) throws(SystemCallError) -> Number {
        guard result < 0 else {
            return result
        }
        throw SystemCallError(Errno(rawValue: Int32(-result)), call: call())
    }
}

// MARK: - Sockets

extension Syscalls {
    /// Makes a nonblocking stream socket that is closed on exec.
    static func streamSocket(_ family: SocketFamily) throws(SystemCallError) -> Descriptor {
        Descriptor(owning: try check(cl_stream_socket(family.code), "socket"))
    }

    /// Makes two connected unix stream sockets, nonblocking and closed on exec.
    package static func socketPair() throws(SystemCallError) -> (Int32, Int32) {
        var first: Int32 = -1
        var second: Int32 = -1
        // Both pointers are valid for the call only, which is all it needs.
        try check(unsafe cl_socket_pair(&first, &second), "socketpair")
        return (first, second)
    }

    /// Starts to connect; returns 0 or minus the errno.
    static func connect(_ descriptor: Int32, _ address: FlatAddress) -> Int32 {
        unsafe withUnsafePointer(to: address.value) { unsafe cl_connect(descriptor, $0) }
    }

    /// Binds; returns 0 or minus the errno.
    static func bind(_ descriptor: Int32, _ address: FlatAddress) -> Int32 {
        unsafe withUnsafePointer(to: address.value) { unsafe cl_bind(descriptor, $0) }
    }

    static func listen(_ descriptor: Int32, backlog: Int32) throws(SystemCallError) {
        try check(cl_listen(descriptor, backlog), "listen")
    }

    /// Accepts one connection; returns its descriptor or minus the errno, and fills the peer's
    /// address.
    static func accept(_ listener: Int32, from address: inout FlatAddress) -> Int32 {
        unsafe cl_accept(listener, &address.value)
    }

    /// Writes the kernel's form of an address.
    static func encodeAddress(_ address: FlatAddress) throws(SystemCallError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(CL_SOCKADDR_SIZE))
        let length = unsafe withUnsafePointer(to: address.value) { flat in
            // The C side writes at most CL_SOCKADDR_SIZE bytes.
            unsafe cl_address_encode(flat, &bytes)
        }
        return Array(bytes.prefix(Int(try check(length, "socketAddress"))))
    }

    /// Reads the kernel's form of an address.
    static func decodeAddress(_ bytes: [UInt8]) -> FlatAddress {
        var address = FlatAddress()
        unsafe cl_address_decode(&address.value, bytes, bytes.count)
        return address
    }

    static func localAddress(_ descriptor: Int32) -> FlatAddress? {
        var address = FlatAddress()
        return unsafe cl_local_address(descriptor, &address.value) < 0 ? nil : address
    }

    static func remoteAddress(_ descriptor: Int32) -> FlatAddress? {
        var address = FlatAddress()
        return unsafe cl_remote_address(descriptor, &address.value) < 0 ? nil : address
    }

    static func shutdownWrite(_ descriptor: Int32) throws(SystemCallError) {
        try check(cl_shutdown_write(descriptor), "shutdown")
    }

    static func setResetOnClose(_ descriptor: Int32) throws(SystemCallError) {
        try check(cl_set_reset_on_close(descriptor), "setsockopt(SO_LINGER)")
    }

    /// Reads and clears SO_ERROR; 0 for none.
    static func pendingError(_ descriptor: Int32) -> Int32 {
        cl_pending_error(descriptor)
    }

    static func setOption(
        _ descriptor: Int32,
        _ option: OptionName,
        _ value: Int32
    ) throws(SystemCallError) {
        try check(
            cl_set_option(descriptor, option.level, option.number, value),
            "setsockopt(\(option.text))"
        )
    }

    static func option(
        _ descriptor: Int32,
        _ option: OptionName
    ) throws(SystemCallError) -> Int32 {
        var value: Int32 = 0
        try check(
            unsafe cl_option(descriptor, option.level, option.number, &value),
            "getsockopt(\(option.text))"
        )
        return value
    }

    static func tcpStatistics(_ descriptor: Int32) -> cl_tcp_statistics? {
        var statistics = cl_tcp_statistics()
        return unsafe cl_tcp_read_statistics(descriptor, &statistics) < 0 ? nil : statistics
    }

    /// Removes a path from the file system.
    static func unlink(_ path: String) throws(SystemCallError) {
        try check(unsafe cl_unlink(path), "unlink")
    }

    /// Says whether the path itself (no link followed) is a socket.
    static func isSocket(atPath path: String) -> Bool {
        unsafe cl_is_socket_path(path) == 1
    }

    /// Returns the index of a network interface, at least 1.
    static func interfaceIndex(_ name: String) throws(SystemCallError) -> UInt32 {
        UInt32(try check(unsafe cl_interface_index(name), "if_nametoindex"))
    }

    static func interfaceName(_ index: UInt32) -> String? {
        var name: [16 of CChar] = .init(repeating: 0)
        // An interface name has at most 15 bytes and a NUL (IFNAMSIZ).
        return unsafe withUnsafeMutableBytes(of: &name) { bytes in
            guard let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self),
                unsafe cl_interface_name(index, start) == 0
            else {
                return nil
            }
            return unsafe String(cString: start)
        }
    }
}

/// A socket option: its numbers, and its name for errors.
struct OptionName {
    let level: Int32
    let number: Int32
    let text: String

    static var noDelay: Self {
        Self(level: cl_level_tcp, number: cl_tcp_no_delay, text: "TCP_NODELAY")
    }
    static var keepIdle: Self {
        Self(level: cl_level_tcp, number: cl_tcp_keep_idle, text: "TCP_KEEPIDLE")
    }
    static var keepInterval: Self {
        Self(level: cl_level_tcp, number: cl_tcp_keep_interval, text: "TCP_KEEPINTVL")
    }
    static var keepCount: Self {
        Self(level: cl_level_tcp, number: cl_tcp_keep_count, text: "TCP_KEEPCNT")
    }
    static var timeToLive: Self { Self(level: cl_level_ipv4, number: cl_ip_ttl, text: "IP_TTL") }
    static var hopLimit: Self {
        Self(level: cl_level_ipv6, number: cl_ipv6_unicast_hops, text: "IPV6_UNICAST_HOPS")
    }
    static var ipv6Only: Self {
        Self(level: cl_level_ipv6, number: cl_ipv6_only, text: "IPV6_V6ONLY")
    }
    static var bindAddressNoPort: Self {
        Self(
            level: cl_level_ipv4,
            number: cl_ip_bind_address_no_port,
            text: "IP_BIND_ADDRESS_NO_PORT"
        )
    }
    static var sendBuffer: Self {
        Self(level: cl_level_socket, number: cl_send_buffer, text: "SO_SNDBUF")
    }
    static var receiveBuffer: Self {
        Self(level: cl_level_socket, number: cl_receive_buffer, text: "SO_RCVBUF")
    }
    static var keepAlive: Self {
        Self(level: cl_level_socket, number: cl_keep_alive, text: "SO_KEEPALIVE")
    }
    static var reuseAddress: Self {
        Self(level: cl_level_socket, number: cl_reuse_address, text: "SO_REUSEADDR")
    }
    static var reusePort: Self {
        Self(level: cl_level_socket, number: cl_reuse_port, text: "SO_REUSEPORT")
    }
}

// MARK: - Readiness

extension Syscalls {
    static func makeEpoll() throws(SystemCallError) -> Descriptor {
        Descriptor(owning: try check(cl_epoll_create(), "epoll_create1"))
    }

    static func makeEvent() throws(SystemCallError) -> Descriptor {
        Descriptor(owning: try check(cl_eventfd(), "eventfd"))
    }

    /// Makes an eventfd whose every read takes one count, and waits for one.
    static func makeSemaphore() throws(SystemCallError) -> Descriptor {
        Descriptor(owning: try check(cl_eventfd_semaphore(), "eventfd"))
    }

    static func epollAdd(
        _ epoll: Int32,
        _ descriptor: Int32,
        events: UInt32,
        token: UInt64
    ) throws(SystemCallError) {
        try check(cl_epoll_add(epoll, descriptor, events, token), "epoll_ctl(ADD)")
    }

    static func epollRemove(_ epoll: Int32, _ descriptor: Int32) throws(SystemCallError) {
        try check(cl_epoll_remove(epoll, descriptor), "epoll_ctl(DEL)")
    }

    /// Waits for events; returns their number, 0 after a signal.
    ///
    /// - Precondition: The epoll descriptor is open: any failure left is a bug of this module.
    static func epollWait(
        _ epoll: Int32,
        _ events: UnsafeMutableBufferPointer<epoll_event>,
        milliseconds: Int32
    ) -> Int {
        let count = unsafe cl_epoll_wait(
            epoll,
            events.baseAddress,
            Int32(truncatingIfNeeded: events.count),
            milliseconds
        )
        precondition(count >= 0, "epoll_wait failed: \(Errno(rawValue: -count).name)")
        return Int(count)
    }

    /// Adds to an eventfd's counter; a full counter means that its reader has a wake-up ahead
    /// anyway.
    static func signal(_ event: Int32) {
        var one: UInt64 = 1
        _ = unsafe cl_write(event, &one, 8)
    }

    /// Takes one count of a semaphore, waiting for it.
    static func waitForSignal(_ semaphore: Int32) {
        var count: UInt64 = 0
        _ = unsafe cl_read(semaphore, &count, 8)
    }
}
