// Our client knows a server by its fingerprint alone: a stranger's certificate, for another name.

import Foundation
import Sockets
import TLSTestKit
import Testing

extension ForeignServer {
    /// Expects that the right fingerprint lets a stranger in, and that a wrong one keeps out whom the
    /// authority vouches for.
    func expectFingerprints(_ version: ProtocolVersion) async throws {
        let stranger = HandshakeRow(version: version, protocols: .none, server: .untrusted)
        try await expectFingerprint(stranger) { leaf in
            [try other().fingerprint(), leaf.fingerprint(.sha512)]
        }
        try await expectFingerprint(HandshakeRow(version: version, protocols: .none)) { _ in
            [try other().fingerprint(), try other().fingerprint(.sha384)]
        }
    }

    private func other() throws -> Certificate {
        try Certificate(der: Authorities.shared.get().root.certificateDER)
    }

    private func expectFingerprint(
        _ row: HandshakeRow,
        _ fingerprints: (Certificate) throws -> [CertificateFingerprint]
    ) async throws {
        let authorities = try Authorities.shared.get()
        let directory = try TemporaryDirectory()
        let issued = try authorities.serverCertificate(row)
        let leaf = try Certificate(der: issued.certificateDER)
        let settings = ServerSettings(
            directory: directory.path,
            certificate: try issued.write(to: directory.path),
            version: row.version,
            protocols: [],
            clients: .none,
            clientRoot: nil
        )
        try await run(settings) { server in
            let options = try SocketInit(type: .tls, remote: server.address) {
                $0.servername = Authorities.host
                // Read as openssl prints it, and not handed on.
                $0.serverCertificateFingerprints = try fingerprints(leaf).map {
                    try CertificateFingerprint(algorithm: $0.algorithm.rawValue, value: $0.value)
                }
            }
            let socket = try Socket(options)
            guard row.server == .good else {
                let info = try await socket.ready
                #expect(info.verificationStatus == "ok")
                #expect(info.tls?.report.pins?.match == .certificate(leaf.fingerprint(.sha512)))
                try await converse(socket, row, server)
                return try await socket.close()
            }
            let error = await #expect(throws: SocketError.self) { try await socket.ready }
            #expect(error?.code == .certificateRejected)
            #expect(error?.tls?.verification?.code == .pinMismatch)
            #expect(error?.report?.alertSent == .badCertificate)
            try await expectHeard(.badCertificate, row, server)
        }
        RowTally.count(name, .client, .fingerprints)
    }
}

/// Parameters for key exchange over finite fields, as servers read them.
enum FiniteField {
    /// The prime of RFC 2409 §6.2, of 1,024 bits.
    private static let oakleyPrime: [UInt8] = [
        0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xC9, 0x0F, 0xDA, 0xA2, 0x21, 0x68, 0xC2,
        0x34,
        0xC4, 0xC6, 0x62, 0x8B, 0x80, 0xDC, 0x1C, 0xD1, 0x29, 0x02, 0x4E, 0x08, 0x8A, 0x67, 0xCC,
        0x74,
        0x02, 0x0B, 0xBE, 0xA6, 0x3B, 0x13, 0x9B, 0x22, 0x51, 0x4A, 0x08, 0x79, 0x8E, 0x34, 0x04,
        0xDD,
        0xEF, 0x95, 0x19, 0xB3, 0xCD, 0x3A, 0x43, 0x1B, 0x30, 0x2B, 0x0A, 0x6D, 0xF2, 0x5F, 0x14,
        0x37,
        0x4F, 0xE1, 0x35, 0x6D, 0x6D, 0x51, 0xC2, 0x45, 0xE4, 0x85, 0xB5, 0x76, 0x62, 0x5E, 0x7E,
        0xC6,
        0xF4, 0x4C, 0x42, 0xE9, 0xA6, 0x37, 0xED, 0x6B, 0x0B, 0xFF, 0x5C, 0xB6, 0xF4, 0x06, 0xB7,
        0xED,
        0xEE, 0x38, 0x6B, 0xFB, 0x5A, 0x89, 0x9F, 0xA5, 0xAE, 0x9F, 0x24, 0x11, 0x7C, 0x4B, 0x1F,
        0xE6,
        0x49, 0x28, 0x66, 0x51, 0xEC, 0xE6, 0x53, 0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
        0xFF,
    ]

    /// Writes parameters of 1,024 or 2,048 bits to a file.
    static func write(_ bits: Int, to directory: String) async throws -> String {
        let path = "\(directory)/dh\(bits).pem"
        guard bits == 1024 else {
            let arguments = ["-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe\(bits)"]
            try await ForeignProcess.run(.openssl, ["genpkey", "-out", path] + arguments) {
                process in
                guard try await process.wait().exitCode == 0 else {
                    throw process.failure("made no parameters")
                }
            }
            return path
        }
        // SEQUENCE of the prime and the generator 2 (PKCS #3).
        let prime: [UInt8] = [0x02, 0x81, 0x81, 0x00] + oakleyPrime
        let der: [UInt8] = [0x30, 0x81, 0x87] + prime + [0x02, 0x01, 0x02]
        let text = Data(der).base64EncodedString(options: [
            .lineLength64Characters, .endLineWithLineFeed,
        ])
        try "-----BEGIN DH PARAMETERS-----\n\(text)\n-----END DH PARAMETERS-----\n"
            .write(toFile: path, atomically: false, encoding: .utf8)
        return path
    }
}

/// A server's finite field, and what becomes of it at our client.
struct FieldRow: Sendable, CustomTestStringConvertible {
    let bits: Int
    let minimum: Int
    /// Whether it is let in at security level 2.
    let isTaken: Bool

    var testDescription: String { "\(bits) bits, minDHSize \(minimum)" }

    static let all = [
        FieldRow(bits: 2048, minimum: 1024, isTaken: true),
        FieldRow(bits: 2048, minimum: 2048, isTaken: true),
        FieldRow(bits: 2048, minimum: 2049, isTaken: false),
        FieldRow(bits: 1024, minimum: 1024, isTaken: false),
        FieldRow(bits: 1024, minimum: 2048, isTaken: false),
    ]
}

extension ForeignServer {
    /// Expects that a server of TLS 1.2 that exchanges keys over a field is taken, or refused with both
    /// floors.
    func expectField(_ row: FieldRow, at directory: String) async throws {
        let authorities = try Authorities.shared.get()
        let handshake = HandshakeRow(version: .tls12, key: .rsa2048, protocols: .none)
        let settings = ServerSettings(
            directory: directory,
            certificate: try authorities.serverCertificate(handshake).write(to: directory),
            version: .tls12,
            protocols: [],
            clients: .none,
            clientRoot: nil
        )
        try await run(settings) { server in
            let socket = try Socket(
                SocketInit(type: .tls, remote: server.address) {
                    $0.servername = Authorities.host
                    $0.trust = try authorities.trust()
                    $0.minDHSize = row.minimum
                    // A client of TLS 1.3 says which fields it takes, and servers that read it keep to
                    // them (RFC 7919).
                    $0.maximumVersion = .tls12
                }
            )
            guard !row.isTaken else {
                let info = try await socket.ready
                #expect(info.ephemeralKey?.type == "DH")
                #expect(info.ephemeralKey?.size == row.bits)
                try await converse(socket, handshake, server)
                return try await socket.close()
            }
            let error = await #expect(throws: SocketError.self) { try await socket.ready }
            #expect(error?.tls?.code == .weakParameters)
            #expect(error?.phase == .keyExchange)
            #expect(error?.tls?.detail?.contains("minDHSize is \(row.minimum)") == true)
            #expect(error?.tls?.detail?.contains("security level 2 asks for 2048") == true)
            #expect(error?.report?.alertSent == .handshakeFailure)
            try await expectHeard(.handshakeFailure, handshake, server)
        }
        RowTally.count(name, .client, .finiteField)
    }
}
