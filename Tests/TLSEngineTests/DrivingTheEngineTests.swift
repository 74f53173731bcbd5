// The program of the article DrivingTheEngine, compiled and run. What stands between the marks is
// quoted there word for word.

import Foundation
import TLSEngine
import TLSTestKit
import Testing

// begin quote
/// Whatever carries the bytes: a socket, a pipe, another protocol.
protocol Wire {
    mutating func send(_ bytes: [UInt8]) throws
    /// Waits for bytes; empty at the end of the peer's stream.
    mutating func receive() throws -> [UInt8]
}

/// A TLS connection over any wire.
final class SecureWire<Lower: Wire> {
    private var engine: TLSEngine
    private var lower: Lower
    /// Ciphertext that came and was not consumed.
    private var input: [UInt8] = []

    /// Connects, and comes back when the handshake is done.
    init(_ context: TLSContext, to name: String, over lower: Lower) throws {
        engine = try TLSEngine(context, remoteName: name)
        self.lower = lower
        try handshake()
    }

    private func handshake() throws {
        var wants = TLSEngine.Wants.write
        while wants != .nothing {
            if wants == .read { try fetch() }
            wants = try step { engine, input, output throws(TLSError) in
                try engine.handshake(consuming: input, producing: &output)
            }
        }
    }

    /// Reads what is there; nil behind the peer's close_notify.
    func read() throws -> [UInt8]? {
        var wants = TLSEngine.Wants.nothing
        while true {
            if wants == .read { try fetch() }
            var plaintext: [UInt8] = []
            wants = try step { engine, input, output throws(TLSError) in
                var progress = TLSEngine.Progress(consumed: 0, wants: .nothing)
                plaintext = try [UInt8](capacity: 16384) { plaintext throws(TLSError) in
                    progress = try engine.receive(input, into: &plaintext, producing: &output)
                }
                return progress
            }
            if !plaintext.isEmpty { return plaintext }
            if wants == .closed { return nil }
        }
    }

    /// Writes all of it.
    func write(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            _ = try step { engine, _, output throws(TLSError) in
                let rest = bytes.span.extracting(sent..<bytes.count)
                let progress = try engine.send(rest, producing: &output)
                sent += progress.consumed
                // Nothing of the input was consumed.
                return TLSEngine.Progress(consumed: 0, wants: progress.wants)
            }
        }
    }

    /// Says that nothing more will be written; reading goes on.
    func close() throws {
        _ = try step { engine, _, output throws(TLSError) in try engine.close(producing: &output) }
    }

    private func fetch() throws {
        let bytes = try lower.receive()
        if bytes.isEmpty { engine.endOfInput() }
        input += bytes
    }

    /// Takes one step, and sends what it produced even if it throws: that is the alert.
    private func step(
        _ body: (inout TLSEngine, Span<UInt8>, inout OutputSpan<UInt8>) throws(TLSError)
            -> TLSEngine.Progress
    ) throws -> TLSEngine.Wants {
        let unread = input
        var result: Result<TLSEngine.Progress, TLSError>?
        let output = [UInt8](capacity: 65536) { output in
            do throws(TLSError) {
                result = .success(try body(&engine, unread.span, &output))
            } catch {
                result = .failure(error)
            }
        }
        if !output.isEmpty { try lower.send(output) }
        guard let progress = try result?.get() else { return .nothing }
        input.removeFirst(progress.consumed)
        return progress.wants
    }
}
// end quote

/// A wire to a peer that answers in the same process.
private struct PeerWire: Wire {
    let peer: RawPeer
    private var arriving: [UInt8] = []

    init(_ peer: RawPeer) { self.peer = peer }

    mutating func send(_ bytes: [UInt8]) {
        arriving += peer.step(bytes)
    }

    mutating func receive() -> [UInt8] {
        defer { arriving = [] }
        return arriving
    }
}

@Suite(.timeLimit(.minutes(1)))
struct DrivingTheEngineTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    @Test("the article quotes the program word for word")
    func quotation() throws {
        let program = try String(contentsOf: URL(fileURLWithPath: #filePath), encoding: .utf8)
        let article = try String(
            contentsOf: URL(fileURLWithPath: #filePath)
                .deletingLastPathComponent()
                .appending(path: "../../Sources/TLSEngine/TLSEngine.docc/DrivingTheEngine.md")
                .standardized,
            encoding: .utf8
        )
        let begin = try #require(program.range(of: "// begin quote\n"))
        let end = try #require(program.range(of: "// end quote\n"))
        let quote = program[begin.upperBound..<end.lowerBound]
        #expect(quote.count > 1000)
        #expect(article.contains("```swift\n" + quote + "```\n"))
    }

    @Test("the program of the article connects, writes, reads and closes")
    func program() throws {
        let peer = try RawPeer(.server, certificate: fixtures.ca.issue("localhost"))
        let wire = try SecureWire(fixtures.client(), to: "localhost", over: PeerWire(peer))
        let request = pattern(100_000)
        try wire.write(request)
        #expect(peer.received == request)
        // What the peer says arrives with the next thing it is asked.
        peer.queue([1, 2, 3])
        try wire.close()
        #expect(try wire.read() == [1, 2, 3])
        #expect(throws: TLSError(.truncated)) { try wire.read() }
    }

    @Test("the program of the article tells a refused certificate")
    func refusal() throws {
        let peer = try RawPeer(.server, certificate: fixtures.strangers.issue("localhost"))
        let error = #expect(throws: TLSError.self) {
            _ = try SecureWire(fixtures.client(), to: "localhost", over: PeerWire(peer))
        }
        #expect(error?.verification?.code == .unableToGetIssuerLocally)
        #expect(peer.failure == "tlsv1 alert unknown ca")
    }
}
