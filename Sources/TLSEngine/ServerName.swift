// What a client calls the server: a DNS host name for SNI (RFC 6066 §3), or an IP address, which is
// never sent and is matched against the certificate's IP addresses.

/// The name a certificate must be for: a DNS host name in A-labels, or an IP address.
public struct ServerName: Hashable, Sendable, CustomStringConvertible {
    /// The kinds of names.
    public enum Kind: Hashable, Sendable {
        /// A DNS host name.
        case dns
        /// An IPv4 or IPv6 address.
        case ipAddress
    }

    /// DNS name or IP address.
    public let kind: Kind
    /// The name, without a trailing dot; an address in its canonical form, without brackets and zone.
    public let text: String

    /// Reads a name.
    ///
    /// - Parameter text: A DNS host name in A-labels of at most 253 bytes, with or without a
    ///   trailing dot, or an IP address without brackets, with or without a zone.
    /// - Throws: ``TLSError`` `.invalidServername` when it is neither. A name whose last label is a
    ///   number is neither: it is a mistyped address.
    public init(_ text: String) throws(TLSError) {
        // Only an IPv6 address has a zone (RFC 4007 §11).
        let address = text.contains(":") ? String(text.prefix { $0 != "%" }) : text
        if let bytes = ipAddressBytes(address) {
            kind = .ipAddress
            self.text = ipAddressText(bytes)
            return
        }
        var name = Substring(text)
        if name.hasSuffix("."), name.utf8.count > 1 { name = name.dropLast() }
        guard let problem = ServerName.problem(of: name) else {
            kind = .dns
            self.text = String(name)
            return
        }
        throw TLSError(.invalidServername, detail: problem)
    }

    /// The name.
    public var description: String { text }

    /// What is wrong with a host name, or nil (RFC 1123 §2.1; underscores are seen in practice).
    private static func problem(of name: Substring) -> String? {
        guard !name.isEmpty else { return "the name is empty" }
        guard name.utf8.allSatisfy({ $0 < 0x80 }) else {
            return "the name is not ASCII: write it in A-labels (xn--…)"
        }
        guard name.utf8.count <= 253 else { return "the name is longer than 253 bytes" }
        for label in name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        {
            guard (1...63).contains(label.count) else {
                return "a label of the name is empty or longer than 63 bytes"
            }
            guard label.first != UInt8(ascii: "-"), label.last != UInt8(ascii: "-") else {
                return "a label of the name begins or ends with a hyphen"
            }
            for byte in label {
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    continue
                default: return "the name holds a character that no host name has"
                }
            }
        }
        let last = name.utf8.split(separator: UInt8(ascii: ".")).last ?? Substring().utf8
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        return last.allSatisfy(digits.contains) ? "the name ends in a number" : nil
    }
}
