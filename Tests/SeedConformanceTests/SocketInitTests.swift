// The draft's dictionary SocketInit, member by member: its default, and what it does to a connection.

import Sockets
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct SocketInitTests {
    private let defaults = SocketInit(remote: loopback)

    @Test("the type decides what is spoken; tcp by default")
    func type() async throws {
        #expect(try Seed.defaultValue("SocketInit", "type") == defaults.type.rawValue)
        #expect(try await Pair(.tls).client.info?.tls != nil)
        #expect(try await Pair(.tcp).client.info?.tls == nil)
    }

    @Test("the remote is whom the socket connects to")
    func remote() async throws {
        let pair = try await Pair()
        #expect(pair.client.info?.remote == pair.listener.localAddress)
    }

    @Test("the local address is where the connection comes from; the system chooses by default")
    func local() async throws {
        #expect(defaults.local == nil)
        let pair = try await Pair(client: { $0.local = SocketAddress("127.0.0.2", port: 0) })
        #expect(pair.server.info?.remote.address == "127.0.0.2")
        #expect(pair.client.info?.local.address == "127.0.0.2")
    }

    @Test("the body is sent, also one that is promised, and its end ends the sending side")
    func body() async throws {
        #expect(defaults.body == nil)
        let bodies: [SocketBody] = ["hello", .deferred { "hello" }]
        for body in bodies {
            let pair = try await Pair(client: { $0.body = body })
            #expect(try await pair.server.receiveAll() == Array("hello".utf8))
            let code = await SocketError.code { () throws(SocketError) in
                try await pair.client.write("more")
            }
            #expect(code == .writeAfterEnd)
        }
    }

    @Test("the signal aborts the socket, with its reason; one that was given before does too")
    func signal() async throws {
        #expect(defaults.signal == nil)
        let controller = AbortController()
        let pair = try await Pair(client: { $0.signal = controller.signal })
        controller.abort("enough")
        #expect(await pair.client.closed == .aborted("enough"))
        #expect(await pair.server.closed == .reset)
        var options = try clientOptions(to: pair.listener)
        options.signal = .abort("too late")
        #expect(await (try Socket(options)).closed == .aborted("too late"))
    }

    @Test("pooling is allowed by default, accepted, and gives a connection of one's own")
    func allowPooling() async throws {
        #expect(try Seed.defaultValue("SocketInit", "allowPooling") == "\(defaults.allowPooling)")
        for isAllowed in [true, false] {
            let listener = try makeListener()
            var options = try clientOptions(to: listener)
            options.allowPooling = isAllowed
            let (first, second) = (try Socket(options), try Socket(options))
            #expect(try await first.ready.local != second.ready.local)
        }
    }

    @Test(
        "with half-open allowed, the default, sending goes on behind the peer's end; else it ends"
    )
    func allowHalfOpen() async throws {
        #expect(try Seed.defaultValue("SocketInit", "allowHalfOpen") == "\(defaults.allowHalfOpen)")
        for type in [SocketType.tcp, .tls] {
            let open = try await Pair(type)
            try await open.server.shutdownWrite()
            #expect(try await open.client.read() == nil)
            try await open.client.write("still here")
            #expect(try await open.server.receive(10) == Array("still here".utf8))

            let closing = try await Pair(type, client: { $0.allowHalfOpen = false })
            try await closing.server.shutdownWrite()
            #expect(try await closing.client.read() == nil)
            #expect(try await closing.server.read() == nil)
            #expect(await closing.client.closed == .clean(nil))
        }
    }

    @Test("noDelay switches off the kernel's joining of small writes; false by default")
    func noDelay() async throws {
        #expect(try Seed.defaultValue("SocketInit", "noDelay") == "\(defaults.noDelay)")
        for noDelay in [true, false] {
            let pair = try await Pair(client: { $0.noDelay = noDelay })
            #expect(try KernelSocket(pair.client).noDelay == noDelay)
        }
    }

    @Test("the connection's time covers the handshake; none by default, the draft's 0")
    func connectionTimeout() async throws {
        #expect(try Seed.defaultValue("SocketInit", "connectionTimeout") == "0")
        #expect(defaults.connectionTimeout == nil)
        let silent = try SilentServer()
        var options = try clientOptions(.tls, to: silent.listener)
        options.connectionTimeout = .milliseconds(100)
        let socket = try Socket(options)
        guard case .timedOut(let error) = await socket.closed else {
            Issue.record("closed: \(await socket.closed)")
            return
        }
        #expect(error.category == .timeout)
        options.connectionTimeout = .zero
        #expect(throws: SocketError(.invalidOption)) { try Socket(options) }
    }

    @Test("a connection that is idle for its time ends; none by default, the draft's 0")
    func idleTimeout() async throws {
        #expect(try Seed.defaultValue("SocketInit", "idleTimeout") == "0")
        #expect(defaults.idleTimeout == nil)
        let silent = try SilentServer()
        var options = try clientOptions(to: silent.listener)
        options.idleTimeout = .milliseconds(50)
        let socket = try Socket(options)
        guard case .timedOut(let error) = await socket.closed else {
            Issue.record("closed: \(await socket.closed)")
            return
        }
        #expect(error.code == .idleTimedOut)
    }

    @Test("the send buffer has the size asked for; the system's by default")
    func sendBufferSize() async throws {
        #expect(try Seed.defaultValue("SocketInit", "sendBufferSize") == nil)
        #expect(defaults.sendBufferSize == nil)
        let pair = try await Pair(client: { $0.sendBufferSize = 65536 })
        #expect(try KernelSocket(pair.client).sendBufferSize == 65536)
        let other = try await Pair()
        #expect(try KernelSocket(other.client).sendBufferSize != 65536)
    }

    @Test("the receive buffer has the size asked for; the system's by default")
    func receiveBufferSize() async throws {
        #expect(try Seed.defaultValue("SocketInit", "receiveBufferSize") == nil)
        #expect(defaults.receiveBufferSize == nil)
        let pair = try await Pair(client: { $0.receiveBufferSize = 32768 })
        #expect(try KernelSocket(pair.client).receiveBufferSize == 32768)
        let other = try await Pair()
        #expect(try KernelSocket(other.client).receiveBufferSize != 32768)
    }

    @Test("packets carry the hops asked for, of 1...255; the system's by default")
    func ttl() async throws {
        #expect(try Seed.defaultValue("SocketInit", "ttl") == nil)
        #expect(defaults.ttl == nil)
        let pair = try await Pair(client: { $0.ttl = 20 })
        #expect(try KernelSocket(pair.client).ttl == 20)
        for ttl in [0, 256] {
            #expect(throws: SocketError(.invalidOption)) {
                try Socket(SocketInit(remote: loopback) { $0.ttl = ttl })
            }
        }
    }

    @Test("members of TLSSocketInit are reached directly, and refused on a socket without TLS")
    func TLSSocketInit() throws {
        var options = SocketInit(type: .tls, remote: loopback)
        options.alpn = ["h2"]
        options.servername = "a.test"
        #expect(options.tls.alpn == ["h2"])
        #expect(options.tls.servername == "a.test")
        options.type = .tcp
        #expect(throws: SocketError(.tlsOptionWithoutTLS)) { try Socket(options) }
    }
}

@Suite(.timeLimit(.minutes(1))) struct SocketBodyTests {
    private func received(_ body: SocketBody) async throws -> String {
        let pair = try await Pair(client: { $0.body = body })
        return String(decoding: try await pair.server.receiveAll(), as: UTF8.self)
    }

    @Test("text is sent in UTF-8")
    func string() async throws {
        #expect(try await received(.string("grüße")) == "grüße")
        #expect(try await received("literal") == "literal")
    }

    @Test("bytes are sent as they are")
    func ArrayBuffer() async throws {
        #expect(try await received(.bytes(Array("bytes".utf8))) == "bytes")
        #expect(try await received([0x68, 0x69]) == "hi")
    }

    @Test("a part of a buffer is sent, and nothing around it")
    func ArrayBufferView() async throws {
        let buffer = Array("hello world".utf8)
        #expect(try await received(.bytes(Array(buffer[6...]))) == "world")
    }

    @Test("the chunks of a sequence are sent in order")
    func ReadableStream() async throws {
        let (chunks, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        for word in ["a", "b", "c"] { continuation.yield(Array(word.utf8)) }
        continuation.finish()
        #expect(try await received(.sequence(chunks)) == "abc")
    }

    @Test("the contents of a file are sent")
    func Blob() async throws {
        let folder = try TemporaryDirectory()
        let files = try Authority.shared().ca.identity.write(to: folder.path, name: "blob")
        #expect(try await received(.file(files.root)) == Authority.shared().ca.rootPEM)
    }
}
