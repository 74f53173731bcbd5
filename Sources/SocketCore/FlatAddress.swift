// Between `NetworkAddress` and the kernel: CLinux's flat form of a sockaddr, owned by one type.

internal import CLinux

/// A socket's family, as far as stream sockets are made of it.
package enum SocketFamily: Hashable, Sendable, CaseIterable {
    case ipv4
    case ipv6
    case unix

    var code: Int32 {
        switch self {
        case .ipv4: Int32(CL_FAMILY_IPV4)
        case .ipv6: Int32(CL_FAMILY_IPV6)
        case .unix: Int32(CL_FAMILY_UNIX)
        }
    }
}

/// An address in the form the C side takes and gives.
struct FlatAddress {
    var value: cl_address

    init() {
        value = cl_address()
    }

    init(_ value: cl_address) {
        self.value = value
    }

    /// Flattens an address.
    ///
    /// - Throws: ENAMETOOLONG for a unix path that does not fit, EINVAL for one with a NUL inside,
    ///   ENODEV for a zone that names no interface; each under the given call's name.
    init(_ address: NetworkAddress, for call: String) throws(SystemCallError) {
        value = cl_address()
        switch address {
        case .ip(.v4(let ip), let port):
            value.family = SocketFamily.ipv4.code
            value.port = port
            value.low = UInt64(ip.number)
        case .ip(.v6(let ip), let port):
            value.family = SocketFamily.ipv6.code
            value.port = port
            value.high = ip.high
            value.low = ip.low
            if let zone = ip.zone {
                value.scope = try Self.scope(of: zone)
            }
        case .unix(let path):
            value.family = SocketFamily.unix.code
            try setPath(path, for: call)
        }
    }

    /// The address, or nil for a family this library does not speak.
    var networkAddress: NetworkAddress? {
        switch value.family {
        case SocketFamily.ipv4.code:
            let ip = IPv4Address(UInt32(truncatingIfNeeded: value.low))
            return .ip(.v4(ip), port: value.port)
        case SocketFamily.ipv6.code:
            let zone =
                value.scope == 0
                ? nil : Syscalls.interfaceName(value.scope) ?? String(value.scope)
            let ip = IPv6Address(high: value.high, low: value.low, zone: zone)
            return .ip(.v6(ip), port: value.port)
        case SocketFamily.unix.code:
            // The length is at most the array's size: the C side saw to it.
            let count = Int(value.path_length)
            return unsafe withUnsafeBytes(of: value.path) { bytes in
                unsafe .unix(path: String(decoding: bytes.prefix(count), as: UTF8.self))
            }
        default:
            return nil
        }
    }

    private mutating func setPath(_ path: String, for call: String) throws(SystemCallError) {
        guard path.utf8.count <= NetworkAddress.unixPathLimit(of: path) else {
            throw SystemCallError(.fileNameTooLong, call: call)
        }
        guard path.utf8.first == 0 || !path.utf8.contains(0) else {
            throw SystemCallError(.invalidArgument, call: call)
        }
        value.path_length = UInt32(path.utf8.count)
        // The count was checked against the array's size above.
        unsafe withUnsafeMutableBytes(of: &value.path) { bytes in
            unsafe bytes.copyBytes(from: path.utf8)
        }
    }

    private static func scope(of zone: String) throws(SystemCallError) -> UInt32 {
        if let number = UInt32(zone) {
            return number
        }
        return try Syscalls.interfaceIndex(zone)
    }
}
