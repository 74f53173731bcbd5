import SocketCore
import TLSEngine
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct SocketTests {
    @Test("everybody who waits for ready is told the same", arguments: Wire.allCases)
    func readyForMany(wire: Wire) async throws {
        let listener = try makeListener(wire)
        try listener.onSocket { _ in }
        let socket = try makeClient(wire, to: listener.localAddress)
        let ports = try await withThrowingTaskGroup(of: UInt16.self) { group in
            for _ in 0..<20 { group.addTask { try await socket.ready.local.port } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(ports.count == 20)
        #expect(Set(ports).count == 1)
    }

    @Test("ready stays kept after the socket has closed")
    func readyAfterClose() async throws {
        let pair = try await Pair(.tcp)
        let before = try await pair.client.ready
        try await pair.client.close()
        let after = try await pair.client.ready
        #expect(after.local == before.local)
        #expect(after.remote == pair.listener.localAddress)
    }

    @Test("a socket that was never ready says why to each that asks")
    func neverReady() async throws {
        let address = try await makeRefusingAddress()
        let socket = try makeClient(.tcp, to: address)
        for _ in 0..<2 {
            let error = await thrown { _ = try await socket.ready }
            #expect(error?.code == .connectionRefused)
            #expect(error?.phase == .connecting)
            #expect(error?.address == address)
            #expect(error?.systemCall == "connect")
            #expect(error?.hint != nil)
        }
        #expect(await thrown { _ = try await socket.read() }?.code == .connectionRefused)
        #expect(await thrown { try await socket.write("x") }?.code == .connectionRefused)
        #expect(socket.info == nil)
        #expect(await socket.closed.error?.code == .connectionRefused)
    }

    @Test("reads and writes before ready wait for it", arguments: Wire.allCases)
    func earlyCalls(wire: Wire) async throws {
        let listener = try makeListener(wire)
        let socket = try makeClient(wire, to: listener.localAddress)
        async let answer = socket.read(upTo: 5)
        async let sent: Void = socket.write("hello")
        var iterator = listener.makeAsyncIterator()
        let server = try #require(try await iterator.next()).socket
        let heard = try await readExactly(5, from: server)
        try await server.write(heard)
        try await sent
        #expect(try await answer == Array("hello".utf8))
    }

    @Test("ending the sending side before ready waits for it", arguments: Wire.allCases)
    func earlyShutdown(wire: Wire) async throws {
        let listener = try makeListener(wire)
        var iterator = listener.makeAsyncIterator()
        let socket = try makeClient(wire, to: listener.localAddress)
        try await socket.shutdownWrite()
        let server = try #require(try await iterator.next()).socket
        #expect(try await server.read() == nil)
        #expect(await thrown { try await socket.write("x") }?.code == .writeAfterEnd)
    }

    @Test(
        "close gives its reason to closed, and closing again does nothing",
        arguments: Wire.allCases
    )
    func close(wire: Wire) async throws {
        let pair = try await Pair(wire)
        async let waiting = pair.client.closed
        try await pair.client.close("done")
        try await pair.client.close("again")
        #expect(await pair.client.closed == .clean("done"))
        #expect(await waiting == .clean("done"))
        #expect(try await pair.server.read() == nil)
        let error = await thrown { _ = try await pair.client.read() }
        #expect(error?.code == .closed)
        #expect(error?.category == .aborted)
        #expect(await thrown { try await pair.client.write("x") }?.code == .closed)
    }

    @Test("a reason that was given by many is the first one's")
    func closeByMany() async throws {
        let pair = try await Pair(.tls13)
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                group.addTask { try? await pair.client.close("\(number)") }
            }
        }
        guard case .clean(let reason?) = await pair.client.closed else {
            Issue.record("not closed in good order")
            return
        }
        #expect((0..<8).map(String.init).contains(reason))
    }

    @Test("close before ready gives the connection up")
    func closeEarly() async throws {
        let raw = try RawServer()
        let socket = try makeClient(.tls13, to: raw.address)
        try await socket.close("too late")
        #expect(await thrown { _ = try await socket.ready }?.code == .closed)
        #expect(await socket.closed == .clean("too late"))
    }

    @Test(
        "abort ends every wait with its reason and resets the connection",
        arguments: Wire.allCases
    )
    func abort(wire: Wire) async throws {
        let pair = try await Pair(wire)
        async let reading = thrown { _ = try await pair.client.read() }
        await until { pair.client.hasReader }
        pair.client.abort("enough")
        let error = await reading
        #expect(error?.code == .aborted)
        #expect(error?.detail == "enough")
        #expect(await pair.client.closed == .aborted("enough"))
        #expect(await thrown { _ = try await pair.server.read() }?.code == .peerReset)
        #expect(await pair.server.closed == .reset)
        #expect(pair.client.descriptor == -1)
    }

    @Test("a reset is noticed while nobody reads or writes", arguments: Wire.allCases)
    func resetUnread(wire: Wire) async throws {
        let pair = try await Pair(wire)
        // What came before a reset may still be read, so it would not be noticed: read the ticket.
        async let reading = pair.client.read(upTo: 2)
        try await pair.server.write("ok")
        #expect(try await reading == Array("ok".utf8))
        pair.server.abort()
        #expect(await pair.client.closed == .reset)
    }

    @Test(
        "a dropped socket closes its descriptor, and the peer sees the end",
        arguments: Wire.allCases
    )
    func drop(wire: Wire) async throws {
        let listener = try makeListener(wire)
        var iterator = listener.makeAsyncIterator()
        var client: Socket? = try makeClient(wire, to: listener.localAddress)
        let server = try #require(try await iterator.next()).socket
        _ = try await client?.ready
        weak let connection = client?.connection
        client = nil
        let error = await thrown {
            let end = try await server.read()
            #expect(end == nil)
        }
        // A ticket that nobody has read makes the kernel reset the connection.
        let codes: [SocketError.Code?] = wire == .tcp ? [nil] : [.truncated, .peerReset]
        #expect(codes.contains(error?.code))
        await until { connection == nil }
    }

    @Test("both sides' ends in good order are the end of the connection", arguments: Wire.allCases)
    func bothEnded(wire: Wire) async throws {
        let pair = try await Pair(wire)
        try await pair.client.shutdownWrite()
        #expect(try await pair.server.read() == nil)
        try await pair.server.shutdownWrite()
        #expect(await pair.server.closed == .clean(nil))
        #expect(try await pair.client.read() == nil)
        #expect(await pair.client.closed == .clean(nil))
        // The end of the stream stays what it is.
        #expect(try await pair.client.read() == nil)
        #expect(try await pair.server.read() == nil)
        #expect(pair.client.descriptor == -1)
        try await pair.client.close("later")
    }

    @Test("the stream is taken once, by stream() or by onData")
    func locked() async throws {
        let pair = try await Pair(.tcp)
        #expect(!pair.client.locked)
        let stream = try pair.client.stream()
        #expect(pair.client.locked)
        #expect(throws: SocketError(.locked)) { _ = try pair.client.stream() }
        #expect(throws: SocketError(.locked)) { try pair.client.onData { _ in } }
        try pair.server.onData { _ in }
        #expect(throws: SocketError(.locked)) { _ = try pair.server.stream() }
        _ = consume stream
    }

    @Test("the stream gives what was sent, and ends with the peer's end", arguments: Wire.allCases)
    func stream(wire: Wire) async throws {
        let pair = try await Pair(wire)
        async let sent: Void = {
            for number in 0..<50 { try await pair.server.write(pattern(1000, seed: number * 1000)) }
            try await pair.server.close()
        }()
        var received: [UInt8] = []
        for try await chunk in try pair.client.stream() {
            #expect(!chunk.isEmpty && chunk.count <= 65536)
            received += chunk
        }
        try await sent
        #expect(received == (0..<50).flatMap { pattern(1000, seed: $0 * 1000) })
    }

    @Test("bytes are counted exactly, packets as TCP counts them, also after the end")
    func stats() async throws {
        for wire in Wire.allCases {
            let pair = try await Pair(wire)
            try await pair.client.write(pattern(70_000))
            #expect(try await readExactly(70_000, from: pair.server).count == 70_000)
            try await pair.server.write(pattern(3))
            #expect(try await readExactly(3, from: pair.client).count == 3)
            for isOver in [false, true] {
                if isOver { pair.client.abort() }
                let stats = pair.client.stats
                #expect(stats.bytesSent == 70_000)
                #expect(stats.bytesReceived == 3)
                #expect(stats.packetsSent > 0)
                #expect(stats.packetsReceived > 0)
            }
            #expect(pair.server.stats.bytesReceived == 70_000)
            #expect(pair.server.stats.bytesSent == 3)
        }
    }

    @Test("info tells each member, and goes on to after the end", arguments: Wire.secure)
    func info(wire: Wire) async throws {
        let credentials = try Credentials.shared()
        let pair = try await Pair(wire) { options in
            options.alpn = ["h2", "http/1.1"]
            options.servername = "localhost"
            options.identity = credentials.client
        } server: { options in
            options.alpn = ["http/1.1"]
            // A group whose key OpenSSL tells on both sides, also where ML-KEM comes first.
            options.ecdhCurve = "X25519:P-256"
            options.clientAuthentication = .require
            options.trust = TrustPolicy(anchors: credentials.anchors)
        }
        let early = try #require(pair.client.info)
        try await pair.client.close()
        for info in [early, try #require(pair.client.info)] {
            #expect(info.remote == pair.listener.localAddress)
            #expect(info.local.address == "127.0.0.1")
            #expect(info.local.port != 0)
            #expect(info.alpn == "http/1.1")
            #expect(info.servername == "localhost")
            #expect(info.certificate == credentials.client.certificateChain.first?.der)
            #expect(info.peerCertificate == credentials.server.certificateChain.first?.der)
            #expect(info.verificationStatus == "ok")
            #expect(info.version == wire.version)
            #expect(info.resumed == false)
            #expect(info.cipher?.standardName.hasPrefix("TLS_") == true)
            #expect(info.ephemeralKey?.size ?? 0 >= 253)
            #expect(info.ephemeralKey?.type == "ECDH")
            #expect(info.signatureAlgorithms?.isEmpty == false)
            #expect(info.timings.connect != nil)
            #expect(info.timings.firstFlight != nil)
            #expect(info.timings.handshake != nil)
            #expect(info.timings.resolution == nil)
        }
        let server = try #require(pair.server.info)
        #expect(server.servername == "localhost")
        #expect(server.peerCertificate == credentials.client.certificateChain.first?.der)
        #expect(server.remote == early.local)
        #expect(pair.client.report?.isComplete == true)
        #expect(pair.client.timings == early.timings)
    }

    @Test("a socket without TLS has no TLS members and no report")
    func infoPlain() async throws {
        let pair = try await Pair(.tcp)
        let info = try await pair.client.ready
        #expect(info.tls == nil)
        #expect(info.alpn == nil)
        #expect(info.cipher == nil)
        #expect(info.resumed == nil)
        #expect(pair.client.report == nil)
    }
}
