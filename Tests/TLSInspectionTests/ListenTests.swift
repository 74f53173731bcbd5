// `listen`: each hello that comes, and the way it goes, with the cuts of INSPECTOR's fragment table.

import Foundation
import Synchronization
import TLSTestKit
import Testing
import ToolFixtures
import Tooling

@testable import SocketCore
@testable import Sockets
@testable import TLSInspection
@testable import tlsinspect

/// A cut of a hello, as a table row.
struct Cut: Sendable, CustomTestStringConvertible {
    let testDescription: String
    var size: Int?
    var records: [Int] = []
    var segments: [Int] = []

    /// A hello for a.test in the row's records, in the row's segments.
    var pieces: [[UInt8]] {
        var hello = RawHello(versions: [.tls13, .tls12], suites: [0x1301, 0xc02b])
        hello.groups = [0x001d, 0x0017]
        hello.schemes = [0x0403]
        hello.servername = "a.test"
        hello.alpn = ["h2", "http/1.1"]
        hello.size = size
        let message = hello.message()
        var bytes: [UInt8] = []
        var (rest, sizes) = (message[...], records[...])
        while !rest.isEmpty {
            // The last size is that of all records behind.
            let size = sizes.count > 1 ? sizes.removeFirst() : sizes.first ?? 16384
            let part = rest.prefix(size)
            bytes += [22, 3, 1, UInt8(part.count >> 8), UInt8(part.count & 255)] + part
            rest = rest.dropFirst(size)
        }
        var pieces: [[UInt8]] = []
        var left = bytes[...]
        for size in segments where left.count > size {
            pieces.append(Array(left.prefix(size)))
            left = left.dropFirst(size)
        }
        return segments == [1] ? bytes.map { [$0] } : pieces + [Array(left)]
    }

    static let table: [Cut] = [
        Cut(testDescription: "whole"), Cut(testDescription: "2 segments", segments: [100]),
        Cut(testDescription: "1 byte a segment", segments: [1]),
        Cut(testDescription: "split in the record's header", segments: [3]),
        Cut(testDescription: "2 records", records: [90, 16384]),
        Cut(testDescription: "the first record of 1 byte", records: [1, 16384]),
        Cut(testDescription: "all records of 1 byte", records: [1]),
        Cut(
            testDescription: "all records of 1 byte, a byte a segment",
            records: [1],
            segments: [1]
        ),
        Cut(testDescription: "2 KB of padding", size: 2048),
        Cut(testDescription: "12 KB of padding", size: 12 << 10),
        Cut(testDescription: "20 KB", size: 20 << 10),
        Cut(testDescription: "60 KB", size: 60 << 10, segments: [1460, 1460, 20_000]),
    ]
}

@Suite(.timeLimit(.minutes(1)))
struct ListenTests {
    private let here = SocketAddress("127.0.0.1", port: 0)

    /// Runs a watch while a closure runs; gives what it told, in order.
    private func watch(
        _ configure: (inout WatchOptions) throws -> Void = { _ in },
        _ body: (SocketAddress) async throws -> Void
    ) async throws -> (records: [HelloRecord], summary: ListenSummary) {
        var options = WatchOptions(local: here)
        try configure(&options)
        let watch = try HelloWatch(options, now: testTime)
        let (records, feed) = AsyncStream.makeStream(of: HelloRecord.self)
        let running = Task { try await watch.run { feed.yield($0.record) } }
        do { try await body(watch.localAddress) } catch {
            running.cancel()
            throw error
        }
        running.cancel()
        try await running.value
        feed.finish()
        var told: [HelloRecord] = []
        for await record in records {
            told.append(record)
            let value = try JSONValue(parsing: JSONLine.text(of: record))
            #expect(try JSONSchema.inspector().faults(of: value) == [])
        }
        return (told, watch.summary)
    }

    /// A backend that says its name, and then everything that it was sent, once all has come.
    private func withBackend(_ name: String, _ body: (SocketAddress) async throws -> Void)
        async throws
    {
        try await withServer(SocketListenerInit(local: here)) { socket in
            var all = Array(name.utf8)
            for try await piece in try socket.stream() { all += piece }
            try await socket.write(all)
        } _: {
            try await body($0)
        }
    }

    /// Sends pieces, ends its side, and reads everything that comes back.
    private func converse(_ address: SocketAddress, _ pieces: [[UInt8]]) async throws -> [UInt8] {
        try await withSocket(SocketInit(remote: address) { $0.noDelay = true }) { socket in
            for piece in pieces { try await socket.write(piece) }
            try await socket.shutdownWrite()
            var all: [UInt8] = []
            for try await piece in try socket.stream() { all += piece }
            return all
        }
    }

    @Test(
        "a hello is known with its last byte and not before, however it is cut",
        arguments: Cut.table
    )
    func peek(_ cut: Cut) throws {
        var peek = HelloPeek(limit: 64 << 10)
        let pieces = cut.pieces
        for piece in pieces.dropLast() { #expect(try peek.take(piece) == nil) }
        let hello = try #require(try peek.take(pieces[pieces.count - 1]))
        #expect(hello.servername == "a.test")
        #expect(peek.bytes == pieces.flatMap(\.self))
    }

    @Test(
        "every cut goes through untouched, what follows too, and both ends half-close",
        arguments: Cut.table
    )
    func forwarding(_ cut: Cut) async throws {
        try await withBackend("B") { backend in
            let pieces = cut.pieces + [Array("and more".utf8)]
            let (records, summary) = try await watch {
                $0.routes = try RouteMap(parsing: "b.test=unix:/nonexistent,a.test=\(backend)")
            } _: {
                let answer = try await converse($0, pieces)
                #expect(answer == Array("B".utf8) + pieces.flatMap(\.self))
            }
            let record = try #require(records.first)
            #expect(record.result == .tls && record.sni == "a.test" && record.error == nil)
            #expect(record.alpn == ["h2", "http/1.1"] && record.versions == ["TLS1.3", "TLS1.2"])
            #expect(record.groups.count == 2 && record.suites == 2)
            #expect(record.route == "a.test" && record.backend == "\(backend)")
            #expect(record.ja4?.hasPrefix("t13d02") == true && record.ja3 != nil)
            #expect(summary.forwarded == 1 && summary.tls == 1)
        }
    }

    @Test("a name goes before an end of it, that before a protocol, and that before anything")
    func routes() throws {
        let map = try RouteMap(
            parsing: "*=unix:/any,alpn:h2=unix:/h2,*.b.test=unix:/b,*.c.b.test=unix:/cb,"
                + "A.b.TEST=unix:/ab,-=unix:/none"
        )
        let table: [(String?, [String], String)] = [
            ("a.b.test", ["h2"], "/ab"), ("A.B.test", [], "/ab"), ("x.b.test", ["h2"], "/b"),
            ("x.y.b.test", [], "/b"), ("x.c.b.test", [], "/cb"), ("b.test", ["http/1.1"], "/any"),
            ("b.test", ["http/1.1", "h2"], "/h2"), (nil, ["h2"], "/none"), ("z", [], "/any"),
        ]
        for (name, alpn, backend) in table {
            var raw = RawHello(versions: [.tls12], suites: [0xc02b])
            raw.servername = name
            raw.alpn = alpn
            let hello = try ClientHello(message: raw.message())
            #expect(map.route(of: hello)?.backend.address == "unix:" + backend)
        }
        let few = try RouteMap(parsing: "a.test=unix:/a")
        #expect(
            few.route(
                of: try ClientHello(message: RawHello(versions: [.tls12], suites: [1]).message())
            ) == nil
        )
    }

    @Test(
        "what is no hello is told and answered, and reaches no backend",
        arguments: [
            (
                "GET / HTTP/1.1\r\n\u{1b}[2J", HelloRecord.Outcome.notTLS,
                "GET / HTTP/1.1\\r\\n\\x1b[2J"
            ),
            (
                "\u{16}\u{3}\u{1}\u{0}\u{2}\u{2}\u{0}", .malformed,
                "\\x16\\x03\\x01\\x00\\x02\\x02\\x00"
            ),
            ("\u{16}\u{3}", .closed, "\\x16\\x03"), ("", .closed, nil),
        ] as [(String, HelloRecord.Outcome, String?)]
    )
    func noHello(_ text: String, _ outcome: HelloRecord.Outcome, _ beginning: String?) async throws
    {
        let (records, summary) = try await watch {
            $0.routes = try RouteMap(parsing: "*=unix:/nonexistent")
        } _: {
            let answer = try await converse($0, [Array(text.utf8)])
            #expect(answer == (outcome == .malformed ? [21, 3, 1, 0, 2, 2, 50] : []))
        }
        #expect(records.map(\.result) == [outcome])
        #expect(records.first?.beginning == beginning)
        #expect(records.first?.backend == nil)
        #expect(summary.tls == 0 && summary.connections == 1)
    }

    @Test("a hello over the limit and one that does not come end the connection")
    func limits() async throws {
        let large = Cut(testDescription: "", size: 30 << 10).pieces
        var (records, _) = try await watch {
            $0.limit = 8 << 10
        } _: {
            _ = try? await converse($0, large)
        }
        #expect(records.map(\.result) == [.tooLarge])
        (records, _) = try await watch {
            $0.timeout = .milliseconds(50)
        } _: { address in
            try await withSocket(SocketInit(remote: address)) { socket in
                _ = await #expect(throws: SocketError.self) {
                    // A slow machine's time may be over by now.
                    try await socket.write([22, 3, 1])
                    while try await socket.read() != nil {}
                    throw SocketError(.closed)
                }
            }
        }
        #expect(records.map(\.result) == [.timeout])
    }

    @Test(
        "without a map, without a way, and without a backend the client gets an alert that says so"
    )
    func alerts() async throws {
        let hello = Cut.table[0].pieces
        let table: [(String?, UInt8, String?)] = [
            (nil, 40, nil), ("b.test=unix:/nonexistent", 112, "no route"),
            ("*=\(try unusedAddress())", 80, "refused"),
        ]
        for (map, alert, reason) in table {
            let (records, summary) = try await watch {
                $0.routes = try map.map { try RouteMap(parsing: $0) }
            } _: {
                let answer = try await converse($0, hello)
                #expect(answer == [21, 3, 1, 0, 2, 2, alert])
            }
            #expect(records.first?.result == .tls)
            #expect(records.first?.error?.contains(reason ?? "") == (reason.map { _ in true }))
            #expect(summary.undelivered == (map == nil ? 0 : 1))
        }
    }

    @Test("more connections than allowed wait, and are served after the others")
    func cap() async throws {
        try await withBackend("B") { backend in
            let hello = Cut.table[0].pieces
            let (records, summary) = try await watch {
                $0.routes = try RouteMap(parsing: "*=\(backend)")
                $0.connections = 2
            } _: { address in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<12 {
                        group.addTask {
                            let answer = try await converse(address, hello)
                            #expect(answer.count > 100)
                        }
                    }
                    try await group.waitForAll()
                }
            }
            #expect(records.count == 12 && summary.forwarded == 12)
            #expect(summary.medianBytes.map { (100..<400).contains($0) } == true)
        }
    }

    @Test(
        "a backend is told who the client is",
        arguments: WatchOptions.ProxyForm.allCases
    )
    func proxied(_ form: WatchOptions.ProxyForm) async throws {
        try await withBackend("") { backend in
            let hello = Cut.table[0].pieces
            let (records, _) = try await watch {
                $0.routes = try RouteMap(parsing: "*=\(backend)")
                $0.proxy = form
            } _: { address in
                let all = try await converse(address, hello)
                let found = try #require(try ProxyHeader.read(all))
                #expect(found.header.version.rawValue == form.rawValue)
                #expect(found.header.destination == address)
                #expect(found.header.authority == (form == .v2 ? "a.test" : nil))
                #expect(Array(all[found.count...]) == hello.flatMap(\.self))
            }
            #expect(records.count == 1)
        }
    }

    @Test("of a hello that is full of values a record keeps few")
    func fullHello() throws {
        var raw = RawHello(versions: [.tls12], suites: [0xc02b])
        raw.alpn = [String](repeating: "x", count: 9000)
        raw.groups = [UInt16](repeating: 0x1d, count: 9000)
        var record = HelloRecord(time: "", remote: "")
        record.note(try ClientHello(message: raw.message()))
        #expect(record.alpn.count == 64 && record.groups.count == 64)
    }

    @Test("bytes of a peer are shown escaped in text, with nothing that steers a terminal")
    func hostileText() throws {
        var raw = RawHello(versions: [.tls12], suites: [0xc02b])
        raw.alpn = ["h2\u{7}"]
        let arrival = Arrival(
            time: RelayTime(start: testTime, elapsed: .milliseconds(7)),
            remote: .unix(path: "/a\u{1b}[31m\u{202e}.test")
        )
        arrival.result = .tls
        arrival.said = SaidHello(try ClientHello(message: raw.message()))
        arrival.error = "\u{1b}"
        var lines = HelloLines(Painter(isColored: false))
        var text = ""
        lines.add(arrival, to: &text)
        #expect(text.contains("\u{fffd}[31m\u{fffd}.test"))
        let controls = text.unicodeScalars.filter {
            $0.value < 32 && $0 != "\n" || $0.value == 0x202e
        }
        #expect(controls.isEmpty)
    }
}
