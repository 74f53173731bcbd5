// Stapled OCSP responses with programs of others: they staple to us, and we to them.

import Foundation
import Sockets
import TLSTestKit
import Testing

/// What is stapled in a version.
struct StapleRow: Sendable, CustomTestStringConvertible {
    let version: ProtocolVersion
    /// Whether it clears the certificate; else it says revoked, or nothing is stapled.
    let isGood: Bool

    var testDescription: String { "\(version), \(isGood ? "good" : "not good")" }

    static let all = HandshakeRow.versions.flatMap { version in
        [true, false].map { StapleRow(version: version, isGood: $0) }
    }
}

extension ForeignServer {
    /// Has a server of others staple what is in a file: a good response, or one that says revoked.
    ///
    /// - Parameters:
    ///   - row: What is stapled.
    ///   - stapling: Makes the server that staples a file.
    /// - Throws: ``ForeignFailure`` when the server cannot run.
    static func expectStaple(_ row: StapleRow, stapling: (String) -> Self) async throws {
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let handshake = HandshakeRow(version: row.version, protocols: .none)
        let issued = try authorities.serverCertificate(handshake)
        let status: OCSPStatus = row.isGood ? .good : .revoked(reason: .keyCompromise)
        let response = try authorities.ocspResponse(for: issued, status)
        let file = directory.path + "/staple.der"
        try Data(response).write(to: URL(fileURLWithPath: file))
        let settings = ServerSettings(
            directory: directory.path,
            certificate: try issued.write(to: directory.path),
            version: row.version,
            protocols: [],
            clients: .none,
            clientRoot: nil
        )
        let server = stapling(file)
        try await server.run(settings) { running in
            let socket = try Socket(
                SocketInit(type: .tls, remote: running.address) {
                    $0.servername = Authorities.host
                    $0.trust = try authorities.trust()
                    $0.trust.revocation = .require
                }
            )
            guard row.isGood else {
                let error = await #expect(throws: SocketError.self) { try await socket.ready }
                #expect(error?.code == .certificateRejected)
                #expect(error?.tls?.verification?.code == .revoked)
                #expect(error?.report?.alertSent?.code == 113)
                return
            }
            let report = try await socket.ready.report
            #expect(report?.ocspResponse == response)
            #expect(report?.ocspStaple?.status == .good)
            #expect(report?.revocationEvidence == .staple)
            try await server.converse(socket, handshake, running)
            try await socket.close()
        }
        RowTally.count(server.name, .client, .staple)
    }
}

extension ForeignClient {
    /// Has a client of others, which wants a staple, come to a listener that staples, or does not.
    ///
    /// - Parameters:
    ///   - row: Whether there is one.
    ///   - expect: Looks at what the client made of it, given the response.
    /// - Throws: ``ForeignFailure`` when the client cannot run.
    func expectStaple(
        _ row: StapleRow,
        _ expect: (ClientResult, [UInt8]?, ClientSettings) throws -> Void
    ) async throws {
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let issued = try authorities.serverCertificate(HandshakeRow())
        let response = row.isGood ? try authorities.ocspResponse(for: issued) : nil
        let files = try issued.write(to: directory.path, name: "good")
        let options = try SocketListenerInit(
            type: .tls,
            local: .init("127.0.0.1", port: 0),
            identity: issued.identity()
        ) { $0.ocspResponse = response }
        try await withInteropListener(options, piece: 1 << 20) { address, outcomes in
            let settings = ClientSettings(
                directory: directory.path,
                address: address,
                root: files.root,
                version: row.version
            )
            let result = try await send(.get("/facts"), settings)
            for await _ in outcomes { break }
            try expect(result, response, settings)
        }
        RowTally.count(name, .listener, .staple)
    }
}
