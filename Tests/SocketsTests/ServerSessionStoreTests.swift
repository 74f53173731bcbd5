// Sessions in a store: listeners that share it resume each other's, and whatever the store does wrong
// costs a full handshake.

import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

/// A store that does what a test says, over one that works.
final class MoodyStore: ServerSessionStore {
    enum Mood: Sendable {
        case works, fails, hangs, lies([UInt8])
    }

    struct Broken: Error, Equatable {}

    let memory = MemorySessionStore()
    let mood = Mutex(Mood.works)
    /// Opened when those that hang may end.
    let release = Gate()
    let calls = Log<ServerSessionFailure.Operation>()

    func become(_ other: Mood) { mood.withLock { $0 = other } }

    private func act(_ operation: ServerSessionFailure.Operation) async throws -> [UInt8]? {
        calls.append(operation)
        switch mood.withLock({ $0 }) {
        case .works: return nil
        case .fails: throw Broken()
        case .lies(let bytes): return bytes
        case .hangs:
            // Not even a cancellation ends it.
            await Task { await release.wait() }.value
            return nil
        }
    }

    func session(_ id: [UInt8]) async throws -> [UInt8]? {
        try await act(.session) ?? memory.session(id)
    }

    func takeSession(_ id: [UInt8]) async throws -> [UInt8]? {
        try await act(.take) ?? memory.takeSession(id)
    }

    func keepSession(_ session: [UInt8], _ id: [UInt8], until end: UnixTime) async throws {
        _ = try await act(.keep)
        memory.keepSession(session, id, until: end)
    }

    func forgetSession(_ id: [UInt8]) async throws {
        _ = try await act(.forget)
        memory.forgetSession(id)
    }
}

@Suite(.timeLimit(.minutes(1))) struct ServerSessionStoreTests {
    typealias Server = SessionSocketTests.Server

    let store = MoodyStore()
    let failures = Log<ServerSessionFailure>()

    /// The store as one process of a fleet has it.
    private func keeping(timeout: Duration = patience) -> ServerSessionKeeping {
        var keeping = ServerSessionKeeping(store) { [failures] in failures.append($0) }
        keeping.timeout = timeout
        return keeping
    }

    private func keys(_ seed: UInt8 = 1) throws -> TicketKeySource {
        try TicketKeySource(.seconds(3600), nil, nil, .system, { try SecretStage.secrets([seed]) })
        {
            try SecretStage.secrets([seed])
        }
    }

    /// A first connection, whose session is in the store when this returns.
    private func session(_ wire: Wire, _ server: Server) async throws -> [UInt8]? {
        let (count, store) = (store.memory.count, store)
        let session = try await server.connect(wire).info?.session
        await until { store.memory.count > count }
        return session
    }

    @Test("listeners that share a store resume each other's sessions", arguments: Wire.secure)
    func resumption(_ wire: Wire) async throws {
        let fleet = try (0..<2).map { _ in
            try Server(wire) {
                $0.sessionStore = keeping()
                $0.ticketKeys = try keys()
            }
        }
        let balancer = try RoundRobin([])
        var session: [UInt8]?
        for (place, isResumed) in [(0, false), (1, true), (0, true), (1, true)] {
            balancer.route(to: [fleet[place].listener.localAddress])
            let kept = store.calls.all.count { $0 == .keep }
            let socket = try makeClient(wire, to: balancer.address) { $0.session = session }
            #expect(try await readAll(from: socket) == Array("!".utf8))
            #expect(socket.info?.resumed == isResumed)
            session = socket.info?.session
            // A session of TLS 1.3 is another each time, and is there a moment later.
            let expected = wire == .tls12 ? 1 : kept + 1
            await until { [store] in store.calls.all.count { $0 == .keep } == expected }
            await until { [store] in store.memory.count == 1 }
        }
        #expect(store.calls.all.contains(wire == .tls12 ? .session : .take))
        #expect(failures.count == 0)
        for server in fleet { await server.listener.close() }
        await balancer.close()
    }

    @Test("hosts keep their sessions in the store of their listener, apart from each other's")
    func hosts() async throws {
        let identity = try Credentials.shared().server
        for wire in Wire.secure {
            let server = try Server(wire) {
                $0.sessionStore = keeping()
                $0.hosts = [TLSVirtualHost("localhost", identities: [identity])]
                $0.hostFallback = .always
            }
            let count = store.memory.count
            let first = try await server.connect(wire) { $0.servername = "localhost" }
            await until { [store] in store.memory.count == count + 1 }
            let second = try await server.connect(wire) {
                $0.servername = "localhost"
                $0.session = first.info?.session
            }
            #expect(second.info?.resumed == true)
            await server.listener.close()
        }
        #expect(failures.count == 0)
    }

    @Test(
        "a store that fails, lies or never answers costs a full handshake",
        arguments: Wire.secure
    )
    func faults(_ wire: Wire) async throws {
        let server = try Server(wire) { $0.sessionStore = keeping(timeout: .milliseconds(50)) }
        for mood in [MoodyStore.Mood.fails, .lies([1, 2, 3]), .lies([]), .hangs] {
            store.become(.works)
            let session = try await session(wire, server)
            #expect(session != nil)
            let operation = wire == .tls12 ? ServerSessionFailure.Operation.session : .take
            let before = failures.all.count { $0.operation == operation }
            store.become(mood)
            let socket = try await server.connect(wire) { $0.session = session }
            #expect(socket.info?.resumed == false)
            // Keeping the new one fails, too.
            let failure = try #require(
                failures.all.filter { $0.operation == operation }.dropFirst(before).first
            )
            switch mood {
            case .fails: #expect(failure.reason as? MoodyStore.Broken == .init())
            case .lies: #expect((failure.reason as? TLSError)?.code == .invalidSession)
            case .hangs, .works:
                #expect((failure.reason as? SocketError)?.code == .responseTimedOut)
            }
            #expect(failure.description.contains("store"))
        }
        store.release.open()
        await server.listener.close()
    }

    @Test("changes that the store does not take are bounded, and told")
    func pending() async throws {
        var keeping = keeping()
        keeping.pendingChanges = 2
        store.become(.hangs)
        let server = try Server(.tls13) { [keeping] in $0.sessionStore = keeping }
        for _ in 0..<2 { _ = try await server.connect(.tls13) }
        await until { [store] in store.calls.count == 2 }
        #expect(failures.count == 0)
        _ = try await server.connect(.tls13)
        await until { [failures] in failures.count == 1 }
        #expect(failures.all[0].operation == .keep)
        #expect((failures.all[0].reason as? SocketError)?.code == .limitExceeded)
        store.release.open()
        await until { [store] in store.memory.count == 2 }
        store.become(.works)
        // There is room again.
        _ = try await session(.tls13, server)
        await server.listener.close()
    }

    @Test(
        "a client that goes while the store is asked leaves nothing behind",
        arguments: Wire.secure
    )
    func cancelled(_ wire: Wire) async throws {
        let server = try Server(wire) { $0.sessionStore = keeping() }
        let session = try await session(wire, server)
        store.become(.hangs)
        let asked = store.calls.count
        let socket = try makeClient(wire, to: server.listener.localAddress) { $0.session = session }
        await until { [store] in store.calls.count > asked }
        socket.abort("enough")
        // Nobody waits for the store: the listener is over when its connections are.
        await server.listener.close()
        #expect(failures.count == 0)
        store.release.open()
    }

    @Test("a connection that fails has its sessions forgotten")
    func forgotten() async throws {
        let listener = try makeListener(.tls13) { $0.sessionStore = keeping() }
        let raw = try makeClient(.tcp, to: listener.localAddress)
        var iterator = listener.makeAsyncIterator()
        async let accepted = iterator.next()
        var peer = try EnginePeer(.client, .tls13, over: raw)
        try await peer.handshake()
        let server = try #require(try await accepted).socket
        await until { [store] in store.memory.count == 1 }
        try await raw.write([23, 3, 3, 0, 20] + pattern(20))
        #expect(await thrown { _ = try await server.read() }?.tls?.code == .badRecord)
        await until { [store] in store.memory.count == 0 }
        #expect(store.calls.all == [.keep, .forget])
        raw.abort()
        await listener.close()
    }

    @Test("numbers that nothing can work with are refused")
    func limits() throws {
        var (short, none) = (keeping(), keeping())
        short.timeout = .zero
        none.pendingChanges = 0
        for keeping in [short, none] {
            #expect(throws: SocketError(.invalidOption)) {
                try makeListener(.tls13) { $0.sessionStore = keeping }
            }
        }
        #expect(keeping() != keeping())
        let one = keeping()
        #expect(one == one && Set([one, one]).count == 1)
    }

    @Test("the memory keeps so many sessions, until they are over")
    func memory() {
        let time = Mutex<Int64>(100)
        let memory = MemorySessionStore(limit: 10) { UnixTime(seconds: time.withLock { $0 }) }
        func end(_ seconds: Int64) -> UnixTime { UnixTime(seconds: seconds) }
        for number in UInt8(0)..<10 { memory.keepSession([number], [number], until: end(200)) }
        #expect(memory.count == 10 && memory.session([0]) == [0])
        memory.keepSession([10], [10], until: end(101))
        // The oldest went, a tenth more than need be.
        #expect(memory.count == 9 && memory.session([1]) == nil && memory.session([2]) == [2])
        #expect(memory.takeSession([2]) == [2] && memory.takeSession([2]) == nil)
        memory.keepSession([33], [3], until: end(200))
        memory.forgetSession([4])
        #expect(memory.session([3]) == [33] && memory.session([4]) == nil)
        time.withLock { $0 = 101 }
        #expect(memory.session([10]) == nil && memory.session([9]) == [9])
        time.withLock { $0 = 200 }
        #expect(memory.takeSession([9]) == nil)
        // One that is kept again and again takes one place.
        for _ in 0..<100 { memory.keepSession([7], [7], until: end(300)) }
        #expect(memory.session([7]) == [7])
    }
}
