/// Where a stream socket is bound or connected: an IP address and port, or a unix path.
package enum NetworkAddress: Hashable, Sendable {
    case ip(IPAddress, port: UInt16)

    /// A unix socket: a path, an abstract name that starts with NUL (Linux, unix(7)), or "" for the
    /// unnamed end of a connection.
    case unix(path: String)

    /// The socket family that speaks to this address.
    package var family: SocketFamily {
        switch self {
        case .ip(.v4, port: _): .ipv4
        case .ip(.v6, port: _): .ipv6
        case .unix: .unix
        }
    }

    /// The port; nil for a unix address.
    package var port: UInt16? {
        switch self {
        case .ip(_, let port): port
        case .unix: nil
        }
    }

    /// The IP address; nil for a unix address.
    package var ip: IPAddress? {
        switch self {
        case .ip(let ip, port: _): ip
        case .unix: nil
        }
    }

    /// The longest unix path in bytes: a path needs room for its last NUL, an abstract name none.
    package static func unixPathLimit(of path: String) -> Int {
        path.utf8.first == 0 ? 108 : 107
    }
}

// MARK: - The kernel's form

extension NetworkAddress {
    /// Reads a sockaddr_in, sockaddr_in6 or sockaddr_un; nil for another family, or too few bytes.
    package init?(socketAddress: [UInt8]) {
        guard let address = Syscalls.decodeAddress(socketAddress).networkAddress else {
            return nil
        }
        self = address
    }

    /// The address as sockaddr_in, sockaddr_in6 or sockaddr_un.
    ///
    /// - Throws: ENAMETOOLONG for a unix path that does not fit, EINVAL for one with a NUL inside,
    ///   ENODEV for a zone that names no interface.
    package func socketAddress() throws(SystemCallError) -> [UInt8] {
        try Syscalls.encodeAddress(try FlatAddress(self, for: "socketAddress"))
    }
}

extension NetworkAddress: CustomStringConvertible {
    /// Text that ``AddressParser`` reads back: "1.2.3.4:80", "[::1]:443", "unix:/path", and
    /// "unix:@name" for an abstract name.
    package var description: String {
        switch self {
        case .ip(.v4(let ip), let port):
            "\(ip):\(port)"
        case .ip(.v6(let ip), let port):
            "[\(ip)]:\(port)"
        case .unix(let path):
            path.utf8.first == 0 ? "unix:@" + path.dropFirst() : "unix:" + path
        }
    }
}
