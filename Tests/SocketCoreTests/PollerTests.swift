import SocketCore
import Testing

@Suite(.timeLimit(.minutes(1))) struct PollerTests {
    /// Waits until the token's edges hold the flags; returns all that was seen.
    private func wait(_ poller: Poller, token: UInt64, for wanted: Readiness) -> Readiness {
        var seen: Readiness = []
        while !seen.isSuperset(of: wanted) {
            for index in 0..<poller.wait(milliseconds: -1) {
                guard let event = poller.event(index), event.token == token else { continue }
                seen.formUnion(event.readiness)
            }
        }
        return seen
    }

    @Test("what a descriptor is ready for already comes as its first edge, once")
    func firstEdge() throws {
        let pair = try ConnectedPair()
        #expect(send(pair.client.rawValue, [1]) == 1)
        let poller = try Poller(eventLimit: 4)
        try poller.add(pair.server.rawValue, token: 7)
        #expect(wait(poller, token: 7, for: [.readable, .writable]) == [.readable, .writable])
        #expect(poller.wait(milliseconds: 0) == 0)
    }

    @Test("an edge comes for bytes after bytes, even if none were read between")
    func edgeAgain() throws {
        let pair = try ConnectedPair()
        let poller = try Poller(eventLimit: 4)
        try poller.add(pair.server.rawValue, token: 7)
        #expect(wait(poller, token: 7, for: .writable) == .writable)
        for byte in 1...3 {
            #expect(send(pair.client.rawValue, [UInt8(byte)]) == 1)
            #expect(wait(poller, token: 7, for: .readable).contains(.readable))
        }
        #expect(receive(pair.server.rawValue).bytes == [1, 2, 3])
    }

    @Test(
        "bytes and FIN in one edge: the flag says closed while the bytes are unread, then comes 0"
    )
    func finWithBytes() throws {
        let pair = try ConnectedPair()
        #expect(send(pair.client.rawValue, [1, 2]) == 2)
        try StreamSocket.shutdownWrite(pair.client.rawValue)
        let poller = try Poller(eventLimit: 4)
        try poller.add(pair.server.rawValue, token: 7)
        let seen = wait(poller, token: 7, for: [.readable, .peerClosedWrite])
        #expect(!seen.contains(.hangUp))
        #expect(receive(pair.server.rawValue).bytes == [1, 2])
        // No further edge will tell of the end: the short receive above must not stop the reader.
        #expect(poller.wait(milliseconds: 0) == 0)
        #expect(receive(pair.server.rawValue).count == 0)
    }

    @Test("a FIN alone is readable and closed, with the way out still open")
    func finAlone() throws {
        let pair = try ConnectedPair()
        let poller = try Poller(eventLimit: 4)
        try poller.add(pair.server.rawValue, token: 7)
        #expect(wait(poller, token: 7, for: .writable) == .writable)
        try StreamSocket.shutdownWrite(pair.client.rawValue)
        let seen = wait(poller, token: 7, for: [.readable, .peerClosedWrite])
        #expect(seen.isDisjoint(with: [.hangUp, .error]))
    }

    @Test("a reset shows as error and hang-up")
    func reset() throws {
        let listener = try StreamSocket.listen(on: loopbackIPv4, backlog: 4)
        let target = try #require(StreamSocket.localAddress(listener.rawValue))
        let poller = try Poller(eventLimit: 4)
        let client = try StreamSocket.make(for: target)
        _ = try StreamSocket.connect(client, to: target)
        try poller.add(client.rawValue, token: 1)
        try poller.add(listener.rawValue, token: 2)
        _ = wait(poller, token: 2, for: .readable)
        do {
            guard case .accepted(let server, _) = StreamSocket.accept(listener.rawValue) else {
                Issue.record("nothing was accepted")
                return
            }
            try StreamSocket.setResetOnClose(server.rawValue)
        }
        _ = wait(poller, token: 1, for: [.error, .hangUp])
        #expect(receive(client.rawValue).count == -Int(Errno.connectionReset.rawValue))
    }

    @Test("room to send comes back as an edge after the buffer was full")
    func writableAgain() throws {
        let pair = try ConnectedPair()
        let poller = try Poller(eventLimit: 4)
        try poller.add(pair.client.rawValue, token: 7)
        #expect(wait(poller, token: 7, for: .writable) == .writable)
        let block = [UInt8](repeating: 0, count: 65536)
        while send(pair.client.rawValue, block) > 0 {}
        #expect(send(pair.client.rawValue, block) == -Int(Errno.wouldBlock.rawValue))
        while receive(pair.server.rawValue).count > 0 {}
        #expect(wait(poller, token: 7, for: .writable).contains(.writable))
    }

    @Test("a wake ends one wait, carries no source, and may come before the wait")
    func wake() throws {
        let poller = try Poller(eventLimit: 4)
        for _ in 0..<3 {
            poller.wake()
            poller.wake()
            #expect(poller.wait(milliseconds: -1) == 1)
            #expect(poller.event(0) == nil)
            #expect(poller.wait(milliseconds: 0) == 0)
        }
    }

    @Test("a wait gives as many events as the limit, and the next one the rest")
    func batch() throws {
        let poller = try Poller(eventLimit: 2)
        let pairs = try (0..<3).map { _ in try Syscalls.socketPair() }
        let owned = pairs.map { ($0.0, $0.1) }
        defer {
            for (first, second) in owned {
                _ = Descriptor(owning: first)
                _ = Descriptor(owning: second)
            }
        }
        for (index, pair) in pairs.enumerated() {
            try poller.add(pair.0, token: UInt64(index))
        }
        var tokens: Set<UInt64> = []
        #expect(poller.wait(milliseconds: -1) == 2)
        tokens.formUnion((0..<2).compactMap { poller.event($0)?.token })
        #expect(poller.wait(milliseconds: -1) == 1)
        tokens.formUnion([poller.event(0)].compactMap { $0?.token })
        #expect(tokens == [0, 1, 2])
    }

    @Test("a removed descriptor gives no more events; a closed one cannot be added")
    func remove() throws {
        let pair = try ConnectedPair()
        let poller = try Poller(eventLimit: 4)
        try poller.add(pair.server.rawValue, token: 7)
        try poller.remove(pair.server.rawValue)
        #expect(send(pair.client.rawValue, [1]) == 1)
        #expect(poller.wait(milliseconds: 0) == 0)
        #expect(throws: SystemCallError(.noSuchFileOrDirectory, call: "epoll_ctl(DEL)")) {
            try poller.remove(pair.server.rawValue)
        }
        #expect(throws: SystemCallError(.badFileDescriptor, call: "epoll_ctl(ADD)")) {
            try poller.add(-1, token: 7)
        }
    }
}

@Suite struct SourceTableTests {
    @Test("a token finds its source until it is removed, and never the cell's next source")
    func generations() throws {
        let table = SourceTable()
        let first = RecordingSource()
        let token = try #require(table.insert(first))
        #expect(unsafe table.source(token)?.takeUnretainedValue() === first)
        #expect(table.remove(token) === first)
        #expect(unsafe table.source(token) == nil)
        #expect(table.remove(token) == nil)
        let second = RecordingSource()
        let next = try #require(table.insert(second))
        #expect(next & 0xFFFF_FFFF == token & 0xFFFF_FFFF)
        #expect(next != token)
        #expect(unsafe table.source(token) == nil)
        #expect(unsafe table.source(next)?.takeUnretainedValue() === second)
        #expect(table.count == 1)
    }

    @Test("the table holds its sources alive, past one block of cells, and lets go when it goes")
    func lifetime() {
        let released = Log<Int>()
        do {
            let table = SourceTable()
            let tokens = (0..<2500).compactMap { index in
                table.insert(RecordingSource(onDeinit: { released.append(index) }))
            }
            #expect(Set(tokens).count == 2500)
            #expect(table.count == 2500)
            table.undoInsert(tokens[0])
            #expect(released.all == [0])
        }
        #expect(released.all.count == 2500)
    }
}
