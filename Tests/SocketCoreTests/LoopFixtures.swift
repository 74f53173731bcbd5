// What the suites share: sources that record, pairs of sockets, waiting without sleeping.

import SocketCore
import Synchronization
import Testing

/// A source that hands what happens to it to whoever waits, and may act inside its callbacks.
final class RecordingSource: ReadinessSource, @unchecked Sendable {
    typealias Action = @Sendable (RecordingSource) -> Void

    let readiness: AsyncStream<Readiness>
    let deadlines: AsyncStream<LoopInstant>
    private let readinessSink: AsyncStream<Readiness>.Continuation
    private let deadlineSink: AsyncStream<LoopInstant>.Continuation
    private let onReadiness: Action
    private let onDeadline: Action
    private let onSweep: @Sendable () -> Bool
    private let onDeinit: @Sendable () -> Void

    init(
        onReadiness: @escaping Action = { _ in },
        onDeadline: @escaping Action = { _ in },
        onSweep: @escaping @Sendable () -> Bool = { false },
        onDeinit: @escaping @Sendable () -> Void = {}
    ) {
        (readiness, readinessSink) = AsyncStream.makeStream()
        (deadlines, deadlineSink) = AsyncStream.makeStream()
        self.onReadiness = onReadiness
        self.onDeadline = onDeadline
        self.onSweep = onSweep
        self.onDeinit = onDeinit
    }

    deinit {
        onDeinit()
    }

    override func readinessChanged(_ readiness: Readiness) {
        onReadiness(self)
        readinessSink.yield(readiness)
    }

    override func deadlineReached() {
        onDeadline(self)
        deadlineSink.yield(EventLoop.readClock())
    }

    override func sweep() -> Bool { onSweep() }

    /// Waits until the edges so far hold all the given flags; returns everything seen.
    func waitFor(_ wanted: Readiness) async -> Readiness {
        var seen: Readiness = []
        for await edge in readiness {
            seen.formUnion(edge)
            if seen.isSuperset(of: wanted) {
                break
            }
        }
        return seen
    }

    /// Waits for the next firing of the timer; returns when it was.
    func nextDeadline() async -> LoopInstant? {
        for await instant in deadlines {
            return instant
        }
        return nil
    }
}

/// A place to leave values from any thread.
final class Log<Value: Sendable>: Sendable {
    private let values = Mutex<[Value]>([])

    func append(_ value: Value) {
        values.withLock { $0.append(value) }
    }

    var all: [Value] {
        values.withLock { $0 }
    }
}

/// Runs a closure on a loop's thread and returns what it gives.
func on<Value: Sendable>(
    _ loop: EventLoop,
    _ body: @escaping @Sendable () -> Value
) async -> Value {
    await withCheckedContinuation { continuation in
        loop.execute { continuation.resume(returning: body()) }
    }
}

/// Gives a fresh loop to a closure and ends it afterwards.
func withLoop<Value: Sendable>(
    _ body: @Sendable (EventLoop) async throws -> Value
) async throws -> Value {
    let group = EventLoopGroup(loopCount: 1)
    do {
        let value = try await body(group.loops[0])
        await group.shutdown()
        return value
    } catch {
        await group.shutdown()
        throw error
    }
}

let loopbackIPv4 = NetworkAddress.ip(.v4(.loopback), port: 0)
let loopbackIPv6 = NetworkAddress.ip(.v6(.loopback), port: 0)

/// Receives what is there, up to 4 KiB.
func receive(_ descriptor: Int32) -> (count: Int, bytes: [UInt8]) {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe bytes.withUnsafeMutableBytes {
        unsafe Syscalls.receive(descriptor, into: $0)
    }
    return (count, Array(bytes.prefix(max(0, count))))
}

/// Sends bytes; returns what the system call gave.
func send(_ descriptor: Int32, _ bytes: [UInt8]) -> Int {
    unsafe bytes.withUnsafeBytes { unsafe Syscalls.send(descriptor, $0) }
}

/// A connected pair over a listener, both ends nonblocking.
struct ConnectedPair: ~Copyable {
    let listener: Descriptor
    let client: Descriptor
    let server: Descriptor
    let clientAddress: NetworkAddress
    let serverAddress: NetworkAddress

    /// Connects over the given address; on loopback the connection stands when connect returns, or
    /// when the poller says so.
    init(over address: NetworkAddress = loopbackIPv4) throws {
        // All that can throw comes first: a noncopyable value is made whole or not at all.
        let listening = try StreamSocket.listen(on: address, backlog: 8)
        let target = try #require(StreamSocket.localAddress(listening.rawValue))
        let connecting = try StreamSocket.make(for: target)
        _ = try StreamSocket.connect(connecting, to: target)
        let accepted = try acceptNext(listening.rawValue)
        clientAddress = try #require(StreamSocket.remoteAddress(accepted.rawValue))
        serverAddress = target
        listener = listening
        client = connecting
        server = accepted
    }
}

/// Waits for a listener's next connection.
func acceptNext(_ listener: Int32) throws -> Descriptor {
    let poller = try Poller(eventLimit: 1)
    try poller.add(listener, token: 1)
    while true {
        switch StreamSocket.accept(listener) {
        case .accepted(let descriptor, _): return descriptor
        case .exhausted(let errno): throw SystemCallError(errno, call: "accept4")
        case .failed(let errno): throw SystemCallError(errno, call: "accept4")
        case .wouldBlock: _ = poller.wait(milliseconds: -1)
        case .retry: continue
        }
    }
}
