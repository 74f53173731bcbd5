import Sockets
import TLSTestKit
import Testing

@testable import TLSInspection

/// Bytes that a server may send, and what they are read as.
struct HostileAnswer: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var bytes: [UInt8]
    var answer: RawAnswer?

    init(_ title: String, _ bytes: [UInt8], _ answer: RawAnswer?) {
        testDescription = title
        self.bytes = bytes
        self.answer = answer
    }

    static func record(_ kind: UInt8, _ contents: [UInt8]) -> [UInt8] {
        [kind, 3, 3, UInt8(contents.count >> 8), UInt8(contents.count & 255)] + contents
    }

    static func message(_ kind: UInt8, _ body: [UInt8]) -> [UInt8] {
        record(22, [kind, 0, UInt8(body.count >> 8), UInt8(body.count & 255)] + body)
    }

    static let hello = [3, 3] + [UInt8](repeating: 7, count: 32) + [0, 0xc0, 0x2b, 0]
    static let chosen: RawAnswer = .flight(ServerFlight(version: .tls12, suite: 0xc02b))

    static let all: [HostileAnswer] = [
        HostileAnswer("nothing", [], nil),
        HostileAnswer("a byte", [22], nil),
        HostileAnswer("HTTP", Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), .notTLS),
        HostileAnswer("SSH", Array("SSH-2.0-x\r\n".utf8), .notTLS),
        HostileAnswer("a record of SSL 2", [22, 2, 0, 0, 0], .notTLS),
        HostileAnswer("an alert", record(21, [2, 40]), .alert(Alert(40))),
        HostileAnswer("an unknown alert", record(21, [2, 200]), .alert(Alert(200))),
        HostileAnswer("close_notify", record(21, [1, 0]), .closed),
        HostileAnswer("a warning and a hello", record(21, [1, 112]) + message(2, hello), nil),
        HostileAnswer(
            "a warning and an alert",
            record(21, [1, 112]) + record(21, [2, 40]),
            .alert(Alert(40))
        ),
        HostileAnswer("an alert of one byte", record(21, [2]), .malformed("an alert of 1 bytes")),
        HostileAnswer(
            "an alert of no level",
            record(21, [9, 9]),
            .malformed("an alert of 2 bytes")
        ),
        HostileAnswer(
            "warnings without end",
            (0..<20).flatMap { _ in record(21, [1, 90]) },
            .malformed("warnings without end")
        ),
        HostileAnswer(
            "empty records without end",
            (0..<20).flatMap { _ in record(22, []) },
            .malformed("warnings without end")
        ),
        HostileAnswer(
            "a record too large",
            [22, 3, 3, 255, 255],
            .malformed("a record of 65535 bytes")
        ),
        HostileAnswer(
            "a message too large",
            record(22, [2, 255, 255, 255]),
            .malformed("a message of 16777215 bytes")
        ),
        HostileAnswer(
            "a certificate first",
            message(11, [0, 0, 0]),
            .malformed("message 11 before the ServerHello")
        ),
        HostileAnswer(
            "application data first",
            record(23, [1]),
            .malformed("a record of kind 23 before the handshake is done")
        ),
        HostileAnswer(
            "half a ServerHello",
            message(2, Array(hello.prefix(20))),
            .malformed("a message ends too early")
        ),
        HostileAnswer("a ServerHello alone", message(2, hello), nil),
        HostileAnswer("two ServerHellos", message(2, hello) + message(2, hello), chosen),
        HostileAnswer(
            "a ServerHello and an alert",
            message(2, hello) + record(21, [2, 80]),
            chosen
        ),
        HostileAnswer("a ServerHello and rubbish", message(2, hello) + [255, 255], chosen),
        HostileAnswer(
            "a session id of 33 bytes",
            message(
                2,
                Array(hello.prefix(34)) + [33] + [UInt8](repeating: 0, count: 33) + [0, 0, 0]
            ),
            .malformed("a session id too long")
        ),
        HostileAnswer(
            "an extension twice",
            message(2, hello + [0, 8, 0, 23, 0, 0, 0, 23, 0, 0]),
            .malformed("extension 23 twice")
        ),
        HostileAnswer(
            "a key exchange cut off",
            message(2, hello) + message(12, [3, 0]),
            chosen
        ),
        HostileAnswer(
            "messages without end",
            message(2, hello) + (0..<40).flatMap { _ in message(4, []) },
            chosen
        ),
    ]
}

@Suite(.timeLimit(.minutes(1)))
struct ServerReaderTests {
    @Test("whatever a server says is an answer, or wants more", arguments: HostileAnswer.all)
    func hostile(_ row: HostileAnswer) {
        var reader = ServerReader()
        #expect(reader.read(row.bytes) == row.answer)
        var slow = ServerReader()
        var answer: RawAnswer?
        for byte in row.bytes where answer == nil { answer = slow.read([byte]) }
        #expect(answer == row.answer)
    }

    @Test("a server that never ends is read no further than the bound")
    func endless() {
        var reader = ServerReader()
        let certificate = HostileAnswer.record(22, [UInt8](repeating: 11, count: 16000))
        var answer = reader.read(HostileAnswer.message(2, HostileAnswer.hello))
        var records = 0
        while answer == nil, records < 1000 {
            answer = reader.read(certificate)
            records += 1
        }
        #expect(answer == HostileAnswer.chosen)
        #expect(records < 20)
    }

    @Test("a flight of TLS 1.2 tells suite, group, scheme, protocol and chain, however it is cut")
    func flight() async throws {
        let bench = try TestBench()
        let options = try bench.listener { $0.maximumVersion = .tls12 }
        var hello = RawHello(versions: [.tls12], suites: [0xc02c])
        hello.groups = [0x0017]
        hello.schemes = [0x0403, 0x0503]
        hello.alpn = ["http/1.1"]
        let bytes = try await answer(to: hello, of: options)
        for size in [1, 3, 100, bytes.count] {
            var reader = ServerReader()
            var answer: RawAnswer?
            for start in stride(from: 0, to: bytes.count, by: size) where answer == nil {
                answer = reader.read(Array(bytes[start..<min(start + size, bytes.count)]))
            }
            guard case .flight(let flight)? = answer else {
                Issue.record("\(String(describing: answer))")
                return
            }
            #expect(flight.version == .tls12)
            #expect(flight.suite == 0xc02c)
            #expect(flight.group == 0x0017)
            #expect(flight.scheme == 0x0403)
            #expect(flight.alpn == "http/1.1")
            #expect(flight.certificates.count == 2)
            #expect(flight.isWhole)
            #expect(!flight.requestsCertificate)
            #expect(try Certificate(der: flight.certificates[0]).shortName == "a.test")
        }
    }

    @Test("without a key share a server of TLS 1.3 asks for one, and tells the group")
    func retry() async throws {
        let options = try TestBench().listener()
        var hello = RawHello(versions: [.tls13], suites: [0x1301])
        hello.groups = [0x0017]
        hello.schemes = [0x0403]
        let bytes = try await answer(to: hello, of: options)
        var reader = ServerReader()
        guard case .flight(let flight)? = reader.read(bytes) else {
            Issue.record("no answer")
            return
        }
        #expect(flight.isRetry)
        #expect(flight.version == .tls13)
        #expect(flight.group == 0x0017)
        hello.groups = [0x001d]
        hello.keyShares = [0x001d]
        var second = ServerReader()
        guard case .flight(let chosen)? = second.read(try await answer(to: hello, of: options))
        else {
            Issue.record("no answer")
            return
        }
        #expect(!chosen.isRetry)
        #expect(chosen.group == 0x001d)
    }

    /// What a listener says to a hello, up to its first pause behind a whole answer.
    private func answer(to hello: RawHello, of options: SocketListenerInit) async throws -> [UInt8]
    {
        try await withServer(options) { address in
            try await withSocket(SocketInit(type: .tcp, remote: address)) { socket in
                try await socket.write(
                    RawFraming.plain.records(of: hello.message(), version: hello.newest)
                )
                var reader = ServerReader()
                var bytes: [UInt8] = []
                while let more = try await socket.read() {
                    bytes += more
                    if reader.read(more) != nil { break }
                }
                return bytes
            }
        }
    }
}
