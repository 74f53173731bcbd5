// Our client against servers of others.

import Sockets
import TLSTestKit
import Testing

/// What a server of others is told.
struct ServerSettings: Sendable {
    /// Where its files lie, and where it may put its own.
    let directory: String
    let certificate: CertificateFiles
    /// The only version it speaks.
    let version: ProtocolVersion
    /// Application protocols, most preferred first; none says nothing about them.
    let protocols: [String]
    /// What it wants of its clients.
    let clients: CertificateDemand
    /// The root of the clients it asks for a certificate; nil when it does not ask.
    let clientRoot: String?
}

/// A server of others that runs.
struct RunningServer: Sendable {
    let address: SocketAddress
    /// The program, when it is one for this server alone.
    var process: ForeignProcess?
    /// The connection, when it is one of a program that does many.
    var turn: PeerTurn?
}

/// How a refused handshake shows to our client.
struct ClientVerdict: Sendable {
    /// The error, compared as errors are: code, TLS code, alert and verification code.
    var error: SocketError
    var phase: HandshakePhase
    /// Whether the client is ready first, as in TLS 1.3 when the server judges it afterwards.
    var isAfterReady = false
}

/// A server of others: how to start it, how to talk to it, and how it refuses.
protocol ForeignServer: Sendable {
    var name: String { get }

    /// Whether it can say nothing about the application protocols that a client offers; else it is
    /// the client that offers none.
    var canIgnoreProtocols: Bool { get }

    /// Starts it, and runs a closure when it listens.
    func run(
        _ settings: ServerSettings,
        _ body: (RunningServer) async throws -> Void
    ) async throws

    /// Sends something over a ready socket and expects the answer to it.
    func converse(_ socket: Socket, _ row: HandshakeRow, _ server: RunningServer) async throws

    /// Expects that it says that it received an alert.
    func expectHeard(_ alert: Alert, _ row: HandshakeRow, _ server: RunningServer) async throws

    /// How it refuses a row that it must refuse; nil when it takes it.
    func verdict(_ row: HandshakeRow) -> ClientVerdict?
}

extension ForeignServer {
    /// How a server refuses with an alert: for its protocols first, for its certificate then.
    ///
    /// - Parameters:
    ///   - row: How both are set.
    ///   - absent: What it says in TLS 1.2 when a certificate is missing; TLS 1.3 has an alert for that.
    ///   - untrusted: What it says of a certificate that it does not trust.
    /// - Returns: What shows to our client; nil when it is let in.
    func refusal(
        _ row: HandshakeRow,
        absent: Alert = .handshakeFailure,
        untrusted: Alert = .unknownCA
    ) -> ClientVerdict? {
        if row.protocols == .disjoint {
            return .alert(.noApplicationProtocol, .handshakeFailed, .serverHello)
        }
        let isLate = row.version == .tls13
        let phase: HandshakePhase = isLate ? .clientAuthentication : .finished
        return switch row.client {
        case .unasked, .good, .volunteered, .declined: nil
        case .absent:
            .alert(
                isLate ? .certificateRequired : absent,
                isLate ? .localCertificateRejected : .handshakeFailed,
                phase,
                isAfterReady: isLate
            )
        case .untrusted, .mistaken:
            .alert(untrusted, .localCertificateRejected, phase, isAfterReady: isLate)
        }
    }

    /// Runs a row of the table.
    func expectRow(_ row: HandshakeRow) async throws {
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let protocols: [String] =
            switch row.protocols {
            case .agreed: ["http/1.1"]
            case .none: []
            case .disjoint: ["other/1"]
            }
        let settings = ServerSettings(
            directory: directory.path,
            certificate: try authorities.serverCertificate(row).write(to: directory.path),
            version: row.version,
            protocols: protocols,
            clients: row.client.demand,
            clientRoot: row.client.demand == .none
                ? nil
                : try authorities.serverCertificate(HandshakeRow())
                    .write(to: directory.path, name: "client").root
        )
        try await run(settings) { server in
            let options = try clientOptions(row, server.address, authorities)
            switch row.server {
            case .good: try await expectAnswer(by: server, options, row)
            case .wrongName, .untrusted, .expired:
                try await expectRefusal(by: server, options, row)
            }
        }
        RowTally.count(name, .client, row.feature)
    }

    /// What OpenSSL says.
    func expectHeard(_ alert: Alert, _ row: HandshakeRow, _ server: RunningServer) async throws {
        let process = try #require(server.process)
        try await process.wait(forText: "SSL alert number \(alert.code)")
    }

    private func clientOptions(
        _ row: HandshakeRow,
        _ address: SocketAddress,
        _ authorities: Authorities
    ) throws -> SocketInit {
        try SocketInit(type: .tls, remote: address) {
            $0.servername = row.sendsName ? Authorities.host : ""
            $0.trust = try authorities.trust()
            $0.trust.name = .name(Authorities.host)
            $0.alpn =
                switch row.protocols {
                case .agreed: ["interop/1", "http/1.1"]
                case .none: canIgnoreProtocols ? ["interop/1", "http/1.1"] : []
                case .disjoint: ["interop/1"]
                }
            $0.identity = try authorities.clientCertificate(row)?.identity(row)
        }
    }

    /// The server lets us in, or says why not.
    private func expectAnswer(
        by server: RunningServer,
        _ options: SocketInit,
        _ row: HandshakeRow
    ) async throws {
        let socket = try Socket(options)
        guard let verdict = verdict(row) else {
            let info = try await socket.ready
            #expect(info.version == row.version)
            #expect(info.alpn == (row.protocols == .agreed ? "http/1.1" : nil))
            #expect(info.verificationStatus == "ok")
            #expect(info.report?.clientCertificateRequested == (row.client.demand != .none))
            try await converse(socket, row, server)
            try await socket.close()
            #expect(await socket.closed == .clean(nil))
            return
        }
        if verdict.isAfterReady { _ = try await socket.ready }
        let error = await #expect(throws: SocketError.self) {
            _ = try await socket.ready
            // The refusal is under way; whatever comes first, it is no data.
            _ = try await socket.read()
        }
        #expect(error == verdict.error)
        #expect(error?.phase == verdict.phase)
        let wantsOne = [Alert.certificateRequired, .handshakeFailure].contains(error?.tls?.alert)
        if row.client == .absent && wantsOne {
            #expect(error?.hint == "The server demands a client certificate")
        }
    }

    /// We do not let the server in, and it hears why.
    private func expectRefusal(
        by server: RunningServer,
        _ options: SocketInit,
        _ row: HandshakeRow
    ) async throws {
        let (code, alert): (VerificationCode, UInt8) =
            switch row.server {
            case .wrongName: (.hostnameMismatch, 42)
            case .untrusted: (.unableToGetIssuerLocally, 48)
            case .expired, .good: (.expired, 45)
            }
        let socket = try Socket(options)
        let error = await #expect(throws: SocketError.self) { try await socket.ready }
        #expect(error?.code == .certificateRejected)
        #expect(error?.tls?.verification?.code == code)
        #expect(error?.tls?.verification?.depth == 0 || row.server == .untrusted)
        #expect(error?.phase == .certificate)
        #expect(error?.report?.alertSent == Alert(alert))
        try await expectHeard(Alert(alert), row, server)
    }
}

extension ClientVerdict {
    /// The server sent an alert.
    static func alert(
        _ alert: Alert,
        _ code: SocketError.Code,
        _ phase: HandshakePhase,
        isAfterReady: Bool = false
    ) -> ClientVerdict {
        ClientVerdict(
            error: SocketError(code, tls: TLSError(.alertReceived, alert: alert)),
            phase: phase,
            isAfterReady: isAfterReady
        )
    }
}
