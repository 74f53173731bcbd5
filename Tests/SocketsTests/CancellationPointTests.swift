// Every operation that can wait is cancelled at every place where it does: behind its first
// suspension, its second, and so on until it succeeds; then right before each resumption; then by a
// signal instead of its task. Each time it ends, with the one error there is for it, its descriptors
// are closed, and the other connections of the loop go on.

import SocketCore
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

/// What is done at a place.
enum Interruption: String, CaseIterable, Sendable {
    /// The task is cancelled while it waits.
    case whileWaiting
    /// The task is cancelled when what it waited for has come.
    case onResuming
    /// The signal in the options is given while the task waits.
    case signal

    func moment(_ place: Int) -> CountingExecutor.Moment {
        guard place > 0 else { return .start }
        return self == .onResuming ? .resumption(place) : .suspension(place)
    }
}

/// An operation that is ready to run, and what is looked at afterwards.
struct Scene: Sendable {
    /// Runs in the counted task.
    let body: @Sendable () async throws -> Void
    /// Ends what is left, and returns when nothing is.
    let settle: @Sendable () async throws -> Void
}

/// What an operation is made with.
struct Circumstances: Sendable {
    let wire: Wire
    let counter: CountingExecutor
    /// Given instead of cancelling the task.
    let signal: AbortSignal
    /// From the interruption on the other side does nothing more: only it can end a wait.
    let isFrozen = Flag()
}

/// Something that is set once, from any task.
final class Flag: Sendable {
    private let value = Atomic<Bool>(false)

    var isSet: Bool { value.load(ordering: .acquiring) }

    func set() { value.store(true, ordering: .releasing) }
}

/// An operation in which a task can wait.
struct Waiting: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let prepare: @Sendable (Circumstances) async throws -> Scene

    init(_ name: String, _ prepare: @escaping @Sendable (Circumstances) async throws -> Scene) {
        testDescription = name
        self.prepare = prepare
    }
}

extension Pair {
    /// A pair whose both ends live on the one loop.
    init(
        besieged wire: Wire,
        _ signal: AbortSignal?,
        bufferSize: Int? = nil
    ) async throws {
        try await self.init(wire) {
            $0.group = besiegedLoop
            $0.signal = signal
            $0.sendBufferSize = bufferSize
            $0.receiveBufferSize = bufferSize
        } server: {
            $0.group = besiegedLoop
            $0.sendBufferSize = bufferSize
            $0.receiveBufferSize = bufferSize
        }
    }

    /// A scene between the two ends; tasks of the other end are waited for.
    func scene(
        _ others: [Task<Void, Never>] = [],
        _ body: @escaping @Sendable (Pair) async throws -> Void,
        settling: @escaping @Sendable () -> Void = {}
    ) -> Scene {
        let files = [client, server].map { Files.identity(of: $0.descriptor) }
        return Scene {
            try await body(self)
        } settle: {
            settling()
            client.abort()
            server.abort()
            for task in others { await task.value }
            await until { client.descriptor == -1 && server.descriptor == -1 }
            #expect(files.allSatisfy { Files.identity(of: $0.descriptor) != $0 })
            await listener.close()
        }
    }
}

extension Waiting {
    static let clients: [Waiting] = [
        Waiting("connecting by name, and shaking hands") { now in
            let raw = try RawServer()
            let shaking = Task {
                var iterator = raw.listener.makeAsyncIterator()
                guard let wire = now.wire.version,
                    let socket = try? await iterator.next()?.socket
                else { return }
                let leaf = try? Credentials.shared().leaf
                guard let peer = try? FaultPeer(.server, wire, certificate: leaf) else { return }
                while !peer.isReady, let bytes = try? await socket.read() {
                    guard let answer = try? peer.step(bytes) else { return }
                    for place in stride(from: 0, to: answer.count, by: 200)
                    where !now.isFrozen.isSet {
                        try? await socket.write(Array(answer[place...].prefix(200)))
                    }
                }
                _ = await socket.closed
            }
            let name = SocketAddress("localhost", port: raw.address.port)
            var options = try clientOptions(now.wire, to: name)
            options.addressFamily = .ipv4
            let connector = try Connector(options)
            let connection = Connection(
                loop: besiegedLoop.next(),
                role: .client,
                isTLS: now.wire != .tcp,
                limits: options.limits,
                allowHalfOpen: true
            )
            now.signal.onAbort { connection.abort(reason: $0) }
            return Scene {
                await connector.run(connection)
                let failure = connection.state.withLock { $0.failure }
                if let failure { throw failure }
            } settle: {
                connection.abort(reason: nil)
                raw.listener.core.abort(reason: nil)
                shaking.cancel()
                await shaking.value
                await until { connection.state.withLock { $0.descriptor } == -1 }
                await until { raw.listener.core.aliveCount == 0 }
            }
        },
        Waiting("a client's scope, from connecting to close") { now in
            let listener = try makeListener(now.wire) { $0.group = besiegedLoop }
            let serving = Task {
                try? await listener.serve { socket in
                    while !now.isFrozen.isSet, let bytes = try await socket.read() {
                        try await socket.write(bytes)
                    }
                    if now.isFrozen.isSet { _ = await socket.closed }
                }
            }
            return Scene {
                var options = try clientOptions(now.wire, to: listener.localAddress)
                options.group = besiegedLoop
                options.signal = now.signal
                try await withSocket(options) { socket in
                    var buffer = [UInt8](repeating: 0, count: 100)
                    for _ in 0..<3 {
                        try await socket.write("echo")
                        guard try await socket.read(into: &buffer) > 0 else {
                            throw SocketError(.truncated)
                        }
                    }
                }
            } settle: {
                serving.cancel()
                await serving.value
            }
        },
    ]

    static let listeners: [Waiting] = [
        Waiting("an iterator's next connections") { now in
            let listener = try makeListener(now.wire) {
                $0.group = besiegedLoop
                $0.signal = now.signal
            }
            let taken = Log<Int>()
            let connecting = Task {
                for number in 0..<3 where !now.isFrozen.isSet {
                    guard let client = try? makeClient(now.wire, to: listener.localAddress) else {
                        return
                    }
                    await until { taken.count > number || now.isFrozen.isSet }
                    client.abort()
                }
            }
            return Scene {
                var iterator = listener.makeAsyncIterator()
                for number in 0..<3 {
                    // None: the signal has ended the listener.
                    guard let event = try await iterator.next() else { return }
                    event.socket.abort()
                    taken.append(number)
                }
            } settle: {
                listener.core.abort(reason: nil)
                connecting.cancel()
                await connecting.value
                await until { listener.core.aliveCount == 0 }
            }
        },
        serving("serving: accepting, hands and handlers", signsElsewhere: false),
        serving("serving with a key that is elsewhere", signsElsewhere: true),
    ]

    /// Serves two clients; the listener's key is here, or elsewhere and takes its time.
    private static func serving(_ name: String, signsElsewhere: Bool) -> Waiting {
        Waiting(name) { now in
            let listener = try makeListener(now.wire) {
                $0.group = besiegedLoop
                $0.signal = now.signal
                $0.executor = now.counter
                guard signsElsewhere, now.wire != .tcp else { return }
                $0.identity = try Credentials.shared().server.signing {
                    await Task.yield()
                    await pass(.milliseconds(1))
                }
            }
            let clients = try (0..<2).map { _ in
                try makeClient(now.wire, to: listener.localAddress)
            }
            let speaking = clients.map { client in
                Task<Void, Never> {
                    for number in UInt8(0)..<2 where !now.isFrozen.isSet {
                        guard (try? await client.write([number])) != nil,
                            (try? await client.read()) != nil
                        else { return }
                    }
                    if !now.isFrozen.isSet { try? await client.close() }
                }
            }
            let over = Atomic<Int>(0)
            return Scene {
                try await listener.serve { socket in
                    for try await bytes in try socket.stream() { try await socket.write(bytes) }
                    if over.wrappingAdd(1, ordering: .relaxed).newValue == 2 {
                        listener.core.stop(.clean(nil))
                    }
                }
            } settle: {
                #expect(listener.core.aliveCount == 0)
                for client in clients { client.abort() }
                for task in speaking { await task.value }
                await until { clients.allSatisfy { $0.descriptor == -1 } }
            }
        }
    }

    static let all = clients + transfers + listeners + upgrades
}

/// Runs an operation and interrupts it at one place.
///
/// - Returns: Whether the place was reached.
private func interrupt(
    _ waiting: Waiting,
    _ wire: Wire,
    _ interruption: Interruption,
    at place: Int
) async throws -> Bool {
    let controller = AbortController()
    let now = Circumstances(
        wire: wire,
        counter: CountingExecutor(on: besiegedLoop.next()),
        signal: controller.signal
    )
    let scene = try await waiting.prepare(now)
    let task = Task(executorPreference: now.counter) { try await scene.body() }
    now.counter.begin(interruption.moment(place)) {
        now.isFrozen.set()
        if interruption == .signal { controller.abort("the signal") } else { task.cancel() }
    }
    let result = await task.result
    let hasActed = now.counter.end()
    if case .failure(let error) = result {
        let error = error as? SocketError
        let isExpected = error?.category == .aborted && hasActed
        #expect(isExpected, "\(place): \(error.debugDescription)")
    }
    try await scene.settle()
    return hasActed
}

/// Interrupts an operation at every place.
///
/// - Returns: How many places there are.
@discardableResult
private func interruptEverywhere(
    _ waiting: Waiting,
    _ wire: Wire,
    _ interruption: Interruption,
    _ bystander: Bystander
) async throws -> Int {
    var place = 0
    while try await interrupt(waiting, wire, interruption, at: place) {
        try await bystander.expectProgress()
        place += 1
        try #require(place < 1000, "it never succeeds")
    }
    return place
}

@Suite(.timeLimit(.minutes(1))) struct CancellationPointTests {
    @Test(
        "cancelled anywhere, an operation ends with .aborted, and nothing else does",
        arguments: Waiting.all,
        Wire.allCases
    )
    func everywhere(waiting: Waiting, wire: Wire) async throws {
        let bystander = try await Bystander()
        for interruption in Interruption.allCases {
            let places = try await interruptEverywhere(waiting, wire, interruption, bystander)
            // At least before it begins, and once while it waits.
            #expect(places >= 2, "\(interruption)")
        }
    }

    @Test("an attempt that nobody answers ends at once", arguments: Interruption.allCases)
    func connecting(interruption: Interruption) async throws {
        let hole = try BlackHole()
        let silent = Waiting("connecting to a host that does not answer") { now in
            let connector = try Connector(try clientOptions(now.wire, to: hole.address))
            let connection = Connection(
                loop: besiegedLoop.next(),
                role: .client,
                isTLS: false,
                limits: connector.limits,
                allowHalfOpen: true
            )
            now.signal.onAbort { connection.abort(reason: $0) }
            return Scene {
                let connecting = Task(executorPreference: now.counter) {
                    await connector.run(connection)
                }
                // As a socket does: whatever ends the connection ends the attempt.
                let isOver = connection.state.withLock { s in
                    s.connectTask = connecting
                    return s.closeReason != nil
                }
                if isOver { connecting.cancel() }
                await withTaskCancellationHandler {
                    _ = await connection.waitUntilClosed()
                } onCancel: {
                    connecting.cancel()
                }
                await connecting.value
                throw connection.conclude()
            } settle: {
                #expect(connection.state.withLock { $0.descriptor } == -1)
            }
        }
        // Nothing is resumed here but by the interruption.
        let places = interruption == .onResuming ? 0...0 : 0...2
        for place in places {
            #expect(try await interrupt(silent, .tcp, interruption, at: place))
        }
    }

    @Test("whatever is cancelled wherever, no descriptor stays open")
    func descriptors() async {
        await #expect(processExitsWith: .success) {
            let bystander = try await Bystander()
            for round in 0..<2 {
                let before = Files.openDescriptors()
                for waiting in Waiting.all {
                    for wire in [Wire.tcp, .tls13] {
                        for interruption in Interruption.allCases {
                            try await interruptEverywhere(waiting, wire, interruption, bystander)
                        }
                    }
                }
                // The first round opens what stays, such as the resolver's.
                if round == 1 { await until { Files.openDescriptors() <= before } }
            }
        }
    }
}
