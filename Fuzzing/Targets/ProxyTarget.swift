// Target `proxy`. Input: a limit and the beginning of a connection that should have a header of the PROXY
// protocol in front.
// Passes when a header that is found has its end within what came and within the limit, when less of it wants
// more and nothing else, when what comes behind it changes nothing, and when it is the same after it is written
// and read again.

import Sockets

func fuzzProxy(_ input: [UInt8]) {
    var script = ScriptReader(input)
    let limit = Int(script.byte()) * 32
    let bytes = script.rest()
    let found: ProxyHeader.Found
    do throws(ProxyHeaderFault) {
        guard let header = try ProxyHeader.read(bytes, limit: limit) else {
            require(bytes.count < max(limit, ProxyHeader.lineBytesMax, 16), "there is an end")
            return note(1, bytes.count / 16)
        }
        found = header
    } catch {
        if case .malformed(let reason) = error {
            require(reason.utf8.count < 80, "\(reason) says no more than it has to")
        }
        return note(2)
    }
    let header = found.header
    note(3, header.version == .v1 ? 1 : 2, min(header.attributes.count, 8))
    let most = header.version == .v1 ? ProxyHeader.lineBytesMax : limit
    require(found.count <= min(bytes.count, most), "\(found.count) bytes are there")
    let own = Array(bytes.prefix(found.count))
    require((try? ProxyHeader.read(own + [0], limit: limit)) == found, "the end is the header's")
    for count in Set([0, 1, 5, 12, 15, 16, found.count / 2, found.count - 1]) {
        let less = Array(own.prefix(min(count, found.count - 1)))
        do throws(ProxyHeaderFault) {
            require(try ProxyHeader.read(less, limit: limit) == nil, "\(count) bytes are not all")
        } catch {
            require(false, "\(count) bytes of a good header want more, and gave \(error)")
        }
    }
    // A sum is that of the bytes as they stood; all else is what it says.
    var kept = header
    kept.attributes.removeAll { $0.type == ProxyHeader.Attribute.checksum }
    let written = kept.bytes
    let again = try? ProxyHeader.read(written, limit: written.count)
    require(again?.header == kept, "\(kept) is written as it was read")
    require(again?.count == written.count, "and is as long as it is")
}

func proxySeeds() -> [String: [UInt8]] {
    var seeds: [String: [UInt8]] = [:]
    let ends = [("192.0.2.7", "198.51.100.9"), ("2001:db8::7", "::ffff:192.0.2.9")]
    for version in ProxyHeader.Version.allCases {
        for (number, end) in ends.enumerated() {
            var header = ProxyHeader(
                version,
                source: SocketAddress(end.0, port: 50114),
                destination: SocketAddress(end.1, port: 443)
            )
            if version == .v2 {
                header.attributes = [
                    .init(ProxyHeader.Attribute.alpn, Array("h2".utf8)),
                    .init(ProxyHeader.Attribute.authority, Array("a.test".utf8)),
                    .init(ProxyHeader.Attribute.filling, [0, 0, 0]),
                ]
            }
            seeds["seed-\(version)-\(number)"] = [128] + header.bytes + [22, 3, 1]
        }
    }
    var local = ProxyHeader(.v2, source: nil, destination: nil)
    local.isLocal = true
    seeds["seed-local"] = [128] + local.bytes
    seeds["seed-unknown"] = [128] + Array("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".utf8)
    // With a sum over it (RFC 3720 §B.4).
    seeds["seed-sum"] = [128] + checkedHeader
    return seeds
}

/// A header of version 2 with its sum, as haproxy writes it when it is told to.
private let checkedHeader: [UInt8] =
    Array("\r\n\r\n\0\r\nQUIT\n".utf8)
    + [0x21, 0x11, 0, 19, 127, 0, 0, 1, 127, 0, 0, 1, 1, 2, 3, 4, 3, 0, 4]
    + [0x8c, 0xbb, 0x14, 0xd2]
