// What a listener staples: from the start, from a source, refreshed by a clock that the test turns, and
// what becomes of it when the source fails, hangs, lies or is too late.

import Sockets
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

/// An authority on a clock that a test turns, a certificate of it, and a responder in memory.
final class StapleStage: Sendable {
    enum Mood: Sendable {
        case good, revoked, unknown, stale, garbage, failing, hanging
    }

    struct Unreachable: Error, Equatable {}

    let clock = ManualClock()
    let ca: TestCA
    let leaf: IssuedCertificate
    let identity: TLSIdentity
    let root: Certificate
    private let mood = Mutex(Mood.good)
    private let count = Mutex(0)
    /// How long a response is good for.
    let lifetime: Int
    let states: AsyncStream<StapleState>
    private let told: AsyncStream<StapleState>.Continuation

    init(mustStaple: Bool = false, lifetime: Int = 3600) throws {
        ca = try TestCA(clock: clock)
        var recipe = CertificateRecipe.server(["localhost"])
        if mustStaple { recipe.extraExtensions = [.mustStaple] }
        recipe.validity = .days(-1...30)
        leaf = try ca.issue(recipe)
        identity = try leaf.tlsIdentity
        root = try Certificate(der: ca.rootDER)
        self.lifetime = lifetime
        (states, told) = AsyncStream.makeStream()
    }

    /// How often the source was asked.
    var requests: Int { count.withLock { $0 } }

    func become(_ mood: Mood) { self.mood.withLock { $0 = mood } }

    func response() throws -> [UInt8] {
        let id = try OCSPCertificateID(of: leaf, issuedBy: ca)
        var single = OCSPAnswerRecipe.Single(id, .good)
        single.thisUpdate = .relative(seconds: 0)
        single.nextUpdate = .relative(seconds: Int64(lifetime))
        switch mood.withLock({ $0 }) {
        case .good, .failing, .hanging: break
        case .revoked: single.status = .revoked()
        case .unknown: single.status = .unknown
        case .stale:
            single.thisUpdate = .relative(seconds: -86_400)
            single.nextUpdate = .relative(seconds: -3600)
        case .garbage: return [0x30, 0x03, 0x0A]
        }
        return try ca.ocspAnswer(OCSPAnswerRecipe([single])).der
    }

    var source: OCSPStapleSource {
        var source = OCSPStapleSource(onChange: { [told] in told.yield($0) }) { [self] _ in
            count.withLock { $0 += 1 }
            switch mood.withLock({ $0 }) {
            case .failing: throw Unreachable()
            case .hanging:
                try await clock.sleep(until: clock.now.advanced(by: .seconds(86_400)))
                return []
            default: return try response()
            }
        }
        source.clock = StapleClock(
            now: { [clock] in UnixTime(seconds: clock.unixSeconds) },
            sleep: { [clock] in try await clock.sleep(until: clock.now.advanced(by: $0)) }
        )
        return source
    }

    /// A listener of the identity, which answers every connection with a byte.
    func listener(
        _ configure: (inout SocketListenerInit) throws -> Void = { _ in }
    ) throws -> SocketListener {
        var options = SocketListenerInit(
            type: .tls,
            local: SocketAddress("127.0.0.1", port: 0),
            identity: identity
        )
        options.ocspSource = source
        options.ocspIssuer = root
        try configure(&options)
        let listener = try SocketListener(options)
        try listener.onSocket { event in
            try? event.respondWith(SocketResponse(body: "!"))
        }
        return listener
    }

    /// What a client, which requires evidence, is stapled now; or why it does not connect.
    func staple(
        of listener: SocketListener,
        version: ProtocolVersion = .tls13,
        demand: RevocationPolicy.Demand = .ifPresent
    ) async throws -> OCSPStaple? {
        var options = SocketInit(type: .tls, remote: listener.localAddress)
        options.servername = "localhost"
        options.trust = TrustPolicy(anchors: [root])
        options.trust.verificationTime = UnixTime(seconds: clock.unixSeconds)
        options.trust.revocation = RevocationPolicy(demand)
        options.minimumVersion = version
        options.maximumVersion = version
        options.limits.handshake = .seconds(60)
        let socket = try Socket(options)
        let report = try await socket.ready.report
        try await socket.close()
        return report?.ocspStaple
    }
}

@Suite(.timeLimit(.minutes(1)))
struct ListenerStapleTests {
    @Test("a response given from the start is stapled in both versions, until it is out of date")
    func given() async throws {
        let stage = try StapleStage(mustStaple: true)
        let listener = try stage.listener {
            $0.ocspResponse = try stage.response()
            stage.become(.failing)
        }
        for version in [ProtocolVersion.tls12, .tls13] {
            let staple = try await stage.staple(of: listener, version: version, demand: .require)
            #expect(staple?.status == .good)
        }
        stage.clock.advance(by: .seconds(3601))
        let error = await #expect(throws: SocketError.self) {
            try await stage.staple(of: listener)
        }
        #expect(error?.tls?.verification?.code == .stapleMissing)
        #expect(listener.staples.map(\.isOwed) == [true])
        await listener.close()
    }

    @Test("a client that does not ask gets none")
    func unasked() async throws {
        let stage = try StapleStage()
        let listener = try stage.listener { $0.ocspResponse = try stage.response() }
        var options = SocketInit(type: .tls, remote: listener.localAddress)
        options.servername = "localhost"
        options.trust = TrustPolicy(anchors: [stage.root])
        options.trust.verificationTime = UnixTime(seconds: stage.clock.unixSeconds)
        options.trust.revocation = .off
        let socket = try Socket(options)
        #expect(try await socket.ready.report?.ocspResponse == nil)
        try await socket.close()
        await listener.close()
    }

    @Test("a response that a client would refuse makes no listener")
    func refusedAtOnce() throws {
        let other = try TestCA(clock: ManualClock())
        let moods: [(StapleStage.Mood, VerificationCode)] = [
            (.revoked, .revoked), (.unknown, .stapleStatusUnknown), (.stale, .stapleExpired),
            (.garbage, .stapleMalformed),
        ]
        for (mood, code) in moods {
            let stage = try StapleStage()
            stage.become(mood)
            let error = #expect(throws: SocketError.self) {
                try stage.listener { $0.ocspResponse = try stage.response() }
            }
            #expect(error?.code == .invalidTLSConfiguration)
            #expect(error?.tls?.code == .invalidOCSPResponse)
            #expect(error?.tls?.verification?.code == code)
            #expect(error?.tls?.hint != nil)
        }
        let stage = try StapleStage()
        let leaf = try other.issue("localhost")
        let foreign = try other.ocspAnswer(for: leaf).der
        for issuer in [stage.root, nil] {
            let error = #expect(throws: SocketError.self) {
                try stage.listener {
                    $0.ocspIssuer = issuer
                    $0.ocspResponse = foreign
                }
            }
            // Without the issuer's certificate nothing can be said of the signature.
            let code = error?.tls?.verification?.code
            #expect(code == (issuer == nil ? .stapleOfAnotherCertificate : .stapleBadSignature))
        }
    }

    @Test(
        "the source is asked at the start and at half of what is left, and the new one is stapled"
    )
    func refresh() async throws {
        let stage = try StapleStage(lifetime: 3600)
        let listener = try stage.listener()
        var states = stage.states.makeAsyncIterator()
        let start = ManualClock.defaultUnixSeconds
        for round in 0..<4 {
            let state = try #require(await states.next())
            let now = start + Int64(round) * 1800
            #expect(state.failure == nil && !state.isOwed)
            #expect(state.staple?.thisUpdate == UnixTime(seconds: now))
            #expect(state.nextAttempt == UnixTime(seconds: now + 1800))
            let staple = try await stage.staple(of: listener, demand: .require)
            #expect(staple?.der == state.staple?.der)
            try await stage.clock.waitForSleepers(1)
            stage.clock.advance(by: .seconds(1799))
            #expect(stage.requests == round + 1)
            stage.clock.advance(by: .seconds(1))
        }
        await listener.close()
    }

    @Test("a staple is kept while the source fails, until it is out of date, and comes back")
    func failures() async throws {
        let stage = try StapleStage(mustStaple: true, lifetime: 1000)
        let listener = try stage.listener()
        var states = stage.states.makeAsyncIterator()
        let first = try #require(await states.next())
        stage.become(.failing)
        // The pauses: half of what is left, then a minute, doubled each time.
        for (pause, hasStaple) in [(500, true), (60, true), (120, true), (240, true), (480, false)]
        {
            try await stage.clock.waitForSleepers(1)
            stage.clock.advance(by: .seconds(pause))
            let state = try #require(await states.next())
            #expect(state.failure is StapleStage.Unreachable)
            #expect(state.staple == (hasStaple ? first.staple : nil))
            #expect(state.isOwed == !hasStaple)
            guard hasStaple else { continue }
            #expect(try await stage.staple(of: listener)?.der == first.staple?.der)
        }
        await #expect(throws: SocketError.self) { try await stage.staple(of: listener) }
        stage.become(.good)
        try await stage.clock.waitForSleepers(1)
        stage.clock.advance(by: .seconds(960))
        let back = try #require(await states.next())
        #expect(back.failure == nil && back.staple != nil)
        #expect(try await stage.staple(of: listener)?.der == back.staple?.der)
        await listener.close()
    }

    @Test(
        "a response that a client would refuse is not stapled, and the one before stays",
        arguments: [StapleStage.Mood.unknown, .stale, .garbage]
    )
    func lies(_ mood: StapleStage.Mood) async throws {
        let stage = try StapleStage()
        let listener = try stage.listener()
        var states = stage.states.makeAsyncIterator()
        let first = try #require(await states.next())
        stage.become(mood)
        try await stage.clock.waitForSleepers(1)
        stage.clock.advance(by: .seconds(1800))
        let state = try #require(await states.next())
        #expect((state.failure as? TLSError)?.code == .invalidOCSPResponse)
        #expect(state.staple == first.staple)
        await listener.close()
    }

    @Test("a certificate that the responder calls revoked loses its staple at once")
    func revoked() async throws {
        let stage = try StapleStage()
        let listener = try stage.listener()
        var states = stage.states.makeAsyncIterator()
        #expect(await states.next()?.staple != nil)
        stage.become(.revoked)
        try await stage.clock.waitForSleepers(1)
        stage.clock.advance(by: .seconds(1800))
        let state = try #require(await states.next())
        #expect((state.failure as? TLSError)?.verification?.code == .revoked)
        #expect(state.staple == nil)
        await listener.close()
    }

    @Test("a source that hangs holds up no handshake, and is cut off in time")
    func hanging() async throws {
        let stage = try StapleStage(mustStaple: true)
        stage.become(.hanging)
        let listener = try stage.listener()
        try await stage.clock.waitForSleepers(2)
        #expect(listener.staples.map(\.isOwed) == [true])
        let error = await #expect(throws: SocketError.self) {
            try await stage.staple(of: listener)
        }
        #expect(error?.tls?.verification?.code == .stapleMissing)
        stage.clock.advance(by: .seconds(30))
        var states = stage.states.makeAsyncIterator()
        let state = try #require(await states.next())
        #expect((state.failure as? SocketError)?.code == .responseTimedOut)
        await listener.close()
    }

    @Test("the task ends with the listener, closed or dropped, also while the source hangs")
    func ends() async throws {
        for mood in [StapleStage.Mood.good, .hanging] {
            for drops in [true, false] {
                let stage = try StapleStage()
                stage.become(mood)
                var listener: SocketListener? = try stage.listener()
                try await stage.clock.waitForSleepers(mood == .hanging ? 2 : 1)
                if !drops { await listener?.close() }
                #expect(drops || listener?.staples.first?.nextAttempt == nil)
                listener = nil
                // A cancelled sleeper leaves the clock; one task more would stay.
                while stage.clock.sleeperCount > 0 { await Task.yield() }
                stage.clock.advance(by: .seconds(86_400))
                #expect(stage.requests == 1)
            }
        }
    }

    @Test("each virtual host is stapled for, by the listener's source or by what it has itself")
    func hosts() async throws {
        let ca = try TestCA()
        let root = try Certificate(der: ca.rootDER)
        let names = ["main.test", "a.test", "b.test"]
        let issued = try names.map { try ca.issue(.dns($0)) }
        let identities = try issued.map { try $0.tlsIdentity }
        let answers = try issued.map { try ca.ocspAnswer(for: $0).der }
        let (states, told) = AsyncStream<StapleState>.makeStream()
        let source = OCSPStapleSource(onChange: { told.yield($0) }) { identity in
            let place = try #require(identities.firstIndex(of: identity))
            return answers[place]
        }
        var options = SocketListenerInit(
            type: .tls,
            local: SocketAddress("127.0.0.1", port: 0),
            identity: identities[0]
        )
        options.ocspIssuer = root
        options.ocspSource = source
        options.hosts = [
            TLSVirtualHost("a.test", identities: [identities[1]]),
            TLSVirtualHost("b.test", identities: [identities[2]]) {
                $0.ocspIssuer = root
                $0.ocspResponse = answers[2]
            },
        ]
        let listener = try SocketListener(options)
        try listener.onSocket { event in
            try? event.respondWith(SocketResponse(body: "!"))
        }
        var iterator = states.makeAsyncIterator()
        // The third has no source.
        for _ in 0..<2 { #expect(await iterator.next()?.failure == nil) }
        #expect(listener.staples.map(\.certificate) == identities.map(\.certificate))
        #expect(listener.staples.map { $0.staple?.der } == answers)
        #expect(listener.staples.map { $0.nextAttempt == nil } == [false, false, true])
        for (name, answer) in zip(names, answers) {
            var client = SocketInit(type: .tls, remote: listener.localAddress)
            client.servername = name
            client.trust = TrustPolicy(anchors: [root])
            client.trust.revocation = .require
            let socket = try Socket(client)
            #expect(try await socket.ready.report?.ocspStaple?.der == answer)
            try await socket.close()
        }
        await listener.close()
    }

    @Test("a listener that demands nothing and staples nothing says so")
    func nothing() async throws {
        let plain = try SocketListener(
            SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0))
        )
        #expect(plain.staples.isEmpty)
        await plain.close()
        let stage = try StapleStage()
        let listener = try stage.listener { $0.ocspSource = nil }
        #expect(listener.staples.map(\.isOwed) == [false])
        #expect(listener.staples.map(\.nextAttempt) == [nil])
        #expect(try await stage.staple(of: listener) == nil)
        await listener.close()
    }
}
