// The end of a listener with handshakes half-way: whoever waits for it waits for all that the
// application is told of them, and for no more than that.

import SocketCore
import Synchronization
import TLSEngine
import Testing

@testable import Sockets

/// Who takes the connections.
private enum Taker: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case serve, onSocket, iterator

    var testDescription: String { rawValue }
}

/// How far the handshakes have come.
private enum Standing: String, CaseIterable, Sendable, CustomTestStringConvertible {
    /// Nothing was said.
    case silent
    /// The server has answered.
    case begun
    /// The application is asked: a task goes on.
    case deciding
    /// A task runs all of it: the application has threads of its own.
    case onExecutor

    var testDescription: String { rawValue }
}

/// How the listener ends.
private enum Way: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case signal, cancelledClose, deadline, departure

    var testDescription: String { rawValue }
}

private struct HalfWay: Sendable {
    let group = EventLoopGroup(loopCount: 1)
    let errors = Log<(any Error)>()
    let asked = Log<Void>()
    let decision = Gate()
    let controller = AbortController()
    let listener: SocketListener
    private let standing: Standing

    init(_ standing: Standing) throws {
        self.standing = standing
        let (asked, decision, group, signal) = (asked, decision, group, controller.signal)
        listener = try makeListener(.tls13) {
            $0.group = group
            $0.signal = signal
            if standing == .onExecutor { $0.executor = group.loops[0] }
            guard standing == .deciding else { return }
            $0.chooseHost = { _, _ in
                asked.append(())
                await decision.wait()
                return .configured
            }
        }
    }

    var arrivingCount: Int { listener.core.state.withLock { $0.arriving } }

    private var isTaken: Bool {
        listener.core.state.withLock { s in if case .nobody = s.consumer { false } else { true } }
    }

    /// Takes connections until the listener is over.
    func take(as taker: Taker) throws -> Task<Void, any Error>? {
        let (errors, listener) = (errors, listener)
        switch taker {
        case .serve:
            return Task {
                try await listener.serve { error, _ in
                    errors.append(error)
                } _: { _ in
                }
            }
        case .onSocket:
            try listener.onSocket { error, _ in
                errors.append(error)
            } _: { _ in
            }
            return nil
        case .iterator: return Task { for try await _ in listener {} }
        }
    }

    /// Connects so many clients, and waits until the handshakes have come so far.
    func connect(_ count: Int) async throws -> [Socket] {
        let hello = standing == .begun || standing == .deciding ? try makeClientHello() : []
        var clients: [Socket] = []
        for _ in 0..<count { clients.append(try await connectRaw(listener, saying: hello)) }
        await until { isTaken && listener.connectionCount == count }
        switch standing {
        case .silent, .onExecutor: break
        case .begun: for client in clients { _ = try await client.read() }
        case .deciding: await until { asked.count == count }
        }
        return clients
    }

    /// Ends the listener.
    ///
    /// - Returns: How many errors were told of when it was over.
    func end(_ way: Way, _ clients: [Socket]) async -> Int {
        // On the connections' loop: what is left there comes behind this, if this never waits.
        let closing = Task(executorPreference: group.loops[0]) {
            switch way {
            case .signal:
                controller.abort()
                await listener.close()
            case .cancelledClose:
                unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
                await listener.close()
            case .deadline: await listener.close(deadline: .zero)
            case .departure: await listener.close()
            }
            return errors.count
        }
        if way == .departure {
            await until { listener.core.closeReason != nil }
            for client in clients { client.abort() }
        }
        return await closing.value
    }
}

@Suite(.timeLimit(.minutes(1))) struct ArrivalEndTests {
    @Test(
        "a listener is over once it has told of every handshake that it did not finish",
        arguments: Taker.allCases.flatMap { taker in
            Standing.allCases.flatMap { standing in Way.allCases.map { (taker, standing, $0) } }
        }
    )
    private func end(taker: Taker, standing: Standing, way: Way) async throws {
        for count in [0, 1, 20] {
            let scene = try HalfWay(standing)
            let taking = try scene.take(as: taker)
            let clients = try await scene.connect(count)
            #expect(scene.errors.count == 0)
            #expect(await scene.end(way, clients) == (taker == .iterator ? 0 : count))
            #expect(scene.arrivingCount == 0 && scene.listener.connectionCount == 0)
            scene.decision.open()
            try await taking?.value
            await scene.group.shutdown()
            #expect(scene.errors.count == (taker == .iterator ? 0 : count))
            withExtendedLifetime(clients) {}
        }
    }

    @Test(
        "a listener of plain connections is over with the last of them",
        arguments: Taker.allCases
    )
    private func plain(taker: Taker) async throws {
        let group = EventLoopGroup(loopCount: 2)
        let listener = try makeListener(.tcp) { $0.group = group }
        let events = Log<OnSocketEvent>()
        var taking: Task<Void, any Error>?
        switch taker {
        case .serve:
            taking = Task {
                try await listener.serve { socket in while try await socket.read() != nil {} }
            }
        case .onSocket: try listener.onSocket { events.append($0) }
        case .iterator: taking = Task { for try await event in listener { events.append(event) } }
        }
        var clients: [Socket] = []
        for _ in 0..<20 { clients.append(try await connectRaw(listener)) }
        await until { listener.connectionCount == 20 }
        await until { listener.core.state.withLock { $0.arriving } == 0 }
        let closing = Task { await listener.close() }
        await until { listener.core.closeReason != nil }
        for client in clients { client.abort() }
        await closing.value
        try await taking?.value
        #expect(listener.connectionCount == 0)
        #expect(events.count == (taker == .serve ? 0 : 20))
        await group.shutdown()
    }
}
