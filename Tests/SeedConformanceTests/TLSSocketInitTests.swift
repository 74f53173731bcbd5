// The draft's dictionary TLSSocketInit, member by member, in handshakes with a listener.

import Sockets
import Synchronization
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1))) struct TLSSocketInitTests {
    private let defaults = TLSSocketInit()

    @Test(
        "a fingerprint that matches stands for chain and name; without a match there is no socket"
    )
    func serverCertificateFingerprints() async throws {
        #expect(defaults.serverCertificateFingerprints == nil)
        let stranger = try TestCA().issue("no-such-name.test")
        let leaf = try Certificate(der: stranger.certificateDER)
        for version in [ProtocolVersion.tls12, .tls13] {
            for algorithm in ["sha-256", "sha-384", "sha-512"] {
                let known = try #require(FingerprintAlgorithm(rawValue: algorithm))
                let value = leaf.fingerprint(known).value.lowercased()
                let pair = try await Pair(
                    .tls,
                    client: { options in
                        options.minimumVersion = version
                        options.maximumVersion = version
                        options.trust = TrustPolicy()
                        options.serverCertificateFingerprints = [
                            try CertificateFingerprint(algorithm: algorithm, value: value)
                        ]
                    },
                    server: { $0.identity = try TLSIdentity(stranger) }
                )
                #expect(try pair.clientTLS().verificationStatus == "ok")
            }
            // One of the authority's, whose chain alone would do.
            let error = await #expect(throws: SocketError.self) {
                try await Pair(
                    .tls,
                    client: { options in
                        options.minimumVersion = version
                        options.maximumVersion = version
                        options.serverCertificateFingerprints = [leaf.fingerprint()]
                    }
                )
            }
            #expect(error?.tls?.verification?.code == .pinMismatch)
        }
        #expect(throws: TLSError(.invalidFingerprint)) {
            try CertificateFingerprint(algorithm: "sha-1", value: "AB")
        }
    }

    @Test("sessions are resumed only under the same context, on either side; empty by default")
    func sessionIDContext() async throws {
        #expect(defaults.sessionIDContext == "")
        #expect(TLSSocketListenerInit().sessionIDContext == "")
        for version in [ProtocolVersion.tls12, .tls13] {
            let resumption = try Resumption(version) { $0.sessionIDContext = "here" }
            for (context, isSame) in [("mail", true), ("news", false)] {
                let session = try await resumption.connect { $0.sessionIDContext = "mail" }.session
                let info = try await resumption.connect { options in
                    options.sessionIDContext = context
                    options.session = session
                }
                #expect(info.resumed == isSame)
                #expect(info.report.withheldSession == (isSame ? nil : .otherContext))
            }
        }
    }

    @Test("a session is over with the timeout of either side; the server's word by default")
    func sessionTimeout() async throws {
        #expect(defaults.sessionTimeout == nil)
        for version in [ProtocolVersion.tls12, .tls13] {
            let resumption = try Resumption(version) { $0.sessionTimeout = .seconds(100) }
            let info = try await resumption.connect { $0.sessionTimeout = .seconds(10) }
            #expect(info.report.tickets.first?.lifetime == 100)
            let ends = try await [
                #require(info.resumption?.expires),
                #require(resumption.connect { _ in }.resumption?.expires),
            ]
            #expect((80...180).contains(ends[1].seconds - ends[0].seconds))
        }
        #expect(throws: SocketError.self) {
            try Socket(SocketInit(type: .tls, remote: loopback) { $0.sessionTimeout = .zero })
        }
    }

    @Test("a session resumes what it came from; what is none makes no socket")
    func session() async throws {
        #expect(defaults.session == nil)
        for version in [ProtocolVersion.tls12, .tls13] {
            let resumption = try Resumption(version)
            let session = try #require(try await resumption.connect { _ in }.session)
            #expect(try await resumption.connect { $0.session = session }.resumed)
            #expect(throws: SocketError(.invalidTLSConfiguration, tls: TLSError(.invalidSession))) {
                try Socket(
                    SocketInit(type: .tls, remote: loopback) { $0.session = session.reversed() }
                )
            }
        }
    }

    @Test("a ticket goes with its session; alone, or with another, it makes no socket")
    func ticket() async throws {
        #expect(defaults.ticket == nil)
        for version in [ProtocolVersion.tls12, .tls13] {
            let resumption = try Resumption(version)
            let (info, other) = try await (
                resumption.connect { _ in }, resumption.connect { _ in }
            )
            let resumed = try await resumption.connect { options in
                options.session = info.session
                options.ticket = info.ticket
            }
            #expect(resumed.resumed)
            #expect(throws: SocketError(.invalidOption)) {
                try Socket(SocketInit(type: .tls, remote: loopback) { $0.ticket = info.ticket })
            }
            #expect(throws: SocketError(.invalidTLSConfiguration, tls: TLSError(.invalidSession))) {
                try Socket(
                    SocketInit(type: .tls, remote: loopback) { options in
                        options.session = info.session
                        options.ticket = other.ticket
                    }
                )
            }
        }
    }

    @Test("a finite field below the minimum is refused; 1,024 bits by default")
    func minDHSize() async throws {
        #expect(defaults.minDHSize == 1024)
        let issued = try Authority.shared().ca.issue("localhost", "127.0.0.1", key: .rsa2048)
        let identity = try TLSIdentity(issued)
        for (size, isTaken) in [(1024, true), (2048, true), (2049, false)] {
            let attempt: () async throws -> Pair = {
                try await Pair(
                    .tls,
                    client: { options in
                        options.cipherAlgorithms = ["DHE-RSA-AES128-GCM-SHA256"]
                        options.minDHSize = size
                    },
                    server: { $0.identity = identity }
                )
            }
            if isTaken {
                #expect(try await attempt().clientTLS().ephemeralKey?.size == 2048)
            } else {
                let error = await #expect(throws: SocketError.self) { _ = try await attempt() }
                #expect(error?.tls?.code == .weakParameters)
            }
        }
    }

    @Test("the protocol offered first that the listener has is used; none is offered by default")
    func alpn() async throws {
        #expect(defaults.alpn == [])
        let pair = try await Pair(
            .tls,
            client: { $0.alpn = ["h2", "http/1.1"] },
            server: { $0.alpn = ["http/1.1"] }
        )
        #expect(try pair.clientTLS().alpn == "http/1.1")
        #expect(try pair.serverTLS().alpn == "http/1.1")
        let without = try await Pair(.tls, server: { $0.alpn = ["h2"] })
        #expect(try without.clientTLS().alpn == nil)
    }

    @Test("the servername is sent and verified; the remote's name by default, never an address")
    func servername() async throws {
        #expect(defaults.servername == nil)
        let named = try await Pair(.tls, client: { $0.servername = "a.test" })
        #expect(try named.serverTLS().servername == "a.test")
        let byRemote = try await Pair(.tls, client: { $0.remote.address = "localhost" })
        #expect(try byRemote.serverTLS().servername == "localhost")
        #expect(try await Pair(.tls).serverTLS().servername == nil)
        await #expect(throws: SocketError.self) {
            try await Pair(.tls, client: { $0.servername = "b.test" })
        }
    }

    @Test("the key proves the client's certificate, in PEM or DER; one of another is refused")
    func key() async throws {
        #expect(defaults.key == nil)
        let client = try Authority.shared().client
        for key in [Array(try client.privateKeyPEM.utf8), try client.privateKeyDER] {
            let pair = try await pairWithClientCertificate { options in
                options.cert = client.certificateDER
                options.key = key
            }
            #expect(try pair.serverTLS().report.isPeerTrusted)
        }
        let other = try Authority.shared().ca.issueClient("bob")
        #expect(throws: SocketError.self) {
            try Socket(
                SocketInit(type: .tls, remote: loopback) { options in
                    options.cert = client.certificateDER
                    options.key = try other.privateKeyDER
                }
            )
        }
    }

    @Test("the certificate is what the listener sees of the client, in PEM or DER")
    func cert() async throws {
        #expect(defaults.cert == nil)
        let client = try Authority.shared().client
        for cert in [Array(client.chainPEM.utf8), client.certificateDER] {
            let pair = try await pairWithClientCertificate { options in
                options.cert = cert
                options.key = try client.privateKeyDER
            }
            #expect(try pair.serverTLS().peerCertificate == client.certificateDER)
        }
        #expect(throws: SocketError(.invalidOption)) {
            try Socket(
                SocketInit(type: .tls, remote: loopback) { $0.cert = client.certificateDER }
            )
        }
    }

    @Test("the passphrase opens an encrypted key; without it, or with another, there is no socket")
    func passphrase() async throws {
        #expect(defaults.passphrase == nil)
        let client = try Authority.shared().client
        let key = Array(try client.privateKeyPEM(passphrase: "open sesame").utf8)
        let pair = try await pairWithClientCertificate { options in
            options.cert = client.certificateDER
            options.key = key
            options.passphrase = "open sesame"
        }
        #expect(try pair.serverTLS().peerCertificate == client.certificateDER)
        for passphrase: SecretBytes? in [nil, "open barley"] {
            let error = #expect(throws: SocketError.self) {
                try Socket(
                    SocketInit(type: .tls, remote: loopback) { options in
                        options.cert = client.certificateDER
                        options.key = key
                        options.passphrase = passphrase
                    }
                )
            }
            #expect(error?.tls?.code == .wrongPassphrase)
        }
    }

    @Test("keys are exchanged on one of the curves given; OpenSSL's choice by default")
    func ecdhCurve() async throws {
        #expect(defaults.ecdhCurve == nil)
        let pair = try await Pair(.tls, client: { $0.ecdhCurve = "P-384" })
        #expect(try pair.clientTLS().report.group == .secp384r1)
        #expect(try pair.serverTLS().report.group == .secp384r1)
        // Which of several is the listener's choice, and differs between versions of OpenSSL.
        let several = try await Pair(.tls, client: { $0.ecdhCurve = "P-384:P-521" })
        let group = try #require(try several.clientTLS().report.group)
        #expect([.secp384r1, .secp521r1].contains(group))
        let automatic = try await Pair(.tls, client: { $0.ecdhCurve = "auto" })
        #expect(try automatic.clientTLS().report.group != nil)
        #expect(throws: SocketError.self) {
            try Socket(SocketInit(type: .tls, remote: loopback) { $0.ecdhCurve = "P-384:no-such" })
        }
    }

    @Test("only the signature algorithms given are accepted of the peer; OpenSSL's by default")
    func signatureAlgorithms() async throws {
        #expect(defaults.signatureAlgorithms == nil)
        let pair = try await Pair(
            .tls,
            client: { $0.signatureAlgorithms = ["ecdsa_secp256r1_sha256"] }
        )
        #expect(try pair.clientTLS().report.peerSignatureAlgorithm == "ecdsa_secp256r1_sha256")
        await #expect(throws: SocketError.self) {
            try await Pair(.tls, client: { $0.signatureAlgorithms = ["ed25519"] })
        }
    }

    @Test("only the suites given are offered, by either of their names; OpenSSL's by default")
    func cipherAlgorithms() async throws {
        #expect(defaults.cipherAlgorithms == nil)
        let pair = try await Pair(
            .tls,
            client: { $0.cipherAlgorithms = ["TLS_CHACHA20_POLY1305_SHA256"] }
        )
        #expect(try pair.serverTLS().cipher?.standardName == "TLS_CHACHA20_POLY1305_SHA256")
        let older = try await Pair(
            .tls,
            client: { $0.cipherAlgorithms = ["ECDHE-ECDSA-AES256-GCM-SHA384"] }
        )
        #expect(try older.clientTLS().version == .tls12)
        #expect(
            try older.clientTLS().cipher?.standardName == "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
        )
    }

    @Test("a callback judges the stapled response, in both versions; none is called without one")
    func ocsp() async throws {
        #expect(defaults.ocsp == nil)
        let response = try Authority.shared().staple
        for version: ProtocolVersion in [.tls12, .tls13] {
            for refuses in [false, true] {
                let count = Mutex(0)
                let error = await failure {
                    _ = try await Pair(
                        .tls,
                        client: {
                            $0.maximumVersion = version
                            $0.minimumVersion = version
                            $0.ocsp = { told, staple in
                                count.withLock { $0 += told == response && staple != nil ? 1 : 0 }
                                if refuses { throw TLSRefusal("not this one") }
                            }
                        },
                        server: { $0.ocspResponse = response }
                    )
                }
                #expect(error?.code == (refuses ? .refusedByApplication : nil))
                #expect(count.withLock { $0 } == 1)
            }
        }
        let silent = try await Pair(.tls, client: { $0.ocsp = { _, _ in throw TLSRefusal("no") } })
        #expect(try silent.clientTLS().report.ocspResponse == nil)
    }

    @Test("a callback decides about the server in the name's place; by default the name does")
    func checkServerIdentity() async throws {
        #expect(defaults.checkServerIdentity == nil)
        for version: ProtocolVersion in [.tls12, .tls13] {
            let pair = try await Pair(
                .tls,
                client: {
                    $0.maximumVersion = version
                    $0.minimumVersion = version
                    $0.servername = "b.test"
                    $0.checkServerIdentity = { _, _ in }
                }
            )
            #expect(try pair.clientTLS().verificationStatus == "ok")
            let error = await #expect(throws: SocketError.self) {
                try await Pair(
                    .tls,
                    client: {
                        $0.maximumVersion = version
                        $0.minimumVersion = version
                        $0.checkServerIdentity = { _, _ in throw TLSRefusal("not this one") }
                    }
                )
            }
            #expect(error?.code == .refusedByApplication)
            #expect(error?.tls?.detail == "not this one")
        }
    }

    @Test(
        "the key of the callback is insisted on; without a callback certificates prove the listener"
    )
    func presharedKey() async throws {
        #expect(defaults.presharedKey == nil)
        #expect(defaults.presharedKeyDemand == .onceGiven)
        for version in bothVersions {
            let shared = try sharedKey(for: version)
            let pair = try await Pair(
                .tls,
                client: { $0.presharedKey = { _ in shared } },
                server: {
                    $0.identity = nil
                    $0.presharedKey = { _ in shared }
                }
            )
            #expect(try pair.clientTLS().authentication == .presharedKey("meter 4711"))
            #expect(try pair.clientTLS().version == version)
            #expect(try pair.clientTLS().peerCertificate == nil)
            // A listener that knows no keys has a certificate, and does not get by with it.
            await #expect(throws: SocketError.self) {
                try await Pair(.tls, client: { $0.presharedKey = { _ in shared } })
            }
        }
        let without = try await Pair(.tls, client: { $0.presharedKey = { _ in nil } })
        #expect(try without.clientTLS().authentication == .certificate)
    }

    /// A pair whose listener demands a certificate of the authority.
    private func pairWithClientCertificate(
        _ configure: (inout SocketInit) throws -> Void
    ) async throws -> Pair {
        let anchors = try Authority.shared().anchors
        return try await Pair(
            .tls,
            client: configure,
            server: { options in
                options.clientAuthentication = .require
                options.trust = TrustPolicy(anchors: anchors)
            }
        )
    }
}

/// What a closure throws.
private func failure(_ body: () async throws -> Void) async -> SocketError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? SocketError
    }
}
