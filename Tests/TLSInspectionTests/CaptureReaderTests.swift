// Files and packets: every form says the same, and what is broken is told and never trapped on.

import Sockets
import Testing

@testable import TLSInspection

@Suite(.timeLimit(.minutes(1)))
struct CaptureReaderTests {
    /// A file with the hello and its answer.
    private func capture(
        _ form: CaptureWriter.Form = .pcap(nanoseconds: false),
        _ flow: TestFlow = TestFlow(),
        isLittleEndian: Bool = true
    ) -> [UInt8] {
        var writer = CaptureWriter(form, link: flow.layer.number, isLittleEndian: isLittleEndian)
        for packet in packets(flow) { writer.add(packet, ticks: 5) }
        return writer.bytes
    }

    private func packets(_ flow: TestFlow) -> [[UInt8]] {
        flow.opening + [
            flow.packet(fromClient: true, at: 0, TestSpeech.hello),
            flow.packet(fromClient: false, at: 0, TestSpeech.answer),
        ]
    }

    private func expectWhole(_ bytes: [UInt8], _ client: String, pieces: Int = 1000) throws {
        let (flows, summary) = try inspected(bytes, pieces: pieces)
        #expect(summary.packets == 5 && summary.findings == [] && summary.exit == .clean)
        #expect(summary.skipped.values.allSatisfy { $0 == 0 })
        try #require(flows.count == 1)
        let flow = flows[0]
        #expect(flow.hello.remote == client && flow.hello.sni == "a.test" && flow.isWhole)
        #expect(flow.hello.backend?.hasSuffix(":443") == true)
        #expect(flow.answer?.suite?.name == "TLS_AES_128_GCM_SHA256")
        #expect(flow.answer?.group?.name == "x25519" && flow.packets == 5 && flow.findings == [])
    }

    @Test(
        "both forms, in both orders of bytes and any resolution, say the same",
        arguments: [
            .pcap(nanoseconds: false), .pcap(nanoseconds: true), .pcapng(resolution: nil),
            .pcapng(resolution: 3), .pcapng(resolution: 9), .pcapng(resolution: 128 + 20),
        ] as [CaptureWriter.Form],
        [true, false]
    )
    func forms(_ form: CaptureWriter.Form, _ isLittleEndian: Bool) throws {
        let bytes = capture(form, isLittleEndian: isLittleEndian)
        for pieces in [1, 7, 100_000] { try expectWhole(bytes, "192.0.2.1:40000", pieces: pieces) }
        let first = try inspected(bytes).summary.first
        // Five milliseconds, or five of something less.
        let ending = form == .pcapng(resolution: 3) ? "05" : "00"
        #expect(first == "2027-01-01T00:00:00.0\(ending)Z")
    }

    @Test(
        "every link layer leads to the same segments, by IPv4 and IPv6",
        arguments: TestFlow.Layer.allCases,
        [false, true]
    )
    func layers(_ layer: TestFlow.Layer, _ isIPv6: Bool) throws {
        let flow = TestFlow(layer: layer, isIPv6: isIPv6)
        let client = isIPv6 ? "[2001:db8::1]:40000" : "192.0.2.1:40000"
        try expectWhole(capture(.pcap(nanoseconds: false), flow), client)
        try expectWhole(capture(.pcapng(resolution: nil), flow), client)
    }

    @Test("extension headers are passed over, and parts of packets are not looked at")
    func extensions() throws {
        var flow = TestFlow(isIPv6: true)
        // Hop-by-hop, destination, authentication, and a fragment that is whole.
        flow.extensions = (
            0,
            [60, 0, 0, 0, 0, 0, 0, 0] + [51, 1] + [UInt8](repeating: 0, count: 14)
                + [44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] + [6, 0, 0, 0, 0, 0, 0, 1]
        )
        try expectWhole(capture(.pcap(nanoseconds: false), flow), "[2001:db8::1]:40000")
        flow.extensions = (44, [6, 0, 0, 1, 0, 0, 0, 1])
        #expect(
            try inspected(capture(.pcap(nanoseconds: false), flow)).summary.skipped[.fragment] == 5
        )
        flow.extensions = (0, [UInt8](repeating: 0, count: 8 * 17))
        #expect(
            try inspected(capture(.pcap(nanoseconds: false), flow)).summary.skipped[.malformed] == 5
        )
    }

    @Test("a card that cuts packets itself gives lengths of 0, and is understood")
    func offload() throws {
        for isIPv6 in [false, true] {
            var writer = CaptureWriter()
            for var packet in packets(TestFlow(isIPv6: isIPv6)) {
                let place = isIPv6 ? 4 : 2
                packet.replaceSubrange(place..<(place + 2), with: [0, 0])
                writer.add(packet)
            }
            try expectWhole(writer.bytes, isIPv6 ? "[2001:db8::1]:40000" : "192.0.2.1:40000")
        }
    }

    @Test("packets that are not looked at are counted by the reason")
    func skipped() throws {
        var writer = CaptureWriter(.pcap(nanoseconds: false), link: 1)
        let flow = TestFlow(layer: .ethernet)
        let good = flow.packet(fromClient: true, at: 0, TestSpeech.hello)
        func changed(_ place: Int, _ value: UInt8) -> [UInt8] {
            var packet = good
            packet[place] = value
            return packet
        }
        writer.add(changed(12, 9))  // no IP
        writer.add(changed(14 + 9, 17))  // UDP
        writer.add(changed(14 + 9, 1))  // ICMP
        writer.add(changed(14 + 6, 0x20))  // more fragments
        writer.add(changed(14 + 7, 9))  // not the first fragment
        writer.add(changed(14, 0x43))  // a header of twelve bytes
        writer.add(changed(14 + 24 + 12, 0x40))  // and one of TCP
        writer.add(Array(good.prefix(14 + 24 + 10)))  // cut
        writer.add([])
        writer.add(
            [UInt8](repeating: 2, count: 12) + Array(repeating: [0x81, 0, 0, 1], count: 7).joined()
        )
        let summary = try inspected(writer.bytes).summary
        let expected: [PacketSkip: Int] = [
            .link: 0, .notIP: 1, .udp: 1, .notTCP: 1, .fragment: 2, .cut: 2, .malformed: 3,
            .unknown: 0,
        ]
        #expect(summary.skipped == expected && summary.packets == 10 && summary.flows == 0)
        let odd = CaptureWriter(.pcap(nanoseconds: false), link: 147).bytes
        var strange = CaptureWriter(.pcap(nanoseconds: false), link: 147)
        strange.add(good)
        #expect(try inspected(odd).summary.packets == 0)
        #expect(try inspected(strange.bytes).summary.skipped[.link] == 1)
    }

    @Test(
        "interfaces have their own link layer, sections their own interfaces; packets may lack a time"
    )
    func sections() throws {
        var writer = CaptureWriter(.pcapng(resolution: nil), link: 147)
        writer.addInterface(
            113,
            options: writer.number(14, 2) + writer.number(8, 2) + writer.number(60, 8)
        )
        let cooked = packets(TestFlow(layer: .cooked))
        writer.add(cooked[0], interface: 1)
        // Names, and a block that nobody knows.
        writer.block(4, [0, 0, 0, 0])
        writer.block(0x0bad, [UInt8](repeating: 1, count: 400))
        writer.add(cooked[1], interface: 1)
        writer.add(cooked[2], interface: 2)
        writer.isLittleEndian = false
        writer.beginSection()
        writer.addInterface(1, options: nil)
        for packet in packets(TestFlow(layer: .ethernet))[3...] { writer.addSimple(packet) }
        // The old form of a packet, with 16 bits for the interface.
        writer.block(
            2,
            writer.number(0, 2) + writer.number(9, 2) + writer.number(0, 8) + writer.number(0, 8)
        )
        let (flows, summary) = try inspected(writer.bytes, pieces: 3)
        #expect(
            summary.packets == 6 && summary.skipped[.unknown] == 1 && summary.skipped[.cut] == 1
        )
        #expect(summary.findings == [] && flows.first?.answer?.result == .chosen)
        // The offset of the interface is a minute.
        #expect(flows.first?.hello.time == "2027-01-01T00:01:00.000Z")
        var timeless = CaptureWriter(.pcapng(resolution: nil))
        for packet in packets(TestFlow()) { timeless.addSimple(packet) }
        let bare = try inspected(timeless.bytes)
        #expect(
            bare.flows.count == 1 && bare.flows[0].hello.time == nil && bare.summary.first == nil
        )
    }

    @Test(
        "a time that no clock tells is none",
        arguments: [0, 19, 20, 127, 128, 128 + 63, 255] as [UInt8]
    )
    func times(_ resolution: UInt8) throws {
        var writer = CaptureWriter(.pcapng(resolution: nil))
        writer.addInterface(
            101,
            options: writer.number(9, 2) + writer.number(1, 2) + [resolution, 0, 0, 0]
        )
        let packet = TestFlow().opening[0]
        let size = writer.number(packet.count, 4)
        let padding = [UInt8](repeating: 0, count: (4 - packet.count % 4) % 4)
        writer.block(
            6,
            writer.number(1, 4) + [UInt8](repeating: 255, count: 8) + size + size + packet + padding
        )
        let summary = try inspected(writer.bytes).summary
        #expect(summary.packets == 1 && summary.findings == [])
        #expect(summary.first?.hasPrefix("1970-01-01") ?? true || resolution == 19)
    }

    @Test("what is no capture is told as that")
    func strangers() {
        let files: [([UInt8], String)] = [
            ([], "the file is empty"), ([0xd4, 0xc3, 0xb2], "the file is no capture"),
            (Array("hello, world, this is no capture".utf8), "the file is no capture"),
            ([0x1f, 0x8b, 8, 0, 0, 0], "the file is compressed"),
            (
                [0xd4, 0xc3, 0xb2, 0xa1, 3] + [UInt8](repeating: 0, count: 20),
                "a capture of version 3"
            ),
        ]
        for (bytes, reason) in files {
            #expect { try inspected(bytes) } throws: { ($0 as? CaptureFault)?.reason == reason }
        }
    }

    @Test("a file that is cut anywhere is told so, and what is in front of the cut counts")
    func cuts() throws {
        for form in [CaptureWriter.Form.pcap(nanoseconds: false), .pcapng(resolution: nil)] {
            let bytes = capture(form)
            let head = form == .pcapng(resolution: nil) ? 4 : 24
            var ends: Set<Int> = [bytes.count]
            for count in head..<bytes.count {
                let (_, summary) = try inspected(Array(bytes[..<count]), validates: false)
                if summary.findings.isEmpty { ends.insert(count) }
                #expect(summary.findings.allSatisfy { $0.id == "truncated-capture" })
                #expect(summary.exit == .clean)
            }
            // Between packets or blocks nothing is cut: five packets, and what is in front of them.
            #expect(ends.count == (head == 24 ? 6 : 7), "\(ends.sorted())")
        }
    }

    @Test("lengths that cannot be end the reading, and what came before is told")
    func lies() throws {
        let whole = capture()
        let lies: [[UInt8]] = [
            [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0, 1, 0, 4, 0],
            [0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255],
        ]
        for lie in lies {
            let (flows, summary) = try inspected(whole + lie)
            #expect(flows.count == 1 && summary.findings.map(\.id) == ["malformed-capture"])
            #expect(summary.exit == .findings)
        }
        let blocks = capture(.pcapng(resolution: nil))
        let writer = CaptureWriter(.pcapng(resolution: nil))
        func block(_ type: Int, _ length: Int, _ body: [UInt8]) -> [UInt8] {
            writer.number(type, 4) + writer.number(length, 4) + body
        }
        let broken: [[UInt8]] = [
            block(6, 0, []), block(6, 8, []), block(6, 28, []), block(5, 0, []), block(5, 11, []),
            block(5, 14, []), block(6, 17 << 20, []), block(0x0a0d_0d0a, 28, [1, 2, 3, 4]),
            block(1, 16, []), block(0x0a0d_0d0a, 24, writer.number(0x1a2b_3c4d, 4)),
            // A packet that is longer than its block, and a block that ends as another one.
            block(
                6,
                36,
                [UInt8](repeating: 0, count: 12) + writer.number(5, 4) + writer.number(5, 4)
            ),
            block(5, 16, [0, 0, 0, 0, 20, 0, 0, 0]), block(3, 16, writer.number(9, 4)),
            block(0x0a0d_0d0a, 28, writer.number(0x1a2b_3c4d, 4) + [2, 0, 0, 0]),
        ]
        for lie in broken {
            let filled = lie + [UInt8](repeating: 0, count: 40)
            let (flows, summary) = try inspected(blocks + filled)
            #expect(flows.count == 1, "\(lie)")
            #expect(summary.findings.map(\.id) == ["malformed-capture"], "\(lie)")
        }
    }

    @Test("options without end, and interfaces without end, cost what the limits say")
    func endless() throws {
        var writer = CaptureWriter(.pcapng(resolution: nil))
        // Each option is empty; the last one has a length that goes beyond the block.
        let options = Array(repeating: writer.number(2, 2) + writer.number(0, 2), count: 50_000)
            .joined()
        writer.addInterface(
            101,
            options: Array(options) + writer.number(9, 2) + writer.number(65535, 2)
        )
        for _ in 0..<CaptureLimits.interfaces { writer.addInterface(101, options: nil) }
        for packet in packets(TestFlow()) { writer.add(packet, interface: 1) }
        writer.add(TestFlow().opening[0], interface: CaptureLimits.interfaces)
        let (flows, summary) = try inspected(writer.bytes, pieces: 1 << 20)
        #expect(flows.count == 1 && summary.skipped[.unknown] == 1)
        #expect(summary.findings.map(\.id) == ["capture-limit"])
    }

    @Test("a packet has 256 KiB and not one byte more")
    func packetLimit() throws {
        for (count, findings) in [
            (CaptureLimits.packetBytes, 0), (CaptureLimits.packetBytes + 1, 1),
        ] {
            var writer = CaptureWriter()
            writer.add([0x45] + [UInt8](repeating: 0, count: count - 1))
            #expect(try inspected(writer.bytes).summary.findings.count == findings)
            // A block tells where the next one is.
            var blocks = CaptureWriter(.pcapng(resolution: nil))
            blocks.add([0x45] + [UInt8](repeating: 0, count: count - 1))
            let summary = try inspected(blocks.bytes).summary
            #expect(summary.findings == [] && summary.skipped[.unknown] == findings)
        }
    }
}
