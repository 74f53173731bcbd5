// Starting TLS, cancelled everywhere: see CancellationPointTests, which runs these.

import SocketCore
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

extension Waiting {
    static let upgrades: [Waiting] = [
        Waiting("starting TLS as a client, with a callback that takes its time") { now in
            let wire = now.wire == .tcp ? Wire.tls12 : now.wire
            let pair = try await Pair(besieged: .tcp, now.signal)
            var members = try upgradeMembers(wire)
            members.checkServerIdentity = { _, _ in await pass(.milliseconds(1)) }
            let (server, prepared) = (pair.server, try prepareTLS(wire))
            let serving = Task<Void, Never> {
                guard !now.isFrozen.isSet, (try? await server.read()) != nil, !now.isFrozen.isSet
                else { return }
                _ = try? await server.startTLS(prepared, sending: goAhead)
                if !now.isFrozen.isSet { try? await server.write("x") }
            }
            return pair.scene([serving]) { [members] pair in
                try await pair.client.write(ask)
                _ = try await readExactly(goAhead.utf8.count, from: pair.client)
                try await pair.client.startTLS(members)
                _ = try await pair.client.read()
            }
        },
        Waiting("starting TLS as a listener, behind a reply that blocks") { now in
            let wire = now.wire == .tcp ? Wire.tls12 : now.wire
            let pair = try await Pair(besieged: .tcp, nil, bufferSize: 20_000)
            var options = SocketResponseOptions()
            options.signal = now.signal
            try pair.listener.core.respond(to: pair.server, with: SocketResponse(options))
            let reply = pattern(300_000)
            let (client, members) = (pair.client, try upgradeMembers(wire))
            let prepared = try prepareTLS(wire) {
                $0.chooseHost = { _, _ in
                    await pass(.milliseconds(1))
                    return .configured
                }
            }
            let asking = Task<Void, Never> {
                var left = reply.count
                while left > 0, !now.isFrozen.isSet {
                    guard let bytes = try? await client.read(upTo: left) else { return }
                    left -= bytes.count
                }
                if !now.isFrozen.isSet { _ = try? await client.startTLS(members) }
            }
            return pair.scene([asking]) { pair in
                try await pair.server.startTLS(prepared, sending: reply)
            }
        },
    ]
}
