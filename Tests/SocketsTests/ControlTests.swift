// What an open TLS socket gives and does beside carrying data: keying material, bindings, new keys, the
// client's certificate behind the handshake; and that a task which waits for it can be cancelled.

import Foundation
import SocketCore
import Synchronization
import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct ControlTests {
    // MARK: Keying material

    @Test("both sockets export the same, and have the same bindings", arguments: Wire.secure)
    func exports(wire: Wire) async throws {
        let pair = try await Pair(wire)
        let ours = try pair.client.exportKeyingMaterial(label: "EXPORTER-x", count: 48)
        let theirs = try pair.server.exportKeyingMaterial(label: "EXPORTER-x", count: 48)
        #expect(ours == theirs && ours.count == 48)
        for kind in ChannelBinding.allCases where wire == .tls12 || kind != .unique {
            let binding = try pair.client.channelBinding(kind)
            #expect(try binding == pair.server.channelBinding(kind))
        }
        if wire == .tls13 {
            let error = #expect(throws: SocketError.self) {
                try pair.client.channelBinding(.unique)
            }
            #expect(error?.code == .tlsUnavailable)
            #expect(error?.tls?.code == .featureUnavailable)
        }
        let error = #expect(throws: SocketError.self) {
            try pair.client.exportKeyingMaterial(label: "", count: 1)
        }
        #expect(error?.code == .invalidOption)
        #expect(error?.category == .misuse)
    }

    @Test("a socket without TLS, or that is not ready, has nothing to export")
    func nothing() async throws {
        let plain = try await Pair(.tcp)
        let error = #expect(throws: SocketError.self) { try plain.client.channelBinding(.exporter) }
        #expect(error?.code == .tlsUnavailable)
        let update = await thrown { try await plain.client.updateKeys() }
        #expect(update?.code == .tlsUnavailable)
        let server = try RawServer()
        let early = try makeClient(.tls13, to: server.address)
        let peer = try await server.accept()
        let unready = #expect(throws: SocketError.self) {
            try early.exportKeyingMaterial(label: "x", count: 1)
        }
        #expect(unready?.code == .tlsUnavailable)
        // A call that may wait waits for the handshake.
        async let late = thrown { try await early.updateKeys() }
        early.abort()
        #expect(await late?.code == .aborted)
        peer.abort()
    }

    // MARK: The key log

    @Test("a key log in a file has a line for each secret, for its owner's eyes")
    func keyLog() async throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/keys"
        let log = try TLSKeyLog.appending(to: path)
        let pair = try await Pair(.tls13) {
            $0.keyLog = log
        } server: {
            $0.keyLog = try TLSKeyLog.appending(to: path)
        }
        try await pair.client.write("x")
        #expect(try await pair.server.read() == [120])
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 10 && Set(lines).count == 5)
        let rights = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]
        #expect(rights as? Int == 0o600)
        let words = pair.client.report?.concessions
        #expect(words == ["the secrets of the connection are logged"])
        let error = #expect(throws: SocketError.self) {
            try TLSKeyLog.appending(to: directory.path + "/no/such/place")
        }
        #expect(error?.code == .systemCallFailed)
        #expect(SocketInit(type: .tls, remote: loopback).keyLog == nil)
    }

    // MARK: New keys

    @Test("either side takes new keys while data flows both ways")
    func updates() async throws {
        let pair = try await Pair(.tls13)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (sender, receiver) in [(pair.client, pair.server), (pair.server, pair.client)] {
                group.addTask {
                    try await sender.write(pattern(2_000_000))
                    try await sender.shutdownWrite()
                }
                group.addTask {
                    let received = try await readAll(from: receiver)
                    #expect(received == pattern(2_000_000))
                }
            }
            group.addTask {
                for _ in 0..<10 {
                    do throws(SocketError) {
                        try await pair.client.updateKeys(requestPeer: true)
                    } catch {
                        // The sending side has ended by now.
                        #expect([.closed, .tlsUnavailable].contains(error.code))
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(await pair.client.closed == .clean(nil))
        #expect(await pair.server.closed == .clean(nil))
    }

    @Test("new keys show in the report, and are refused in TLS 1.2", arguments: Wire.secure)
    func reported(wire: Wire) async throws {
        let pair = try await Pair(wire)
        guard wire == .tls13 else {
            let error = await thrown { try await pair.client.updateKeys() }
            #expect(error?.code == .tlsUnavailable)
            return
        }
        try await pair.client.updateKeys(requestPeer: true)
        try await pair.client.write("a")
        #expect(try await pair.server.read() == [97])
        try await pair.server.write("b")
        #expect(try await pair.client.read() == [98])
        let facts = KeyUpdateFacts(sent: 1, received: 1)
        #expect(pair.client.report?.keyUpdates == facts)
        #expect(pair.server.info?.report?.keyUpdates == facts)
        try await pair.server.shutdownWrite()
        #expect(await thrown { try await pair.server.updateKeys() }?.code == .tlsUnavailable)
    }

    @Test("spent keys are replaced in both directions of a transfer")
    func spent() async throws {
        let pair = try await Pair(.tls13) {
            $0.tls.limits.recordsPerKey = 8
        } server: {
            $0.tls.limits.recordsPerKey = 16
        }
        async let sent: Void = {
            try await pair.client.write(pattern(4 << 20))
            try await pair.client.shutdownWrite()
        }()
        #expect(try await readAll(from: pair.server) == pattern(4 << 20))
        try await sent
        #expect(try #require(pair.client.report).keyUpdates.sent >= 8)
    }

    @Test("who waits for its turn to take new keys can be cancelled, and the connection goes on")
    func cancelled() async throws {
        let pair = try await Pair.narrow(.tls13)
        async let sent: Void = pair.client.write(pattern(1 << 20))
        await until { pair.client.hasWriter }
        let update = Task { await thrown { try await pair.client.updateKeys() } }
        await until { pair.client.writersInLine == 1 }
        update.cancel()
        #expect(await update.value?.code == .aborted)
        #expect(try await readExactly(1 << 20, from: pair.server) == pattern(1 << 20))
        try await sent
        try await pair.client.updateKeys()
        try await pair.client.write("x")
        #expect(try await pair.server.read() == [120])
        #expect(pair.client.report?.keyUpdates.sent == 1)
    }

    @Test("a call after the end is told of the end")
    func afterTheEnd() async throws {
        let pair = try await Pair(.tls13)
        try await pair.client.close()
        #expect(await thrown { try await pair.client.updateKeys() }?.code == .closed)
        pair.server.abort("enough")
        #expect(await thrown { try await pair.server.updateKeys() }?.code == .aborted)
    }

    // MARK: The client's certificate

    /// A pair that may ask, and answers with an identity.
    private func lateAuthentication(_ identity: TLSIdentity?) async throws -> Pair {
        let anchors = try Credentials.shared().anchors
        return try await Pair(.tls13) {
            $0.postHandshakeAuthentication = true
            $0.identity = identity
        } server: {
            $0.postHandshakeAuthentication = true
            $0.trust = TrustPolicy(anchors: anchors)
        }
    }

    @Test("the client shows its certificate when it reads, and who asked gets it")
    func certificate() async throws {
        let credentials = try Credentials.shared()
        let pair = try await lateAuthentication(credentials.client)
        #expect(pair.server.info?.peerCertificate == nil)
        try await pair.client.write("question")
        #expect(try await pair.server.read() == Array("question".utf8))
        async let answer = pair.client.read()
        let info = try await pair.server.requestClientCertificate()
        #expect(info.peerCertificate == credentials.client.certificate.der)
        #expect(info.verificationStatus == "ok")
        #expect(pair.server.info?.peerCertificate == credentials.client.certificate.der)
        try await pair.server.write("answer")
        #expect(try await answer == Array("answer".utf8))
        #expect(pair.client.info?.certificate == credentials.client.certificate.der)
        try await pair.client.write("more")
        #expect(try await pair.server.read() == Array("more".utf8))
    }

    @Test("while another task reads, it meets the answer, and gets the data around it")
    func otherReader() async throws {
        let credentials = try Credentials.shared()
        let pair = try await lateAuthentication(credentials.client)
        async let received = readAll(from: pair.server)
        await until { pair.server.hasReader }
        async let info = pair.server.requestClientCertificate()
        // The client sends before it has seen the request, and behind it.
        try await pair.client.write(pattern(100_000))
        async let end = pair.client.read()
        #expect(try await info.peerCertificate == credentials.client.certificate.der)
        try await pair.client.write(pattern(1000))
        try await pair.client.shutdownWrite()
        #expect(try await received == pattern(100_000) + pattern(1000))
        try await pair.server.shutdownWrite()
        #expect(try await end == nil)
    }

    @Test("data before the answer is left for a reader, behind which the answer is met")
    func unreadData() async throws {
        let credentials = try Credentials.shared()
        let pair = try await lateAuthentication(credentials.client)
        try await pair.client.write("early")
        let request = Task { try await pair.server.requestClientCertificate() }
        async let end = pair.client.read()
        await until { pair.server.connection.state.withLock { $0.lateRequest?.waiter != nil } }
        #expect(try await readExactly(5, from: pair.server) == Array("early".utf8))
        #expect(try await request.value.peerCertificate != nil)
        try await pair.server.close()
        #expect(try await end == nil)
    }

    @Test("in the midst of large records, read to a record's end, the answer is waited for")
    func amidstUpload() async throws {
        let credentials = try Credentials.shared()
        let pair = try await lateAuthentication(credentials.client)
        let record = TLSEngine.recordPlaintextMax
        for _ in 0..<3 {
            try await pair.client.write(pattern(3 * record))
            #expect(try await readExactly(3 * record, from: pair.server) == pattern(3 * record))
        }
        let upload = Task { try await pair.client.write(pattern(64 * record)) }
        #expect(try await readExactly(record, from: pair.server) == pattern(record))
        let request = Task { try await pair.server.requestClientCertificate() }
        async let end = pair.client.read()
        #expect(
            try await readExactly(63 * record, from: pair.server)
                == Array(pattern(64 * record)[record...])
        )
        #expect(try await request.value.peerCertificate == credentials.client.certificate.der)
        try await upload.value
        try await pair.server.close()
        #expect(try await end == nil)
    }

    @Test("behind a piece of a record, whose rest comes later, the answer is waited for")
    func behindPiece() async throws {
        let anchors = try Credentials.shared().anchors
        let listener = try makeListener(.tls13) {
            $0.postHandshakeAuthentication = true
            $0.trust = TrustPolicy(anchors: anchors)
        }
        var iterator = listener.makeAsyncIterator()
        let raw = try makeClient(.tcp, to: listener.localAddress)
        var peer = try EnginePeer(.client, .tls13, over: raw) {
            $0.postHandshakeAuthentication = true
        }
        try await peer.handshake()
        let socket = try #require(try await iterator.next()).socket
        let request = Task { try await socket.requestClientCertificate(required: false) }
        await until { socket.hasReader }
        let record = try peer.records(pattern(100))
        try await raw.write(Array(record[..<50]))
        await until { (try? Syscalls.unreadBytes(socket.descriptor)) == 0 }
        try await raw.write(Array(record[50...]))
        // What it is waited behind now is data.
        await until { socket.connection.state.withLock { $0.lateRequest?.waiter != nil } }
        async let rest = readExactly(101, from: socket)
        // The ticket and the request.
        let answer = try await peer.receive()
        try await raw.write(Array(answer[..<10]))
        await until { (try? Syscalls.unreadBytes(socket.descriptor)) == 0 }
        try await raw.write(Array(answer[10...]) + peer.records([1]))
        #expect(try await request.value.peerCertificate == nil)
        #expect(try await rest == pattern(100) + [1])
        raw.abort()
        await listener.close()
    }

    @Test("a certificate that is not trusted, and none where one is required, end the connection")
    func refused() async throws {
        let stranger = try Credentials.shared().stranger
        for (identity, code, alert) in [
            (stranger, TLSError.Code.certificateRejected, Alert.unknownCA),
            (nil, .peerCertificateMissing, .certificateRequired),
        ] {
            let pair = try await lateAuthentication(identity)
            async let told = thrown { _ = try await pair.client.read() }
            let error = await thrown { try await pair.server.requestClientCertificate() }
            #expect(error?.code == .certificateRejected)
            #expect(error?.tls?.code == code)
            #expect(error?.phase == .clientAuthentication)
            let other = await told
            #expect(other?.code == .localCertificateRejected)
            #expect(other?.tls?.alert == alert)
            #expect(await pair.server.closed.error?.code == .certificateRejected)
        }
        let pair = try await lateAuthentication(nil)
        async let data = pair.client.read()
        let info = try await pair.server.requestClientCertificate(required: false)
        #expect(info.peerCertificate == nil)
        try await pair.server.write("still here")
        #expect(try await data == Array("still here".utf8))
    }

    @Test("who cannot be asked is not, and the connection goes on", arguments: Wire.secure)
    func unavailable(wire: Wire) async throws {
        let pair = try await Pair(wire) { _ in
        } server: {
            $0.postHandshakeAuthentication = true
            $0.trust = TrustPolicy(anchors: try Credentials.shared().anchors)
        }
        let error = await thrown { try await pair.server.requestClientCertificate() }
        #expect(error?.code == .tlsUnavailable)
        #expect(await thrown { try await pair.client.requestClientCertificate() } == error)
        try await pair.client.write("x")
        #expect(try await pair.server.read() == [120])
    }

    @Test("a client that does not answer is waited for until the task, or the connection, ends")
    func silent() async throws {
        let pair = try await lateAuthentication(try Credentials.shared().client)
        // It does not read, so it sees no request.
        let request = Task {
            await thrown { try await pair.server.requestClientCertificate() }
        }
        await until { pair.server.hasReader }
        request.cancel()
        #expect(await request.value?.code == .aborted)
        // The answer that comes later is met by who reads then.
        try await pair.server.write("x")
        #expect(try await pair.client.read() == [120])
        try await pair.client.write("y")
        #expect(try await pair.server.read() == [121])
        #expect(pair.server.info?.peerCertificate != nil)

        let other = try await lateAuthentication(try Credentials.shared().client)
        async let error = thrown { try await other.server.requestClientCertificate() }
        await until { other.server.hasReader }
        other.server.abort("enough")
        #expect(await error?.code == .aborted)

        let third = try await lateAuthentication(try Credentials.shared().client)
        async let cut = thrown { try await third.server.requestClientCertificate() }
        await until { third.server.hasReader }
        try await third.client.close()
        #expect(await cut?.tls?.code == .peerCertificateMissing)
    }

    @Test("a wait for somebody else's reading can be cancelled, and ends with the connection")
    func cancelledBehindData() async throws {
        for isCancelled in [true, false] {
            let pair = try await lateAuthentication(try Credentials.shared().client)
            try await pair.client.write("early")
            let request = Task {
                await thrown { try await pair.server.requestClientCertificate() }
            }
            await until { pair.server.connection.state.withLock { $0.lateRequest?.waiter != nil } }
            if isCancelled { request.cancel() } else { pair.server.abort() }
            #expect(await request.value?.code == .aborted)
        }
    }

    // MARK: Half-close

    @Test("behind the peer's end this side sends on, and takes new keys", arguments: Wire.secure)
    func halfClosed(wire: Wire) async throws {
        let pair = try await Pair(wire)
        try await pair.server.write("bye")
        try await pair.server.shutdownWrite()
        #expect(try await readAll(from: pair.client) == Array("bye".utf8))
        try await pair.client.write(pattern(100_000))
        if wire == .tls13 { try await pair.client.updateKeys() }
        try await pair.client.write(pattern(100_000))
        try await pair.client.shutdownWrite()
        #expect(try await readAll(from: pair.server) == pattern(100_000) + pattern(100_000))
        #expect(await pair.client.closed == .clean(nil))
        #expect(await pair.server.closed == .clean(nil))
    }

    @Test("behind this side's end a peer that asks for new keys gets none, and harms nothing")
    func askedBehindTheEnd() async throws {
        let pair = try await Pair(.tls13)
        try await pair.client.shutdownWrite()
        #expect(try await pair.server.read() == nil)
        try await pair.server.updateKeys(requestPeer: true)
        try await pair.server.write(pattern(50_000))
        try await pair.server.shutdownWrite()
        #expect(try await readAll(from: pair.client) == pattern(50_000))
        #expect(await pair.client.closed == .clean(nil))
    }
}
