// A capture of what two engines said to each other, in the form that Wireshark and tshark read, without a
// network: packets of TCP over IPv4 around the bytes, in order and none of them lost.

import TLSEngine

/// A capture that is being written.
struct PacketCapture {
    /// The bytes of the file.
    private(set) var bytes: [UInt8]
    private var sequence: [TLSRole: UInt32] = [.client: 1000, .server: 5000]

    /// The most bytes of TLS in a packet.
    private static let payloadMax = 1400

    /// Begins a capture with the handshake of TCP.
    init() {
        // Little-endian, microseconds, version 2.4, raw IPv4 (LINKTYPE_RAW, 101).
        bytes = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0] + [UInt8](repeating: 0, count: 8)
        bytes += [0xff, 0xff, 0, 0, 101, 0, 0, 0]
        packet(.client, flags: 0x02, [])
        sequence[.client, default: 0] += 1
        packet(.server, flags: 0x12, [])
        sequence[.server, default: 0] += 1
        packet(.client, flags: 0x10, [])
    }

    /// Adds what one side sent.
    mutating func add(_ sent: [UInt8], from role: TLSRole) {
        for start in stride(from: 0, to: sent.count, by: Self.payloadMax) {
            let piece = Array(sent[start..<min(start + Self.payloadMax, sent.count)])
            packet(role, flags: 0x18, piece)
            sequence[role, default: 0] += UInt32(piece.count)
        }
    }

    private mutating func packet(_ role: TLSRole, flags: UInt8, _ payload: [UInt8]) {
        let isClient = role == .client
        let ports: [UInt8] = isClient ? [0xc3, 0x50, 0x01, 0xbb] : [0x01, 0xbb, 0xc3, 0x50]
        var tcp = ports + wide(sequence[role] ?? 0)
        tcp += flags == 0x02 ? wide(0) : wide(sequence[isClient ? .server : .client] ?? 0)
        tcp += [0x50, flags, 0xff, 0xff, 0, 0, 0, 0]
        let total = UInt16(20 + tcp.count + payload.count)
        var ip: [UInt8] = [
            0x45, 0, UInt8(total >> 8), UInt8(total & 0xff), 0, 1, 0, 0, 64, 6, 0, 0,
        ]
        ip += isClient ? [10, 0, 0, 1, 10, 0, 0, 2] : [10, 0, 0, 2, 10, 0, 0, 1]
        let count = UInt32(total)
        let length = wide(count).reversed()
        bytes += [UInt8](repeating: 0, count: 8) + length + length + ip + tcp + payload
    }

    /// A number in network order.
    private func wide(_ number: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
    }
}
