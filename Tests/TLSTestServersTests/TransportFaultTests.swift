// Every transport fault against a client, over sockets and in memory: each ends as its verdict says.

import Sockets
import TLSTestKit
import TLSTestServers
import Testing

/// Longer than handshakes take where hundreds are under way at once; what ends by it has hung.
let patience = Duration.seconds(50)

/// A fault and a version in which it exists.
struct FaultRow: Sendable, CustomTestStringConvertible {
    let fault: TransportFault
    let version: ProtocolVersion
    var testDescription: String { "\(fault), \(version)" }

    static let all = TransportFault.allCases.flatMap { fault in
        fault.versions.map { FaultRow(fault: fault, version: $0) }
    }
}

/// What came of a connection.
struct Attempt: Sendable {
    var isReady = false
    var received: [UInt8] = []
    var isAtEnd = false
    var error: SocketError?

    /// Connects, sends a line, and reads: the line again, or all there is.
    ///
    /// - Parameters:
    ///   - options: How to connect.
    ///   - readingToEnd: Whether it reads all there is.
    ///   - isSilent: Whether it sends nothing, and reads as much.
    /// - Throws: What is wrong with the options.
    init(
        _ options: SocketInit,
        readingToEnd: Bool = false,
        isSilent: Bool = false
    ) async throws {
        let line = "ping"
        let socket = try Socket(options)
        do {
            _ = try await socket.ready
            isReady = true
            if !isSilent { try await socket.write(line) }
            while readingToEnd || received.count < line.utf8.count {
                guard let bytes = try await socket.read() else {
                    isAtEnd = true
                    break
                }
                received += bytes
            }
        } catch {
            self.error = error
        }
        socket.abort()
    }
}

@Suite(.timeLimit(.minutes(1))) struct TransportFaultTests {
    /// Short enough for a test; no other limit holds of what is expected.
    static let pace = FaultServer.Pace(
        byteInterval: .milliseconds(20),
        flightPause: .milliseconds(5)
    )

    @Test(
        "a client makes of each fault what its verdict says, whoever speaks first",
        arguments: FaultRow.all,
        [false, true]
    )
    func socket(row: FaultRow, serverBegins: Bool) async throws {
        let verdict = row.fault.verdict(in: row.version)
        try await FaultServer.run(
            row.fault,
            version: row.version,
            greeting: serverBegins ? "ping" : "",
            pace: Self.pace
        ) { server in
            let options = server.client {
                $0.limits.handshake = patience
                guard case .stalls(let phase) = verdict else { return }
                // Only silence reaches them.
                if phase == .open {
                    $0.idleTimeout = .seconds(1)
                } else {
                    $0.limits.handshake = .milliseconds(300)
                }
            }
            let attempt = try await Attempt(
                options,
                readingToEnd: verdict != .accepted,
                isSilent: serverBegins
            )
            let error = attempt.error
            #expect(error?.code == verdict.socketCode, "\(error.debugDescription)")
            #expect(error?.tls?.code == verdict.tlsCode, "\(error.debugDescription)")
            #expect(error?.tls?.alert == verdict.alert)
            switch verdict {
            case .accepted: #expect(attempt.received == Array("ping".utf8))
            case .ended: #expect(attempt.isAtEnd && attempt.received.isEmpty)
            case .handshakeFails, .reset(inHandshake: true): #expect(!attempt.isReady)
            case .streamFails, .reset(inHandshake: false): #expect(attempt.isReady)
            // Where it stands by then is a matter of the machine's load.
            case .stalls: return
            }
            if let phase = verdict.phase { #expect(error?.phase == phase) }
        }
    }

    @Test(
        "a server that falls silent leaves the client where the verdict says",
        arguments: FaultRow.all.filter {
            if case .stalls = $0.fault.verdict(in: $0.version) { true } else { false }
        }
    )
    func silence(row: FaultRow) async throws {
        guard let phase = row.fault.verdict(in: row.version).phase else { return }
        try await FaultServer.run(row.fault, version: row.version, pace: Self.pace) { server in
            let socket = try Socket(server.client { $0.limits.handshake = patience })
            while socket.report?.phase != phase || server.lastClientHello == nil {
                try Task.checkCancellation()
                await Task.yield()
            }
            // The engine is through a moment before the socket is ready.
            if phase == .open { _ = try await socket.ready }
            #expect((socket.info != nil) == (phase == .open))
            socket.abort()
        }
    }

    @Test(
        "an engine in memory makes the same of it, in any chunks",
        arguments: FaultRow.all,
        [(1, false), (1, true), (Int.max, false), (Int.max, true)]
    )
    func memory(row: FaultRow, way: (chunk: Int, serverBegins: Bool)) throws {
        let leaf = try TestCA().issue("localhost")
        let policy = TLSPolicy { $0.alpn = ["h2"] }
        let trust = TrustPolicy(anchors: [try Certificate(der: leaf.rootDER)])
        let context = try TLSContext(role: .client, policy: policy, trust: trust)
        let rehearsal = try FaultRehearsal(
            row.fault,
            row.version,
            certificate: leaf,
            client: TLSEngine(context, remoteName: "localhost"),
            sending: Array((way.serverBegins ? "" : "ping").utf8),
            greeting: Array((way.serverBegins ? "ping" : "").utf8),
            chunk: way.chunk
        )
        switch row.fault.verdict(in: row.version) {
        case .accepted: #expect(rehearsal.received == Array("ping".utf8))
        case .ended: #expect(rehearsal.isAtEnd)
        case .handshakeFails(let code, let phase, let alert):
            #expect(rehearsal.error?.code == code)
            #expect(rehearsal.error?.phase == phase)
            #expect(rehearsal.error?.alert == alert)
        case .streamFails(let code):
            #expect(rehearsal.error?.code == code)
            #expect(rehearsal.error?.phase == .open)
        case .reset: #expect(rehearsal.isReset)
        case .stalls(let phase):
            // Slow bytes all come in the end where no time passes.
            if row.fault != .bytePerSecond { #expect(rehearsal.phase == phase) }
            #expect(rehearsal.error == nil)
        }
    }

    @Test("a fault that a version has not is refused")
    func absent() async throws {
        let error = await #expect(throws: TestKitError.self) {
            try await FaultServer.run(.keyUpdateFlood, version: .tls12) { _ in }
        }
        #expect(error?.code == .invalidRecipe)
    }

    @Test("names and words of the faults differ")
    func words() {
        let all = TransportFault.allCases
        #expect(Set(all.map(\.summary)).count == all.count)
        #expect(all.count >= 27)
    }
}
