// What two sides of a handshake have no overlap in, from what they say they can do.

extension TLSSimulation {
    /// Something the two sides do not agree on.
    @nonexhaustive
    public enum Clash: Hashable, Sendable {
        /// No protocol version in common.
        case versions(client: [ProtocolVersion], server: [ProtocolVersion])
        /// No cipher suite in common, by numbers on the wire.
        case cipherSuites(client: [UInt16], server: [UInt16])
        /// No group for key exchange in common.
        case groups(client: [NamedGroup], server: [NamedGroup])
        /// The client verifies no signature that the server's keys can make.
        case signatureAlgorithms(client: [SignatureScheme], serverKeys: [String])
        /// No application protocol in common, or none offered where one is required.
        case applicationProtocols(client: [String], server: [String])
        /// The server has no host of this name; nil when the client sends none.
        case servername(String?)
        /// The side refuses the other's certificate.
        case certificate(refusedBy: TLSRole, VerificationFailure)
        /// The server demands a certificate, and the client has none to show.
        case clientCertificateMissing
        /// Another failure of the side.
        case other(TLSRole, TLSError)
    }

    /// What the failed handshake tells, and what the abilities of the sides tell about it.
    static func clashes(
        _ client: (report: HandshakeReport, context: TLSContext),
        _ server: (report: HandshakeReport, context: TLSContext),
        _ hello: ClientHello?
    ) -> [Clash] {
        // Who only heard the other's alert knows less than the other.
        let reports = [client.report, server.report]
        let errors = reports.compactMap { report in report.error.map { (report.role, $0) } }
        let own = errors.first { $0.1.code != .alertReceived } ?? errors.first
        guard let (role, error) = own else { return [.other(.client, TLSError(.internalError))] }
        switch error.code {
        case .certificateRejected:
            if let failure = error.verification { return [.certificate(refusedBy: role, failure)] }
        case .peerCertificateMissing: return [.clientCertificateMissing]
        case .unknownServername: return [.servername(hello?.servername)]
        case .noApplicationProtocol:
            let (offered, spoken) = (client.context.policy.alpn, server.context.policy.alpn)
            return [.applicationProtocols(client: offered, server: spoken)]
        case .noSharedParameters, .alertReceived, .protocolViolation:
            if let hello {
                let found = abilityClashes(hello, server.context)
                if !found.isEmpty { return found }
            }
        default: break
        }
        return [.other(role, error)]
    }

    /// Compares what a client offers with what a server can do.
    private static func abilityClashes(_ hello: ClientHello, _ server: TLSContext) -> [Clash] {
        guard let able = abilities(of: server) else { return [] }
        let offered = known(hello.versions.map(ProtocolVersion.init(rawValue:)))
        let spoken = known(able.versions.map(ProtocolVersion.init(rawValue:)))
        let shared = offered.filter(spoken.contains)
        guard !shared.isEmpty else { return [.versions(client: offered, server: spoken)] }
        var clashes: [Clash] = []
        // The signalling values at the end of a list are no suites (RFC 5746, RFC 7507).
        let suites = hello.cipherSuites.filter {
            !GREASE.contains($0) && $0 != 0x00ff && $0 != 0x5600
        }
        let ables = able.cipherSuites.filter { $0 != 0x00ff && $0 != 0x5600 }
        if !suites.contains(where: { suite in
            ables.contains(suite) && shared.contains { ($0 == .tls13) == (suite >> 8 == 0x13) }
        }) {
            clashes.append(.cipherSuites(client: suites, server: ables))
        }
        let groups = hello.groups.filter { !GREASE.contains($0.rawValue) }
        if !groups.contains(where: able.groups.contains) {
            clashes.append(.groups(client: groups, server: able.groups))
        }
        let usable = Set(able.signatureAlgorithms)
        let schemes = hello.signatureAlgorithms.filter { !GREASE.contains($0.rawValue) }
        let keys = server.identities.map(\.certificate.publicKey)
        let signs = schemes.contains { scheme in
            usable.contains(scheme) && keys.contains { scheme.fits($0, in13: shared == [.tls13]) }
        }
        if !signs {
            let names = keys.map { [$0.type, $0.curve].compactMap(\.self).joined(separator: " ") }
            clashes.append(.signatureAlgorithms(client: schemes, serverKeys: names))
        }
        return clashes
    }

    /// What a server can do, as the hello of a client with its policy.
    private static func abilities(of server: TLSContext) -> ClientHello? {
        var policy = server.policy
        policy.alpn = []
        policy.alpnRequired = false
        policy.decisions = []
        let why = "only its ClientHello is looked at"
        guard
            let twin = try? TLSContext(
                role: .client,
                policy: policy,
                trust: .acceptAnything(because: why)
            ), var engine = try? TLSEngine(twin)
        else { return nil }
        let hello = [UInt8](capacity: 1 << 16) { output in
            _ = try? engine.handshake(consuming: Span(), producing: &output)
        }
        return try? ClientHello(reading: hello, limit: .max)
    }

    private static func known(_ versions: [ProtocolVersion]) -> [ProtocolVersion] {
        // An old hello names the newest version only, which stands for those before it.
        let named = versions.filter { !GREASE.contains($0.rawValue) && $0 <= .tls13 }
        return named.filter { $0 >= .tls12 }.isEmpty ? named : named.filter { $0 >= .tls12 }
    }
}

extension SignatureScheme {
    /// Whether a key can make such signatures; TLS 1.3 ties curves to hashes (RFC 8446 §4.2.3).
    fileprivate func fits(_ key: PublicKey, in13 isOnly13: Bool) -> Bool {
        switch rawValue {
        case 0x0403: key.type == "EC" && (!isOnly13 || key.curve == "P-256")
        case 0x0503: key.type == "EC" && (!isOnly13 || key.curve == "P-384")
        case 0x0603: key.type == "EC" && (!isOnly13 || key.curve == "P-521")
        case 0x0203, 0x0303: key.type == "EC" && !isOnly13
        case 0x0804...0x0806: key.type == "RSA"
        case 0x0201, 0x0301, 0x0401, 0x0501, 0x0601: key.type == "RSA" && !isOnly13
        case 0x0809...0x080b: key.type == "RSA-PSS"
        case 0x0807: key.type == "ED25519"
        case 0x0808: key.type == "ED448"
        default: false
        }
    }
}

extension TLSSimulation.Clash: CustomStringConvertible {
    /// One sentence, lower case, without a stop.
    public var description: String {
        switch self {
        case .versions(let client, let server):
            "no protocol version in common: the client offers \(list(client)), the server speaks "
                + list(server)
        case .cipherSuites(let client, let server):
            "no cipher suite in common: the client offers \(list(client.map(hexadecimal))), the "
                + "server has \(list(server.map(hexadecimal)))"
        case .groups(let client, let server):
            "no group for key exchange in common: the client offers \(list(client)), the server has "
                + list(server)
        case .signatureAlgorithms(let client, let keys):
            "the client verifies none of the signatures the server can make: it accepts "
                + "\(list(client)), the server's keys are \(list(keys))"
        case .applicationProtocols(let client, let server):
            "no application protocol in common: the client offers \(list(client)), the server "
                + "speaks \(list(server))"
        case .servername(let name):
            name.map { "the server has no host \((try? ServerName($0))?.text ?? "of that name")" }
                ?? "the client names no host, and the server demands one"
        case .certificate(let role, let failure):
            "the \(role.rawValue) refuses the certificate: \(failure)"
        case .clientCertificateMissing:
            "the server demands a client certificate, and the client has none"
        case .other(let role, let error): "the \(role.rawValue) fails: \(error)"
        }
    }

    private func list(_ values: [some CustomStringConvertible]) -> String {
        guard !values.isEmpty else { return "none" }
        let shown = values.prefix(12).map(\.description).joined(separator: ", ")
        return values.count > 12 ? shown + ", …" : shown
    }
}
