// The draft's interfaces that tell about a connection: SocketStats, SocketInfo, TLSSocketInfo,
// CipherInfo and EphemeralKeyInfo, member by member.

import Sockets
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct SocketStatsTests {
    /// A pair over which the client sent 10,000 bytes and the server 3.
    private func usedPair() async throws -> Pair {
        let pair = try await Pair(.tls)
        try await pair.client.write([UInt8](repeating: 7, count: 10_000))
        #expect(try await pair.server.receive(10_000).count == 10_000)
        try await pair.server.write("ack")
        #expect(try await pair.client.receive(3).count == 3)
        return pair
    }

    @Test("bytes sent are those of the application, in 64 bits")
    func bytesSent() async throws {
        #expect(SocketStats().bytesSent == 0 as UInt64)
        let pair = try await usedPair()
        #expect(pair.client.stats.bytesSent == 10_000)
        #expect(pair.server.stats.bytesSent == 3)
    }

    @Test("bytes received are those of the application, in 64 bits")
    func bytesReceived() async throws {
        #expect(SocketStats().bytesReceived == 0 as UInt64)
        let pair = try await usedPair()
        #expect(pair.client.stats.bytesReceived == 3)
        #expect(pair.server.stats.bytesReceived == 10_000)
    }

    @Test("packets sent are TCP's, so there are some, and more behind more data")
    func packetsSent() async throws {
        #expect(SocketStats().packetsSent == 0 as UInt64)
        let pair = try await usedPair()
        let before = pair.client.stats.packetsSent
        #expect(before > 0)
        try await pair.client.write("x")
        #expect(try await pair.server.receive(1).count == 1)
        #expect(pair.client.stats.packetsSent > before)
    }

    @Test("packets received are TCP's, so there are some, and more behind more data")
    func packetsReceived() async throws {
        #expect(SocketStats().packetsReceived == 0 as UInt64)
        let pair = try await usedPair()
        let before = pair.server.stats.packetsReceived
        #expect(before > 0)
        try await pair.client.write("x")
        #expect(try await pair.server.receive(1).count == 1)
        #expect(pair.server.stats.packetsReceived > before)
    }
}

@Suite(.timeLimit(.minutes(1))) struct SocketInfoTests {
    @Test("the remote address is the peer's, on either side")
    func remote() async throws {
        let pair = try await Pair()
        #expect(try await pair.client.ready.remote == pair.listener.localAddress)
        #expect(try await pair.server.ready.remote == pair.client.ready.local)
    }

    @Test("the local address is this side's, on either side")
    func local() async throws {
        let pair = try await Pair()
        #expect(try await pair.server.ready.local == pair.listener.localAddress)
        #expect(try await pair.client.ready.local.port != 0)
    }

    @Test("members of TLSSocketInfo are reached directly; they are nil without TLS")
    func TLSSocketInfo() async throws {
        let info = try #require(try await Pair(.tls).client.info)
        #expect(info.cipher == info.tls?.cipher)
        #expect(info.verificationStatus == "ok")
        let plain = try #require(try await Pair(.tcp).client.info)
        #expect(plain.cipher == nil)
        #expect(plain.verificationStatus == nil)
    }
}

@Suite(.timeLimit(.minutes(1))) struct TLSSocketInfoTests {
    @Test("the protocol agreed on; nil when none was")
    func alpn() async throws {
        let agreed = try await Pair(
            .tls,
            client: { $0.alpn = ["h2"] },
            server: { $0.alpn = ["h2"] }
        )
        #expect(try agreed.clientTLS().alpn == "h2")
        let unanswered = try await Pair(.tls, client: { $0.alpn = ["h2"] })
        #expect(try unanswered.clientTLS().alpn == nil)
    }

    @Test("the servername as it was sent and received; nil without one")
    func servername() async throws {
        let pair = try await Pair(.tls, client: { $0.servername = "a.test" })
        #expect(try pair.clientTLS().servername == "a.test")
        #expect(try pair.serverTLS().servername == "a.test")
        #expect(try await Pair(.tls).clientTLS().servername == nil)
    }

    @Test("this side's certificate in DER; nil for a client that has none")
    func certificate() async throws {
        let pair = try await Pair(.tls)
        #expect(try pair.serverTLS().certificate == Authority.shared().server.certificate.der)
        #expect(try pair.clientTLS().certificate == nil)
        let issued = try Authority.shared().client
        let identity = try TLSIdentity(issued)
        let anchors = try Authority.shared().anchors
        let mutual = try await Pair(
            .tls,
            client: { $0.identity = identity },
            server: { options in
                options.clientAuthentication = .require
                options.trust = TrustPolicy(anchors: anchors)
            }
        )
        #expect(try mutual.clientTLS().certificate == issued.certificateDER)
    }

    @Test("the peer's certificate in DER; nil of a client that sent none")
    func peerCertificate() async throws {
        let pair = try await Pair(.tls)
        #expect(try pair.clientTLS().peerCertificate == Authority.shared().server.certificate.der)
        #expect(try pair.serverTLS().peerCertificate == nil)
    }

    @Test("what a client can resume by, sealed; nil for a listener, and before a ticket came")
    func session() async throws {
        for version in [ProtocolVersion.tls12, .tls13] {
            let info = try await Resumption(version).connect { _ in }
            let session = try #require(info.session)
            #expect(try TLSSession(session).version == version)
        }
        let pair = try await Pair(.tls)
        #expect(try pair.serverTLS().session == nil)
        #expect(try pair.clientTLS().session == nil)
    }

    @Test("the ticket that the server gave; nil for a listener, and before it came")
    func ticket() async throws {
        for version in [ProtocolVersion.tls12, .tls13] {
            let info = try await Resumption(version).connect { _ in }
            #expect(info.ticket?.count == info.report.tickets.last?.size)
        }
        let pair = try await Pair(.tls)
        #expect(try pair.serverTLS().ticket == nil)
        #expect(try pair.clientTLS().ticket == nil)
    }

    @Test("ok for a trusted peer, else why it is not; nil when there was none to judge")
    func verificationStatus() async throws {
        let pair = try await Pair(.tls)
        #expect(try pair.clientTLS().verificationStatus == "ok")
        #expect(try pair.serverTLS().verificationStatus == nil)
        let accepted = try await Pair(
            .tls,
            client: { $0.trust = .acceptAnything(because: "the verdict is what is looked at") }
        )
        let status = try #require(try accepted.clientTLS().verificationStatus)
        #expect(status == (try accepted.clientTLS().report.verification?.text))
        #expect(status != "ok")
    }

    @Test("the suite is the same on both sides")
    func cipher() async throws {
        let pair = try await Pair(.tls)
        let suite = try #require(try pair.clientTLS().cipher)
        #expect(try pair.serverTLS().cipher == suite)
    }

    @Test("the key the peer made for this connection")
    func ephemeralKey() async throws {
        let pair = try await Pair(.tls, client: { $0.ecdhCurve = "P-384" })
        let key = try #require(try pair.clientTLS().ephemeralKey)
        #expect(try pair.serverTLS().ephemeralKey == key)
    }

    @Test("the algorithms that both sides accept, as far as a side knows the other's")
    func signatureAlgorithms() async throws {
        let wanted = ["ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384"]
        let pair = try await Pair(.tls, client: { $0.signatureAlgorithms = wanted })
        #expect(try pair.serverTLS().signatureAlgorithms == wanted)
    }
}

@Suite(.timeLimit(.minutes(1))) struct CipherInfoTests {
    private func suite(_ name: String) async throws -> CipherInfo {
        let pair = try await Pair(.tls, client: { $0.cipherAlgorithms = [name] })
        return try #require(try pair.clientTLS().cipher)
    }

    @Test("the name is OpenSSL's")
    func name() async throws {
        let older = try await suite("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
        #expect(older.name == "ECDHE-ECDSA-AES128-GCM-SHA256")
        #expect(try await suite("TLS_AES_128_GCM_SHA256").name == "TLS_AES_128_GCM_SHA256")
    }

    @Test("the standard name is the registry's")
    func standardName() async throws {
        let older = try await suite("ECDHE-ECDSA-AES128-GCM-SHA256")
        #expect(older.standardName == "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
    }

    @Test("the version is the one the suite belongs to")
    func version() async throws {
        #expect(try await suite("ECDHE-ECDSA-AES128-GCM-SHA256").version == "TLSv1.2")
        #expect(try await suite("TLS_AES_256_GCM_SHA384").version == "TLSv1.3")
    }
}

@Suite(.timeLimit(.minutes(1))) struct EphemeralKeyInfoTests {
    private func key(_ curve: String) async throws -> EphemeralKeyInfo {
        let pair = try await Pair(.tls, client: { $0.ecdhCurve = curve })
        return try #require(try pair.clientTLS().ephemeralKey)
    }

    @Test("the type is ECDH for elliptic curves and DH for finite fields")
    func type() async throws {
        #expect(try await key("P-256").type == "ECDH")
        #expect(try await key("X25519").type == "ECDH")
        #expect(try await key("ffdhe2048").type == "DH")
    }

    @Test("the name is the curve's; a finite field has none")
    func name() async throws {
        #expect(try await key("P-256").name == "prime256v1")
        #expect(try await key("X25519").name == "X25519")
        #expect(try await key("ffdhe2048").name == "")
    }

    @Test("the size is in bits")
    func size() async throws {
        #expect(try await key("P-384").size == 384)
        #expect(try await key("X25519").size == 253)
        #expect(try await key("ffdhe2048").size == 2048)
    }
}
