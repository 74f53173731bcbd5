// Takes a packet apart until the segment of TCP in it: link layer, IPv4 or IPv6, TCP. Lengths are those of
// IP, as Ethernet fills small packets up; checksums are not looked at, as network cards make them behind the
// capture. Every other packet is one that is skipped, and says why.

/// Why a packet is not looked at.
public enum PacketSkip: String, CaseIterable, Codable, CodingKeyRepresentable, Error, Sendable {
    /// Its link layer is none that is known here.
    case link
    /// No IP in it.
    case notIP = "not_ip"
    /// UDP: no TLS; QUIC and DTLS are not read.
    case udp
    /// Another protocol over IP.
    case notTCP = "not_tcp"
    /// A part of a packet of IP.
    case fragment
    /// Its headers are not whole in the capture.
    case cut
    /// Its headers say what cannot be.
    case malformed
    /// It came from an interface that the file does not describe, or is larger than a packet can be.
    case unknown
}

/// One end of a flow.
struct PacketEndpoint: Hashable, Comparable {
    let high: UInt64
    let low: UInt64
    let isIPv4: Bool
    let port: UInt16

    static func < (left: PacketEndpoint, right: PacketEndpoint) -> Bool {
        (left.port, left.low, left.high) < (right.port, right.low, right.high)
    }
}

/// A segment of TCP.
struct TCPSegment {
    var source: PacketEndpoint
    var destination: PacketEndpoint
    /// The number of its first byte, or of the SYN.
    var sequence: UInt32
    /// The number of the byte that is expected from the other side.
    var acknowledgment: UInt32?
    var isSYN: Bool
    var isFIN: Bool
    var isRST: Bool
    /// What the capture has of its contents.
    var payload: ArraySlice<UInt8>

    /// The number of the first byte of ``payload``.
    var payloadSequence: UInt32 { isSYN ? sequence &+ 1 : sequence }
}

/// The link layers that are known here, by their numbers in captures.
enum LinkLayer {
    static let null: UInt16 = 0
    static let ethernet: UInt16 = 1
    /// Raw IP has had several numbers.
    static let raw: Set<UInt16> = [12, 14, 101]
    static let loop: UInt16 = 108
    static let linuxCooked: UInt16 = 113
    static let ipv4: UInt16 = 228
    static let ipv6: UInt16 = 229
    static let linuxCooked2: UInt16 = 276
}

/// Finds the segment of TCP in a packet.
///
/// - Parameters:
///   - packet: The bytes from the link layer on.
///   - link: The number of the link layer.
/// - Returns: The segment.
/// - Throws: Why there is none.
func segment(
    in packet: ArraySlice<UInt8>,
    link: UInt16
) throws(PacketSkip) -> TCPSegment {
    let bytes = BoundedBytes(packet)
    switch link {
    case LinkLayer.ethernet: return try network(bytes, typeAt: 12, bodyAt: 14)
    case LinkLayer.linuxCooked: return try network(bytes, typeAt: 14, bodyAt: 16)
    case LinkLayer.linuxCooked2: return try network(bytes, typeAt: 0, bodyAt: 20)
    case LinkLayer.null, LinkLayer.loop:
        // The family in the order of the machine that captured, and of several systems.
        guard let first = bytes.number8(0), let last = bytes.number8(3), let body = bytes.behind(4)
        else { throw .cut }
        guard [2, 10, 23, 24, 28, 30].contains(first == 0 ? last : first) else { throw .notIP }
        return try ip(body)
    case LinkLayer.ipv4, LinkLayer.ipv6: return try ip(bytes)
    case _ where LinkLayer.raw.contains(link): return try ip(bytes)
    default: throw .link
    }
}

private func network(
    _ bytes: BoundedBytes,
    typeAt place: Int,
    bodyAt start: Int
) throws(PacketSkip) -> TCPSegment {
    guard var type = bytes.number16(place), var body = bytes.behind(start) else { throw .cut }
    var tags = 0
    while type == 0x8100 || type == 0x88a8 || type == 0x9100 {
        guard let inner = body.number16(2), let rest = body.behind(4) else { throw .cut }
        tags += 1
        guard tags <= CaptureLimits.tags else { throw .malformed }
        (type, body) = (inner, rest)
    }
    guard type == 0x0800 || type == 0x86dd else { throw .notIP }
    return try ip(body)
}

private func ip(_ bytes: BoundedBytes) throws(PacketSkip) -> TCPSegment {
    guard let version = bytes.number8(0) else { throw .cut }
    switch version >> 4 {
    case 4: return try ipv4(bytes)
    case 6: return try ipv6(bytes)
    default: throw .notIP
    }
}

private func ipv4(_ bytes: BoundedBytes) throws(PacketSkip) -> TCPSegment {
    guard let first = bytes.number8(0), let said = bytes.number16(2), let place = bytes.number16(6),
        let kind = bytes.number8(9), let source = bytes.number32(12),
        let destination = bytes.number32(16)
    else { throw .cut }
    let headerCount = (first & 15) * 4
    // A card that cuts large packets itself is given a total length of 0.
    let total = said == 0 ? bytes.count : said
    guard headerCount >= 20, total >= headerCount else { throw .malformed }
    guard place & 0x3fff == 0 else { throw .fragment }
    try check(kind)
    guard let body = bytes.front(total).behind(headerCount) else { throw .cut }
    return try tcp(body) {
        PacketEndpoint(
            high: 0,
            low: UInt64($0 == 0 ? source : destination),
            isIPv4: true,
            port: $1
        )
    }
}

private func ipv6(_ bytes: BoundedBytes) throws(PacketSkip) -> TCPSegment {
    guard let said = bytes.number16(4), var kind = bytes.number8(6),
        let (sourceHigh, sourceLow) = pair(bytes, 8),
        let (destinationHigh, destinationLow) = pair(bytes, 24)
    else { throw .cut }
    guard var body = (said == 0 ? bytes : bytes.front(40 + said)).behind(40) else { throw .cut }
    var headers = 0
    // Hop-by-hop, routing, fragment, destination, authentication, mobility, host identity, shim.
    while [0, 43, 44, 60, 51, 135, 139, 140].contains(kind) {
        guard let next = body.number8(0), let length = body.number8(1) else { throw .cut }
        headers += 1
        guard headers <= CaptureLimits.extensionHeaders else { throw .malformed }
        var count = (length + 1) * 8
        if kind == 51 { count = (length + 2) * 4 }
        if kind == 44 {
            guard let place = body.number16(2) else { throw .cut }
            // One that is the only one of its packet is no part (RFC 6946 §4).
            guard place & 0xfff9 == 0 else { throw .fragment }
            count = 8
        }
        guard let rest = body.behind(count) else { throw .cut }
        (kind, body) = (next, rest)
    }
    try check(kind)
    return try tcp(body) {
        PacketEndpoint(
            high: $0 == 0 ? sourceHigh : destinationHigh,
            low: $0 == 0 ? sourceLow : destinationLow,
            isIPv4: false,
            port: $1
        )
    }
}

private func pair(_ bytes: BoundedBytes, _ place: Int) -> (UInt64, UInt64)? {
    guard let high = bytes.number64(place), let low = bytes.number64(place + 8) else { return nil }
    return (high, low)
}

private func check(_ kind: Int) throws(PacketSkip) {
    guard kind == 6 else { throw kind == 17 ? .udp : .notTCP }
}

private func tcp(
    _ bytes: BoundedBytes,
    _ end: (_ side: Int, _ port: UInt16) -> PacketEndpoint
) throws(PacketSkip) -> TCPSegment {
    guard let source = bytes.number16(0), let destination = bytes.number16(2),
        let sequence = bytes.number32(4), let acknowledgment = bytes.number32(8),
        let offset = bytes.number8(12), let flags = bytes.number8(13)
    else { throw .cut }
    let headerCount = (offset >> 4) * 4
    guard headerCount >= 20 else { throw .malformed }
    guard let payload = bytes.behind(headerCount) else { throw .cut }
    return TCPSegment(
        source: end(0, UInt16(source)),
        destination: end(1, UInt16(destination)),
        sequence: sequence,
        acknowledgment: flags & 0x10 == 0 ? nil : acknowledgment,
        isSYN: flags & 2 != 0,
        isFIN: flags & 1 != 0,
        isRST: flags & 4 != 0,
        payload: payload.slice
    )
}
