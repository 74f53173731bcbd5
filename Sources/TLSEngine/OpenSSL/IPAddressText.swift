// IP addresses as certificates hold them (4 or 16 bytes), as text and back.

import COpenSSL

/// The 4 or 16 bytes of an address, or nil when the text is none.
func ipAddressBytes(_ text: String) -> [UInt8]? {
    // OpenSSL reads with scanf, which takes spaces and signs, and stops at a NUL.
    guard text.utf8.allSatisfy(isAddressByte) else { return nil }
    ErrorQueue.clear()
    guard let octets = unsafe a2i_IPADDRESS(text) else {
        ErrorQueue.clear()
        return nil
    }
    defer { unsafe ASN1_STRING_free(octets) }
    let count = Int(unsafe ASN1_STRING_length(octets))
    guard let start = unsafe ASN1_STRING_get0_data(octets) else { return nil }
    return unsafe Array(UnsafeBufferPointer(start: start, count: count))
}

private func isAddressByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
        UInt8(ascii: "A")...UInt8(ascii: "F"), UInt8(ascii: "."), UInt8(ascii: ":"):
        true
    default: false
    }
}

/// An address as text: dotted IPv4, RFC 5952 IPv6; bytes of another length in hexadecimal.
func ipAddressText(_ bytes: [UInt8]) -> String {
    switch bytes.count {
    case 4: return bytes.map(String.init).joined(separator: ".")
    case 16: break
    default: return bytes.map { String($0, radix: 16) }.joined(separator: ":")
    }
    let groups = (0..<8).map { UInt16(bytes[$0 * 2]) << 8 | UInt16(bytes[$0 * 2 + 1]) }
    // The longest run of two or more zero groups is written "::" (RFC 5952 §4.2).
    var longest = 0..<0
    var start = 0
    while start < 8 {
        var end = start
        while end < 8, groups[end] == 0 { end += 1 }
        if end - start >= 2, end - start > longest.count { longest = start..<end }
        start = max(end, start + 1)
    }
    let write = { (range: Range<Int>) in
        groups[range].map { String($0, radix: 16) }.joined(separator: ":")
    }
    guard !longest.isEmpty else { return write(0..<8) }
    return write(0..<longest.lowerBound) + "::" + write(longest.upperBound..<8)
}
