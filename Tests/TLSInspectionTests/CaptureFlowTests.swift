// Flows: what two sides said, however the capture has it, and what it says about them.

import Sockets
import Testing
import Tooling

@testable import TLSInspection
@testable import tlsinspect

/// What is sent in a flow: who, from which place of the stream on, and what.
private typealias Sent = (fromClient: Bool, place: Int, bytes: [UInt8])

@Suite(.timeLimit(.minutes(1)))
struct CaptureFlowTests {
    private let hello = TestSpeech.hello
    private let answer = TestSpeech.answer

    private func capture(
        _ sent: [Sent],
        opening: [Int] = [0, 1, 2],
        flags: UInt8 = 0
    ) -> [UInt8] { capture(TestFlow(), sent, opening: opening, flags: flags) }

    private func capture(
        _ flow: TestFlow,
        _ sent: [Sent],
        opening: [Int] = [0, 1, 2],
        flags: UInt8 = 0
    ) -> [UInt8] {
        var writer = CaptureWriter()
        for number in opening { writer.add(flow.opening[number]) }
        for (fromClient, place, bytes) in sent {
            writer.add(flow.packet(fromClient: fromClient, at: place, bytes))
        }
        if flags != 0 {
            let ends = (hello.count, answer.count)
            writer.add(flow.packet(fromClient: true, at: ends.0, flags: flags | TestFlow.ack))
            writer.add(flow.packet(fromClient: false, at: ends.1, flags: flags | TestFlow.ack))
        }
        return writer.bytes
    }

    private func flow(_ bytes: [UInt8], _ filter: CaptureFilter = .everything) throws -> FlowRecord
    {
        let (flows, _) = try inspected(bytes, filter: filter)
        try #require(flows.count == 1)
        return flows[0]
    }

    private func pieces(_ bytes: [UInt8], _ fromClient: Bool, size: Int) -> [Sent] {
        stride(from: 0, to: bytes.count, by: size).map {
            (fromClient, $0, Array(bytes[$0..<min($0 + size, bytes.count)]))
        }
    }

    @Test(
        "any cut of a hello, in any order and twice, is the hello that was sent",
        arguments: Cut.table,
        [0, UInt32.max - 100]
    )
    func cuts(_ cut: Cut, _ first: UInt32) throws {
        var flow = TestFlow()
        flow.first.client = first
        var place = 0
        var sent: [Sent] = []
        for piece in cut.pieces {
            // A packet has no more than 1,400 bytes of it.
            for (_, start, bytes) in pieces(piece, true, size: 1400) {
                sent.append((true, place + start, bytes))
            }
            place += piece.count
        }
        let expected = try self.flow(capture(flow, sent + pieces(answer, false, size: 60)))
        #expect(expected.hello.sni == "a.test" && expected.answer?.result == .chosen)
        #expect(expected.findings == [])
        // Within the pieces that are kept ahead.
        var moved: [Sent] = []
        for start in stride(from: 0, to: sent.count, by: 200) {
            moved += sent[start..<min(start + 200, sent.count)].reversed()
        }
        let answers = pieces(answer, false, size: 60)
        for order in [
            moved + answers, answers.reversed() + moved, moved + answers + moved + answers,
        ] {
            let found = try self.flow(capture(flow, order))
            #expect(found.hello == expected.hello && found.answer == expected.answer)
            #expect(found.findings == [])
        }
    }

    @Test(
        "a hello of 64 KiB is read, and one byte more is too large",
        arguments: [(64 << 10, true), ((64 << 10) + 1, false)]
    )
    func largest(_ count: Int, _ fits: Bool) throws {
        // Four records, whose headers are part of the limit; padding (RFC 7685 §3) fills it.
        let size = count - 4 * 5
        let head: [UInt8] = [3, 3] + [UInt8](repeating: 5, count: 32) + [0, 0, 2, 0x13, 1, 1, 0]
        let room = size - 4 - head.count - 2
        let lengths = [room, 21, room - 4].flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] }
        var message: [UInt8] =
            [1, 0, UInt8((size - 4) >> 8), UInt8((size - 4) & 255)] + head + lengths
        message += [UInt8](repeating: 0, count: room - 4)
        let bytes = pieces(message, true, size: 16384).flatMap { TestSpeech.record(22, $0.bytes) }
        #expect(bytes.count == count)
        // The last byte comes alone: what is whole when it comes was never too large.
        let last: [Sent] = [(true, count - 1, [0])]
        let found = try flow(capture(pieces(Array(bytes.dropLast()), true, size: 1400) + last))
        #expect(found.hello.result == (fits ? .tls : .tooLarge) && found.isTLS)
        #expect(found.findings.map(\.id) == (fits ? ["unanswered"] : ["malformed-hello"]))
    }

    @Test("who opened a flow is the client, also when not all of the opening is there")
    func opening() throws {
        let sent: [Sent] = [(true, 0, hello), (false, 0, answer)]
        for opening in [[0], [1], [0, 1], [1, 2], [0, 2], [0, 0, 1, 1, 2, 0]] {
            let found = try flow(capture(sent, opening: opening))
            #expect(found.hello.sni == "a.test" && found.isWhole && found.findings == [])
            #expect(found.hello.remote == "192.0.2.1:40000" && found.answer?.result == .chosen)
        }
        // The number of the first byte is known from what the other side acknowledges.
        let turned = try flow(
            capture(
                [(true, 90, Array(hello[90...])), (true, 0, Array(hello[..<90]))]
                    + pieces(answer, false, size: 70).reversed(),
                opening: [0, 2]
            )
        )
        #expect(turned.hello.sni == "a.test" && turned.answer?.result == .chosen)
    }

    @Test("a flow from the middle on is told if its hello or its answer is there")
    func middle() throws {
        let begun = try flow(capture([(true, 0, hello), (false, 0, answer)], opening: []))
        #expect(!begun.isWhole && begun.hello.sni == "a.test" && begun.answer?.result == .chosen)
        #expect(begun.hello.remote == "192.0.2.1:40000")
        let late = try flow(
            capture([(false, 0, answer), (true, 500, [23, 3, 3, 0, 1, 9])], opening: [])
        )
        #expect(!late.isWhole && late.hello.sni == nil && late.answer?.result == .chosen)
        #expect(late.hello.remote == "192.0.2.1:40000" && late.isTLS)
        #expect(late.hello.error == "it began before the capture")
        let (flows, summary) = try inspected(
            capture([(true, 0, [23, 3, 3, 0, 1, 9]), (false, 0, [1, 2, 3])], opening: []),
            filter: .everything
        )
        #expect(flows.isEmpty && summary.middle == 1 && summary.flows == 1)
        // Nothing but acknowledgments is no flow.
        #expect(try inspected(capture([], opening: [2])).summary.flows == 0)
    }

    @Test("what is missing in the capture is told, and nothing behind it is used")
    func gaps() throws {
        let half: [Sent] = [(true, 0, Array(hello[..<50])), (true, 80, Array(hello[80...]))]
        let found = try flow(capture(half + [(false, 0, answer)]))
        #expect(found.hello.result == .closed && found.findings.map(\.id) == ["missing-bytes"])
        #expect(found.hello.error == "bytes are missing in front of what came" && !found.isTLS)
        let server = try flow(capture([(true, 0, hello), (false, 20, Array(answer[20...]))]))
        #expect(server.hello.result == .tls && server.answer?.result == .nothing)
        #expect(server.findings.map(\.id) == ["unanswered", "missing-bytes"])
        // Packets that are cut by the capture leave gaps, too.
        var writer = CaptureWriter()
        let flow = TestFlow()
        for packet in flow.opening { writer.add(packet) }
        writer.add(Array(flow.packet(fromClient: true, at: 0, Array(hello[..<100])).dropLast(30)))
        writer.add(flow.packet(fromClient: true, at: 100, Array(hello[100...])))
        #expect(try self.flow(writer.bytes).findings.map(\.id) == ["missing-bytes"])
    }

    @Test("of bytes that come twice and differ the first count, and it is told")
    func disagreement() throws {
        var other = hello
        let name = try #require(other.firstRange(of: Array("a.test".utf8)))
        other.replaceSubrange(name, with: Array("b.test".utf8))
        for sent in [
            [(true, 0, hello), (true, 0, other)],
            [(true, 40, Array(hello[40...])), (true, 40, Array(other[40...])), (true, 0, hello)],
        ] as [[Sent]] {
            let found = try flow(capture(sent + [(false, 0, answer)]))
            #expect(
                found.hello.sni == "a.test" && found.findings.map(\.id) == ["segments-disagree"]
            )
        }
    }

    @Test("an alert in clear is a finding, whoever sent it", arguments: [false, true])
    func alerts(_ isOurs: Bool) throws {
        let refused = TestSpeech.alert(40)
        // The client's comes behind a ServerHello that it does not like.
        let sent: [Sent] =
            isOurs
            ? [(true, 0, hello), (false, 0, answer), (true, hello.count, refused)]
            : [(true, 0, hello), (false, 0, refused)]
        let (flows, summary) = try inspected(capture(sent))
        let found = try #require(flows.first)
        let side: FlowRecord.AlertNote.Side = isOurs ? .client : .server
        #expect(found.alert == .init(from: side, number: 40, name: "handshake_failure"))
        #expect(found.answer?.result == (isOurs ? .chosen : .alert))
        #expect(found.findings.map(\.id) == ["fatal-alert"])
        #expect(summary.exit == .findings && summary.refused == 1)
        var quiet = CaptureFilter()
        quiet.names = [.name("b.test")]
        let hidden = try inspected(capture(sent), filter: quiet).summary
        #expect(hidden.exit == .clean && hidden.hidden == 1)
    }

    @Test("a retry is told apart from the answer that follows it, or does not")
    func retry() throws {
        let retry = TestSpeech.retry
        let second = TestSpeech.record(20, [1]) + hello
        let sent: [Sent] = [
            (true, 0, hello), (false, 0, retry), (true, hello.count, second),
            (false, retry.count, answer),
        ]
        let found = try flow(capture(sent))
        #expect(found.retry?.name == "secp256r1" && found.answer?.group?.name == "x25519")
        #expect(found.answer?.result == .chosen && found.findings == [])
        let broken = try flow(
            capture(Array(sent[..<3]) + [(true, hello.count + second.count, TestSpeech.alert(47))])
        )
        #expect(broken.retry != nil && broken.answer?.result == .nothing)
        #expect(broken.alert?.from == .client && broken.alert?.number == 47)
        let cut = try flow(capture(Array(sent[..<3])))
        #expect(cut.findings.map(\.id) == ["unanswered"])
    }

    @Test(
        "an answer that is none is a finding",
        arguments: [
            (Array("HTTP/1.1 400 Bad Request\r\n".utf8), .notTLS, "malformed-answer"),
            (TestSpeech.record(22, [11, 0, 0, 1, 0]), .malformed, "malformed-answer"),
            (TestSpeech.record(23, [1, 2, 3]), .malformed, "malformed-answer"),
            (TestSpeech.record(22, [2, 255, 255, 255]), .malformed, "malformed-answer"),
            ([22, 3, 3, 255, 255], .malformed, "malformed-answer"),
            ([22, 3, 3, 0, 90, 2], .nothing, "unanswered"), ([], .nothing, "unanswered"),
        ] as [([UInt8], FlowRecord.Answer.Outcome, String)]
    )
    func answers(_ bytes: [UInt8], _ outcome: FlowRecord.Answer.Outcome, _ finding: String) throws {
        let found = try flow(capture([(true, 0, hello), (false, 0, bytes)]))
        #expect(found.answer?.result == outcome && found.findings.map(\.id) == [finding])
    }

    @Test("a flow ends by FIN or RST, and another one of the same ends is another flow")
    func ends() throws {
        let sent: [Sent] = [(true, 0, hello)]
        let closed = try flow(capture(sent, flags: TestFlow.rst))
        #expect(closed.answer?.result == .closed && closed.findings.map(\.id) == ["unanswered"])
        var again = TestFlow()
        again.first = (90_000, 7)
        var writer = CaptureWriter()
        for (number, flow) in [TestFlow(), again, again].enumerated() {
            for packet in flow.opening { writer.add(packet) }
            writer.add(flow.packet(fromClient: true, at: 0, hello))
            writer.add(flow.packet(fromClient: false, at: 0, answer))
            guard number == 0 else { continue }
            writer.add(
                flow.packet(fromClient: true, at: hello.count, flags: TestFlow.fin | TestFlow.ack)
            )
        }
        let (flows, summary) = try inspected(writer.bytes)
        // The third is the second, sent again.
        #expect(flows.count == 2 && summary.flows == 2 && summary.tls == 2 && summary.answered == 2)
    }

    @Test("what is not TLS is counted, and shown when it is asked for")
    func others() throws {
        let bytes = capture([(true, 0, Array("GET / HTTP/1.1\r\n\u{1b}[2J".utf8)), (false, 0, [1])])
        let (flows, summary) = try inspected(bytes)
        #expect(
            flows.isEmpty && summary.notTLS == 1 && summary.hidden == 1 && summary.exit == .clean
        )
        let found = try flow(bytes)
        #expect(found.hello.result == .notTLS && found.answer == nil && found.alert == nil)
        #expect(found.hello.beginning?.hasPrefix("GET / HTTP/1.1\\r\\n\\x1b[2J") == true)
    }

    @Test("filters by port and servername leave the others out")
    func filters() throws {
        var writer = CaptureWriter()
        for (number, port) in [443, 8443, 443].enumerated() {
            let flow = TestFlow(client: UInt8(number + 1), serverPort: port)
            for packet in flow.opening { writer.add(packet) }
            var bytes = hello
            if number == 2 {
                let name = try #require(bytes.firstRange(of: Array("a.test".utf8)))
                bytes.replaceSubrange(name, with: Array("A.TEST".utf8))
            }
            writer.add(flow.packet(fromClient: true, at: 0, bytes))
        }
        func count(_ configure: (inout CaptureFilter) -> Void) throws -> [Int] {
            var filter = CaptureFilter()
            configure(&filter)
            let (flows, summary) = try inspected(writer.bytes, filter: filter)
            return [flows.count, summary.flows, summary.hidden]
        }
        #expect(try count { $0.ports = [443] } == [2, 2, 0])
        #expect(try count { $0.ports = [40000, 1] } == [3, 3, 0])
        #expect(try count { $0.names = [.name("a.test")] } == [3, 3, 0])
        #expect(try count { $0.names = [.under(".test"), .unnamed] } == [3, 3, 0])
        #expect(
            try count { $0.names = [.unnamed, .name("b.test"), .under(".a.test")] } == [0, 3, 3]
        )
    }

    @Test("a flood of flows is bounded, the first that came make room, and it is told")
    func flood() throws {
        var writer = CaptureWriter()
        for number in 0..<300 {
            let flow = TestFlow(clientPort: 10_000 + number)
            writer.add(flow.opening[0])
            writer.add(flow.packet(fromClient: true, at: 0, Array(hello[..<60])))
        }
        let last = TestFlow(clientPort: 10_299)
        writer.add(last.packet(fromClient: true, at: 60, Array(hello[60...])))
        let few = try inspected(writer.bytes, filter: .everything, table: FlowTable(capacity: 100))
        #expect(few.flows.count == 300 && few.summary.flows == 300 && few.summary.tls == 1)
        #expect(few.summary.findings.map(\.id) == ["capture-limit"])
        #expect(few.flows.first?.hello.remote.hasSuffix(":10000") == true)
        let small = try inspected(
            writer.bytes,
            filter: .everything,
            table: FlowTable(heldMax: 6000)
        )
        #expect(small.flows.count == 300 && small.summary.tls == 1)
        #expect(small.summary.findings.map(\.id) == ["capture-limit"])
        let all = try inspected(writer.bytes, filter: .everything)
        #expect(all.summary.findings == [] && all.summary.tls == 1)
    }

    @Test("a name that would steer a terminal is shown without what would")
    func escapes() throws {
        var bytes = hello
        let name = try #require(bytes.firstRange(of: Array("a.test".utf8)))
        bytes.replaceSubrange(name, with: Array("\u{1b}[2Jx\u{7}".utf8.prefix(6)))
        let found = try flow(capture([(true, 0, bytes), (false, 0, TestSpeech.alert(112))]))
        let text = HelloLines(Painter(isColored: false)).text(of: found.hello)
        #expect(text.contains("[2Jx") && !text.contains("\u{1b}"))
        #expect(
            text.unicodeScalars.allSatisfy {
                $0 == "\n" || $0.properties.generalCategory != .control
            }
        )
    }
}
