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
