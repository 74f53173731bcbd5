// Fingerprints, pins and the smallest finite field on sockets, both roles.

import TLSTestKit
import Testing

@testable import Sockets

@Suite(.timeLimit(.minutes(1))) struct PinnedSocketTests {
    @Test(
        "a listener takes a client it knows by its key, without any authority",
        arguments: Wire.secure
    )
    func knownClient(_ wire: Wire) async throws {
        let credentials = try Credentials.shared()
        let known = credentials.stranger.certificate.keyFingerprint(.sha512)
        let pair = try await Pair(wire) { options in
            options.identity = credentials.stranger
        } server: { options in
            options.clientAuthentication = .require
            options.trust.pins = CertificatePins([.publicKey(known)], mode: .replace)
        }
        let info = try #require(pair.server.info?.tls)
        #expect(info.verificationStatus == "ok")
        #expect(info.peerCertificate == credentials.stranger.certificate.der)
        #expect(info.report.pins == PinVerdict(mode: .replace, match: .publicKey(known), depth: 0))
        #expect(info.report.verifiedChain == [credentials.stranger.certificate])
    }

    @Test(
        "a listener refuses a client it does not know, whoever vouches for it",
        arguments: Wire.secure
    )
    func unknownClient(_ wire: Wire) async throws {
        let credentials = try Credentials.shared()
        let known = credentials.stranger.certificate.fingerprint()
        let listener = try makeListener(wire) { options in
            options.clientAuthentication = .require
            options.trust = TrustPolicy(anchors: credentials.anchors)
            options.trust.pins = CertificatePins([.certificate(known)], mode: .replace)
        }
        let refused = Log<SocketError>()
        try listener.onSocket(
            onError: { error, _ in if let error = error as? SocketError { refused.append(error) } },
            { _ in }
        )
        let client = try makeClient(wire, to: listener.localAddress) {
            $0.identity = credentials.client
        }
        let error = await thrown {
            _ = try await client.ready
            _ = try await client.read()
        }
        #expect(error?.code == .localCertificateRejected)
        #expect(error?.tls?.alert == .badCertificate)
        await until { refused.count == 1 }
        #expect(refused.all.first?.code == .certificateRejected)
        #expect(refused.all.first?.tls?.verification?.code == .pinMismatch)
        #expect(refused.all.first?.phase == .clientAuthentication)
    }

    @Test("fingerprints beside other pins, an empty list, and a size out of range make no socket")
    func misuse() throws {
        let known = try Credentials.shared().server.certificate.fingerprint()
        let remote = loopback
        func code(_ change: (inout SocketInit) -> Void) -> SocketError? {
            do throws(SocketError) {
                var options = SocketInit(type: .tls, remote: remote)
                change(&options)
                _ = try Socket(options)
                return nil
            } catch {
                return error
            }
        }
        let both = code { options in
            options.serverCertificateFingerprints = [known]
            options.trust.pins = CertificatePins([.certificate(known)], mode: .add)
        }
        #expect(both == SocketError(.invalidOption))
        let empty = code { $0.serverCertificateFingerprints = [] }
        #expect(empty == SocketError(.invalidTLSConfiguration, tls: TLSError(.invalidFingerprint)))
        let range = code { $0.minDHSize = -1 }
        #expect(range == SocketError(.invalidTLSConfiguration, tls: TLSError(.invalidPolicy)))
        #expect(throws: SocketError(.tlsOptionWithoutTLS)) {
            try Socket(SocketInit(remote: remote) { $0.serverCertificateFingerprints = [known] })
        }
        #expect(throws: SocketError(.tlsOptionWithoutTLS)) {
            try Socket(SocketInit(remote: remote) { $0.minDHSize = 2048 })
        }
    }

    @Test("a listener exchanges keys over no smaller field than it is told")
    func listenersField() async throws {
        let issued = try TestCA().issue("localhost", key: .rsa2048)
        let leaf = try Certificate(der: issued.certificateDER)
        let pair = try await Pair(.tls12) { options in
            options.cipherAlgorithms = ["DHE-RSA-AES128-GCM-SHA256"]
            options.trust = TrustPolicy()
            options.serverCertificateFingerprints = [leaf.fingerprint()]
        } server: { options in
            options.identity = try TLSIdentity(
                certificate: Array(issued.chainPEM.utf8),
                privateKey: issued.privateKeyDER
            )
            options.minDHSize = 3000
        }
        #expect(pair.client.info?.ephemeralKey?.size == 3072)
        try await pair.server.write("over it")
        #expect(try await readExactly(7, from: pair.client) == Array("over it".utf8))
    }
}
