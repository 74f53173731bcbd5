// An engine and the laws of its steps: whatever it is fed, it gets on, says why when it does not, and
// never gives plaintext that was not sent.

import TLSEngine

struct EngineUnderTest: ~Copyable {
    var engine: TLSEngine
    private(set) var received: [UInt8] = []
    private(set) var error: TLSError?
    private(set) var isReady = false
    private(set) var isAtEnd = false
    private(set) var hasClosed = false
    /// What it has to say to its peer.
    private var outbox: [UInt8] = []
    /// The most plaintext taken in one step.
    var plaintextRoom = 65536

    init(_ engine: consuming TLSEngine) { self.engine = engine }

    var isDone: Bool { error != nil || isAtEnd }

    mutating func takeOutput() -> [UInt8] {
        defer { outbox = [] }
        return outbox
    }

    /// Takes ciphertext until it is used up or the engine has ended.
    mutating func advance(_ ciphertext: [UInt8]) {
        var consumed = 0
        var idle = 0
        while !isDone, isReady || !hasClosed {
            let (before, produced, had) = (consumed, outbox.count, received.count)
            let wants = step(ciphertext, &consumed)
            require(consumed <= ciphertext.count, "no more is consumed than was given")
            if wants == .read, consumed == ciphertext.count { return }
            let moved =
                consumed > before || outbox.count > produced || received.count > had || isDone
            idle = moved ? 0 : idle + 1
            require(idle < 4, "a step moves something, wants input, or ends")
        }
    }

    private mutating func step(_ ciphertext: [UInt8], _ consumed: inout Int) -> TLSEngine.Wants? {
        let start = consumed
        var progress: TLSEngine.Progress?
        let isReady = isReady
        let room = plaintextRoom
        var plaintext: [UInt8] = []
        let produced = [UInt8](capacity: 65536) { output in
            do throws(TLSError) {
                let rest = ciphertext.span.extracting(start..<ciphertext.count)
                guard isReady else {
                    progress = try engine.handshake(consuming: rest, producing: &output)
                    return
                }
                plaintext = try [UInt8](capacity: room) { plaintext throws(TLSError) in
                    progress = try engine.receive(rest, into: &plaintext, producing: &output)
                }
            } catch {
                self.error = error
            }
        }
        outbox += produced
        received += plaintext
        guard let progress else {
            if let error { judge(error) }
            return nil
        }
        consumed += progress.consumed
        if !isReady, progress.wants == .nothing {
            self.isReady = true
            require(engine.report.isComplete, "a handshake that is done is reported as done")
        }
        if progress.wants == .closed { isAtEnd = true }
        return progress.wants
    }

    /// Nothing a peer does is this side's fault.
    private func judge(_ error: TLSError) {
        require(error.phase != nil, "\(String(reflecting: error)) has a phase")
        let isOurs = error.category == .internal || error.category == .local
        require(!isOurs, "\(String(reflecting: error)) blames the peer")
        note(10, error.code.hashOfName, error.phase.map { "\($0)".hashOfText } ?? 0)
        if let alert = error.alert { note(11, Int(alert.code)) }
        for reason in error.reasons { note(12, Int(reason.library), Int(reason.reason)) }
        if let failure = error.verification { note(13, Int(failure.code.rawValue), failure.depth) }
    }

    /// Sends data, when it may.
    mutating func send(_ count: Int) {
        guard isReady, error == nil, !hasClosed else { return }
        let bytes = [UInt8](repeating: 7, count: count)
        run { engine, output throws(TLSError) in
            try engine.send(bytes.span, producing: &output)
        }
    }

    mutating func close() {
        guard error == nil, !hasClosed else { return }
        hasClosed = true
        run { engine, output throws(TLSError) in try engine.close(producing: &output) }
    }

    private mutating func run(
        _ step: (inout TLSEngine, inout OutputSpan<UInt8>) throws(TLSError) -> TLSEngine.Progress
    ) {
        outbox += [UInt8](capacity: 65536) { output in
            do throws(TLSError) {
                _ = try step(&engine, &output)
            } catch {
                self.error = error
            }
        }
        if let error { judge(error) }
    }

    /// Ends the transport; the step behind it must end too.
    mutating func end() {
        engine.endOfInput()
        advance([])
        if isReady || !hasClosed { require(isDone, "the end of the transport ends the engine") }
    }

    /// Looks at everything the report tells.
    func readReport() -> Int {
        let report = engine.report
        require(report.error == error, "the report tells the failure")
        for certificate in report.peerChain.prefix(4) { look(at: certificate) }
        note(14, report.flights % 8, report.tickets.count % 8, report.alpn == nil ? 0 : 1)
        return String(describing: report).utf8.count
    }
}

extension TLSError.Code {
    var hashOfName: Int { rawValue.hashOfText }
}

extension String {
    /// The same in every process, unlike `hashValue`.
    var hashOfText: Int { utf8.reduce(5381) { ($0 &* 33 &+ Int($1)) & 0xffff } }
}
