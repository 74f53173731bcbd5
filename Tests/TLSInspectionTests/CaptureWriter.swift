// Captures that tests write themselves, by the documents of the formats and without a line of the reader: files
// in both forms and orders, packets in every link layer, and the segments of a flow.

import Sockets
import Testing
import ToolFixtures
import Tooling

@testable import TLSInspection

/// A file that is being written.
struct CaptureWriter {
    enum Form: Hashable { case pcap(nanoseconds: Bool), pcapng(resolution: UInt8?) }

    var form = Form.pcap(nanoseconds: false)
    var isLittleEndian = true
    private(set) var bytes: [UInt8] = []

    init(_ form: Form = .pcap(nanoseconds: false), link: Int = 101, isLittleEndian: Bool = true) {
        (self.form, self.isLittleEndian) = (form, isLittleEndian)
        switch form {
        case .pcap(let nanoseconds):
            bytes = number(nanoseconds ? 0xa1b2_3c4d : 0xa1b2_c3d4, 4) + number(2, 2) + number(4, 2)
            bytes += number(0, 8) + number(262144, 4) + number(link, 4)
        case .pcapng(let resolution):
            beginSection()
            addInterface(
                link,
                options: resolution.map { number(9, 2) + number(1, 2) + [$0, 0, 0, 0] }
            )
        }
    }

    func number(_ value: Int, _ width: Int) -> [UInt8] {
        let bytes = (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        return isLittleEndian ? bytes : bytes.reversed()
    }

    mutating func beginSection() {
        // A comment in front of the end of the options.
        let options = number(1, 2) + number(5, 2) + Array("hello".utf8) + [0, 0, 0] + number(0, 4)
        block(
            0x0a0d_0d0a,
            number(0x1a2b_3c4d, 4) + number(1, 2) + number(0, 2) + number(-1, 8) + options
        )
    }

    mutating func addInterface(_ link: Int, options: [UInt8]?) {
        block(
            1,
            number(link, 2) + number(0, 2) + number(0, 4)
                + (options.map { $0 + number(0, 4) } ?? [])
        )
    }

    mutating func block(_ type: Int, _ body: [UInt8]) {
        let length = number(12 + body.count, 4)
        bytes += number(type, 4) + length + body + length
    }

    /// Adds bytes as they are.
    mutating func raw(_ more: [UInt8]) { bytes += more }

    /// Adds a packet, `ticks` parts of a second behind the first of 2027.
    mutating func add(_ packet: [UInt8], ticks: Int = 0, interface: Int = 0) {
        let start = 1_798_761_600
        let filling = [UInt8](repeating: 0, count: (4 - packet.count % 4) % 4)
        let size = number(packet.count, 4)
        switch form {
        case .pcap: bytes += number(start, 4) + number(ticks, 4) + size + size + packet
        case .pcapng(let resolution):
            let time: Int
            switch resolution {
            case nil: time = start * 1_000_000 + ticks
            case let digits? where digits & 128 != 0: time = start << Int(digits & 127) + ticks
            case let digits?: time = (0..<digits).reduce(start) { power, _ in power * 10 } + ticks
            }
            let stamp = number(time >> 32, 4) + number(time & 0xffff_ffff, 4)
            block(6, number(interface, 4) + stamp + size + size + packet + filling)
        }
    }

    /// Adds a packet without a time (pcapng).
    mutating func addSimple(_ packet: [UInt8]) {
        let filling = [UInt8](repeating: 0, count: (4 - packet.count % 4) % 4)
        block(3, number(packet.count, 4) + packet + filling)
    }
}

/// A flow of TCP, whose segments become packets.
struct TestFlow {
    enum Layer: CaseIterable {
        case ethernet, vlan, twoTags, cooked, cooked2, raw, rawOld, null, nullBig, loop, bare

        /// Its number in a capture.
        var number: Int {
            switch self {
            case .ethernet, .vlan, .twoTags: 1
            case .cooked: 113
            case .cooked2: 276
            case .raw: 101
            case .rawOld: 12
            case .null, .nullBig: 0
            case .loop: 108
            case .bare: 228
            }
        }
    }

    var layer = Layer.raw
    var isIPv6 = false
    /// The last byte of the client's address.
    var client: UInt8 = 1
    var clientPort = 40000
    var serverPort = 443
    var first: (client: UInt32, server: UInt32) = (1000, 5000)
    /// Put between IPv6's header and TCP's.
    var extensions: (kind: UInt8, bytes: [UInt8])?

    static let syn: UInt8 = 2
    static let fin: UInt8 = 1
    static let rst: UInt8 = 4
    static let ack: UInt8 = 16

    /// The three packets that open it.
    var opening: [[UInt8]] {
        [
            packet(fromClient: true, at: -1, flags: Self.syn, acknowledging: nil),
            packet(fromClient: false, at: -1, flags: Self.syn | Self.ack),
            packet(fromClient: true, at: 0),
        ]
    }

    /// A packet with bytes that begin at a place of the stream.
    func packet(
        fromClient: Bool,
        at place: Int,
        _ payload: [UInt8] = [],
        flags: UInt8 = TestFlow.ack,
        acknowledging: Int? = 0
    ) -> [UInt8] {
        let (mine, other) = fromClient ? (first.client, first.server) : (first.server, first.client)
        func big(_ value: Int, _ width: Int) -> [UInt8] {
            (0..<width).reversed().map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        let ports = fromClient ? [clientPort, serverPort] : [serverPort, clientPort]
        var tcp = ports.flatMap { big($0, 2) } + big(Int(mine) + 1 + place, 4)
        tcp += big(acknowledging.map { Int(other) + 1 + $0 } ?? 0, 4)
        // With options, as real ones have them.
        tcp += [0x80, acknowledging == nil ? flags & ~Self.ack : flags, 0xff, 0xff, 0, 0, 0, 0]
        tcp += [1, 1, 8, 10] + big(0, 8) + payload
        let ends: [UInt8] = fromClient ? [client, 254] : [254, client]
        var ip: [UInt8]
        if isIPv6 {
            let extra = extensions?.bytes ?? []
            ip = [0x60, 0, 0, 0] + big(tcp.count + extra.count, 2) + [extensions?.kind ?? 6, 64]
            for end in ends { ip += [0x20, 1, 0x0d, 0xb8] + big(0, 11) + [end] }
            ip += extra
        } else {
            // With an option, as almost none has it.
            ip = [0x46, 0] + big(24 + tcp.count, 2) + [0, 1, 0x40, 0, 64, 6, 0, 0]
            for end in ends { ip += [192, 0, 2, end] }
            ip += [1, 1, 1, 0]
        }
        return frame(ip + tcp)
    }

    private func frame(_ packet: [UInt8]) -> [UInt8] {
        let type: [UInt8] = isIPv6 ? [0x86, 0xdd] : [8, 0]
        let family: UInt8 = isIPv6 ? 10 : 2
        let macs = [UInt8](repeating: 2, count: 12)
        // Small packets are filled up on Ethernet.
        let filling = [UInt8](repeating: 0xee, count: max(0, 46 - packet.count))
        return switch layer {
        case .ethernet: macs + type + packet + filling
        case .vlan: macs + [0x81, 0, 0, 7] + type + packet + filling
        case .twoTags: macs + [0x88, 0xa8, 0, 7, 0x81, 0, 0, 9] + type + packet
        case .cooked: [0, 0, 3, 4, 0, 6] + [UInt8](repeating: 0, count: 8) + type + packet
        case .cooked2: type + [UInt8](repeating: 0, count: 18) + packet
        case .raw, .rawOld, .bare: packet
        case .null: [family, 0, 0, 0] + packet
        case .nullBig, .loop: [0, 0, 0, family] + packet
        }
    }
}

/// What a client and a server of TLS 1.3 say.
enum TestSpeech {
    /// A hello for a.test.
    static var hello: [UInt8] { Cut.table[0].pieces[0] }

    /// A ServerHello, and what is encrypted behind it.
    static let answer: [UInt8] =
        record(
            22,
            serverHello(random: [UInt8](repeating: 7, count: 32), group: [0, 0x1d, 0, 1, 9])
        )
        + record(20, [1]) + record(23, [UInt8](repeating: 9, count: 40))

    /// A request for another hello, with P-256.
    static let retry: [UInt8] =
        record(22, serverHello(random: ServerReader.retryRandom, group: [0, 0x17]))
        + record(20, [1])

    static func alert(_ number: UInt8) -> [UInt8] { record(21, [2, number]) }

    static func record(_ kind: UInt8, _ contents: [UInt8]) -> [UInt8] {
        [kind, 3, 3, UInt8(contents.count >> 8), UInt8(contents.count & 255)] + contents
    }

    private static func serverHello(random: [UInt8], group: [UInt8]) -> [UInt8] {
        let extensions: [UInt8] = [0, 43, 0, 2, 3, 4, 0, 51, 0, UInt8(group.count)] + group
        let body: [UInt8] =
            [3, 3] + random + [0, 0x13, 1, 0, 0, UInt8(extensions.count)] + extensions
        return [2, 0, 0, UInt8(body.count)] + body
    }
}

/// Reads a capture, and holds what comes out against the schema, unless that was done for others like it.
func inspected(
    _ bytes: [UInt8],
    pieces: Int = 4096,
    filter: CaptureFilter = CaptureFilter(),
    failOn: Severity = .bad,
    table: FlowTable = FlowTable(),
    validates: Bool = true
) throws -> (flows: [FlowRecord], summary: CaptureSummary) {
    var inspection = CaptureInspection(file: "-", filter: filter, failOn: failOn, flows: table)
    var flows: [FlowRecord] = []
    for start in stride(from: 0, to: bytes.count, by: pieces) {
        flows += try inspection.read(Array(bytes[start..<min(start + pieces, bytes.count)]))
    }
    flows += try inspection.finish()
    guard validates else { return (flows, inspection.summary) }
    let schema = try JSONSchema.inspector()
    for flow in flows.prefix(10) {
        let value = try JSONValue(parsing: JSONLine.text(of: flow))
        #expect(schema.faults(of: value) == [])
        #expect(value["command"] == "read" && value["event"] == "flow")
    }
    let summary = inspection.summary
    #expect(schema.faults(of: try JSONValue(parsing: JSONLine.text(of: summary))) == [])
    return (flows, summary)
}

extension CaptureFilter {
    /// All flows, also those without TLS.
    static var everything: CaptureFilter {
        var filter = CaptureFilter()
        filter.includesOthers = true
        return filter
    }
}
