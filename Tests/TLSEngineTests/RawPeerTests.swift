// What a peer may do that no engine does, against peers that are plain OpenSSL.

import COpenSSL
import TLSEngine
import TLSTestKit
import Testing

@Suite(.timeLimit(.minutes(1)))
struct RawPeerTests {
    let fixtures: Fixtures
    let certificate: IssuedCertificate

    init() throws {
        fixtures = try Fixtures.shared()
        certificate = try fixtures.ca.issue("localhost")
    }

    /// An engine as client, and a raw server.
    func client(
        certificate: IssuedCertificate? = nil,
        trust: TrustPolicy? = nil,
        policy: (inout TLSPolicy) -> Void = { _ in },
        _ configure: (RawContext) -> Void = { _ in }
    ) throws -> RawPair {
        let context = try fixtures.client(trust: trust, policy)
        let peer = try RawPeer(
            .server,
            certificate: certificate ?? self.certificate,
            configure: configure
        )
        return try RawPair(TLSEngine(context, remoteName: "localhost"), peer)
    }

    /// An engine as server, and a raw client.
    func server(
        policy: (inout TLSPolicy) -> Void = { _ in },
        _ configure: (RawContext) -> Void = { _ in }
    ) throws -> RawPair {
        let context = try fixtures.server { policy(&$0) }
        return try RawPair(TLSEngine(context), RawPeer(.client, configure: configure))
    }

    // MARK: Post-handshake messages

    @Test("KeyUpdates are followed, asked for or not, and data flows on")
    func keyUpdate() throws {
        for pair in [try client(), try server()] {
            pair.settle()
            try #require(pair.isReady && pair.peer.isReady)
            pair.deliver(pair.peer.keyUpdates(1))
            pair.deliver(pair.peer.keyUpdates(1, asking: true))
            pair.deliver(pair.peer.send([1, 2, 3]))
            #expect(pair.received == [1, 2, 3])
            // The answer to the KeyUpdate goes out in front of the data.
            try pair.send([4, 5, 6])
            #expect(pair.peer.received == [4, 5, 6])
            #expect(pair.error == nil)
        }
    }

    @Test("KeyUpdates up to the limit are taken, and one more ends the connection")
    func keyUpdateFlood() throws {
        for limit in [0, 3, 64] {
            for pair in [
                try client(policy: { $0.limits.postHandshakeMessages = limit }),
                try server(policy: { $0.limits.postHandshakeMessages = limit }),
            ] {
                pair.settle()
                if pair.engine.context.role == .client {
                    // The peer's tickets count: data behind them settles the account.
                    guard limit >= 2 else {
                        #expect(pair.error == TLSError(.tooManyPostHandshakeMessages))
                        continue
                    }
                    for _ in 0..<2 { pair.deliver(pair.peer.send(pattern(16384))) }
                }
                pair.deliver(pair.peer.keyUpdates(limit))
                #expect(pair.error == nil)
                pair.deliver(pair.peer.keyUpdates(1))
                #expect(pair.error == TLSError(.tooManyPostHandshakeMessages))
                #expect(pair.error?.phase == .open)
                let sent = pair.engine.report.alertSent
                #expect(sent == .unexpectedMessage)
            }
        }
    }

    @Test("messages that are taken in while nobody reads data are held by the limit, too")
    func floodWithoutReader() throws {
        let pair = try client(policy: { $0.limits.postHandshakeMessages = 5 })
        pair.settle()
        try #require(pair.isReady)
        var hasMore = false
        for _ in 0..<10 where !hasMore {
            let update = pair.peer.keyUpdates(1)
            _ = [UInt8](capacity: 65536) { output in
                hasMore = pair.engine.takeInMessages(update.span, producing: &output).hasMore
            }
        }
        #expect(hasMore)
        let isOpen = pair.engine.isOpen
        #expect(!isOpen)
        #expect(pair.engine.report.error == TLSError(.tooManyPostHandshakeMessages))
    }

    @Test("a piece of a record is nothing for a reader yet, however it is cut")
    func pieceWithoutReader() throws {
        for pair in [try client(), try server()] {
            pair.settle()
            try #require(pair.isReady)
            pair.deliver(pair.peer.send([1]))
            let bytes = pair.peer.keyUpdates(1) + pair.peer.send([2])
            var taken = 0
            var reports: [Bool] = []
            for end in bytes.indices.map({ $0 + 1 }) {
                _ = [UInt8](capacity: 65536) { output in
                    let input = Array(bytes[taken..<end])
                    let step = pair.engine.takeInMessages(input.span, producing: &output)
                    taken += step.consumed
                    reports.append(step.hasMore)
                }
            }
            #expect(reports == bytes.indices.map { $0 == bytes.count - 1 })
            pair.deliver(Array(bytes[taken...]))
            #expect(pair.received == [1, 2])
        }
    }

    @Test("KeyUpdates are paid for by much data and by time, not by a byte")
    func keyUpdatesWithData() throws {
        let limits: (inout TLSPolicy) -> Void = {
            $0.limits.postHandshakeMessages = 2
            $0.limits.dataPerPostHandshakeMessage = 100
        }
        let pair = try server(policy: limits)
        pair.settle()
        var bytes: [UInt8] = []
        for _ in 0..<10 { bytes += pair.peer.keyUpdates(2) + pair.peer.send(pattern(200)) }
        pair.deliver(bytes)
        #expect(pair.error == nil)
        #expect(pair.received.count == 2000)

        let drip = try server(policy: limits)
        drip.settle()
        bytes = []
        for _ in 0..<3 { bytes += drip.peer.keyUpdates(1) + drip.peer.send([7]) }
        drip.deliver(bytes)
        #expect(drip.error == TLSError(.tooManyPostHandshakeMessages))
        #expect(drip.received.prefix(2) == [7, 7])

        let slow = try server(policy: limits)
        slow.settle()
        for minute in 1...10 {
            slow.deliver(slow.peer.keyUpdates(2) + slow.peer.send([7]))
            slow.engine.noteTime(.seconds(60 * minute))
            slow.engine.noteTime(.seconds(60 * (minute + 1)))
        }
        #expect(slow.error == nil)
        #expect(slow.received.count == 10)
    }

    @Test("a flood of tickets ends the connection")
    func ticketFlood() throws {
        let pair = try client(policy: { $0.limits.postHandshakeMessages = 10 })
        pair.settle()
        pair.deliver(pair.peer.tickets(9))
        #expect(pair.error == TLSError(.tooManyPostHandshakeMessages))
        #expect(pair.engine.report.tickets.count == 4)
    }

    @Test("requests to renegotiate are refused in TLS 1.2")
    func renegotiation() throws {
        for pair in [
            try server(policy: { $0.allowOnly(.tls12) }),
            try client(policy: { $0.allowOnly(.tls12) }),
        ] {
            pair.settle()
            try #require(pair.isReady && pair.peer.isReady)
            unsafe SSL_renegotiate(pair.peer.ssl)
            pair.deliver(pair.peer.send([1]))
            let sent = pair.engine.report.alertSent
            #expect(sent == Alert(100, level: .warning))
            // OpenSSL does not put up with the refusal.
            #expect(pair.error == TLSError(.alertReceived, alert: .handshakeFailure))
            #expect(pair.error?.hint == nil)
        }
    }

    // MARK: Resumption

    @Test(
        "a resumed handshake is reported as one, and the client is trusted as before",
        arguments: versions
    )
    func resumption(_ version: ProtocolVersion) throws {
        let alice = try fixtures.ca.issueClient("alice")
        let context = try fixtures.server {
            $0.allowOnly(version)
            $0.clientAuthentication = .require
        }
        let first = try RawPair(TLSEngine(context), RawPeer(.client, certificate: alice))
        first.settle()
        first.deliver(first.peer.send([1]))
        try #require(first.received == [1])
        let full = first.engine.report
        #expect(!full.isResumed && full.isPeerTrusted)
        #expect(full.localCertificate != nil)

        let session = unsafe SSL_get1_session(first.peer.ssl)
        defer { unsafe SSL_SESSION_free(session) }
        let second = try RawPair(TLSEngine(context), RawPeer(.client, certificate: alice))
        unsafe SSL_set_session(second.peer.ssl, session)
        second.settle()
        second.deliver(second.peer.send([2]))
        try #require(second.received == [2])
        let resumed = second.engine.report
        #expect(resumed.isResumed && resumed.isPeerTrusted && resumed.isComplete)
        #expect(resumed.version == version)
        #expect(resumed.cipherSuite == full.cipherSuite)
        #expect(resumed.localCertificate == nil)
        #expect(resumed.peerChain.map(\.der) == [alice.certificateDER])
        #expect(resumed.verifiedChain == full.verifiedChain)
        #expect(!resumed.clientCertificateRequested)
        #expect((resumed.ephemeralKey != nil) == (version == .tls13))
    }

    @Test("a session is worth nothing where other clients are trusted")
    func sessionOfOtherContext() throws {
        let alice = try fixtures.ca.issueClient("alice")
        let contexts = try ["a", "b"].map { name in
            try fixtures.server {
                $0.clientAuthentication = .require
                $0.sessionIDContext = name
            }
        }
        let first = try RawPair(TLSEngine(contexts[0]), RawPeer(.client, certificate: alice))
        first.settle()
        let session = unsafe SSL_get1_session(first.peer.ssl)
        defer { unsafe SSL_SESSION_free(session) }
        let second = try RawPair(TLSEngine(contexts[1]), RawPeer(.client))
        unsafe SSL_set_session(second.peer.ssl, session)
        second.settle()
        #expect(second.error == TLSError(.peerCertificateMissing))
        let isResumed = second.engine.report.isResumed
        #expect(!isResumed)
    }

    @Test("as many tickets are sent as the policy says, and counted", arguments: [0, 1, 2, 16])
    func ticketCount(_ count: Int) throws {
        for version in versions {
            let pair = try EnginePair(
                client: fixtures.client { $0.allowOnly(version) },
                server: fixtures.server { $0.ticketCount = count }
            )
            try pair.handshake()
            let expected = version == .tls12 ? min(count, 1) : min(count, 4)
            let tickets = pair.facts(.client).report.tickets
            #expect(tickets.count == expected)
            for ticket in tickets {
                #expect(ticket.size > 0 && ticket.lifetime > 0 && ticket.earlyData == 0)
            }
        }
    }

    // MARK: Weak and wrong peers

    @Test("a server with a Diffie-Hellman group of 1024 bits is refused as weak")
    func weakGroup() throws {
        let rsa = try fixtures.ca.issue("localhost", key: .rsa2048)
        let pair = try client(
            certificate: rsa,
            policy: { $0.cipherAlgorithms = ["DHE-RSA-AES128-GCM-SHA256"] }
        ) { context in
            unsafe cssl_ctx_set_dh_auto(context.pointer, 2)  // 1024 bits whatever the key
        }
        pair.settle()
        #expect(pair.error == TLSError(.weakParameters))
        #expect(pair.error?.phase == .keyExchange)
        #expect(pair.error?.hint != nil)
    }

    @Test("a server with an RSA key of 1024 bits is refused by the client, as a certificate")
    func weakKey() throws {
        let bundle = try openSSL(
            "req",
            "-x509",
            "-newkey",
            "rsa:1024",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            "-"
        )
        let weak = try Certificate.read(bundle)[0]
        let context = try fixtures.client(trust: TrustPolicy(anchors: [weak]))
        let pair = try RawPair(
            TLSEngine(context, remoteName: "localhost"),
            RawPeer(.server) { useBundle(bundle, $0) }
        )
        pair.settle()
        #expect(pair.error?.code == .certificateRejected)
        #expect(pair.error?.verification?.code == .leafKeyTooSmall)
    }

    @Test("a peer that speaks nothing newer than TLS 1.1 shares no version")
    func oldVersions() throws {
        let old = { (context: RawContext) in
            unsafe cssl_ctx_set_min_proto_version(context.pointer, TLS1_VERSION)
            unsafe cssl_ctx_set_max_proto_version(context.pointer, TLS1_1_VERSION)
            unsafe SSL_CTX_set_cipher_list(context.pointer, "ALL:@SECLEVEL=0")
        }
        let asServer = try server(policy: { _ in }, old)
        asServer.settle()
        #expect(asServer.error == TLSError(.noSharedParameters))
        let asClient = try client(policy: { _ in }, old)
        asClient.settle()
        #expect(asClient.error == TLSError(.alertReceived, alert: .protocolVersion))
    }

    @Test("an application protocol that was not offered ends the connection (RFC 7301 §3.1)")
    func unofferedProtocol() throws {
        for version in versions {
            let pair = try client(policy: {
                $0.alpn = ["h2"]
                $0.allowOnly(version)
            }) { context in
                unsafe SSL_CTX_set_alpn_select_cb(context.pointer, selectUnoffered, nil)
            }
            pair.settle()
            #expect(pair.error == TLSError(.protocolViolation))
            #expect(!pair.peer.received.contains(1))
        }
    }

    @Test("a fatal alert of TLS 1.3 is fatal under any level (RFC 8446 §6)")
    func alertLevels() throws {
        for level in [UInt8(1), 2] {
            let pair = try EnginePair(client: fixtures.client(), server: fixtures.server()) {
                sender,
                chunk in
                // The client's second flight is replaced by an alert, which may be in the clear.
                sender == .client && chunk.first != 22 ? [21, 3, 3, 0, 2, level, 48] : chunk
            }
            pair.settle()
            #expect(pair.errors[.server] == TLSError(.alertReceived, alert: .unknownCA))
        }
    }

    @Test("a chain of 60 KB is taken in many records, and a name among 2,000 is found")
    func largeCertificate() throws {
        let names = (0..<2000).map { SubjectName.dns("name-\($0).some-domain.test") }
        let large = try fixtures.ca.issue(.server(names + ["localhost"]))
        let pair = try client(certificate: large)
        pair.settle()
        #expect(pair.isReady)
        let names2 = pair.engine.report.peerChain.first?.subjectAlternativeNames.count
        #expect(names2 == 2001)
    }

    @Test("an OCSP staple is asked for and reported as it came")
    func staple() throws {
        var trust = TrustPolicy(anchors: [fixtures.root])
        trust.revocation = .off
        let pair = try client(trust: trust, policy: { $0.requestsOCSPStaple = true }) { context in
            setStatusCallback(context)
        }
        pair.settle()
        #expect(pair.isReady)
        let response = pair.engine.report.ocspResponse
        #expect(response == tryLater)
        let silent = try client()
        silent.settle()
        let nothing = silent.engine.report.ocspResponse
        #expect(nothing == nil)
    }
}

/// Answers ALPN with a protocol of its own.
@c(sockets_test_select_unoffered)
private func selectUnoffered(
    _ ssl: OpaquePointer?,
    _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ count: UnsafeMutablePointer<UInt8>?,
    _ offer: UnsafePointer<UInt8>?,
    _ offerCount: CUnsignedInt,
    _ context: UnsafeMutableRawPointer?
) -> CInt {
    // Three bytes of the offer that are no name of it: "\u{2}h2" has the length in front.
    unsafe chosen?.pointee = offer
    unsafe count?.pointee = 3
    return SSL_TLSEXT_ERR_OK
}

/// An OCSP response that says tryLater, which is a whole one (RFC 6960 §4.2.1).
private let tryLater: [UInt8] = [0x30, 0x03, 0x0a, 0x01, 0x06]

/// Staples a response.
@c(sockets_test_staple)
private func staple(_ ssl: OpaquePointer?, _ context: UnsafeMutableRawPointer?) -> CInt {
    guard let memory = unsafe cssl_malloc(tryLater.count) else { return SSL_TLSEXT_ERR_NOACK }
    unsafe memory.copyMemory(from: tryLater, byteCount: tryLater.count)
    // OpenSSL takes the memory over.
    let command = SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP
    unsafe SSL_ctrl(ssl, command, tryLater.count, memory)
    return SSL_TLSEXT_ERR_OK
}

/// `SSL_CTX_set_tlsext_status_cb` is a macro with a cast.
private func setStatusCallback(_ context: RawContext) {
    typealias Callback = @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> CInt
    let callback: Callback = unsafe staple
    let erased = unsafe unsafeBitCast(callback, to: (@convention(c) () -> Void).self)
    unsafe SSL_CTX_callback_ctrl(context.pointer, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB, erased)
}

/// Has a context present what a PEM text holds.
private func useBundle(_ pem: [UInt8], _ context: RawContext) {
    unsafe pem.withUnsafeBytes { bytes in
        for reads in [true, false] {
            guard let bio = unsafe BIO_new_mem_buf(bytes.baseAddress, CInt(bytes.count)) else {
                return
            }
            defer { unsafe BIO_free(bio) }
            if reads {
                let certificate = unsafe PEM_read_bio_X509(bio, nil, nil, nil)
                unsafe SSL_CTX_use_certificate(context.pointer, certificate)
                unsafe X509_free(certificate)
            } else {
                let key = unsafe PEM_read_bio_PrivateKey(bio, nil, nil, nil)
                unsafe SSL_CTX_use_PrivateKey(context.pointer, key)
                unsafe EVP_PKEY_free(key)
            }
        }
    }
}
