// A faulty certificate on a real socket: a TCP listener of the library, and behind each of its
// connections the kit's server that checks nothing.

import Sockets
import TLSEngine
import TLSTestKit
import Testing

/// Longer than any suite may take: what ends by it has hung.
let patience = Duration.seconds(90)

/// A root, its clock, and everything issued at the same moment.
struct Authority: Sendable {
    private static let made = Result { try Authority() }

    let clock: ManualClock
    let root: TestCA

    /// One root a process: nothing here depends on the machine's clock.
    static func shared() throws -> Authority { try made.get() }

    private init() throws {
        let clock = ManualClock()
        self.clock = clock
        root = try TestCA(now: { clock.unixSeconds })
    }

    /// Trust in this root at its own time.
    func trust(_ anchors: [[UInt8]]? = nil) throws -> TrustPolicy {
        let ders = anchors ?? [root.rootDER]
        var policy = TrustPolicy(anchors: try ders.map { try Certificate(der: $0) })
        policy.verificationTime = UnixTime(seconds: clock.unixSeconds)
        return policy
    }
}

/// Serves a scenario to every connection while `body` runs.
///
/// - Parameters:
///   - scenario: What to present.
///   - versions: The protocol versions to speak.
///   - body: Receives the address while the server runs.
/// - Returns: What `body` returns.
/// - Throws: What `body` throws, or what ends the listener.
func withFaultServer<Value: Sendable>(
    _ scenario: FaultScenario,
    _ versions: ClosedRange<ProtocolVersion>,
    _ body: (SocketAddress) async throws -> Value
) async throws -> Value {
    let options = SocketListenerInit(local: SocketAddress("127.0.0.1", port: 0))
    let listener = try SocketListener(options)
    async let serving: Void = listener.serve { socket in
        var server = try scenario.server(versions: versions)
        while let bytes = try await socket.read() {
            try await socket.write(server.receive(bytes))
            if server.failure != nil { break }
        }
        try await socket.close()
    }
    do {
        let value = try await body(listener.localAddress)
        await listener.close()
        try await serving
        return value
    } catch {
        await listener.close()
        throw error
    }
}

/// Connects as the scenario says, and echoes a byte to be sure of a connection.
///
/// - Returns: What the client made of the server; nil is a connection that carries data.
func verdictOfClient(
    _ scenario: FaultScenario,
    at address: SocketAddress,
    _ configure: (inout SocketInit) -> Void = { _ in }
) async throws -> SocketError? {
    let authority = try Authority.shared()
    var options = SocketInit(type: .tls, remote: address)
    options.limits.handshake = patience
    options.trust = try authority.trust(scenario.anchorsDER)
    if scenario.host != "127.0.0.1" { options.servername = scenario.host }
    configure(&options)
    let socket = try Socket(options)
    do throws(SocketError) {
        _ = try await socket.ready
        try await socket.write("?")
        let answer = try await socket.read(upTo: 1)
        try await socket.close()
        return answer == [UInt8(ascii: "?")] ? nil : SocketError(.truncated)
    } catch {
        return error
    }
}

extension CertificateFault.Verdict {
    /// The catalogue's verdict as the error of a socket; nil to connect.
    var error: SocketError? {
        switch self {
        case .accepted: nil
        case .refused(let code, let depth):
            SocketError(
                .certificateRejected,
                tls: TLSError(
                    .certificateRejected,
                    verification: VerificationFailure(code: code, depth: depth, text: "")
                )
            )
        case .handshakeFailed(let code): SocketError(.handshakeFailed, tls: TLSError(code))
        }
    }

    /// What a socket's error says in the catalogue's words.
    init?(_ error: SocketError?) {
        guard let error else {
            self = .accepted
            return
        }
        guard let tls = error.tls else { return nil }
        if let failure = tls.verification {
            self = .refused(failure.code, depth: failure.depth)
        } else {
            self = .handshakeFailed(tls.code)
        }
    }
}
