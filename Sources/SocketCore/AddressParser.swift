/// What a text names: an address that is complete, or a name still to be resolved.
package enum Endpoint: Hashable, Sendable {
    case address(NetworkAddress)
    case name(HostName, port: UInt16)
}

extension Endpoint: CustomStringConvertible {
    package var description: String {
        switch self {
        case .address(let address): address.description
        case .name(let name, let port): "\(name):\(port)"
        }
    }
}

/// Reads the text form of an endpoint.
///
/// | Text | Meaning |
/// |---|---|
/// | `1.2.3.4:80` | IPv4 |
/// | `[::1]:443`, `[fe80::1%eth0]:443` | IPv6, in brackets: `::1:443` is an address itself |
/// | `example.com:443` | a name |
/// | `unix:/path`, `unix:@name` | a unix socket; `@` starts an abstract name |
///
/// The port may be missing if a default is given; then an IPv6 address may come without brackets.
package enum AddressParser {
    /// Parses a text.
    ///
    /// - Parameters:
    ///   - text: One of the forms above, without spaces around it.
    ///   - defaultPort: The port of a text that has none; nil makes the port obligatory.
    /// - Returns: An address, or a name still to be resolved.
    /// - Throws: ``AddressParseError``, which says what is wrong with the text.
    package static func parse(
        _ text: String,
        defaultPort: UInt16? = nil
    ) throws(AddressParseError) -> Endpoint {
        guard !text.isEmpty else {
            throw .empty
        }
        if text.hasPrefix("unix:") {
            return .address(.unix(path: try unixPath(text.dropFirst(5))))
        }
        if text.hasPrefix("[") {
            return try bracketed(text.dropFirst(), defaultPort: defaultPort)
        }
        let parts = text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        if parts.count > 2 {
            guard let ip = IPv6Address(text) else {
                throw .badHost(text)
            }
            guard let defaultPort else {
                throw .unbracketedIPv6(text)
            }
            return .address(.ip(.v6(ip), port: defaultPort))
        }
        let port = try port(parts.count == 2 ? parts[1] : nil, defaultPort: defaultPort)
        return try endpoint(String(parts[0]), port: port)
    }

    private static func bracketed(
        _ text: Substring,
        defaultPort: UInt16?
    ) throws(AddressParseError) -> Endpoint {
        guard let end = text.firstIndex(of: "]") else {
            throw .unclosedBracket
        }
        guard let ip = IPv6Address(String(text[..<end])) else {
            throw .badIPv6(String(text[..<end]))
        }
        let rest = text[text.index(after: end)...]
        guard rest.isEmpty || rest.hasPrefix(":") else {
            throw .trailing(String(rest))
        }
        let port = try port(rest.isEmpty ? nil : rest.dropFirst(), defaultPort: defaultPort)
        return .address(.ip(.v6(ip), port: port))
    }

    private static func endpoint(
        _ host: String,
        port: UInt16
    ) throws(AddressParseError) -> Endpoint {
        if let ip = IPv4Address(host) {
            return .address(.ip(.v4(ip), port: port))
        }
        // With its port, a host of that name would read as a unix socket; "unix." does not.
        guard let name = HostName(host), name.description != "unix" else {
            throw .badHost(host)
        }
        return .name(name, port: port)
    }

    private static func port(
        _ text: Substring?,
        defaultPort: UInt16?
    ) throws(AddressParseError) -> UInt16 {
        guard let text else {
            guard let defaultPort else {
                throw .missingPort
            }
            return defaultPort
        }
        guard text.utf8.allSatisfy(\.isDigit), text == "0" || !text.hasPrefix("0"),
            let port = UInt16(text)
        else {
            throw .badPort(String(text))
        }
        return port
    }

    /// The path behind "unix:", where "@" stands for the NUL in front of an abstract name.
    package static func unixPath(_ text: Substring) throws(AddressParseError) -> String {
        // By bytes: a mark that combines with the "@" or the NUL in front belongs to the name.
        let isAbstract = text.utf8.first == UInt8(ascii: "@")
        let path = isAbstract ? "\0" + String(Substring(text.utf8.dropFirst())) : String(text)
        guard path.utf8.count > (path.utf8.first == 0 ? 1 : 0) else {
            throw .emptyUnixPath
        }
        guard path.utf8.first == 0 || !path.utf8.contains(0) else {
            throw .nulInUnixPath
        }
        guard path.utf8.count <= NetworkAddress.unixPathLimit(of: path) else {
            throw .unixPathTooLong(bytes: path.utf8.count)
        }
        return path
    }
}

/// Why a text names no endpoint.
package enum AddressParseError: Error, Hashable, Sendable {
    case empty
    case missingPort
    /// Not a decimal number of 0...65535 without leading zeros.
    case badPort(String)
    /// Neither an IP address nor the syntax of a host name.
    case badHost(String)
    /// Not an IPv6 address between the brackets.
    case badIPv6(String)
    case unclosedBracket
    /// An IPv6 address without brackets, where a port has to follow.
    case unbracketedIPv6(String)
    /// Something other than ":port" after the bracket.
    case trailing(String)
    case emptyUnixPath
    case nulInUnixPath
    /// Longer than a unix address holds: 107 bytes, or 108 for an abstract name with its NUL.
    case unixPathTooLong(bytes: Int)
}

extension AddressParseError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .empty: "the address is empty"
        case .missingPort: "the port is missing, as in \"host:443\""
        case .badPort(let text): "\"\(text)\" is not a port of 0 to 65535"
        case .badHost(let text): "\"\(text)\" is neither an IP address nor a host name"
        case .badIPv6(let text): "\"\(text)\" is not an IPv6 address"
        case .unclosedBracket: "the bracket around the IPv6 address is not closed"
        case .unbracketedIPv6(let text):
            "an IPv6 address with a port needs brackets: \"[\(text)]:443\""
        case .trailing(let text): "\"\(text)\" after the bracket is not \":port\""
        case .emptyUnixPath: "the unix path is empty"
        case .nulInUnixPath: "the unix path holds a NUL"
        case .unixPathTooLong(let bytes):
            "the unix path has \(bytes) bytes; 107 fit, or 108 for an abstract name"
        }
    }
}
