// What a connection gives to the protocols on top of it: keying material (RFC 5705, RFC 8446 §7.5) and
// channel bindings (RFC 5929, RFC 9266). Both prove that two sides speak over the same connection, so a
// connection of which that does not follow gives neither: in TLS 1.2 the master secret has to be bound
// to its handshake (RFC 7627 §5.4), and each binding has conditions of its own.

/// What may be asked of ``TLSEngine/exportKeyingMaterial(label:context:count:)``.
public enum KeyingMaterial {
    /// The most bytes of material: 255 times the shortest hash (RFC 5869 §2.3).
    public static let countMax = 8160
    /// The most bytes of a label, of either version (RFC 8446 §7.1).
    public static let labelMax = 249
    /// The most bytes of a context, of either version (RFC 5705 §4).
    public static let contextMax = 65535
    /// The most bytes of label and context together in TLS 1.2, where OpenSSL 3.0 takes no more.
    public static let seedMax = 958
    /// Labels that TLS uses itself (RFC 5705 §4, RFC 7627 §4).
    static let reservedLabels: Set<String> = [
        "client finished", "server finished", "master secret", "extended master secret",
        "key expansion",
    ]
}

/// What ties an authentication above TLS to the connection beneath it, by its registered name.
public enum ChannelBinding: String, CaseIterable, Hashable, Sendable {
    /// 32 bytes that both sides derive (RFC 9266): the one to take in TLS 1.3, and in TLS 1.2 where the
    /// master secret is bound to its handshake.
    case exporter = "tls-exporter"
    /// A hash of the server's certificate (RFC 5929 §4), the same for all connections with it.
    ///
    /// The hash is that of the certificate's signature, SHA-256 in place of MD5 and SHA-1. A signature
    /// without one, such as Ed25519, leaves the binding undefined. A listener that resumes a session does
    /// not know which certificate the client saw, and has none either.
    case serverEndPoint = "tls-server-end-point"
    /// The first Finished message of the handshake (RFC 5929 §3), which only TLS 1.2 has (RFC 8446
    /// §C.5).
    ///
    /// Only where the master secret is bound to its handshake: without that it can be made the same on
    /// two connections.
    case unique = "tls-unique"
}

extension TLSEngine {
    /// Derives keying material for a protocol on top of TLS (RFC 5705, RFC 8446 §7.5).
    ///
    /// Both sides get the same for the same label, context and count, and nobody else does.
    ///
    /// - Parameters:
    ///   - label: What it is for, 1...249 bytes of UTF-8; registered ones begin with `EXPORTER`.
    ///   - context: What it is bound to, up to 65,535 bytes, in TLS 1.2 up to 958 with the label. There
    ///     nil gives other material than an empty context, in TLS 1.3 the same.
    ///   - count: Bytes of material, 1...8,160.
    /// - Returns: The material, in memory that is wiped.
    /// - Throws: ``TLSError`` `.invalidExport` for arguments out of their range or a label of TLS's own,
    ///   `.handshakeIncomplete`, and `.featureUnavailable` in TLS 1.2 without extended master secret.
    /// - Note: OpenSSL `SSL_export_keying_material`.
    public func exportKeyingMaterial(
        label: String,
        context: [UInt8]? = nil,
        count: Int
    ) throws(TLSError) -> SecretBytes {
        guard (1...KeyingMaterial.labelMax).contains(label.utf8.count),
            !KeyingMaterial.reservedLabels.contains(label)
        else {
            throw TLSError(
                .invalidExport,
                detail: "the label has 1...\(KeyingMaterial.labelMax) bytes, and is not TLS's own"
            )
        }
        guard (context?.count ?? 0) <= KeyingMaterial.contextMax else {
            throw TLSError(
                .invalidExport,
                detail: "the context has more than \(KeyingMaterial.contextMax) bytes"
            )
        }
        guard (1...KeyingMaterial.countMax).contains(count) else {
            throw TLSError(.invalidExport, detail: "count is 1...\(KeyingMaterial.countMax)")
        }
        try requireBoundSecret()
        let seed = label.utf8.count + (context?.count ?? 0)
        guard connection.version == .tls13 || seed <= KeyingMaterial.seedMax else {
            throw TLSError(
                .invalidExport,
                detail:
                    "label and context have more than \(KeyingMaterial.seedMax) bytes in TLS 1.2"
            )
        }
        guard
            let material = connection.exportKeyingMaterial(
                label: label,
                context: context,
                count: count
            )
        else { throw ErrorQueue.error(.internalError) }
        return material
    }

    /// What ties an authentication above TLS, such as SCRAM's, to this connection.
    ///
    /// - Parameter kind: Which binding; ``ChannelBinding`` says where each exists.
    /// - Returns: The binding's data, the same on both sides.
    /// - Throws: ``TLSError`` `.handshakeIncomplete`, and `.featureUnavailable` with the reason where the
    ///   connection has no such binding.
    public func channelBinding(_ kind: ChannelBinding) throws(TLSError) -> [UInt8] {
        switch kind {
        case .exporter:
            let material = try exportKeyingMaterial(
                label: "EXPORTER-Channel-Binding",
                context: [],
                count: 32
            )
            return material.withBytes { bytes in bytes.indices.map { bytes[$0] } }
        case .serverEndPoint: return try serverEndPoint()
        case .unique:
            try requireCompleted()
            guard connection.version == .tls12 else {
                throw unavailable(kind, "TLS 1.3 has none (RFC 8446 §C.5); take tls-exporter")
            }
            try requireBoundSecret()
            // The client's is first in a full handshake, the server's where a session is resumed.
            let isOwn = (context.role == .client) != connection.isResumed
            let message = connection.finished(isOwn: isOwn)
            guard !message.isEmpty else { throw unavailable(kind, "there is no Finished message") }
            return message
        }
    }

    private func serverEndPoint() throws(TLSError) -> [UInt8] {
        try requireCompleted()
        let certificate: Certificate?
        switch context.role {
        case .client: certificate = resumedChain?.sent.first ?? connection.peerChain.first
        case .server:
            guard !connection.isResumed else {
                throw unavailable(
                    .serverEndPoint,
                    "a resumed session does not tell which certificate the client saw"
                )
            }
            certificate = connection.localCertificate
        }
        guard let certificate else {
            throw unavailable(.serverEndPoint, "the server showed no certificate")
        }
        guard let digest = certificate.endPointDigest else {
            throw unavailable(
                .serverEndPoint,
                "the certificate's signature has no hash by itself (RFC 5929 §4.1)"
            )
        }
        return digest
    }

    private func unavailable(_ kind: ChannelBinding, _ reason: String) -> TLSError {
        TLSError(.featureUnavailable, phase: phase, detail: "\(kind.rawValue): \(reason)")
    }

    /// Refuses what only a connection whose handshake is done can do.
    func requireCompleted() throws(TLSError) {
        try requireUsable()
        guard hasCompleted else { throw TLSError(.handshakeIncomplete, phase: phase) }
    }

    /// Refuses what proves nothing where the master secret may be another connection's too.
    private func requireBoundSecret() throws(TLSError) {
        try requireCompleted()
        guard connection.hasBoundSecret else {
            throw TLSError(
                .featureUnavailable,
                phase: phase,
                detail: "the master secret is not bound to its handshake (RFC 7627 §5.4)",
                hint: "Have the peer speak TLS 1.3, or extended master secret in TLS 1.2"
            )
        }
    }
}
