// A flood of ClientHellos, ten times what the server can answer, while others who came before it go on.

import CMemoryGauge
import Foundation
import SocketCore
import Synchronization
import TLSTestKit
import Testing

@testable import Sockets

/// Strangers that say a ClientHello, wait for nothing and come again: as cheap for them as it can be.
private final class Flood: Sendable {
    private struct Stranger {
        var descriptor: Int32 = -1
        var hasSpoken = false
    }

    /// Connection attempts a second; 0 rests.
    let rate = Atomic<Int>(0)
    let attempts = Atomic<Int>(0)
    private let isOver = Atomic<Bool>(false)
    private let address: NetworkAddress
    private let hello: [UInt8]

    init(_ address: NetworkAddress) throws {
        self.address = address
        hello = try makeClientHello()
    }

    /// Starts the thread of all of them.
    func start() {
        let thread = Thread { [self] in run() }
        thread.start()
    }

    func stop() { isOver.store(true, ordering: .relaxed) }

    private func run() {
        var ring = [Stranger](repeating: Stranger(), count: 3000)
        var place = 0
        var due = 0.0
        var last = EventLoop.readClock()
        while !isOver.load(ordering: .relaxed) {
            let now = EventLoop.readClock()
            let seconds = Double(now.nanoseconds - last.nanoseconds) / 1e9
            last = now
            due = min(due + seconds * Double(rate.load(ordering: .relaxed)), 500)
            while due >= 1 {
                due -= 1
                replace(&ring[place])
                // Who connected a while ago speaks now.
                speak(&ring[(place + ring.count - 200) % ring.count])
                place = (place + 1) % ring.count
                attempts.wrappingAdd(1, ordering: .relaxed)
            }
            if rate.load(ordering: .relaxed) == 0 {
                for place in ring.indices { close(&ring[place]) }
            }
            usleep(500)
        }
        for place in ring.indices { close(&ring[place]) }
    }

    private func close(_ stranger: inout Stranger) {
        if stranger.descriptor >= 0 {
            try? StreamSocket.setResetOnClose(stranger.descriptor)
            Syscalls.close(stranger.descriptor)
        }
        stranger = Stranger()
    }

    private func replace(_ stranger: inout Stranger) {
        close(&stranger)
        guard let socket = try? StreamSocket.make(for: address),
            (try? StreamSocket.connect(socket, to: address)) != nil
        else { return }
        stranger.descriptor = socket.take()
    }

    private func speak(_ stranger: inout Stranger) {
        guard stranger.descriptor >= 0, !stranger.hasSpoken else { return }
        stranger.hasSpoken = true
        _ = unsafe hello.withUnsafeBytes {
            unsafe send(stranger.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
    }
}

/// Clients that have been there and go on with their round trips as fast as they can.
private final class Honest: Sendable {
    private let trips = Atomic<Int>(0)
    private let isOver = Atomic<Bool>(false)
    private let isResting = Atomic<Bool>(false)
    private let sockets: [Socket]

    init(_ count: Int, _ listener: SocketListener, _ group: EventLoopGroup) async throws {
        var sockets: [Socket] = []
        for _ in 0..<count {
            let socket = try makeClient(.tls13, to: listener.localAddress) {
                $0.group = group
                $0.trust = .acceptAnything(because: "the test is of time")
            }
            _ = try await socket.ready
            sockets.append(socket)
        }
        self.sockets = sockets
    }

    func run() -> [Task<Void, any Error>] {
        sockets.map { socket in
            Task(executorPreference: socket.executor) { [self] in
                let message = pattern(64)
                while !isOver.load(ordering: .relaxed) {
                    if isResting.load(ordering: .relaxed) {
                        await pass(.milliseconds(5))
                        continue
                    }
                    try await socket.write(message)
                    guard try await readExactly(64, from: socket) == message else {
                        throw SocketError(.truncated)
                    }
                    trips.wrappingAdd(1, ordering: .relaxed)
                }
                try await socket.close()
            }
        }
    }

    func rest(_ isResting: Bool) { self.isResting.store(isResting, ordering: .relaxed) }
    func stop() { isOver.store(true, ordering: .relaxed) }

    /// Round trips a second within some time.
    func rate(over duration: Duration) async -> Double {
        let (before, began) = (trips.load(ordering: .relaxed), EventLoop.readClock())
        await pass(duration)
        let seconds = began.duration(to: EventLoop.readClock()) / .seconds(1)
        return Double(trips.load(ordering: .relaxed) - before) / seconds
    }
}

@Suite(.timeLimit(.minutes(2))) struct HandshakeFloodTests {
    @Test("in a flood of ten times what it can do a listener keeps its connections' round trips")
    func flood() async throws {
        await #expect(processExitsWith: .success) {
            let siege = try await FloodSiege()
            let report = try await siege.run()
            FileHandle.standardError.write(Data((report.description + "\n").utf8))
            try #require(report.isFlood, "\(report)")
            try #require(report.kept >= 0.8, "\(report)")
            try #require(report.isBounded, "\(report)")
        }
    }
}

/// What a flood did.
private struct FloodReport: CustomStringConvertible {
    var capacity = 0.0
    var offered = 0.0
    var begun = 0.0
    var quiet: [Double] = []
    var flooded: [Double] = []
    var waitingMax = 0
    var aliveMax = 0
    var growth = 0

    private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

    /// The part of their round trips that those who were there keep.
    var kept: Double { median(flooded) / median(quiet) }
    var isFlood: Bool { offered >= capacity * 8 }
    var isBounded: Bool {
        waitingMax <= FloodSiege.waiting && aliveMax <= FloodSiege.aliveMax
            && (is_sanitized() != 0 || growth < FloodSiege.aliveMax * 100 << 10)
    }

    var description: String {
        "capacity \(Int(capacity)) handshakes/s, offered \(Int(offered))/s, begun \(Int(begun))/s, "
            + "round trips \(Int(median(quiet)))/s quiet, \(Int(median(flooded)))/s flooded, "
            + "kept \(Int(kept * 100)) %, waiting at most \(waitingMax), alive at most \(aliveMax), "
            + "memory grown by \(growth >> 10) KiB"
    }
}

private struct FloodSiege {
    static let waiting = 512
    static let slots = 128
    static let honest = 8
    static var aliveMax: Int { waiting + slots + honest }

    private let listener: SocketListener
    private let serving: Task<Void, any Error>
    private let flood: Flood
    private let honest: Honest
    private let groups = (
        server: EventLoopGroup(loopCount: 1), client: EventLoopGroup(loopCount: 1)
    )

    init() async throws {
        let server = groups.server
        let listener = try makeListener(.tls13) {
            $0.group = server
            // A key whose use costs much: the flood is none of strangers' processor time then.
            $0.identity = try Renewals().ca.issue("localhost", key: .rsa4096).tlsIdentity
            $0.admission.waiting = FloodSiege.waiting
            $0.admission.handshakes = FloodSiege.slots
            $0.admission.queueTime = .seconds(1)
            $0.limits.handshake = .seconds(1)
        }
        self.listener = listener
        serving = Task {
            try await listener.serve { socket in
                while let bytes = try await socket.read() { try await socket.write(bytes) }
            }
        }
        honest = try await Honest(FloodSiege.honest, listener, groups.client)
        flood = try Flood(.ip(.v4(.loopback), port: listener.localAddress.port))
    }

    func run() async throws -> FloodReport {
        var report = FloodReport()
        let counts = listener.core.admission.counts
        let trips = honest.run()
        flood.start()
        // They are no newcomers from then on.
        await pass(Connection.seniority + .milliseconds(100))

        honest.rest(true)
        flood.rate.store(20_000, ordering: .relaxed)
        await pass(.milliseconds(200))
        let (before, began) = (counts.begunCount, EventLoop.readClock())
        await pass(.milliseconds(500))
        let seconds = began.duration(to: EventLoop.readClock()) / .seconds(1)
        report.capacity = Double(counts.begunCount - before) / seconds
        flood.rate.store(0, ordering: .relaxed)
        let (listener, honest) = (listener, honest)
        await until { listener.core.aliveCount == FloodSiege.honest }
        honest.rest(false)

        let memory = memory_in_use()
        for _ in 0..<5 {
            await pass(.milliseconds(100))
            report.quiet.append(await honest.rate(over: .milliseconds(400)))
            flood.rate.store(Int(report.capacity * 10), ordering: .relaxed)
            await pass(.milliseconds(300))
            let attempts = flood.attempts.load(ordering: .relaxed)
            let begun = counts.begunCount
            report.flooded.append(await honest.rate(over: .milliseconds(400)))
            report.offered = Double(flood.attempts.load(ordering: .relaxed) - attempts) / 0.4
            report.begun = Double(counts.begunCount - begun) / 0.4
            report.waitingMax = max(report.waitingMax, counts.waitingCount)
            report.aliveMax = max(report.aliveMax, listener.core.aliveCount)
            report.growth = max(report.growth, memory_in_use() - memory)
            flood.rate.store(0, ordering: .relaxed)
            await until { listener.core.aliveCount == FloodSiege.honest }
        }
        honest.stop()
        flood.stop()
        for trip in trips { try await trip.value }
        await listener.close()
        try await serving.value
        return report
    }
}
