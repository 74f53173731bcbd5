// Our listener against clients of others.

import Sockets
import TLSTestKit
import Testing

/// What a client of others is told.
struct ClientSettings: Sendable {
    /// Where its files lie, and where it may put its own.
    let directory: String
    /// Where to connect to; the name to send and to verify is ``host``.
    let address: SocketAddress
    /// The name it asks for.
    var host = Authorities.host
    /// The root it trusts.
    let root: String
    /// The only version it speaks.
    let version: ProtocolVersion
    /// Whether it sends the name; else it goes by the address.
    var sendsName = true
    /// Application protocols it offers, most preferred first.
    var protocols: [String] = []
    /// What it answers a demand for a certificate with; nil for nothing.
    var certificate: CertificateFiles?
}

/// What a client of others made of it.
struct ClientResult: Sendable {
    let exitCode: Int32
    /// The body of the answer.
    let body: [UInt8]
    /// What it said beside that.
    let text: String
}

/// How a refused handshake shows on both sides.
struct ListenerVerdict: Sendable {
    let exitCode: Int32
    /// A part of what the client says, the same in all its versions.
    let text: String
    /// What our listener reports; nil when the client came in, and left without a request.
    let error: SocketError?
    let phase: HandshakePhase?

    init(
        _ exitCode: Int32,
        _ text: String,
        _ error: SocketError? = nil,
        _ phase: HandshakePhase? = nil
    ) {
        self.exitCode = exitCode
        self.text = text
        self.error = error
        self.phase = phase
    }
}

/// A client of others: how to have it send a request, and how it refuses or takes a refusal.
protocol ForeignClient: Sendable {
    var name: String { get }

    /// Sends a request and receives the answer.
    func send(_ request: HTTPMessage, _ settings: ClientSettings) async throws -> ClientResult

    /// How a row ends that must not succeed; nil when it succeeds.
    func verdict(_ row: HandshakeRow) -> ListenerVerdict?
}

/// What a connection of a listener came to.
enum ConnectionOutcome: Sendable {
    /// A request was answered.
    case served(TLSSocketInfo?)
    /// It was refused, or broke.
    case failed(SocketError)
    /// It ended in good order, without a request.
    case left
}

extension ForeignClient {
    /// Runs a row of the table.
    func expectRow(_ row: HandshakeRow) async throws {
        let (result, outcome) = try await exchange(.get("/facts"), row)
        switch (verdict(row), outcome) {
        case (nil, .served(let info)):
            let servername = row.sendsName ? Authorities.host : "none"
            let alpn = row.protocols == .agreed ? "http/1.1" : "none"
            let client = row.client.isGiven ? "ok" : "none"
            #expect(result.exitCode == 0)
            #expect(
                String(decoding: result.body, as: UTF8.self)
                    == "\(row.version) \(servername) \(alpn) \(client)\n"
            )
            #expect(info?.report.error == nil)
        case (let verdict?, .failed(let error)):
            #expect(result.exitCode == verdict.exitCode)
            #expect(result.text.contains(verdict.text), "\(result.text)")
            #expect(error == verdict.error)
            #expect(error.phase == verdict.phase)
        case (let verdict?, .left):
            #expect(result.exitCode == verdict.exitCode)
            #expect(result.text.contains(verdict.text), "\(result.text)")
            #expect(verdict.error == nil)
        case (let verdict, let outcome):
            Issue.record(
                "\(outcome), where \(verdict as Any) was expected; \(name) said \(result.text)"
            )
        }
        RowTally.count(name, .listener, row.feature)
    }

    /// Has the client send a request to a listener of ours.
    ///
    /// - Parameters:
    ///   - request: What it sends.
    ///   - row: How both are set.
    ///   - piece: The bytes of each write of the answer.
    /// - Returns: What the client made of it, and what the listener did.
    /// - Throws: ``ForeignFailure`` when the client cannot run, or made no connection.
    func exchange(
        _ request: HTTPMessage,
        _ row: HandshakeRow,
        piece: Int = 1 << 20
    ) async throws -> (ClientResult, ConnectionOutcome) {
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let certificate = try authorities.serverCertificate(row)
        let trusted = try authorities.serverCertificate(HandshakeRow())
            .write(to: directory.path, name: "good")
        let options = try SocketListenerInit(
            type: .tls,
            local: .init("127.0.0.1", port: 0),
            identity: certificate.identity(row)
        ) {
            $0.alpn = row.protocols == .disjoint ? ["interop/1"] : ["interop/1", "http/1.1"]
            $0.trust = try authorities.trust()
            $0.clientAuthentication =
                switch row.client.demand {
                case .none: .none
                case .request: .request
                case .require: .require
                }
        }
        return try await withInteropListener(options, piece: piece) { address, outcomes in
            let settings = ClientSettings(
                directory: directory.path,
                address: address,
                root: trusted.root,
                version: row.version,
                sendsName: row.sendsName,
                protocols: row.protocols == .none ? [] : ["http/1.1"],
                certificate: try authorities.clientCertificate(row)?
                    .write(to: directory.path, name: "client")
            )
            let result = try await send(request, settings)
            for await outcome in outcomes { return (result, outcome) }
            throw ForeignFailure(description: "the listener told of no connection")
        }
    }
}

/// Runs a listener that answers one request a connection, and tells what came of each.
///
/// `GET /facts` is answered with what was negotiated, `PUT` with the body that came.
func withInteropListener<Result: Sendable>(
    _ options: SocketListenerInit,
    piece: Int,
    _ body: (SocketAddress, AsyncStream<ConnectionOutcome>) async throws -> Result
) async throws -> Result {
    let (outcomes, told) = AsyncStream<ConnectionOutcome>.makeStream()
    let listener = try SocketListener(options)
    let serving = Task {
        try await listener.serve(
            onError: { error, _ in
                told.yield((error as? SocketError).map(ConnectionOutcome.failed) ?? .left)
            },
            { socket in
                let request = try await HTTPMessage(from: socket)
                try await socket.write(answer(to: request, socket).bytes, inPiecesOf: piece)
                try await socket.close()
                told.yield(.served(socket.info?.tls))
            }
        )
    }
    defer { serving.cancel() }
    let result = try await body(listener.localAddress, outcomes)
    await listener.close()
    return result
}

private func answer(to request: HTTPMessage, _ socket: Socket) -> HTTPMessage {
    guard request.start.hasPrefix("GET ") else { return .answer(200, request.body) }
    let info = socket.info?.tls
    let facts = [
        info?.version.map(\.description), info?.servername, info?.alpn, info?.verificationStatus,
    ]
    let line = facts.map { $0 ?? "none" }.joined(separator: " ") + "\n"
    return .answer(200, Array(line.utf8))
}

extension ForeignClient {
    /// Sends data, gets it back in pieces, and has it unchanged.
    func expectTransfer(_ row: EchoRow) async throws {
        let handshake = HandshakeRow(version: row.version, key: row.key)
        let (result, outcome) = try await exchange(
            .put("/it", row.body),
            handshake,
            piece: row.piece
        )
        #expect(result.exitCode == 0, "\(result.text)")
        #expect(hexadecimalDigest(result.body) == row.digest)
        guard case .served = outcome else {
            Issue.record("\(outcome)")
            return
        }
        RowTally.count(name, .listener, row.feature)
    }
}

extension SocketError {
    /// The peer sent an alert.
    static func alert(_ alert: Alert, _ code: Code) -> SocketError {
        SocketError(code, tls: TLSError(.alertReceived, alert: alert))
    }

    /// The certificate of the client was refused.
    static func clientRefused(_ code: VerificationCode) -> SocketError {
        SocketError(
            .certificateRejected,
            tls: TLSError(
                .certificateRejected,
                verification: VerificationFailure(code: code, depth: 0, text: "")
            )
        )
    }
}
