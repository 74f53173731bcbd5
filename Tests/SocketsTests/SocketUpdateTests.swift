import SocketCore
import Synchronization
import TLSEngine
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct SocketUpdateTests {
    @Test("an idle timeout is set, changed and taken off", arguments: Wire.allCases)
    func idleTimeout(wire: Wire) async throws {
        let pair = try await Pair(wire)
        try await pair.client.update(SocketUpdate { $0.idleTimeout = .after(.seconds(3600)) })
        #expect(pair.client.connection.state.withLock { $0.idleTimeout } == .seconds(3600))
        try await pair.client.update(SocketUpdate { $0.idleTimeout = .never })
        #expect(pair.client.connection.state.withLock { $0.nextDeadline } == nil)
        // A listener's socket too; and nil leaves it.
        try await pair.server.update(SocketUpdate { $0.idleTimeout = .after(patience) })
        try await pair.server.update(SocketUpdate { $0.noDelay = true })
        #expect(pair.server.connection.state.withLock { $0.idleTimeout } == patience)
        try await pair.server.update(SocketUpdate { $0.idleTimeout = .after(.milliseconds(50)) })
        #expect(await pair.server.closed.error?.code == .idleTimedOut)
    }

    @Test("options of the kernel take effect", arguments: Wire.allCases)
    func options(wire: Wire) async throws {
        let pair = try await Pair(wire)
        let info = try await pair.client.update(
            SocketUpdate {
                $0.noDelay = true
                $0.sendBufferSize = 40_000
                $0.receiveBufferSize = 30_000
                $0.ttl = 7
            }
        )
        #expect(info.version == wire.version)
        let descriptor = pair.client.descriptor
        #expect(try SocketOptions.noDelay(of: descriptor))
        #expect(try SocketOptions.sendBufferSize(of: descriptor) == 80_000)
        #expect(try SocketOptions.receiveBufferSize(of: descriptor) == 60_000)
        #expect(try SocketOptions.timeToLive(of: descriptor, family: .ipv4) == 7)
        try await pair.client.write("x")
        #expect(try await pair.server.read() == [120])
    }

    @Test("TLS members start TLS, within the connection timeout", arguments: Wire.secure)
    func upgrade(wire: Wire) async throws {
        let pair = try await UpgradePair(wire, prepared: { $0.alpn = ["x"] })
        let serving = Task { try await pair.server.startTLS(pair.prepared) }
        let info = try await pair.client.update(
            SocketUpdate {
                $0.trust = pair.members.trust
                $0.alpn = ["x"]
                $0.idleTimeout = .after(patience)
                $0.connectionTimeout = patience
            }
        )
        #expect(info.alpn == "x")
        _ = try await serving.value
        try await pair.expectTalk()
        pair.end()

        let silent = try await Pair(.tcp)
        let error = await thrown {
            try await silent.client.update(
                SocketUpdate {
                    $0.tls = TLSSocketInit()
                    $0.connectionTimeout = .milliseconds(50)
                }
            )
        }
        #expect(error?.code == .handshakeTimedOut)
        #expect(error?.phase == .serverHello)
    }

    @Test("what cannot be is refused before anything is changed")
    func refusals() async throws {
        let pair = try await Pair(.tcp)
        let impossible: [(SocketError.Code, @Sendable (inout SocketUpdate) -> Void)] = [
            (.invalidOption, { $0.idleTimeout = .after(.zero) }),
            (.invalidOption, { $0.connectionTimeout = .zero }),
            (.invalidOption, { $0.ttl = 0 }),
            (.invalidOption, { $0.ticket = [1] }),
            (.invalidTLSConfiguration, { $0.servername = "no name" }),
        ]
        for (code, set) in impossible {
            let error = await thrown {
                try await pair.client.update(
                    SocketUpdate {
                        $0.noDelay = true
                        set(&$0)
                    }
                )
            }
            #expect(error?.code == code)
            #expect(error?.category == .misuse)
        }
        #expect(try !SocketOptions.noDelay(of: pair.client.descriptor))
        let listener = await thrown {
            try await pair.server.update(SocketUpdate { $0.alpn = ["x"] })
        }
        #expect(listener?.code == .cannotStartTLS)
        let secure = try await Pair(.tls13)
        let twice = await thrown {
            try await secure.client.update(
                SocketUpdate {
                    $0.noDelay = true
                    $0.alpn = ["x"]
                }
            )
        }
        #expect(twice?.code == .cannotStartTLS)
        #expect(try !SocketOptions.noDelay(of: secure.client.descriptor))
        pair.client.abort()
        let over = await thrown { try await pair.client.update(SocketUpdate { $0.noDelay = true }) }
        #expect(over?.code == .aborted)
    }
}
