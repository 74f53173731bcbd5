// Where reads, writes, ends and bodies wait, on either end of a connection; each is cancelled at every
// such place, see CancellationPointTests.

import TLSEngine

@testable import Sockets

/// Reads to the end, until the circumstances freeze.
private func drain(_ socket: Socket, _ now: Circumstances) -> Task<Void, Never> {
    Task { while !now.isFrozen.isSet, let bytes = try? await socket.read(), !bytes.isEmpty {} }
}

/// A pair, and which of its ends is interrupted.
private struct Ends: Sendable {
    let pair: Pair
    /// The end whose task is cancelled, and which the signal aborts.
    let own: Socket
    /// The other.
    let other: Socket

    init(_ role: TLSRole, _ now: Circumstances, bufferSize: Int? = nil) async throws {
        pair = try await Pair(
            besieged: now.wire,
            role == .client ? now.signal : nil,
            bufferSize: bufferSize
        )
        guard role == .server else {
            (own, other) = (pair.client, pair.server)
            return
        }
        var options = SocketResponseOptions()
        options.signal = now.signal
        try pair.listener.core.respond(to: pair.server, with: SocketResponse(options))
        (own, other) = (pair.server, pair.client)
    }
}

extension Waiting {
    static let transfers = [TLSRole.client, .server].flatMap { role in
        [reading(role), writing(role), ending(role), closing(role), body(role)]
    }

    private static func reading(_ role: TLSRole) -> Waiting {
        Waiting("a \(role) that reads what comes piece by piece, and answers") { now in
            let ends = try await Ends(role, now)
            let other = ends.other
            let sending = Task {
                for _ in 0..<4 where !now.isFrozen.isSet {
                    guard (try? await other.write("piece")) != nil,
                        (try? await other.read()) != nil
                    else { return }
                }
                if !now.isFrozen.isSet { try? await other.shutdownWrite() }
            }
            return ends.pair.scene([sending]) { _ in
                // Both ways to read.
                if role == .server {
                    for try await bytes in try ends.own.stream() { try await ends.own.write(bytes) }
                }
                while let bytes = try await ends.own.read() { try await ends.own.write(bytes) }
            }
        }
    }

    private static func writing(_ role: TLSRole) -> Waiting {
        Waiting("a \(role)'s write that blocks many times") { now in
            let ends = try await Ends(role, now, bufferSize: 20_000)
            return ends.pair.scene([drain(ends.other, now)]) { _ in
                try await ends.own.write(pattern(200_000))
            }
        }
    }

    /// A write that waits, and something behind it that waits for its turn.
    private static func behindWrite(
        _ name: String,
        _ role: TLSRole,
        _ operation: @escaping @Sendable (Socket) async throws -> Void
    ) -> Waiting {
        Waiting(name) { now in
            let ends = try await Ends(role, now, bufferSize: 20_000)
            let (own, other) = (ends.own, ends.other)
            let gate = Gate()
            let writing = Task<Void, Never> { try? await own.write(pattern(120_000)) }
            await until { own.hasWriter }
            let reading = Task {
                await gate.wait()
                await drain(other, now).value
            }
            return ends.pair.scene([writing, reading]) { _ in
                gate.open()
                try await operation(own)
            } settling: {
                gate.open()
            }
        }
    }

    private static func ending(_ role: TLSRole) -> Waiting {
        behindWrite("a \(role)'s end of sending behind a write that blocks", role) {
            try await $0.shutdownWrite()
        }
    }

    private static func closing(_ role: TLSRole) -> Waiting {
        behindWrite("a \(role)'s close behind a write that blocks", role) {
            try await $0.close("done")
        }
    }

    private static func body(_ role: TLSRole) -> Waiting {
        Waiting("a \(role)'s body that is a stream, and one that is a closure") { now in
            let ends = try await Ends(role, now, bufferSize: 20_000)
            let other = ends.other
            let feeding = Task {
                for _ in 0..<5 where !now.isFrozen.isSet {
                    guard (try? await other.write(pattern(40_000))) != nil else { return }
                }
                if !now.isFrozen.isSet { try? await other.shutdownWrite() }
            }
            return ends.pair.scene([feeding, drain(other, now)]) { _ in
                let stream = try ends.own.stream()
                let body = SocketBody.deferred { .sequence(stream) }
                try await body.send(on: ends.own.connection)
                try await ends.own.shutdownWrite()
            }
        }
    }
}
