// Who comes in at a listener, who has to wait, and who is turned away; how a listener ends by a deadline.

import SocketCore
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

/// What a client says first.
func makeClientHello(_ wire: Wire = .tls13, servername: String = "localhost") throws -> [UInt8] {
    let context = try TLSContext(
        role: .client,
        policy: TLSPolicy { policy in
            policy.minimumVersion = wire.version ?? .tls12
            policy.maximumVersion = wire.version ?? .tls13
        },
        trust: TrustPolicy(anchors: try Credentials.shared().anchors)
    )
    var engine = try TLSEngine(context, remoteName: servername)
    return try [UInt8](capacity: 16 << 10) { output throws(TLSError) in
        _ = try engine.handshake(consuming: Span(), producing: &output)
    }
}

/// A client that does by hand what a test says, over TCP.
func connectRaw(_ listener: SocketListener, saying bytes: [UInt8] = []) async throws -> Socket {
    let socket = try makeClient(.tcp, to: listener.localAddress)
    _ = try await socket.ready
    if !bytes.isEmpty { try await socket.write(bytes) }
    return socket
}

private func echo(_ listener: SocketListener) -> Task<Void, any Error> {
    Task {
        try await listener.serve { socket in
            while let bytes = try await socket.read() { try await socket.write(bytes) }
        }
    }
}

private func roundTrip(_ socket: Socket) async throws {
    try await socket.write("echo")
    #expect(try await readExactly(4, from: socket) == Array("echo".utf8))
}

extension ListenerEvents.Iterator {
    /// The next refusal.
    mutating func nextRefusal() async -> ListenerRefusal? {
        while let event = await next() {
            if case .refused(let refusal, _) = event { return refusal }
        }
        return nil
    }
}

@Suite(.timeLimit(.minutes(1))) struct AdmissionTests {
    @Test("a handshake without a slot stands in line until there is one", arguments: Wire.secure)
    func line(wire: Wire) async throws {
        let listener = try makeListener(wire) {
            $0.admission.handshakes = 1
            $0.admission.queueTime = patience
        }
        let serving = echo(listener)
        let admission = listener.core.admission
        // It gets the slot, and says no more.
        let holder = try await connectRaw(listener, saying: try makeClientHello(wire))
        await until { admission.counts.runningCount == 1 }
        let clients = try (0..<3).map { _ in try makeClient(wire, to: listener.localAddress) }
        let ready = clients.map { client in Task { _ = try await client.ready } }
        await until { admission.lineCount == 3 }
        #expect(admission.counts.waitingCount == 3)
        holder.abort()
        for task in ready { try await task.value }
        for client in clients {
            try await roundTrip(client)
            try await client.close()
        }
        #expect(admission.counts.runningCount == 0 && admission.counts.waitingCount == 0)
        await listener.close()
        try await serving.value
    }

    @Test("slots are counted a loop and a listener", arguments: [true, false])
    func slotsOfLoops(isOfLoop: Bool) async throws {
        let group = EventLoopGroup(loopCount: 2)
        let listener = try makeListener(.tls13) {
            $0.group = group
            $0.admission.queueTime = patience
            if isOfLoop { $0.admission.handshakesPerLoop = 1 } else { $0.admission.handshakes = 1 }
        }
        let serving = echo(listener)
        let hello = try makeClientHello()
        var raw: [Socket] = []
        for _ in 0..<4 { raw.append(try await connectRaw(listener, saying: hello)) }
        let admission = listener.core.admission
        let slots = isOfLoop ? 2 : 1
        await until { admission.lineCount == 4 - slots }
        #expect(admission.counts.runningCount == slots)
        // Those of another loop look again by themselves.
        for socket in raw { socket.abort() }
        await until { listener.core.aliveCount == 0 && admission.lineCount == 0 }
        #expect(admission.counts.runningCount == 0)
        await listener.close()
        try await serving.value
        await group.shutdown()
    }

    @Test("who waits too long in line is turned away")
    func queueTime() async throws {
        let listener = try makeListener(.tls13) {
            $0.admission.handshakes = 1
            $0.admission.queueTime = .milliseconds(20)
        }
        var events = listener.events.makeAsyncIterator()
        let serving = echo(listener)
        let hello = try makeClientHello()
        let holder = try await connectRaw(listener, saying: hello)
        await until { listener.core.admission.counts.runningCount == 1 }
        let late = try await connectRaw(listener, saying: hello)
        #expect(try await late.read() == nil)
        #expect(await events.nextRefusal() == .queueTime)
        holder.abort()
        await listener.close()
        try await serving.value
    }

    @Test("who hangs up in line is not answered")
    func leaver() async throws {
        let listener = try makeListener(.tls13) {
            $0.admission.handshakes = 1
            $0.admission.queueTime = patience
        }
        let serving = echo(listener)
        let hello = try makeClientHello()
        let holder = try await connectRaw(listener, saying: hello)
        await until { listener.core.admission.counts.runningCount == 1 }
        let leaver = try await connectRaw(listener, saying: hello)
        await until { listener.core.admission.lineCount == 1 }
        try await leaver.shutdownWrite()
        let connection = listener.core.aliveConnections.first { $0.isWaiting }
        await until { connection?.state.withLock { $0.hasHungUp } ?? true }
        holder.abort()
        await until { listener.core.aliveCount == 0 }
        #expect(connection?.state.withLock { $0.bytesSent } == 0)
        await listener.close()
        try await serving.value
    }

    @Test("with as many waiting as may wait, connections stay in the kernel")
    func waiting() async throws {
        let listener = try makeListener(.tls13) { $0.admission.waiting = 2 }
        let serving = echo(listener)
        var silent: [Socket] = []
        for _ in 0..<2 { silent.append(try await connectRaw(listener)) }
        await until { listener.core.aliveCount == 2 }
        let honest = try makeClient(.tls13, to: listener.localAddress)
        let ready = Task { try await honest.ready }
        await pass(.milliseconds(30))
        #expect(listener.core.aliveCount == 2)
        for socket in silent { socket.abort() }
        _ = try await ready.value
        try await roundTrip(honest)
        try await honest.close()
        await listener.close()
        try await serving.value
    }

    @Test("one connection more than there may be is closed at once, and the next comes in again")
    func connections() async throws {
        for wire in [Wire.tcp, .tls13] {
            let listener = try makeListener(wire) { $0.admission.connections = 2 }
            var events = listener.events.makeAsyncIterator()
            let serving = echo(listener)
            let first = try makeClient(wire, to: listener.localAddress)
            let second = try makeClient(wire, to: listener.localAddress)
            for socket in [first, second] {
                _ = try await socket.ready
                try await roundTrip(socket)
            }
            let third = try await connectRaw(listener)
            #expect((try? await third.read()) == nil)
            #expect(await events.nextRefusal() == .connections)
            try await first.close()
            await until { listener.core.aliveCount == 1 }
            let fourth = try makeClient(wire, to: listener.localAddress)
            _ = try await fourth.ready
            try await roundTrip(fourth)
            try await fourth.close()
            try await second.close()
            await listener.close()
            try await serving.value
        }
    }

    @Test("an address has so many connections and comes so often")
    func addresses() async throws {
        let listener = try makeListener(.tcp) { $0.admission.connectionsPerAddress = 1 }
        var events = listener.events.makeAsyncIterator()
        let serving = echo(listener)
        func connect(from host: String, to listener: SocketListener) async throws -> Socket {
            let socket = try makeClient(.tcp, to: listener.localAddress) {
                $0.local = SocketAddress(host, port: 0)
            }
            _ = try await socket.ready
            return socket
        }
        let first = try await connect(from: "127.9.0.1", to: listener)
        try await roundTrip(first)
        let second = try await connect(from: "127.9.0.1", to: listener)
        #expect((try? await second.read()) == nil)
        #expect(await events.nextRefusal() == .connectionsOfAddress)
        let other = try await connect(from: "127.9.0.2", to: listener)
        try await roundTrip(other)
        try await first.close()
        try await other.close()
        await until { listener.core.aliveCount == 0 }
        let third = try await connect(from: "127.9.0.1", to: listener)
        try await roundTrip(third)
        try await third.close()
        await listener.close()
        try await serving.value

        let limited = try makeListener(.tcp) {
            $0.admission.ratePerAddress = .init(perSecond: 0.001, burst: 2)
        }
        var told = limited.events.makeAsyncIterator()
        let echoing = echo(limited)
        for _ in 0..<2 {
            let socket = try await connect(from: "127.9.0.1", to: limited)
            try await roundTrip(socket)
            try await socket.close()
        }
        let often = try await connect(from: "127.9.0.1", to: limited)
        #expect((try? await often.read()) == nil)
        #expect(await told.nextRefusal() == .rateOfAddress)
        let fresh = try await connect(from: "127.9.0.2", to: limited)
        try await roundTrip(fresh)
        try await fresh.close()
        await limited.close()
        try await echoing.value
    }

    @Test("what a ClientHello says can keep a client out, by an alert", arguments: Wire.secure)
    func admit(wire: Wire) async throws {
        let seen = Log<SocketAddress>()
        let listener = try makeListener(wire) {
            $0.admit = { hello, remote in
                seen.append(remote)
                switch hello.servername {
                case "localhost": return .accept
                case "b.test": return .refuse("no such name", alert: .unrecognizedName)
                default: return .refuse("not wanted")
                }
            }
            // Asked of those who are admitted.
            $0.chooseHost = { hello, _ in
                #expect(hello.servername == "localhost")
                return .configured
            }
        }
        var events = listener.events.makeAsyncIterator()
        let serving = echo(listener)
        for (name, alert) in [("a.test", Alert.accessDenied), ("b.test", .unrecognizedName)] {
            let client = try makeClient(wire, to: listener.localAddress) { $0.servername = name }
            let error = await thrown { _ = try await client.ready }
            #expect(error?.tls?.alert == alert)
            guard case .hello(let refusal, name)? = await events.nextRefusal() else {
                Issue.record("no word of \(name)")
                return
            }
            #expect(refusal.alert == alert)
            guard case .handshakeFailed(let failure, _)? = await events.next() else {
                Issue.record("no failure behind it")
                return
            }
            #expect(failure.code == .refusedByApplication && failure.report?.alertSent == alert)
            #expect(failure.report?.cipherSuite == nil)
        }
        let client = try makeClient(wire, to: listener.localAddress) {
            $0.servername = "localhost"
        }
        _ = try await client.ready
        try await roundTrip(client)
        #expect(seen.all.last == client.info?.local)
        try await client.close()
        await listener.close()
        try await serving.value
    }

    @Test("a client is turned away by its fingerprint, and another one is not")
    func fingerprint() async throws {
        let unwanted = Log<String>()
        let listener = try makeListener(.tls13) {
            $0.admit = { hello, _ in
                guard let first = unwanted.all.first else {
                    unwanted.append(hello.ja4)
                    return .accept
                }
                return hello.ja4 == first ? .refuse("not this program") : .accept
            }
        }
        let serving = echo(listener)
        let known = try makeClient(.tls13, to: listener.localAddress)
        _ = try await known.ready
        let again = try makeClient(.tls13, to: listener.localAddress)
        let error = await thrown { _ = try await again.ready }
        #expect(error?.tls?.alert == .accessDenied)
        // Another list of protocols is another fingerprint.
        let other = try makeClient(.tls13, to: listener.localAddress) { $0.alpn = ["h2"] }
        _ = try await other.ready
        try await roundTrip(other)
        try await roundTrip(known)
        for client in [known, other] { try await client.close() }
        await listener.close()
        try await serving.value
    }

    @Test("a serving task that is cancelled takes those in line along")
    func cancelled() async throws {
        let listener = try makeListener(.tls13) {
            $0.admission.handshakes = 1
            $0.admission.queueTime = patience
        }
        let serving = echo(listener)
        let hello = try makeClientHello()
        var sockets: [Socket] = []
        for _ in 0..<5 { sockets.append(try await connectRaw(listener, saying: hello)) }
        let admission = listener.core.admission
        await until { admission.lineCount == 4 }
        serving.cancel()
        try await serving.value
        #expect(admission.lineCount == 0 && admission.counts.runningCount == 0)
        #expect(admission.counts.waitingCount == 0)
    }

    @Test("numbers without a meaning are refused", arguments: 0..<10)
    func misuse(number: Int) {
        var policy = AdmissionPolicy()
        switch number {
        case 0: policy.connections = 0
        case 1: policy.connectionsPerAddress = 0
        case 2: policy.ratePerAddress = .init(perSecond: 0, burst: 1)
        case 3: policy.ratePerAddress = .init(perSecond: 1, burst: 0)
        case 4: policy.ipv6PrefixLength = 129
        case 5: policy.addressesRemembered = 0
        case 6: policy.handshakes = 0
        case 7: policy.handshakesPerLoop = -1
        case 8: policy.queueTime = .zero
        default: policy.handshakeShare = 1.1
        }
        #expect(throws: SocketError(.invalidOption)) { try policy.check() }
    }
}

@Suite struct AddressTableTests {
    private func key(_ text: String, _ prefix: Int = 64) throws -> AddressTable.Key {
        let ip = try #require(IPAddress(text))
        return try #require(AddressTable.Key(.ip(ip, port: 0), ipv6PrefixLength: prefix))
    }

    @Test("a network of IPv6 is one client, an address of IPv4 is one, mapped or not")
    func keys() throws {
        #expect(try key("2001:db8::1") == key("2001:db8::ffff:1"))
        #expect(try key("2001:db8::1") != key("2001:db8:0:1::1"))
        #expect(try key("2001:db8::1", 128) != key("2001:db8::2", 128))
        #expect(try key("2001:db8::1", 48) == key("2001:db8:0:1::1", 48))
        #expect(try key("10.0.0.1") == key("::ffff:10.0.0.1"))
        #expect(try key("10.0.0.1") != key("10.0.0.2"))
        #expect(AddressTable.Key(.unix(path: "/a"), ipv6PrefixLength: 64) == nil)
    }

    @Test("tokens come back with time, up to the burst")
    func rate() throws {
        var policy = AdmissionPolicy()
        policy.ratePerAddress = .init(perSecond: 10, burst: 3)
        var table = AddressTable(policy)
        let key = try key("10.0.0.1")
        var now = LoopInstant(nanoseconds: 1_000_000_000)
        func admitted(_ count: Int) -> Int {
            (0..<count).count { _ in table.enter(key, at: now) == nil }
        }
        #expect(admitted(10) == 3)
        now = now.advanced(by: .milliseconds(250))
        #expect(admitted(10) == 2)
        now = now.advanced(by: .milliseconds(50))
        #expect(admitted(10) == 1)
        now = now.advanced(by: .seconds(3600))
        #expect(admitted(10) == 3)
    }

    @Test("however many addresses come, so many are remembered and no more")
    func bounded() throws {
        var policy = AdmissionPolicy()
        policy.ratePerAddress = .init(perSecond: 0.001, burst: 1)
        policy.connectionsPerAddress = 1
        policy.addressesRemembered = 100
        var table = AddressTable(policy)
        let now = LoopInstant(nanoseconds: 1)
        for number in 0..<10_000 {
            let key = try key("10.0.\(number / 250).\(number % 250)")
            #expect(table.enter(key, at: now) == nil)
            table.leave(key)
            #expect(table.rememberedCount <= 100)
        }
        #expect(table.connectedCount == 0)
        // Who came a moment ago is remembered.
        #expect(try table.enter(key("10.0.39.249"), at: now) == .rateOfAddress)
        #expect(try table.enter(key("10.0.39.220"), at: now) == .rateOfAddress)
    }
}

@Suite(.timeLimit(.minutes(1))) struct ListenerDrainTests {
    @Test("who ends in time has ended, who does not is aborted, who waits is turned away")
    func deadline() async throws {
        let listener = try makeListener(.tls13)
        var events = listener.events.makeAsyncIterator()
        let serving = echo(listener)
        let (quick, slow) = (
            try makeClient(.tls13, to: listener.localAddress),
            try makeClient(.tls13, to: listener.localAddress)
        )
        for socket in [quick, slow] {
            _ = try await socket.ready
            try await roundTrip(socket)
        }
        let silent = try await connectRaw(listener)
        await until { listener.core.aliveCount == 3 }
        // The turn in which it was accepted is over.
        await Task(executorPreference: listener.core.loop) {}.value
        #expect(!listener.isDraining)
        let closing = Task { await listener.close("enough", deadline: .seconds(3)) }
        #expect((try? await silent.read()) == nil)
        #expect(listener.isDraining)
        // They still work.
        try await roundTrip(quick)
        try await roundTrip(slow)
        try await quick.close()
        #expect(await closing.value == ListenerDrain(open: 2, aborted: 1))
        #expect(await closing.value.finished == 1)
        #expect(await thrown { _ = try await slow.read() } != nil)
        #expect(await listener.closed == .clean("enough"))
        #expect(await events.nextRefusal() == .draining)
        var last: ListenerEvent?
        while let event = await events.next() { last = event }
        guard case .closed(.clean("enough"))? = last else {
            Issue.record("\(String(describing: last))")
            return
        }
        try await serving.value
    }

    @Test("a deadline that nobody needs is not waited for, and cancelling is the deadline")
    func early() async throws {
        for isCancelled in [false, true] {
            let listener = try makeListener(.tcp)
            let serving = echo(listener)
            let client = try makeClient(.tcp, to: listener.localAddress)
            try await roundTrip(client)
            let closing = Task { await listener.close(deadline: .seconds(3600)) }
            await until { listener.isDraining }
            if isCancelled { closing.cancel() } else { try await client.close() }
            #expect(await closing.value.aborted == (isCancelled ? 1 : 0))
            try await serving.value
        }
    }
}
