// What a proxy says in front of a connection about who is at its other end: the PROXY protocol, versions 1
// (a line of text) and 2 (binary), by HAProxy's document "proxy-protocol.txt". Here is the value and how
// it is written; how it is read is in ProxyHeader+Reading.

import SocketCore

/// A header of the PROXY protocol.
package struct ProxyHeader: Hashable, Sendable {
    /// The two forms.
    package enum Version: String, CaseIterable, Hashable, Sendable {
        /// A line of text of at most 107 bytes.
        case v1
        /// Binary, with room for more than addresses.
        case v2
    }

    /// Something more about the connection (version 2 only).
    package struct Attribute: Hashable, Sendable {
        /// What it is.
        package var type: UInt8
        /// Its bytes, at most 65,535.
        package var value: [UInt8]

        /// The application protocol that was agreed or offered.
        package static let alpn: UInt8 = 0x01
        /// The name that the client asked for.
        package static let authority: UInt8 = 0x02
        /// A checksum over the whole header.
        package static let checksum: UInt8 = 0x03
        /// Filling.
        package static let filling: UInt8 = 0x04

        /// Makes an attribute.
        package init(_ type: UInt8, _ value: [UInt8]) {
            self.type = type
            self.value = value
        }
    }

    /// The form.
    package var version: Version
    /// Whether the proxy speaks for itself, for example to see whether the server is there: then the
    /// addresses are the connection's own.
    package var isLocal = false
    /// Who connected to the proxy; nil when it is not told.
    package var source: SocketAddress?
    /// Where to; nil when it is not told.
    package var destination: SocketAddress?
    /// What more is told, in order.
    package var attributes: [Attribute] = []

    /// Makes a header.
    ///
    /// - Parameters:
    ///   - version: The form.
    ///   - source: Who connected to the proxy; only IP addresses are told.
    ///   - destination: Where to; only IP addresses are told.
    package init(_ version: Version, source: SocketAddress?, destination: SocketAddress?) {
        self.version = version
        self.source = source
        self.destination = destination
    }

    /// The application protocol that is told; nil when none is.
    package var alpn: String? { text(of: Attribute.alpn) }

    /// The name that is told; nil when none is.
    package var authority: String? { text(of: Attribute.authority) }

    private func text(of type: UInt8) -> String? {
        attributes.first { $0.type == type }.map { String(decoding: $0.value, as: UTF8.self) }
    }

    // MARK: Writing

    /// The header as it stands in front of a connection.
    ///
    /// Addresses that are not both IP addresses are told as unknown; an IPv4 address beside an IPv6
    /// one is written as one of IPv6 (RFC 4291 §2.5.5.2). Attributes that do not fit are left out.
    package var bytes: [UInt8] { version == .v1 ? line : binary }

    static let signature: [UInt8] = Array("\r\n\r\n\0\r\nQUIT\n".utf8)

    /// The bytes in front of the addresses of version 2.
    static let fixedCount = 16

    private var addresses: (source: IPAddress, destination: IPAddress)? {
        guard !isLocal, let from = source.flatMap({ IPAddress($0.address) }),
            let to = destination.flatMap({ IPAddress($0.address) })
        else { return nil }
        switch (from, to) {
        case (.v4(let from), .v6): return (.v6(from.mapped), to)
        case (.v6, .v4(let to)): return (from, .v6(to.mapped))
        default: return (from, to)
        }
    }

    private var line: [UInt8] {
        guard let (from, to) = addresses, let source, let destination else {
            return Array("PROXY UNKNOWN\r\n".utf8)
        }
        let family = from.bytes.count == 4 ? "TCP4" : "TCP6"
        let words = ["PROXY", family, from.withoutZone, to.withoutZone]
        return Array(
            "\(words.joined(separator: " ")) \(source.port) \(destination.port)\r\n".utf8
        )
    }

    private var binary: [UInt8] {
        var body: [UInt8] = []
        var family: UInt8 = 0
        if let (from, to) = addresses, let source, let destination {
            family = from.bytes.count == 4 ? 0x11 : 0x21
            body = from.bytes + to.bytes + big(source.port) + big(destination.port)
        }
        for attribute in attributes where body.count + 3 + attribute.value.count <= 65535 {
            body += [attribute.type] + big(UInt16(attribute.value.count)) + attribute.value
        }
        return Self.signature + [isLocal ? 0x20 : 0x21, family] + big(UInt16(body.count)) + body
    }
}

private func big(_ number: UInt16) -> [UInt8] { [UInt8(number >> 8), UInt8(number & 255)] }

extension IPv4Address {
    fileprivate var mapped: IPv6Address { IPv6Address(high: 0, low: 0xFFFF << 32 | UInt64(number)) }
}

extension IPAddress {
    /// The text; a zone means nothing to another machine.
    fileprivate var withoutZone: String {
        if case .v6(let ip) = self {
            IPv6Address(high: ip.high, low: ip.low).description
        } else {
            description
        }
    }
}
