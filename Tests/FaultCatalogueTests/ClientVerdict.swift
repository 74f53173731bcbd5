// What a client makes of a faulty certificate, in the catalogue's words.

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
}

/// Connects as the scenario says, and echoes a byte to be sure of a connection.
///
/// - Returns: What the client made of the server; nil is a connection that carries data.
func verdictOfClient(
    _ scenario: FaultScenario,
    at address: SocketAddress,
    _ configure: (inout SocketInit) -> Void = { _ in }
) async throws -> SocketError? {
    var options = SocketInit(type: .tls, remote: address)
    options.limits.handshake = patience
    options.trust = try scenario.trust
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
