import SocketCore
import Testing

@Suite(.timeLimit(.minutes(1))) struct StreamSocketTests {
    @Test(
        "two ends connect, know each other's address and exchange bytes",
        arguments: [loopbackIPv4, loopbackIPv6]
    )
    func connect(address: NetworkAddress) throws {
        let pair = try ConnectedPair(over: address)
        #expect(pair.serverAddress.ip == address.ip)
        #expect(pair.serverAddress.port != 0)
        #expect(StreamSocket.localAddress(pair.client.rawValue) == pair.clientAddress)
        #expect(StreamSocket.remoteAddress(pair.client.rawValue) == pair.serverAddress)
        #expect(StreamSocket.remoteAddress(pair.server.rawValue) == pair.clientAddress)
        #expect(StreamSocket.pendingError(pair.client.rawValue) == nil)
        #expect(send(pair.client.rawValue, [1, 2, 3]) == 3)
        #expect(receive(pair.server.rawValue).bytes == [1, 2, 3])
    }

    @Test("a port nobody listens on refuses", arguments: [loopbackIPv4, loopbackIPv6])
    func refused(address: NetworkAddress) throws {
        // A connected socket holds its port, so nobody else can listen there meanwhile.
        let pair = try ConnectedPair(over: address)
        let target = pair.clientAddress
        let client = try StreamSocket.make(for: target)
        do {
            let progress = try StreamSocket.connect(client, to: target)
            #expect(progress == .inProgress)
            let poller = try Poller(eventLimit: 4)
            try poller.add(client.rawValue, token: 1)
            while StreamSocket.remoteAddress(client.rawValue) == nil {
                #expect(poller.wait(milliseconds: -1) > 0)
                if let event = poller.event(0), event.readiness.contains(.error) {
                    #expect(StreamSocket.pendingError(client.rawValue) == .connectionRefused)
                    return
                }
            }
            Issue.record("connected to nobody")
        } catch {
            #expect(error == SystemCallError(.connectionRefused, call: "connect"))
        }
    }

    @Test(
        "shutting the write side gives the peer the end of the stream, and keeps the other way open"
    )
    func halfClose() throws {
        let pair = try ConnectedPair()
        #expect(send(pair.client.rawValue, [9]) == 1)
        try StreamSocket.shutdownWrite(pair.client.rawValue)
        #expect(receive(pair.server.rawValue).bytes == [9])
        #expect(receive(pair.server.rawValue).count == 0)
        #expect(send(pair.server.rawValue, [8]) == 1)
        #expect(receive(pair.client.rawValue).bytes == [8])
        #expect(send(pair.client.rawValue, [1]) == -Int(Errno.brokenPipe.rawValue))
    }

    @Test("a socket set to reset on close resets its peer")
    func reset() throws {
        let pair = try ConnectedPair()
        let peer = try resetAndKeepServer(consume pair)
        let poller = try Poller(eventLimit: 1)
        try poller.add(peer.rawValue, token: 1)
        while poller.event(0)?.readiness.contains(.error) != true {
            _ = poller.wait(milliseconds: -1)
        }
        #expect(receive(peer.rawValue).count == -Int(Errno.connectionReset.rawValue))
    }

    /// Closes all of a pair but the server's end, the client's with a reset.
    private func resetAndKeepServer(_ pair: consuming ConnectedPair) throws -> Descriptor {
        try StreamSocket.setResetOnClose(pair.client.rawValue)
        return pair.server
    }

    @Test("peeking and counting unread bytes leave them unread")
    func peek() throws {
        let pair = try ConnectedPair()
        #expect(try Syscalls.unreadBytes(pair.server.rawValue) == 0)
        #expect(send(pair.client.rawValue, [5, 6]) == 2)
        #expect(try Syscalls.unreadBytes(pair.server.rawValue) == 2)
        var bytes: [UInt8] = [0, 0, 0]
        let count = unsafe bytes.withUnsafeMutableBytes {
            unsafe Syscalls.peek(pair.server.rawValue, into: $0)
        }
        #expect(count == 2)
        #expect(bytes == [5, 6, 0])
        #expect(receive(pair.server.rawValue).bytes == [5, 6])
    }

    @Test("the local address can be chosen before connecting, with the port left to connect")
    func bindBeforeConnect() throws {
        let listener = try StreamSocket.listen(on: loopbackIPv4, backlog: 4)
        let target = try #require(StreamSocket.localAddress(listener.rawValue))
        let client = try StreamSocket.make(for: target)
        let chosen = try #require(IPAddress("127.0.0.9"))
        try StreamSocket.bind(client, to: .ip(chosen, port: 0))
        #expect(StreamSocket.localAddress(client.rawValue) == .ip(chosen, port: 0))
        _ = try StreamSocket.connect(client, to: target)
        let local = try #require(StreamSocket.localAddress(client.rawValue))
        #expect(local.ip == chosen)
        #expect(local.port != 0)
    }

    @Test("an address in use is refused, unless both listeners share it")
    func reusePort() throws {
        let first = try StreamSocket.listen(on: loopbackIPv4, backlog: 1)
        let address = try #require(StreamSocket.localAddress(first.rawValue))
        #expect(throws: SystemCallError.self) {
            _ = try StreamSocket.listen(on: address, backlog: 1)
        }
        let shared = try StreamSocket.listen(on: loopbackIPv4, backlog: 1, reusePort: true)
        let sharedAddress = try #require(StreamSocket.localAddress(shared.rawValue))
        let second = try StreamSocket.listen(on: sharedAddress, backlog: 1, reusePort: true)
        #expect(StreamSocket.localAddress(second.rawValue) == sharedAddress)
    }

    @Test("an IPv6 listener takes IPv4 peers, as mapped addresses, only when asked")
    func ipv6Only() throws {
        let mapped = try #require(IPAddress("::ffff:127.0.0.1"))
        #expect(throws: SystemCallError(.invalidArgument, call: "bind")) {
            _ = try StreamSocket.listen(on: .ip(mapped, port: 0), backlog: 1)
        }
        let listener = try StreamSocket.listen(
            on: .ip(mapped, port: 0),
            backlog: 1,
            acceptsIPv4: true
        )
        #expect(try SocketOptions.isIPv6Only(listener.rawValue) == false)
        let port = try #require(StreamSocket.localAddress(listener.rawValue)?.port)
        let client = try StreamSocket.make(for: loopbackIPv4)
        _ = try StreamSocket.connect(client, to: .ip(.v4(.loopback), port: port))
        let server = try acceptNext(listener.rawValue)
        #expect(StreamSocket.remoteAddress(server.rawValue)?.ip == mapped)
        let plain = try StreamSocket.listen(on: loopbackIPv6, backlog: 1)
        #expect(try SocketOptions.isIPv6Only(plain.rawValue) == true)
    }

    @Test("options given to listen reach the accepted sockets")
    func inheritedOptions() throws {
        let listener = try StreamSocket.listen(
            on: loopbackIPv4,
            backlog: 1,
            options: SocketOptions(noDelay: true)
        )
        let target = try #require(StreamSocket.localAddress(listener.rawValue))
        let client = try StreamSocket.make(for: target)
        _ = try StreamSocket.connect(client, to: target)
        let server = try acceptNext(listener.rawValue)
        #expect(try SocketOptions.noDelay(of: server.rawValue))
    }
}

@Suite(.timeLimit(.minutes(1))) struct UnixSocketTests {
    @Test("an abstract name connects, and leaves no file")
    func abstract() throws {
        let name = "\0swift-sockets-\(EventLoop.readClock().nanoseconds)"
        let pair = try ConnectedPair(over: .unix(path: name))
        #expect(pair.serverAddress == .unix(path: name))
        #expect(pair.clientAddress == .unix(path: ""))
        #expect(StreamSocket.remoteAddress(pair.client.rawValue) == .unix(path: name))
        #expect(send(pair.server.rawValue, [4]) == 1)
        #expect(receive(pair.client.rawValue).bytes == [4])
    }

    @Test("a path connects; a stale file is replaced only when asked, a live listener's never")
    func path() throws {
        let path = "/tmp/swift-sockets-\(EventLoop.readClock().nanoseconds).sock"
        let address = NetworkAddress.unix(path: path)
        do {
            let pair = try ConnectedPair(over: address)
            #expect(pair.serverAddress == address)
            #expect(throws: SystemCallError(.addressInUse, call: "bind")) {
                _ = try StreamSocket.listen(on: address, backlog: 1, removesStaleUnixPath: true)
            }
        }
        #expect(throws: SystemCallError(.addressInUse, call: "bind")) {
            _ = try StreamSocket.listen(on: address, backlog: 1)
        }
        let again = try StreamSocket.listen(on: address, backlog: 1, removesStaleUnixPath: true)
        #expect(StreamSocket.localAddress(again.rawValue) == address)
        try StreamSocket.removeUnixPath(of: address)
        #expect(throws: SystemCallError(.noSuchFileOrDirectory, call: "unlink")) {
            try StreamSocket.removeUnixPath(of: address)
        }
    }

    @Test("a file that is no socket is never replaced")
    func otherFile() {
        let address = NetworkAddress.unix(path: "/dev/null")
        #expect(throws: SystemCallError(.addressInUse, call: "bind")) {
            _ = try StreamSocket.listen(on: address, backlog: 1, removesStaleUnixPath: true)
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct AcceptOutcomeTests {
    /// `AcceptOutcome` without its descriptor, to compare.
    enum Verdict: Equatable {
        case accepted, wouldBlock, retry
        case exhausted(Errno)
        case failed(Errno)

        init(_ outcome: consuming AcceptOutcome) {
            switch consume outcome {
            case .accepted: self = .accepted
            case .wouldBlock: self = .wouldBlock
            case .retry: self = .retry
            case .exhausted(let errno): self = .exhausted(errno)
            case .failed(let errno): self = .failed(errno)
            }
        }
    }

    @Test(
        "each failure of accept has its outcome",
        arguments: [
            (Errno.wouldBlock, Verdict.wouldBlock), (.interrupted, .retry),
            (.connectionAbort, .retry),
            (.protocolError, .retry), (.networkDown, .retry), (.hostIsDown, .retry),
            (.noRouteToHost, .retry),
            (.networkUnreachable, .retry), (.notPermitted, .retry), (.notOnNetwork, .retry),
            (.tooManyOpenFiles, .exhausted(.tooManyOpenFiles)),
            (.tooManyOpenFilesInSystem, .exhausted(.tooManyOpenFilesInSystem)),
            (.noBufferSpace, .exhausted(.noBufferSpace)), (.noMemory, .exhausted(.noMemory)),
            (.badFileDescriptor, .failed(.badFileDescriptor)),
            (.invalidArgument, .failed(.invalidArgument)),
            (.notSocket, .failed(.notSocket)),
        ]
    )
    func sorting(errno: Errno, expected: Verdict) {
        #expect(Verdict(StreamSocket.acceptFailure(errno)) == expected)
    }

    @Test("an empty queue would block, and what is no listener fails")
    func real() throws {
        let listener = try StreamSocket.listen(on: loopbackIPv4, backlog: 1)
        #expect(Verdict(StreamSocket.accept(listener.rawValue)) == .wouldBlock)
        let socket = try StreamSocket.make(for: loopbackIPv4)
        #expect(Verdict(StreamSocket.accept(socket.rawValue)) == .failed(.invalidArgument))
        let epoll = try Poller(eventLimit: 1)
        #expect(epoll.wait(milliseconds: 0) == 0)
    }

    @Test("with no descriptor left, accept says exhausted and keeps the connection in the queue")
    func exhausted() async {
        // In a process of its own, whose descriptors may run out.
        await #expect(processExitsWith: .success) {
            let listener = try StreamSocket.listen(on: .ip(.v4(.loopback), port: 0), backlog: 4)
            guard let target = StreamSocket.localAddress(listener.rawValue) else {
                preconditionFailure("no address")
            }
            let client = try StreamSocket.make(for: target)
            _ = try StreamSocket.connect(client, to: target)
            let poller = try Poller(eventLimit: 4)
            try poller.add(listener.rawValue, token: 1)
            precondition(poller.wait(milliseconds: -1) == 1)
            var held: [Int32] = []
            while let pair = try? Syscalls.socketPair() {
                held += [pair.0, pair.1]
            }
            while let last = try? StreamSocket.make(for: target) {
                held.append(last.take())
            }
            precondition(
                Verdict(StreamSocket.accept(listener.rawValue)) == .exhausted(.tooManyOpenFiles)
            )
            _ = Descriptor(owning: held.removeLast())
            precondition(Verdict(StreamSocket.accept(listener.rawValue)) == .accepted)
        }
    }
}
