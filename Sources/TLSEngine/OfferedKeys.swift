// The names of preshared keys in a ClientHello of TLS 1.3. Tickets of sessions are offered under the
// same heading, and look like nothing else.

/// The `pre_shared_key` extension of a ClientHello (RFC 8446 §4.2.11).
enum OfferedKeys {
    /// The number of the extension.
    static let number: UInt16 = 41

    /// Reads the names, in order.
    ///
    /// - Parameter contents: The contents octets of the extension.
    /// - Returns: The names up to the first thing that is malformed; OpenSSL refuses the rest.
    static func identities(_ contents: [UInt8]) -> [PresharedKeyIdentity] {
        var found: [PresharedKeyIdentity] = []
        guard contents.count >= 2 else { return [] }
        let end = 2 + (Int(contents[0]) << 8 | Int(contents[1]))
        guard end <= contents.count else { return [] }
        var place = 2
        while place + 2 <= end {
            let count = Int(contents[place]) << 8 | Int(contents[place + 1])
            // Behind the name comes its obfuscated age, of 4 bytes.
            guard count > 0, place + 2 + count + 4 <= end else { break }
            let bytes = Array(contents[(place + 2)..<(place + 2 + count)])
            found.append(PresharedKeyIdentity(bytes: bytes))
            place += 2 + count + 4
        }
        return found
    }
}
