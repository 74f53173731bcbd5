// The registry of TLS extensions, by number and name, with the few that are used without one.

/// An extension of TLS, by its number in the registry (RFC 8446 §4.2).
public struct ExtensionType: RawRepresentable, Hashable, Sendable {
    /// The two bytes on the wire, for example 16 for ALPN.
    public var rawValue: UInt16

    /// Makes a type from its number on the wire.
    public init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// Whether it means nothing, and only keeps servers used to the unknown (RFC 8701 §2).
    public var isGREASE: Bool { GREASE.contains(rawValue) }

    /// The registered name, or the one it is known by; nil for a number nobody knows here.
    public var name: String? {
        isGREASE ? "GREASE" : ExtensionType.names[rawValue]
    }

    /// The servername (RFC 6066 §3).
    public static let serverName = ExtensionType(rawValue: 0)
    /// A smaller record size, by number (RFC 6066 §4).
    public static let maxFragmentLength = ExtensionType(rawValue: 1)
    /// A request for a stapled OCSP response (RFC 6066 §8).
    public static let statusRequest = ExtensionType(rawValue: 5)
    /// The groups for key exchange (RFC 8446 §4.2.7).
    public static let supportedGroups = ExtensionType(rawValue: 10)
    /// The forms of points on curves (RFC 8422 §5.1.2).
    public static let ecPointFormats = ExtensionType(rawValue: 11)
    /// The signature algorithms (RFC 8446 §4.2.3).
    public static let signatureAlgorithms = ExtensionType(rawValue: 13)
    /// The application protocols (RFC 7301 §3.1).
    public static let alpn = ExtensionType(rawValue: 16)
    /// A request for signed certificate timestamps (RFC 6962 §3.3.1).
    public static let signedCertificateTimestamp = ExtensionType(rawValue: 18)
    /// Zeros that make the message longer (RFC 7685 §3).
    public static let padding = ExtensionType(rawValue: 21)
    /// Authentication of the ciphertext in CBC suites (RFC 7366 §2).
    public static let encryptThenMAC = ExtensionType(rawValue: 22)
    /// A master secret that covers the whole handshake (RFC 7627 §5.1).
    public static let extendedMasterSecret = ExtensionType(rawValue: 23)
    /// The ways to compress a certificate (RFC 8879 §3).
    public static let compressCertificate = ExtensionType(rawValue: 27)
    /// The largest record that is taken (RFC 8449 §4).
    public static let recordSizeLimit = ExtensionType(rawValue: 28)
    /// The signature algorithms for delegated credentials (RFC 9345 §4.1.1).
    public static let delegatedCredential = ExtensionType(rawValue: 34)
    /// A session ticket of TLS 1.2, or the wish for one (RFC 5077 §3.2).
    public static let sessionTicket = ExtensionType(rawValue: 35)
    /// Preshared keys and tickets of TLS 1.3 (RFC 8446 §4.2.11).
    public static let presharedKey = ExtensionType(rawValue: 41)
    /// Application data comes before the handshake ends (RFC 8446 §4.2.10).
    public static let earlyData = ExtensionType(rawValue: 42)
    /// The protocol versions (RFC 8446 §4.2.1).
    public static let supportedVersions = ExtensionType(rawValue: 43)
    /// What a server gave to be said again (RFC 8446 §4.2.2).
    public static let cookie = ExtensionType(rawValue: 44)
    /// How preshared keys may be used (RFC 8446 §4.2.9).
    public static let pskKeyExchangeModes = ExtensionType(rawValue: 45)
    /// The authorities whose certificates are welcome (RFC 8446 §4.2.4).
    public static let certificateAuthorities = ExtensionType(rawValue: 47)
    /// The client can show a certificate later (RFC 8446 §4.2.6).
    public static let postHandshakeAuth = ExtensionType(rawValue: 49)
    /// The signature algorithms in certificates (RFC 8446 §4.2.3).
    public static let signatureAlgorithmsCert = ExtensionType(rawValue: 50)
    /// Public keys for the key exchange (RFC 8446 §4.2.8).
    public static let keyShare = ExtensionType(rawValue: 51)
    /// Parameters of a QUIC connection (RFC 9001 §8.2).
    public static let quicTransportParameters = ExtensionType(rawValue: 57)
    /// Settings of application protocols in the handshake: the number that browsers used first.
    public static let applicationSettingsOld = ExtensionType(rawValue: 17513)
    /// Settings of application protocols in the handshake.
    public static let applicationSettings = ExtensionType(rawValue: 17613)
    /// The true ClientHello, encrypted, or something that looks like one.
    public static let encryptedClientHello = ExtensionType(rawValue: 65037)
    /// The renegotiation that this is, or none (RFC 5746 §3.2).
    public static let renegotiationInfo = ExtensionType(rawValue: 65281)

    private static let names: [UInt16: String] = [
        0: "server_name", 1: "max_fragment_length", 2: "client_certificate_url",
        3: "trusted_ca_keys", 4: "truncated_hmac", 5: "status_request", 6: "user_mapping",
        7: "client_authz", 8: "server_authz", 9: "cert_type", 10: "supported_groups",
        11: "ec_point_formats", 12: "srp", 13: "signature_algorithms", 14: "use_srtp",
        15: "heartbeat", 16: "application_layer_protocol_negotiation", 17: "status_request_v2",
        18: "signed_certificate_timestamp", 19: "client_certificate_type",
        20: "server_certificate_type", 21: "padding", 22: "encrypt_then_mac",
        23: "extended_master_secret", 24: "token_binding", 25: "cached_info", 26: "tls_lts",
        27: "compress_certificate", 28: "record_size_limit", 29: "pwd_protect", 30: "pwd_clear",
        31: "password_salt", 32: "ticket_pinning", 33: "tls_cert_with_extern_psk",
        34: "delegated_credential", 35: "session_ticket", 36: "TLMSP", 37: "TLMSP_proxying",
        38: "TLMSP_delegate", 39: "supported_ekt_ciphers", 41: "pre_shared_key", 42: "early_data",
        43: "supported_versions", 44: "cookie", 45: "psk_key_exchange_modes",
        47: "certificate_authorities", 48: "oid_filters", 49: "post_handshake_auth",
        50: "signature_algorithms_cert", 51: "key_share", 52: "transparency_info",
        53: "connection_id (deprecated)", 54: "connection_id", 55: "external_id_hash",
        56: "external_session_id", 57: "quic_transport_parameters", 58: "ticket_request",
        59: "dnssec_chain", 60: "sequence_number_encryption_algorithms", 61: "rrc",
        62: "tls_flags", 13172: "next_protocol_negotiation", 17513: "application_settings_old",
        17613: "application_settings", 30031: "channel_id_old", 30032: "channel_id",
        64768: "ech_outer_extensions", 65037: "encrypted_client_hello",
        65281: "renegotiation_info", 65445: "quic_transport_parameters_draft",
    ]
}

extension ExtensionType: CustomStringConvertible {
    /// The name, for example `key_share`, or `extension 0x1234` for an unknown number.
    public var description: String { name ?? "extension \(hexadecimal(rawValue))" }
}
