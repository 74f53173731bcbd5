/// The syntax of a DNS host name, checked once and then carried.
///
/// Labels have 1...63 bytes of letters, digits, "-" and "_", with no "-" at either end; the name
/// has at most 253 bytes (RFC 1035 §2.3.4, RFC 1123 §2.1; "_" because names in use have it).
/// Internationalised names come as A-labels ("xn--…"). What any resolver could read as an IP
/// address is no host name: a last label that is a number ("1.2.3", "127.1", "0x7f000001").
package struct HostName: Hashable, Sendable {
    /// The name in lower case (DNS does not tell cases apart), without the last dot.
    package let text: String
    /// Whether the name ended in a dot: it is complete, and no search list applies.
    package let isFullyQualified: Bool

    /// Checks a name; nil if it is none.
    package init?(_ name: String) {
        var bytes = Array(name.utf8)
        let isFullyQualified = bytes.last == UInt8(ascii: ".")
        if isFullyQualified {
            bytes.removeLast()
        }
        guard (1...253).contains(bytes.count) else {
            return nil
        }
        let labels = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard labels.allSatisfy(Self.isLabel), let last = labels.last, !Self.isNumber(last) else {
            return nil
        }
        text = String(decoding: bytes, as: UTF8.self).lowercased()
        self.isFullyQualified = isFullyQualified
    }

    /// Whether the name is "localhost" or below it, and thus this machine (RFC 6761 §6.3).
    package var isLocalhost: Bool {
        text == "localhost" || text.hasSuffix(".localhost")
    }

    private static func isLabel(_ label: ArraySlice<UInt8>) -> Bool {
        let hyphen = UInt8(ascii: "-")
        return (1...63).contains(label.count) && label.first != hyphen && label.last != hyphen
            && label.allSatisfy {
                $0.isLetter || $0.isDigit || $0 == hyphen || $0 == UInt8(ascii: "_")
            }
    }

    private static func isNumber(_ label: ArraySlice<UInt8>) -> Bool {
        if label.allSatisfy(\.isDigit) {
            return true
        }
        let prefix = Array(label.prefix(2))
        return prefix.count == 2 && prefix[0] == UInt8(ascii: "0")
            && prefix[1] | 0x20 == UInt8(ascii: "x")
            && label.dropFirst(2).allSatisfy { $0.hexValue != nil }
    }
}

extension HostName: CustomStringConvertible {
    /// The name, with its last dot if it had one.
    package var description: String {
        isFullyQualified ? text + "." : text
    }
}
