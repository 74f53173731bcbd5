import SocketCore
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct ResolverTests {
    /// A look-up that waits until the test lets it go.
    final class Gate: Sendable {
        let started: AsyncStream<String>
        private let startedSink: AsyncStream<String>.Continuation
        private let read: Descriptor
        private let write: Descriptor

        init() throws {
            (started, startedSink) = AsyncStream.makeStream()
            let (first, second) = try Syscalls.socketPair()
            read = Descriptor(owning: first)
            write = Descriptor(owning: second)
        }

        /// Says that it began, then holds the calling thread until `open` was called once for it.
        func hold(_ name: String) {
            startedSink.yield(name)
            guard let poller = try? Poller(eventLimit: 1),
                (try? poller.add(read.rawValue, token: 1)) != nil
            else {
                return
            }
            var byte: [UInt8] = [0]
            while unsafe byte.withUnsafeMutableBytes({
                unsafe Syscalls.receive(read.rawValue, into: $0)
            }) < 1 {
                _ = poller.wait(milliseconds: -1)
            }
        }

        func open(_ count: Int = 1) {
            _ = send(write.rawValue, [UInt8](repeating: 1, count: count))
        }

        func waitForStart() async -> String? {
            for await name in started {
                return name
            }
            return nil
        }
    }

    static let first = IPAddress.v4(IPv4Address(0xC000_0201))
    static let second = IPAddress.v6(IPv6Address(high: 0x2001_0DB8 << 32, low: 1))

    @Test("addresses keep the look-up's order, without duplicates, by family")
    func order() async throws {
        let pool = ResolverPool { _, _ in [Self.second, Self.first, Self.second, Self.first] }
        #expect(try await pool.resolve("a.test") == [Self.second, Self.first])
        #expect(try await pool.resolve("a.test", family: .ipv4) == [Self.first])
        #expect(try await pool.resolve("a.test", family: .ipv6) == [Self.second])
        pool.close()
    }

    @Test("the look-up gets the name as given, last dot included, and the family")
    func question() async throws {
        let asked = Log<String>()
        let pool = ResolverPool { name, family in
            asked.append("\(name ?? "nil") \(family)")
            return [Self.first]
        }
        _ = try await pool.resolve("A.Test.", family: .ipv4)
        #expect(asked.all == ["a.test. ipv4"])
        pool.close()
    }

    @Test("an IP address is its own answer, of its own family only")
    func literal() async throws {
        let pool = ResolverPool { _, _ in
            Issue.record("an address was looked up")
            return []
        }
        #expect(try await pool.resolve("192.0.2.1") == [Self.first])
        #expect(try await pool.resolve("2001:db8::1", family: .ipv6) == [Self.second])
        await #expect(throws: ResolutionError(.noAddress, detail: "")) {
            try await pool.resolve("192.0.2.1", family: .ipv6)
        }
        pool.close()
    }

    @Test(
        "what is no host name fails without a look-up",
        arguments: ["", "a b", "127.1", "0x7f000001", "a..b"]
    )
    func invalid(name: String) async {
        let pool = ResolverPool { _, _ in [Self.first] }
        await #expect(throws: ResolutionError(.invalidName, detail: "")) {
            try await pool.resolve(name)
        }
        pool.close()
    }

    @Test(
        "localhost asks for the loopback addresses, never for its name",
        arguments: ["localhost", "LOCALHOST.", "a.localhost"]
    )
    func localhost(name: String) async throws {
        let asked = Log<String?>()
        let pool = ResolverPool { name, _ in
            asked.append(name)
            return [.v4(.loopback), .v6(.loopback)]
        }
        #expect(try await pool.resolve(name) == [.v4(.loopback), .v6(.loopback)])
        #expect(asked.all == [nil])
        pool.close()
    }

    @Test("localhost has its addresses even if the system gives none")
    func localhostFallback() async throws {
        let pool = ResolverPool { (_, _) throws(ResolutionError) in
            throw ResolutionError(.temporaryFailure, detail: "away")
        }
        #expect(try await pool.resolve("localhost") == [.v6(.loopback), .v4(.loopback)])
        #expect(try await pool.resolve("localhost", family: .ipv4) == [.v4(.loopback)])
        pool.close()
    }

    @Test("the system's own resolver gives the loopback addresses without a network")
    func systemLocalhost() async throws {
        let found = try await Resolver.resolve("localhost")
        #expect(!found.isEmpty)
        #expect(found.allSatisfy { $0.isLoopback })
        #expect(try await Resolver.resolve("localhost", family: .ipv4) == [.v4(.loopback)])
        #expect(try await Resolver.resolve("localhost", family: .ipv6) == [.v6(.loopback)])
    }

    @Test(
        "a failed look-up keeps its code",
        arguments: [
            .notFound, .noAddress, .temporaryFailure, .permanentFailure, .noMemory,
            .system(.tooManyOpenFiles),
            .other(-100),
        ] as [ResolutionError.Code]
    )
    func failure(code: ResolutionError.Code) async {
        let pool = ResolverPool { (_, _) throws(ResolutionError) in
            throw ResolutionError(code, detail: "detail")
        }
        await #expect(throws: ResolutionError(code, detail: "")) {
            try await pool.resolve("a.test")
        }
        pool.close()
    }

    @Test("an empty answer, or one of the other family, is no address")
    func empty() async {
        let pool = ResolverPool { _, family in family == .any ? [] : [Self.first] }
        await #expect(throws: ResolutionError(.noAddress, detail: "")) {
            try await pool.resolve("a.test")
        }
        await #expect(throws: ResolutionError(.noAddress, detail: "")) {
            try await pool.resolve("a.test", family: .ipv6)
        }
        pool.close()
    }

    @Test("cancelling returns while the look-up still runs, and its answer is dropped")
    func cancelRunning() async throws {
        let gate = try Gate()
        let pool = ResolverPool(threadLimit: 1) { name, _ in
            gate.hold(name ?? "")
            return [Self.first]
        }
        let task = Task { try await pool.resolve("slow.test") }
        #expect(await gate.waitForStart() == "slow.test")
        task.cancel()
        await #expect(throws: ResolutionError(.cancelled, detail: "")) { try await task.value }
        gate.open(2)
        #expect(try await pool.resolve("next.test") == [Self.first])
        pool.close()
    }

    @Test("cancelling a request that waits takes it out of the queue; it is never looked up")
    func cancelWaiting() async throws {
        let gate = try Gate()
        let asked = Log<String>()
        let pool = ResolverPool(threadLimit: 1, queueLimit: 1) { name, _ in
            asked.append(name ?? "")
            gate.hold(name ?? "")
            return [Self.first]
        }
        let running = Task { try await pool.resolve("running.test") }
        #expect(await gate.waitForStart() == "running.test")
        let waiting = Task { try await pool.resolve("waiting.test") }
        await expectFull(pool)
        waiting.cancel()
        await #expect(throws: ResolutionError(.cancelled, detail: "")) { try await waiting.value }
        let next = Task { try await pool.resolve("next.test") }
        gate.open(2)
        #expect(try await running.value == [Self.first])
        #expect(try await next.value == [Self.first])
        #expect(asked.all == ["running.test", "next.test"])
        pool.close()
    }

    @Test("a task that is cancelled already gets no look-up")
    func cancelledBefore() async throws {
        let pool = ResolverPool(threadLimit: 1) { _, _ in [Self.first] }
        let task = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return try await pool.resolve("a.test")
        }
        await #expect(throws: ResolutionError(.cancelled, detail: "")) { try await task.value }
        pool.close()
    }

    @Test(
        "as many look-ups run as there are threads; past the queue's limit they fail at once"
    )
    func limits() async throws {
        let gate = try Gate()
        let pool = ResolverPool(threadLimit: 2, queueLimit: 1) { name, _ in
            gate.hold(name ?? "")
            return [Self.first]
        }
        let running = (0..<2).map { index in Task { try await pool.resolve("r\(index).test") } }
        _ = await gate.waitForStart()
        _ = await gate.waitForStart()
        let waiting = Task { try await pool.resolve("waiting.test") }
        await expectFull(pool)
        gate.open(3)
        for task in running + [waiting] {
            #expect(try await task.value == [Self.first])
        }
        pool.close()
    }

    /// Waits until the queue is full, by asking again and again and giving up what got in.
    private func expectFull(_ pool: ResolverPool) async {
        while true {
            let probe = Task { try await pool.resolve("probe.test") }
            await Task.yield()
            probe.cancel()
            if case .failure(let error) = await probe.result,
                (error as? ResolutionError)?.code == .queueFull
            {
                return
            }
        }
    }

    @Test("many requests at once are all answered")
    func storm() async throws {
        let pool = ResolverPool(threadLimit: 4, queueLimit: 1000) { _, _ in [Self.first] }
        let answered = try await withThrowingTaskGroup(of: Int.self) { group in
            for index in 0..<500 {
                group.addTask { try await pool.resolve("n\(index).test").count }
            }
            return try await group.reduce(0, +)
        }
        #expect(answered == 500)
        pool.close()
    }

    @Test("a closed pool refuses")
    func closed() async {
        let pool = ResolverPool { _, _ in [Self.first] }
        pool.close()
        await #expect(throws: ResolutionError(.queueFull, detail: "")) {
            try await pool.resolve("a.test")
        }
    }
}
