// Input straight from a socket: the same bytes and ends as by a window, a whole record a call.

import Glibc
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct CiphertextSourceTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// What each descriptor's source was asked for.
    private static let asked = Mutex<[Int32: [Int]]>([:])

    /// A server whose ciphertext comes by a pair of sockets, and the client that it comes from.
    private final class Stage {
        let pair: EnginePair
        let ends: [Int32]
        private let held: Held

        /// What the client has made and not yet sent.
        private final class Held: Sendable {
            let bytes = Mutex<[UInt8]?>(nil)
        }

        init(_ fixtures: Fixtures, _ version: ProtocolVersion) throws {
            var ends: [Int32] = [-1, -1]
            let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue)
            let made = unsafe socketpair(AF_UNIX, kind, 0, &ends)
            try #require(made == 0)
            self.ends = ends
            let held = Held()
            self.held = held
            pair = try fixtures.pair(version) { sender, chunk in
                guard sender == .client else { return chunk }
                return held.bytes.withLock { bytes in
                    guard let before = bytes else { return chunk }
                    bytes = before + chunk
                    return []
                }
            }
            try pair.handshake()
            held.bytes.withLock { $0 = [] }
        }

        deinit { for end in ends where end >= 0 { Glibc.close(end) } }

        /// The records that the client makes of bytes.
        func records(_ bytes: [UInt8]) throws -> [UInt8] {
            try pair.send(bytes, from: .client)
            return held.bytes.withLock { bytes in
                defer { bytes = [] }
                return bytes ?? []
            }
        }

        func put(_ bytes: some Sequence<UInt8>) {
            let bytes = Array(bytes)
            let sent = unsafe Glibc.send(ends[0], bytes, bytes.count, 0)
            #expect(sent == bytes.count)
        }

        /// One step of the server.
        func receive(_ room: Int, wanting wanted: Int? = nil) -> (
            bytes: [UInt8], progress: TLSEngine.Progress?, source: CiphertextSource.Outcome
        ) {
            var progress: TLSEngine.Progress?
            var outcome = CiphertextSource.Outcome.untouched
            let bytes = [UInt8](capacity: room) { plaintext in
                _ = [UInt8](capacity: 4096) { output in
                    let source = unsafe CiphertextSource(
                        descriptor: ends[1],
                        limit: pair.server.engine.ciphertextBytes(filling: wanted ?? room)
                    ) { descriptor, memory, count in
                        CiphertextSourceTests.asked.withLock {
                            $0[descriptor, default: []] += [count]
                        }
                        let given = unsafe recv(descriptor, memory, count, 0)
                        return given < 0 ? -Int(errno) : given
                    }
                    (progress, outcome) = pair.server.engine.attemptReceive(
                        from: source,
                        into: &plaintext,
                        producing: &output
                    )
                }
            }
            return (bytes, progress, outcome)
        }

        /// Everything that is there, and the last step.
        func receiveAll(_ room: Int) -> [UInt8] {
            var all: [UInt8] = []
            while true {
                let step = receive(room)
                all += step.bytes
                let isWaiting = step.source.isDry || step.progress == nil
                guard !isWaiting || step.progress?.wants == TLSEngine.Wants.nothing else {
                    return all
                }
            }
        }

        /// The sizes that were asked for since the last look.
        func sizes() -> [Int] {
            CiphertextSourceTests.asked.withLock { $0.removeValue(forKey: ends[1]) ?? [] }
        }
    }

    @Test(
        "data arrives whole, whatever its size and the reader's room",
        arguments: versions,
        [1, 100, 16384, 16385, 65536, 100_000]
    )
    func sizes(_ version: ProtocolVersion, _ count: Int) throws {
        for room in [1000, 16384, 16385, 65536] {
            let stage = try Stage(fixtures, version)
            let bytes = pattern(count)
            let records = try stage.records(bytes)
            var got: [UInt8] = []
            for start in stride(from: 0, to: records.count, by: 60_000) {
                stage.put(records[start..<min(start + 60_000, records.count)])
                got += stage.receiveAll(room)
            }
            #expect(got == bytes)
        }
    }

    @Test(
        "records that are cut anywhere arrive whole",
        arguments: versions,
        [1, 4, 5, 6, 16406, 20000]
    )
    func cuts(_ version: ProtocolVersion, _ cut: Int) throws {
        let stage = try Stage(fixtures, version)
        let bytes = pattern(40_000)
        let records = try stage.records(bytes)
        stage.put(records.prefix(cut))
        let first = stage.receiveAll(65536)
        stage.put(records.dropFirst(cut))
        #expect(first + stage.receiveAll(65536) == bytes)
    }

    @Test("a stream of full records is asked for record by record", arguments: versions)
    func wholeRecords(_ version: ProtocolVersion) throws {
        let stage = try Stage(fixtures, version)
        let full = TLSEngine.recordPlaintextMax
        let record = try stage.records(pattern(full))
        stage.put(record)
        #expect(stage.receiveAll(full).count == full)
        _ = stage.sizes()
        let records = try stage.records(pattern(4 * full))
        stage.put(records)
        let step = stage.receive(4 * full)
        #expect(step.bytes == pattern(4 * full))
        // One byte more shows whether there is more; the next begins behind it.
        #expect(stage.sizes() == [record.count + 1] + Array(repeating: record.count, count: 3))
        #expect(step.source.isDry)
    }

    @Test("a step takes no more than its limit, however much is there", arguments: versions)
    func limit(_ version: ProtocolVersion) throws {
        let stage = try Stage(fixtures, version)
        let full = TLSEngine.recordPlaintextMax
        stage.put(try stage.records(pattern(full)))
        #expect(stage.receiveAll(full).count == full)
        stage.put(try stage.records(pattern(6 * full)))
        let step = stage.receive(6 * full, wanting: 2 * full)
        #expect(step.bytes == Array(pattern(6 * full)[..<(2 * full)]))
        #expect(!step.source.isDry)
        #expect(step.bytes + stage.receiveAll(6 * full) == pattern(6 * full))
    }

    @Test("nothing there, the end, and close_notify are told as by a window", arguments: versions)
    func ends(_ version: ProtocolVersion) throws {
        var stage = try Stage(fixtures, version)
        var step = stage.receive(1000)
        #expect(step.progress == TLSEngine.Progress(consumed: 0, wants: .read))
        #expect(step.source.result == -Int(EAGAIN) && step.source.isDry)
        Glibc.shutdown(stage.ends[0], Int32(SHUT_WR))
        step = stage.receive(1000)
        #expect(step.progress == nil && step.source.result == 0)
        #expect(stage.pair.server.engine.stepFailure.code == .truncated)

        stage = try Stage(fixtures, version)
        let records = try stage.records([1, 2, 3])
        try stage.pair.close(.client)
        stage.put(records)
        stage.put(try stage.records([]))
        step = stage.receive(1000)
        #expect(step.bytes == [1, 2, 3])
        #expect(stage.receive(1000).progress?.wants == .closed)
    }

    @Test("a record that was changed fails, behind what came before it", arguments: versions)
    func changed(_ version: ProtocolVersion) throws {
        let stage = try Stage(fixtures, version)
        let good = try stage.records([1, 2, 3])
        var bad = try stage.records(pattern(20_000))
        bad[100] ^= 1
        stage.put(good + bad)
        let step = stage.receive(65536)
        #expect(step.bytes == [1, 2, 3] && step.progress?.wants == TLSEngine.Wants.nothing)
        #expect(stage.receive(65536).progress == nil)
        #expect(stage.pair.server.engine.stepFailure.code == .badRecord)
    }
}
