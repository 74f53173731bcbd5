// A listener with several hosts: who answers by name, by choice, or not at all.

import TLSEngine
import TLSTestKit
import Testing

@testable import Sockets

/// Identities of hosts, made once a process; for every name there is one of each key.
private struct HostCredentials: Sendable {
    private static let made = Result { try HostCredentials() }

    let anchors: [Certificate]
    let a: [TLSIdentity]
    let wild: [TLSIdentity]
    let own: TLSIdentity
    /// A key and a certificate that do not fit.
    let key: [UInt8]
    let certificate: [UInt8]

    static func shared() throws -> HostCredentials { try made.get() }

    private init() throws {
        let ca = try TestCA(name: "Hosts")
        anchors = try Certificate.read(Array(ca.certificatePEM.utf8))
        func identity(_ name: SubjectName, _ key: TestKey) throws -> TLSIdentity {
            let issued = try ca.issue(name, key: key)
            return try TLSIdentity(
                certificate: Array(issued.chainPEM.utf8),
                privateKey: Array(issued.privateKeyPEM.utf8)
            )
        }
        a = [try identity("a.test", .rsa2048), try identity("a.test", .p256)]
        wild = [try identity(.dns("*.wild.test"), .p256)]
        own = try identity("own.test", .p256)
        key = Array(try ca.issue("b.test").privateKeyPEM.utf8)
        certificate = Array(try ca.issue("c.test").chainPEM.utf8)
    }
}

@Suite(.timeLimit(.minutes(1))) struct VirtualHostTests {
    private let credentials: HostCredentials
    init() throws { credentials = try HostCredentials.shared() }

    /// Connects under a name, which the certificate then must be for.
    private func connect(
        _ wire: Wire,
        to listener: SocketListener,
        as name: String,
        _ configure: (inout SocketInit) throws -> Void = { _ in }
    ) throws -> Socket {
        try makeClient(wire, to: listener.localAddress) {
            $0.servername = name
            $0.trust = TrustPolicy(anchors: credentials.anchors)
            try configure(&$0)
        }
    }

    private func listener(
        _ wire: Wire,
        _ configure: (inout SocketListenerInit) throws -> Void
    ) throws -> (SocketListener, errors: Log<SocketError>, sockets: Log<Socket>) {
        let listener = try makeListener(wire) {
            $0.identity = credentials.own
            try configure(&$0)
        }
        let (errors, sockets) = (Log<SocketError>(), Log<Socket>())
        try listener.onSocket { error, _ in
            if let error = error as? SocketError { errors.append(error) }
        } _: { event in
            sockets.append(event.socket)
        }
        return (listener, errors, sockets)
    }

    @Test("each name has its identities; others get the listener's", arguments: Wire.secure)
    func names(wire: Wire) async throws {
        let (listener, _, _) = try listener(wire) {
            $0.hosts = [
                TLSVirtualHost("a.test", identities: credentials.a),
                TLSVirtualHost("*.wild.test", identities: credentials.wild),
            ]
        }
        for (name, expected) in [
            ("x.wild.test", credentials.wild[0]), ("own.test", credentials.own),
        ] {
            let socket = try connect(wire, to: listener, as: name)
            #expect(try await socket.ready.peerCertificate == expected.certificate.der)
        }
        // The client's abilities choose between keys.
        for (algorithm, identity) in zip(
            ["rsa_pss_rsae_sha256", "ecdsa_secp256r1_sha256"],
            credentials.a
        ) {
            let socket = try connect(wire, to: listener, as: "a.test") {
                $0.signatureAlgorithms = [algorithm]
            }
            let error = await thrown { _ = try await socket.ready }
            #expect(error == nil)
            #expect(socket.info?.peerCertificate == identity.certificate.der)
        }
    }

    @Test("a host has a policy of its own, whole", arguments: Wire.secure)
    func policy(wire: Wire) async throws {
        let anchors = try Credentials.shared().anchors
        let (listener, errors, sockets) = try listener(wire) {
            $0.alpn = ["http/1.1"]
            $0.hosts = [
                TLSVirtualHost("a.test", identities: credentials.a) {
                    $0.alpn = ["h2"]
                    $0.clientAuthentication = .require
                    $0.trust = TrustPolicy(anchors: anchors)
                }
            ]
            $0.hostFallback = .always
        }
        let own = try connect(wire, to: listener, as: "own.test") { $0.alpn = ["h2", "http/1.1"] }
        #expect(try await own.ready.alpn == "http/1.1")
        let refused = try connect(wire, to: listener, as: "a.test")
        _ = await thrown {
            _ = try await refused.ready
            _ = try await refused.read()
        }
        await until { errors.count == 1 }
        #expect(errors.all.first?.tls?.code == .peerCertificateMissing)
        let identity = try Credentials.shared().client
        let known = try connect(wire, to: listener, as: "a.test") {
            $0.identity = identity
            $0.alpn = ["h2", "http/1.1"]
        }
        #expect(try await known.ready.alpn == "h2")
        await until { sockets.count == 2 }
        #expect(sockets.all.last?.info?.peerCertificate == identity.certificate.der)
    }

    @Test("who names no host is refused where that would open a door", arguments: Wire.secure)
    func fallback(wire: Wire) async throws {
        let anchors = try Credentials.shared().anchors
        let (listener, errors, _) = try listener(wire) {
            $0.hosts = [
                TLSVirtualHost("a.test", identities: credentials.a) {
                    $0.clientAuthentication = .require
                    $0.trust = TrustPolicy(anchors: anchors)
                }
            ]
        }
        let socket = try connect(wire, to: listener, as: "own.test")
        let error = await thrown { _ = try await socket.ready }
        #expect(error?.tls?.alert == .unrecognizedName)
        #expect(error?.hint == "The server knows no host of this name: check the servername")
        await until { errors.count == 1 }
        #expect(errors.all[0].code == .handshakeFailed)
        #expect(errors.all[0].tls?.code == .unknownServername)
        #expect(errors.all[0].phase == .clientHello)
        #expect(errors.all[0].report?.alertSent == .unrecognizedName)
    }

    @Test(
        "a callback chooses by hello and address: identities, policy, protocols",
        arguments: Wire.secure
    )
    func choice(wire: Wire) async throws {
        let asked = Log<(String?, [String], SocketAddress)>()
        let credentials = credentials
        let (listener, _, sockets) = try listener(wire) {
            $0.hosts = [TLSVirtualHost("configured.wild.test", identities: credentials.wild)]
            $0.chooseHost = { hello, remote in
                asked.append((hello.servername, hello.alpn, remote))
                switch hello.servername {
                case "x.wild.test": return .identities(credentials.wild)
                case "a.test":
                    var tls = TLSSocketListenerInit()
                    tls.identities = credentials.a
                    tls.alpn = ["http/1.1"]
                    tls.ecdhCurve = "P-384"
                    var choice = TLSHostChoice.tls(tls)
                    choice.alpn = ["h2"]
                    return choice
                default: return .configured
                }
            }
        }
        for _ in 0..<2 {
            let wild = try connect(wire, to: listener, as: "x.wild.test")
            let der = credentials.wild[0].certificate.der
            #expect(try await wild.ready.peerCertificate == der)
            let chosen = try connect(wire, to: listener, as: "a.test") {
                $0.alpn = ["http/1.1", "h2"]
            }
            let info = try await chosen.ready
            #expect(info.alpn == "h2")
            #expect(info.report?.group == .secp384r1)
            let configured = try connect(wire, to: listener, as: "configured.wild.test")
            #expect(try await configured.ready.peerCertificate == der)
            let own = try connect(wire, to: listener, as: "own.test")
            #expect(try await own.ready.peerCertificate == credentials.own.certificate.der)
        }
        await until { sockets.count == 8 }
        #expect(asked.count == 8)
        #expect(asked.all[1].0 == "a.test" && asked.all[1].1 == ["http/1.1", "h2"])
        #expect(asked.all.allSatisfy { $0.2.address == "127.0.0.1" && $0.2.port > 0 })
    }

    @Test("a choice that cannot be is this side's fault: the peer hears internal_error")
    func impossible() async throws {
        let (listener, errors, _) = try listener(.tls13) {
            $0.chooseHost = { _, _ in
                var tls = TLSSocketListenerInit()
                tls.cipherAlgorithms = ["nonsense"]
                return .tls(tls)
            }
        }
        let socket = try connect(.tls13, to: listener, as: "own.test")
        #expect(await thrown { _ = try await socket.ready }?.tls?.alert == .internalError)
        await until { errors.count == 1 }
        #expect(errors.all[0].code == .refusedByApplication)
        #expect(errors.all[0].tls?.detail?.contains("cannot be") == true)
    }

    @Test(
        "the callback of the host that answers decides, not that of another",
        arguments: Wire.secure
    )
    func callbacks(wire: Wire) async throws {
        let own = try Credentials.shared()
        let asked = Log<String>()
        let credentials = credentials
        @Sendable func demand(_ tls: inout TLSSocketListenerInit, _ label: String) {
            tls.clientAuthentication = .require
            tls.trust = TrustPolicy(anchors: own.anchors)
            tls.checkClientIdentity = { identity, _ in
                asked.append("\(label) \(identity.servername ?? "none") \(identity.isResumed)")
                #expect(identity.certificate == own.client.certificate.der)
                #expect(identity.verifiedChain.count == 2)
            }
        }
        let (listener, _, sockets) = try listener(wire) {
            demand(&$0.tls, "listener")
            $0.hosts = [
                TLSVirtualHost("a.test", identities: credentials.a) { demand(&$0, "host") },
                TLSVirtualHost("*.wild.test", identities: credentials.wild),
            ]
            $0.chooseHost = { hello, _ in
                guard hello.servername == "y.wild.test" else { return .configured }
                var tls = TLSSocketListenerInit()
                tls.identities = credentials.wild
                demand(&tls, "choice")
                return .tls(tls)
            }
        }
        let names = ["own.test", "a.test", "x.wild.test", "y.wild.test"]
        for name in names {
            let socket = try connect(wire, to: listener, as: name) { $0.identity = own.client }
            _ = try await socket.ready
        }
        await until { sockets.count == 4 }
        #expect(
            Set(asked.all) == [
                "listener own.test false", "host a.test false", "listener x.wild.test false",
                "choice y.wild.test false",
            ]
        )
    }

    typealias Change = @Sendable (inout SocketListenerInit) throws -> Void

    static let misuses: [(Change, SocketError.Code)] = [
        ({ $0.hosts = [TLSVirtualHost("a.test", identities: [])] }, .invalidTLSConfiguration),
        (
            {
                let own = try HostCredentials.shared().own
                $0.hosts = [TLSVirtualHost("a..test", identities: [own])]
            }, .invalidTLSConfiguration
        ),
        (
            {
                let own = try HostCredentials.shared().own
                var host = TLSVirtualHost("a.test", identities: [own])
                host.names = []
                $0.hosts = [host]
            }, .invalidOption
        ),
        (
            {
                let own = try HostCredentials.shared().own
                let host = TLSVirtualHost("a.test", identities: [own])
                $0.hosts = [host, host]
            }, .invalidTLSConfiguration
        ),
        (
            {
                let own = try HostCredentials.shared().own
                $0.hosts = [TLSVirtualHost("a.test", identities: [own, own])]
            }, .invalidTLSConfiguration
        ),
        (
            {
                let own = try HostCredentials.shared().own
                let host = TLSVirtualHost("a.test", identities: [own])
                $0.hosts = [TLSVirtualHost("b.test", identities: [own]) { $0.hosts = [host] }]
            }, .invalidOption
        ),
        (
            {
                let own = try HostCredentials.shared().own
                $0.hosts = [
                    TLSVirtualHost("b.test", identities: [own]) {
                        $0.chooseHost = { _, _ in .configured }
                    }
                ]
            }, .invalidOption
        ),
        ({ $0.checkClientIdentity = { _, _ in } }, .invalidOption),
        (
            {
                $0.type = .tcp
                $0.tls = TLSSocketListenerInit()
                $0.chooseHost = { _, _ in .configured }
            }, .tlsOptionWithoutTLS
        ),
    ]

    @Test("hosts that cannot be are refused when the listener is made", arguments: misuses.indices)
    func misuse(index: Int) {
        let (change, code) = Self.misuses[index]
        let error = #expect(throws: SocketError.self) { _ = try makeListener(.tls13, change) }
        #expect(error?.code == code)
    }

    @Test("a key that does not fit its certificate, and an empty chain, make no identity")
    func unfit() throws {
        #expect(throws: TLSError(.keyMismatch)) {
            try TLSIdentity(certificate: credentials.certificate, privateKey: credentials.key)
        }
        for empty: [UInt8] in [[], Array("no certificate here\n".utf8)] {
            #expect(throws: TLSError(.invalidCertificate)) {
                try TLSIdentity(certificate: empty, privateKey: credentials.key)
            }
        }
    }

    @Test("both sides' dictionaries are tried against each other without a network")
    func simulation() throws {
        var server = SocketListenerInit(type: .tls, local: loopback, identity: credentials.own)
        server.hosts = [TLSVirtualHost("a.test", identities: credentials.a) { $0.alpn = ["h2"] }]
        var client = SocketInit(type: .tls, remote: SocketAddress("a.test", port: 0))
        client.trust = TrustPolicy(anchors: credentials.anchors)
        client.alpn = ["h2"]
        let simulation = try TLSSimulation(client, with: server)
        #expect(simulation.succeeds && simulation.client.alpn == "h2")
        client.alpn = ["http/1.1"]
        let clash = try TLSSimulation(client, with: server)
        #expect(clash.clashes == [.applicationProtocols(client: ["http/1.1"], server: ["h2"])])
        let plain = SocketInit(remote: loopback)
        #expect(throws: SocketError(.tlsOptionWithoutTLS)) {
            try TLSSimulation(plain, with: server)
        }
        client.servername = "a b"
        #expect(throws: SocketError(.invalidTLSConfiguration, tls: TLSError(.invalidServername))) {
            try TLSSimulation(client, with: server)
        }
    }
}
