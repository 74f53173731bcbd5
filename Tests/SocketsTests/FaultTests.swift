// What peers and networks do wrong, to both roles: each fault ends with its own code and phase, and
// nothing hangs.

import SocketCore
import Synchronization
import TLSEngine
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct FaultTests {
    /// What a peer says instead of TLS, and what comes of it.
    struct Nonsense: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let code: TLSError.Code
    }

    static let nonsense = [
        Nonsense(
            testDescription: "HTTP",
            bytes: Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8),
            code: .notTLS
        ),
        Nonsense(
            testDescription: "an HTTP answer",
            bytes: Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8),
            code: .notTLS
        ),
        Nonsense(testDescription: "SSH", bytes: Array("SSH-2.0-x\r\n".utf8), code: .notTLS),
        Nonsense(
            testDescription: "zeros",
            bytes: [UInt8](repeating: 0, count: 64),
            code: .notTLS
        ),
    ]

    @Test("a server that speaks something else", arguments: nonsense, Wire.secure)
    func nonsenseFromServer(nonsense: Nonsense, wire: Wire) async throws {
        let raw = try RawServer()
        let socket = try makeClient(wire, to: raw.address) { $0.servername = "localhost" }
        let peer = try await raw.accept()
        try await peer.write(nonsense.bytes)
        let error = await thrown { _ = try await socket.ready }
        #expect(error?.code == .handshakeFailed)
        #expect(error?.tls?.code == nonsense.code)
        #expect(error?.phase == .serverHello)
        #expect(error?.hint != nil)
        #expect(await socket.closed.error == error)
    }

    @Test("a client that speaks something else", arguments: nonsense)
    func nonsenseFromClient(nonsense: Nonsense) async throws {
        let errors = Log<SocketError>()
        let listener = try makeListener(.tls13)
        try listener.onSocket { error, _ in
            if let error = error as? SocketError { errors.append(error) }
        } _: { _ in
        }
        let client = try makeClient(.tcp, to: listener.localAddress)
        try await client.write(nonsense.bytes)
        await until { errors.count == 1 }
        #expect(errors.all[0].code == .handshakeFailed)
        #expect(errors.all[0].tls?.code == nonsense.code)
        #expect(errors.all[0].phase == .clientHello)
        _ = try? await readAll(from: client)
        client.abort()
        await until { listener.core.aliveCount == 0 }
    }

    @Test(
        "a bad record in one piece with a good one does not wait for more",
        arguments: Wire.secure
    )
    func badRecordInOnePiece(wire: Wire) async throws {
        let raw = try RawServer()
        let socket = try makeClient(wire, to: raw.address) { $0.servername = "localhost" }
        var peer = try EnginePeer(.server, wire, over: try await raw.accept())
        try await peer.handshake()
        let good = try peer.records(pattern(10))
        var bad = try peer.records(pattern(40))
        bad[bad.count - 1] ^= 1
        try await peer.socket.write(good + bad)
        #expect(try await socket.read() == pattern(10))
        let error = await thrown { _ = try await socket.read() }
        #expect(error?.code == .tlsFailed)
        #expect(error?.tls?.code == .badRecord)
    }

    @Test("data in one piece with the end of the handshake is not lost", arguments: Wire.secure)
    func earlyData(wire: Wire) async throws {
        let listener = try makeListener(wire)
        var iterator = listener.makeAsyncIterator()
        let socket = try makeClient(wire, to: listener.localAddress) { $0.body = "first" }
        let server = try #require(try await iterator.next()).socket
        #expect(try await readAll(from: server) == Array("first".utf8))
        try await server.close()
        #expect(try await socket.read() == nil)
    }

    @Test(
        "a certificate the server refuses is told with its phase, in both versions",
        arguments: Wire.secure,
        [true, false]
    )
    func clientCertificate(wire: Wire, isGiven: Bool) async throws {
        let credentials = try Credentials.shared()
        let errors = Log<SocketError>()
        let listener = try makeListener(wire) { options in
            options.clientAuthentication = .require
            options.trust = TrustPolicy(anchors: credentials.anchors)
        }
        try listener.onSocket { error, _ in
            if let error = error as? SocketError { errors.append(error) }
        } _: { _ in
        }
        let socket = try makeClient(wire, to: listener.localAddress) {
            if isGiven { $0.identity = credentials.stranger }
        }
        let error = await thrown {
            _ = try await socket.ready
            // A client of TLS 1.3 is ready before it is judged.
            while true { try await socket.write(pattern(1000)) }
        }
        #expect(error?.category == .tls)
        #expect(error?.tls?.code == .alertReceived)
        if wire == .tls13 {
            #expect(error?.code == .localCertificateRejected)
            #expect(error?.phase == .clientAuthentication)
            #expect(error?.tls?.alert == (isGiven ? .unknownCA : .certificateRequired))
        } else {
            #expect(error?.tls?.alert == (isGiven ? .unknownCA : .handshakeFailure))
        }
        await until { errors.count == 1 }
        #expect(errors.all[0].code == .certificateRejected)
        #expect(errors.all[0].phase == .clientAuthentication || !isGiven)
        // Told again, the same.
        #expect(await thrown { _ = try await socket.read() } == error)
    }

    @Test("a server the client does not trust", arguments: Wire.secure)
    func serverCertificate(wire: Wire) async throws {
        let errors = Log<SocketError>()
        let listener = try makeListener(wire)
        try listener.onSocket { error, _ in
            if let error = error as? SocketError { errors.append(error) }
        } _: { _ in
        }
        let socket = try makeClient(wire, to: listener.localAddress) {
            $0.servername = "elsewhere.test"
        }
        let error = await thrown { _ = try await socket.ready }
        #expect(error?.code == .certificateRejected)
        #expect(error?.phase == .certificate)
        #expect(error?.tls?.verification != nil)
        await until { errors.count == 1 }
        #expect(errors.all[0].tls?.code == .alertReceived)
    }

    @Test("a write to a peer that has reset says so", arguments: Wire.allCases)
    func writeToReset(wire: Wire) async throws {
        let pair = try await Pair(wire)
        pair.server.abort()
        let error = await thrown { while true { try await pair.client.write(pattern(1000)) } }
        #expect(error?.code == .peerReset)
        #expect(await pair.client.closed == .reset)
    }

    @Test("a blocked write ends when the peer resets", arguments: Wire.allCases)
    func blockedWrite(wire: Wire) async throws {
        let pair = try await Pair.narrow(wire)
        async let error = thrown { try await pair.client.write(pattern(1 << 20)) }
        await until { pair.client.hasWriter }
        pair.server.abort()
        #expect(await error?.code == .peerReset)
    }

    @Test("writes in line behind one that fails all fail with its cause", arguments: Wire.allCases)
    func queuedBehindFailure(wire: Wire) async throws {
        let pair = try await Pair.narrow(wire)
        let codes = Log<SocketError.Code?>()
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<6 {
                group.addTask {
                    codes.append(
                        await thrown { try await pair.client.write(pattern(1 << 20)) }?.code
                    )
                }
                await until { pair.client.hasWriter && pair.client.writersInLine == number }
            }
            pair.server.abort()
        }
        #expect(codes.all == [SocketError.Code?](repeating: .peerReset, count: 6))
    }

    @Test(
        "abort, close and drop at once, from many tasks, end every wait",
        arguments: Wire.allCases
    )
    func endsAtOnce(wire: Wire) async throws {
        for round in 0..<20 {
            let pair = try await Pair(wire)
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<2 {
                    group.addTask { _ = try? await readAll(from: pair.client) }
                    group.addTask { try? await pair.client.write(pattern(200_000)) }
                    group.addTask { _ = try? await pair.client.ready }
                    group.addTask { _ = await pair.client.closed }
                }
                group.addTask { try? await pair.client.close("closed") }
                group.addTask { if round % 2 == 0 { pair.client.abort("aborted") } }
                group.addTask { if round % 3 == 0 { pair.server.abort() } }
                group.addTask { _ = try? await readAll(from: pair.server) }
                await group.waitForAll()
            }
            try? await pair.server.close()
            await until { pair.client.descriptor == -1 && pair.server.descriptor == -1 }
        }
    }
}
