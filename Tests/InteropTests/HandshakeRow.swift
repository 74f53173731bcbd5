// The table that runs against every program, in both directions: versions, keys, application
// protocols, certificates that must be refused, and client certificates.

import Sockets
import TLSTestKit
import Testing

/// One handshake, and by construction what must come of it.
struct HandshakeRow: Sendable, CustomTestStringConvertible {
    enum Protocols: String, CaseIterable, Sendable {
        /// Both sides speak `http/1.1`.
        case agreed
        /// One side offers nothing.
        case none
        /// The server speaks none of what the client offers.
        case disjoint
    }

    enum ServerCertificate: String, CaseIterable, Sendable {
        case good, wrongName, untrusted, expired
    }

    enum ClientCertificate: String, CaseIterable, Sendable {
        /// The server does not ask.
        case unasked
        /// The server demands one, and gets one it trusts.
        case good
        /// The server demands one, and gets none.
        case absent
        /// The server demands one, and gets a stranger's.
        case untrusted
        /// The server asks without demanding, and gets one it trusts.
        case volunteered
        /// The server asks without demanding, and gets none.
        case declined
        /// The server asks without demanding, and gets a stranger's.
        case mistaken

        /// What the server wants.
        var demand: CertificateDemand {
            switch self {
            case .unasked: .none
            case .good, .absent, .untrusted: .require
            case .volunteered, .declined, .mistaken: .request
            }
        }

        /// Whether the client shows a certificate that is trusted.
        var isGiven: Bool { self == .good || self == .volunteered }
    }

    var version = ProtocolVersion.tls13
    var key = TestKey.p256
    var protocols = Protocols.agreed
    var server = ServerCertificate.good
    var client = ClientCertificate.unasked
    /// Whether the client sends the name it verifies.
    var sendsName = true
    /// Whether our side's key is outside of the process.
    var signsElsewhere = false

    var testDescription: String {
        "\(version), \(key), ALPN \(protocols), server \(server), client \(client)"
            + (sendsName ? "" : ", no servername") + (signsElsewhere ? ", our key elsewhere" : "")
    }

    /// What it shows, first of all.
    var feature: InteropFeature {
        if !sendsName { return .servername }
        if signsElsewhere { return .externalKeys }
        if server != .good { return .refusal }
        return client == .unasked ? .negotiation : .clientCertificate
    }

    static let versions = [ProtocolVersion.tls12, .tls13]
    static let keys = [TestKey.p256, .rsa2048, .ed25519, .rsaPSS2048]

    /// Every version with every key and every outcome of ALPN.
    static let negotiations = versions.flatMap { version in
        keys.flatMap { key in
            Protocols.allCases.map { HandshakeRow(version: version, key: key, protocols: $0) }
        }
    }

    /// Every version with ECDSA and RSA, and every certificate of a server that must be refused.
    static let refusals = versions.flatMap { version in
        [TestKey.p256, .rsa2048].flatMap { key in
            ServerCertificate.allCases.filter { $0 != .good }
                .map { HandshakeRow(version: version, key: key, server: $0) }
        }
    }

    /// Every version with ECDSA and RSA and every way to answer a demand for a certificate, and with
    /// the other keys a good one.
    static let clientCertificates = versions.flatMap { version in
        keys.flatMap { key in
            ClientCertificate.allCases
                .filter { $0 == .good || $0 != .unasked && [.p256, .rsa2048].contains(key) }
                .map { HandshakeRow(version: version, key: key, client: $0) }
        }
    }

    /// Every version without a servername.
    static let nameless = versions.map { HandshakeRow(version: $0, sendsName: false) }

    /// Every version with keys outside of our process, and what both sides sign by them.
    static let externalKeys = versions.flatMap { version in
        keys.filter { version == .tls13 || [.p256, .rsa2048].contains($0) }.map {
            HandshakeRow(version: version, key: $0, client: .good, signsElsewhere: true)
        }
    }

    static let all = negotiations + refusals + clientCertificates + nameless + externalKeys
}

/// What a server wants of its clients.
enum CertificateDemand: String, Sendable { case none, request, require }

/// The certificates of all rows: an authority both sides trust, and a stranger.
struct Authorities: Sendable {
    /// The name every good server has; nothing resolves it.
    static let host = "peer.test"

    static let shared = Result { try Authorities() }

    let root: TestCA
    private let trusted: TestCA
    private let stranger: TestCA

    private init() throws {
        root = try TestCA(name: "Interop Root")
        trusted = try root.intermediate(name: "Interop Intermediate")
        stranger = try TestCA(name: "Stranger").intermediate(name: "Stranger Intermediate")
    }

    /// What trusts the good certificates.
    func trust() throws -> TrustPolicy {
        TrustPolicy(anchors: [try Certificate(der: root.certificateDER)])
    }

    /// What the responder of the good certificates' issuer says of one of them.
    func ocspResponse(
        for certificate: IssuedCertificate,
        _ status: OCSPStatus = .good
    ) throws -> [UInt8] {
        try trusted.ocspAnswer(for: certificate, status).der
    }

    func serverCertificate(_ row: HandshakeRow) throws -> IssuedCertificate {
        let host = SubjectName.dns(Self.host)
        return switch row.server {
        case .good: try trusted.issue(host, "127.0.0.1", key: row.key)
        case .wrongName: try trusted.issue("other.test", key: row.key)
        case .untrusted: try stranger.issue(host, key: row.key)
        case .expired: try trusted.issue(host, key: row.key, validity: .days(-3 ... -1))
        }
    }

    /// What the client has to show; nil for nothing.
    func clientCertificate(_ row: HandshakeRow) throws -> IssuedCertificate? {
        switch row.client {
        case .unasked, .absent, .declined: nil
        case .good, .volunteered: try trusted.issueClient("Alice", key: row.key)
        case .untrusted, .mistaken: try stranger.issueClient("Mallory", key: row.key)
        }
    }
}

extension IssuedCertificate {
    /// The certificate and key as the product takes them.
    func identity() throws -> TLSIdentity {
        try TLSIdentity(certificate: Array(chainPEM.utf8), privateKey: privateKeyDER)
    }

    /// The same; where a row wants it, with a signer instead of the key.
    func identity(_ row: HandshakeRow) throws -> TLSIdentity {
        let key = try identity()
        guard row.signsElsewhere else { return key }
        return try TLSIdentity(chain: key.certificateChain) { request in
            // As long as a signer somewhere else takes at least.
            await Task.yield()
            return try key.signature(of: request.message, scheme: request.scheme)
        }
    }
}

/// 1 MiB that does not repeat with any size of a record or buffer.
let mebibyte: [UInt8] = {
    var value: UInt64 = 0x9E37_79B9_7F4A_7C15
    return (0..<(1 << 20)).map { _ in
        value ^= value << 13
        value ^= value >> 7
        value ^= value << 17
        return UInt8(truncatingIfNeeded: value)
    }
}()
