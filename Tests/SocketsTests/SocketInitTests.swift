// Each member of the client's dictionary, by its effect on a live connection.

import SocketCore
import TLSTestKit
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct SocketInitTests {
    @Test("the defaults are the seed's")
    func defaults() {
        let options = SocketInit(remote: loopback)
        #expect(options.type == .tcp)
        #expect(options.allowPooling && options.allowHalfOpen && !options.noDelay)
        #expect(options.local == nil && options.body == nil && options.signal == nil)
        #expect(options.connectionTimeout == nil && options.idleTimeout == nil)
        #expect(options.sendBufferSize == nil && options.receiveBufferSize == nil)
        #expect(options.ttl == nil)
        #expect(options.tls == TLSSocketInit())
    }

    @Test("a TLS member set directly is the member of tls")
    func dynamicMember() {
        let options = SocketInit(type: .tls, remote: loopback) { $0.alpn = ["h2"] }
        #expect(options.tls.alpn == ["h2"])
        #expect(options.alpn == ["h2"])
    }

    /// Listens, connects with the same options, and has one byte echoed.
    private func expectEcho(
        _ wire: Wire,
        listen: SocketAddress,
        connect: (SocketAddress) -> SocketAddress = { $0 },
        configure: (inout SocketInit) -> Void = { _ in }
    ) async throws -> (info: SocketInfo, seen: SocketAddress) {
        let listener = try SocketListener(try listenerOptions(wire, at: listen))
        var iterator = listener.makeAsyncIterator()
        var options = try clientOptions(wire, to: connect(listener.localAddress))
        configure(&options)
        let client = try Socket(options)
        let server = try #require(try await iterator.next()).socket
        try await client.write([42])
        #expect(try await server.read(upTo: 1) == [42])
        return (try await client.ready, try #require(server.info).remote)
    }

    @Test("IPv4, IPv6 and names are connected to", arguments: Wire.allCases)
    func remote(wire: Wire) async throws {
        let ipv4 = try await expectEcho(wire, listen: loopback)
        #expect(ipv4.info.remote.address == "127.0.0.1")
        let ipv6 = try await expectEcho(wire, listen: SocketAddress("::1", port: 0))
        #expect(ipv6.info.remote.address == "::1")
        #expect(ipv6.info.remote.description.hasPrefix("[::1]:"))
        let named = try await expectEcho(
            wire,
            listen: SocketAddress("localhost", port: 0),
            connect: { SocketAddress("localhost", port: $0.port) },
            configure: { $0.addressFamily = .ipv4 }
        )
        #expect(named.info.remote.address == "127.0.0.1")
        #expect(named.info.timings.resolution != nil)
    }

    @Test("an address family without an address is a failed resolution")
    func family() async throws {
        let socket = try Socket(
            SocketInit(remote: SocketAddress("nothing.invalid", port: 0)) {
                $0.addressFamily = .ipv6
            }
        )
        let error = await thrown { _ = try await socket.ready }
        #expect(error?.code == .resolutionFailed)
        #expect(error?.phase == .resolving)
        #expect(error?.address?.address == "nothing.invalid")
    }

    @Test("paths and abstract names are connected to", arguments: Wire.allCases)
    func unix(wire: Wire) async throws {
        try await withTemporaryDirectory { directory in
            let path = SocketAddress("unix:\(directory)/s", port: 0)
            let byPath = try await expectEcho(
                wire,
                listen: path,
                configure: { if wire != .tcp { $0.servername = "localhost" } }
            )
            #expect(byPath.info.remote == path)
            #expect(!Files.exists("\(directory)/s"))
            let name = SocketAddress("unix:@\(directory)", port: 0)
            let byName = try await expectEcho(
                wire,
                listen: name,
                configure: { if wire != .tcp { $0.servername = "localhost" } }
            )
            #expect(byName.info.remote == name)
        }
    }

    @Test("the local address is the one that was asked for")
    func local() async throws {
        let echo = try await expectEcho(
            .tcp,
            listen: loopback,
            configure: { $0.local = SocketAddress("127.0.0.2", port: 0) }
        )
        #expect(echo.info.local.address == "127.0.0.2")
        #expect(echo.seen == echo.info.local)
        let foreign = try Socket(
            SocketInit(remote: loopback) { $0.local = SocketAddress("192.0.2.1", port: 0) }
        )
        let error = await thrown { _ = try await foreign.ready }
        #expect(error?.code == .addressNotAvailable)
        #expect(error?.systemCall == "bind")
    }

    @Test("kernel options are set, on both families", arguments: ["127.0.0.1", "::1"])
    func kernelOptions(host: String) async throws {
        let listener = try SocketListener(
            SocketListenerInit(local: SocketAddress(host, port: 0))
        )
        try listener.onSocket { _ in }
        let family: SocketFamily = host == "::1" ? .ipv6 : .ipv4
        let plain = try makeClient(.tcp, to: listener.localAddress)
        let tuned = try makeClient(.tcp, to: listener.localAddress) { options in
            options.noDelay = true
            options.sendBufferSize = 20_000
            options.receiveBufferSize = 30_000
            options.ttl = 33
        }
        _ = try await plain.ready
        _ = try await tuned.ready
        #expect(try SocketOptions.noDelay(of: plain.descriptor) == false)
        #expect(try SocketOptions.noDelay(of: tuned.descriptor))
        #expect(try SocketOptions.sendBufferSize(of: tuned.descriptor) == 40_000)
        #expect(try SocketOptions.receiveBufferSize(of: tuned.descriptor) == 60_000)
        #expect(try SocketOptions.timeToLive(of: tuned.descriptor, family: family) == 33)
    }

    @Test("pooling is accepted and changes nothing", arguments: [true, false])
    func pooling(allowed: Bool) async throws {
        let first = try await Pair(.tcp) { $0.allowPooling = allowed }
        let second = try makeClient(.tcp, to: first.listener.localAddress) {
            $0.allowPooling = allowed
        }
        #expect(try await first.client.ready.local != second.ready.local)
    }

    @Test("the loops of the given group are used")
    func group() async throws {
        let group = EventLoopGroup(loopCount: 1)
        let pair = try await Pair(.tcp) { $0.group = group }
        #expect(pair.client.connection.loop === group.loops[0])
        try await pair.client.close()
        #expect(try await pair.server.read() == nil)
        try await pair.server.close()
        await until { pair.client.descriptor == -1 }
        await group.shutdown()
    }

    @Test("sockets with the same TLS members share one configuration")
    func sharedContext() throws {
        let options = try clientOptions(.tls13, to: loopback)
        let first = try Connector(options).tls?.context
        let second = try Connector(options).tls?.context
        #expect(first === second)
        let other = try Connector(try clientOptions(.tls12, to: loopback)).tls?.context
        #expect(first !== other)
    }
}
