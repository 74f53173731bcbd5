import SocketCore
import Testing

@Suite(.timeLimit(.minutes(1))) struct SocketOptionsTests {
    @Test("options read back as they were set", arguments: [loopbackIPv4, loopbackIPv6])
    func readBack(address: NetworkAddress) throws {
        let socket = try StreamSocket.make(for: address)
        let keepAlive = SocketOptions.KeepAlive(idleSeconds: 30, intervalSeconds: 5, probes: 3)
        let options = SocketOptions(
            noDelay: true,
            sendBufferSize: 50_000,
            receiveBufferSize: 60_000,
            timeToLive: 33,
            keepAlive: keepAlive
        )
        let number = socket.rawValue
        #expect(try SocketOptions.keepAlive(of: number) == nil)
        #expect(try SocketOptions.noDelay(of: number) == false)
        try options.apply(to: number, family: address.family)
        #expect(try SocketOptions.noDelay(of: number) == true)
        #expect(try SocketOptions.sendBufferSize(of: number) == 100_000)
        #expect(try SocketOptions.receiveBufferSize(of: number) == 120_000)
        #expect(try SocketOptions.timeToLive(of: number, family: address.family) == 33)
        #expect(try SocketOptions.keepAlive(of: number) == keepAlive)
    }

    @Test("no options change nothing")
    func nothing() throws {
        let socket = try StreamSocket.make(for: loopbackIPv4)
        let before = try SocketOptions.sendBufferSize(of: socket.rawValue)
        try SocketOptions().apply(to: socket.rawValue, family: .ipv4)
        #expect(try SocketOptions.sendBufferSize(of: socket.rawValue) == before)
        #expect(try SocketOptions.noDelay(of: socket.rawValue) == false)
    }

    @Test(
        "time to live goes from 1 to 255, and not past either end",
        arguments: [0, 256, -1, 1 << 40]
    )
    func timeToLive(bad: Int) throws {
        let socket = try StreamSocket.make(for: loopbackIPv4)
        for good in [1, 255] {
            try SocketOptions(timeToLive: good).apply(to: socket.rawValue, family: .ipv4)
            #expect(try SocketOptions.timeToLive(of: socket.rawValue, family: .ipv4) == good)
        }
        #expect(throws: SystemCallError(.invalidArgument, call: "setsockopt(IP_TTL)")) {
            try SocketOptions(timeToLive: bad).apply(to: socket.rawValue, family: .ipv4)
        }
    }

    @Test("a unix socket takes buffer sizes and skips what only TCP has")
    func unix() throws {
        let socket = try StreamSocket.make(for: .unix(path: ""))
        let options = SocketOptions(noDelay: true, sendBufferSize: 40_000, timeToLive: 9)
        try options.apply(to: socket.rawValue, family: .unix)
        #expect(try SocketOptions.sendBufferSize(of: socket.rawValue) == 80_000)
    }

    @Test("TCP statistics count what went over the connection")
    func statistics() throws {
        let pair = try ConnectedPair()
        #expect(send(pair.client.rawValue, [UInt8](repeating: 1, count: 1000)) == 1000)
        #expect(receive(pair.server.rawValue).count == 1000)
        let received = try #require(TCPStatistics.read(pair.server.rawValue))
        #expect(received.bytesReceived == 1000)
        #expect(received.segmentsReceived >= 2)
        let sent = try #require(TCPStatistics.read(pair.client.rawValue))
        #expect(sent.bytesAcknowledged >= 1000)
        #expect(sent.segmentsSent >= 2)
        #expect(sent.retransmits == 0)
        #expect(sent.maximumSegmentSize > 500)
        #expect(sent.congestionWindow >= 1)
        #expect(sent.roundTripTime > .zero)
    }

    @Test("what is no TCP socket has no TCP statistics")
    func noStatistics() throws {
        let socket = try StreamSocket.make(for: .unix(path: ""))
        #expect(TCPStatistics.read(socket.rawValue) == nil)
    }
}
