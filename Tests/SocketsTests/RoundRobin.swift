// A TCP balancer for tests: it knows nothing of TLS, and hands connections to its targets in turn. One
// that refuses is passed over.

import Synchronization

@testable import Sockets

/// A balancer in front of several listeners.
final class RoundRobin: Sendable {
    private final class Table: Sendable {
        private struct State {
            var targets: [SocketAddress] = []
            var next = 0
            var picked: [SocketAddress] = []
        }

        private let state = Mutex(State())

        var targets: [SocketAddress] {
            get { state.withLock { $0.targets } }
            set { state.withLock { $0.targets = newValue } }
        }
        var picked: [SocketAddress] { state.withLock { $0.picked } }

        func pick() -> SocketAddress? {
            state.withLock { s in
                guard !s.targets.isEmpty else { return nil }
                s.next = (s.next + 1) % s.targets.count
                return s.targets[s.next]
            }
        }

        func note(_ target: SocketAddress) { state.withLock { $0.picked.append(target) } }
    }

    private let listener: SocketListener
    private let table = Table()
    private let task: Task<Void, Never>

    /// Where clients connect to.
    var address: SocketAddress { listener.localAddress }
    /// Who had the connections so far, in order.
    var picked: [SocketAddress] { table.picked }

    init(_ targets: [SocketAddress]) throws {
        let (listener, table) = (try makeListener(.tcp), table)
        self.listener = listener
        table.targets = targets
        task = Task {
            try? await listener.serve(maxConcurrent: 1000) { client in
                try await RoundRobin.carry(client, table)
            }
        }
    }

    /// Has all further connections go to others.
    func route(to targets: [SocketAddress]) { table.targets = targets }

    func close() async {
        await listener.close()
        await task.value
    }

    private static func carry(_ client: Socket, _ table: Table) async throws {
        for _ in table.targets {
            guard let target = table.pick() else { break }
            let server = try Socket(SocketInit(remote: target))
            guard (try? await server.ready) != nil else { continue }
            table.note(target)
            return await join(client, server)
        }
        client.abort("nobody is there")
    }

    /// Carries bytes both ways until both have ended, or one has failed.
    private static func join(_ client: Socket, _ server: Socket) async {
        await withTaskGroup { group in
            for (from, to) in [(client, server), (server, client)] {
                group.addTask {
                    do {
                        while let bytes = try await from.read() { try await to.write(bytes) }
                        try await to.shutdownWrite()
                    } catch {
                        from.abort("the other side has gone")
                        to.abort("the other side has gone")
                    }
                }
            }
        }
        try? await server.close()
    }
}
