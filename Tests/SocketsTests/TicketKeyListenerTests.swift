// Listeners with ticket keys of a source: they resume each other's sessions, the keys rotate by a clock
// that the test turns, and what the source fails to give takes nothing away.

import Glibc
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

/// A source of secrets that does what a test says, on a clock that the test turns.
final class SecretStage: Sendable {
    enum Mood: Sendable {
        case gives([UInt8]), drops([UInt8]), fails, hangs
    }

    struct Unreachable: Error, Equatable {}

    let clock = ManualClock()
    let states: AsyncStream<TicketKeyState>
    private let told: AsyncStream<TicketKeyState>.Continuation
    private let mood: Mutex<Mood>
    private let count = Mutex(0)
    /// Opened when a source that hangs may end.
    let release = Gate()

    init(_ mood: Mood = .gives([1])) {
        self.mood = Mutex(mood)
        (states, told) = AsyncStream.makeStream()
    }

    var requests: Int { count.withLock { $0 } }
    var staples: StapleClock {
        StapleClock(
            now: { [clock] in UnixTime(seconds: clock.unixSeconds) },
            sleep: { [clock] in try await clock.sleep(until: clock.now.advanced(by: $0)) }
        )
    }

    func become(_ mood: Mood) { self.mood.withLock { $0 = mood } }

    static func secrets(_ seeds: [UInt8], drops: Bool = false) throws -> TicketSecrets {
        try TicketSecrets(
            seeds.map { try TicketSecret([UInt8](repeating: $0, count: 32)) },
            dropsOthers: drops
        )
    }

    func source(
        epoch: Duration = .seconds(1000),
        maximumAge: Duration? = .seconds(500)
    ) throws -> TicketKeySource {
        var source = try TicketKeySource(
            epoch,
            maximumAge,
            { [told] in told.yield($0) },
            staples,
            nil
        ) { [self] in
            count.withLock { $0 += 1 }
            switch mood.withLock({ $0 }) {
            case .gives(let seeds): return try SecretStage.secrets(seeds)
            case .drops(let seeds): return try SecretStage.secrets(seeds, drops: true)
            case .fails: throw Unreachable()
            case .hangs:
                // Not even a cancellation ends it.
                await Task { await release.wait() }.value
                throw Unreachable()
            }
        }
        source.interval = .seconds(60)
        source.retryDelay = .seconds(10)
        source.longestRetryDelay = .seconds(40)
        source.timeout = .seconds(30)
        return source
    }
}

@Suite(.timeLimit(.minutes(1))) struct TicketKeyListenerTests {
    typealias Server = SessionSocketTests.Server

    /// A source that needs no clock.
    private func source(_ seed: UInt8) throws -> TicketKeySource {
        try TicketKeySource(.seconds(3600), nil, nil, .system, { try SecretStage.secrets([seed]) })
        {
            try SecretStage.secrets([seed])
        }
    }

    /// A connection by way of a balancer, which has an address of its own for the sessions.
    private func connect(
        _ wire: Wire,
        _ balancer: RoundRobin,
        _ server: Server,
        _ session: [UInt8]?,
        _ configure: (inout SocketInit) throws -> Void = { _ in }
    ) async throws -> SocketInfo {
        balancer.route(to: [server.listener.localAddress])
        let socket = try makeClient(wire, to: balancer.address) {
            $0.session = session
            try configure(&$0)
        }
        #expect(try await readAll(from: socket) == Array("!".utf8))
        return try #require(socket.info)
    }

    @Test("listeners of one secret resume each other's sessions", arguments: Wire.secure)
    func fleet(_ wire: Wire) async throws {
        let fleet = try (0..<3).map { _ in try Server(wire) { $0.ticketKeys = try source(1) } }
        let stranger = try Server(wire) { $0.ticketKeys = try source(2) }
        let balancer = try RoundRobin([])
        var session = try await connect(wire, balancer, fleet[0], nil).session
        for place in [1, 2, 0] {
            let info = try await connect(wire, balancer, fleet[place], session)
            #expect(info.resumed == true)
            session = info.session
        }
        #expect(try await connect(wire, balancer, stranger, session).resumed == false)
        for server in fleet + [stranger] { await server.listener.close() }
        await balancer.close()
    }

    @Test("hosts have the keys of their listener, or of the source they are given")
    func hosts() async throws {
        let identity = try Credentials.shared().server
        for wire in Wire.secure {
            let fleet = try (0..<2).map { _ in
                let keys = try source(1)
                return try Server(wire) {
                    $0.ticketKeys = keys
                    $0.hosts = [
                        TLSVirtualHost("localhost", identities: [identity]),
                        TLSVirtualHost("*.localhost", identities: [identity]) {
                            $0.ticketKeys = keys
                            $0.alpn = ["other"]
                        },
                    ]
                }
            }
            // The host of its own has the listener's ring, and one keeper does for both.
            #expect(fleet[0].listener.ticketKeys.map(\.canSeal) == [true])
            let balancer = try RoundRobin([])
            for name in ["localhost", "a.localhost"] {
                func connect(_ place: Int, _ session: [UInt8]?) async throws -> SocketInfo {
                    try await self.connect(wire, balancer, fleet[place], session) {
                        $0.servername = name
                        $0.trust.name = .name("localhost")
                    }
                }
                let session = try await connect(0, nil).session
                #expect(try await connect(1, session).resumed == true)
            }
            for server in fleet { await server.listener.close() }
            await balancer.close()
        }
    }

    // MARK: The keeper

    @Test("the source is asked at the start and again and again; each epoch has its key")
    func rotation() async throws {
        let stage = SecretStage()
        let source = try stage.source()
        let server = try Server(.tls13) { $0.ticketKeys = source }
        var states = stage.states.makeAsyncIterator()
        let first = await states.next()
        #expect(first?.canSeal == true && first?.failure == nil)
        let start = ManualClock.defaultUnixSeconds
        #expect(first?.nextAttempt?.seconds == start + 60)
        for round in 2...20 {
            try await stage.clock.waitForSleepers(1)
            stage.clock.advance(by: .seconds(60))
            let state = await states.next()
            #expect(state?.canSeal == true)
            #expect(stage.requests == round)
        }
        #expect(server.listener.ticketKeys.first?.canSeal == true)
        await server.listener.close()
        #expect(server.listener.ticketKeys.first?.nextAttempt == nil)
        await until { stage.clock.sleeperCount == 0 }
    }

    @Test("what fails is told and tried again, and the keys stay until the secret is too old")
    func failure() async throws {
        let stage = SecretStage()
        let source = try stage.source()
        let server = try Server(.tls13) { $0.ticketKeys = source }
        var states = stage.states.makeAsyncIterator()
        _ = await states.next()
        stage.become(.fails)
        var pauses: [Int64] = []
        var seals: [Bool] = []
        for step: Int64 in [60, 10, 20, 40, 40, 40, 40, 40, 40, 40, 40, 40, 40, 40] {
            try await stage.clock.waitForSleepers(1)
            stage.clock.advance(by: .seconds(step))
            let state = try #require(await states.next())
            #expect(state.failure as? SecretStage.Unreachable == .init())
            pauses.append(state.nextAttempt.map { $0.seconds - stage.clock.unixSeconds } ?? 0)
            seals.append(state.canSeal)
        }
        #expect(pauses.prefix(5) == [10, 20, 40, 40, 40])
        // 500 s without a word: 490 s are not too many, 530 s are.
        #expect(seals == Array(repeating: true, count: 13) + [false])
        #expect(try #require(server.listener.ticketKeys.first).keyCount > 0)
        // Handshakes go on, as full ones and without tickets.
        let full = try await server.connect(.tls13)
        #expect(full.info?.session == nil && full.info?.resumed == false)
        stage.become(.gives([1]))
        try await stage.clock.waitForSleepers(1)
        stage.clock.advance(by: .seconds(40))
        let healed = await states.next()
        #expect(healed?.canSeal == true && healed?.failure == nil)
        #expect(try await server.connect(.tls13).info?.session != nil)
        await server.listener.close()
    }

    @Test("a source that never answers is waited for so long only")
    func hanging() async throws {
        let stage = SecretStage(.hangs)
        let source = try stage.source()
        let server = try Server(.tls12) { $0.ticketKeys = source }
        #expect(try await server.connect(.tls12).info?.ticket == nil)
        var states = stage.states.makeAsyncIterator()
        try await stage.clock.waitForSleepers(1)
        stage.clock.advance(by: .seconds(30))
        let state = await states.next()
        #expect((state?.failure as? SocketError)?.code == .responseTimedOut)
        #expect(state?.canSeal == false && state?.keyCount == 0)
        stage.become(.gives([1]))
        try await stage.clock.waitForSleepers(1)
        stage.clock.advance(by: .seconds(10))
        #expect(await states.next()?.canSeal == true)
        await server.listener.close()
        stage.release.open()
    }

    @Test("a secret that was replaced opens its tickets, one that was dropped does not")
    func replacement() async throws {
        for (mood, isResumed) in [(SecretStage.Mood.gives([2]), true), (.drops([2]), false)] {
            let stage = SecretStage()
            let source = try stage.source()
            let server = try Server(.tls13) { $0.ticketKeys = source }
            var states = stage.states.makeAsyncIterator()
            _ = await states.next()
            let session = try await server.connect(.tls13).info?.session
            stage.become(mood)
            try await stage.clock.waitForSleepers(1)
            stage.clock.advance(by: .seconds(60))
            _ = await states.next()
            let next = try await server.connect(.tls13) { $0.session = session }
            #expect(next.info?.resumed == isResumed)
            await server.listener.close()
        }
    }

    @Test("a file is read at once, and again; while it is not there no ticket is given")
    func file() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/tickets"
        func write(_ text: String) throws {
            try Files.write(Array(text.utf8), to: path + ".new")
            #expect(unsafe rename(path + ".new", path) == 0)
        }
        let stage = SecretStage()
        let (told, tell) = AsyncStream.makeStream(of: TicketKeyState.self)
        var source = try TicketKeySource.file(
            path,
            epoch: .seconds(1000),
            onChange: { tell.yield($0) },
            clock: stage.staples
        )
        source.retryDelay = .seconds(10)
        var states = told.makeAsyncIterator()
        let server = try Server(.tls13) { $0.ticketKeys = source }
        let absent = try #require(await states.next())
        #expect((absent.failure as? SocketError)?.code == .systemCallFailed)
        #expect("\(absent.failure as Any)".contains(path))
        #expect(try await server.connect(.tls13).info?.session == nil)
        try write(String(repeating: "a1", count: 32) + "\n")
        try await stage.clock.waitForSleepers(1)
        stage.clock.advance(by: .seconds(10))
        #expect(await states.next()?.canSeal == true)
        let session = try await server.connect(.tls13).info?.session
        // Half a file is a failure, and takes nothing away.
        try write("a1")
        try await stage.clock.waitForSleepers(1)
        stage.clock.advance(by: .seconds(60))
        let broken = await states.next()
        #expect((broken?.failure as? SocketError)?.tls?.code == .invalidTicketSecret)
        #expect(broken?.canSeal == true)
        try write(String(repeating: "b2", count: 32) + "\n")
        try await stage.clock.waitForSleepers(1)
        stage.clock.advance(by: .seconds(10))
        #expect(await states.next()?.failure == nil)
        #expect(try await server.connect(.tls13) { $0.session = session }.info?.resumed == true)
        await server.listener.close()
        // The next listener has its keys before the first client comes.
        let second = try Server(.tls13) { $0.ticketKeys = source }
        #expect(try await second.connect(.tls13).info?.session != nil)
        await second.listener.close()
    }

    @Test("files that are none, or too large, name themselves")
    func unreadable() throws {
        let directory = try TemporaryDirectory()
        let none = #expect(throws: SocketError.self) { try TicketSecrets(file: directory.path) }
        #expect(none?.code == .systemCallFailed && none?.detail == directory.path)
        let path = directory.path + "/large"
        try Files.write([UInt8](repeating: UInt8(ascii: "#"), count: (64 << 10) + 1), to: path)
        let error = #expect(throws: SocketError.self) { try TicketSecrets(file: path) }
        #expect(error?.tls?.code == .invalidTicketSecret && error?.detail == path)
    }

    @Test("a source with an epoch that cannot be is refused, and so are options without TLS")
    func refused() async throws {
        let problem = SocketError(.invalidTLSConfiguration, tls: TLSError(.invalidPolicy))
        #expect(throws: problem) {
            try TicketKeySource(epoch: .zero) { try SecretStage.secrets([1]) }
        }
        let keys = try source(1)
        #expect(throws: SocketError(.tlsOptionWithoutTLS)) {
            try makeListener(.tcp) { $0.ticketKeys = keys }
        }
        #expect(throws: problem) {
            try makeListener(.tls13) {
                $0.sessionTimeout = .seconds(604_800)
                $0.ticketKeys = try TicketKeySource.file("/nonexistent", epoch: .seconds(60))
            }
        }
        let plain = try makeListener(.tcp)
        #expect(plain.ticketKeys.isEmpty)
        await plain.close()
    }

    @Test("a reload keeps the keys of its source, and cannot take back what the fleet has")
    func reload() async throws {
        for wire in Wire.secure {
            let keys = try source(1)
            let server = try Server(wire) { $0.ticketKeys = keys }
            let session = try await server.connect(wire).info?.session
            var members = try listenerOptions(wire).tls
            members.ticketKeys = keys
            try await server.listener.reload(members)
            let next = try await server.connect(wire) { $0.session = session }
            #expect(next.info?.resumed == true)
            #expect(server.listener.ticketKeys.first?.nextAttempt != nil)
            let refused = await thrown { [members] in
                try await server.listener.reload(members, keepingSessions: false)
            }
            #expect(refused?.code == .invalidOption && refused?.hint != nil)
            members.ticketKeys = try source(2)
            try await server.listener.reload(members, keepingSessions: false)
            let full = try await server.connect(wire) { $0.session = next.info?.session }
            #expect(full.info?.resumed == false)
            await server.listener.close()
        }
    }

    // MARK: Load

    @Test("keys rotate in the middle of handshakes, and none of them notices")
    func underLoad() async throws {
        let stage = SecretStage()
        let source = try stage.source(epoch: .seconds(100), maximumAge: nil)
        let listeners = try Wire.secure.map { wire in
            (wire, try Server(wire) { $0.ticketKeys = source })
        }
        let log = Log<Bool>()
        var states = stage.states.makeAsyncIterator()
        _ = await states.next()
        try await withThrowingTaskGroup { group in
            for (wire, server) in listeners {
                for _ in 0..<4 {
                    group.addTask {
                        var session: [UInt8]?
                        for _ in 0..<25 {
                            let socket = try await server.connect(wire) { $0.session = session }
                            let info = socket.info
                            // What was offered was good: at most one epoch and one secret ago.
                            if session != nil { #expect(info?.resumed == true) }
                            log.append(info?.resumed == true)
                            session = info?.session
                        }
                    }
                }
            }
            // An epoch for each few handshakes, and a new secret now and then.
            for round in 1...60 {
                let before = log.count
                await until { log.count >= min(before + 3, 200) }
                if round.isMultiple(of: 5) { stage.become(.gives([UInt8(round)])) }
                stage.clock.advance(by: .seconds(100))
            }
            try await group.waitForAll()
        }
        #expect(log.count == 200 && log.all.count { $0 } == 192)
        for (_, server) in listeners { await server.listener.close() }
    }
}
