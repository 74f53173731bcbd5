// The seed's `SocketAddress`: a text and a port. The text may be an IPv4 or IPv6 address (with a
// zone), a DNS name, or the path of a unix socket; which one it is, is found when it is used.

package import SocketCore

/// Where a socket connects to or listens (seed `SocketAddress`).
public struct SocketAddress: Hashable, Sendable {
    /// An IP address, a DNS name, or `unix:` and a path (seed `address`).
    public var address: String
    /// The port, 0...65535; 0 has the system choose one to listen on (seed `port`).
    ///
    /// Unix sockets have none.
    public var port: UInt16

    /// Makes an address from its parts; the text is judged when the address is used.
    ///
    /// - Parameters:
    ///   - address: `127.0.0.1`, `::1`, `fe80::1%eth0`, `example.com`, or `unix:/run/app.sock`. IPv6
    ///     addresses may stand in brackets.
    ///   - port: The port.
    public init(_ address: String, port: UInt16) {
        let isBracketed = address.hasPrefix("[") && address.hasSuffix("]")
        self.address = isBracketed ? String(address.dropFirst().dropLast()) : address
        self.port = port
    }

    /// Reads an address from one text.
    ///
    /// - Parameters:
    ///   - text: `127.0.0.1:443`, `[::1]:443`, `example.com:443` or `unix:/run/app.sock`.
    ///   - defaultPort: The port of a text that names none.
    /// - Throws: ``SocketError`` `.invalidAddress` that says what is wrong.
    public init(parsing text: String, defaultPort: UInt16? = nil) throws(SocketError) {
        do throws(AddressParseError) {
            self.init(try AddressParser.parse(text, defaultPort: defaultPort))
        } catch {
            throw SocketError(.invalidAddress, detail: error.description)
        }
    }

    /// Makes an address from the number that an IP address is on the wire.
    ///
    /// - Parameters:
    ///   - high: The first eight bytes of an IPv6 address.
    ///   - low: Its last eight bytes, or the four of an IPv4 address.
    ///   - isIPv4: Whether it is one of IPv4.
    ///   - port: The port.
    package init(ipHigh high: UInt64, low: UInt64, isIPv4: Bool, port: UInt16) {
        let text =
            isIPv4
            ? IPv4Address(UInt32(truncatingIfNeeded: low)).description
            : IPv6Address(high: high, low: low).description
        self.init(text, port: port)
    }

    init(_ endpoint: Endpoint) {
        switch endpoint {
        case .address(let address): self.init(address)
        case .name(let name, let port): self.init(name.description, port: port)
        }
    }

    /// Makes an address of the kernel's.
    package init(_ address: NetworkAddress) {
        switch address {
        case .ip(let ip, let port): self.init(ip.description, port: port)
        case .unix(let path):
            let shown = path.first == "\0" ? "@" + path.dropFirst() : path
            self.init("unix:" + shown, port: 0)
        }
    }

    /// What the text is.
    ///
    /// - Throws: ``SocketError`` `.invalidAddress`.
    func endpoint() throws(SocketError) -> Endpoint {
        if address.hasPrefix("unix:") {
            do throws(AddressParseError) {
                return .address(.unix(path: try AddressParser.unixPath(address.dropFirst(5))))
            } catch {
                throw SocketError(.invalidAddress, detail: error.description)
            }
        }
        if let ip = IPAddress(address) { return .address(.ip(ip, port: port)) }
        guard let name = HostName(address) else {
            throw SocketError(
                .invalidAddress,
                detail: "\"\(address)\" is neither an IP address nor a DNS name"
            )
        }
        return .name(name, port: port)
    }
}

extension SocketAddress: CustomStringConvertible {
    /// The address as ``init(parsing:defaultPort:)`` reads it, for example `[::1]:443`.
    public var description: String {
        if address.hasPrefix("unix:") { return address }
        return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }
}
