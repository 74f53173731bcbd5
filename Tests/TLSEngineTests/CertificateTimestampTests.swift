// Signed certificate timestamps: found in all three places, counted and named, and never a reason to
// refuse.

import COpenSSL
import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct CertificateTimestampTests {
    let fixtures: Fixtures
    init() throws { fixtures = try Fixtures.shared() }

    /// A timestamp of a log.
    static func timestamp(_ log: UInt8, _ milliseconds: UInt64 = 1_700_000_000_000) -> [UInt8] {
        let time = (0..<8).map { UInt8(truncatingIfNeeded: milliseconds >> (56 - 8 * $0)) }
        return [0] + [UInt8](repeating: log, count: 32) + time + [0, 0] + [4, 3] + long(pattern(70))
    }

    /// The list of some timestamps.
    static func list(_ timestamps: [[UInt8]]) -> [UInt8] { long(timestamps.flatMap(long)) }

    /// The list as extensions of certificates and of OCSP have it.
    static func octetString(_ bytes: [UInt8]) -> [UInt8] { [0x04, 0x82] + long(bytes) }

    static func recipe(_ der: [UInt8]?) -> CertificateRecipe {
        var recipe = CertificateRecipe.server(["a.test"])
        if let der {
            recipe.extraExtensions = [.init(oid: "1.3.6.1.4.1.11129.2.4.2", der: der)]
        }
        return recipe
    }

    /// Has a client meet an OpenSSL server that says a list in the handshake.
    private func meet(
        _ version: ProtocolVersion,
        handshake: [UInt8]?,
        certificate: [UInt8]?,
        asks: Bool = true
    ) throws -> HandshakeReport {
        let issued = try fixtures.ca.issue(Self.recipe(certificate))
        let client = try fixtures.client {
            $0.allowOnly(version)
            $0.requestsCertificateTimestamps = asks
        }
        let server = try RawPeer(.server, certificate: issued) { context in
            guard let handshake else { return }
            let places =
                SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_2_SERVER_HELLO | SSL_EXT_TLS1_3_CERTIFICATE
            let entry = [0, 0] + big(UInt16(places)) + big(18) + long(handshake)
            let used = unsafe SSL_CTX_use_serverinfo_ex(
                context.pointer,
                CUnsignedInt(SSL_SERVERINFOV2),
                entry,
                entry.count
            )
            #expect(used == 1)
        }
        let pair = RawPair(try TLSEngine(client, remoteName: "a.test"), server)
        pair.settle()
        return pair.engine.report
    }

    @Test("those of the handshake and of the leaf are counted and named", arguments: versions)
    func found(_ version: ProtocolVersion) throws {
        let inLeaf = Self.octetString(Self.list([Self.timestamp(1), Self.timestamp(2)]))
        let report = try meet(
            version,
            handshake: Self.list([Self.timestamp(2), Self.timestamp(3), [9, 1, 2]]),
            certificate: inLeaf
        )
        let timestamps = report.certificateTimestamps
        #expect(report.isComplete && report.isPeerTrusted)
        #expect(timestamps.count(of: .handshake) == 3)
        #expect(timestamps.count(of: .certificate) == 2)
        #expect(timestamps.count(of: .staple) == 0)
        #expect(timestamps.logCount == 3)
        #expect(timestamps.malformed == [])
        let first = try #require(timestamps.all.first)
        #expect(first.logID == [UInt8](repeating: 2, count: 32))
        #expect(first.time == UnixTime(seconds: 1_700_000_000))
        #expect(first.signatureAlgorithm?.description == "ecdsa_secp256r1_sha256")
        #expect(timestamps.all[2].version == 9 && timestamps.all[2].logID == [])
    }

    @Test("a client that does not ask gets none in the handshake", arguments: versions)
    func unasked(_ version: ProtocolVersion) throws {
        let report = try meet(
            version,
            handshake: Self.list([Self.timestamp(2)]),
            certificate: nil,
            asks: false
        )
        #expect(report.isComplete)
        #expect(report.certificateTimestamps == CertificateTimestamps())
    }

    @Test(
        "a list that cannot be read is told, and refuses nobody",
        arguments: [
            [], [0, 0], [0, 1], list([]), list([timestamp(1)]) + [0],
            list([Array(timestamp(1).dropLast())]), list([timestamp(1) + [0]]), long(long([])),
        ] as [[UInt8]]
    )
    func malformed(list: [UInt8]) throws {
        // OpenSSL's server says no empty list.
        let report = try meet(
            .tls13,
            handshake: list.isEmpty ? nil : list,
            certificate: Self.octetString(list)
        )
        #expect(report.isComplete && report.isPeerTrusted)
        #expect(report.certificateTimestamps.all == [])
        #expect(
            report.certificateTimestamps.malformed
                == (list.isEmpty ? [.certificate] : [.certificate, .handshake])
        )
    }

    @Test("an extension of the leaf that holds no octet string is told as well")
    func noOctetString() throws {
        for der in [[0x05, 0], [0x04, 5, 0], Self.octetString([0, 0]) + [0]] as [[UInt8]] {
            let report = try meet(.tls12, handshake: nil, certificate: der)
            #expect(report.certificateTimestamps.malformed == [.certificate])
        }
    }

    @Test("only who is told to asks, which shows in the ClientHello", arguments: versions)
    func asking(_ version: ProtocolVersion) throws {
        for asks in [false, true] {
            var engine = try TLSEngine(
                fixtures.client {
                    $0.allowOnly(version)
                    $0.requestsCertificateTimestamps = asks
                },
                remoteName: "a.test"
            )
            let (bytes, _) = produced { output throws(TLSError) in
                try engine.handshake(consuming: Span(), producing: &output)
            }
            let hello = try #require(try ClientHello(reading: bytes))
            #expect(hello.has(.signedCertificateTimestamp) == asks)
        }
    }
}
