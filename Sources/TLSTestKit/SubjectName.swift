internal import Glibc

/// A name a certificate vouches for: one entry of its subjectAltName (RFC 5280 §4.2.1.6).
///
/// A string literal is an IP address when it parses as one, and a DNS name otherwise. Names of ASCII
/// are encoded as given, without any check of their characters, because tests need bad ones too;
/// others are an error, since a certificate holds internationalised names as A-labels
/// (RFC 5280 §7.2). Who wants such a bad name says so with ``raw(tag:contents:)``.
@nonexhaustive
public enum SubjectName: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// A DNS name; internationalised ones in A-labels (`xn--…`), or issuing throws `.invalidName`.
    case dns(String)
    /// An IPv4 or IPv6 address in text; issuing throws `.invalidName` when it does not parse.
    case ip(String)
    /// A mail address.
    case email(String)
    /// A URI.
    case uri(String)
    /// Any GeneralName: the number of its context tag (0...8) and its contents octets.
    case raw(tag: UInt8, contents: [UInt8])

    /// Makes an IP address of a text that parses as one, and a DNS name of any other.
    ///
    /// - Parameter text: A DNS name, or an address without brackets or zone.
    public init(_ text: String) {
        self = addressBytes(of: text) == nil ? .dns(text) : .ip(text)
    }

    /// Makes an IP address or a DNS name of a literal, see ``init(_:)``.
    ///
    /// - Parameter value: The literal.
    public init(stringLiteral value: String) { self.init(value) }

    /// The name as text, without its kind.
    public var description: String {
        switch self {
        case .dns(let text), .ip(let text), .email(let text), .uri(let text): text
        case .raw(let tag, let contents): "[\(tag)] \(hexadecimal(contents))"
        }
    }
}

extension DERWriter {
    /// Appends a GeneralName (RFC 5280 §4.2.1.6).
    mutating func generalName(_ name: SubjectName) throws(TestKitError) {
        switch name {
        case .email(let text): element(Tag.context(1), try ascii(text))
        case .dns(let text): element(Tag.context(2), try ascii(text))
        case .uri(let text): element(Tag.context(6), try ascii(text))
        case .ip(let text):
            guard let bytes = addressBytes(of: text) else {
                throw TestKitError(.invalidName, "\"\(text)\" is not an IP address")
            }
            element(Tag.context(7), bytes)
        case .raw(let tag, let contents):
            guard tag <= 8 else {
                throw TestKitError(.invalidName, "GeneralName has no tag [\(tag)]")
            }
            // otherName, x400Address, directoryName and ediPartyName are constructed.
            let isConstructed = tag == 0 || (3...5).contains(tag)
            element(Tag.context(tag, isConstructed: isConstructed), contents)
        }
    }

    /// An IA5String has no other characters.
    private func ascii(_ text: String) throws(TestKitError) -> String.UTF8View {
        guard text.utf8.allSatisfy({ $0 < 0x80 }) else {
            throw TestKitError(
                .invalidName,
                "\"\(text)\" is not ASCII: write it in A-labels (xn--…), or as .raw to be wrong"
            )
        }
        return text.utf8
    }
}

/// The 4 or 16 bytes of an address in network order, or nil.
func addressBytes(of text: String) -> [UInt8]? {
    guard !text.utf8.contains(0) else { return nil }
    for (family, count) in [(AF_INET, 4), (AF_INET6, 16)] {
        var bytes = [UInt8](repeating: 0, count: count)
        // inet_pton writes exactly `count` bytes for this family.
        if unsafe inet_pton(family, text, &bytes) == 1 { return bytes }
    }
    return nil
}

/// Lower-case hexadecimal digits without separators.
func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef")
    return String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
}
