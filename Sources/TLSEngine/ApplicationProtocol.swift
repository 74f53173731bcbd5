// ALPN: the list a client offers and how a server chooses from it (RFC 7301).

/// The wire form of a list of application protocols, and the choice from one (RFC 7301 §3).
enum ApplicationProtocolList {
    /// Writes a list as OpenSSL and the wire have it: each name behind its length.
    ///
    /// - Throws: ``TLSError`` `.invalidApplicationProtocol` for an empty name, one over 255 bytes,
    ///   a name that stands twice, or a list over ``TLSLimits/alpnListBytes``.
    static func wireForm(of names: [String], limit: Int) throws(TLSError) -> [UInt8] {
        var wire: [UInt8] = []
        var seen: Set<String> = []
        for name in names {
            let bytes = Array(name.utf8)
            guard let length = UInt8(exactly: bytes.count), length > 0 else {
                throw TLSError(
                    .invalidApplicationProtocol,
                    detail: "a protocol name has 1 to 255 bytes"
                )
            }
            guard seen.insert(name).inserted else {
                throw TLSError(.invalidApplicationProtocol, detail: "\(name) stands twice")
            }
            wire.append(length)
            wire.append(contentsOf: bytes)
        }
        guard wire.count <= limit else {
            throw TLSError(
                .invalidApplicationProtocol,
                detail: "the list is \(wire.count) bytes long, the limit is \(limit)"
            )
        }
        return wire
    }

    /// Chooses the first of the server's protocols that the client offers.
    ///
    /// - Parameters:
    ///   - preferences: The server's list in wire form.
    ///   - offer: The client's list in wire form; a malformed tail is not looked at.
    /// - Returns: The place of the chosen name within `offer`, or nil without overlap.
    static func choose(
        from preferences: [UInt8],
        offer: UnsafeBufferPointer<UInt8>
    ) -> Range<Int>? {
        var wanted = 0
        while wanted < preferences.count {
            let wantedEnd = wanted + 1 + Int(preferences[wanted])
            var place = 0
            while place < offer.count {
                let end = place + 1 + Int(unsafe offer[place])
                guard end <= offer.count else { break }
                // Lengths stand in front of the names, so equal slices are equal names.
                if unsafe offer[place..<end].elementsEqual(preferences[wanted..<wantedEnd]) {
                    return place + 1..<end
                }
                place = end
            }
            wanted = wantedEnd
        }
        return nil
    }
}

/// What a client accepts as the server's answer to its offer (RFC 7301 §3.2).
///
/// OpenSSL's client takes any answer.
struct ApplicationProtocolRule: Sendable {
    let offered: [String]
    let isRequired: Bool

    /// What is wrong with an answer; nil when nothing is.
    func problem(with choice: String?) -> TLSError? {
        guard let choice else {
            guard isRequired else { return nil }
            return TLSError(
                .noApplicationProtocol,
                phase: .finished,
                detail: "ALPN is required and the peer chose none",
                hint: "Offer a protocol the peer speaks, or do not require ALPN"
            )
        }
        guard !offered.contains(choice) else { return nil }
        return TLSError(
            .protocolViolation,
            phase: .finished,
            detail: "the peer chose an application protocol that was not offered"
        )
    }
}
